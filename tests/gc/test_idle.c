/* gc/idle.c: what others than its mutators do for a collected heap, while they
 * work, collect, fork, and the heap is destroyed. */
#include "support.h"

#include "almacen_inline.h"
#include "cells.h"
#include "gc/idle.h"
#include "os/os.h"

#include <pthread.h>
#include <stdatomic.h>

static struct alm_heap_stats stats_of(struct alm_heap *heap) {
  struct alm_heap_stats s;
  alm_heap_stats_read(heap, &s);
  return s;
}

static uint64_t mapped(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  return s.heap_mapped;
}

/* ---- the background thread ------------------------------------------------- */

static pthread_t begin_thread(void *(*f)(void *), void *arg) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, f, arg) == 0);
  return thread;
}

struct order {
  struct world w;
  uint64_t n;
  struct alm_handle *list;
};

static void *make_list(void *arg) {
  struct order *o = arg;
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(o->w.heap, &m) == ALM_OK);
  o->list = alm_handle_create(m, list_of(m, o->w.cell, o->n));
  REQUIRE(o->list != NULL);
  alm_mutator_detach(m);
  return NULL;
}

/* By another thread, so that no stale word of this stack keeps it. */
static struct alm_handle *list_by_another(struct world w, uint64_t n) {
  struct order o = {w, n, NULL};
  REQUIRE(pthread_join(begin_thread(make_list, &o), NULL) == 0);
  return o.list;
}

/* Nobody calls anything: the mutator is blocked, as one that waits for input
 * is. */
