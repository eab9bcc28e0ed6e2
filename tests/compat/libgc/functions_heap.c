/* tests/compat/libgc/functions_heap.c -- growing, limits, running out. */
#include "check.h"

static void *kept;

/* ---- growing ------------------------------------------------------------- */

TEST("GC_expand_hp grows the heap by as much") {
  size_t before = GC_get_heap_size();
  CHECK_THAT(GC_expand_hp(8 << 20), ==, 1);
  CHECK_THAT(GC_get_heap_size(), >=, before + (8 << 20));
  CHECK_THAT(GC_get_free_bytes(), >=, 4 << 20);
}

static GC_word resized_to;
static int resizes;

static void on_resize(GC_word size) {
  resized_to = size;
  resizes++;
}

TEST("GC_set_on_heap_resize is told of the new size") {
  CHECK(GC_get_on_heap_resize() == NULL);
  GC_set_on_heap_resize(on_resize);
  CHECK(GC_get_on_heap_resize() == on_resize);
  CHECK(GC_on_heap_resize == on_resize);
  CHECK_THAT(GC_expand_hp(4 << 20), ==, 1);
  CHECK_THAT(resizes, >=, 1);
  CHECK_THAT(resized_to, ==, GC_get_heap_size() + GC_get_unmapped_bytes());
  resizes = 0;
  kept = GC_malloc(64 << 20);
  CHECK_THAT(resizes, >=, 1);
  CHECK_THAT(resized_to, >=, 64 << 20);
  kept = NULL;
  GC_set_on_heap_resize(NULL);
  CHECK(GC_get_on_heap_resize() == NULL);
}

TEST("GC_set_dont_expand collects instead of growing, but not at any price") {
  CHECK_THAT(GC_get_dont_expand(), ==, 0);
  GC_set_dont_expand(1);
  CHECK_THAT(GC_get_dont_expand(), !=, 0);
  CHECK_THAT(GC_dont_expand, !=, 0);
  GC_word before = GC_get_gc_no();
  for (int i = 0; i < 300000; i++) GC_malloc(1000);
  CHECK_THAT(GC_get_gc_no(), >, before);
  kept = GC_malloc(1 << 20);
  CHECK(kept != NULL);
  kept = NULL;
  GC_set_dont_expand(0);
  CHECK_THAT(GC_get_dont_expand(), ==, 0);
}

/* ---- running out --------------------------------------------------------- */

static size_t asked;
static int out_of_memory;
static void *substitute;

static void *on_out_of_memory(size_t size) {
  asked = size;
  out_of_memory++;
  return substitute;
}

static volatile size_t impossible = SIZE_MAX / 4;

TEST("GC_set_oom_fn decides what a failed allocation returns") {
  GC_oom_func before = GC_get_oom_fn();
  CHECK(before != NULL);
  CHECK(GC_oom_fn == before);
  CHECK(before(100) == NULL);
  substitute = GC_malloc(16);
  GC_set_oom_fn(on_out_of_memory);
  CHECK(GC_get_oom_fn() == on_out_of_memory);
  CHECK(GC_malloc(impossible) == substitute);
  CHECK_THAT(out_of_memory, ==, 1);
  CHECK_THAT(asked, >=, impossible);
  CHECK(GC_malloc_atomic(impossible) == substitute);
  CHECK(GC_malloc_uncollectable(impossible) == substitute);
  CHECK(GC_malloc_ignore_off_page(impossible) == substitute);
  CHECK_THAT(out_of_memory, ==, 4);
  substitute = NULL;
  CHECK(GC_malloc(impossible) == NULL);
  CHECK_THAT(out_of_memory, ==, 5);
}

/* Objects of a quarter MiB until there is none. No list: one stale pointer
 * would keep all of it. */
enum { QUARTERS = 4000 };
static void *quarters[QUARTERS];

static APART int fill_up(void) {
  int n = 0;
  while (n < QUARTERS && (quarters[n] = GC_malloc(256 * 1024)) != NULL) n++;
  for (int i = 0; i < n; i++) CHECK(GC_base(quarters[i]) == quarters[i]);
  memset(quarters, 0, sizeof quarters);
  return n;
}

