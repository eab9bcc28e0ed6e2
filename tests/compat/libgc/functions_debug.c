/* tests/compat/libgc/functions_debug.c -- allocation with a header that says
 * where, and what the macros become with GC_DEBUG. */
#define GC_DEBUG
#include "check.h"

#include <gc/gc_mark.h>

static void *kept;
static void **holder;

typedef void *allocator(size_t size);

static void *debug_malloc(size_t size) {
  return GC_debug_malloc(size, "file.c", 10);
}

static void *debug_atomic(size_t size) {
  return GC_debug_malloc_atomic(size, "file.c", 11);
}

static void *debug_ignoring(size_t size) {
  return GC_debug_malloc_ignore_off_page(size, "file.c", 12);
}

static void *debug_atomic_ignoring(size_t size) {
  return GC_debug_malloc_atomic_ignore_off_page(size, "file.c", 13);
}

static void *debug_uncollectable(size_t size) {
  return GC_debug_malloc_uncollectable(size, "file.c", 14);
}

static void *debug_atomic_uncollectable(size_t size) {
  return GC_debug_malloc_atomic_uncollectable(size, "file.c", 15);
}

static void *debug_stubborn(size_t size) {
  return GC_debug_malloc_stubborn(size, "file.c", 16);
}

static void *debug_of_kind(size_t size) {
  int kind = GC_get_kind_and_size(GC_malloc(16), NULL);
  return GC_debug_generic_or_special_malloc(size, kind, "file.c", 17);
}

/* Sizes up to the last byte are the program's; a header comes before. */
static void check_allocator(allocator *allocate, int zeroed) {
  for (size_t size = 1; size <= 200000; size = size * 2 + 1) {
    char *p = allocate(size);
    CHECK(p != NULL);
    CHECK(is_aligned(p, 8));
    if (zeroed) CHECK(is_filled(p, 0, size));
    memset(p, 0xff, size);
    CHECK(GC_base(p) != p);
    CHECK(GC_base(p) == p - GC_get_debug_header_size());
    CHECK(GC_USR_PTR_FROM_BASE(GC_base(p)) == p);
    CHECK_THAT(GC_size(GC_base(p)), >=, size + GC_get_debug_header_size());
  }
}

static void watch_made(void *allocate) {
  allocator *call = *(allocator **)allocate;
  for (int i = 0; i < WATCHED; i++) watch(i, GC_base(call(64)));
}

static void check_collected(allocator *allocate) {
  apart(watch_made, &allocate);
  CHECK_WATCHED_GONE();
}

static void fill_holder(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    holder[i] = GC_malloc(32);
    watch(i, holder[i]);
  }
}

static void check_scanned(allocator *allocate, int scanned) {
  kept = holder = allocate(WATCHED * sizeof(void *));
  apart(fill_holder, NULL);
  if (scanned)
    CHECK_THAT(watched_gone(), ==, 0);
  else
    CHECK_THAT(watched_gone(), >=, WATCHED * 9 / 10);
  GC_debug_free(kept);
  kept = holder = NULL;
  CHECK_WATCHED_GONE();
}

static void check_all(allocator *allocate, int scanned, int collected) {
  check_allocator(allocate, scanned);
  check_scanned(allocate, scanned);
  if (collected) check_collected(allocate);
}

TEST("GC_debug_header_size is what GC_get_debug_header_size tells") {
  CHECK_THAT(GC_debug_header_size, ==, GC_get_debug_header_size());
  CHECK_THAT(GC_get_debug_header_size(), >, 0);
  CHECK_THAT(GC_get_debug_header_size() % 8, ==, 0);
}

TEST("GC_debug_malloc is GC_malloc with a header") {
  check_all(debug_malloc, 1, 1);
}

TEST("GC_debug_malloc_atomic is GC_malloc_atomic with a header") {
  check_all(debug_atomic, 0, 1);
}

TEST("GC_debug_malloc_ignore_off_page as well") {
  check_all(debug_ignoring, 1, 1);
}

TEST("GC_debug_malloc_atomic_ignore_off_page as well") {
  check_all(debug_atomic_ignoring, 0, 1);
}

TEST("GC_debug_malloc_uncollectable as well") {
  check_all(debug_uncollectable, 1, 0);
}

TEST("GC_debug_malloc_atomic_uncollectable as well") {
  check_all(debug_atomic_uncollectable, 0, 0);
}

TEST("GC_debug_malloc_stubborn as well") {
  check_all(debug_stubborn, 1, 1);
}

TEST("GC_debug_generic_or_special_malloc as well") {
  check_all(debug_of_kind, 1, 1);
}

TEST("GC_debug_malloc_replacement is used without a place") {
  check_all(GC_debug_malloc_replacement, 1, 1);
}

/* ---- uncollectable ------------------------------------------------------- */

static GC_hidden_pointer hidden[2];

static void make_uncollectable(void *unused) {
  (void)unused;
  for (int i = 0; i < 2; i++) {
    char *p = i ? debug_atomic_uncollectable(20) : debug_uncollectable(20);
    strcpy(p, "not collected");
    hidden[i] = GC_HIDE_POINTER(p);
  }
}

TEST("uncollectable debug objects stay without a reference") {
  apart(make_uncollectable, NULL);
  GC_gcollect();
  for (int i = 0; i < 1000; i++) memset(debug_malloc(20), 'x', 20);
  for (int i = 0; i < 2; i++) {
    CHECK_TEXT(GC_REVEAL_POINTER(hidden[i]), "not collected");
    GC_debug_free(GC_REVEAL_POINTER(hidden[i]));
  }
}

/* ---- strings, realloc, free ---------------------------------------------- */

