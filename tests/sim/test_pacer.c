/* gc/pacer.c over many cycles of scripted programs: where the heap settles. */
#include "support.h"

#include "gc/pacer.h"

struct program {
  uint64_t live; /* at each collection */
  uint64_t percent;
  uint64_t first;
  uint64_t limit;
};

/* Bytes in the heap when it is collected. */
static uint64_t peak(const struct program *p) {
  return pacer_goal(p->live, p->percent, p->first, p->limit);
}

static void a_steady_heap_peaks_at_the_percentage(void **state) {
  (void)state;
  for (uint64_t percent = 1; percent <= 1000; percent *= 10) {
    struct program p = {UINT64_C(1) << 30, percent, 4 << 20, 0};
    assert_int_equal(peak(&p), p.live + p.live * percent / 100);
  }
}

static void a_small_heap_is_left_alone_until_its_first_bytes(void **state) {
  (void)state;
  struct program p = {1000, 100, 4 << 20, 0};
  assert_int_equal(peak(&p), 4 << 20);
  p.live = 3 << 20;
  assert_int_equal(peak(&p), 6 << 20);
}

static void a_limit_brings_the_goal_down_but_never_below_live(void **state) {
  (void)state;
  struct program p = {100 << 20, 100, 4 << 20, 150 << 20};
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
  struct program p = {0, 100, 4 << 20, 64 << 20};
  unsigned cycles = 0;
  while (p.live < (256 << 20)) {
    p.live = peak(&p); /* all that was allocated lives */
    cycles++;
  }
  assert_true(cycles < 400);
}

static void huge_numbers_do_not_overflow(void **state) {
  (void)state;
  struct program p = {UINT64_MAX / 2, 100000, 4 << 20, 0};
  assert_true(peak(&p) == UINT64_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_steady_heap_peaks_at_the_percentage),
      cmocka_unit_test(a_small_heap_is_left_alone_until_its_first_bytes),
      cmocka_unit_test(a_limit_brings_the_goal_down_but_never_below_live),
      cmocka_unit_test(growth_beyond_a_limit_needs_a_bounded_number_of_cycles),
      cmocka_unit_test(huge_numbers_do_not_overflow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
