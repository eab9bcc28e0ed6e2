/* tests/compat/programs/signals.c -- a timer signal every millisecond, and
 * signals between threads, while all threads allocate. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

enum { THREADS = 4, OBJECTS = 512 };

static volatile sig_atomic_t ticks;
static int stop;
static pthread_t threads[THREADS];

static void on_signal(int number) {
  int saved = errno;
  (void)number;
  ticks++;
  char scratch[512]; /* uses the stack, not the heap */
  memset(scratch, ticks & 0xff, sizeof scratch);
  errno = saved;
}

static void *work(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument * 77 + 13;
  static _Thread_local struct {
    void *p;
    size_t size;
    uint64_t key;
  } table[OBJECTS];
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    size_t i = random_next(&state) % OBJECTS;
    if (table[i].p)
      REQUIRE(pattern_holds(table[i].p, table[i].size, table[i].key));
    free(table[i].p);
    table[i].size = random_size(&state, 100000);
    table[i].key = random_next(&state);
    table[i].p = malloc(table[i].size);
    REQUIRE(table[i].p);
    pattern_fill(table[i].p, table[i].size, table[i].key);
  }
  for (size_t i = 0; i < OBJECTS; i++) free(table[i].p);
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
  REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
  REQUIRE(sigaction(SIGPROF, &action, NULL) == 0);
  struct itimerval every_ms = {{0, 1000}, {0, 1000}};
  REQUIRE(setitimer(ITIMER_REAL, &every_ms, NULL) == 0);
  REQUIRE(setitimer(ITIMER_PROF, &every_ms, NULL) == 0);
  for (size_t i = 0; i < THREADS; i++)
    REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)(i + 1)));
  double end = seconds_now() + 4;
  while (seconds_now() < end) {
    for (int i = 0; i < THREADS; i++) pthread_kill(threads[i], SIGUSR1);
    struct timespec pause = {0, 200000};
    nanosleep(&pause, NULL);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_join(threads[i], NULL));
  REQUIRE(ticks > 1000);
  puts("signals: done");
  return 0;
}
