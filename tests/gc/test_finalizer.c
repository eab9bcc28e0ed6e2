/* gc/finalizer.c: finalizers and cleanups run by a thread of the heap. */
#include "support.h"

#include "almacen_inline.h"
#include "cells.h"
#include "gc/idle.h"
#include "os/os.h"

#include <pthread.h>
#include <stdatomic.h>

static struct alm_heap *heap;
static const struct alm_type *cell_type;
static atomic_size_t nrun;

static void make_heap(const struct alm_heap_options *options) {
  struct world w = make_world(options);
  heap = w.heap;
  cell_type = w.cell;
  atomic_store(&nrun, 0);
}

static struct alm_mutator *attach(void) {
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  REQUIRE(alm_mutator_self(heap) == m);
  return m;
}

static const struct alm_heap_options with_thread = {.finalizer_thread = true,
                                                    .check = 1};

/* n objects with a finalizer, lists of `length`, that nobody keeps. By another
 * thread, so that no stale word of this one's stack keeps some. */
struct order {
  alm_finalizer fn;
  size_t n;
  uint64_t length;
};

static void *drop(void *arg) {
  const struct order *o = arg;
  struct alm_mutator *m = attach();
  for (size_t i = 0; i < o->n; i++) {
    void *object = list_of(m, cell_type, o->length);
    REQUIRE(alm_finalizer_set(m, object, o->fn, NULL) == ALM_OK);
  }
  alm_mutator_detach(m);
  return NULL;
}

/* The caller is not attached. */
static void drop_by_another(alm_finalizer fn, size_t n, uint64_t length) {
  struct order o = {fn, n, length};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, drop, &o) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
}

static void collect_once(void) {
  struct alm_mutator *m = attach();
  REQUIRE(alm_collect(m) == ALM_OK);
  alm_mutator_detach(m);
}

static size_t queued(void) {
  struct alm_heap_stats s;
  alm_heap_stats_read(heap, &s);
  return s.finalizers_queued;
}

static void wait_for(atomic_size_t *counter, size_t n) {
  uint64_t end = now_ns() + 30000000000u;
  while (atomic_load(counter) < n && now_ns() < end) {
    sleep_ms(2);
  }
  REQUIRE(atomic_load(counter) >= n);
}

/* ---- what it runs ----------------------------------------------------------- */

static pthread_t main_thread;

static void count(void *object, void *arg) {
  (void)arg;
  sigset_t blocked;
  REQUIRE(!pthread_equal(pthread_self(), main_thread));
  REQUIRE(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
  REQUIRE(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGUSR1));
  if (object != NULL) {
    require_list(object, 10);
  }
  nrun++;
}

