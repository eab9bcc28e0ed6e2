/* tests/compat/libgc/functions_kinds.c -- kinds of the program's own, and mark
 * procedures. */
#include "check.h"

#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

enum { WORDS = 8, WORD = sizeof(void *) };

/* WATCHED objects of a kind, each with the only pointer to one object. */
static void **kept[WATCHED];
static unsigned kind;
static int at;             /* the word of the pointer */
static void **stored_in;   /* the object filled last */
static GC_word descriptor; /* to store in each object, when not 0 */
static int descriptor_at;

typedef void *allocator(size_t size, int kind);
static allocator *allocate = GC_generic_malloc;

static void fill_kept(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    void **object = allocate(WORDS * WORD, (int)kind);
    CHECK(object != NULL);
    CHECK(is_filled(object, 0, WORDS * WORD));
    CHECK_THAT(GC_get_kind_and_size(object, NULL), ==, (int)kind);
    if (descriptor) object[descriptor_at] = (void *)descriptor;
    object[at] = GC_malloc(24);
    watch(i, object[at]);
    kept[i] = stored_in = object;
  }
}

/* Whether what word `at` of an object points to is kept. */
static int keeps(int word) {
  at = word;
  apart(fill_kept, NULL);
  int gone = watched_gone();
  watch_end();
  memset(kept, 0, sizeof kept);
  CHECK(gone == 0 || gone >= WATCHED * 9 / 10);
  return gone == 0;
}

TEST("a kind of the whole size is scanned") {
  kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  CHECK_THAT(kind, >, GC_I_NORMAL);
  CHECK(keeps(0));
  CHECK(keeps(WORDS - 2));
}

TEST("a kind of length 0 is not scanned") {
  kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 1);
  CHECK(!keeps(0));
  CHECK(!keeps(3));
}

TEST("a kind of a shorter length is scanned so far") {
  kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH | 3 * WORD, 0, 1);
  CHECK(keeps(0));
  CHECK(keeps(2));
  CHECK(!keeps(3));
  CHECK(!keeps(5));
}

/* The most significant bit is the first word. */
static GC_word bitmap_of(int word) {
  return (GC_word)1 << (63 - word);
}

TEST("a kind with a bitmap is scanned where its bits are") {
  kind = GC_new_kind(GC_new_free_list(),
                     bitmap_of(1) | bitmap_of(4) | GC_DS_BITMAP, 0, 1);
  CHECK(!keeps(0));
  CHECK(keeps(1));
  CHECK(!keeps(2));
  CHECK(keeps(4));
  CHECK(!keeps(5));
}

TEST("a kind may find its descriptor in each object") {
  kind = GC_new_kind(GC_new_free_list(), WORD | GC_DS_PER_OBJECT, 0, 1);
  descriptor = bitmap_of(3) | GC_DS_BITMAP;
  descriptor_at = 1;
  CHECK(keeps(3));
  CHECK(!keeps(4));
  descriptor = GC_DS_LENGTH | 5 * WORD;
  CHECK(keeps(4));
  CHECK(!keeps(5));
}

TEST("a kind may find its descriptor where the first word points") {
  static GC_word type[2];
  GC_signed_word offset = -(GC_signed_word)WORD - GC_INDIR_PER_OBJ_BIAS;
  kind =
      GC_new_kind(GC_new_free_list(), (GC_word)offset | GC_DS_PER_OBJECT, 0, 1);
  descriptor = (GC_word)type;
  descriptor_at = 0;
  type[1] = bitmap_of(2) | GC_DS_BITMAP;
  CHECK(keeps(2));
  CHECK(!keeps(3));
  descriptor = 0;
}

/* ---- mark procedures ----------------------------------------------------- */

static volatile int marked_first, marked_second;
static volatile GC_word env_first, env_second;

typedef struct GC_ms_entry entry;

/* Marks word 2 alone. It may be called for a free object: all zero. */
static entry *mark_first(GC_word *object, entry *top, entry *limit,
                         GC_word env) {
  __atomic_add_fetch(&marked_first, 1, __ATOMIC_RELAXED);
  env_first = env;
  void *target = (void *)object[2];
  return GC_MARK_AND_PUSH(target, top, limit, (void **)&object[2]);
}

/* Marks the words that env has bits for. */
static entry *mark_second(GC_word *object, entry *top, entry *limit,
                          GC_word env) {
  __atomic_add_fetch(&marked_second, 1, __ATOMIC_RELAXED);
  env_second = env;
  for (int i = 0; i < WORDS; i++)
    if (env >> i & 1)
      top =
          GC_MARK_AND_PUSH((void *)object[i], top, limit, (void **)&object[i]);
  return top;
}

static unsigned proc_first, proc_second;

TEST("GC_new_proc makes a procedure that decides what is marked") {
  proc_first = GC_new_proc(mark_first);
  kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(proc_first, 5), 0, 1);
  CHECK(keeps(2));
  CHECK_THAT(marked_first, >=, WATCHED);
  CHECK_THAT(env_first, ==, 5);
  CHECK(!keeps(1));
  CHECK(!keeps(3));
}

