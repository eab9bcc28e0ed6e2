/* tests/compat/programs/spike.c -- RSS after a spike: 8 threads allocate
 * 1 GiB, another thread frees it, all sleep and nobody calls anything. After
 * 10 s RSS must be back at what is live + 10 % + 16 MiB. Prints the course. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

enum { MIB = 1 << 20, THREADS = 8, OBJECTS = 1 << 19 };

static const size_t live_bytes = 48 * (size_t)MIB;
static const size_t share_bytes = 128 * (size_t)MIB; /* of each thread */

static pthread_barrier_t allocated, freed, end;
static void **objects[THREADS]; /* each ends with NULL */

static void *allocate(void *argument) {
  size_t n = 0, total = 0;
  void **mine = objects[(uintptr_t)argument];
  uint64_t state = (uint64_t)(uintptr_t)argument * 123 + 9;
  while (total < share_bytes && n < OBJECTS - 1) {
    size_t size = 16 + random_size(&state, n % 64 == 0 ? 200000 : 2000);
    mine[n] = malloc(size);
    REQUIRE(mine[n]);
    memset(mine[n], 1, size);
    total += size;
    n++;
  }
  while (total < share_bytes && n < OBJECTS - 1) { /* never short of 1 GiB */
    mine[n] = malloc(4 * MIB);
    REQUIRE(mine[n]);
    memset(mine[n++], 1, 4 * MIB);
    total += 4 * MIB;
  }
  pthread_barrier_wait(&allocated);
  pthread_barrier_wait(&freed);
  pthread_barrier_wait(&end); /* sleep, cache and all */
  return NULL;
}

static void *release(void *argument) {
  pthread_barrier_wait(&allocated);
  for (int i = 0; i < THREADS; i++)
    for (size_t k = 0; objects[i][k]; k++) free(objects[i][k]);
  pthread_barrier_wait(&freed);
  pthread_barrier_wait(&end);
  return argument;
}

int main(void) {
  size_t kept = 0;
  uint64_t state = 3;
  while (kept < live_bytes) { /* lives through it all */
    size_t size = 16 + random_size(&state, 4000);
    void *p = malloc(size);
    REQUIRE(p);
    memset(p, 2, size);
    kept += size;
  }
  size_t table = (size_t)OBJECTS * sizeof(void *);
  for (int i = 0; i < THREADS; i++) {
    objects[i] = calloc(OBJECTS, sizeof(void *));
    REQUIRE(objects[i]);
    memset(objects[i], 0, table);
  }
  size_t live = kept + THREADS * table;
  size_t before = rss_bytes();
  pthread_t threads[THREADS + 1];
  pthread_barrier_init(&allocated, NULL, THREADS + 1);
  pthread_barrier_init(&freed, NULL, THREADS + 2);
  pthread_barrier_init(&end, NULL, THREADS + 2);
  for (size_t i = 0; i < THREADS; i++)
    REQUIRE(!pthread_create(&threads[i], NULL, allocate, (void *)i));
  REQUIRE(!pthread_create(&threads[THREADS], NULL, release, NULL));
  pthread_barrier_wait(&freed);
  size_t at[11];
  for (int second = 0; second <= 10; second++) {
    at[second] = rss_bytes();
    sleep_ms(1000);
  }
  printf("live %zu MiB, before %zu MiB, then by the second:", live / MIB,
         before / MIB);
  for (int second = 0; second <= 10; second++) printf(" %zu", at[second] / MIB);
  printf(" MiB\n");
  REQUIRE(at[10] <= live + live / 10 + 16 * (size_t)MIB);
  pthread_barrier_wait(&end);
  for (int i = 0; i <= THREADS; i++) REQUIRE(!pthread_join(threads[i], NULL));
  return 0;
}
