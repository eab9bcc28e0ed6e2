/* api/alloc.c: the paths behind malloc, free and realloc. */
#include "support.h"

#include "almacen.h"
#include "api/alloc.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"

static struct alm_stats read_stats(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  return s;
}

static void freed_objects_come_back_newest_first(void **state) {
  (void)state;
  void *a = alm_malloc(100), *b = alm_malloc(100);
  alm_free(a);
  alm_free(b);
  assert_ptr_equal(alm_malloc(100), b);
  assert_ptr_equal(alm_malloc(100), a);
  alm_free(a);
  alm_free(b);
}

static void calloc_clears_what_was_used_before(void **state) {
  (void)state;
  for (size_t size = 1; size < 300000; size += size / 2 + 1) {
    for (int round = 0; round < 4; round++) {
      unsigned char *p = alm_calloc(1, size);
      assert_true(p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
      memset(p, 0xff, alm_malloc_usable_size(p));
      alm_free(p);
    }
  }
}

/* Sizes on both sides of every change of how an object is kept. */
static const size_t steps[] = {
    1,     8,     9,     16,     17,     24,      48,      100,     1000,
    1024,  1025,  8192,  8193,   32767,  32768,   32769,   40000,   40961,
    65536, 81920, 98304, 262144, 300000, 1048576, 1048577, 3000000, 5 << 20,
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static void realloc_keeps_contents_over_every_transition(void **state) {
  (void)state;
  for (size_t from = 0; from < STEPS; from++) {
    for (size_t to = 0; to < STEPS; to++) {
      for (int wall = 0; wall < 2; wall++) { /* 1: cannot grow in place */
        void *p = alm_malloc(steps[from]);
        void *next = wall ? alm_malloc(steps[from]) : NULL;
        assert_non_null(p);
        stamp_write(p, steps[from], from);
        void *q = alm_realloc(p, steps[to]);
        assert_non_null(q);
        REQUIRE(stamp_holds(q, steps[from], min_size(steps[from], steps[to]),
                            from));
        assert_true(alm_malloc_usable_size(q) >= steps[to]);
        memset(q, 1, steps[to]);
        alm_free(q);
        alm_free(next);
      }
    }
  }
  assert_true(alm_check());
}

static void realloc_grows_in_place_into_free_pages(void **state) {
  (void)state;
  (void)alm_release_memory(0);
  uint64_t before = read_stats().realloc_inplace;
  char *p = alm_malloc(100 * PAGE_BYTES);
  char *q = alm_realloc(p, 150 * PAGE_BYTES);
  assert_ptr_equal(q, p);
  assert_ptr_equal(alm_realloc(q, 60 * PAGE_BYTES), p);
  assert_int_equal(alm_malloc_usable_size(p), 60 * PAGE_BYTES);
  assert_int_equal(read_stats().realloc_inplace, before + 2);
  alm_free(p);
}

static void realloc_does_not_move_for_a_little_less(void **state) {
  (void)state;
  char *p = alm_malloc(1000);
  assert_ptr_equal(alm_realloc(p, 600), p);
  char *q = alm_realloc(p, 100);
  assert_ptr_not_equal(q, p);
  assert_int_equal(alm_malloc_usable_size(q), 112);
  alm_free(q);
}

static void large_objects_move_by_remapping_or_copy(void **state) {
  (void)state;
  struct alm_stats before = read_stats();
  char *p = alm_malloc(4 * MIB);
  assert_non_null(alm_malloc(PAGE_BYTES * 5)); /* stays behind it */
  stamp_write(p, 4 * MIB, 7);
  char *q = alm_realloc(p, 40 * MIB);
  assert_true(stamp_holds(q, 4 * MIB, 4 * MIB, 7));
  struct alm_stats after = read_stats();
  if (q != p) {
    assert_int_equal(after.realloc_moved + after.realloc_remapped,
                     before.realloc_moved + before.realloc_remapped + 1);
  }
  memset(q, 1, 40 * MIB);
  alm_free(q);
  /* where pages were moved away there are zeroes, and no holes */
  p = alm_calloc(1, 44 * MIB);
  assert_true(p[0] == 0 && memcmp(p, p + 1, 44 * MIB - 1) == 0);
  alm_free(p);
  assert_true(alm_check());
}

static void statistics_follow_large_objects_as_they_change(void **state) {
  (void)state;
  struct alm_stats a = read_stats();
  char *p = alm_malloc(100000);
  p = alm_realloc(p, 500000);
  p = alm_realloc(p, 200000);
  struct alm_stats b = read_stats();
  uint64_t live = (b.classes[0].alloc_bytes - b.classes[0].free_bytes) -
                  (a.classes[0].alloc_bytes - a.classes[0].free_bytes);
  assert_int_equal(live, alm_malloc_usable_size(p));
  alm_free(p);
  b = read_stats();
  assert_int_equal(b.classes[0].alloc_bytes - b.classes[0].free_bytes,
                   a.classes[0].alloc_bytes - a.classes[0].free_bytes);
  assert_int_equal(b.classes[0].allocs - b.classes[0].frees,
                   a.classes[0].allocs - a.classes[0].frees);
}

static void aligned_small_objects_share_spans(void **state) {
  (void)state;
  for (size_t align = 16; align <= PAGE_BYTES; align *= 2) {
    char *p = alm_aligned_alloc(align, 10);
    struct span *s = pageheap_span_at(p);
    assert_true((uintptr_t)p % align == 0 && s != NULL && s->class != 0);
    alm_free(p);
  }
  char *p = alm_aligned_alloc(4 * PAGE_BYTES, 10);
  assert_int_equal(pageheap_span_at(p)->class, 0);
  assert_int_equal(alm_malloc_usable_size(p), PAGE_BYTES);
  p = alm_realloc(p, 20000);
  assert_non_null(p);
  alm_free(p);
}

static void zero_sizes_are_objects_of_their_own(void **state) {
  (void)state;
  void *a = alm_malloc(0), *b = alm_malloc(0), *c = alm_calloc(0, 9),
       *d = alm_calloc(9, 0), *e = alm_aligned_alloc(64, 0);
  assert_true(a && b && c && d && e);
  assert_true(a != b && b != c && c != d && a != c && a != d);
  assert_int_equal((uintptr_t)e % 64, 0);
  alm_free(a);
  alm_free(b);
  alm_free(c);
  alm_free(d);
  alm_free(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(freed_objects_come_back_newest_first),
      cmocka_unit_test(calloc_clears_what_was_used_before),
      cmocka_unit_test(realloc_keeps_contents_over_every_transition),
      cmocka_unit_test(realloc_grows_in_place_into_free_pages),
      cmocka_unit_test(realloc_does_not_move_for_a_little_less),
      cmocka_unit_test(large_objects_move_by_remapping_or_copy),
      cmocka_unit_test(statistics_follow_large_objects_as_they_change),
      cmocka_unit_test(aligned_small_objects_share_spans),
      cmocka_unit_test(zero_sizes_are_objects_of_their_own),
  };
  setenv("ALMACEN", "background=0", 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