static void shrink_and_sleep(void *arg) {
  (void)arg;
  struct alm_mutator *m;
  struct world w = make_world(NULL);
  uint64_t n = UNDER_TSAN ? 700000 : 4000000; /* sweeping is slow there */
  struct alm_handle *list = list_by_another(w, n);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  REQUIRE(alm_new_bytes(m, ALM_NOSCAN, 16 * MIB) != NULL);
  REQUIRE(mapped() > n * sizeof(struct cell) + 16 * MIB);
  alm_handle_set(list, list_of(m, w.cell, 1000));
  REQUIRE(alm_collect(m) == ALM_OK);
  REQUIRE(stats_of(w.heap).unswept_bytes > 8 * MIB);
  alm_blocked_begin(m);
  uint64_t end = now_ns() + 30000000000u;
  while (mapped() > 8 * MIB && now_ns() < end) {
    sleep_ms(20);
  }
  REQUIRE(mapped() <= 8 * MIB);
  REQUIRE(stats_of(w.heap).unswept_bytes == 0);
  REQUIRE(stats_of(w.heap).heap_bytes < 2 * MIB);
  alm_blocked_end(m);
  require_list(alm_handle_get(list), 1000);
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void a_heap_that_shrank_gives_its_memory_back_while_idle(void **state) {
  (void)state;
  child_must_pass(shrink_and_sleep, NULL, "decay_ms=200");
}

static void stay_small(void *arg) {
  (void)arg;
  struct alm_mutator *m;
  struct world w = make_world(NULL);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  uint64_t end = now_ns() + 300000000;
  while (now_ns() < end) {
    struct cell *list = list_of(m, w.cell, 10000);
    REQUIRE(alm_collect(m) == ALM_OK);
    require_list(list, 10000);
  }
  REQUIRE(!background_thread_runs());
}

static void a_small_heap_has_no_thread(void **state) {
  (void)state;
  child_must_pass(stay_small, NULL, NULL);
}

/* ---- pages that a busy heap will grow into ---------------------------------------- */

/* From the goal, and an eighth beyond, down to what the heap has. */
static uint64_t to_goal(struct alm_heap *heap) {
  struct alm_heap_stats s = stats_of(heap);
  uint64_t most = s.goal_bytes + s.goal_bytes / 8;
  return most > s.heap_bytes ? most - s.heap_bytes : 0;
}

/* The clock is the test's. */
static void retain(void *arg) {
  (void)arg;
  enum { PATIENCE = 1000 };
  uint64_t now = 50000;
  struct alm_mutator *m, *m2;
  struct world w = make_world(NULL), w2 = make_world(NULL);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  REQUIRE(alm_mutator_attach(w2.heap, &m2) == ALM_OK);
  REQUIRE(idle_retained_bytes(now, PATIENCE) == 0); /* nothing was allocated */
  for (int i = 0; i < 3; i++) {
    (void)list_of(m, w.cell, 20000);
    REQUIRE(to_goal(w.heap) > 1 * MIB);
    REQUIRE(idle_retained_bytes(now, PATIENCE) == to_goal(w.heap));
    REQUIRE(idle_retained_bytes(now + PATIENCE - 1, PATIENCE) ==
            to_goal(w.heap));
    REQUIRE(idle_retained_bytes(now + PATIENCE, PATIENCE) == 0);
    now += 2 * PATIENCE;
    REQUIRE(idle_retained_bytes(now, PATIENCE) == 0);
  }
  (void)list_of(m2, w2.cell, 20000);
  REQUIRE(idle_retained_bytes(now, PATIENCE) == to_goal(w2.heap));
  (void)list_of(m, w.cell, 20000);
  REQUIRE(idle_retained_bytes(now + PATIENCE / 2, PATIENCE) ==
          to_goal(w.heap) + to_goal(w2.heap));
  REQUIRE(idle_retained_bytes(now + PATIENCE, PATIENCE) == to_goal(w.heap));
  REQUIRE(alm_collect(m) == ALM_OK); /* allocates nothing */
  now += PATIENCE + PATIENCE / 2;
  REQUIRE(idle_retained_bytes(now, PATIENCE) == 0);
  alm_mutator_detach(m);
  alm_mutator_detach(m2);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
  REQUIRE(idle_retained_bytes(now, PATIENCE) == 0);
  REQUIRE(alm_heap_destroy(w2.heap) == ALM_OK);
}

static void what_a_heap_grows_into_is_kept_for_a_while(void **state) {
  (void)state;
  child_must_pass(retain, NULL, "background=0");
}

/* Above its goal a heap wants no more pages. */
static void retain_above_goal(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.first_bytes = 1 << 20};
  struct alm_mutator *m;
  struct world w = make_world(&options);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  void *volatile large = alm_new_bytes(m, ALM_NOSCAN, 16 * MIB);
  REQUIRE(large != NULL && to_goal(w.heap) == 0);
  REQUIRE(idle_retained_bytes(1000, 1000) == 0);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void above_its_goal_a_heap_keeps_no_free_pages(void **state) {
  (void)state;
  child_must_pass(retain_above_goal, NULL, "background=0");
}

enum { DECAY_MS = 1000, BUSY_MS = 3000 };

/* A little is allocated every few ms, for longer than the free pages last. True:
 * never was so long nothing that the heap may have been taken for an idle one. */
static bool allocate_slowly(struct alm_mutator *m, struct world w,
                            uint64_t *least) {
  uint64_t begin = now_ns(), last = begin, longest = 0;
  *least = UINT64_MAX;
  while (last - begin < (uint64_t)BUSY_MS * 1000000) {
    (void)alm_new_bytes(m, ALM_NOSCAN, 16384);
    (void)list_of(m, w.cell, 100);
    uint64_t now = now_ns();
    longest = now - last > longest ? now - last : longest;
    last = now;
    uint64_t bytes = mapped();
    *least = bytes < *least ? bytes : *least;
    sleep_ms(5);
  }
  return longest < (uint64_t)DECAY_MS * 1000000 / 2;
}

/* It has been at its goal, and is far below it after a collection. */
static void be_busy_then_idle(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.first_bytes = 48 << 20};
  struct alm_mutator *m;
  struct world w = make_world(&options);
  uint64_t least = 0, goal = 0;
  bool is_busy = false;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  for (int i = 0; i < 5 && !is_busy; i++) {
    uint64_t before = stats_of(w.heap).collections;
    while (stats_of(w.heap).collections == before) {
      memset(alm_new_bytes(m, ALM_NOSCAN, 16384), 1, 16384);
    }
    REQUIRE(alm_sweep(m) == ALM_OK);
    goal = stats_of(w.heap).goal_bytes;
    REQUIRE(stats_of(w.heap).heap_bytes < goal / 4 && mapped() > goal / 2);
    is_busy = allocate_slowly(m, w, &least);
  }
  REQUIRE(!is_busy || least > goal * 3 / 4);
  alm_blocked_begin(m);
  uint64_t end = now_ns() + 30000000000u;
  while (mapped() > goal / 2 && now_ns() < end) {
    sleep_ms(20);
  }
  REQUIRE(mapped() <= goal / 2);
  alm_blocked_end(m);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void pages_of_a_busy_heap_stay_and_of_an_idle_one_go(void **state) {
  (void)state;
  child_must_pass(be_busy_then_idle, NULL, "decay_ms=1000");
}

/* ---- the period ----------------------------------------------------------------- */

static bool is_collected_within(struct alm_heap *heap, uint64_t before,
                                unsigned ms) {
  uint64_t end = now_ns() + (uint64_t)ms * 1000000;
  while (stats_of(heap).collections == before && now_ns() < end) {
    sleep_ms(5);
  }
  return stats_of(heap).collections > before;
}

/* Until the next slow path at least. */
static void allocate_a_run(struct alm_mutator *m, struct world w) {
  (void)list_of(m, w.cell, 2000);
}

static void let_periods_pass(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.period_ms = 200};
  struct alm_mutator *m;
  struct world w = make_world(&options);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  for (int i = 0; i < 3; i++) {
    allocate_a_run(m, w); /* now something was */
    uint64_t before = stats_of(w.heap).collections;
    sleep_ms(250);
    REQUIRE(stats_of(w.heap).collections == before); /* nobody came */
    allocate_a_run(m, w);
    REQUIRE(stats_of(w.heap).collections > before);
    REQUIRE(alm_collect(m) == ALM_OK);
    before = stats_of(w.heap).collections;
    sleep_ms(250);
    alm_blocked_begin(m);
    REQUIRE(!idle_collect()); /* nothing was allocated */
    alm_blocked_end(m);
    REQUIRE(stats_of(w.heap).collections == before);
  }
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void the_next_slow_path_after_the_period_collects(void **state) {
  (void)state;
  child_must_pass(let_periods_pass, NULL, "background=0");
}

static void never_collect(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.period_ms = ALM_NEVER};
  struct alm_mutator *m;
  struct world w = make_world(&options);
  REQUIRE(idle_period_ns() == 0);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  allocate_a_run(m, w);
  sleep_ms(100);
  allocate_a_run(m, w);
  alm_blocked_begin(m);
  REQUIRE(!idle_collect());
  alm_blocked_end(m);
  REQUIRE(stats_of(w.heap).collections == 0);
  struct world two_minutes = make_world(NULL);
  REQUIRE(idle_period_ns() == UINT64_C(120000000000));
  REQUIRE(alm_heap_destroy(two_minutes.heap) == ALM_OK);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void a_heap_without_period_waits_for_its_goal(void **state) {
  (void)state;
  child_must_pass(never_collect, NULL, "background=0");
}

enum { BLOCKED, DETACHED, AT_SAFEPOINTS };

/* The library's thread was started by a first collection. Then everything
 * becomes garbage, and nobody allocates. */
static void leave_garbage(void *arg) {
  int kind = *(const int *)arg;
  struct alm_heap_options options = {.period_ms = 1000, .check = 1};
  struct alm_mutator *m;
  struct world w = make_world(&options);
  uint64_t n = UNDER_TSAN ? 700000 : 2000000;
  struct alm_handle *list = list_by_another(w, n);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  REQUIRE(alm_collect(m) == ALM_OK);
  allocate_a_run(m, w);
  alm_handle_set(list, NULL);
  uint64_t before = stats_of(w.heap).collections;
  if (kind == DETACHED) {
    alm_mutator_detach(m);
  } else if (kind == BLOCKED) {
    alm_blocked_begin(m);
  }
  if (kind == AT_SAFEPOINTS) {
    uint64_t end = now_ns() + 20000000000u;
    while (stats_of(w.heap).collections == before && now_ns() < end) {
      alm_safepoint_inline(m);
    }
  }
  REQUIRE(is_collected_within(w.heap, before, 20000));
  REQUIRE(stats_of(w.heap).live_bytes < 2 * MIB);
  if (kind == BLOCKED) {
    alm_blocked_end(m);
  } else if (kind == DETACHED) {
    REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  }
  require_list(list_of(m, w.cell, 1000), 1000);
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void after_the_period_a_heap_whose_threads_block_is_collected(
    void **state) {
  (void)state;
  child_must_pass(leave_garbage, &(int){BLOCKED}, NULL);
}

static void after_the_period_a_heap_without_threads_is_collected(void **state) {
  (void)state;
  child_must_pass(leave_garbage, &(int){DETACHED}, NULL);
}

static void after_the_period_a_thread_at_a_safepoint_collects(void **state) {
  (void)state;
  child_must_pass(leave_garbage, &(int){AT_SAFEPOINTS}, NULL);
}

/* ---- sweepers beside everything else ------------------------------------------ */

static atomic_bool stop;
static struct world shared;

static atomic_size_t ncollected;

static void *sweep_without_pause(void *arg) {
  size_t *n = arg;
  while (!atomic_load(&stop)) {
    *n += idle_sweep(1000000);
    ncollected += idle_collect();
    (void)idle_unswept_bytes();
  }
  return NULL;
}

static void *use_shared_heap(void *arg) {
  struct rng r = {(uintptr_t)arg + seed_take()};
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(shared.heap, &m) == ALM_OK);
  struct cell *volatile kept = list_of(m, shared.cell, 20000);
  while (!atomic_load(&stop)) {
    uint64_t n = rng_below(&r, 5000);
    struct cell *list = list_of(m, shared.cell, n);
    (void)alm_new_bytes(m, ALM_NOSCAN, rng_size(&r, 100000));
    if (rng_below(&r, 20) == 0) {
      REQUIRE(alm_collect(m) == ALM_OK);
    }
    require_list(list, n);
    for (; list != NULL && rng_below(&r, 4) != 0;) {
      struct cell *next = list->next;
      REQUIRE(alm_delete(m, list) == ALM_OK);
      list = next;
    }
    if (rng_below(&r, 8) == 0) {
      alm_blocked_begin(m);
      sleep_ms(3);
      alm_blocked_end(m);
    }
    if (rng_below(&r, 50) == 0) {
      require_list(kept, 20000);
      REQUIRE(alm_heap_check(m));
    }
  }
  require_list(kept, 20000);
  alm_mutator_detach(m);
  return NULL;
}

/* Heaps that are destroyed right after a collection, when they are swept, or
 * when they are overdue. */
static void *make_and_destroy_heaps(void *arg) {
  size_t *n = arg;
  struct alm_heap_options options = {.period_ms = 1, .check = 1};
  while (!atomic_load(&stop)) {
    struct alm_mutator *m;
    struct world w = make_world(&options);
    REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
    (void)list_of(m, w.cell, 3000);
    if (*n % 2) {
      REQUIRE(alm_collect(m) == ALM_OK);
    } else {
      alm_blocked_begin(m);
      sleep_ms(10); /* the coarse clock's step */
      alm_blocked_end(m);
    }
    alm_mutator_detach(m);
    REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
    ++*n;
  }
  return NULL;
}

static void fork_a_little(struct alm_mutator *m, struct cell *list) {
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    support_in_child = true;
    alarm(60);
    REQUIRE(alm_heap_check(m));
    if (!UNDER_TSAN && !UNDER_ASAN) { /* the first refuses the markers' threads,
                                         the second may hang starting them */
      REQUIRE(alm_collect(m) == ALM_OK);
      (void)idle_sweep(UINT64_MAX);
      REQUIRE(stats_of(shared.heap).unswept_bytes == 0);
      require_list(list_of(m, shared.cell, 1000), 1000);
    }
    require_list(list, 700);
    _exit(0);
  }
  int status;
  alm_blocked_begin(m);
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  alm_blocked_end(m);
}

