/* Collected heaps and their threads: many that come and go, while others
 * collect; blocked regions; fork; several heaps at once. */
#include "support.h"

#include "almacen_inline.h"
#include "cells.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  BATCH = 64,
  CROWD = 1000,
  STACK_BYTES = 256 << 10, /* of each thread of a crowd */
  WORDS = 6,
};

static void end_world(const struct world *w) {
  struct alm_heap_stats s;
  alm_heap_stats_read(w->heap, &s);
  REQUIRE(s.mutators == 0);
  REQUIRE(alm_heap_destroy(w->heap) == ALM_OK);
}

static pthread_t begin_thread(void *(*f)(void *), void *arg) {
  pthread_t thread;
  pthread_attr_t attr;
  REQUIRE(pthread_attr_init(&attr) == 0);
  REQUIRE(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
  REQUIRE(pthread_create(&thread, &attr, f, arg) == 0);
  pthread_attr_destroy(&attr);
  return thread;
}

/* ---- threads come and go -------------------------------------------------------- */

static struct world w;
static atomic_uint ncome;
static atomic_bool stop;

/* A short life: a list, garbage, sometimes a collection; every other thread
 * ends without detaching, some of them in a blocked region. */
static void *come_and_go(void *arg) {
  struct rng r = {(uintptr_t)arg * 7919 + seed_take()};
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  uint64_t n = rng_below(&r, 300);
  struct cell *list = list_of(m, w.cell, n);
  for (size_t left = rng_below(&r, 20); left > 0; left--) {
    REQUIRE(alm_new_bytes(m, ALM_CONSERVATIVE, rng_size(&r, 60000)) != NULL);
  }
  if (rng_below(&r, 64) == 0) {
    REQUIRE(alm_collect(m) == ALM_OK);
  }
  require_list(list, n);
  atomic_fetch_add(&ncome, 1);
  switch (rng_below(&r, 4)) {
  case 0:
    alm_blocked_begin(m);
    break;
  case 1:
    break;
  default:
    alm_mutator_detach(m);
  }
  return NULL;
}

static void *collect_until_stopped(void *arg) {
  struct world *own = arg;
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(own->heap, &m) == ALM_OK);
  struct cell *volatile list = list_of(m, own->cell, 1000);
  while (!atomic_load(&stop)) {
    REQUIRE(alm_collect(m) == ALM_OK);
    require_list(list, 1000);
    alm_blocked_begin(m);
    sleep_ms(1);
    alm_blocked_end(m);
  }
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  return NULL;
}

