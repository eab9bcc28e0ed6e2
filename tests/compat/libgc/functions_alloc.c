/* tests/compat/libgc/functions_alloc.c -- plain allocation in every kind. */
#include "check.h"

#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

static void *kept;
static void **holder;

typedef void *allocator(size_t size);

/* Of pointerful kinds: zeroed, aligned, as large as asked, apart. */
static void check_allocator(allocator *allocate, int zeroed) {
  static const size_t sizes[] = {0,    1,    8,     15,     16,     17,   40,
                                 100,  256,  511,   512,    1000,   2048, 2049,
                                 4096, 8192, 10000, 100000, 1 << 20};
  unsigned char *before = NULL;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int round = 0; round < 3; round++) {
      unsigned char *p = allocate(sizes[i]);
      CHECK(p != NULL);
      CHECK(p != before);
      CHECK(is_aligned(p, sizes[i] < 16 ? 8 : 16));
      CHECK_THAT(GC_size(p), >=, sizes[i]);
      CHECK(GC_base(p) == p);
      if (zeroed) CHECK(is_filled(p, 0, sizes[i]));
      memset(p, 0xa5, sizes[i]);
      before = p;
    }
}

static allocator *filler;

static void fill_garbage(void *unused) {
  (void)unused;
  for (int i = 0; i < 2000; i++) memset(filler(48), 0xff, 48);
}

/* Memory that had contents once is zeroed as well. */
static void check_zeroed_again(allocator *allocate) {
  filler = allocate;
  apart(fill_garbage, NULL);
  GC_gcollect();
  for (int i = 0; i < 4000; i++) CHECK(is_filled(allocate(48), 0, 48));
}

static void watch_made(void *allocate) {
  allocator *call = *(allocator **)allocate;
  for (int i = 0; i < WATCHED; i++) watch(i, call(64));
}

static void check_collected(allocator *allocate) {
  apart(watch_made, &allocate);
  CHECK_WATCHED_GONE();
}

/* WATCHED objects of which only *holder knows. */
static void fill_holder(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    holder[i] = GC_malloc(32);
    watch(i, holder[i]);
  }
}

static void *malloc_normal_kind(size_t size) {
  return GC_malloc_kind(size, GC_I_NORMAL);
}

static void *malloc_normal_kind_global(size_t size) {
  return GC_malloc_kind_global(size, GC_I_NORMAL);
}

static void *malloc_atomic_kind(size_t size) {
  return GC_malloc_kind(size, GC_I_PTRFREE);
}

static void *malloc_atomic_kind_global(size_t size) {
  return GC_malloc_kind_global(size, GC_I_PTRFREE);
}

static void *generic_normal(size_t size) {
  return GC_generic_malloc(size, GC_I_NORMAL);
}

static void *generic_atomic(size_t size) {
  return GC_generic_malloc(size, GC_I_PTRFREE);
}

static void *generic_normal_ignoring(size_t size) {
  return GC_generic_malloc_ignore_off_page(size, GC_I_NORMAL);
}

static void *generic_or_special_normal(size_t size) {
  return GC_generic_or_special_malloc(size, GC_I_NORMAL);
}

static void check_pointerful(allocator *allocate) {
  check_allocator(allocate, 1);
  check_zeroed_again(allocate);
  check_collected(allocate);
  kept = holder = allocate(WATCHED * sizeof(void *));
  apart(fill_holder, NULL);
  CHECK_WATCHED_KEPT();
  kept = holder = NULL;
}

static void check_atomic(allocator *allocate) {
  check_allocator(allocate, 0);
  check_collected(allocate);
  kept = holder = allocate(WATCHED * sizeof(void *));
  apart(fill_holder, NULL);
  CHECK_WATCHED_GONE();
  kept = holder = NULL;
}

TEST("GC_init initializes and GC_is_init_called tells so") {
  GC_init();
  CHECK(GC_is_init_called());
}

TEST("GC_get_version is an 8.2 or later") {
  unsigned version = GC_get_version();
  CHECK_THAT(version, >=, 8 << 16 | 2 << 8);
  CHECK_THAT(version >> 16, ==, GC_VERSION_MAJOR);
}

TEST("GC_malloc gives zeroed memory that is scanned and collected") {
  check_pointerful(GC_malloc);
}

TEST("GC_malloc_ignore_off_page gives what GC_malloc gives") {
  check_pointerful(GC_malloc_ignore_off_page);
}

