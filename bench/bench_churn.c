/* bench/bench_churn.c -- same-thread churn over mixed sizes.
 *
 * WHAT    Each thread keeps `live` objects and replaces a random one `ops`
 *         times. live=100 stays in the first cache, 10k in the second, 100k
 *         (about 48 MiB) in none: from the allocator's fast path to the
 *         misses of its bookkeeping.
 */
#include "bench.h"

struct worker {
  uint64_t ops, live, seed;
};

static void *churn(void *arg) {
  struct worker *w = arg;
  struct bench_rng r = bench_seed(w->seed);
  struct bench_object *live = bench_objects(w->live);
  for (uint64_t i = 0; i < w->live; i++) {
    live[i] = bench_make(bench_size_mixed(&r));
  }
  for (uint64_t i = 0; i < w->ops; i++) {
    struct bench_object *o = &live[bench_random(&r) % w->live];
    bench_drop(o);
    *o = bench_make(bench_size_mixed(&r));
  }
  for (uint64_t i = 0; i < w->live; i++) {
    bench_drop(&live[i]);
  }
  free(live);
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 1, live = 10000, ops = 24 << 20, seed = 1;
  const struct bench_option table[] = {
      {"threads", &threads, "threads"},
      {"live", &live, "objects each thread keeps"},
      {"ops", &ops, "replacements in all"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  static struct worker workers[BENCH_THREADS_MAX];
  for (uint64_t i = 0; i < threads && i < BENCH_THREADS_MAX; i++) {
    workers[i] = (struct worker){ops / threads, live, seed * 1000 + i};
  }
  double begin = bench_now();
  bench_parallel(threads, churn, workers, sizeof workers[0]);
  bench_report("churn", ops + threads * live, bench_now() - begin,
               ",\"threads\":%" PRIu64 ",\"live\":%" PRIu64, threads, live);
  return 0;
}
