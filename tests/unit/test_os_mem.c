/* os/os_mem.c: the memory states, and faults. */
#include "support.h"

#include "os/os.h"

static size_t page; /* of the OS */

static int start(void **state) {
  (void)state;
  os_init();
  os_init();
  page = os_page_bytes();
  return page == (size_t)sysconf(_SC_PAGESIZE) ? 0 : -1;
}

static void touch_reserved(void *p) {
  *(volatile char *)p = 1;
}

static void reserved_memory_cannot_be_touched(void **state) {
  (void)state;
  char *p = os_reserve(NULL, 4 * page, "test");
  assert_non_null(p);
  struct child c = child_run(touch_reserved, p, NULL);
  assert_false(child_exited(&c, 0));
  os_unreserve(p, 4 * page);
}

static void ready_memory_is_zero_and_rounded_out(void **state) {
  (void)state;
  char *p = os_reserve(NULL, 4 * page, "test");
  assert_non_null(p);
  assert_true(os_ready(p + page + 5, 1));
  assert_int_equal(p[page], 0);
  p[page] = 1;
  p[2 * page - 1] = 2;
  assert_true(os_ready(p, 4 * page)); /* may be repeated */
  assert_int_equal(p[page], 1);
  p[4 * page - 1] = 3;
  os_unreserve(p, 4 * page);
}

static void released_memory_reads_zero_and_can_be_written(void **state) {
  (void)state;
  char *p = os_alloc(4 * page, "test");
  assert_non_null(p);
  memset(p, 7, 4 * page);
  assert_true(os_release(p + page, 2 * page));
  assert_int_equal(p[page - 1], 7);
  assert_int_equal(p[page], 0);
  assert_int_equal(p[3 * page - 1], 0);
  assert_int_equal(p[3 * page], 7);
  p[page] = 1;
  os_unreserve(p, 4 * page);
}

static void moved_pages_leave_zeroes_behind(void **state) {
  (void)state;
  char *from = os_alloc(3 * page, "test"), *to = os_alloc(3 * page, "test");
  assert_true(from != NULL && to != NULL);
  memset(from, 9, 3 * page);
  if (!os_move(from, to, 3 * page)) {
    print_message("this kernel does not move pages\n");
    assert_int_equal(from[0], 9);
  } else {
    assert_int_equal(to[0], 9);
    assert_int_equal(to[3 * page - 1], 9);
    assert_int_equal(from[0], 0);
    from[0] = 1;
  }
  os_unreserve(from, 3 * page);
  os_unreserve(to, 3 * page);
}

static void a_free_hint_is_taken_and_a_used_one_is_not(void **state) {
  (void)state;
  char *p = os_reserve(NULL, 64 * page, "test");
  assert_non_null(p);
  char *other = os_reserve(p, 64 * page, "test");
  assert_true(other != NULL &&
              (other >= p + 64 * page || other + 64 * page <= p));
  os_unreserve(other, 64 * page);
  os_unreserve(p, 64 * page);
  if (!UNDER_TSAN) { /* which has its own idea of addresses */
    char *again = os_reserve(p, 64 * page, "test");
    assert_ptr_equal(again, p);
    os_unreserve(again, 64 * page);
  }
}

static void failures_are_returned_and_errno_is_kept(void **state) {
  (void)state;
  errno = 33;
  if (!UNDER_ASAN && !UNDER_TSAN) { /* which end the process instead */
    assert_null(os_reserve(NULL, (size_t)1 << 60, "test"));
    assert_null(os_alloc((size_t)1 << 60, "test"));
  }
  char *p = os_reserve(NULL, page, "test");
  os_unreserve(p, page);
  assert_false(os_ready(p, page));
  assert_false(os_release(p, page));
  assert_int_equal(errno, 33);
}

static void faults_hit_the_nth_call_and_count_calls(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    assert_false(os_fault_hit(OS_ALLOC));
    skip();
  }
  char *p = os_alloc(2 * page, "test");
  (void)os_fault_set(OS_RELEASE, 2, 2);
  assert_true(os_release(p, page));
  assert_false(os_release(p, page));
  assert_false(os_release(p, page));
  assert_true(os_release(p, page));
  assert_int_equal(os_fault_set(OS_RELEASE, 1, UINT64_MAX), 4);
  for (int i = 0; i < 10; i++) {
    assert_false(os_release(p, page));
  }
  assert_true(os_ready(p, page)); /* other calls are not concerned */
  assert_int_equal(os_fault_set(OS_RELEASE, 0, 0), 10);
  assert_true(os_release(p, page));
  os_unreserve(p, 2 * page);
}

