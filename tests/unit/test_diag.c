/* base/diag.c: formatting, lines, the end of the process. */
#include "support.h"

#include "base/diag.h"

static void expect(const char *expected, const char *format, ...) {
  char text[128];
  va_list args;
  va_start(args, format);
  size_t n = diag_vformat(text, sizeof text, format, args);
  va_end(args);
  assert_string_equal(text, expected);
  assert_int_equal(n, strlen(expected));
}

static void conversions_print_as_printf_does(void **state) {
  (void)state;
  expect("-7 7 ff", "%d %u %x", -7, 7u, 255u);
  expect("-2147483648 4294967295", "%d %u", INT32_MIN, UINT32_MAX);
  expect("18446744073709551615", "%zu", SIZE_MAX);
  expect("ffffffffffffffff 1", "%llx %lu", ~0ull, 1ul);
  expect("0", "%u", 0u);
  expect("text c 100%", "%s %c 100%%", "text", 'c');
  expect("0xdead (null)", "%p %s", (void *)0xdead, (char *)NULL);
}

static void text_is_cut_and_always_ended(void **state) {
  (void)state;
  char text[8];
  memset(text, 'x', sizeof text);
  assert_int_equal(diag_format(text, 5, "%s", "abcdefgh"), 4);
  assert_string_equal(text, "abcd");
  assert_int_equal(text[5], 'x');
  assert_int_equal(diag_format(text, 1, "%d", 12345), 0);
  assert_string_equal(text, "");
  assert_int_equal(diag_format(text, 0, "%d", 12345), 0);
}

static void say(void *arg) {
  (void)arg;
  errno = 33;
  diag_line("here are %d bytes", 5);
  REQUIRE(errno == 33);
  char text[900];
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  diag_line("%s", text);
}

static void lines_have_the_prefix_and_are_cut(void **state) {
  (void)state;
  struct child c = child_run(say, NULL, NULL);
  assert_true(child_exited(&c, 0));
  static const char first[] = "almacen: here are 5 bytes\n";
  assert_memory_equal(c.text, first, sizeof first - 1);
  const char *second = c.text + sizeof first - 1;
  assert_memory_equal(second, "almacen: aaa", 12);
  assert_true(strlen(second) <= 400 && strlen(second) > 300);
  assert_int_equal(second[strlen(second) - 1], '\n');
}

static void say_without_stderr(void *arg) {
  (void)arg;
  close(STDERR_FILENO);
  errno = 33;
  diag_line("nobody hears this");
  REQUIRE(errno == 33);
}

static void a_closed_stderr_is_no_failure(void **state) {
  (void)state;
  child_must_pass(say_without_stderr, NULL, NULL);
}

static void fail_check(void *arg) {
  int one = 1;
  if (arg == NULL) {
    CHECK(one == 2);
  }
  CHECK_EQ(one + 6, 8);
}

static void failed_checks_name_expression_and_values(void **state) {
  (void)state;
  struct child c = child_run(fail_check, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "almacen: check failed: one == 2 ("));
  assert_non_null(strstr(c.text, "test_diag.c:"));
  c = child_run(fail_check, &c, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "one + 6 == 8: 7, 8 ("));
}

static void assert_falsehood(void *arg) {
  (void)arg;
  int evaluated = 0;
  ASSERT(++evaluated == 0);
  REQUIRE(evaluated == 0); /* release: not even evaluated */
}

static void assertions_hold_in_debug_builds_only(void **state) {
  (void)state;
  struct child c = child_run(assert_falsehood, NULL, NULL);
  assert_true(ALM_DEBUG ? child_aborted(&c) : child_exited(&c, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conversions_print_as_printf_does),
      cmocka_unit_test(text_is_cut_and_always_ended),
      cmocka_unit_test(lines_have_the_prefix_and_are_cut),
      cmocka_unit_test(a_closed_stderr_is_no_failure),
      cmocka_unit_test(failed_checks_name_expression_and_values),
      cmocka_unit_test(assertions_hold_in_debug_builds_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
