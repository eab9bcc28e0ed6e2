/* tests/compat/libgc/functions_roots.c -- what the collector starts from. */
#include "check.h"

#include <dlfcn.h>
#include <gc/gc_mark.h>

static void *in_bss[WATCHED];
static void *in_data[WATCHED] = {&in_bss};
static void **target;

static void fill_target(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    target[i] = GC_malloc(40);
    watch(i, target[i]);
  }
}

static void fill(void **to) {
  memset(to, 0, WATCHED * sizeof *to);
  target = to;
  apart(fill_target, NULL);
}

TEST("static data is a root") {
  fill(in_bss);
  CHECK_WATCHED_KEPT();
  memset(in_bss, 0, sizeof in_bss);
  fill(in_data);
  CHECK_WATCHED_KEPT();
  memset(in_data, 0, sizeof in_data);
}

static APART int gone_on_stack(void) {
  void *local[WATCHED];
  fill(local);
  int gone = watched_gone();
  for (int i = 0; i < WATCHED; i++) GC_reachable_here(local[i]);
  return gone;
}

TEST("the stack is a root") {
  CHECK_THAT(gone_on_stack(), ==, 0);
  watch_end();
}

TEST("memory of malloc is no root") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  fill(foreign);
  CHECK_WATCHED_GONE();
  free(foreign);
}

TEST("GC_add_roots makes it one, GC_remove_roots ends that") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  GC_add_roots(foreign, foreign + WATCHED);
  fill(foreign);
  CHECK_THAT(watched_gone(), ==, 0);
  GC_remove_roots(foreign, foreign + WATCHED);
  CHECK_WATCHED_GONE();
  free(foreign);
}

TEST("GC_remove_roots leaves alone what is not inside its region") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  GC_add_roots(foreign, foreign + WATCHED);
  fill(foreign);
  GC_remove_roots(foreign, foreign + WATCHED / 2);
  CHECK_THAT(watched_gone(), ==, 0);
  GC_remove_roots(foreign, foreign + WATCHED);
  CHECK_WATCHED_GONE();
  free(foreign);
}

TEST("a root that is added twice is removed once") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  GC_add_roots(foreign, foreign + WATCHED);
  GC_add_roots(foreign, foreign + WATCHED);
  fill(foreign);
  GC_remove_roots(foreign, foreign + WATCHED);
  CHECK_WATCHED_GONE();
  free(foreign);
}

TEST("a root need not be aligned") {
  char *foreign = malloc((WATCHED + 2) * sizeof(void *));
  GC_add_roots(foreign + 3, foreign + (WATCHED + 1) * sizeof(void *) + 5);
  fill((void **)(foreign + sizeof(void *)));
  CHECK_THAT(watched_gone(), ==, 0);
  GC_remove_roots(foreign, foreign + (WATCHED + 2) * sizeof(void *));
  CHECK_WATCHED_GONE();
  free(foreign);
}

TEST("many roots are kept apart") {
  enum { N = 100 };
  void **foreign[N];
  for (int i = 0; i < N; i++) {
    foreign[i] = malloc(64 + (size_t)i);
    GC_add_roots(foreign[i], foreign[i] + 2);
    foreign[i][1] = GC_strdup("rooted");
  }
  GC_gcollect();
  for (int i = 0; i < 10000; i++) memset(GC_malloc_atomic(7), 'x', 7);
  for (int i = 0; i < N; i++) {
    CHECK_TEXT(foreign[i][1], "rooted");
    GC_remove_roots(foreign[i], foreign[i] + 2);
    free(foreign[i]);
  }
}

/* GC_is_tmp_root is about roots that the collector found for itself and may
 * drop, like those of loaded objects; one of ours is not among them. */
TEST("GC_is_tmp_root denies a root of the program's own") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  GC_add_roots(foreign, foreign + WATCHED);
  CHECK_THAT(GC_is_tmp_root(foreign), ==, 0);
  GC_remove_roots(foreign, foreign + WATCHED);
  free(foreign);
}

TEST("GC_exclude_static_roots takes a part of the data out") {
  static void *excluded[WATCHED + 2];
  fill(excluded + 1);
  CHECK_WATCHED_KEPT();
  GC_exclude_static_roots(excluded, excluded + WATCHED + 2);
  fill(excluded + 1);
  CHECK_WATCHED_GONE();
  fill(in_bss);
  CHECK_WATCHED_KEPT();
  memset(in_bss, 0, sizeof in_bss);
}

