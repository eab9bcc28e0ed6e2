/* tests/compat/libgc/functions_free.c -- explicit freeing, realloc, and the
 * notices about changed objects. */
#include "check.h"

#include <gc/gc_mark.h>

static void *kept;
static void **holder;

static void fill_holder(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    holder[i] = GC_malloc(32);
    watch(i, holder[i]);
  }
}

/* ---- free ---------------------------------------------------------------- */

TEST("GC_free of a null pointer does nothing") {
  GC_free(NULL);
}

TEST("freed memory is used again without a collection") {
  enum { ROUNDS = 200000, SIZE = 4096 };
  GC_disable();
  size_t before = GC_get_heap_size();
  for (int i = 0; i < ROUNDS; i++) GC_free(GC_malloc(SIZE));
  for (int i = 0; i < ROUNDS; i++) GC_free(GC_malloc_atomic(100));
  for (int i = 0; i < 2000; i++) GC_free(GC_malloc(1 << 20));
  CHECK_THAT(GC_get_heap_size(), <=, before + (64 << 20));
  GC_enable();
}

TEST("memory that was freed is zeroed when GC_malloc returns it") {
  for (int i = 0; i < 5000; i++) {
    size_t size = (size_t)(i * 37 % 9000 + 1);
    char *p = GC_malloc(size);
    CHECK(is_filled(p, 0, size));
    memset(p, 0xff, size);
    GC_free(p);
  }
}

TEST("a freed object keeps alive nothing it pointed to") {
  kept = holder = GC_malloc(WATCHED * sizeof(void *));
  apart(fill_holder, NULL);
  GC_free(holder);
  kept = holder = NULL;
  CHECK_WATCHED_GONE();
}

static void *free_of_other(void *p) {
  struct GC_stack_base base;
  CHECK_THAT(GC_get_stack_base(&base), ==, GC_SUCCESS);
  GC_register_my_thread(&base);
  for (int i = 0; i < 1000; i++) GC_free(((void **)p)[i]);
  GC_unregister_my_thread();
  return NULL;
}

TEST("a thread frees what another one allocated") {
  kept = holder = GC_malloc(1000 * sizeof(void *));
  for (int i = 0; i < 1000; i++) holder[i] = GC_malloc((size_t)i * 10 + 1);
  GC_allow_register_threads();
  pthread_t thread;
  CHECK_THAT(pthread_create(&thread, NULL, free_of_other, holder), ==, 0);
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
  kept = holder = NULL;
  GC_gcollect();
}

/* ---- realloc ------------------------------------------------------------- */

TEST("GC_realloc of a null pointer allocates") {
  char *p = GC_realloc(NULL, 100);
  CHECK(p != NULL);
  CHECK(is_filled(p, 0, 100));
  CHECK(GC_realloc(NULL, 0) != NULL);
}

TEST("GC_realloc to nothing frees and returns a null pointer") {
  CHECK(GC_realloc(GC_malloc(100), 0) == NULL);
  CHECK(GC_realloc(GC_malloc_atomic(100000), 0) == NULL);
}

TEST("GC_realloc keeps the contents and clears what is new") {
  size_t size = 1;
  unsigned char *p = GC_malloc(size);
  p[0] = 0x42;
  for (int i = 0; i < 60; i++) {
    size_t now = size * 5 / 4 + 1;
    p = GC_realloc(p, now);
    CHECK(is_filled(p, 0x42, size));
    CHECK(is_filled(p + size, 0, now - size));
    memset(p, 0x42, now);
    size = now;
  }
  while (size > 1) {
    size = size * 2 / 3;
    p = GC_realloc(p, size);
    CHECK(is_filled(p, 0x42, size));
  }
}