static void files_are_made_once_and_can_become_private(void **state) {
  (void)state;
  char path[64];
  enum os_file_failure why;
  snprintf(path, sizeof path, "os_file.%d", (int)getpid());
  char *p = os_file_map(path, 2 * page, NULL, &why);
  assert_non_null(p);
  memset(p, 'x', 10);
  assert_null(os_file_map(path, page, NULL, &why));
  assert_int_equal(why, OS_FILE_EXISTS);
  char text[16];
  assert_int_equal(os_file_read(path, text, sizeof text), sizeof text);
  assert_memory_equal(text, "xxxxxxxxxx\0\0\0\0\0\0", 16);
  assert_true(os_file_unmap_to_private(p, 2 * page));
  assert_int_equal(p[0], 0);
  unlink(path);
  errno = 33;
  assert_null(os_file_map("no/such/folder/file", page, NULL, &why));
  assert_int_equal(why, OS_FILE_NO_FOLDER);
  assert_int_equal(os_file_read(path, text, sizeof text), 0);
  assert_int_equal(errno, 33);
  os_unreserve(p, 2 * page);
}

static void time_and_numbers_move(void **state) {
  (void)state;
  uint64_t before = os_now_ns();
  sleep_ms(2);
  assert_true(os_now_ns() - before >= 2000000);
  assert_true(os_wall_ns() / 1000000000 > 1600000000);
  assert_true(os_random() != os_random());
  assert_int_equal(os_pid(), getpid());
  assert_int_equal(os_parent_pid(), getppid());
  assert_true(os_usage_self().rss_max > 100 * KIB);
  setenv("ALM_UNIT", "value", 1);
  assert_string_equal(os_getenv("ALM_UNIT"), "value");
  assert_null(os_getenv("ALM_UNIT_NOT_SET"));
}

static void expect_another_image(void *arg) {
  REQUIRE(os_image() != *(uint64_t *)arg);
  uint64_t own = os_image();
  pid_t pid = fork();
  if (pid == 0) {
    _exit(os_image() == own);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static void an_image_is_told_from_others(void **state) {
  (void)state;
  uint64_t own = os_image();
  assert_true(own == os_image());
  struct child c = child_run(expect_another_image, &own, NULL);
  assert_true(child_exited(&c, 0));
}

static void ages_count_from_the_beginning(void **state) {
  (void)state;
  os_age_begin();
  sleep_ms(3);
  assert_true(os_age_ns() >= 3000000);
  os_age_begin();
  assert_true(os_age_ns() < 3000000000u);
  uint64_t cpu = os_cpu_ns(), before = os_now_ns();
  while (os_cpu_ns() - cpu < 2000000) {}
  assert_true(os_now_ns() - before >= 1900000);
}

static void futex_returns_when_the_word_differs_or_time_is_up(void **state) {
  (void)state;
  uint32_t word = 1;
  os_futex_wait(&word, 0, 0); /* differs: at once */
  uint64_t before = os_now_ns();
  os_futex_wait(&word, 1, 3000000);
  assert_true(os_now_ns() - before >= 1000000);
  os_futex_wake(&word, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reserved_memory_cannot_be_touched),
      cmocka_unit_test(ready_memory_is_zero_and_rounded_out),
      cmocka_unit_test(released_memory_reads_zero_and_can_be_written),
      cmocka_unit_test(moved_pages_leave_zeroes_behind),
      cmocka_unit_test(a_free_hint_is_taken_and_a_used_one_is_not),
      cmocka_unit_test(failures_are_returned_and_errno_is_kept),
      cmocka_unit_test(faults_hit_the_nth_call_and_count_calls),
      cmocka_unit_test(files_are_made_once_and_can_become_private),
      cmocka_unit_test(time_and_numbers_move),
      cmocka_unit_test(an_image_is_told_from_others),
      cmocka_unit_test(ages_count_from_the_beginning),
      cmocka_unit_test(futex_returns_when_the_word_differs_or_time_is_up),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