static void sweep_beside_everything(void *arg) {
  (void)arg;
  struct alm_heap_options options = {
      .first_bytes = 2 << 20, .check = 1, .period_ms = 20};
  struct alm_mutator *m;
  size_t nswept[2] = {0, 0}, nheaps = 0;
  pthread_t threads[5];
  shared = make_world(&options);
  atomic_store(&stop, false);
  REQUIRE(alm_mutator_attach(shared.heap, &m) == ALM_OK);
  struct cell *volatile list = list_of(m, shared.cell, 700);
  for (size_t i = 0; i < 2; i++) {
    threads[i] = begin_thread(sweep_without_pause, &nswept[i]);
    threads[2 + i] = begin_thread(use_shared_heap, (void *)i);
  }
  threads[4] = begin_thread(make_and_destroy_heaps, &nheaps);
  uint64_t end = soak_end_ns(UNDER_TSAN || UNDER_ASAN ? 8000 : 4000);
  while (now_ns() < end) {
    fork_a_little(m, list);
    require_list(list_of(m, shared.cell, 1000), 1000);
  }
  atomic_store(&stop, true);
  alm_blocked_begin(m);
  for (size_t i = 0; i < 5; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  alm_blocked_end(m);
  REQUIRE(alm_heap_check(m));
  require_list(list, 700);
  REQUIRE(nswept[0] + nswept[1] > 0 && nheaps > 0 && ncollected > 0);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(shared.heap) == ALM_OK);
}

static void sweepers_meet_no_cycle_no_fork_and_no_end_of_a_heap(void **state) {
  (void)state;
  (void)seed_take();
  child_must_pass(sweep_beside_everything, NULL, "background=0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_heap_that_shrank_gives_its_memory_back_while_idle),
      cmocka_unit_test(a_small_heap_has_no_thread),
      cmocka_unit_test(what_a_heap_grows_into_is_kept_for_a_while),
      cmocka_unit_test(above_its_goal_a_heap_keeps_no_free_pages),
      cmocka_unit_test(pages_of_a_busy_heap_stay_and_of_an_idle_one_go),
      cmocka_unit_test(the_next_slow_path_after_the_period_collects),
      cmocka_unit_test(a_heap_without_period_waits_for_its_goal),
      cmocka_unit_test(
          after_the_period_a_heap_whose_threads_block_is_collected),
      cmocka_unit_test(after_the_period_a_heap_without_threads_is_collected),
      cmocka_unit_test(after_the_period_a_thread_at_a_safepoint_collects),
      cmocka_unit_test(sweepers_meet_no_cycle_no_fork_and_no_end_of_a_heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
