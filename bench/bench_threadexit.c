/* bench/bench_threadexit.c -- threads that exit while their objects live.
 *
 * WHAT    Waves of `threads` threads. Each frees what a thread of four waves
 *         ago left behind (that thread is dead), then allocates `objects` of
 *         its own, leaves them and exits. Shows what an allocator does with
 *         the caches and half-used pages of dead threads, and what it costs
 *         to start and end a thread that allocates.
 */
#include "bench.h"

enum { WAVES_KEPT = 4 };

struct legacy {
  struct bench_object *objects; /* made by the thread, freed by an heir */
  uint64_t count, seed;
};

static struct legacy legacies[WAVES_KEPT][BENCH_THREADS_MAX];

static void legacy_free(struct legacy *l) {
  for (uint64_t i = 0; l->objects != NULL && i < l->count; i++) {
    bench_drop(&l->objects[i]);
  }
  free(l->objects);
  l->objects = NULL;
}

static void *worker(void *arg) {
  struct legacy *l = arg;
  struct bench_rng r = bench_seed(l->seed);
  legacy_free(l);
  l->objects = bench_objects(l->count);
  for (uint64_t i = 0; i < l->count; i++) {
    l->objects[i] = bench_make(bench_size_mixed(&r));
    /* One in four is short-lived and freed by its maker. */
    if ((i & 3) == 3) {
      bench_drop(&l->objects[i - 1]);
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 4, waves = 1500, objects = 2000, seed = 1;
  const struct bench_option table[] = {
      {"threads", &threads, "threads in a wave"},
      {"waves", &waves, "waves, one after another"},
      {"objects", &objects, "objects each thread allocates"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  if (threads > BENCH_THREADS_MAX) {
    bench_broken("too many threads", NULL, threads);
  }
  double begin = bench_now();
  for (uint64_t w = 0; w < waves; w++) {
    struct legacy *wave = legacies[w % WAVES_KEPT];
    pthread_t ids[BENCH_THREADS_MAX];
    for (uint64_t i = 0; i < threads; i++) {
      wave[i].count = objects;
      wave[i].seed = (seed * 1000 + w) * BENCH_THREADS_MAX + i;
      ids[i] = bench_thread(worker, &wave[i]);
    }
    for (uint64_t i = 0; i < threads; i++) {
      pthread_join(ids[i], NULL);
    }
  }
  for (uint64_t i = 0; i < WAVES_KEPT * BENCH_THREADS_MAX; i++) {
    legacy_free(&legacies[i / BENCH_THREADS_MAX][i % BENCH_THREADS_MAX]);
  }
  bench_report("threadexit", waves * threads * objects, bench_now() - begin,
               ",\"threads_started\":%" PRIu64 ",\"rss_end_kib\":%" PRIu64,
               waves * threads, bench_rss_kib());
  return 0;
}
