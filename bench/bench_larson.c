/* bench/bench_larson.c -- a server whose threads die and are replaced.
 *
 * WHAT    `threads` chains. A thread of a chain replaces random objects among
 *         `live` ones `ops` / `lives` times, then starts its successor, hands
 *         it all its objects and dies. So most objects a thread frees were
 *         made by a dead thread.
 * SOURCE  Idea: Larson and Krishnan, Memory Allocation for Long-Running
 *         Server Applications (ISMM 1998). Differs: fixed work, mixed sizes,
 *         contents verified.
 */
#include <semaphore.h>

#include "bench.h"

struct chain {
  struct bench_object *objects;
  struct bench_rng rng;
  uint64_t lives, ops_per_life, live, max;
};

static sem_t chains_ended;

static void *life(void *arg) {
  struct chain *c = arg;
  for (uint64_t i = 0; i < c->ops_per_life; i++) {
    struct bench_object *o = &c->objects[bench_random(&c->rng) % c->live];
    bench_drop(o);
    *o = bench_make(bench_between(&c->rng, 16, c->max));
  }
  if (--c->lives > 0) {
    pthread_detach(bench_thread(life, c));
  } else {
    sem_post(&chains_ended);
  }
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 2, live = 1000, ops = 40 << 20, lives = 1000, max = 1024;
  uint64_t seed = 1;
  const struct bench_option table[] = {
      {"threads", &threads, "chains, one running thread each"},
      {"live", &live, "objects of a chain"},
      {"ops", &ops, "replacements in all"},
      {"lives", &lives, "threads per chain, one after another"},
      {"max", &max, "bytes of the largest object; the smallest has 16"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  static struct chain chains[BENCH_THREADS_MAX];
  if (threads > BENCH_THREADS_MAX || lives == 0 || max < 16) {
    bench_broken("bad arguments", NULL, threads);
  }
  sem_init(&chains_ended, 0, 0);
  double begin = bench_now();
  for (uint64_t i = 0; i < threads; i++) {
    struct chain *c = &chains[i];
    *c = (struct chain){bench_objects(live),
                        bench_seed(seed * 1000 + i),
                        lives,
                        ops / threads / lives,
                        live,
                        max};
    pthread_detach(bench_thread(life, c));
  }
  for (uint64_t i = 0; i < threads; i++) {
    sem_wait(&chains_ended);
  }
  for (uint64_t i = 0; i < threads; i++) {
    for (uint64_t k = 0; k < live; k++) {
      bench_drop(&chains[i].objects[k]);
    }
    free(chains[i].objects);
  }
  bench_report("larson", ops, bench_now() - begin,
               ",\"threads\":%" PRIu64 ",\"threads_started\":%" PRIu64, threads,
               threads * lives);
  return 0;
}