/* ---- roots the program pushes -------------------------------------------- */

static GC_push_other_roots_proc pushed_before;
static void **pushed;
static int pushes;
static int push_way;

static void push_pushed(void) {
  pushes++;
  if (pushed) {
    void *end = pushed + WATCHED;
    if (push_way == 0) GC_push_all(pushed, end);
    if (push_way == 1) GC_push_all_eager(pushed, end);
    if (push_way == 2) GC_push_conditional(pushed, end, 1);
    if (push_way == 3) GC_push_conditional(pushed, end, 0);
  }
  if (pushed_before) pushed_before();
}

static void check_pushed(int way) {
  push_way = way;
  pushes = 0;
  pushed = malloc(WATCHED * sizeof *pushed);
  fill(pushed);
  CHECK_THAT(watched_gone(), ==, 0);
  CHECK_THAT(pushes, >=, 2);
  void **gone = pushed;
  pushed = NULL;
  CHECK_WATCHED_GONE();
  free(gone);
}

TEST("GC_set_push_other_roots is called in each collection") {
  pushed_before = GC_get_push_other_roots();
  GC_set_push_other_roots(push_pushed);
  CHECK(GC_get_push_other_roots() == push_pushed);
  GC_gcollect();
  CHECK_THAT(pushes, >=, 1);
}

TEST("GC_push_all keeps what the range points to") {
  check_pushed(0);
}

TEST("GC_push_all_eager as well") {
  check_pushed(1);
}

TEST("GC_push_conditional of all as well") {
  check_pushed(2);
}

TEST("GC_push_conditional of what is dirty works in a full collection") {
  check_pushed(3);
}

static void push_finalizers_again(void) {
  pushes++;
  GC_push_finalizer_structures();
  if (pushed_before) pushed_before();
}

static int finalized;

static void count_finalized(void *object, void *data) {
  (void)object;
  finalized += *(int *)data;
}

static void register_finalized(void *unused) {
  (void)unused;
  int *one = GC_malloc(sizeof *one);
  *one = 1;
  for (int i = 0; i < WATCHED; i++)
    GC_register_finalizer(GC_malloc(24), count_finalized, one, NULL, NULL);
}

TEST("GC_push_finalizer_structures does no harm to finalization") {
  pushes = 0;
  GC_set_push_other_roots(push_finalizers_again);
  apart(register_finalized, NULL);
  for (int i = 0; i < 5; i++) {
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(pushes, >=, 5);
  CHECK_THAT(finalized, >=, WATCHED * 9 / 10);
  GC_set_push_other_roots(pushed_before);
}

/* ---- clearing ------------------------------------------------------------ */

static void *once_excluded[WATCHED + 2];

/* The collector excludes data of its own when it starts, so what may clear all
 * is the program that has not started it. */
static int run_cleared(void) {
  GC_exclude_static_roots(once_excluded, once_excluded + WATCHED + 2);
  GC_clear_exclusion_table();
  GC_INIT();
  fill(once_excluded + 1);
  return watched_gone() == 0 ? 0 : 1;
}

static int run_excluded(void) {
  GC_exclude_static_roots(once_excluded, once_excluded + WATCHED + 2);
  GC_INIT();
  fill(once_excluded + 1);
  return watched_gone() >= WATCHED * 9 / 10 ? 0 : 1;
}

TEST("GC_clear_exclusion_table forgets what was excluded before the start") {
  char text[2000];
  CHECK_THAT(run_part("excluded", text, sizeof text), ==, 0);
  CHECK_THAT(run_part("cleared", text, sizeof text), ==, 0);
}

/* The last one, because nothing brings the roots back. */
TEST("GC_clear_roots forgets the added roots") {
  void **foreign = malloc(WATCHED * sizeof *foreign);
  GC_add_roots(foreign, foreign + WATCHED);
  fill(foreign);
  CHECK_THAT(watched_gone(), ==, 0);
  GC_clear_roots();
  CHECK_WATCHED_GONE();
  free(foreign);
}

int main(int argc, char **argv) {
  if (argc > 1)
    return strcmp(argv[1], "cleared") == 0 ? run_cleared() : run_excluded();
  GC_INIT();
  return run_tests();
}
