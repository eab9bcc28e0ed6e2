/* bench/bench_xthread.c -- objects made by one thread, freed by another.
 *
 * WHAT    `pairs` producers and as many consumers. A producer fills batches
 *         of messages and puts them in the consumers' bounded queues in turn;
 *         a consumer verifies and frees messages and the batch itself. So
 *         every consumer frees objects of every producer, and no object is
 *         freed by the thread that made it.
 */
#include "bench.h"

enum { BATCH = 64, QUEUE_BATCHES = 64 };

struct batch {
  uint64_t count; /* 0 ends one producer's stream */
  struct bench_object message[BATCH];
};

struct queue {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct batch *slot[QUEUE_BATCHES];
  size_t head, used; /* under lock */
};

struct producer {
  uint64_t batches, seed;
};

static struct queue queues[BENCH_THREADS_MAX];
static uint64_t pairs = 1;

static void queue_put(struct queue *q, struct batch *b) {
  pthread_mutex_lock(&q->lock);
  while (q->used == QUEUE_BATCHES) {
    pthread_cond_wait(&q->changed, &q->lock);
  }
  q->slot[(q->head + q->used++) % QUEUE_BATCHES] = b;
  pthread_cond_broadcast(&q->changed);
  pthread_mutex_unlock(&q->lock);
}

static struct batch *queue_take(struct queue *q) {
  pthread_mutex_lock(&q->lock);
  while (q->used == 0) {
    pthread_cond_wait(&q->changed, &q->lock);
  }
  struct batch *b = q->slot[q->head];
  q->head = (q->head + 1) % QUEUE_BATCHES;
  q->used--;
  pthread_cond_broadcast(&q->changed);
  pthread_mutex_unlock(&q->lock);
  return b;
}

static struct batch *batch_make(struct bench_rng *r, uint64_t count) {
  struct batch *b = bench_checked(malloc(sizeof *b), sizeof *b);
  b->count = count;
  for (uint64_t i = 0; i < count; i++) {
    b->message[i] = bench_make(bench_size_mixed(r));
  }
  return b;
}

static void *produce(void *arg) {
  struct producer *p = arg;
  struct bench_rng r = bench_seed(p->seed);
  for (uint64_t i = 0; i < p->batches; i++) {
    queue_put(&queues[i % pairs], batch_make(&r, BATCH));
  }
  for (uint64_t i = 0; i < pairs; i++) {
    queue_put(&queues[i], batch_make(&r, 0));
  }
  return NULL;
}

static void *consume(void *arg) {
  uint64_t ended = 0;
  while (ended < pairs) {
    struct batch *b = queue_take(arg);
    ended += b->count == 0;
    for (uint64_t i = 0; i < b->count; i++) {
      bench_drop(&b->message[i]);
    }
    free(b);
  }
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t ops = 10 << 20, seed = 1;
  const struct bench_option table[] = {
      {"pairs", &pairs, "producers, and as many consumers"},
      {"ops", &ops, "messages in all"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  if (pairs == 0 || pairs > BENCH_THREADS_MAX) {
    bench_broken("pairs must be 1 to 256", NULL, pairs);
  }
  static struct producer producers[BENCH_THREADS_MAX];
  static pthread_t ids[2 * BENCH_THREADS_MAX];
  double begin = bench_now();
  for (uint64_t i = 0; i < pairs; i++) {
    pthread_mutex_init(&queues[i].lock, NULL);
    pthread_cond_init(&queues[i].changed, NULL);
  }
  for (uint64_t i = 0; i < pairs; i++) {
    producers[i] = (struct producer){ops / pairs / BATCH, seed * 1000 + i};
    ids[2 * i] = bench_thread(consume, &queues[i]);
    ids[2 * i + 1] = bench_thread(produce, &producers[i]);
  }
  for (uint64_t i = 0; i < 2 * pairs; i++) {
    pthread_join(ids[i], NULL);
  }
  bench_report("xthread", ops, bench_now() - begin, ",\"threads\":%" PRIu64,
               2 * pairs);
  return 0;
}
