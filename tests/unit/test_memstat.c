/* mem/memstat.c: counting. */
#include "support.h"

#include "mem/memstat.h"

static struct alm_stats *fresh(void) {
  static struct alm_stats s;
  memset(memstat, 0, sizeof *memstat);
  memstat_move(&s);
  for (unsigned i = 1; i < ALM_CLASS_COUNT; i++) {
    s.classes[i].object_bytes = 8 * i;
  }
  return &s;
}

static void published_counts_are_in_objects_and_bytes(void **state) {
  (void)state;
  struct alm_stats *s = fresh();
  memstat_publish(3, 10, 4);
  memstat_publish(3, 1, 0);
  memstat_publish_large(false, 100000);
  memstat_publish_large(true, 60000);
  assert_int_equal(s->classes[3].allocs, 11);
  assert_int_equal(s->classes[3].frees, 4);
  assert_int_equal(s->classes[3].alloc_bytes, 11 * 24);
  assert_int_equal(s->classes[3].free_bytes, 4 * 24);
  assert_int_equal(s->classes[0].allocs, 1);
  assert_int_equal(s->classes[0].frees, 1);
  assert_int_equal(memstat_live_bytes(), 7 * 24 + 40000);
}

static void more_frees_than_allocations_count_as_nothing_live(void **state) {
  (void)state;
  fresh();
  memstat_publish(3, 0, 4);
  assert_int_equal(memstat_live_bytes(), 0);
}

static void moving_the_account_keeps_its_numbers(void **state) {
  (void)state;
  static struct alm_stats other;
  fresh();
  memstat_publish(5, 2, 1);
  memstat_move(&other);
  assert_ptr_equal(memstat, &other);
  assert_int_equal(other.classes[5].allocs, 2);
  memstat_publish(5, 1, 0);
  assert_int_equal(other.classes[5].allocs, 3);
  struct alm_stats copy;
  memstat_copy(&copy);
  assert_memory_equal(&copy, &other, sizeof copy);
}

static void a_child_starts_from_zero_with_what_is_alive(void **state) {
  (void)state;
  struct alm_stats *s = fresh();
  memstat_publish(4, 10, 4);
  memstat_publish(6, 0, 4); /* whose mallocs a dead thread had counted */
  memstat_publish_large(false, 90000);
  s->heap_inuse = 200000;
  s->heap_inuse_max = 500000;
  s->classes[4].spans = 1;
  s->classes[4].spans_max = 7;
  s->realloc_moved = 9;
  memstat_restart();
  assert_int_equal(s->classes[4].allocs, 0);
  assert_int_equal(s->classes[4].frees, 0);
  assert_int_equal(s->classes[4].inherited, 6);
  assert_int_equal(s->classes[6].inherited, 0);
  assert_int_equal(s->classes[4].spans_max, 1);
  assert_int_equal(s->heap_inuse_max, 200000);
  assert_int_equal(s->realloc_moved, 0);
  assert_int_equal(memstat_live_bytes(), 6 * 32 + 90000);
  memstat_publish(4, 0, 6);
  assert_int_equal(memstat_live_bytes(), 90000);
  memstat_restart(); /* a child of the child */
  assert_int_equal(s->classes[4].inherited, 0);
}

static void pauses_are_counted_by_length(void **state) {
  (void)state;
  struct alm_gc_stats *gc = &fresh()->gc;
  static const struct {
    uint64_t ns;
    unsigned where;
  } pauses[] = {
      {0, 0},           {999, 0},
      {1000, 1},        {1249, 1},
      {1250, 2},        {1999, 4},
      {2000, 5},        {2499, 5},
      {2500, 6},        {1000000, 40},
      {1048576000, 81}, {UINT64_C(67108863999), ALM_PAUSE_COUNT - 2},
  };
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
    uint64_t before = gc->pauses[pauses[i].where];
    memstat_pause(pauses[i].ns);
    assert_int_equal(gc->pauses[pauses[i].where], before + 1);
    sum += pauses[i].ns;
  }
  memstat_pause(UINT64_C(67108864000));
  memstat_pause((uint64_t)1 << 60);
  assert_int_equal(gc->pauses[ALM_PAUSE_COUNT - 1], 2);
  assert_int_equal(gc->pause_ns,
                   sum + UINT64_C(67108864000) + ((uint64_t)1 << 60));
  assert_int_equal(gc->pause_ns_max, (uint64_t)1 << 60);
}

