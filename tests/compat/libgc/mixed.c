/* tests/compat/libgc/mixed.c -- a program of malloc and GC_malloc together:
 * 4 threads keep tables in memory of malloc that the library is told of, and
 * buffers of malloc in objects whose finalizers free them. */
#include "check.h"

enum { THREADS = 4, SLOTS = 512, STEPS = 60000 };

struct entry {
  struct entry *left, *right;
  long key;
  unsigned char *buffer; /* of malloc */
  size_t size;
};

static long buffers_made, buffers_freed; /* atomic */

static void GC_CALLBACK free_buffer(void *object, void *unused) {
  struct entry *e = object;
  (void)unused;
  CHECK(is_filled(e->buffer, (int)(e->key & 127), e->size));
  free(e->buffer);
  __atomic_add_fetch(&buffers_freed, 1, __ATOMIC_RELAXED);
}

static APART struct entry *make(long key, struct entry *left) {
  struct entry *e = GC_malloc(sizeof *e);
  CHECK(e);
  e->key = key;
  e->left = left;
  e->size = (size_t)(key % 300);
  e->buffer = malloc(e->size + 1);
  CHECK(e->buffer);
  memset(e->buffer, (int)(key & 127), e->size);
  __atomic_add_fetch(&buffers_made, 1, __ATOMIC_RELAXED);
  GC_register_finalizer_no_order(e, free_buffer, NULL, NULL, NULL);
  return e;
}

static APART void check_entry(const struct entry *e) {
  CHECK(is_filled(e->buffer, (int)(e->key & 127), e->size));
  if (e->left)
    CHECK(is_filled(e->left->buffer, (int)(e->left->key & 127), e->left->size));
}

/* Three ways to hold pointers outside of the collected heap. */
static void **table_make(int way) {
  void **table;
  size_t bytes = SLOTS * sizeof *table;
  if (way == 0) {
    table = calloc(SLOTS, sizeof *table);
    CHECK(table);
    GC_add_roots(table, table + SLOTS);
  } else if (way == 1) {
    table = GC_malloc_uncollectable(bytes);
  } else {
    table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(table != MAP_FAILED);
    GC_add_roots(table, table + SLOTS);
  }
  CHECK(table);
  return table;
}

static void table_drop(void **table, int way) {
  if (way != 1) GC_remove_roots(table, table + SLOTS);
  if (way == 0)
    free(table);
  else if (way == 1)
    GC_free(table);
  else
    munmap(table, SLOTS * sizeof *table);
}

static void *work(void *argument) {
  unsigned random = (unsigned)(uintptr_t)argument * 77 + 1;
  int way = (int)((uintptr_t)argument % 3);
  void **table = table_make(way);
  char *strings[64] = {0};
  for (int step = 0; step < STEPS; step++) {
    random = random * 1103515245 + 12345;
    unsigned slot = random >> 8 & (SLOTS - 1);
    struct entry *e = table[slot];
    if (e) check_entry(e);
    table[slot] = make(random >> 4 & 0xffff, e && e->left ? NULL : e);
    char **string = &strings[random >> 20 & 63];
    free(*string);
    *string = malloc(random >> 22 & 1023);
    if (step % 2000 == 0) GC_invoke_finalizers();
    if (step % 20000 == 0) GC_gcollect();
  }
  for (int i = 0; i < SLOTS; i++)
    if (table[i]) check_entry(table[i]);
  for (int i = 0; i < 64; i++) free(strings[i]);
  table_drop(table, way);
  return argument;
}

TEST("4 threads mix both for 60,000 steps each") {
  pthread_t ids[THREADS];
  for (int i = 0; i < THREADS; i++)
    CHECK(!GC_pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i));
  for (int i = 0; i < THREADS; i++) CHECK(!GC_pthread_join(ids[i], NULL));
}

TEST("nearly all of the buffers are freed by finalizers") {
  for (int i = 0; i < 10; i++) {
    wipe_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(buffers_freed, >=, buffers_made - buffers_made / 20);
}

TEST("strings of both kinds grow and shrink") {
  char *ours = NULL, *theirs = NULL;
  for (size_t size = 1, before = 0; size < 200000; size += size / 3 + 1) {
    theirs = realloc(theirs, size);
    ours = GC_realloc(ours, size);
    CHECK(ours && theirs);
    CHECK(is_filled(ours, 'x', before));
    before = size;
    memset(ours, 'x', size);
    memcpy(theirs, ours, size);
  }
  GC_free(ours);
  free(theirs);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
