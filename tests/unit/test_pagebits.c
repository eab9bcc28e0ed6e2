/* mem/pagebits.c: known chunks; model/test_pagebits.c has random ones. */
#include "support.h"

#include "mem/pagebits.h"

static void expect(const struct chunk_bits *c, unsigned start, unsigned max,
                   unsigned end) {
  struct summary s = pagebits_summarize(c);
  assert_int_equal(s.start, start);
  assert_int_equal(s.max, max);
  assert_int_equal(s.end, end);
}

static void summaries_of_known_chunks(void **state) {
  (void)state;
  struct chunk_bits c = {{0}, {0}};
  expect(&c, 512, 512, 512);
  bits_set_range(c.in_use, 0, 512);
  expect(&c, 0, 0, 0);
  bits_clear_range(c.in_use, 100, 200);
  expect(&c, 0, 200, 0);
  bits_clear_range(c.in_use, 0, 3);
  bits_clear_range(c.in_use, 511, 1);
  expect(&c, 3, 200, 1);
  bits_set_range(c.in_use, 0, 512);
  bits_clear_range(c.in_use, 70, 20); /* inside one word */
  expect(&c, 0, 20, 0);
}

static void finding_honours_from_and_length(void **state) {
  (void)state;
  struct chunk_bits c = {{0}, {0}};
  assert_int_equal(pagebits_find(&c, 512, 0), 0);
  assert_int_equal(pagebits_find(&c, 511, 1), 1);
  assert_int_equal(pagebits_find(&c, 512, 1), CHUNK_PAGES);
  bits_set_range(c.in_use, 60, 10);
  assert_int_equal(pagebits_find(&c, 60, 0), 0);
  assert_int_equal(pagebits_find(&c, 61, 0), 70);
  assert_int_equal(pagebits_find(&c, 1, 65), 70);
  assert_int_equal(pagebits_find(&c, 443, 0), CHUNK_PAGES);
}

static void releasable_runs_come_from_the_top(void **state) {
  (void)state;
  struct chunk_bits c = {{0}, {0}};
  unsigned first = 0;
  assert_int_equal(pagebits_find_releasable(&c, 16, 1, &first), 16);
  assert_int_equal(first, 496);
  bits_set_range(c.released, 500, 12);
  bits_set_range(c.in_use, 300, 5);
  assert_int_equal(pagebits_find_releasable(&c, 512, 1, &first), 195);
  assert_int_equal(first, 305);
  /* 64 KiB OS pages: whole groups of eight only */
  assert_int_equal(pagebits_find_releasable(&c, 512, 8, &first), 184);
  assert_int_equal(first, 312);
  bits_set_range(c.released, 0, 300);
  bits_set_range(c.released, 305, 195);
  assert_int_equal(pagebits_find_releasable(&c, 512, 1, &first), 0);
}

static void check_both(void *arg) {
  REQUIRE(pagebits_check(arg));
}

static void a_page_in_use_and_released_is_noticed(void **state) {
  (void)state;
  struct chunk_bits c = {{0}, {0}};
  bits_set_range(c.in_use, 10, 1);
  bits_set_range(c.released, 11, 1);
  child_must_pass(check_both, &c, NULL);
  bits_set_range(c.released, 10, 1);
  struct child broken = child_run(check_both, &c, NULL);
  assert_true(child_aborted(&broken));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(summaries_of_known_chunks),
      cmocka_unit_test(finding_honours_from_and_length),
      cmocka_unit_test(releasable_runs_come_from_the_top),
      cmocka_unit_test(a_page_in_use_and_released_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
