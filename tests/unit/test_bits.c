/* base/bits.h against loops over single bits. */
#include "support.h"

#include "base/bits.h"

static void counts_and_zeros_agree_with_loops(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  for (unsigned i = 0; i < 20000; i++) {
    uint64_t w = rng_next(&r) & (i % 2 ? rng_next(&r) : ~(uint64_t)0);
    w = i % 70 <= 64 ? w & bits_low(i % 70) : w << (i % 64);
    unsigned count = 0, low = 64, high = 64;
    for (unsigned b = 0; b < 64; b++) {
      bool is_set = (w >> b) & 1;
      count += is_set;
      low = is_set && low == 64 ? b : low;
      high = is_set ? 63 - b : high;
    }
    REQUIRE(bits_count(w) == count);
    REQUIRE(bits_ctz(w) == low && bits_clz(w) == high);
  }
}

static void low_and_span_work_at_both_ends(void **state) {
  (void)state;
  assert_true(bits_low(0) == 0 && bits_low(1) == 1);
  assert_true(bits_low(63) == ~(uint64_t)0 >> 1);
  assert_true(bits_low(64) == ~(uint64_t)0);
  assert_true(bits_span(0, 64) == ~(uint64_t)0);
  assert_true(bits_span(63, 1) == (uint64_t)1 << 63);
  assert_true(bits_span(64, 0) == 0 && bits_span(5, 0) == 0);
}

static void find_run_gives_the_first_of_every_length(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  for (unsigned i = 0; i < 4000; i++) {
    uint64_t w = rng_next(&r) | rng_next(&r);
    w |= i % 3 ? bits_span((unsigned)rng_below(&r, 32),
                           (unsigned)rng_below(&r, 33))
               : rng_next(&r) | rng_next(&r);
    for (unsigned n = 1; n <= 64; n++) {
      unsigned at = 0;
      while (at + n <= 64 && ((w >> at) & bits_low(n)) != bits_low(n)) {
        at++;
      }
      REQUIRE(bits_find_run(w, n) == (at + n <= 64 ? at : 64));
    }
  }
  assert_int_equal(bits_find_run(0, 1), 64);
  assert_int_equal(bits_find_run(~(uint64_t)0, 64), 0);
}

static void even_takes_every_second_bit(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  for (unsigned i = 0; i < 1000; i++) {
    uint64_t w = rng_next(&r), expected = 0;
    for (unsigned b = 0; b < 64; b += 2) {
      expected |= ((w >> b) & 1) << (b / 2);
    }
    REQUIRE(bits_even(w) == expected);
  }
}

static void ranges_change_their_bits_and_no_others(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  for (unsigned i = 0; i < 4000; i++) {
    uint64_t words[8], set[8], cleared[8];
    size_t first = rng_below(&r, 513), n = rng_below(&r, 513 - first);
    size_t count = 0;
    for (unsigned w = 0; w < 8; w++) {
      words[w] = set[w] = cleared[w] = rng_next(&r);
    }
    bits_set_range(set, first, n);
    bits_clear_range(cleared, first, n);
    for (size_t b = 0; b < 512; b++) {
      bool inside = b >= first && b < first + n;
      count += inside && bits_test(words, b);
      REQUIRE(bits_test(set, b) == (inside || bits_test(words, b)));
      REQUIRE(bits_test(cleared, b) == (!inside && bits_test(words, b)));
    }
    REQUIRE(bits_count_range(words, first, n) == count);
  }
}

static void arithmetic_of_sizes(void **state) {
  (void)state;
  assert_int_equal(align_up(0, 16), 0);
  assert_int_equal(align_up(1, 16), 16);
  assert_int_equal(align_up(16, 16), 16);
  assert_int_equal(align_down(31, 16), 16);
  assert_int_equal(log2_floor(1), 0);
  assert_int_equal(log2_floor(SIZE_MAX), 63);
  assert_int_equal(pages_for(0), 0);
  assert_int_equal(pages_for(1), 1);
  assert_int_equal(pages_for(PAGE_BYTES + 1), 2);
  assert_int_equal(pages_for(PTRDIFF_MAX), (size_t)1 << (63 - PAGE_SHIFT));
  assert_true(is_power_of_two(1) && is_power_of_two((size_t)1 << 63));
  assert_false(is_power_of_two(0) || is_power_of_two(3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_and_zeros_agree_with_loops),
      cmocka_unit_test(low_and_span_work_at_both_ends),
      cmocka_unit_test(find_run_gives_the_first_of_every_length),
      cmocka_unit_test(even_takes_every_second_bit),
      cmocka_unit_test(ranges_change_their_bits_and_no_others),
      cmocka_unit_test(arithmetic_of_sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