static void threads_come_and_go_while_others_collect(void **state) {
  (void)state;
  size_t total = rounds(10000), begun = 0;
  struct alm_heap_options options = {.first_bytes = 256 << 10};
  w = make_world(&options);
  atomic_store(&stop, false);
  atomic_store(&ncome, 0);
  pthread_t collector = begin_thread(collect_until_stopped, &w);
  while (begun < total) {
    pthread_t threads[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
      threads[i] = begin_thread(come_and_go, (void *)(uintptr_t)begun++);
    }
    for (size_t i = 0; i < BATCH; i++) {
      REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
  }
  atomic_store(&stop, true);
  REQUIRE(pthread_join(collector, NULL) == 0);
  REQUIRE(atomic_load(&ncome) == begun);
  end_world(&w);
  all_memory_is_back();
}

/* ---- a crowd ----------------------------------------------------------------------- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned waiting;
  unsigned generation;
} crowd = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

/* In a blocked region until the main thread says go. */
static void wait_in_crowd(struct alm_mutator *m) {
  alm_blocked_begin(m);
  pthread_mutex_lock(&crowd.lock);
  unsigned generation = crowd.generation;
  crowd.waiting++;
  pthread_cond_broadcast(&crowd.changed);
  while (crowd.generation == generation) {
    pthread_cond_wait(&crowd.changed, &crowd.lock);
  }
  pthread_mutex_unlock(&crowd.lock);
  alm_blocked_end(m);
}

static void wait_for_crowd(unsigned n) {
  pthread_mutex_lock(&crowd.lock);
  while (crowd.waiting < n) {
    pthread_cond_wait(&crowd.changed, &crowd.lock);
  }
  crowd.waiting = 0;
  pthread_mutex_unlock(&crowd.lock);
}

static void release_crowd(void) {
  pthread_mutex_lock(&crowd.lock);
  crowd.generation++;
  pthread_cond_broadcast(&crowd.changed);
  pthread_mutex_unlock(&crowd.lock);
}

static void *be_one_of_many(void *arg) {
  struct alm_mutator *m;
  uint64_t n = 10 + (uintptr_t)arg % 50;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  struct cell *volatile list = list_of(m, w.cell, n);
  wait_in_crowd(m);
  require_list(list, n); /* the collections found it on the stack */
  (void)list_of(m, w.cell, n);
  require_list(list, n);
  wait_in_crowd(m);
  if ((uintptr_t)arg % 2) {
    alm_mutator_detach(m);
  }
  return NULL;
}

static void a_thousand_threads_are_scanned_at_once(void **state) {
  (void)state;
  static pthread_t threads[CROWD];
  struct alm_heap_options options = {.first_bytes = 1 << 20, .check = 1};
  struct alm_heap_stats s;
  struct alm_mutator *m;
  unsigned n = UNDER_TSAN || UNDER_ASAN ? CROWD / 4 : CROWD;
  w = make_world(&options);
  for (unsigned i = 0; i < n; i++) {
    threads[i] = begin_thread(be_one_of_many, (void *)(uintptr_t)i);
  }
  wait_for_crowd(n);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  for (int i = 0; i < 5; i++) {
    REQUIRE(alm_collect(m) == ALM_OK);
  }
  alm_heap_stats_read(w.heap, &s);
  REQUIRE(s.mutators == n + 1 && s.live_objects >= n * 10);
  alm_blocked_begin(m);
  release_crowd();
  wait_for_crowd(n);
  alm_blocked_end(m);
  REQUIRE(alm_collect(m) == ALM_OK);
  release_crowd();
  alm_blocked_begin(m);
  for (unsigned i = 0; i < n; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  alm_blocked_end(m);
  REQUIRE(alm_collect(m) == ALM_OK && alm_sweep(m) == ALM_OK);
  alm_heap_stats_read(w.heap, &s);
  REQUIRE(s.mutators == 1 && s.live_objects < 500);
  alm_mutator_detach(m);
  end_world(&w);
  all_memory_is_back();
}

/* ---- blocked regions ----------------------------------------------------------------- */

static int ends[2];

/* Pointers in local variables only, some of them in registers that a callee
 * keeps. */
static void *read_blocked(void *arg) {
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  struct cell *a = list_of(m, w.cell, 100), *b = list_of(m, w.cell, 101),
              *c = list_of(m, w.cell, 102), *d = list_of(m, w.cell, 103);
  for (size_t i = 0; i < (uintptr_t)arg; i++) {
    char byte;
    alm_blocked_begin(m);
    ssize_t n = read(ends[0], &byte, 1);
    alm_blocked_end(m);
    REQUIRE(n == 1);
    require_list(a, 100);
    require_list(b, 101);
    require_list(c, 102);
    require_list(d, 103);
    struct cell *e = d; /* they change places */
    d = c;
    c = b;
    b = a;
    a = list_of(m, w.cell, 100);
    require_list(e, 103);
    struct cell *fresh[3] = {list_of(m, w.cell, 101), list_of(m, w.cell, 102),
                             list_of(m, w.cell, 103)};
    b = fresh[0];
    c = fresh[1];
    d = fresh[2];
  }
  return NULL;
}

static void a_thread_that_reads_is_not_waited_for(void **state) {
  (void)state;
  struct alm_heap_options options = {.first_bytes = 64 << 10};
  struct alm_mutator *m;
  size_t n = rounds(2000), nthreads = 4;
  pthread_t threads[4];
  w = make_world(&options);
  REQUIRE(pipe(ends) == 0);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  for (size_t i = 0; i < nthreads; i++) {
    threads[i] = begin_thread(read_blocked, (void *)n);
  }
  for (size_t i = 0; i < n * nthreads; i++) {
    if (i % 8 == 0) {
      REQUIRE(alm_collect(m) == ALM_OK);
    }
    alm_blocked_begin(m);
    REQUIRE(write(ends[1], "x", 1) == 1);
    alm_blocked_end(m);
  }
  alm_blocked_begin(m);
  for (size_t i = 0; i < nthreads; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  alm_blocked_end(m);
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  close(ends[0]);
  close(ends[1]);
  end_world(&w);
  all_memory_is_back();
}

/* ---- fork ------------------------------------------------------------------------------ */

static void *allocate_until_stopped(void *arg) {
  struct alm_mutator *m;
  struct rng r = {(uintptr_t)arg};
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  while (!atomic_load(&stop)) {
    uint64_t n = rng_below(&r, 2000);
    struct cell *list = list_of(m, w.cell, n);
    (void)alm_new_bytes(m, ALM_NOSCAN, rng_size(&r, 100000));
    require_list(list, n);
    void *p = alm_malloc(rng_size(&r, 5000));
    REQUIRE(p != NULL);
    alm_free(p);
  }
  alm_mutator_detach(m);
  return NULL;
}

/* The heap of the child has only this thread. */
static void live_as_a_child(struct alm_mutator *m, struct cell *list,
                            size_t kind) {
  support_in_child = true;
  alarm(60);
  void *p = alm_malloc(100000);
  REQUIRE(p != NULL);
  alm_free(p);
  if (kind > 0) {
    struct alm_heap_stats s;
    alm_heap_stats_read(w.heap, &s);
    REQUIRE(s.mutators == 1);
    require_list(list, 500);
    require_list(list_of(m, w.cell, 5000), 5000);
  }
  if (kind > 1) {
    REQUIRE(alm_collect(m) == ALM_OK);
    require_list(list, 500);
    require_list(list_of(m, w.cell, 5000), 5000);
    REQUIRE(alm_heap_check(m));
    alm_mutator_detach(m);
    REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
  }
  _exit(0);
}

static void require_child(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_process_with_collecting_threads_forks(void **state) {
  (void)state;
  struct alm_heap_options options = {.first_bytes = 256 << 10};
  struct alm_mutator *m;
  pthread_t threads[4];
  w = make_world(&options);
  atomic_store(&stop, false);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  struct cell *volatile list = list_of(m, w.cell, 500);
  threads[0] = begin_thread(collect_until_stopped, &w);
  for (size_t i = 1; i < 4; i++) {
    threads[i] = begin_thread(allocate_until_stopped, (void *)i);
  }
  size_t n = UNDER_TSAN ? 20 : rounds(100);
  for (size_t i = 0; i < n; i++) {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      /* The sanitizer's own threads do not survive a fork: stay simple. */
      live_as_a_child(m, list, UNDER_TSAN ? 0 : i % 3);
    }
    alm_blocked_begin(m);
    require_child(pid);
    alm_blocked_end(m);
    require_list(list, 500);
    require_list(list_of(m, w.cell, 1000), 1000);
  }
  atomic_store(&stop, true);
  alm_blocked_begin(m);
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  alm_blocked_end(m);
  REQUIRE(alm_collect(m) == ALM_OK && alm_heap_check(m));
  alm_mutator_detach(m);
  end_world(&w);
  all_memory_is_back();
}

/* What another thread had allocated, and held runs of, at the fork. */
static struct cell *left_behind[300];

static void *leave_behind(void *arg) {
  struct alm_mutator *m;
  (void)arg;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  for (size_t i = 0; i < 300; i++) {
    left_behind[i] = alm_new_inline(m, w.cell);
    REQUIRE(left_behind[i] != NULL);
    left_behind[i]->id = i;
  }
  wait_in_crowd(m);
  return NULL;
}

static void use_what_was_left(struct alm_mutator *m) {
  support_in_child = true;
  alarm(60);
  REQUIRE(alm_heap_check(m));
  for (size_t i = 0; i < 300; i += 2) {
    REQUIRE(alm_delete(m, left_behind[i]) == ALM_OK);
    left_behind[i] = NULL;
  }
  require_list(list_of(m, w.cell, 5000), 5000);
  for (size_t i = 1; i < 300; i += 2) {
    REQUIRE(left_behind[i]->id == i);
  }
  REQUIRE(alm_heap_check(m));
  for (size_t i = 1; i < 300; i += 2) {
    REQUIRE(alm_delete(m, left_behind[i]) == ALM_OK);
    left_behind[i] = NULL;
  }
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_collect(m) == ALM_OK && alm_heap_check(m));
  _exit(0);
}

static void a_child_inherits_the_objects_of_threads_it_lacks(void **state) {
  (void)state;
  struct alm_mutator *m;
  w = make_world(NULL);
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  REQUIRE(alm_root_add(w.heap, left_behind, sizeof left_behind) == ALM_OK);
  pthread_t thread = begin_thread(leave_behind, NULL);
  wait_for_crowd(1);
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    use_what_was_left(m);
  }
  require_child(pid);
  release_crowd();
  alm_blocked_begin(m);
  REQUIRE(pthread_join(thread, NULL) == 0);
  alm_blocked_end(m);
  REQUIRE(alm_collect(m) == ALM_OK && alm_heap_check(m));
  for (size_t i = 0; i < 300; i++) {
    REQUIRE(left_behind[i]->id == i);
  }
  REQUIRE(alm_root_remove(w.heap, left_behind) == ALM_OK);
  alm_mutator_detach(m);
  end_world(&w);
  all_memory_is_back();
}

/* One creates and destroys heaps, one collects, one forks: none may wait for
 * another that waits for it. */
static void *create_until_stopped(void *arg) {
  struct alm_mutator *m, *other;
  (void)arg;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  while (!atomic_load(&stop)) {
    struct alm_heap *h;
    REQUIRE(heap_under_test(NULL, &h) == ALM_OK);
    REQUIRE(alm_mutator_attach(h, &other) == ALM_OK);
    REQUIRE(alm_new_bytes(other, ALM_NOSCAN, 100) != NULL);
    alm_mutator_detach(other);
    REQUIRE(alm_heap_destroy(h) == ALM_OK);
    alm_safepoint(m);
  }
  alm_mutator_detach(m);
  return NULL;
}

static void *collect_without_pause(void *arg) {
  struct world *own = arg;
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(own->heap, &m) == ALM_OK);
  while (!atomic_load(&stop)) {
    REQUIRE(alm_collect(m) == ALM_OK);
  }
  alm_mutator_detach(m);
  return NULL;
}