/* Each element's range is 1/5 to 1/4 of its lower limit. */
static void the_lengths_of_pauses_are_four_in_each_octave(void **state) {
  (void)state;
  assert_int_equal(alm_pause_below_ns(0), 1000);
  for (unsigned i = 1; i < ALM_PAUSE_COUNT - 1; i++) {
    uint64_t from = alm_pause_below_ns(i - 1), below = alm_pause_below_ns(i);
    assert_true(below > from && (below - from) * 4 <= from);
    assert_true(i <= 4 || below == 2 * alm_pause_below_ns(i - 4));
  }
  assert_int_equal(alm_pause_below_ns(ALM_PAUSE_COUNT - 2),
                   UINT64_C(67108864000));
  assert_true(alm_pause_below_ns(ALM_PAUSE_COUNT - 1) == UINT64_MAX);
}

static bool is_near(uint64_t ns, uint64_t exact) {
  return ns <= exact + exact / 4 && ns >= exact - exact / 4;
}

static void quantiles_of_known_pauses_are_near_the_exact_ones(void **state) {
  (void)state;
  const struct alm_gc_stats *gc = &fresh()->gc;
  assert_int_equal(memstat_pause_quantile(gc, 500), 0); /* no pause */
  memstat_pause(1234567);
  for (unsigned p = 0; p <= 1000; p += 100) { /* one: it is the longest */
    assert_int_equal(memstat_pause_quantile(gc, p), 1234567);
  }
  fresh();
  for (uint64_t us = 1; us <= 1000; us++) {
    memstat_pause(us * 1000);
  }
  uint64_t last = 0;
  for (unsigned p = 1; p <= 1000; p++) {
    uint64_t ns = memstat_pause_quantile(gc, p);
    assert_true(is_near(ns, p * UINT64_C(1000)));
    assert_true(ns >= last);
    last = ns;
  }
  assert_int_equal(last, 1000000);
  assert_int_equal(memstat_pause_quantile(gc, 5000), 1000000);
  assert_true(memstat_pause_quantile(gc, 0) <= 1250);
}

static void one_long_pause_among_many_is_in_the_last_percent(void **state) {
  (void)state;
  const struct alm_gc_stats *gc = &fresh()->gc;
  for (unsigned i = 0; i < 99; i++) {
    memstat_pause(100000);
  }
  memstat_pause(UINT64_C(100000000000)); /* longer than all limits */
  assert_true(is_near(memstat_pause_quantile(gc, 500), 100000));
  assert_true(is_near(memstat_pause_quantile(gc, 990), 100000));
  assert_int_equal(memstat_pause_quantile(gc, 991), UINT64_C(100000000000));
}

static void what_is_alive_shows_at_the_end_of_collections(void **state) {
  (void)state;
  struct alm_gc_stats *gc = &fresh()->gc;
  memstat_live_change(1000, 10);
  assert_int_equal(gc->live_bytes, 0);
  memstat_live_show();
  assert_int_equal(gc->live_bytes, 1000);
  assert_int_equal(gc->live_objects, 10);
  memstat_live_change(-(uint64_t)400, -(uint64_t)4);
  memstat_live_show();
  assert_int_equal(gc->live_bytes, 600);
  assert_int_equal(gc->live_bytes_max, 1000);
  memstat_live_change(-(uint64_t)600, -(uint64_t)6); /* the heap goes */
  assert_int_equal(gc->live_bytes, 600);
}

static void a_maximum_only_grows(void **state) {
  (void)state;
  uint64_t max = 5;
  memstat_raise(&max, 4);
  assert_int_equal(max, 5);
  memstat_raise(&max, 6);
  assert_int_equal(max, 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(published_counts_are_in_objects_and_bytes),
      cmocka_unit_test(more_frees_than_allocations_count_as_nothing_live),
      cmocka_unit_test(moving_the_account_keeps_its_numbers),
      cmocka_unit_test(a_child_starts_from_zero_with_what_is_alive),
      cmocka_unit_test(pauses_are_counted_by_length),
      cmocka_unit_test(the_lengths_of_pauses_are_four_in_each_octave),
      cmocka_unit_test(quantiles_of_known_pauses_are_near_the_exact_ones),
      cmocka_unit_test(one_long_pause_among_many_is_in_the_last_percent),
      cmocka_unit_test(what_is_alive_shows_at_the_end_of_collections),
      cmocka_unit_test(a_maximum_only_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