TEST("GC_malloc_stubborn gives what GC_malloc gives") {
  check_pointerful(GC_malloc_stubborn);
}

TEST("GC_malloc_kind of the normal kind gives what GC_malloc gives") {
  check_pointerful(malloc_normal_kind);
}

TEST("GC_malloc_kind_global of the normal kind gives what GC_malloc gives") {
  check_pointerful(malloc_normal_kind_global);
}

TEST("GC_generic_malloc of the normal kind gives what GC_malloc gives") {
  check_pointerful(generic_normal);
}

TEST("GC_generic_malloc_ignore_off_page gives what GC_malloc gives") {
  check_pointerful(generic_normal_ignoring);
}

TEST("GC_generic_or_special_malloc of the normal kind as well") {
  check_pointerful(generic_or_special_normal);
}

TEST("GC_malloc_atomic gives collected memory that is not scanned") {
  check_atomic(GC_malloc_atomic);
}

TEST("GC_malloc_atomic_ignore_off_page as well") {
  check_atomic(GC_malloc_atomic_ignore_off_page);
}

TEST("GC_malloc_kind of the atomic kind as well") {
  check_atomic(malloc_atomic_kind);
}

TEST("GC_malloc_kind_global of the atomic kind as well") {
  check_atomic(malloc_atomic_kind_global);
}

TEST("GC_generic_malloc of the atomic kind as well") {
  check_atomic(generic_atomic);
}

/* ---- large objects ------------------------------------------------------- */

enum { LARGE = 3 << 20 };
static GC_hidden_pointer hidden;

static void make_large(void *unused) {
  (void)unused;
  kept = GC_malloc_ignore_off_page(LARGE);
  holder = (void **)((char *)kept + LARGE - WATCHED * sizeof(void *) - 64);
}

TEST("a large object is scanned to its end") {
  apart(make_large, NULL);
  apart(fill_holder, NULL);
  CHECK_WATCHED_KEPT();
  for (int i = 0; i < WATCHED; i++) CHECK(GC_base(holder[i]) == holder[i]);
  kept = holder = NULL;
}

TEST("a large object is kept by a pointer near its start") {
  apart(make_large, NULL);
  holder = NULL;
  memset(kept, 0x5a, LARGE);
  kept = (char *)kept + 200;
  GC_gcollect();
  CHECK(is_filled((char *)kept - 200, 0x5a, LARGE));
  kept = NULL;
}

static void watch_large(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) watch(i, GC_malloc_atomic(256 * 1024));
}

TEST("large objects are collected") {
  apart(watch_large, NULL);
  CHECK_WATCHED_GONE();
}

/* ---- uncollectable ------------------------------------------------------- */

static void *generic_uncollectable(size_t size) {
  int kind = GC_get_kind_and_size(GC_malloc_uncollectable(16), NULL);
  return GC_generic_malloc_uncollectable(size, kind);
}

static void *generic_atomic_uncollectable(size_t size) {
  int kind = GC_get_kind_and_size(GC_malloc_atomic_uncollectable(16), NULL);
  return GC_generic_malloc_uncollectable(size, kind);
}

static void *special_uncollectable(size_t size) {
  int kind = GC_get_kind_and_size(GC_malloc_uncollectable(16), NULL);
  return GC_generic_or_special_malloc(size, kind);
}

static allocator *uncollectable;

static void make_uncollectable(void *unused) {
  (void)unused;
  holder = uncollectable(WATCHED * sizeof(void *));
  fill_holder(NULL);
  hidden = GC_HIDE_POINTER(holder);
  holder = NULL;
}

/* Nobody points to the object: it stays, and so does what it points to until
 * it is freed, if it is scanned. */
static void check_uncollectable(allocator *allocate, int scanned) {
  check_allocator(allocate, scanned);
  uncollectable = allocate;
  apart(make_uncollectable, NULL);
  if (scanned)
    CHECK_THAT(watched_gone(), ==, 0);
  else
    CHECK_THAT(watched_gone(), >=, WATCHED * 9 / 10);
  CHECK(GC_base(GC_REVEAL_POINTER(hidden)) == GC_REVEAL_POINTER(hidden));
  GC_free(GC_REVEAL_POINTER(hidden));
  hidden = 0;
  CHECK_WATCHED_GONE();
}

TEST("GC_malloc_uncollectable keeps itself and what it points to until freed") {
  check_uncollectable(GC_malloc_uncollectable, 1);
}

