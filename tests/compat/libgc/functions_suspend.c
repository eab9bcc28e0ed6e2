/* tests/compat/libgc/functions_suspend.c -- stopping one thread, or all. */
#include "check.h"

#include <sched.h>

#define GC_SUSPEND_THREAD_ID pthread_t
#include <gc/javaxfc.h>

enum { THREADS = 4 };

static struct worker {
  pthread_t thread;
  volatile long steps;
} workers[THREADS];
static volatile int end;

static void *work(void *worker) {
  struct worker *w = worker;
  void **list = NULL;
  while (!end) {
    void **cell = GC_malloc(32);
    cell[0] = list;
    list = w->steps % 100 ? cell : NULL;
    w->steps++;
  }
  return NULL;
}

/* Stands still: no step in 50 ms. */
static int is_still(const struct worker *w) {
  long before = w->steps;
  sleep_ms(50);
  return w->steps == before;
}

static int moves(const struct worker *w) {
  long before = w->steps;
  for (int i = 0; i < 10000; i++) {
    if (w->steps != before) return 1;
    sleep_ms(1);
  }
  return 0;
}

static void start(void) {
  end = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK_THAT(GC_pthread_create(&workers[i].thread, NULL, work, &workers[i]),
               ==, 0);
  for (int i = 0; i < THREADS; i++) CHECK(moves(&workers[i]));
}

static void finish(void) {
  end = 1;
  for (int i = 0; i < THREADS; i++)
    CHECK_THAT(GC_pthread_join(workers[i].thread, NULL), ==, 0);
}

TEST("GC_suspend_thread stops one thread, GC_resume_thread lets it go on") {
  start();
  pthread_t stopped = workers[1].thread;
  CHECK_THAT(GC_is_thread_suspended(stopped), ==, 0);
  GC_suspend_thread(stopped);
  CHECK_THAT(GC_is_thread_suspended(stopped), !=, 0);
  CHECK_THAT(GC_is_thread_suspended(workers[0].thread), ==, 0);
  CHECK(is_still(&workers[1]));
  CHECK(moves(&workers[0]));
  GC_resume_thread(stopped);
  CHECK_THAT(GC_is_thread_suspended(stopped), ==, 0);
  CHECK(moves(&workers[1]));
  finish();
}

TEST("collections go on while a thread is suspended, and leave it so") {
  start();
  GC_suspend_thread(workers[2].thread);
  for (int i = 0; i < 5; i++) GC_gcollect();
  CHECK(is_still(&workers[2]));
  CHECK_THAT(GC_is_thread_suspended(workers[2].thread), !=, 0);
  GC_resume_thread(workers[2].thread);
  CHECK(moves(&workers[2]));
  finish();
}

TEST("there is no count: one resume undoes two suspensions") {
  start();
  GC_suspend_thread(workers[0].thread);
  GC_suspend_thread(workers[0].thread);
  CHECK(is_still(&workers[0]));
  GC_resume_thread(workers[0].thread);
  CHECK_THAT(GC_is_thread_suspended(workers[0].thread), ==, 0);
  CHECK(moves(&workers[0]));
  GC_resume_thread(workers[0].thread);
  CHECK(moves(&workers[0]));
  finish();
}

TEST("a thread is suspended and resumed many times") {
  start();
  for (int i = 0; i < 100; i++) {
    struct worker *w = &workers[i % THREADS];
    GC_suspend_thread(w->thread);
    long before = w->steps;
    if (i % 10 == 0) GC_gcollect();
    GC_malloc(100);
    CHECK_THAT(w->steps, ==, before);
    GC_resume_thread(w->thread);
  }
  for (int i = 0; i < THREADS; i++) CHECK(moves(&workers[i]));
  finish();
}

static void *return_at_once(void *unused) {
  return unused;
}

static void *block_often(void *unused) {
  while (!end) {
    GC_do_blocking(return_at_once, NULL);
    for (volatile int i = 0; i < 100; i++) continue;
  }
  return unused;
}

TEST("a thread that GC_do_blocking is about to let off is suspended, too") {
  pthread_t thread;
  end = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, block_often, NULL), ==, 0);
  sleep_ms(5);
  for (int i = 0; i < 300; i++) {
    GC_suspend_thread(thread);
    GC_gcollect();
    GC_resume_thread(thread);
  }
  end = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
}

static void *live_shortly(void *unused) {
  GC_malloc(8);
  return unused;
}

TEST("a thread that ends may be suspended all the same") {
  for (int i = 0; i < 1000; i++) {
    pthread_t thread;
    CHECK_THAT(GC_pthread_create(&thread, NULL, live_shortly, NULL), ==, 0);
    for (int k = 0; k < i % 50; k++) sched_yield();
    GC_suspend_thread(thread);
    GC_resume_thread(thread);
    CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  }
}

static void *wait_for_end(void *unused) {
  while (!end) sleep_ms(1);
  return unused;
}

TEST("a thread that is not registered cannot be suspended") {
  pthread_t thread;
  end = 0;
  CHECK_THAT(pthread_create(&thread, NULL, wait_for_end, NULL), ==, 0);
  sleep_ms(5);
  GC_suspend_thread(thread);
  CHECK_THAT(GC_is_thread_suspended(thread), ==, 0);
  GC_resume_thread(thread);
  end = 1;
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
}

TEST("GC_stop_world_external stops all others, GC_start_world_external ends "
     "it") {
  start();
  for (int round = 0; round < 5; round++) {
    int still = 1;
    GC_stop_world_external();
    for (int i = 0; i < THREADS; i++) still &= is_still(&workers[i]);
    GC_start_world_external();
    CHECK(still);
    for (int i = 0; i < THREADS; i++) CHECK(moves(&workers[i]));
    GC_gcollect();
  }
  finish();
}

/* ---- what programs are told about it ------------------------------------- */

static volatile int suspended, unsuspended, misplaced;

static pthread_t main_thread;

static void on_thread_event(GC_EventType event, void *thread) {
  int known = (pthread_t)thread == main_thread;
  for (int i = 0; i < THREADS; i++)
    known |= (pthread_t)thread == workers[i].thread;
  if (!known) misplaced++;
  if (event == GC_EVENT_THREAD_SUSPENDED)
    suspended++;
  else if (event == GC_EVENT_THREAD_UNSUSPENDED)
    unsuspended++;
  else
    misplaced++;
}

TEST("GC_set_on_thread_event is told of each thread that is stopped") {
  CHECK(GC_get_on_thread_event() == NULL);
  main_thread = pthread_self(); /* stopped when a worker collects */
  start();
  GC_set_on_thread_event(on_thread_event);
  CHECK(GC_get_on_thread_event() == on_thread_event);
  GC_gcollect();
  CHECK_THAT(suspended, >=, THREADS);
  CHECK_THAT(unsuspended, >=, THREADS);
  GC_set_on_thread_event(NULL);
  CHECK(GC_get_on_thread_event() == NULL);
  int before = suspended;
  CHECK_THAT(suspended, ==, unsuspended);
  GC_gcollect();
  CHECK_THAT(suspended, ==, before);
  finish();
  CHECK_THAT(misplaced, ==, 0);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
