/* mem/misuse.c: what reports say, and the handler. */
#include "support.h"

#include "mem/misuse.h"

static struct alm_misuse_info seen;
static char message[256];

static void note(const struct alm_misuse_info *info) {
  seen = *info;
  snprintf(message, sizeof message, "%s", info->message);
}

static void expect(struct misuse m, const char *text) {
  misuse_report("free", &m);
  assert_string_equal(message, text);
  assert_int_equal(seen.kind, m.kind);
  assert_ptr_equal(seen.pointer, m.pointer);
  assert_string_equal(seen.call, "free");
}

static void reports_name_call_pointer_and_what_it_is(void **state) {
  (void)state;
  const void *p = (void *)0x1238;
  assert_null(misuse_handler_set(note));
  expect((struct misuse){ALM_MISUSE_FOREIGN, p, 0, 0, 0},
         "free(0x1238): pointer was never allocated by almacen");
  expect((struct misuse){ALM_MISUSE_INTERIOR, p, 0x1230, 48, 0},
         "free(0x1238): pointer is 8 bytes inside a 48-byte object at 0x1230");
  expect((struct misuse){ALM_MISUSE_FREED, p, 0x1238, 48, 0},
         "free(0x1238): pointer is free already (48-byte object)");
  expect((struct misuse){ALM_MISUSE_FREED, p, 0, 0, 0},
         "free(0x1238): pointer is free already (in no object now)");
  expect((struct misuse){ALM_MISUSE_SIZE, p, 0x1238, 48, 64},
         "free(0x1238): size 64 cannot be that of a 48-byte object");
  assert_ptr_equal(misuse_handler_set(NULL), note);
}

static void report(void *arg) {
  struct misuse m = {ALM_MISUSE_FOREIGN, arg, 0, 0, 0};
  misuse_report("realloc", &m);
}

static void the_default_prints_and_aborts(void **state) {
  (void)state;
  struct child c = child_run(report, (void *)0x10, NULL);
  assert_true(child_aborted(&c));
  assert_string_equal(c.text, "almacen: realloc(0x10): pointer was never "
                              "allocated by almacen\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reports_name_call_pointer_and_what_it_is),
      cmocka_unit_test(the_default_prints_and_aborts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
