/* mem/cache.c: a cache without its thread. */
#include "support.h"

#include "api/alloc.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"

static bool all_checks(void) {
  cache_lock_all();
  central_lock_all();
  bool ok = cache_check() && central_check() && pageheap_check();
  central_unlock_all();
  cache_unlock_all();
  return ok && pagealloc_check();
}

static void *take(struct cache *c, unsigned class) {
  bool is_zero;
  void *p = alloc_pop(&c->bins[class], &is_zero);
  if (p == NULL) {
    REQUIRE(cache_refill(c, class));
    p = alloc_pop(&c->bins[class], &is_zero);
  }
  REQUIRE(p != NULL);
  return p;
}

static void give(struct cache *c, unsigned class, void *p) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct bin *bin = &c->bins[class];
  *(void **)p = bin->list;
  bin->list = p;
  if (++bin->frees == bin->frees_limit) {
    cache_overflow(c, class, &bad);
  }
  REQUIRE(bad.kind == 0);
}

static void the_empty_cache_satisfies_nobody(void **state) {
  (void)state;
  for (unsigned i = 0; i < SIZECLASS_COUNT; i++) {
    struct bin bin = cache_empty.bins[i];
    bool is_zero;
    assert_null(alloc_pop(&bin, &is_zero));
    assert_false(sizeclass_is_slot_start(bin.magic, 0));
  }
}

static void few_objects_of_odd_sizes_share_powers_of_two(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *c = cache_create();
  for (unsigned class = 1; class < SIZECLASS_COUNT; class += 1) {
    size_t bytes = sizeclasses[class].object_bytes;
    unsigned lent = 0;
    for (; cache_stand_in(c, class) != class; lent++) {
      unsigned other = cache_stand_in(c, class);
      lent += other != class;
      size_t more = sizeclasses[other == class ? class : other].object_bytes;
      assert_true(more >= bytes && more < 2 * bytes);
      assert_true(other == class || is_power_of_two(more));
      assert_true(lent < 100);
    }
    assert_int_equal(lent, bytes > 1024 || is_power_of_two(bytes) ? 0 : 8);
  }
  cache_destroy(c, &bad);
}

static void every_class_goes_through_a_cache_and_back(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  enum { EACH = 600 };
  static void *objects[EACH];
  for (unsigned class = 1; class < SIZECLASS_COUNT; class += 1) {
    struct cache *c = cache_create();
    assert_non_null(c);
    for (int i = 0; i < EACH; i++) {
      objects[i] = take(c, class);
      memset(objects[i], i, sizeclasses[class].object_bytes);
    }
    assert_true(all_checks());
    for (int i = 0; i < EACH; i++) {
      assert_int_equal(*(unsigned char *)objects[i], i % 256);
      give(c, class, objects[i]);
    }
    assert_true(all_checks());
    cache_flush(c, &bad);
    (void)central_drain(true, &bad);
    assert_int_equal(memstat->classes[class].spans, 0);
    assert_int_equal(memstat->classes[class].allocs, EACH);
    assert_int_equal(memstat->classes[class].frees, EACH);
    cache_destroy(c, &bad);
  }
  assert_int_equal(bad.kind, 0);
  assert_int_equal(memstat->heap_inuse, 0);
}

/* How many free objects of the class the cache has in list and run. */
static size_t held(const struct cache *c, unsigned class) {
  const struct bin *bin = &c->bins[class];
  size_t n = (size_t)(bin->run_end - bin->run) / bin->object_bytes;
  for (void **p = bin->list; p != NULL; p = *p) {
    n++;
  }
  return n;
}

static void counters_and_lists_agree_and_are_bounded(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *c = cache_create();
  struct rng r = {seed_take()};
  static const size_t sizes[] = {8, 48, 512, 5000, 32768};
  static void *live[5][2000];
  size_t count[5] = {0};
  for (size_t i = 0; i < rounds(100000); i++) {
    size_t k = rng_below(&r, 5);
    unsigned class = sizeclass_for(sizes[k]);
    bool grow = i / 1500 % 2 ? rng_below(&r, 3) != 0 : rng_below(&r, 3) == 0;
    if (grow && count[k] < 2000) {
      live[k][count[k]++] = take(c, class);
    } else if (count[k] > 0) {
      size_t at = rng_below(&r, count[k]);
      give(c, class, live[k][at]);
      live[k][at] = live[k][--count[k]];
    }
    const struct bin *bin = &c->bins[class];
    size_t n = held(c, class);
    REQUIRE(n == bin->frees - bin->allocs + c->reserves[class].inflow);
    size_t list_most =
        central_batch_count(class) + 2 * central_slack_count(class);
    REQUIRE(n <= list_most + max_size(8192 / sizes[k], 1) + 64);
  }
  for (size_t k = 0; k < 5; k++) {
    while (count[k] > 0) {
      give(c, sizeclass_for(sizes[k]), live[k][--count[k]]);
    }
  }
  cache_destroy(c, &bad);
  (void)central_drain(true, &bad);
  assert_int_equal(bad.kind, 0);
  assert_int_equal(memstat->heap_inuse, 0);
  assert_true(all_checks());
}

