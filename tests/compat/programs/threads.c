/* tests/compat/programs/threads.c -- threads that come and go: 2,000 short
 * ones whose objects others free, and threads cancelled in malloc loops. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

enum { SHORT = 2000, AT_ONCE = 50, HANDED = 40, CANCELLED = 200 };

static void *work_short(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument * 17 + 5;
  void **handed = malloc(HANDED * sizeof *handed);
  REQUIRE(handed);
  for (int i = 0; i < HANDED; i++) {
    size_t size = random_size(&state, 30000) + 8;
    handed[i] = malloc(size);
    REQUIRE(handed[i]);
    pattern_fill(handed[i], 8, (uint64_t)i);
    free(malloc(size));
    free(malloc(size * 3));
  }
  return handed;
}

static void test_short(void) {
  pthread_t threads[AT_ONCE];
  size_t settled = 0;
  for (size_t n = 0; n < SHORT; n += AT_ONCE) {
    for (size_t i = 0; i < AT_ONCE; i++)
      REQUIRE(!pthread_create(&threads[i], NULL, work_short, (void *)(n + i)));
    for (size_t i = 0; i < AT_ONCE; i++) {
      void *result = NULL;
      REQUIRE(!pthread_join(threads[i], &result));
      void **handed = result;
      for (int k = 0; k < HANDED; k++) {
        REQUIRE(pattern_holds(handed[k], 8, (uint64_t)k));
        free(handed[k]);
      }
      free(handed);
    }
    if (n == SHORT / 4) settled = rss_bytes();
  }
  size_t end = rss_bytes();
  if (end > settled + settled / 2 + (16 << 20))
    fprintf(stderr, "RSS grew from %zu to %zu bytes\n", settled, end);
  REQUIRE(end <= settled + settled / 2 + (16 << 20));
}

static int survived;

static void cleanup(void *p) {
  free(p);
}

/* malloc and free are no cancellation points: with a request pending the
 * loop must run through, and end at pthread_testcancel. */
static void *work_pending(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument + 1;
  pthread_cancel(pthread_self());
  for (int i = 0; i < 2000; i++) {
    void *p = malloc(random_size(&state, i % 50 == 0 ? 4 << 20 : 50000));
    REQUIRE(p);
    p = realloc(p, random_size(&state, 100000) + 1);
    REQUIRE(p);
    free(p);
    p = calloc(3, random_size(&state, 1000));
    REQUIRE(p);
    free(p);
  }
  __atomic_add_fetch(&survived, 1, __ATOMIC_RELAXED);
  pthread_testcancel();
  REQUIRE(!"reached");
  return NULL;
}

static void *work_cancelled(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument * 3 + 1;
  for (;;) {
    void *p = malloc(random_size(&state, 100000));
    REQUIRE(p);
    pthread_cleanup_push(cleanup, p);
    pthread_testcancel();
    pthread_cleanup_pop(1);
  }
  return NULL;
}

static void test_cancel(void) {
  pthread_t threads[4];
  void *result = NULL;
  for (size_t n = 0; n < CANCELLED; n += 4) {
    for (size_t i = 0; i < 4; i++)
      REQUIRE(
          !pthread_create(&threads[i], NULL, work_cancelled, (void *)(n + i)));
    struct timespec pause = {0, 3000000};
    nanosleep(&pause, NULL);
    for (size_t i = 0; i < 4; i++) REQUIRE(!pthread_cancel(threads[i]));
    for (size_t i = 0; i < 4; i++) {
      REQUIRE(!pthread_join(threads[i], &result));
      REQUIRE(result == PTHREAD_CANCELED);
    }
  }
  for (size_t i = 0; i < 4; i++)
    REQUIRE(!pthread_create(&threads[i], NULL, work_pending, (void *)i));
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(!pthread_join(threads[i], &result));
    REQUIRE(result == PTHREAD_CANCELED);
  }
  REQUIRE(survived == 4);
}

int main(void) {
  test_short();
  test_cancel();
  puts("threads: done");
  return 0;
}