static void fork_while_heaps_are_made(void *arg) {
  (void)arg;
  w = make_world(NULL);
  atomic_store(&stop, false);
  pthread_t threads[2] = {begin_thread(create_until_stopped, NULL),
                          begin_thread(collect_without_pause, &w)};
  for (size_t i = 0; i < rounds(60); i++) {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      _exit(0);
    }
    require_child(pid);
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < 2; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  end_world(&w);
}

static void forks_and_new_heaps_do_not_wait_for_each_other(void **state) {
  (void)state;
  child_must_pass(fork_while_heaps_are_made, NULL, NULL);
}

/* ---- several heaps ------------------------------------------------------------------------ */

static struct world two[2];

static void *use_one_heap(void *arg) {
  struct world *own = arg;
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(own->heap, &m) == ALM_OK);
  while (!atomic_load(&stop)) {
    struct cell *list = list_of(m, own->cell, 3000);
    require_list(list, 3000);
  }
  alm_mutator_detach(m);
  return NULL;
}

/* A list in each heap, both found on the same stack. */
static void use_both_heaps_once(struct alm_mutator *m[2], struct rng *r) {
  struct cell *lists[2];
  for (int i = 0; i < 2; i++) {
    lists[i] = list_of(m[i], two[i].cell, 200);
  }
  size_t k = rng_below(r, 2);
  switch (rng_below(r, 8)) {
  case 0:
    REQUIRE(alm_collect(m[k]) == ALM_OK);
    break;
  case 1: /* blocked for one heap, at work in the other */
    alm_blocked_begin(m[k]);
    require_list(list_of(m[!k], two[!k].cell, 500), 500);
    alm_blocked_end(m[k]);
    break;
  case 2:
    alm_blocked_begin(m[0]);
    alm_blocked_begin(m[1]);
    sleep_ms(1);
    alm_blocked_end(m[k]);
    alm_blocked_end(m[!k]);
    break;
  case 3:
    alm_safepoint(m[k]);
    break;
  case 4: /* comes back to one while it runs in the other */
    alm_mutator_detach(m[k]);
    REQUIRE(alm_mutator_attach(two[k].heap, &m[k]) == ALM_OK);
    lists[k] = list_of(m[k], two[k].cell, 200); /* nobody kept the old one */
    break;
  default:
    break;
  }
  require_list(lists[0], 200);
  require_list(lists[1], 200);
}

