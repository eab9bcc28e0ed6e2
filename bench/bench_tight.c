/* bench/bench_tight.c -- the allocator's operations one by one, in ns.
 *
 * WHAT    Short loops around one operation each: what a call costs, where
 *         the other programs show what a program notices. The names are those
 *         of the project's table of figures. Memory is hardly touched (first
 *         byte; calloc: first byte read), so loops on big objects show the
 *         bookkeeping and the calls to the kernel.
 * HOW     Each loop runs `reps` times, the fastest counts. An operation is a
 *         pair of malloc and free, one call of realloc, or a thread's life.
 */
#include "bench.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct loop {
  const char *name;
  void (*run)(const struct loop *l, uint64_t ops);
  uint64_t ops;
  size_t a, b; /* size or range of sizes, or limit of growth */
  size_t live;
};

static inline void *touched(void *p, size_t size) {
  if (p == NULL) {
    bench_broken("out of memory", p, size);
  }
  *(volatile char *)p = 1;
  return p;
}

static void pair(const struct loop *l, uint64_t ops) {
  for (uint64_t i = 0; i < ops; i++) {
    free(touched(malloc(l->a), l->a));
  }
}

static void batch(const struct loop *l, uint64_t ops) {
  static void *p[1000];
  for (uint64_t n = 0; n < ops / 1000; n++) {
    for (size_t i = 0; i < 1000; i++) {
      p[i] = touched(malloc(l->a), l->a);
    }
    for (size_t i = 0; i < 1000; i++) {
      free(p[i]);
    }
  }
}

static void live(const struct loop *l, uint64_t ops) {
  static void *p[100000];
  struct bench_rng r = bench_seed(1);
  for (uint64_t i = 0; i < ops; i++) {
    size_t k = bench_random(&r) % l->live;
    size_t size = bench_between(&r, l->a, l->b);
    free(p[k]);
    p[k] = touched(malloc(size), size);
  }
  for (size_t k = 0; k < l->live; k++) {
    free(p[k]);
    p[k] = NULL;
  }
}

static void zeroed(const struct loop *l, uint64_t ops) {
  for (uint64_t i = 0; i < ops; i++) {
    volatile char *p = calloc(1, l->a);
    if (p == NULL || p[0] != 0 || p[l->a - 1] != 0) {
      bench_broken("calloc", (void *)p, l->a);
    }
    p[0] = 1; /* else the next round could be zero by chance */
    p[l->a - 1] = 1;
    free((void *)p);
  }
}

/* a: limit; b: 0 grows by a quarter, else by b bytes. */
static void grow(const struct loop *l, uint64_t ops) {
  size_t size = 16;
  void *p = touched(malloc(size), size);
  for (uint64_t i = 0; i < ops; i++) {
    size += l->b != 0 ? l->b : size / 4;
    if (size > l->a) {
      free(p);
      p = NULL;
      size = 16;
    }
    p = touched(realloc(p, size), size);
  }
  free(p);
}

static void aligned(const struct loop *l, uint64_t ops) {
  for (uint64_t i = 0; i < ops; i++) {
    free(touched(aligned_alloc(l->a, l->b), l->b));
  }
}

static void *pair_thread(void *arg) {
  const struct loop *l = arg;
  pair(l, l->ops);
  return NULL;
}

static void pair_two(const struct loop *l, uint64_t ops) {
  (void)ops;
  bench_parallel(2, pair_thread, (void *)l, 0);
}

/* One thread fills a ring of blocks of pointers, the other frees them. */
enum { RING = 64, BLOCK = 128 };
static void *ring[RING][BLOCK];
static uint64_t ring_put __attribute__((aligned(128)));
static uint64_t ring_taken __attribute__((aligned(128)));

static void ring_wait(uint64_t *counter, uint64_t at_least) {
  for (int spins = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) < at_least;
       spins++) {
    if (spins > 1000) {
      sched_yield();
    }
  }
}