static void queues_are_run_though_nobody_calls(void **state) {
  (void)state;
  main_thread = pthread_self();
  make_heap(&with_thread);
  for (size_t round = 1; round <= 5; round++) {
    drop_by_another(count, 1000, 10);
    struct alm_mutator *m = attach();
    struct cell *volatile kept = list_of(m, cell_type, 20);
    REQUIRE(alm_cleanup_add(m, list_of(m, cell_type, 1), count, NULL) ==
            ALM_OK);
    REQUIRE(alm_finalizer_set(m, kept, count, NULL) == ALM_OK);
    REQUIRE(alm_collect(m) == ALM_OK);
    alm_blocked_begin(m);
    wait_for(&nrun, round * 1000 - 10); /* some stale word may keep a few */
    alm_blocked_end(m);
    require_list(kept, 20);
    REQUIRE(alm_finalizer_set(m, kept, NULL, NULL) == ALM_OK);
    alm_mutator_detach(m);
  }
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static void run_cleanup(void *object, void *arg) {
  (void)arg;
  REQUIRE(object == NULL);
  nrun++;
}

/* The next collection comes just as the thread is about to sleep. */
static void it_never_sleeps_while_something_is_queued(void **state) {
  (void)state;
  struct alm_heap_options options = {.finalizer_thread = true, .markers = 1};
  make_heap(&options);
  struct alm_mutator *m = attach();
  for (size_t i = 0; i < rounds(20000); i++) {
    REQUIRE(alm_cleanup_add(m, list_of(m, cell_type, 1), run_cleanup, NULL) ==
            ALM_OK);
    REQUIRE(alm_collect(m) == ALM_OK);
    uint64_t end = now_ns() + 30000000000u;
    while (queued() > 0) {
      REQUIRE(now_ns() < end);
      alm_safepoint(m);
    }
  }
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static struct cell *_Atomic risen;

/* Allocates, collects, and brings its object back. */
static void allocate_and_rise(void *object, void *arg) {
  (void)arg;
  struct alm_mutator *m = alm_mutator_self(heap);
  REQUIRE(m != NULL);
  struct cell *list = list_of(m, cell_type, 3000);
  if (atomic_load(&nrun) % 8 == 0) {
    REQUIRE(alm_collect(m) == ALM_OK);
  }
  require_list(list, 3000);
  require_list(object, 10);
  atomic_store(&risen, object);
  nrun++;
}

static void a_finalizer_allocates_collects_and_brings_back(void **state) {
  (void)state;
  make_heap(&with_thread);
  REQUIRE(alm_root_add(heap, &risen, sizeof risen) == ALM_OK);
  drop_by_another(allocate_and_rise, 100, 10);
  collect_once();
  struct alm_mutator *m = attach();
  while (atomic_load(&nrun) < 90) {
    require_list(list_of(m, cell_type, 5000), 5000);
  }
  REQUIRE(alm_collect(m) == ALM_OK);
  require_list(atomic_load(&risen), 10);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static atomic_size_t nwaiting;
static atomic_bool go;

static void wait_blocked(void *object, void *arg) {
  (void)arg;
  struct alm_mutator *m = alm_mutator_self(heap);
  nwaiting++;
  alm_blocked_begin(m);
  while (!atomic_load(&go)) {
    sleep_ms(1);
  }
  alm_blocked_end(m);
  require_list(object, 10);
  nrun++;
}

static void begin_waiting(size_t n) {
  atomic_store(&nwaiting, 0);
  atomic_store(&go, false);
  drop_by_another(wait_blocked, n, 10);
  collect_once();
  wait_for(&nwaiting, 1);
}

static void a_finalizer_that_blocks_holds_up_no_collection(void **state) {
  (void)state;
  make_heap(&with_thread);
  begin_waiting(20);
  struct alm_mutator *m = attach();
  for (int i = 0; i < 20; i++) {
    struct cell *list = list_of(m, cell_type, 1000);
    REQUIRE(alm_collect(m) == ALM_OK);
    require_list(list, 1000);
  }
  REQUIRE(atomic_load(&nrun) == 0 && queued() > 0);
  alm_mutator_detach(m);
  atomic_store(&go, true);
  wait_for(&nrun, 10);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

/* ---- the end of a heap -------------------------------------------------------- */

static void *let_go_later(void *arg) {
  (void)arg;
  sleep_ms(50);
  REQUIRE(atomic_load(&nrun) == 0);
  atomic_store(&go, true);
  return NULL;
}

static void destroy_waits_for_the_finalizer_that_runs(void **state) {
  (void)state;
  pthread_t thread;
  make_heap(&with_thread);
  begin_waiting(50);
  struct alm_mutator *m = attach();
  REQUIRE(alm_heap_destroy(heap) == ALM_EBUSY);
  alm_mutator_detach(m);
  REQUIRE(pthread_create(&thread, NULL, let_go_later, NULL) == 0);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
  REQUIRE(atomic_load(&nrun) == 1); /* and none after it */
  REQUIRE(pthread_join(thread, NULL) == 0);
}

/* The thread that destroys is attached elsewhere, where the finalizer, too, is
 * and collects. */
static struct alm_heap *other_heap;

static void collect_elsewhere(void *object, void *arg) {
  (void)object;
  (void)arg;
  struct alm_mutator *m;
  nwaiting++;
  sleep_ms(50);
  REQUIRE(alm_mutator_attach(other_heap, &m) == ALM_OK);
  REQUIRE(alm_collect(m) == ALM_OK);
  alm_mutator_detach(m);
  nrun++;
}

static void destroy_keeps_no_other_heap_waiting(void **state) {
  (void)state;
  struct alm_mutator *m;
  make_heap(&with_thread);
  REQUIRE(alm_heap_create(NULL, &other_heap) == ALM_OK);
  atomic_store(&nwaiting, 0);
  drop_by_another(collect_elsewhere, 20, 10);
  REQUIRE(alm_mutator_attach(other_heap, &m) == ALM_OK);
  char *volatile kept = alm_new_bytes(m, ALM_NOSCAN, 100);
  memset(kept, 7, 100);
  collect_once();
  while (atomic_load(&nwaiting) == 0) {
    alm_safepoint(m);
  }
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
  REQUIRE(atomic_load(&nrun) >= 1);
  REQUIRE(kept[0] == 7 && kept[99] == 7);
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(other_heap) == ALM_OK);
}

static void destroy_own_heap(void *object, void *arg) {
  (void)object;
  (void)arg;
  REQUIRE(alm_heap_destroy(heap) == ALM_EBUSY);
  nrun++;
}

static void a_finalizer_cannot_destroy_its_heap(void **state) {
  (void)state;
  make_heap(&with_thread);
  drop_by_another(destroy_own_heap, 20, 10);
  collect_once();
  wait_for(&nrun, 10);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static void just_count(void *object, void *arg) {
  (void)arg;
  require_list(object, 10);
  nrun++;
}

static atomic_bool stop;

static void *collect_idle_heaps(void *arg) {
  while (!atomic_load(&stop)) {
    (void)idle_collect();
    (void)idle_sweep(1000000);
  }
  return arg;
}

/* At any moment: before the thread has begun, asleep, at work; with a guest
 * that collects and pokes. */
static void heaps_come_and_go_with_their_threads(void **state) {
  (void)state;
  struct alm_heap_options options = {.finalizer_thread = true, .period_ms = 1};
  struct rng r = {seed_take()};
  pthread_t thread;
  atomic_store(&stop, false);
  REQUIRE(pthread_create(&thread, NULL, collect_idle_heaps, NULL) == 0);
  for (size_t i = 0; i < rounds(400); i++) {
    make_heap(&options);
    struct alm_mutator *m = attach();
    for (size_t n = rng_below(&r, 50); n > 0; n--) {
      void *object = list_of(m, cell_type, 10);
      REQUIRE(alm_finalizer_set(m, object, just_count, NULL) == ALM_OK);
    }
    if (rng_below(&r, 2)) {
      REQUIRE(alm_collect(m) == ALM_OK);
    }
    alm_mutator_detach(m);
    if (rng_below(&r, 2)) {
      sleep_ms((unsigned)rng_below(&r, 10));
    }
    REQUIRE(alm_heap_destroy(heap) == ALM_OK);
  }
  atomic_store(&stop, true);
  REQUIRE(pthread_join(thread, NULL) == 0);
}

/* ---- fork, failure -------------------------------------------------------------- */

static void fork_and_finalize(void *arg) {
  (void)arg;
  make_heap(&with_thread);
  begin_waiting(20); /* the thread exists, and is in the middle of one */
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    atomic_store(&go, true);
    alarm(60);
    sleep_ms(20);
    REQUIRE(atomic_load(&nrun) == 0); /* nobody there */
    collect_once();
    wait_for(&nrun, 10);
    REQUIRE(alm_heap_destroy(heap) == ALM_OK);
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  atomic_store(&go, true);
  wait_for(&nrun, 10);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static void a_forked_child_starts_its_own(void **state) {
  (void)state;
  if (UNDER_TSAN) {
    skip(); /* it refuses new threads in a child */
  }
  child_must_pass(fork_and_finalize, NULL, NULL);
}

static void fail_to_start(void *arg) {
  (void)arg;
  make_heap(&with_thread);
  collect_once(); /* markers exist from here on */
  drop_by_another(just_count, 100, 10);
  (void)os_fault_set(OS_THREAD, 1, 1);
  collect_once();
  sleep_ms(20);
  REQUIRE(atomic_load(&nrun) == 0 && queued() > 0);
  REQUIRE(os_fault_set(OS_THREAD, 0, 0) == 1);
  struct alm_mutator *m = attach();
  REQUIRE(alm_finalizers_run(m, 5) == 5); /* anyone may, too */
  alm_mutator_detach(m);
  collect_once();
  wait_for(&nrun, 90);
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

static void a_thread_that_cannot_start_is_tried_again(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(fail_to_start, NULL, "background=0");
}

/* Every place at which making a heap may find no memory. */
static void make_heaps_without_memory(void *arg) {
  (void)arg;
  enum { HEAPS = 64 };
  static struct alm_heap *heaps[HEAPS];
  size_t nfailed = 0;
  for (uint64_t nth = 1; nth <= rounds(200); nth++) {
    size_t n = 0;
    enum alm_err err = ALM_OK;
    (void)os_fault_set(OS_ALLOC, nth, 1);
    while (n < HEAPS &&
           (err = alm_heap_create(&with_thread, &heaps[n])) == ALM_OK) {
      n++;
    }
    (void)os_fault_set(OS_ALLOC, 0, 0);
    REQUIRE(err == ALM_OK || err == ALM_ENOMEM);
    nfailed += err == ALM_ENOMEM;
    while (n > 0) {
      REQUIRE(alm_heap_destroy(heaps[--n]) == ALM_OK);
    }
  }
  REQUIRE(nfailed > rounds(200) / 8);
}

static void a_heap_for_which_there_is_no_memory_is_refused(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(make_heaps_without_memory, NULL, "background=0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(queues_are_run_though_nobody_calls),
      cmocka_unit_test(it_never_sleeps_while_something_is_queued),
      cmocka_unit_test(a_finalizer_allocates_collects_and_brings_back),
      cmocka_unit_test(a_finalizer_that_blocks_holds_up_no_collection),
      cmocka_unit_test(destroy_waits_for_the_finalizer_that_runs),
      cmocka_unit_test(destroy_keeps_no_other_heap_waiting),
      cmocka_unit_test(a_finalizer_cannot_destroy_its_heap),
      cmocka_unit_test(heaps_come_and_go_with_their_threads),
      cmocka_unit_test(a_forked_child_starts_its_own),
      cmocka_unit_test(a_thread_that_cannot_start_is_tried_again),
      cmocka_unit_test(a_heap_for_which_there_is_no_memory_is_refused),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
