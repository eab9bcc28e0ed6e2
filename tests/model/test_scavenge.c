/* The scavenger's goal against exact exponential decay. */
#include "support.h"

#include "mem/scavenge.h"

/* e^-x for x >= 0 by its series after halving x; no libm needed. */
static double exp_minus(double x) {
  unsigned halvings = 0;
  for (; x > 0.25; x /= 2) {
    halvings++;
  }
  double term = 1, sum = 1;
  for (unsigned i = 1; i < 20; i++) {
    term *= -x / i;
    sum += term;
  }
  for (; halvings > 0; halvings--) {
    sum *= sum;
  }
  return sum;
}

static void one_step_lies_between_the_exponential_and_its_bound(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  size_t count = rounds(4000000);
  for (size_t i = 0; i < count; i++) {
    uint64_t used = rng_size(&r, (size_t)8 * TIB);
    uint64_t above = rng_size(&r, (size_t)16 * TIB);
    uint64_t elapsed = rng_size(&r, (size_t)86400 * 1000000000);
    uint64_t decay = rng_below(&r, 3600001) * 1000000;
    struct scavenge_goal g = {used + above};
    uint64_t keep = scavenge_goal_step(&g, used, elapsed, decay);
    REQUIRE(g.peak_bytes == used + keep);
    REQUIRE(keep <= above);
    if (decay == 0 || above == 0) {
      REQUIRE(keep == 0);
      continue;
    }
    double x = (double)elapsed / (double)decay;
    double exact = (double)above * exp_minus(x);
    double rational = (double)above / (1 + x);
    double slack = (double)above * 1e-9 + 2048; /* double; units of a KiB */
    REQUIRE((double)keep >= exact - slack);
    REQUIRE((double)keep <= rational + slack);
    REQUIRE((double)keep >= rational - slack);
  }
}

/* As the background thread calls it: ten times a second. */
static void ticks_of_a_tenth_follow_the_exponential(void **state) {
  (void)state;
  static const uint64_t decays_ms[] = {1400, 5000, 60000};
  for (unsigned d = 0; d < 3; d++) {
    struct scavenge_goal g = {4 * GIB};
    double above = (double)(4 * GIB);
    uint64_t decay_ns = decays_ms[d] * 1000000;
    for (unsigned tick = 1; tick * 100 < 3 * decays_ms[d]; tick++) {
      uint64_t keep = scavenge_goal_step(&g, 0, 100000000, decay_ns);
      double exact = above * exp_minus(tick * 100.0 / (double)decays_ms[d]);
      assert_true((double)keep >= 0.99 * exact);
      assert_true((double)keep <= 1.13 * exact);
    }
  }
}

static void a_new_peak_is_taken_at_once(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  struct scavenge_goal g = {0};
  for (unsigned i = 0; i < 10000; i++) {
    uint64_t before = g.peak_bytes;
    uint64_t used = rng_size(&r, (size_t)1 * TIB);
    uint64_t keep =
        scavenge_goal_step(&g, used, rng_below(&r, 1000000000), 1400000000);
    assert_true(g.peak_bytes >= used);
    assert_true(g.peak_bytes <= (before > used ? before : used));
    assert_true(keep == g.peak_bytes - used);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_step_lies_between_the_exponential_and_its_bound),
      cmocka_unit_test(ticks_of_a_tenth_follow_the_exponential),
      cmocka_unit_test(a_new_peak_is_taken_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
