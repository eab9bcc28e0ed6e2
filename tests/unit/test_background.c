/* api/background.c: when the thread exists and what it does. */
#include "support.h"

#include "almacen.h"
#include "api/background.h"
#include "os/os.h"

/* It gives itself the name when it runs, a little after it was started. */
static bool thread_starts(void) {
  uint64_t end = now_ns() + 2000000000u;
  while (!background_thread_runs() && now_ns() < end) {
    sleep_ms(1);
  }
  return background_thread_runs();
}

/* A process of some age, with its library started. */
static void grow_old(void) {
  alm_free(alm_malloc(1));
  sleep_ms(150);
}

static void spike(size_t bytes) {
  enum { EACH = 256 << 10 };
  static void *objects[1024];
  size_t n = bytes / EACH;
  REQUIRE(n <= 1024);
  for (size_t i = 0; i < n; i++) {
    objects[i] = alm_malloc(EACH);
    REQUIRE(objects[i] != NULL);
    memset(objects[i], 1, EACH);
  }
  for (size_t i = 0; i < n; i++) {
    alm_free(objects[i]);
  }
}

static uint64_t mapped(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  return s.heap_mapped;
}

static bool comes_true_within(bool (*f)(void), unsigned ms) {
  uint64_t end = now_ns() + (uint64_t)ms * 1000000;
  while (!f()) {
    if (now_ns() > end) {
      return false;
    }
    sleep_ms(10);
  }
  return true;
}

static bool thread_is_gone(void) {
  return !background_thread_runs();
}

static bool little_is_mapped(void) {
  return mapped() < 2 * MIB;
}

static void spike_and_wait(void *arg) {
  (void)arg;
  grow_old();
  REQUIRE(!background_thread_runs());
  spike(64 * MIB);
  REQUIRE(thread_starts());
  REQUIRE(mapped() > 32 * MIB);
  REQUIRE(comes_true_within(little_is_mapped, 8000));
  REQUIRE(alm_check());
  REQUIRE(alm_background_stop());
  /* joined, but the kernel may list it a moment longer */
  REQUIRE(comes_true_within(thread_is_gone, 1000));
  REQUIRE(!alm_background_stop());
  spike(64 * MIB);
  REQUIRE(thread_starts()); /* again */
  REQUIRE(comes_true_within(little_is_mapped, 8000));
  sleep_ms(1800); /* two quiet rounds: it sleeps without a timeout now */
  spike(64 * MIB);
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void a_spike_is_returned_while_nobody_allocates(void **state) {
  (void)state;
  child_must_pass(spike_and_wait, NULL, "decay_ms=200");
}

static void stay_small(void *arg) {
  (void)arg;
  grow_old();
  for (int i = 0; i < 1000; i++) {
    spike(4 * MIB);
  }
  REQUIRE(!background_thread_runs());
}

static void small_processes_have_no_thread(void **state) {
  (void)state;
  child_must_pass(stay_small, NULL, NULL);
}

static void be_short(void *arg) {
  (void)arg;
  alm_free(alm_malloc(1));
  uint64_t begin = now_ns();
  spike(24 * MIB);
  bool runs = background_thread_runs();
  REQUIRE(!runs || now_ns() - begin > 90000000);
}

static void short_processes_have_no_thread(void **state) {
  (void)state;
  child_must_pass(be_short, NULL, NULL);
}

static void free_much_at_once(void *arg) {
  (void)arg;
  spike(64 * MIB);
  REQUIRE(thread_starts());
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void much_is_returned_however_young_the_process(void **state) {
  (void)state;
  child_must_pass(free_much_at_once, NULL, "decay_ms=200");
}

static void stay_off(void *arg) {
  (void)arg;
  grow_old();
  spike(64 * MIB);
  REQUIRE(!background_thread_runs());
  sleep_ms(300);
  REQUIRE(mapped() > 32 * MIB);
  REQUIRE(alm_option_set("background", "1") == ALM_OK);
  spike(64 * MIB);
  REQUIRE(thread_starts());
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void switched_off_it_never_starts_until_switched_on(void **state) {
  (void)state;
  child_must_pass(stay_off, NULL, "background=0,decay_ms=200");
}

static void switch_off_and_on(void *arg) {
  (void)arg;
  grow_old();
  spike(64 * MIB);
  REQUIRE(thread_starts());
  REQUIRE(alm_option_set("background", "0") == ALM_OK);
  sleep_ms(300); /* it sees that */
  uint64_t left = mapped();
  spike(64 * MIB);
  sleep_ms(300);
  REQUIRE(mapped() >= left);
  REQUIRE(alm_option_set("background", "1") == ALM_OK);
  spike(64 * MIB);
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void switched_off_and_on_it_works_again(void **state) {
  (void)state;
  child_must_pass(switch_off_and_on, NULL, "decay_ms=200");
}

static void fork_with_thread(void *arg) {
  (void)arg;
  grow_old();
  spike(64 * MIB);
  REQUIRE(thread_starts());
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    REQUIRE(!alm_background_stop());
    if (!UNDER_TSAN) { /* which refuses new threads in a child */
      spike(64 * MIB);
      REQUIRE(thread_starts());
      REQUIRE(comes_true_within(little_is_mapped, 8000));
    }
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void a_forked_child_starts_its_own(void **state) {
  (void)state;
  child_must_pass(fork_with_thread, NULL, "decay_ms=200");
}

static void fail_to_start(void *arg) {
  (void)arg;
  grow_old();
  (void)os_fault_set(OS_THREAD, 1, 3);
  errno = 33;
  spike(64 * MIB);
  REQUIRE(errno == 33);
  REQUIRE(os_fault_set(OS_THREAD, 0, 0) >= 3);
  spike(64 * MIB);
  REQUIRE(thread_starts());
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void a_thread_that_cannot_start_is_tried_again(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(fail_to_start, NULL, "decay_ms=200");
}

static void trace(void *arg) {
  (void)arg;
  grow_old();
  spike(64 * MIB);
  REQUIRE(comes_true_within(little_is_mapped, 8000));
}

static void scavtrace_prints_what_was_returned(void **state) {
  (void)state;
  struct child c = child_run(trace, NULL, "decay_ms=0,scavtrace=1");
  assert_true(child_exited(&c, 0));
  assert_non_null(strstr(c.text, "almacen: scavenge: "));
  assert_non_null(strstr(c.text, " KiB returned, "));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_spike_is_returned_while_nobody_allocates),
      cmocka_unit_test(small_processes_have_no_thread),
      cmocka_unit_test(short_processes_have_no_thread),
      cmocka_unit_test(much_is_returned_however_young_the_process),
      cmocka_unit_test(switched_off_it_never_starts_until_switched_on),
      cmocka_unit_test(switched_off_and_on_it_works_again),
      cmocka_unit_test(a_forked_child_starts_its_own),
      cmocka_unit_test(a_thread_that_cannot_start_is_tried_again),
      cmocka_unit_test(scavtrace_prints_what_was_returned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