TEST("GC_realloc keeps the kind") {
  int normal = GC_get_kind_and_size(GC_malloc(10), NULL);
  int atomic = GC_get_kind_and_size(GC_malloc_atomic(10), NULL);
  int uncollectable =
      GC_get_kind_and_size(kept = GC_malloc_uncollectable(10), NULL);
  CHECK_THAT(normal, !=, atomic);
  CHECK_THAT(normal, !=, uncollectable);
  for (size_t size = 100; size < 1 << 20; size *= 7) {
    void *p = GC_realloc(GC_malloc(10), size);
    CHECK_THAT(GC_get_kind_and_size(p, NULL), ==, normal);
    p = GC_realloc(GC_malloc_atomic(10), size);
    CHECK_THAT(GC_get_kind_and_size(p, NULL), ==, atomic);
    kept = GC_realloc(kept, size);
    CHECK_THAT(GC_get_kind_and_size(kept, NULL), ==, uncollectable);
  }
  GC_free(kept);
  kept = NULL;
}

TEST("what a grown object points to lives on") {
  kept = holder = GC_malloc(WATCHED * sizeof(void *));
  apart(fill_holder, NULL);
  for (size_t n = 2 * WATCHED; n < 100000; n *= 4)
    kept = holder = GC_realloc(holder, n * sizeof(void *));
  CHECK_WATCHED_KEPT();
  for (int i = 0; i < WATCHED; i++) CHECK(GC_base(holder[i]) == holder[i]);
  kept = holder = NULL;
}

TEST("what was cut off a pointerful object lives no longer") {
  enum { ROOM = 40000 };
  kept = holder = GC_malloc(ROOM);
  holder += ROOM / sizeof(void *) - WATCHED - 8;
  apart(fill_holder, NULL);
  kept = GC_realloc(kept, 64);
  holder = NULL;
  CHECK_WATCHED_GONE();
  kept = NULL;
}

static volatile size_t impossible = SIZE_MAX / 2;

TEST("GC_realloc that fails leaves the object alone") {
  char *p = GC_malloc(100);
  memset(p, 0x11, 100);
  CHECK(GC_realloc(p, impossible) == NULL);
  CHECK(is_filled(p, 0x11, 100));
  p = GC_realloc(p, 200);
  CHECK(is_filled(p, 0x11, 100));
}

/* ---- bytes not considered ------------------------------------------------ */

/* Some libraries do not count each one, so about so many are asked for. */
TEST("uncollectable bytes are counted until they are freed") {
  enum { N = 2000, SIZE = 96 };
  void **all = GC_malloc(N * sizeof *all);
  GC_signed_word before = (GC_signed_word)GC_get_non_gc_bytes();
  for (int i = 0; i < N; i++) all[i] = GC_malloc_uncollectable(SIZE);
  GC_signed_word most = (GC_signed_word)GC_get_non_gc_bytes();
  CHECK_THAT(most, >=, before + N * SIZE / 2);
  for (int i = 0; i < N; i++) GC_free(all[i]);
  CHECK_THAT((GC_signed_word)GC_get_non_gc_bytes(), <=, most - N * SIZE / 2);
}

/* ---- changes ------------------------------------------------------------- */

TEST("GC_ptr_store_and_dirty stores a pointer that counts") {
  kept = GC_malloc(64);
  GC_ptr_store_and_dirty((char *)kept + 16, GC_malloc(16));
  void *stored = ((void **)kept)[2];
  CHECK(GC_base(stored) == stored);
  GC_PTR_STORE_AND_DIRTY((void **)kept, GC_strdup("stored"));
  GC_gcollect();
  CHECK_TEXT(*(char **)kept, "stored");
  kept = NULL;
}

TEST("GC_change_stubborn and GC_end_stubborn_change change nothing") {
  kept = GC_malloc_stubborn(64);
  GC_change_stubborn(kept);
  *(void **)kept = GC_strdup("changed");
  GC_end_stubborn_change(kept);
  GC_gcollect();
  CHECK_TEXT(*(char **)kept, "changed");
  kept = NULL;
}

int main(void) {
  GC_INIT();
  GC_set_warn_proc(GC_ignore_warn_proc);
  return run_tests();
}
