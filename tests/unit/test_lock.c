/* os/lock.c: exclusion, ranks. */
#include "support.h"

#include "base/atomic.h"
#include "os/lock.h"
#include "os/os.h"

#include <pthread.h>

enum { THREADS = 4 };

static struct lock shared = LOCK_INIT(RANK_CENTRAL);
static uint64_t counter; /* under shared */
static size_t turns;

static void *count(void *arg) {
  (void)arg;
  for (size_t i = 0; i < turns; i++) {
    if (i % 3 != 0 || !lock_try(&shared)) {
      lock_acquire(&shared);
    }
    lock_assert_held(&shared);
    counter++;
    if (i % 512 == 0) {
      os_yield(); /* so that others go to sleep on it */
    }
    lock_release(&shared);
  }
  return NULL;
}

static void increments_under_the_lock_all_count(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  turns = rounds(200000);
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_true(counter == THREADS * turns);
  assert_int_equal(shared.state, 0);
}

static uint32_t is_in;

static void *wait_for_it(void *arg) {
  lock_acquire(arg);
  atomic_store_release(&is_in, 1);
  lock_release(arg);
  return NULL;
}

static void a_sleeper_is_woken(void **state) {
  (void)state;
  struct lock l = LOCK_INIT(RANK_META);
  pthread_t t;
  lock_acquire(&l);
  assert_int_equal(pthread_create(&t, NULL, wait_for_it, &l), 0);
  sleep_ms(20); /* asleep by now */
  assert_int_equal(atomic_load_acquire(&is_in), 0);
  lock_release(&l);
  pthread_join(t, NULL);
  assert_int_equal(is_in, 1);
}

static void try_fails_on_a_held_lock(void **state) {
  (void)state;
  struct lock l = LOCK_INIT(RANK_META);
  assert_true(lock_try(&l));
  assert_false(lock_try(&l));
  lock_release(&l);
  assert_true(lock_try(&l));
  lock_reset_after_fork(&l);
  assert_true(lock_try(&l));
  lock_release(&l);
}

static void patience_with_a_held_lock_ends(void **state) {
  (void)state;
  struct lock l = LOCK_INIT(RANK_META);
  assert_true(lock_try_patiently(&l));
  assert_false(lock_try_patiently(&l));
  lock_release(&l);
  assert_true(lock_try_patiently(&l));
  lock_release(&l);
}

static void release_in_any_order(void **state) {
  (void)state;
  struct lock a = LOCK_INIT(RANK_REGISTRY), b = LOCK_INIT(RANK_CACHE),
              c = {0, RANK_CENTRAL, 4}, d = {0, RANK_CENTRAL, 5};
  lock_acquire(&a);
  lock_acquire(&b);
  lock_acquire(&c);
  lock_acquire(&d);
  lock_release(&b);
  lock_release(&a);
  lock_assert_held(&c);
  lock_release(&d);
  lock_release(&c);
}

static void acquire_downwards(void *arg) {
  struct lock high = LOCK_INIT(RANK_PAGEHEAP), low = LOCK_INIT(RANK_CACHE);
  (void)arg;
  lock_acquire(&high);
  lock_acquire(&low);
}

static void acquire_equals(void *arg) {
  struct lock a = {0, RANK_CENTRAL, 3}, b = {0, RANK_CENTRAL, 3};
  (void)arg;
  lock_acquire(&a);
  lock_acquire(&b);
}

static void acquire_same_rank_downwards(void *arg) {
  struct lock a = {0, RANK_CENTRAL, 3}, b = {0, RANK_CENTRAL, 2};
  (void)arg;
  lock_acquire(&a);
  lock_acquire(&b);
}

static void release_what_is_not_held(void *arg) {
  struct lock l = {1, RANK_META, 0};
  (void)arg;
  lock_release(&l);
}

static void assert_what_is_not_held(void *arg) {
  struct lock l = LOCK_INIT(RANK_META);
  (void)arg;
  lock_assert_held(&l);
}

static void rank_violations_abort_with_both_ranks_named(void **state) {
  (void)state;
  static const struct {
    void (*f)(void *);
    const char *message;
  } cases[] = {
      {acquire_downwards, "acquired while holding"},
      {acquire_equals, "3 acquired while holding"},
      {acquire_same_rank_downwards, "2 acquired while holding"},
      {release_what_is_not_held, "without holding it"},
      {assert_what_is_not_held, "is not held"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct child c = child_run(cases[i].f, NULL, NULL);
    if (ALM_DEBUG) {
      assert_true(child_aborted(&c));
      assert_non_null(strstr(c.text, cases[i].message));
    } else {
      assert_true(child_exited(&c, 0));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(increments_under_the_lock_all_count),
      cmocka_unit_test(a_sleeper_is_woken),
      cmocka_unit_test(try_fails_on_a_held_lock),
      cmocka_unit_test(patience_with_a_held_lock_ends),
      cmocka_unit_test(release_in_any_order),
      cmocka_unit_test(rank_violations_abort_with_both_ranks_named),
  };
  os_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
