/* os/conf.c: options from the environment and by call. */
#include "support.h"

#include "os/conf.h"
#include "os/os.h"

static void read_defaults(void *arg) {
  (void)arg;
  conf_init();
  REQUIRE(conf_number(CONF_background) == 1);
  REQUIRE(conf_number(CONF_reserve) == 16 * TIB);
  REQUIRE(conf_number(CONF_seed) == 0);
  REQUIRE(strcmp(conf_text(CONF_record), "") == 0);
}

static void defaults_hold_without_a_variable(void **state) {
  (void)state;
  struct child c = child_run(read_defaults, NULL, NULL);
  assert_true(child_exited(&c, 0));
  assert_string_equal(c.text, "");
  c = child_run(read_defaults, NULL, ",,,");
  assert_true(child_exited(&c, 0));
  assert_string_equal(c.text, "");
}

static void read_values(void *arg) {
  (void)arg;
  conf_init();
  REQUIRE(conf_number(CONF_background) == 0);
  REQUIRE(conf_number(CONF_decay_ms) == 250);
  REQUIRE(conf_number(CONF_reserve) == 3 * GIB);
  REQUIRE(conf_number(CONF_seed) == UINT64_MAX);
  REQUIRE(strcmp(conf_text(CONF_record), "/some/where=x") == 0);
}

static void values_are_read_with_their_units(void **state) {
  (void)state;
  struct child c = child_run(read_values, NULL,
                             "background=0,decay_ms=250,,reserve=3G,"
                             "seed=18446744073709551615,record=/some/where=x,");
  assert_true(child_exited(&c, 0));
  assert_string_equal(c.text, "");
}

static void wrong_options_are_named_once_each_and_ignored(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "background=2",
      "background=",
      "background",
      "background=yes",
      "decay_ms=-1",
      "decay_ms=3600001",
      "reserve=1K",
      "reserve=17T",
      "reserve=16X",
      "reserve=16TT",
      "reserve=T",
      "reserve=99999999999999999999",
      "seed=0x10",
      "seed=1K",
      "seed=18446744073709551616",
      "reserve=18014398509481985K",
      "background =1",
      "BACKGROUND=1",
      "no_such_name=1",
      "=1",
      "nothing",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct child c = child_run(read_defaults, NULL, wrong[i]);
    assert_true(child_exited(&c, 0));
    char expected[100];
    snprintf(expected, sizeof expected, "almacen: option \"%s\"", wrong[i]);
    assert_memory_equal(c.text, expected, strlen(expected));
    assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
  }
}

static void every_wrong_option_has_its_line(void **state) {
  (void)state;
  struct child c = child_run(read_defaults, NULL, "a=1,background=9,b");
  assert_true(child_exited(&c, 0));
  const char *second = strchr(c.text, '\n') + 1;
  const char *third = strchr(second, '\n') + 1;
  assert_non_null(strstr(c.text, "option \"a=1\" is unknown"));
  assert_non_null(strstr(second, "expected background=NUMBER from 0 to 1"));
  assert_non_null(strstr(third, "option \"b\" is unknown"));
  assert_int_equal(strlen(strchr(third, '\n')), 1);
}

static void a_text_too_long_is_reported(void **state) {
  (void)state;
  char options[400] = "record=";
  memset(options + 7, 'a', 300);
  struct child c = child_run(read_defaults, NULL, options);
  assert_true(child_exited(&c, 0));
  assert_non_null(strstr(c.text, "of at most 255 bytes"));
}

static void set_and_get(void *arg) {
  char text[32];
  (void)arg;
  conf_init();
  REQUIRE(conf_set("decay_ms", "77") == ALM_OK);
  REQUIRE(conf_number(CONF_decay_ms) == 77);
  REQUIRE(conf_get("decay_ms", text, sizeof text) == ALM_OK);
  REQUIRE(strcmp(text, "77") == 0);
  REQUIRE(conf_get("decay_ms", text, 2) == ALM_OK);
  REQUIRE(strcmp(text, "7") == 0);
  REQUIRE(conf_get("decay_ms", text, 0) == ALM_EINVAL);
  REQUIRE(conf_get("decay_ms", NULL, 5) == ALM_EINVAL);
  REQUIRE(conf_set("decay_ms", "78x") == ALM_EVALUE);
  REQUIRE(conf_set("decay_ms", NULL) == ALM_EVALUE);
  REQUIRE(conf_set("decay_ms", "") == ALM_EVALUE);
  REQUIRE(conf_number(CONF_decay_ms) == 77);
  REQUIRE(conf_set("reserve", "1G") == ALM_ELATE);
  REQUIRE(conf_set("nothing", "1") == ALM_ENAME);
  REQUIRE(conf_set(NULL, "1") == ALM_ENAME);
  REQUIRE(conf_get("nothing", text, sizeof text) == ALM_ENAME);
}

static void set_and_get_tell_what_is_wrong(void **state) {
  (void)state;
  child_must_pass(set_and_get, NULL, NULL);
}

static void the_table_can_be_listed(void **state) {
  (void)state;
  struct alm_option_info info;
  size_t n = 0;
  while (conf_list(n, &info) == ALM_OK) {
    assert_true(info.name[0] && info.help[0] && info.type[0]);
    assert_true(strcmp(info.when, "start") == 0 ||
                strcmp(info.when, "any") == 0);
    assert_int_equal(info.help[strlen(info.help) - 1], '.');
    n++;
  }
  assert_int_equal(n, CONF_COUNT);
  assert_int_equal(conf_list(0, NULL), ALM_EINVAL);
  assert_int_equal(conf_list(SIZE_MAX, &info), ALM_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_hold_without_a_variable),
      cmocka_unit_test(values_are_read_with_their_units),
      cmocka_unit_test(wrong_options_are_named_once_each_and_ignored),
      cmocka_unit_test(every_wrong_option_has_its_line),
      cmocka_unit_test(a_text_too_long_is_reported),
      cmocka_unit_test(set_and_get_tell_what_is_wrong),
      cmocka_unit_test(the_table_can_be_listed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
