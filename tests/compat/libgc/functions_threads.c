/* tests/compat/libgc/functions_threads.c -- threads: made by the library or
 * made known to it. */
#include "check.h"

#include <dlfcn.h>

/* Objects that only the stack of one thread knows. */
static void **target;
static volatile int ready, go_on;
static int token; /* what is handed around */

static void fill_target(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    target[i] = GC_malloc(48);
    memset(target[i], 0x6b, 48);
    watch(i, target[i]);
  }
}

static void wait_for(volatile int *flag) {
  while (!*flag) sleep_ms(1);
}

static APART void hold_objects(void) {
  void *local[WATCHED];
  target = local;
  apart(fill_target, NULL);
  target = NULL;
  ready = 1;
  wait_for(&go_on);
  for (int i = 0; i < WATCHED; i++) {
    CHECK(is_filled(local[i], 0x6b, 48));
    local[i] = NULL;
    GC_reachable_here(local[i]);
  }
}

static void *hold_in_thread(void *argument) {
  hold_objects();
  return argument;
}

static void register_plain(void) {
  struct GC_stack_base base;
  CHECK_THAT(GC_get_stack_base(&base), ==, GC_SUCCESS);
  CHECK_THAT(GC_register_my_thread(&base), ==, GC_SUCCESS);
}

/* ---- made by the library ------------------------------------------------- */

static void *answer(void *argument) {
  CHECK(GC_thread_is_registered());
  return (char *)argument + 1;
}

TEST("GC_thread_is_registered is true in the main thread") {
  CHECK(GC_thread_is_registered());
}

TEST("GC_pthread_create hands over an argument, GC_pthread_join a result") {
  pthread_t threads[20];
  for (int i = 0; i < 20; i++)
    CHECK_THAT(
        GC_pthread_create(&threads[i], NULL, answer, (void *)(intptr_t)i), ==,
        0);
  for (int i = 0; i < 20; i++) {
    void *result = NULL;
    CHECK_THAT(GC_pthread_join(threads[i], &result), ==, 0);
    CHECK_THAT((intptr_t)result, ==, i + 1);
  }
}

TEST("the stack of a thread is a root while it runs") {
  pthread_t thread;
  void *result = NULL;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, hold_in_thread, &thread), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, &result), ==, 0);
  CHECK(result == &thread);
  CHECK_WATCHED_GONE();
}

static volatile int answered;

static void *answer_with_object(void *unused) {
  (void)unused;
  char *p = GC_strdup("the result of a thread");
  answered = 1;
  return p;
}

TEST("the result of a thread lives until it is joined") {
  pthread_t thread;
  void *result = NULL;
  CHECK_THAT(GC_pthread_create(&thread, NULL, answer_with_object, NULL), ==, 0);
  wait_for(&answered);
  sleep_ms(20);
  for (int i = 0; i < 3; i++) {
    GC_gcollect();
    for (int k = 0; k < 5000; k++) memset(GC_malloc_atomic(23), 'x', 23);
  }
  CHECK_THAT(GC_pthread_join(thread, &result), ==, 0);
  CHECK_TEXT(result, "the result of a thread");
}

static void *read_argument(void *argument) {
  sleep_ms(20);
  CHECK_TEXT(argument, "the argument of a thread");
  return NULL;
}

static void start_with_object(void *threads) {
  for (int i = 0; i < 8; i++)
    CHECK_THAT(GC_pthread_create((pthread_t *)threads + i, NULL, read_argument,
                                 GC_strdup("the argument of a thread")),
               ==, 0);
}

TEST("the argument of a thread lives until it has it") {
  pthread_t threads[8];
  apart(start_with_object, threads);
  for (int i = 0; i < 3; i++) {
    GC_gcollect();
    for (int k = 0; k < 5000; k++) memset(GC_malloc_atomic(25), 'x', 25);
  }
  for (int i = 0; i < 8; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
}

static void *end_early(void *result) {
  GC_pthread_exit(result);
}

TEST("GC_pthread_exit ends a thread with a result") {
  pthread_t thread;
  void *result = NULL;
  CHECK_THAT(GC_pthread_create(&thread, NULL, end_early, &token), ==, 0);
  CHECK_THAT(GC_pthread_join(thread, &result), ==, 0);
  CHECK(result == &token);
}

static volatile int detached_done;

static void *detached_work(void *unused) {
  (void)unused;
  for (int i = 0; i < 1000; i++) GC_malloc(100);
  __atomic_add_fetch(&detached_done, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

TEST("GC_pthread_detach lets a thread end alone, before or after its end") {
  pthread_t threads[10];
  for (int i = 0; i < 10; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, detached_work, NULL), ==,
               0);
  for (int i = 0; i < 5; i++) CHECK_THAT(GC_pthread_detach(threads[i]), ==, 0);
  while (detached_done < 10) sleep_ms(1);
  GC_gcollect();
  for (int i = 5; i < 10; i++) CHECK_THAT(GC_pthread_detach(threads[i]), ==, 0);
  sleep_ms(10);
  GC_gcollect();
}

TEST("a thread may be created detached") {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int before = detached_done;
  CHECK_THAT(GC_pthread_create(&thread, &attributes, detached_work, NULL), ==,
             0);
  while (detached_done == before) sleep_ms(1);
  pthread_attr_destroy(&attributes);
  GC_gcollect();
}

static void *wait_for_cancel(void *unused) {
  (void)unused;
  GC_malloc(100);
  ready = 1;
  for (;;) sleep_ms(1000);
  return NULL;
}

TEST("GC_pthread_cancel cancels") {
  pthread_t thread;
  void *result = NULL;
  ready = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, wait_for_cancel, NULL), ==, 0);
  wait_for(&ready);
  CHECK_THAT(GC_pthread_cancel(thread), ==, 0);
  CHECK_THAT(GC_pthread_join(thread, &result), ==, 0);
  CHECK(result == PTHREAD_CANCELED);
  GC_gcollect();
}

