/* tests/compat/programs/forks.c -- fork out of a process whose threads
 * allocate: children allocate, free what they inherited, fork again, start
 * threads. A lock left held by a thread that is not there hangs the child;
 * the alarm tells. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 6, SLOTS = 64, FORKS = 250, INHERITED = 2000 };

static int stop;
static void *_Atomic slots[SLOTS]; /* handed from thread to thread */

/* Everything that takes locks: small, large, remote frees, realloc. */
static void *work(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument * 991 + 7;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    size_t size = random_size(&state, 1 << 20);
    char *p = malloc(size + 1);
    REQUIRE(p);
    p[0] = p[size] = 1;
    if (size % 5 == 0) p = realloc(p, size * 2 + 10);
    free(__atomic_exchange_n(&slots[random_next(&state) % SLOTS], (void *)p,
                             __ATOMIC_ACQ_REL));
  }
  return NULL;
}

static void *child_thread(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument + 3;
  for (int i = 0; i < 300; i++) free(malloc(random_size(&state, 100000)));
  return NULL;
}

static void child(int n, char **inherited) {
  alarm(10);
  void *own[500];
  uint64_t state = (uint64_t)n * 31 + 11;
  for (int i = 0; i < INHERITED; i++) {
    if (!pattern_holds(inherited[i], 50, (uint64_t)i)) _exit(2);
    if (i % 2) free(inherited[i]);
  }
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 500; i++) {
      own[i] = malloc(random_size(&state, 200000));
      if (!own[i]) _exit(3);
    }
    for (int i = 0; i < 500; i++) free(own[i]);
  }
  if (n % 3 == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, child_thread, NULL)) _exit(4);
    if (pthread_join(thread, NULL)) _exit(5);
  }
  if (n % 4 == 0) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(10);
      child_thread(NULL);
      _exit(0);
    }
    int status = 1;
    if (waitpid(pid, &status, 0) != pid || status != 0) _exit(6);
  }
  if (n % 5 == 0) exit(0); /* with destructors */
  _exit(0);
}

int main(void) {
  static char *inherited[INHERITED];
  for (int i = 0; i < INHERITED; i++) {
    inherited[i] = malloc(50);
    REQUIRE(inherited[i]);
    pattern_fill(inherited[i], 50, (uint64_t)i);
  }
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++)
    REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)(i + 1)));
  for (int n = 0; n < FORKS; n++) {
    fflush(stdout);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) child(n, inherited);
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
      fprintf(stderr, "child %d hung: deadlock after fork\n", n);
    else if (status != 0)
      fprintf(stderr, "child %d: status 0x%x\n", n, (unsigned)status);
    REQUIRE(status == 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_join(threads[i], NULL));
  puts("forks: done");
  return 0;
}
