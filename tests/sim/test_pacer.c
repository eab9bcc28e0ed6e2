/* gc/pacer.c over many cycles of scripted programs: where the heap settles. */
#include "support.h"

#include "gc/pacer.h"

/* Bytes in the heap when it is collected. */
static uint64_t peak(const struct pacer_facts *f) {
  return pacer_goal(f);
}

static void a_steady_heap_peaks_at_the_percentage(void **state) {
  (void)state;
  for (uint64_t percent = 1; percent <= 1000; percent *= 10) {
    struct pacer_facts p = {
        .live = GIB, .percent = (unsigned)percent, .first_bytes = 4 * MIB};
    assert_int_equal(peak(&p), p.live + p.live * percent / 100);
  }
}

static void a_small_heap_is_left_alone_until_its_first_bytes(void **state) {
  (void)state;
  struct pacer_facts p = {.live = 1000, .percent = 100, .first_bytes = 4 * MIB};
  assert_int_equal(peak(&p), 4 << 20);
  p.live = 3 << 20;
  assert_int_equal(peak(&p), 6 << 20);
}

static void a_limit_brings_the_goal_down_but_never_below_live(void **state) {
  (void)state;
  struct pacer_facts p = {.live = 100 * MIB,
                          .limit = 150 * MIB,
                          .first_bytes = 4 * MIB,
                          .percent = 100};
  assert_int_equal(peak(&p), 150 << 20);
  for (uint64_t live = 0; live < (400 << 20); live += 1 << 20) {
    p.live = live;
    assert_true(peak(&p) > live);
    assert_true(live + (live >> 5) > p.limit || peak(&p) <= p.limit ||
                peak(&p) <= live + p.limit / 32);
  }
}

/* What the program allocates between two cycles bounds their number, also
 * when everything is live and the limit is too small. */
static void growth_beyond_a_limit_needs_a_bounded_number_of_cycles(
    void **state) {
  (void)state;
  struct pacer_facts p = {
      .limit = 64 * MIB, .first_bytes = 4 * MIB, .percent = 100};
  unsigned cycles = 0;
  while (p.live < (256 << 20)) {
    p.live = peak(&p); /* all that was allocated lives */
    cycles++;
  }
  assert_true(cycles < 400);
}

/* A peak is used up again and again, but not all of one that is long gone. */
static void a_heap_that_was_larger_fills_what_it_holds(void **state) {
  (void)state;
  struct pacer_facts p = {.live = 100 * MIB, .percent = 50};
  p.held = peak(&p);
  p.live = 60 * MIB;
  for (unsigned i = 0; i < 100; i++) {
    assert_int_equal(peak(&p), 150 * MIB);
    p.held = peak(&p);
  }
  p.live_before = p.live;
  p.live = 10 * MIB; /* perhaps for a moment only */
  assert_int_equal(peak(&p), 150 * MIB);
  p.live_before = p.live;
  assert_int_equal(peak(&p), 25 * MIB);
}

static void large_objects_without_pointers_leave_less_room(void **state) {
  (void)state;
  struct pacer_facts p = {.live = 160 * MIB, .percent = 100};
  assert_int_equal(peak(&p), 320 * MIB);
  p.light = 80 * MIB;
  assert_int_equal(peak(&p), 245 * MIB);
  p.light = p.live;
  assert_int_equal(peak(&p), 170 * MIB);
}

static void huge_numbers_do_not_overflow(void **state) {
  (void)state;
  struct pacer_facts p = {.live = UINT64_MAX / 2,
                          .held = UINT64_MAX,
                          .percent = 100000,
                          .first_bytes = 4 * MIB};
  assert_true(peak(&p) == UINT64_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_steady_heap_peaks_at_the_percentage),
      cmocka_unit_test(a_small_heap_is_left_alone_until_its_first_bytes),
      cmocka_unit_test(a_limit_brings_the_goal_down_but_never_below_live),
      cmocka_unit_test(growth_beyond_a_limit_needs_a_bounded_number_of_cycles),
      cmocka_unit_test(a_heap_that_was_larger_fills_what_it_holds),
      cmocka_unit_test(large_objects_without_pointers_leave_less_room),
      cmocka_unit_test(huge_numbers_do_not_overflow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
