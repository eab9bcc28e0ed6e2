/* tests/compat/libgc/functions_leaks.c -- a process that looks for leaks
 * instead of collecting. */
#include "check.h"

#include <gc/gc_disclaim.h>
#include <gc/gc_mark.h>

enum { LEAKED = 50 };
static char text[200000];
static void *volatile kept[LEAKED];

static void leak_debug(void *unused) {
  (void)unused;
  for (int i = 0; i < LEAKED; i++)
    memset(GC_debug_malloc(40, "leaking.c", 815), 1, 40);
}

static int count_text(const char *what) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, what)) != NULL; p++) n++;
  return n;
}

static size_t collect_captured(void) {
  wipe_stack();
  capture_begin(2);
  GC_gcollect();
  GC_gcollect();
  return capture_end(text, sizeof text);
}

TEST("GC_set_find_leak turns the search for leaks on") {
  CHECK_THAT(GC_get_find_leak(), ==, 1);
  CHECK_THAT(GC_find_leak, ==, 1);
}

TEST("what was freed or is reachable is no leak") {
  for (int i = 0; i < LEAKED; i++) {
    kept[i] = GC_debug_malloc(40, "kept.c", 1);
    GC_debug_free(GC_debug_malloc(40, "freed.c", 1));
    GC_free(GC_malloc(40));
  }
  CHECK_THAT(collect_captured(), ==, 0);
}

TEST("objects that were dropped are reported, with their place") {
  apart(leak_debug, NULL);
  CHECK_THAT(collect_captured(), >, 0);
  CHECK_THAT(count_text("leaking.c:815"), >=, LEAKED / 2);
  CHECK_THAT(count_text("kept.c"), ==, 0);
  CHECK_THAT(count_text("freed.c"), ==, 0);
}

static GC_hidden_pointer hidden;

static void leak_plain(void *unused) {
  (void)unused;
  for (int i = 0; i < LEAKED; i++) {
    void *p = GC_malloc(100);
    if (i == LEAKED / 2) hidden = GC_HIDE_POINTER(p);
  }
}

TEST("objects without a header are reported by their address") {
  char address[32];
  apart(leak_plain, NULL);
  CHECK_THAT(collect_captured(), >, 0);
  snprintf(address, sizeof address, "%p", GC_REVEAL_POINTER(hidden));
  CHECK_THAT(count_text(address + 2), >=, 1);
}

static void describe(void *object, char *description) {
  (void)object;
  snprintf(description, GC_TYPE_DESCR_LEN, "a described leak");
}

static void leak_kind(void *kind) {
  for (int i = 0; i < LEAKED; i++)
    memset(GC_debug_generic_or_special_malloc(40, *(int *)kind, "kind.c", 7), 1,
           40);
}

TEST("GC_register_describe_type_fn describes the objects of a kind") {
  int kind = (int)GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  GC_register_describe_type_fn(kind, describe);
  apart(leak_kind, &kind);
  CHECK_THAT(collect_captured(), >, 0);
  CHECK_THAT(count_text("a described leak"), >=, 1);
}

TEST("disappearing links are not implemented while leaks are looked for") {
  static void *link;
  void *object = GC_malloc(16);
  kept[0] = object;
  CHECK_THAT(GC_general_register_disappearing_link(&link, object), ==,
             GC_UNIMPLEMENTED);
  CHECK_THAT(GC_register_long_link(&link, object), ==, GC_UNIMPLEMENTED);
}

static int finalized;

static void count_finalized(void *object, void *data) {
  (void)object;
  (void)data;
  finalized++;
}

static void drop_finalizable(void *unused) {
  (void)unused;
  for (int i = 0; i < LEAKED; i++)
    GC_register_finalizer(GC_malloc(16), count_finalized, NULL, NULL, NULL);
}

TEST("finalizers are not called while leaks are looked for") {
  apart(drop_finalizable, NULL);
  collect_captured();
  GC_invoke_finalizers();
  CHECK_THAT(finalized, ==, 0);
}

/* ---- the end of a program ------------------------------------------------ */

static int run_leaking(void) {
  GC_set_find_leak(1);
  GC_INIT();
  apart(leak_debug, NULL);
  return 0;
}

static int run_clean(void) {
  GC_set_find_leak(1);
  GC_INIT();
  for (int i = 0; i < LEAKED; i++)
    GC_debug_free(GC_debug_malloc(40, "freed.c", 1));
  return 0;
}

TEST("leaks are reported at the end of the program, too") {
  CHECK_THAT(run_part("leaking", text, sizeof text), ==, 0);
  CHECK_THAT(count_text("leaking.c:815"), >=, 1);
  CHECK_THAT(run_part("clean", text, sizeof text), ==, 0);
  CHECK_TEXT(text, "");
}

int main(int argc, char **argv) {
  if (argc > 1)
    return strcmp(argv[1], "leaking") == 0 ? run_leaking() : run_clean();
  GC_set_find_leak(1);
  GC_INIT();
  return run_tests();
}