TEST("GC_malloc_atomic_uncollectable keeps itself alone") {
  check_uncollectable(GC_malloc_atomic_uncollectable, 0);
}

TEST("GC_generic_malloc_uncollectable is GC_malloc_uncollectable by kind") {
  check_uncollectable(generic_uncollectable, 1);
}

TEST("GC_generic_malloc_uncollectable knows the atomic kind as well") {
  check_uncollectable(generic_atomic_uncollectable, 0);
}

TEST("GC_generic_or_special_malloc follows an uncollectable object's kind") {
  check_uncollectable(special_uncollectable, 1);
}

static int all_intact(unsigned char **objects, int n, size_t size) {
  for (int i = 0; i < n; i++)
    if (!is_filled(objects[i], i & 0xff, size)) return 0;
  return 1;
}

TEST("uncollectable objects keep their contents over collections") {
  enum { N = 300 };
  unsigned char **objects = GC_malloc_atomic_uncollectable(N * sizeof *objects);
  for (int i = 0; i < N; i++) {
    objects[i] = i % 2 ? GC_malloc_uncollectable(40)
                       : GC_malloc_atomic_uncollectable(40);
    memset(objects[i], i & 0xff, 40);
  }
  GC_gcollect();
  for (int i = 0; i < 10000; i++) memset(GC_malloc(40), 0xee, 40);
  GC_gcollect();
  CHECK(all_intact(objects, N, 40));
  for (int i = 0; i < N; i++) GC_free(objects[i]);
  GC_free(objects);
}

/* ---- strings, alignment -------------------------------------------------- */

TEST("GC_strdup copies a string") {
  const char *original = "a string, and some more of it";
  char *copy = GC_strdup(original);
  CHECK(copy != original);
  CHECK_TEXT(copy, original);
  CHECK(GC_base(copy) == copy);
  CHECK_TEXT(GC_strdup(""), "");
}

TEST("GC_strndup copies so many bytes at most") {
  CHECK_TEXT(GC_strndup("abcdef", 3), "abc");
  CHECK_TEXT(GC_strndup("abc", 10), "abc");
  CHECK_TEXT(GC_strndup("abc", 0), "");
  char open[4] = {'a', 'b', 'c', 'd'};
  CHECK_TEXT(GC_strndup(open, 4), "abcd");
}

static allocator *string_of;

static void *strdup_small(size_t size) {
  (void)size;
  return GC_strdup("a string that is thrown away at once");
}

static void *strndup_small(size_t size) {
  return GC_strndup("a string that is thrown away at once", size);
}

TEST("copied strings are collected") {
  string_of = strdup_small;
  apart(watch_made, &string_of);
  CHECK_WATCHED_GONE();
  string_of = strndup_small;
  apart(watch_made, &string_of);
  CHECK_WATCHED_GONE();
}

TEST("GC_memalign aligns, and any pointer it returns keeps the object") {
  for (size_t align = 16; align <= 4096; align *= 2)
    for (size_t size = 1; size <= 20000; size = size * 3 + 1) {
      kept = GC_memalign(align, size);
      CHECK(kept != NULL);
      CHECK(is_aligned(kept, align));
      CHECK(GC_base(kept) != NULL);
      CHECK(GC_base(kept) == GC_base((char *)kept + size - 1));
      memset(kept, 0x77, size);
      GC_gcollect();
      CHECK(is_filled(kept, 0x77, size));
    }
  kept = NULL;
}

TEST("GC_memalign aligns to more than a page, or has no memory for it") {
  for (size_t align = 8192; align <= 1 << 20; align *= 2)
    for (int i = 0; i < 3; i++) {
      kept = GC_memalign(align, 100);
      if (!kept) continue;
      CHECK(is_aligned(kept, align));
      memset(kept, 0x78, 100);
      GC_gcollect();
      CHECK(is_filled(kept, 0x78, 100));
      GC_free(kept);
    }
  kept = NULL;
}

TEST("GC_posix_memalign aligns, and refuses what is no alignment") {
  void *p = NULL;
  for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
    CHECK_THAT(GC_posix_memalign(&p, align, 100), ==, 0);
    CHECK(is_aligned(p, align));
    CHECK(GC_base(p) != NULL);
    memset(p, 1, 100);
  }
  CHECK_THAT(GC_posix_memalign(&p, 3, 100), ==, EINVAL);
  CHECK_THAT(GC_posix_memalign(&p, 48, 100), ==, EINVAL);
}

/* ---- many at once -------------------------------------------------------- */