static void *free_thread(void *arg) {
  uint64_t blocks = *(uint64_t *)arg;
  for (uint64_t n = 0; n < blocks; n++) {
    ring_wait(&ring_put, n + 1);
    for (size_t i = 0; i < BLOCK; i++) {
      free(ring[n % RING][i]);
    }
    __atomic_store_n(&ring_taken, n + 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void across(const struct loop *l, uint64_t ops) {
  uint64_t blocks = ops / BLOCK;
  struct bench_rng r = bench_seed(1);
  ring_put = ring_taken = 0;
  pthread_t id = bench_thread(free_thread, &blocks);
  for (uint64_t n = 0; n < blocks; n++) {
    ring_wait(&ring_taken, n < RING ? 0 : n - RING + 1);
    for (size_t i = 0; i < BLOCK; i++) {
      size_t size = bench_between(&r, l->a, l->b);
      ring[n % RING][i] = touched(malloc(size), size);
    }
    __atomic_store_n(&ring_put, n + 1, __ATOMIC_RELEASE);
  }
  pthread_join(id, NULL);
}

static void *allocating_thread(void *arg) {
  for (size_t i = 0; i < 32; i++) {
    free(touched(malloc(16 + 32 * i), 16 + 32 * i));
  }
  return arg;
}

static void thread_life(const struct loop *l, uint64_t ops) {
  (void)l;
  for (uint64_t i = 0; i < ops; i++) {
    pthread_join(bench_thread(allocating_thread, NULL), NULL);
  }
}

/* Single-threaded loops first: some allocators are faster until a second
 * thread exists. */
static const struct loop loops[] = {
    {"malloc16", pair, 5 << 20, 16, 0, 0},
    {"malloc64", pair, 5 << 20, 64, 0, 0},
    {"batch1000x64", batch, 4 << 20, 64, 0, 0},
    {"live100_16-512", live, 4 << 20, 16, 512, 100},
    {"live10k_16-512", live, 4 << 20, 16, 512, 10000},
    {"live100k_16-512", live, 2 << 20, 16, 512, 100000},
    {"live100_16K-64K", live, 512 << 10, 16 * KIB, 64 * KIB, 100},
    {"calloc64", zeroed, 4 << 20, 64, 0, 0},
    {"calloc4K", zeroed, 512 << 10, 4 * KIB, 0, 0},
    {"calloc1M", zeroed, 2048, MIB, 0, 0},
    {"realloc_x1.25_64K", grow, 512 << 10, 64 * KIB, 0, 0},
    {"realloc_+16_4K", grow, 4 << 20, 4 * KIB, 16, 0},
    {"realloc_x1.25_16M", grow, 1000, 16 * MIB, 0, 0},
    {"aligned64", aligned, 2 << 20, 64, 256, 0},
    {"malloc1M", pair, 128 << 10, MIB, 0, 0},
    {"malloc32M", pair, 2048, 32 * MIB, 0, 0},
    {"mt2_malloc64", pair_two, 5 << 20, 64, 0, 0},
    {"xthread64", across, 2 << 20, 64, 64, 0},
    {"xthread16-512", across, 2 << 20, 16, 512, 0},
    {"thread_create", thread_life, 2000, 0, 0, 0},
};

enum { LOOPS = sizeof loops / sizeof loops[0] };

int main(int argc, char **argv) {
  uint64_t reps = 3, divide = 1, first = 0, last = LOOPS - 1;
  const struct bench_option table[] = {
      {"reps", &reps, "runs of each loop; the fastest counts"},
      {"divide", &divide, "operations are divided by this"},
      {"first", &first, "number of the first loop to run"},
      {"last", &last, "number of the last loop to run"},
  };
  BENCH_OPTIONS(argc, argv, table);
  double ns[LOOPS] = {0}, begin = bench_now();
  uint64_t all = 0;
  for (uint64_t i = first; i <= last && i < LOOPS; i++) {
    struct loop l = loops[i];
    l.ops = l.ops / (divide > 0 ? divide : 1);
    l.ops = l.ops < 1000 ? 1000 : l.ops;
    for (uint64_t n = 0; n < reps; n++) {
      double t = bench_now();
      l.run(&l, l.ops);
      t = (bench_now() - t) * 1e9 / (double)l.ops;
      ns[i] = n == 0 || t < ns[i] ? t : ns[i];
      all += l.ops;
    }
  }
  char more[2048];
  int n = snprintf(more, sizeof more, ",\"ns\":{");
  const char *comma = "";
  for (uint64_t i = first; i <= last && i < LOOPS; i++) {
    n += snprintf(more + n, sizeof more - (size_t)n, "%s\"%s\":%.4g", comma,
                  loops[i].name, ns[i]);
    comma = ",";
  }
  bench_report("tight", all, bench_now() - begin, "%s}", more);
  return 0;
}
