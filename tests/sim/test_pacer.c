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

/* ---- sweeping ---------------------------------------------------------- */

struct sweeper {
  uint64_t pages; /* left by the last cycle */
  uint64_t distance;
  uint64_t allocated;
  uint64_t swept;
  uint64_t burst; /* most pages at once */
};

/* As a mutator before it takes `bytes`: pages come in spans of `span`. */
static void pay(struct sweeper *s, uint64_t bytes, uint64_t span) {
  uint64_t due = pacer_sweep_due(s->pages, s->distance, s->allocated + bytes);
  uint64_t now = 0;
  while (s->swept < due) {
    uint64_t n = s->pages - s->swept < span ? s->pages - s->swept : span;
    s->swept += n;
    now += n;
  }
  s->burst = now > s->burst ? now : s->burst;
  s->allocated += bytes;
}

static void all_is_swept_before_the_goal_in_small_steps(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  for (int i = 0; i < 2000; i++) {
    uint64_t most = 8192, span = 1 + rng_below(&r, 10);
    struct sweeper s = {.pages = rng_below(&r, 1 << 20),
                        .distance = (1 + rng_below(&r, 1 << 16)) << 16};
    while (s.allocated + most < s.distance - s.distance / 8) {
      pay(&s, rng_below(&r, most) + 1, span);
    }
    /* what a step costs: its share of all, and a span */
    uint64_t share = s.pages * most / (s.distance - s.distance / 8);
    assert_true(s.burst <= share + 2 + span);
    while (s.allocated < s.distance - s.distance / 8) {
      pay(&s, most, span);
    }
    assert_int_equal(s.swept, s.pages);
  }
}

/* Half the threads have looked, and none has allocated what it looked for. */
static void many_threads_at_once_stay_behind_by_less_than_the_margin(
    void **state) {
  (void)state;
  enum { THREADS = 64, BYTES = 8192 };
  struct sweeper s = {.pages = 100000, .distance = 64 << 20};
  while (s.allocated < s.distance - THREADS * BYTES) {
    uint64_t before = s.allocated;
    for (int i = 0; i < THREADS; i++) {
      s.allocated = before; /* as each of them sees it */
      pay(&s, BYTES, 1);
    }
    s.allocated = before + THREADS * BYTES;
  }
  assert_int_equal(s.swept, s.pages);
}

static void what_is_due_grows_and_is_never_more_than_there_is(void **state) {
  (void)state;
  const uint64_t huge = UINT64_MAX;
  const uint64_t distances[] = {0, 1, 7, 8, 4096, 1 << 30, huge};
  const uint64_t pages[] = {0, 1, 1000, 1u << 31, huge >> 13};
  for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
    for (size_t k = 0; k < sizeof pages / sizeof *pages; k++) {
      uint64_t last = 0;
      for (uint64_t a = 0; a < huge / 4; a = a * 2 + 1) {
        uint64_t due = pacer_sweep_due(pages[k], distances[i], a);
        assert_true(due >= last && due <= pages[k]);
        last = due;
      }
      assert_int_equal(pacer_sweep_due(pages[k], distances[i], distances[i]),
                       pages[k]);
    }
  }
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
      cmocka_unit_test(all_is_swept_before_the_goal_in_small_steps),
      cmocka_unit_test(
          many_threads_at_once_stay_behind_by_less_than_the_margin),
      cmocka_unit_test(what_is_due_grows_and_is_never_more_than_there_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
