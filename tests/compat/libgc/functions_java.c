/* tests/compat/libgc/functions_java.c -- a process with java_finalization:
 * what finalizable objects reach is kept whatever the order. */
#include "check.h"

#include <gc/javaxfc.h>

struct node {
  struct node *next;
  int number;
  char text[16];
};

enum { MANY = WATCHED };

static int calls_no_order, calls_unreachable, calls_debug;
static struct node *brought_back[MANY];
static int bring_back;

static struct node *new_node(int number, struct node *next) {
  struct node *node = GC_malloc(sizeof *node);
  node->number = number;
  node->next = next;
  strcpy(node->text, "intact");
  return node;
}

static void collect(void) {
  wipe_stack();
  GC_gcollect();
  GC_invoke_finalizers();
}

static void count_no_order(void *object, void *data) {
  struct node *node = object;
  (void)data;
  CHECK_TEXT(node->text, "intact");
  if (node->next) CHECK_TEXT(node->next->text, "intact");
  if (bring_back) brought_back[node->number] = node;
  calls_no_order++;
}

static void count_unreachable(void *object, void *data) {
  struct node *node = object;
  (void)data;
  CHECK_TEXT(node->text, "intact");
  calls_unreachable++;
}

static void count_debug(void *object, void *data) {
  (void)data;
  CHECK_TEXT(object, "debug");
  calls_debug++;
}

TEST("GC_set_java_finalization and its getter are a pair") {
  CHECK_THAT(GC_get_java_finalization(), ==, 1);
  CHECK_THAT(GC_java_finalization, ==, 1);
}

static void drop_cycles(void *unused) {
  (void)unused;
  for (int i = 0; i + 1 < MANY; i += 2) {
    struct node *a = new_node(i, NULL), *b = new_node(i + 1, a);
    a->next = b;
    GC_register_finalizer_no_order(a, count_no_order, NULL, NULL, NULL);
    GC_register_finalizer_no_order(b, count_no_order, NULL, NULL, NULL);
  }
}

TEST("cycles without order are finalized, and each sees the other intact") {
  apart(drop_cycles, NULL);
  collect();
  collect();
  CHECK_THAT(calls_no_order, >=, MANY * 9 / 10);
  CHECK_THAT(calls_no_order, <=, MANY);
}

static void drop_unreachable(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++)
    GC_register_finalizer_unreachable(new_node(i, NULL), count_unreachable,
                                      NULL, NULL, NULL);
}

TEST("GC_register_finalizer_unreachable calls for a dead object") {
  apart(drop_unreachable, NULL);
  collect();
  collect();
  CHECK_THAT(calls_unreachable, >=, MANY * 9 / 10);
  CHECK_THAT(calls_unreachable, <=, MANY);
}

static void drop_pairs(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    struct node *inner = new_node(i, NULL);
    GC_register_finalizer_unreachable(inner, count_unreachable, NULL, NULL,
                                      NULL);
    GC_register_finalizer_no_order(new_node(i, inner), count_no_order, NULL,
                                   NULL, NULL);
  }
}

TEST("it waits while an object without order can still bring it back") {
  calls_no_order = calls_unreachable = 0;
  bring_back = 1;
  apart(drop_pairs, NULL);
  collect();
  CHECK_THAT(calls_no_order, >=, MANY * 9 / 10);
  CHECK_THAT(calls_unreachable, ==, 0);
  collect();
  collect();
  CHECK_THAT(calls_unreachable, ==, 0);
  for (int i = 0; i < MANY; i++)
    if (brought_back[i]) CHECK_TEXT(brought_back[i]->next->text, "intact");
  bring_back = 0;
  memset(brought_back, 0, sizeof brought_back);
  collect();
  collect();
  CHECK_THAT(calls_unreachable, >=, MANY * 8 / 10);
}

static void drop_debug(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    char *p = GC_debug_malloc(16, "file", 1);
    strcpy(p, "debug");
    GC_debug_register_finalizer_unreachable(p, count_debug, NULL, NULL, NULL);
  }
}

TEST("GC_debug_register_finalizer_unreachable calls for a dead object") {
  apart(drop_debug, NULL);
  collect();
  collect();
  CHECK_THAT(calls_debug, >=, MANY * 9 / 10);
  CHECK_THAT(calls_debug, <=, MANY);
}

TEST("ordered finalizers keep their order") {
  struct node *inner = new_node(1, NULL);
  GC_register_finalizer(inner, count_unreachable, NULL, NULL, NULL);
  GC_register_finalizer(new_node(2, inner), count_no_order, NULL, NULL, NULL);
  calls_no_order = calls_unreachable = 0;
  collect();
  CHECK_THAT(calls_unreachable, ==, 0);
  GC_reachable_here(inner);
}

TEST("GC_finalize_all calls what is still registered") {
  static struct node *alive;
  alive = new_node(5, NULL);
  GC_register_finalizer_no_order(alive, count_no_order, NULL, NULL, NULL);
  calls_no_order = 0;
  GC_finalize_all();
  GC_invoke_finalizers();
  CHECK_THAT(calls_no_order, >=, 1);
}

int main(void) {
  GC_set_java_finalization(1);
  GC_INIT();
  return run_tests();
}
