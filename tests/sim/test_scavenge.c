/* The scavenger's goal in scripted histories: what stays resident when. No
 * clock and no memory; a tick is what the background thread's is. */
#include "support.h"

#include "mem/scavenge.h"

#define TICK_NS ((uint64_t)100000000)
#define DECAY_NS ((uint64_t)1400000000)

struct heap {
  struct scavenge_goal goal;
  uint64_t used;
  uint64_t resident; /* used and kept */
  uint64_t asked;    /* bytes taken from the OS, in sum   */
  uint64_t returned; /* bytes given back to it, in sum    */
};

static void use(struct heap *h, uint64_t used) {
  h->used = used;
  if (used > h->resident) {
    h->asked += used - h->resident;
    h->resident = used;
  }
}

static void tick(struct heap *h) {
  uint64_t keep = scavenge_goal_step(&h->goal, h->used, TICK_NS, DECAY_NS);
  if (h->resident > h->used + keep) {
    h->returned += h->resident - h->used - keep;
    h->resident = h->used + keep;
  }
}

static void run(struct heap *h, uint64_t used, unsigned ticks) {
  use(h, used);
  for (unsigned i = 0; i < ticks; i++) {
    tick(h);
  }
}

static void a_spike_is_returned_within_ten_seconds(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  run(&h, 100 * MIB, 50);
  run(&h, 1124 * MIB, 10);
  run(&h, 100 * MIB, 100);
  assert_true(h.resident <= 100 * MIB + 100 * MIB / 10 + 16 * MIB);
  run(&h, 100 * MIB, 100);
  assert_true(h.resident <= 101 * MIB);
}

static void half_of_a_spike_is_kept_for_a_second(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  run(&h, 1 * GIB, 10);
  run(&h, 0, 9);
  assert_true(h.resident > 512 * MIB); /* it may come again */
  run(&h, 0, 7);
  assert_true(h.resident < 512 * MIB);
}

static void idle_time_returns_everything_in_the_end(void **state) {
  (void)state;
  for (uint64_t peak = PAGE_BYTES; peak <= 16 * TIB; peak *= 8) {
    struct heap h = {{0}, 0, 0, 0, 0};
    run(&h, peak, 1);
    run(&h, 0, 1000);
    assert_int_equal(h.resident, 0);
  }
}

/* Up and down faster than the decay: the memory stays, mostly. */
static void a_fast_sawtooth_keeps_its_memory(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  run(&h, 800 * MIB, 1);
  uint64_t asked = h.asked;
  for (unsigned i = 0; i < 200; i++) {
    run(&h, 200 * MIB, 1);
    run(&h, 800 * MIB, 1);
  }
  /* 400 changes of 600 MiB; a tenth of a second costs a fifteenth of it */
  assert_true(h.asked - asked <= 200 * (600 * MIB / 14));
  assert_true(h.resident >= 800 * MIB);
}

static void a_slow_sawtooth_gives_its_memory_back(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  for (unsigned i = 0; i < 5; i++) {
    run(&h, 800 * MIB, 100);
    run(&h, 200 * MIB, 100);
    assert_true(h.resident < 210 * MIB);
  }
}

static void growth_returns_nothing(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  for (uint64_t used = 0; used < 2 * GIB; used += 3 * MIB) {
    run(&h, used, 1);
    assert_int_equal(h.resident, used);
  }
  assert_int_equal(h.returned, 0);
}

static void a_slow_decline_is_followed_at_a_distance(void **state) {
  (void)state;
  struct heap h = {{0}, 0, 0, 0, 0};
  run(&h, 2 * GIB, 1);
  /* 4 MiB a tick: the distance settles at 14 ticks' worth */
  for (uint64_t used = 2 * GIB; used >= 4 * MIB; used -= 4 * MIB) {
    run(&h, used, 1);
    assert_true(h.resident - h.used <= 15 * 4 * MIB);
  }
}

static void many_small_steps_are_as_one_large_at_most(void **state) {
  (void)state;
  struct scavenge_goal small = {1 * GIB}, large = {1 * GIB};
  for (unsigned i = 0; i < 1000; i++) {
    (void)scavenge_goal_step(&small, 0, TICK_NS / 100, DECAY_NS);
  }
  (void)scavenge_goal_step(&large, 0, TICK_NS * 10, DECAY_NS);
  assert_true(small.peak_bytes <= large.peak_bytes);
  /* and not by rounding: e^(-1/1.4) is 0.49 */
  assert_true(small.peak_bytes >= 480 * MIB);
}

static void decay_zero_keeps_nothing(void **state) {
  (void)state;
  struct scavenge_goal g = {1 * GIB};
  assert_int_equal(scavenge_goal_step(&g, 1 * MIB, TICK_NS, 0), 0);
  assert_int_equal(g.peak_bytes, 1 * MIB);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_spike_is_returned_within_ten_seconds),
      cmocka_unit_test(half_of_a_spike_is_kept_for_a_second),
      cmocka_unit_test(idle_time_returns_everything_in_the_end),
      cmocka_unit_test(a_fast_sawtooth_keeps_its_memory),
      cmocka_unit_test(a_slow_sawtooth_gives_its_memory_back),
      cmocka_unit_test(growth_returns_nothing),
      cmocka_unit_test(a_slow_decline_is_followed_at_a_distance),
      cmocka_unit_test(many_small_steps_are_as_one_large_at_most),
      cmocka_unit_test(decay_zero_keeps_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