/* The list: distinct objects of that size, cleared but for the link. */
static void check_list(void *list, size_t size, int zeroed) {
  int n = 0;
  for (void *p = list; p; p = GC_NEXT(p)) {
    CHECK(GC_base(p) == p);
    CHECK_THAT(GC_size(p), >=, size);
    if (zeroed) CHECK(is_filled((void **)p + 1, 0, size - sizeof(void *)));
    n++;
  }
  CHECK_THAT(n, >=, 1);
  while (list) {
    void *next = GC_NEXT(list);
    memset(list, 0xdd, size);
    list = next;
  }
}

TEST("GC_malloc_many gives a list of objects") {
  for (size_t size = 16; size <= 6000; size = size * 2 + 8) {
    kept = GC_malloc_many(size);
    GC_gcollect();
    check_list(kept, size, 1);
  }
  kept = NULL;
}

TEST("objects of GC_malloc_many are collected one by one") {
  kept = GC_malloc_many(64);
  void *first = kept;
  GC_NEXT(first) = NULL;
  memset((void **)first + 1, 0x33, 48);
  GC_gcollect();
  CHECK(GC_NEXT(first) == NULL);
  CHECK(is_filled((void **)kept + 1, 0x33, 48));
  kept = NULL;
}

TEST("GC_generic_malloc_many gives a list of either kind") {
  GC_disable();
  GC_generic_malloc_many(48, GC_I_NORMAL, &kept);
  check_list(kept, 48, 1);
  kept = NULL;
  GC_generic_malloc_many(48, GC_I_PTRFREE, &kept);
  check_list(kept, 48, 0);
  kept = NULL;
  GC_enable();
}

static void *tiny_lists[GC_TINY_FREELISTS];

TEST("the macros of gc_inline.h allocate from lists of the program") {
  static void **all[300];
  for (int i = 0; i < 300; i++) {
    void *p;
    if (i % 3 == 0)
      GC_MALLOC_WORDS(p, 4, tiny_lists);
    else if (i % 3 == 1)
      GC_MALLOC_WORDS(p, 2, tiny_lists);
    else
      GC_CONS(p, all[i - 1], all[i - 2], tiny_lists);
    CHECK(p != NULL);
    CHECK_THAT(GC_size(p), >=, 16);
    all[i] = p;
    if (i % 100 == 50) GC_gcollect();
  }
  for (int i = 2; i < 300; i += 3) {
    CHECK(all[i][0] == all[i - 1]);
    CHECK(all[i][1] == all[i - 2]);
  }
  memset(all, 0, sizeof all);
  memset(tiny_lists, 0, sizeof tiny_lists);
}

/* ---- odds and ends ------------------------------------------------------- */

TEST("the macros of gc.h name the functions") {
  struct pair {
    void *first, *second;
  };
  struct pair *pair = GC_NEW(struct pair);
  CHECK(pair && !pair->first && !pair->second);
  int *number = GC_NEW_ATOMIC(int);
  CHECK(number && GC_base(number) == number);
  pair = GC_NEW_UNCOLLECTABLE(struct pair);
  CHECK(pair && !pair->first);
  GC_FREE(pair);
  CHECK_TEXT(GC_STRDUP("x"), "x");
  CHECK_TEXT(GC_STRNDUP("xyz", 2), "xy");
  char *p = GC_MALLOC_ATOMIC(10);
  p = GC_REALLOC(p, 1000);
  CHECK_THAT(GC_size(p), >=, 1000);
}

TEST("GC_clear_stack returns its argument") {
  int local = 0;
  CHECK(GC_clear_stack(&local) == &local);
  CHECK(GC_clear_stack(NULL) == NULL);
}

extern void GC_noop1(GC_word); /* in gc.h for compilers that need it */

TEST("GC_noop1 does nothing") {
  GC_noop1(0);
  GC_noop1((GC_word)&kept);
}

static volatile size_t impossible = SIZE_MAX;

TEST("a size that cannot be is refused") {
  CHECK(GC_malloc(impossible / 2) == NULL);
  CHECK(GC_malloc_atomic(impossible / 2) == NULL);
  CHECK(GC_malloc(impossible) == NULL);
  CHECK(GC_malloc_uncollectable(impossible) == NULL);
  CHECK(GC_malloc(16) != NULL);
}

int main(void) {
  GC_INIT();
  GC_set_warn_proc(GC_ignore_warn_proc);
  return run_tests();
}
