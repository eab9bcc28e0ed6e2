/* gc/work.c: threads that take what others give, and know when it is over. */
#include "support.h"

#include "gc/work.h"
#include "os/os.h"

#include <pthread.h>

enum { THREADS = 4, SEEDS = 50, DEPTH = 9 };

static struct work work = {.lock = LOCK_INIT(RANK_WORK)};
static uint64_t done; /* items seen, all threads */

/* An item n stands for a tree: it is followed by two of n - 1. */
static void *run(void *unused) {
  struct work_buffer *own = work_take_empty(&work);
  (void)unused;
  while (own != NULL) {
    while (own->count > 0) {
      uintptr_t n = own->items[--own->count];
      (void)atomic_add_relaxed(&done, 1);
      for (int i = 0; n > 1 && i < 2; i++) {
        if (own->count == WORK_ITEMS ||
            (own->count > 0 && work_is_wanted(&work))) {
          struct work_buffer *more = work_take_empty(&work);
          REQUIRE(more != NULL);
          work_give(&work, own);
          own = more;
        }
        own->items[own->count++] = n - 1;
      }
    }
    work_return_empty(own);
    own = work_take(&work);
  }
  return NULL;
}

static void share_trees(void *arg) {
  pthread_t threads[THREADS];
  (void)arg;
  os_init();
  for (int round = 0; round < 20; round++) {
    done = 0;
    work_begin(&work, THREADS);
    for (int i = 0; i < SEEDS; i++) {
      struct work_buffer *b = work_take_empty(&work);
      REQUIRE(b != NULL);
      b->items[b->count++] = DEPTH;
      work_give(&work, b);
    }
    for (int i = 0; i < THREADS; i++) {
      REQUIRE(pthread_create(&threads[i], NULL, run, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
      REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    REQUIRE(done == SEEDS * ((1u << DEPTH) - 1));
    REQUIRE(work.full == NULL && work.nidle == THREADS);
  }
}

static void all_work_is_done_before_anyone_leaves(void **state) {
  (void)state;
  child_must_pass(share_trees, NULL, NULL);
}

static void refuse_buffers(void *arg) {
  (void)arg;
  os_init();
  work_begin(&work, 1);
  (void)os_fault_set(OS_ALLOC, 1, UINT64_MAX);
  while (work_take_empty(&work) != NULL) {
    REQUIRE(!work.has_overflowed);
  }
  REQUIRE(work.has_overflowed); /* [work.2] */
}

static void a_missing_buffer_sets_the_overflow_flag(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(refuse_buffers, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_work_is_done_before_anyone_leaves),
      cmocka_unit_test(a_missing_buffer_sets_the_overflow_flag),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