static void *new_second_locked(void *unused) {
  (void)unused;
  proc_second = GC_new_proc_inner(mark_second);
  kind = GC_new_kind_inner(GC_new_free_list_inner(),
                           GC_MAKE_PROC(proc_second, 0x12), 0, 1);
  return NULL;
}

TEST("GC_new_proc_inner and GC_new_kind_inner do it with the lock held") {
  GC_call_with_alloc_lock(new_second_locked, NULL);
  CHECK_THAT(proc_second, !=, proc_first);
  CHECK(keeps(1));
  CHECK_THAT(marked_second, >=, WATCHED);
  CHECK_THAT(env_second, ==, 0x12);
  CHECK(keeps(4));
  CHECK(!keeps(0));
  CHECK(!keeps(5));
}

static void make_list(void *length) {
  void **list = NULL;
  for (int i = 0; i < *(int *)length; i++) {
    void **cell = GC_generic_malloc(WORDS * WORD, (int)kind);
    cell[1] = list;
    cell[0] = (void *)(intptr_t)i;
    list = cell;
  }
  kept[0] = list;
}

TEST("a long list is marked by a procedure") {
  int length = 200000, n = 0;
  make_list(&length);
  GC_gcollect();
  for (int i = 0; i < 50000; i++)
    memset(GC_malloc(WORDS * WORD), 0xee, WORDS * WORD);
  for (void **cell = kept[0]; cell; cell = cell[1])
    CHECK_THAT((intptr_t)cell[0], ==, length - ++n);
  CHECK_THAT(n, ==, length);
  kept[0] = NULL;
}

/* GC_mark_and_push of what is no object does nothing. */
static entry *mark_wild(GC_word *object, entry *top, entry *limit,
                        GC_word env) {
  static char data[100];
  (void)env;
  top = GC_mark_and_push(data, top, limit, (void **)object);
  top = GC_mark_and_push(&top, top, limit, (void **)object);
  return GC_mark_and_push((void *)object[3], top, limit, (void **)&object[3]);
}

TEST("GC_mark_and_push marks an object and ignores what is none") {
  kind = GC_new_kind(GC_new_free_list(),
                     GC_MAKE_PROC(GC_new_proc(mark_wild), 0), 0, 1);
  CHECK(keeps(3));
  CHECK(!keeps(1));
}

/* ---- allocation of a kind ------------------------------------------------ */

/* The number of kinds is small, so these share one. */
static void use_bitmap_kind(void) {
  static unsigned made;
  if (!made)
    made = GC_new_kind(GC_new_free_list(), bitmap_of(1) | GC_DS_BITMAP, 0, 1);
  kind = made;
}

static void check_allocator(allocator *by) {
  allocate = by;
  use_bitmap_kind();
  CHECK(keeps(1));
  CHECK(!keeps(2));
  allocate = GC_generic_malloc;
}

static void *malloc_kind(size_t size, int k) {
  return GC_malloc_kind(size, k);
}

static void *malloc_kind_global(size_t size, int k) {
  return GC_malloc_kind_global(size, k);
}

static void *many(size_t size, int k) {
  static void *list;
  GC_disable();
  GC_generic_malloc_many(size, k, &list);
  GC_enable();
  void *first = list;
  GC_NEXT(first) = NULL;
  list = NULL;
  return first;
}

TEST("GC_malloc_kind allocates in a kind of the program's") {
  check_allocator(malloc_kind);
}

TEST("GC_malloc_kind_global as well") {
  check_allocator(malloc_kind_global);
}

TEST("GC_generic_malloc_ignore_off_page as well") {
  check_allocator(GC_generic_malloc_ignore_off_page);
}

TEST("GC_generic_or_special_malloc as well") {
  check_allocator(GC_generic_or_special_malloc);
}

TEST("GC_generic_malloc_many as well") {
  check_allocator(many);
}

TEST("large objects of a kind are scanned by its descriptor, too") {
  enum { LARGE = 100000 };
  static void **large[2];
  use_bitmap_kind();
  large[0] = GC_generic_malloc(LARGE, (int)kind);
  CHECK_THAT(GC_get_kind_and_size(large[0], NULL), ==, (int)kind);
  CHECK(is_filled(large[0], 0, LARGE));
  large[0][1] = GC_strdup("kept by a bitmap");
  GC_gcollect();
  for (int i = 0; i < 10000; i++) memset(GC_malloc_atomic(17), 'x', 17);
  CHECK_TEXT(large[0][1], "kept by a bitmap");
  large[0] = NULL;
}

TEST("GC_realloc keeps the kind of the program's") {
  use_bitmap_kind();
  void **object = GC_generic_malloc(64, (int)kind);
  object[3] = (void *)7;
  object = GC_realloc(object, 5000);
  CHECK_THAT(GC_get_kind_and_size(object, NULL), ==, (int)kind);
  CHECK(object[3] == (void *)7);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
