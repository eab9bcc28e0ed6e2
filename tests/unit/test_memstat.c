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
  static const uint64_t us[] = {0, 0, 1, 2, 3, 4, 1000, 4194303, 4194304};
  static const unsigned where[] = {0, 0, 1, 2, 2, 3, 10, 22, 23};
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof us / sizeof us[0]; i++) {
    uint64_t before = gc->pauses[where[i]];
    memstat_pause(us[i] * 1000 + 999);
    assert_int_equal(gc->pauses[where[i]], before + 1);
    sum += us[i] * 1000 + 999;
  }
  memstat_pause((uint64_t)1 << 60);
  assert_int_equal(gc->pauses[ALM_PAUSE_COUNT - 1], 2);
  assert_int_equal(gc->pause_ns, sum + ((uint64_t)1 << 60));
  assert_int_equal(gc->pause_ns_max, (uint64_t)1 << 60);
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
      cmocka_unit_test(what_is_alive_shows_at_the_end_of_collections),
      cmocka_unit_test(a_maximum_only_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
