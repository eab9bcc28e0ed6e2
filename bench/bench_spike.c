/* bench/bench_spike.c -- does memory come back after a spike?
 *
 * WHAT    `threads` threads allocate `size` bytes of mixed sizes together and
 *         go to sleep. One thread that never allocated frees it all (but one
 *         object in `keep`, if keep is not 0) and goes to sleep. Nobody calls
 *         the allocator any more; RSS is read after 1, 2, 5 and 10 seconds.
 * HOW     Objects are chained through their own first words, so there is no
 *         index that would count as live. `seconds` in the result is the
 *         spike alone, without the sleep; idle_cpu_ms is what the process
 *         used while all its own threads slept.
 */
#include "bench.h"

struct node {
  struct node *next;
  size_t size;
};

struct maker {
  struct node *list;
  uint64_t bytes, objects, seed;
};

enum { SAMPLES = 4 };
static const unsigned sample_seconds[SAMPLES] = {1, 2, 5, 10};

static pthread_barrier_t made; /* makers and main: everything is allocated */
static pthread_barrier_t over; /* all threads: the sleep has ended         */
static pthread_barrier_t freed;
static struct maker makers[BENCH_THREADS_MAX];
static uint64_t threads = 8, keep = 0;
static uint64_t live_bytes; /* written by the freeing thread before `freed` */

static void *make(void *arg) {
  struct maker *m = arg;
  struct bench_rng r = bench_seed(m->seed);
  for (uint64_t left = m->bytes; left > 0;) {
    size_t size = bench_size_mixed(&r);
    size = size < 32 ? 32 : size;
    struct node *n = bench_checked(malloc(size), size);
    bench_write((unsigned char *)n, size, bench_key(n, size, 0));
    n->next = m->list;
    n->size = size;
    m->list = n;
    m->objects++;
    left -= size < left ? size : left;
  }
  pthread_barrier_wait(&made);
  pthread_barrier_wait(&over);
  return NULL;
}

/* Only the last stamp is left: the chain overwrote the first. */
static void node_verify(const struct node *n) {
  uint64_t last;
  memcpy(&last, (const char *)n + n->size - 8, sizeof last);
  if (last != bench_key(n, n->size, 0)) {
    bench_broken("contents lost", n, n->size);
  }
}

static void *free_all(void *arg) {
  (void)arg;
  uint64_t seen = 0;
  for (bool any = true; any;) {
    any = false;
    for (uint64_t i = 0; i < threads; i++) {
      struct node *n = makers[i].list;
      if (n == NULL) {
        continue;
      }
      any = true;
      makers[i].list = n->next;
      node_verify(n);
      if (keep != 0 && ++seen % keep == 0) {
        live_bytes += n->size;
      } else {
        free(n);
      }
    }
  }
  pthread_barrier_wait(&freed);
  pthread_barrier_wait(&over);
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t size = 1 << 30, sleep_s = 10, seed = 1;
  const struct bench_option table[] = {
      {"threads", &threads, "threads that allocate"},
      {"size", &size, "bytes allocated in all"},
      {"keep", &keep, "one object in so many is not freed; 0: none"},
      {"sleep", &sleep_s, "seconds to watch RSS afterwards, 0 to 10"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  if (threads == 0 || threads > BENCH_THREADS_MAX) {
    bench_broken("threads must be 1 to 256", NULL, threads);
  }
  pthread_barrier_init(&made, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&over, NULL, (unsigned)threads + 2);
  pthread_barrier_init(&freed, NULL, 2);
  static pthread_t ids[BENCH_THREADS_MAX + 1];
  double begin = bench_now();
  for (uint64_t i = 0; i < threads; i++) {
    makers[i] = (struct maker){NULL, size / threads, 0, seed * 1000 + i};
    ids[i] = bench_thread(make, &makers[i]);
  }
  pthread_barrier_wait(&made);
  uint64_t objects = 0;
  for (uint64_t i = 0; i < threads; i++) {
    objects += makers[i].objects;
  }
  double filled = bench_now();
  uint64_t rss_full = bench_rss_kib();
  double free_begin = bench_now();
  ids[threads] = bench_thread(free_all, NULL);
  pthread_barrier_wait(&freed);
  double end = bench_now(), idle = 0;
  uint64_t rss[SAMPLES + 1] = {bench_rss_kib()};
  unsigned taken = 0;
  for (; taken < SAMPLES && sample_seconds[taken] <= sleep_s; taken++) {
    double cpu = bench_cpu();
    bench_sleep_until(end + sample_seconds[taken]);
    idle += bench_cpu() - cpu; /* without reading RSS, which costs some ms */
    rss[taken + 1] = bench_rss_kib();
  }
  pthread_barrier_wait(&over);
  for (uint64_t i = 0; i <= threads; i++) {
    pthread_join(ids[i], NULL);
  }
  char more[256];
  int n = snprintf(more, sizeof more,
                   ",\"live_kib\":%" PRIu64 ",\"rss_full_kib\":%" PRIu64
                   ",\"rss_0s_kib\":%" PRIu64,
                   live_bytes >> 10, rss_full, rss[0]);
  for (unsigned i = 0; i < taken; i++) {
    n += snprintf(more + n, sizeof more - (size_t)n,
                  ",\"rss_%us_kib\":%" PRIu64, sample_seconds[i], rss[i + 1]);
  }
  bench_report("spike", objects, filled - begin + (end - free_begin),
               "%s,\"idle_cpu_ms\":%.1f", more, idle * 1e3);
  return 0;
}