static void runs_of_fresh_spans_are_known_to_be_zero(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *c = cache_create();
  (void)alm_release_memory(0);
  unsigned class = sizeclass_for(96);
  assert_true(cache_refill(c, class));
  bool is_zero = false;
  void *p = alloc_pop(&c->bins[class], &is_zero);
  assert_true(is_zero);
  memset(p, 1, 96);
  give(c, class, p);
  assert_ptr_equal(alloc_pop(&c->bins[class], &is_zero), p);
  assert_false(is_zero);
  give(c, class, p);
  cache_destroy(c, &bad);
  (void)central_drain(true, &bad);
}

static void idle_caches_are_trimmed_but_keep_their_fast_half(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *c = cache_create();
  unsigned class = sizeclass_for(256);
  enum { MANY = 400 };
  static void *objects[MANY];
  for (int i = 0; i < MANY; i++) {
    objects[i] = take(c, class);
  }
  for (int i = 0; i < MANY; i++) {
    give(c, class, objects[i]);
  }
  bool is_zero;
  cache_return_large(c, cache_take_large(c, 20, 1, &is_zero));
  assert_int_equal(c->nlarge, 1);
  (void)cache_trim(false, &bad); /* sees that it was active */
  assert_int_equal(c->nlarge, 1);
  size_t fast = held(c, class);
  (void)cache_trim(false, &bad); /* and now that it is not */
  assert_int_equal(c->nlarge, 0);
  assert_int_equal(c->reserves[class].spare.count, 0);
  assert_null(c->reserves[class].span);
  assert_true(c->pages.free == 0 && c->is_trimmed);
  assert_int_equal(held(c, class), fast);
  assert_true(all_checks());
  while (held(c, class) > 0) {
    (void)take(c, class); /* works on, and counts right */
  }
  c->bins[class].list = NULL;
  cache_destroy(c, &bad);
  assert_int_equal(bad.kind, 0);
}

static void freed_large_objects_are_kept_within_bounds(void **state) {
  (void)state;
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *c = cache_create();
  bool is_zero;
  struct span *s = cache_take_large(c, 40, 1, &is_zero);
  uintptr_t base = s->base;
  assert_int_equal(s->nfree, 0);
  cache_return_large(c, s);
  assert_int_equal(s->nfree, 1);
  assert_int_equal(c->large_npages, 40);
  s = cache_take_large(c, 36, 1, &is_zero); /* an eighth to spare */
  assert_true(s->base == base && !is_zero && s->nfree == 0);
  cache_return_large(c, s);
  s = cache_take_large(c, 35, 1, &is_zero);
  assert_true(s->base != base);
  cache_return_large(c, s);
  struct span *many[20];
  for (unsigned i = 0; i < 20; i++) {
    many[i] = cache_take_large(c, 5 + i, 1, &is_zero);
  }
  for (unsigned i = 0; i < 20; i++) {
    cache_return_large(c, many[i]);
    assert_true(c->nlarge <= CACHE_LARGE_MAX);
    assert_true(c->large_npages <= CACHE_LARGE_PAGES_MAX);
    assert_true(all_checks());
  }
  s = cache_take_large(c, CACHE_LARGE_PAGES_MAX + 1, 1, &is_zero);
  unsigned before = c->nlarge;
  cache_return_large(c, s);
  assert_int_equal(c->nlarge, before); /* too large to keep */
  cache_flush(c, &bad);
  assert_int_equal(c->nlarge, 0);
  assert_int_equal(c->large_npages, 0);
  cache_destroy(c, &bad);
}

static int start(void **state) {
  (void)state;
  setenv("ALMACEN", "background=0", 1);
  return process_start() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_empty_cache_satisfies_nobody),
      cmocka_unit_test(few_objects_of_odd_sizes_share_powers_of_two),
      cmocka_unit_test(every_class_goes_through_a_cache_and_back),
      cmocka_unit_test(counters_and_lists_agree_and_are_bounded),
      cmocka_unit_test(runs_of_fresh_spans_are_known_to_be_zero),
      cmocka_unit_test(idle_caches_are_trimmed_but_keep_their_fast_half),
      cmocka_unit_test(freed_large_objects_are_kept_within_bounds),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
