/* tests/compat/programs/fork_cost.c -- the price of fork with 1,000 threads
 * that have allocated and now sleep. Prints the median of the time fork takes
 * in the parent, in microseconds. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 1000, FORKS = 41 };

static pthread_barrier_t ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *sleeper(void *argument) {
  for (size_t i = 0; i < 100; i++) free(malloc(i * 16));
  void *kept = malloc(100);
  pthread_barrier_wait(&ready);
  pthread_mutex_lock(&lock); /* held by main: sleep until the end */
  pthread_mutex_unlock(&lock);
  free(kept);
  return argument;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(void) {
  static pthread_t threads[THREADS];
  double us[FORKS];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  pthread_barrier_init(&ready, NULL, THREADS + 1);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < THREADS; i++)
    REQUIRE(!pthread_create(&threads[i], &attributes, sleeper, NULL));
  pthread_barrier_wait(&ready);
  for (int i = 0; i < FORKS; i++) {
    double begin = seconds_now();
    pid_t pid = fork();
    if (pid == 0) {
      free(malloc(100));
      free(malloc(100000));
      _exit(0);
    }
    us[i] = (seconds_now() - begin) * 1e6;
    int status = 1;
    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  }
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_join(threads[i], NULL));
  qsort(us, FORKS, sizeof us[0], compare);
  printf("%.0f\n", us[FORKS / 2]);
  return 0;
}