TEST("GC_debug_strdup and GC_debug_strndup copy") {
  char *copy = GC_debug_strdup("a string", "file.c", 20);
  CHECK_TEXT(copy, "a string");
  CHECK(GC_base(copy) != copy);
  copy = GC_debug_strndup("a string", 3, "file.c", 21);
  CHECK_TEXT(copy, "a s");
  CHECK_TEXT(GC_debug_strndup("ab", 30, "file.c", 22), "ab");
}

TEST("GC_debug_realloc keeps the contents and the kind") {
  unsigned char *p = GC_debug_realloc(NULL, 10, "file.c", 30);
  CHECK(is_filled(p, 0, 10));
  for (size_t size = 10; size < 100000; size *= 3) {
    memset(p, 0x42, size);
    p = GC_debug_realloc(p, size * 3, "file.c", 31);
    CHECK(is_filled(p, 0x42, size));
    CHECK(is_filled(p + size, 0, 2 * size));
  }
  p = GC_debug_realloc(p, 5, "file.c", 32);
  CHECK(is_filled(p, 0x42, 5));
  CHECK(GC_debug_realloc(p, 0, "file.c", 33) == NULL);
  int atomic = GC_get_kind_and_size(GC_malloc_atomic(10), NULL);
  void *q = GC_debug_realloc(debug_atomic(10), 1000, "file.c", 34);
  CHECK_THAT(GC_get_kind_and_size(GC_base(q), NULL), ==, atomic);
}

TEST("GC_debug_realloc_replacement is used without a place") {
  unsigned char *p = GC_debug_realloc_replacement(NULL, 10);
  memset(p, 0x42, 10);
  p = GC_debug_realloc_replacement(p, 5000);
  CHECK(is_filled(p, 0x42, 10));
  CHECK(GC_base(p) != p);
}

TEST("GC_debug_free of a null pointer does nothing") {
  GC_debug_free(NULL);
}

TEST("memory of freed debug objects is used again") {
  size_t before = GC_get_heap_size();
  for (int i = 0; i < 50000; i++) GC_debug_free(debug_uncollectable(10000));
  CHECK_THAT(GC_get_heap_size(), <=, before + (100 << 20));
}

/* ---- changes ------------------------------------------------------------- */

TEST("GC_debug_ptr_store_and_dirty stores a pointer that counts") {
  kept = debug_malloc(64);
  GC_debug_ptr_store_and_dirty((char *)kept + 16, GC_strdup("stored"));
  GC_gcollect();
  CHECK_TEXT(((char **)kept)[2], "stored");
  kept = NULL;
}

TEST("GC_debug_change_stubborn and GC_debug_end_stubborn_change are harmless") {
  kept = debug_stubborn(64);
  GC_debug_change_stubborn(kept);
  *(void **)kept = GC_strdup("changed");
  GC_debug_end_stubborn_change(kept);
  GC_gcollect();
  CHECK_TEXT(*(char **)kept, "changed");
  kept = NULL;
}

/* ---- the macros ---------------------------------------------------------- */

static int finalized;

static void count_finalized(void *object, void *data) {
  CHECK_TEXT(object, "final");
  (void)data;
  finalized++;
}

static void drop_finalizable(void *unused) {
  (void)unused;
  for (int i = 0; i < 100; i++) {
    char *p = GC_MALLOC(16);
    strcpy(p, "final");
    GC_REGISTER_FINALIZER(p, count_finalized, NULL, NULL, NULL);
  }
}

TEST("with GC_DEBUG the macros make debug objects") {
  void *all[] = {GC_MALLOC(20),
                 GC_MALLOC_ATOMIC(20),
                 GC_MALLOC_UNCOLLECTABLE(20),
                 GC_MALLOC_ATOMIC_UNCOLLECTABLE(20),
                 GC_MALLOC_IGNORE_OFF_PAGE(20),
                 GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(20),
                 GC_STRDUP("a"),
                 GC_STRNDUP("ab", 1),
                 GC_NEW(double),
                 GC_REALLOC(NULL, 5)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    CHECK(GC_USR_PTR_FROM_BASE(GC_base(all[i])) == all[i]);
    GC_FREE(all[i]);
  }
}

TEST("with GC_DEBUG finalizers and links take debug objects") {
  static void *link;
  char *object = GC_MALLOC(20);
  CHECK_THAT(GC_GENERAL_REGISTER_DISAPPEARING_LINK(&link, object), ==,
             GC_SUCCESS);
  CHECK_THAT(GC_unregister_disappearing_link(&link), ==, 1);
  CHECK_THAT(GC_REGISTER_LONG_LINK(&link, object), ==, GC_SUCCESS);
  CHECK_THAT(GC_unregister_long_link(&link), ==, 1);
  apart(drop_finalizable, NULL);
  for (int i = 0; i < 2; i++) {
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(finalized, >=, 90);
}

TEST("with GC_DEBUG pointer arithmetic is checked") {
  int *numbers = GC_MALLOC(10 * sizeof *numbers), *p = numbers;
  CHECK(GC_PTR_ADD(p, 3) == numbers + 3);
  CHECK(GC_PRE_INCR(p, 2) == numbers + 2);
  CHECK(GC_POST_INCR(p) == numbers + 2);
  CHECK(p == numbers + 3);
  CHECK(GC_POST_DECR(p) == numbers + 3);
  CHECK(p == numbers + 2);
  void **cell = GC_MALLOC(2 * sizeof *cell);
  GC_PTR_STORE(&cell[1], numbers);
  CHECK(cell[1] == numbers);
  GC_PTR_STORE_AND_DIRTY(&cell[0], numbers);
  CHECK(cell[0] == numbers);
  GC_END_STUBBORN_CHANGE(cell);
  GC_REGISTER_DISPLACEMENT(8);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