TEST("GC_set_max_heap_size limits what can be allocated") {
  wipe_stack();
  GC_gcollect_and_unmap();
  GC_word limit = GC_get_heap_size() + GC_get_unmapped_bytes() + (64 << 20);
  out_of_memory = 0;
  GC_set_max_heap_size(limit);
  int n = fill_up();
  CHECK_THAT(out_of_memory, >=, 1);
  CHECK_THAT(n, >=, 100);
  CHECK_THAT((GC_word)n * 256 * 1024, <=, limit);
  CHECK_THAT(GC_get_heap_size(), <=, limit);
  CHECK_THAT(GC_expand_hp(256 << 20), ==, 0);
}

TEST("after running out, dead objects make room again") {
  out_of_memory = 0;
  wipe_stack();
  GC_gcollect();
  for (int i = 0; i < 2000; i++) {
    kept = GC_malloc(256 * 1024);
    CHECK(kept != NULL);
  }
  kept = NULL;
  CHECK_THAT(out_of_memory, ==, 0);
}

static void make_quarter_gib(void *unused) {
  (void)unused;
  kept = GC_malloc_atomic(256 << 20);
  CHECK(kept != NULL);
  memset(kept, 1, 256 << 20);
}

TEST("a limit of 0 is none") {
  GC_set_max_heap_size(0);
  apart(make_quarter_gib, NULL);
  kept = NULL;
  CHECK_THAT(GC_expand_hp(1 << 20), ==, 1);
}

/* ---- giving back --------------------------------------------------------- */

/* A library may wait for some collections to see that memory stays free. */

TEST("GC_gcollect_and_unmap gives the memory of a dead object back") {
  GC_gcollect_and_unmap();
  apart(make_quarter_gib, NULL);
  size_t most = GC_get_heap_size();
  CHECK_THAT(most, >=, 256 << 20);
  kept = NULL;
  wipe_stack();
  for (int i = 0; i < 5; i++) GC_gcollect_and_unmap();
  CHECK_THAT(GC_get_heap_size(), <=, most - (200 << 20));
  CHECK_THAT(GC_get_obtained_from_os_bytes(), >=, most);
}

TEST("GC_set_force_unmap_on_gcollect makes GC_gcollect do so") {
  CHECK_THAT(GC_get_force_unmap_on_gcollect(), ==, 0);
  GC_set_force_unmap_on_gcollect(1);
  CHECK_THAT(GC_get_force_unmap_on_gcollect(), !=, 0);
  apart(make_quarter_gib, NULL);
  size_t most = GC_get_heap_size();
  kept = NULL;
  wipe_stack();
  for (int i = 0; i < 5; i++) GC_gcollect();
  CHECK_THAT(GC_get_heap_size(), <=, most - (200 << 20));
  GC_set_force_unmap_on_gcollect(0);
  CHECK_THAT(GC_get_force_unmap_on_gcollect(), ==, 0);
}

/* ---- warnings ------------------------------------------------------------ */

static int warnings;

static void on_warning(char *message, GC_word argument) {
  CHECK_THAT(strlen(message), >, 0);
  (void)argument;
  warnings++;
}

TEST("GC_set_warn_proc and its getter are a pair") {
  GC_warn_proc before = GC_get_warn_proc();
  CHECK(before != NULL);
  GC_set_warn_proc(on_warning);
  CHECK(GC_get_warn_proc() == on_warning);
  GC_set_warn_proc(GC_ignore_warn_proc);
  CHECK(GC_get_warn_proc() == GC_ignore_warn_proc);
  GC_set_warn_proc(before);
  CHECK(GC_get_warn_proc() == before);
}

TEST("GC_ignore_warn_proc says nothing, the first one does") {
  char text[500];
  GC_warn_proc first = GC_get_warn_proc();
  static char message[] = "a warning with %lu in it\n";
  capture_begin(2);
  GC_ignore_warn_proc(message, 42);
  CHECK_THAT(capture_end(text, sizeof text), ==, 0);
  capture_begin(2);
  first(message, 42);
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, "a warning with 42 in it") != NULL);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