TEST("GC_pthread_sigmask blocks and tells what was blocked") {
  sigset_t set, old, now;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK_THAT(GC_pthread_sigmask(SIG_BLOCK, &set, &old), ==, 0);
  CHECK_THAT(sigismember(&old, SIGUSR2), ==, 0);
  CHECK_THAT(GC_pthread_sigmask(SIG_BLOCK, NULL, &now), ==, 0);
  CHECK_THAT(sigismember(&now, SIGUSR2), ==, 1);
  CHECK_THAT(GC_pthread_sigmask(SIG_SETMASK, &old, NULL), ==, 0);
  CHECK_THAT(pthread_sigmask(SIG_BLOCK, NULL, &now), ==, 0);
  CHECK_THAT(sigismember(&now, SIGUSR2), ==, 0);
}

static void *block_all(void *unused) {
  sigset_t all;
  sigfillset(&all);
  CHECK_THAT(GC_pthread_sigmask(SIG_SETMASK, &all, NULL), ==, 0);
  hold_objects();
  return unused;
}

TEST("a thread that blocks all signals by it can still be stopped") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, block_all, NULL), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  watch_end();
}

static void *allocate_trees(void *seed) {
  void **list = NULL;
  for (int i = 0; i < 20000; i++) {
    void **node = GC_malloc(32);
    node[0] = i % 100 ? list : NULL;
    node[1] = (char *)seed + i;
    list = node;
    int n = 0;
    if (i % 100 == 99)
      for (void **p = list; p; p = p[0])
        CHECK(p[1] == (char *)seed + (i - n++));
  }
  return NULL;
}

TEST("eight threads allocate at once") {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, allocate_trees,
                                 (void *)(intptr_t)(i * 1000000)),
               ==, 0);
  for (int i = 0; i < 3; i++) GC_gcollect();
  for (int i = 0; i < 8; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
}

TEST("hundreds of threads come and go") {
  for (int round = 0; round < 30; round++) {
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
      CHECK_THAT(GC_pthread_create(&threads[i], NULL, detached_work, NULL), ==,
                 0);
    for (int i = 0; i < 10; i++)
      CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
  }
  GC_gcollect();
}

/* ---- made known ---------------------------------------------------------- */

static void *register_and_back(void *unused) {
  struct GC_stack_base base;
  CHECK(!GC_thread_is_registered());
  CHECK_THAT(GC_get_stack_base(&base), ==, GC_SUCCESS);
  CHECK_THAT(GC_register_my_thread(&base), ==, GC_SUCCESS);
  CHECK(GC_thread_is_registered());
  CHECK_THAT(GC_register_my_thread(&base), ==, GC_DUPLICATE);
  CHECK(GC_malloc(100) != NULL);
  CHECK_THAT(GC_unregister_my_thread(), ==, GC_SUCCESS);
  CHECK(!GC_thread_is_registered());
  CHECK_THAT(GC_register_my_thread(&base), ==, GC_SUCCESS);
  CHECK(GC_malloc(100) != NULL);
  CHECK_THAT(GC_unregister_my_thread(), ==, GC_SUCCESS);
  return unused;
}

static void run_plain(void *(*work)(void *)) {
  pthread_t thread;
  CHECK_THAT(pthread_create(&thread, NULL, work, NULL), ==, 0);
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
}

TEST("GC_register_my_thread and GC_unregister_my_thread are a pair") {
  GC_allow_register_threads();
  run_plain(register_and_back);
}

static void *register_and_hold(void *argument) {
  register_plain();
  hold_objects();
  CHECK_THAT(GC_unregister_my_thread(), ==, GC_SUCCESS);
  return argument;
}

TEST("the stack of a registered thread is a root") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(pthread_create(&thread, NULL, register_and_hold, NULL), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
  CHECK_WATCHED_GONE();
}

static void *register_with(struct GC_stack_base *base, void *argument) {
  CHECK_THAT(GC_register_my_thread(base), ==, GC_SUCCESS);
  hold_objects();
  CHECK_THAT(GC_unregister_my_thread(), ==, GC_SUCCESS);
  return argument;
}

static void *call_register_with(void *argument) {
  CHECK(GC_call_with_stack_base(register_with, &token) == &token);
  return argument;
}

