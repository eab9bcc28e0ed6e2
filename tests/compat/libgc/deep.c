/* tests/compat/libgc/deep.c -- structures that a recursive marker would die of:
 * a list of 10 million, and one built backwards through finalizers. */
#include "check.h"

enum { LENGTH = 10000000, PASSES = 2, GUARDED = 20000 };

struct node {
  struct node *next;
  long value;
};

static struct node *head;

TEST("a list of 10 million objects lives through collections") {
  for (long i = 0; i < LENGTH; i++) {
    struct node *n = GC_malloc(sizeof *n);
    CHECK(n);
    n->value = i;
    n->next = head;
    head = n;
  }
  for (int pass = 0; pass < PASSES; pass++) {
    long value = LENGTH;
    GC_gcollect();
    for (struct node *n = head; n; n = n->next) {
      value--;
      CHECK_THAT(n->value, ==, value);
    }
    CHECK_THAT(value, ==, 0);
  }
}

TEST("and its memory serves again when it is dropped") {
  size_t before = GC_get_heap_size();
  head = NULL;
  wipe_stack();
  GC_gcollect();
  for (long i = 0; i < LENGTH; i++) {
    struct node *n = GC_malloc(sizeof *n);
    CHECK(n && !n->next && !n->value);
    if (i % 1000 == 0) n->next = head, head = n;
  }
  CHECK_THAT(GC_get_heap_size(), <=, before + before / 2);
  head = NULL;
}

static volatile long finalized;

static void GC_CALLBACK count_it(void *object, void *data) {
  struct node *n = object;
  CHECK(data == (void *)7);
  CHECK(!n->next || n->next->value == n->value - 1);
  finalized++;
}

static void build_guarded(void *unused) {
  struct node *last = NULL;
  (void)unused;
  for (long i = 0; i < GUARDED; i++) {
    struct node *n = GC_malloc(sizeof *n);
    n->value = i;
    n->next = last;
    last = n;
    GC_register_finalizer_no_order(n, count_it, (void *)7, NULL, NULL);
  }
}

TEST("a chain of 20,000 finalizers without an order runs") {
  apart(build_guarded, NULL);
  for (int i = 0; i < 10 && finalized < GUARDED; i++) {
    wipe_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(finalized, >=, GUARDED * 9 / 10);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
