/* tests/compat/libgc/functions_displacements.c -- a process in which pointers
 * into the middle of objects do not count, except for registered ones. */
#include "check.h"

static char *kept[WATCHED];
static size_t at;

static void point_inside(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    char *p = GC_malloc(200);
    watch(i, p);
    kept[i] = p + at;
  }
}

static void point_inside_from_heap(void *unused) {
  (void)unused;
  char **holder = GC_malloc(WATCHED * sizeof *holder);
  for (int i = 0; i < WATCHED; i++) {
    char *p = GC_malloc_atomic(200);
    watch(i, p);
    holder[i] = p + at;
  }
  kept[0] = (char *)holder;
}

static void point_at(size_t offset) {
  at = offset;
  memset(kept, 0, sizeof kept);
  apart(point_inside, NULL);
}

static int complaints;

static void complain(void *p) {
  (void)p;
  complaints++;
}

TEST("the setting is off when it was turned off before the start") {
  CHECK_THAT(GC_get_all_interior_pointers(), ==, 0);
  CHECK_THAT(GC_all_interior_pointers, ==, 0);
}

TEST("a pointer to the start keeps an object") {
  point_at(0);
  CHECK_WATCHED_KEPT();
}

TEST("a pointer from data into the middle keeps no object") {
  point_at(64);
  CHECK_WATCHED_GONE();
}

TEST("a pointer from the heap into the middle keeps no object") {
  memset(kept, 0, sizeof kept);
  at = 64;
  apart(point_inside_from_heap, NULL);
  CHECK_WATCHED_GONE();
}

TEST("GC_is_valid_displacement reports an offset that is not registered") {
  GC_is_valid_displacement_print_proc = complain;
  char *p = GC_malloc(200);
  CHECK(GC_is_valid_displacement(p) == p);
  CHECK_THAT(complaints, ==, 0);
  CHECK(GC_is_valid_displacement(p + 72) == p + 72);
  CHECK_THAT(complaints, ==, 1);
}

TEST("GC_register_displacement makes an offset count") {
  GC_register_displacement(72);
  point_at(72);
  CHECK_WATCHED_KEPT();
  point_at(80);
  CHECK_WATCHED_GONE();
  memset(kept, 0, sizeof kept);
  at = 72;
  apart(point_inside_from_heap, NULL);
  CHECK_WATCHED_KEPT();
  complaints = 0;
  char *p = GC_malloc(200);
  CHECK(GC_is_valid_displacement(p + 72) == p + 72);
  CHECK_THAT(complaints, ==, 0);
}

static void point_inside_debug(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    char *p = GC_debug_malloc(200, "file", 1);
    watch(i, GC_base(p));
    kept[i] = p + at;
  }
}

TEST("GC_debug_register_displacement makes it count in debug objects") {
  memset(kept, 0, sizeof kept);
  at = 104;
  GC_debug_register_displacement(104);
  apart(point_inside_debug, NULL);
  CHECK_WATCHED_KEPT();
  memset(kept, 0, sizeof kept);
  at = 0;
  apart(point_inside_debug, NULL);
  CHECK_WATCHED_KEPT();
}

static APART int keep_on_stack(void) {
  char *volatile inside[WATCHED];
  memset(kept, 0, sizeof kept);
  at = 88;
  apart(point_inside, NULL);
  for (int i = 0; i < WATCHED; i++) inside[i] = kept[i];
  memset(kept, 0, sizeof kept);
  int gone = watched_gone();
  for (int i = 0; i < WATCHED; i++) *inside[i] = 1;
  return gone;
}

TEST("a pointer from the stack into the middle keeps an object") {
  CHECK_THAT(keep_on_stack(), ==, 0);
  watch_end();
}

TEST("GC_memalign's pointer counts though it may be inside an object") {
  static char *aligned;
  for (size_t align = 32; align <= 4096; align *= 2) {
    aligned = GC_memalign(align, 300);
    memset(aligned, 0x19, 300);
    GC_gcollect();
    for (int i = 0; i < 200; i++) memset(GC_malloc(align + 300), 1, 300);
    CHECK(is_filled(aligned, 0x19, 300));
  }
}

TEST("GC_memalign has no memory for what no displacement could reach") {
  CHECK(GC_memalign(1 << 20, 300) == NULL);
}

TEST("GC_set_all_interior_pointers turns them on later") {
  GC_set_all_interior_pointers(1);
  CHECK_THAT(GC_get_all_interior_pointers(), ==, 1);
  point_at(64);
  CHECK_WATCHED_KEPT();
}

int main(void) {
  GC_set_all_interior_pointers(0);
  GC_INIT();
  return run_tests();
}