TEST("GC_call_with_stack_base gives a base to register with") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(pthread_create(&thread, NULL, call_register_with, NULL), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
  CHECK_WATCHED_GONE();
}

static int finalized;

static void count_finalized(void *object, void *data) {
  (void)object;
  (void)data;
  finalized++;
}

static void *register_finalizers(void *unused) {
  register_plain();
  for (int i = 0; i < 100; i++)
    GC_register_finalizer(GC_malloc(20), count_finalized, NULL, NULL, NULL);
  GC_unregister_my_thread();
  return unused;
}

TEST("the objects of a thread that is gone are finalized by another") {
  run_plain(register_finalizers);
  GC_gcollect();
  GC_invoke_finalizers();
  GC_gcollect();
  GC_invoke_finalizers();
  CHECK_THAT(finalized, >=, 90);
}

/* ---- the lock ------------------------------------------------------------ */

static int counted;

static void *count_locked(void *unused) {
  for (int i = 0; i < 20000; i++) {
    GC_alloc_lock();
    counted++;
    GC_alloc_unlock();
  }
  return unused;
}

static void *count_once(void *step) {
  counted += *(int *)step;
  return &counted;
}

static void *count_by_call(void *unused) {
  int step = 1;
  for (int i = 0; i < 20000; i++)
    CHECK(GC_call_with_alloc_lock(count_once, &step) == &counted);
  return unused;
}

TEST("GC_alloc_lock and GC_call_with_alloc_lock exclude each other") {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL,
                                 i % 2 ? count_locked : count_by_call, NULL),
               ==, 0);
  for (int i = 0; i < 100; i++) GC_malloc(1000);
  GC_gcollect();
  for (int i = 0; i < 4; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
  CHECK_THAT(counted, ==, 80000);
}

/* ---- loading ------------------------------------------------------------- */

static void *load(void *unused) {
  for (int i = 0; i < 100; i++) {
    void *library = GC_dlopen("libm.so.6", RTLD_NOW);
    CHECK(library != NULL);
    CHECK(dlsym(library, "cos") != NULL);
    CHECK_THAT(dlclose(library), ==, 0);
  }
  return unused;
}

TEST("GC_dlopen loads while others collect") {
  pthread_t thread;
  CHECK_THAT(GC_pthread_create(&thread, NULL, load, NULL), ==, 0);
  for (int i = 0; i < 20; i++) GC_gcollect();
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK(GC_dlopen("no such library", RTLD_NOW) == NULL);
}

/* ---- cancelled ----------------------------------------------------------- */

static volatile int collections_ended;

static void test_cancel(GC_EventType event) {
  pthread_testcancel();
  if (event == GC_EVENT_END) collections_ended++;
}

static void *collect_cancelled(void *unused) {
  pthread_cancel(pthread_self());
  GC_gcollect();
  pthread_testcancel();
  return unused;
}

TEST("a thread that is cancelled while it collects ends the collection first") {
  GC_set_on_collection_event(test_cancel);
  for (int i = 0; i < 5; i++) {
    pthread_t thread;
    void *result = NULL;
    int before = collections_ended;
    CHECK_THAT(GC_pthread_create(&thread, NULL, collect_cancelled, NULL), ==,
               0);
    CHECK_THAT(GC_pthread_join(thread, &result), ==, 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_THAT(collections_ended, >, before);
    GC_gcollect();
  }
  GC_set_on_collection_event(NULL);
}

static void allocate_at_end(void *unused) {
  (void)unused;
  for (int i = 0; i < 3000; i++) memset(GC_malloc(64), 1, 64);
  GC_gcollect();
}

static void *wait_or_exit(void *exits) {
  if (exits) pthread_exit(exits);
  for (;;) sleep_ms(1000);
}

static void *leave_blocking(void *exits) {
  pthread_cleanup_push(allocate_at_end, NULL);
  GC_do_blocking(wait_or_exit, exits);
  pthread_cleanup_pop(0);
  return NULL;
}

TEST("a thread that ends in GC_do_blocking may allocate in its cleanup") {
  for (int i = 0; i < 40; i++) {
    pthread_t thread;
    CHECK_THAT(
        GC_pthread_create(&thread, NULL, leave_blocking, i % 2 ? &token : NULL),
        ==, 0);
    if (i % 2 == 0) pthread_cancel(thread);
    for (int k = 0; k < 3000; k++) GC_malloc(64);
    GC_gcollect();
    CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  }
}

/* ---- markers ------------------------------------------------------------- */

TEST("GC_start_mark_threads makes GC_get_parallel tell the markers") {
  GC_start_mark_threads();
  int markers = GC_get_parallel();
  CHECK_THAT(markers, >=, 0);
  CHECK_THAT(GC_parallel, ==, markers);
  struct GC_prof_stats_s stats;
  GC_get_prof_stats(&stats, sizeof stats);
  CHECK_THAT(stats.markers_m1, ==, markers);
  GC_gcollect();
}

int main(void) {
  GC_INIT();
  return run_tests();
}
