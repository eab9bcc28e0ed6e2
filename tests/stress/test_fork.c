/* Forks out of a process whose threads allocate all the time. A child that
 * waits for a lock its parent's threads held would wait for ever. */
#include "load.h"

static uint64_t end_ns;
static uint64_t seed;

static void *work(void *arg) {
  struct rng r = {seed + (uintptr_t)arg * 104729};
  while (now_ns() < end_ns) {
    load_some(&r, 500, rng_below(&r, 3) ? 3000 : 400000);
    if (rng_below(&r, 50) == 0) {
      (void)alm_release_memory(0);
    }
  }
  return NULL;
}

/* What a child does: all of the allocator, its own thread only. */
static void live_as_child(uint64_t own_seed, unsigned depth) {
  struct rng r = {own_seed};
  alarm(30); /* a deadlock ends here */
  load_some(&r, 1000, 100000);
  mail_empty(); /* objects of the parent's threads are ours to free */
  struct alm_stats s;
  alm_stats_read(&s);
  (void)alm_release_memory(0);
  alm_thread_flush();
  REQUIRE(alm_check());
  (void)alm_background_stop(); /* the child's own, if it has one by now */
  if (depth > 0) {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      live_as_child(own_seed + 1, depth - 1);
      _exit(0);
    }
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  }
}

static void *fork_often(void *arg) {
  uint64_t own_seed = seed + (uintptr_t)arg * 1000003;
  while (now_ns() < end_ns) {
    void *before = object_make(100, 1);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      support_in_child = true;
      object_free(before);
      live_as_child(own_seed, own_seed % 8 == 0);
      _exit(0);
    }
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(status == 0);
    object_free(before);
    own_seed++;
  }
  return NULL;
}

static void *fork_or_work(void *arg) {
  return (uintptr_t)arg < 2 ? fork_often(arg) : work(arg);
}

static void children_of_a_busy_process_can_allocate(void **state) {
  (void)state;
  seed = seed_take();
  sleep_ms(120); /* so that there is a background thread as well */
  end_ns = soak_end_ns(2500);
  threads_run(5, fork_or_work);
  mail_empty();
  (void)alm_background_stop();
  everything_must_be_back();
}

/* What a process counts lies in memory it shares with its record's readers,
 * and for a moment with its children. */
static void fork_with_a_record(void *arg) {
  (void)arg;
  end_ns = soak_end_ns(2500);
  threads_run(5, fork_or_work);
  REQUIRE(alm_check());
}

static void accounts_of_parent_and_child_are_apart(void **state) {
  (void)state;
  char folder[] = "records.XXXXXX", options[64], command[64];
  seed = seed_take();
  assert_non_null(mkdtemp(folder));
  snprintf(options, sizeof options, "record=%s", folder);
  child_must_pass(fork_with_a_record, NULL, options);
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

/* A child that goes on as a threaded process of its own. */
static void live_as_threaded_child(void) {
  support_in_child = true;
  alarm(60);
  seed++;
  end_ns = now_ns() + 200000000;
  threads_run(3, work);
  mail_empty();
  REQUIRE(alm_check());
}

static void *fork_threaded(void *arg) {
  (void)arg;
  for (int i = 0; i < 5; i++) {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      live_as_threaded_child();
      _exit(0);
    }
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  }
  return NULL;
}

static void *fork_threaded_or_work(void *arg) {
  return (uintptr_t)arg < 1 ? fork_threaded(arg) : work(arg);
}

static void children_can_have_threads_again(void **state) {
  (void)state;
  if (UNDER_TSAN) {
    skip(); /* it refuses threads in the child of a threaded process */
  }
  seed = seed_take();
  end_ns = now_ns() + 1500000000;
  threads_run(4, fork_threaded_or_work);
  mail_empty();
  (void)alm_background_stop();
  everything_must_be_back();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accounts_of_parent_and_child_are_apart),
      cmocka_unit_test(children_of_a_busy_process_can_allocate),
      cmocka_unit_test(children_can_have_threads_again),
  };
  (void)seed_take();
  if (UNDER_TSAN) {
    print_message("its runtime forbids threads in such children\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