static void *use_both_heaps(void *arg) {
  struct alm_mutator *m[2], *again;
  struct rng r = {(uintptr_t)arg + seed_take()};
  for (int i = 0; i < 2; i++) {
    REQUIRE(alm_mutator_attach(two[i].heap, &m[i]) == ALM_OK);
    REQUIRE(alm_mutator_attach(two[i].heap, &again) == ALM_EBUSY);
  }
  while (!atomic_load(&stop)) {
    use_both_heaps_once(m, &r);
  }
  if ((uintptr_t)arg % 2) { /* else as the thread ends */
    alm_mutator_detach(m[0]);
    alm_mutator_detach(m[1]);
  }
  return NULL;
}

static void use_two_heaps(void *arg) {
  (void)arg;
  pthread_t threads[8];
  struct alm_heap_options options = {.first_bytes = 128 << 10};
  atomic_store(&stop, false);
  for (size_t i = 0; i < 2; i++) {
    two[i] = make_world(&options);
  }
  for (size_t i = 0; i < 2; i++) {
    threads[i] = begin_thread(use_one_heap, &two[i]);
    threads[2 + i] = begin_thread(collect_without_pause, &two[i]);
  }
  for (size_t i = 4; i < 8; i++) {
    threads[i] = begin_thread(use_both_heaps, (void *)i);
  }
  sleep_ms((unsigned)rounds(2000));
  atomic_store(&stop, true);
  for (size_t i = 0; i < 8; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  for (size_t i = 0; i < 2; i++) {
    end_world(&two[i]);
  }
  all_memory_is_back();
}

static void threads_use_two_heaps_at_once(void **state) {
  (void)state;
  child_must_pass(use_two_heaps, NULL, NULL);
}

/* ---- threads of other threads' heaps ---------------------------------------------------------- */

static void *make_and_keep(void *arg) {
  struct alm_mutator *m;
  struct alm_handle *h = NULL;
  (void)arg;
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  h = alm_handle_create(m, list_of(m, w.cell, 700));
  REQUIRE(h != NULL);
  return h;
}

static void objects_outlive_the_threads_that_made_them(void **state) {
  (void)state;
  struct alm_handle *handles[20];
  struct alm_mutator *m;
  struct alm_heap_options options = {.check = 1, .first_bytes = 1};
  w = make_world(&options);
  for (size_t i = 0; i < 20; i++) {
    void *h;
    pthread_t thread = begin_thread(make_and_keep, NULL);
    REQUIRE(pthread_join(thread, &h) == 0);
    handles[i] = h;
  }
  REQUIRE(alm_mutator_attach(w.heap, &m) == ALM_OK);
  REQUIRE(alm_collect(m) == ALM_OK);
  for (size_t i = 0; i < 20; i++) {
    require_list(alm_handle_get(handles[i]), 700);
    if (i % 2) {
      alm_handle_release(w.heap, handles[i]);
    }
  }
  REQUIRE(alm_collect(m) == ALM_OK && alm_heap_check(m));
  for (size_t i = 0; i < 20; i += 2) {
    require_list(alm_handle_get(handles[i]), 700);
  }
  alm_mutator_detach(m);
  end_world(&w);
  all_memory_is_back();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_outlive_the_threads_that_made_them),
      cmocka_unit_test(threads_come_and_go_while_others_collect),
      cmocka_unit_test(a_thousand_threads_are_scanned_at_once),
      cmocka_unit_test(a_thread_that_reads_is_not_waited_for),
      cmocka_unit_test(a_process_with_collecting_threads_forks),
      cmocka_unit_test(a_child_inherits_the_objects_of_threads_it_lacks),
      cmocka_unit_test(forks_and_new_heaps_do_not_wait_for_each_other),
      cmocka_unit_test(threads_use_two_heaps_at_once),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
