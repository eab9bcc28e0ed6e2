/* tests/compat/libgc/functions_gcj.c -- objects whose first word points to a
 * type with a descriptor. */
#include "check.h"

#include <gc/gc_gcj.h>
#include <gc/gc_mark.h>

enum { WORDS = 8, WORD = sizeof(void *) };

static struct type {
  void *unused;
  GC_word descriptor;
} type_of_length, type_of_bitmap, type_of_proc, type_of_none;

typedef struct GC_ms_entry entry;
static volatile int marks;
static volatile GC_word env_seen, debug_env_seen;

/* Marks word 2. A debug object has env 1 and begins with a header; a free
 * object is zero but for its first word. */
static entry *mark(GC_word *base, entry *top, entry *limit, GC_word env) {
  GC_word *object = base;
  __atomic_add_fetch(&marks, 1, __ATOMIC_RELAXED);
  if (env == 1) {
    object = GC_USR_PTR_FROM_BASE(base);
    debug_env_seen = env;
  } else {
    env_seen = env;
  }
  return GC_MARK_AND_PUSH((void *)object[2], top, limit, (void **)&object[2]);
}

static void **kept[WATCHED];
static struct type *type;
static int at;

typedef void *allocator(size_t size, void *type);
static allocator *allocate;

static void fill_kept(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    void **object = allocate(WORDS * WORD, type);
    CHECK(object != NULL);
    CHECK(object[0] == type);
    CHECK(is_filled(object + 1, 0, (WORDS - 1) * WORD));
    object[at] = GC_malloc(24);
    watch(i, object[at]);
    kept[i] = object;
  }
}

static int keeps(struct type *of, int word) {
  type = of;
  at = word;
  apart(fill_kept, NULL);
  int gone = watched_gone();
  watch_end();
  memset(kept, 0, sizeof kept);
  CHECK(gone == 0 || gone >= WATCHED * 9 / 10);
  return gone == 0;
}

static void check_allocator(allocator *by) {
  allocate = by;
  CHECK(keeps(&type_of_length, 1));
  CHECK(keeps(&type_of_length, 4));
  CHECK(!keeps(&type_of_length, 5));
  CHECK(!keeps(&type_of_bitmap, 1));
  CHECK(keeps(&type_of_bitmap, 3));
  CHECK(!keeps(&type_of_bitmap, 4));
  marks = 0;
  CHECK(keeps(&type_of_proc, 2));
  CHECK_THAT(marks, >=, WATCHED);
  CHECK_THAT(env_seen, ==, 9);
  CHECK(!keeps(&type_of_proc, 3));
  CHECK(!keeps(&type_of_none, 1));
}

TEST("GC_init_gcj_malloc makes the kinds known") {
  GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, (void *)mark);
  type_of_length.descriptor = GC_DS_LENGTH | 5 * WORD;
  type_of_bitmap.descriptor = (GC_word)1 << 60 | GC_DS_BITMAP;
  type_of_proc.descriptor = GC_MAKE_PROC(GC_GCJ_RESERVED_MARK_PROC_INDEX, 9);
  type_of_none.descriptor = GC_DS_LENGTH | 0;
  CHECK_THAT(GC_gcj_kind, !=, GC_gcj_debug_kind);
  GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, (void *)mark);
}

TEST("GC_gcj_malloc stores the type, whose descriptor is followed") {
  check_allocator(GC_gcj_malloc);
}

TEST("GC_gcj_malloc_ignore_off_page as well") {
  check_allocator(GC_gcj_malloc_ignore_off_page);
}

TEST("GC_gcj_kind is the kind of these objects") {
  void *object = GC_gcj_malloc(64, &type_of_none);
  CHECK_THAT(GC_get_kind_and_size(object, NULL), ==, GC_gcj_kind);
}

TEST("GC_gcj_debug_kind is the kind of those with a debug header") {
  void *object = GC_debug_gcj_malloc(64, &type_of_none, "file", 1);
  CHECK_THAT(GC_get_kind_and_size(GC_base(object), NULL), ==,
             GC_gcj_debug_kind);
}

static void *debug_allocate(size_t size, void *of) {
  return GC_debug_gcj_malloc(size, of, "file", 1);
}

TEST("GC_debug_gcj_malloc always calls the procedure, with 1") {
  allocate = debug_allocate;
  marks = 0;
  CHECK(keeps(&type_of_none, 2));
  CHECK_THAT(marks, >=, WATCHED);
  CHECK_THAT(debug_env_seen, ==, 1);
  CHECK(!keeps(&type_of_length, 1));
}

TEST("large objects follow their type as well") {
  static void **large;
  for (size_t size = 5000; size < 1 << 20; size *= 5) {
    large = GC_gcj_malloc(size, &type_of_bitmap);
    CHECK(large[0] == &type_of_bitmap);
    CHECK(is_filled(large + 1, 0, size - WORD));
    large[3] = GC_strdup("kept by a type");
    GC_gcollect();
    for (int i = 0; i < 1000; i++) memset(GC_malloc_atomic(15), 'x', 15);
    CHECK_TEXT(large[3], "kept by a type");
  }
  large = NULL;
}

int main(void) {
  GC_INIT();
  return run_tests();
}
