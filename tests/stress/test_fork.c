/* tests/stress/test_fork.c -- fork in the middle of everything.
 *
 * WHAT    A threaded process forks while its threads are in every part of the
 *         allocator; each child allocates, frees what it inherited, checks
 *         the whole heap and exits. A lock that stayed held shows as a
 *         timeout.
 */
#include "support.h"

#include "almacen.h"

#include <pthread.h>

enum { THREADS = 4, KEPT = 200 };

static bool is_over;

static void *busy(void *arg) {
  struct rng r = {(uintptr_t)arg};
  void *kept[KEPT] = {NULL};
  while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
    size_t at = rng_below(&r, KEPT);
    alm_free(kept[at]);
    kept[at] = alm_malloc(rng_size(&r, 100000));
    REQUIRE(kept[at] != NULL);
    if (rng_below(&r, 500) == 0) {
      alm_release_memory(0);
    }
  }
  for (size_t i = 0; i < KEPT; i++) {
    alm_free(kept[i]);
  }
  return NULL;
}

static void live_as_child(struct rng *r, void **inherited) {
  alarm(20);
  for (size_t i = 0; i < KEPT; i++) {
    REQUIRE(stamp_holds(inherited[i], 100, 100, i));
    alm_free(inherited[i]);
  }
  void *mine[KEPT] = {NULL};
  for (size_t i = 0; i < 10 * KEPT; i++) {
    size_t at = rng_below(r, KEPT);
    alm_free(mine[at]);
    mine[at] = alm_malloc(rng_size(r, 100000));
    REQUIRE(mine[at] != NULL);
  }
  REQUIRE(alm_check());
  alm_release_memory(0);
  _exit(0);
}

static void fork_often(void *unused) {
  (void)unused;
  struct rng r = {seed_take()};
  pthread_t threads[THREADS];
  void *inherited[KEPT];
  for (size_t i = 0; i < KEPT; i++) {
    inherited[i] = alm_malloc(100);
    REQUIRE(inherited[i] != NULL);
    stamp_write(inherited[i], 100, i);
  }
  for (size_t i = 0; i < THREADS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, busy,
                           (void *)(uintptr_t)rng_next(&r)) == 0);
  }
  uint64_t end = soak_end_ns(2000);
  do {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      live_as_child(&r, inherited);
    }
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rng_next(&r);
  } while (now_ns() < end);
  __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  REQUIRE(alm_check());
}

static void children_of_a_threaded_process_go_on(void **state) {
  (void)state;
  if (UNDER_TSAN) {
    skip(); /* its runtime does not support work in such a child */
  }
  seed_take();
  child_must_pass(fork_often, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(children_of_a_threaded_process_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
