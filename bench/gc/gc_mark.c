/* bench/gc/gc_mark.c -- full collections of a heap that stays.
 *
 * WHAT    Builds one of three graphs, then collects `rounds` times; time, CPU
 *         and nanoseconds per object of the median collection. The graph is
 *         counted before and after.
 *
 *         shape=0  1,000 lists of 64-byte nodes in random order: every
 *                  pointer misses the caches
 *         shape=1  a 16-way tree, leaves 64 to 128 bytes, in the order of
 *                  allocation: the kindest heap
 *         shape=2  two-pointer cells, a binary tree in random order
 */
#include "gc_adapter.h"

enum {
  SHAPE_LISTS,
  SHAPE_TREE,
  SHAPE_CELLS,
  NLISTS = 1000,
  WAYS = 16,
  SUBTREE_DEPTH = 4,
  ROUNDS_MAX = 100,
};

struct item {
  struct item *next;
  uint64_t payload[7];
};

struct cell {
  struct cell *left, *right;
};

static struct gc_type item_type, inner_type, cell_type, leaf_types[5];
static void **root; /* lists, subtrees, or one cell */
static uint64_t nroots;

/* An array of `count` new objects in random order. It is cleared after use,
 * else whatever still points to it lets the marker pass by the graph. */
static void **shuffled(struct gc_thread *t, const struct gc_type *type,
                       size_t count) {
  struct bench_rng r = bench_seed(7);
  void **all = gc_array(t, count);
  for (size_t i = 0; i < count; i++) {
    gc_store(t, all, &all[i], gc_new(t, type));
  }
  for (size_t i = count - 1; i > 0; i--) {
    size_t j = bench_between(&r, 0, i);
    void *p = all[i];
    gc_store(t, all, &all[i], all[j]);
    gc_store(t, all, &all[j], p);
  }
  return all;
}

static uint64_t lists_make(struct gc_thread *t, uint64_t live) {
  size_t count = live / sizeof(struct item);
  void **all = shuffled(t, &item_type, count);
  for (size_t i = 0; i < count; i++) {
    struct item *n = all[i];
    n->payload[0] = i;
    gc_store(t, n, &n->next, root[i % NLISTS]);
    gc_store(t, root, &root[i % NLISTS], n);
    all[i] = NULL;
  }
  return count;
}

static uint64_t lists_count(void) {
  uint64_t count = 0;
  for (size_t i = 0; i < NLISTS; i++) {
    for (struct item *n = root[i]; n != NULL; n = n->next) {
      count += n->payload[0] % NLISTS == i;
    }
  }
  return count;
}

static void *subtree_make(struct gc_thread *t, struct bench_rng *r,
                          unsigned depth, uint64_t *count) {
  ++*count;
  if (depth == 0) {
    struct item *leaf = gc_new(t, &leaf_types[bench_between(r, 0, 4)]);
    leaf->payload[0] = *count; /* memory that is used is written first */
    return leaf;
  }
  void **n = gc_new(t, &inner_type);
  for (size_t i = 0; i < WAYS; i++) {
    gc_store(t, n, &n[i], subtree_make(t, r, depth - 1, count));
  }
  return n;
}

static uint64_t subtree_count(void **n, unsigned depth) {
  uint64_t count = 1;
  for (size_t i = 0; depth > 0 && i < WAYS; i++) {
    count += subtree_count(n[i], depth - 1);
  }
  return count;
}

static uint64_t tree_make(struct gc_thread *t) {
  uint64_t count = 0;
  struct bench_rng r = bench_seed(8);
  for (size_t i = 0; i < nroots; i++) {
    gc_store(t, root, &root[i], subtree_make(t, &r, SUBTREE_DEPTH, &count));
  }
  return count;
}

static uint64_t tree_count(void) {
  uint64_t count = 0;
  for (size_t i = 0; i < nroots; i++) {
    count += subtree_count(root[i], SUBTREE_DEPTH);
  }
  return count;
}

static uint64_t cells_make(struct gc_thread *t, uint64_t live) {
  size_t count = live / sizeof(struct cell);
  void **all = shuffled(t, &cell_type, count);
  for (size_t i = 0; i < count; i++) {
    struct cell *n = all[i];
    gc_store(t, n, &n->left, 2 * i + 1 < count ? all[2 * i + 1] : NULL);
    gc_store(t, n, &n->right, 2 * i + 2 < count ? all[2 * i + 2] : NULL);
  }
  gc_store(t, root, root, all[0]);
  memset(all, 0, count * sizeof *all);
  return count;
}

static uint64_t cells_count(const struct cell *n) {
  return n == NULL ? 0 : 1 + cells_count(n->left) + cells_count(n->right);
}

static uint64_t graph_make(struct gc_thread *t, uint64_t shape, uint64_t live) {
  const uint64_t subtree_bytes = 65536 * 96 + 4369 * 128;
  nroots = shape == SHAPE_LISTS  ? NLISTS
           : shape == SHAPE_TREE ? 1 + live / subtree_bytes
                                 : 1;
  root = gc_array(t, nroots);
  return shape == SHAPE_LISTS  ? lists_make(t, live)
         : shape == SHAPE_TREE ? tree_make(t)
                               : cells_make(t, live);
}

static void graph_check(uint64_t shape, uint64_t made) {
  uint64_t count = shape == SHAPE_LISTS  ? lists_count()
                   : shape == SHAPE_TREE ? tree_count()
                                         : cells_count(*root);
  if (count != made) {
    bench_broken("objects lost", root, count);
  }
}

static int doubles_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, doubles_compare);
  return values[count / 2];
}

static void measure(uint64_t shape, uint64_t live, uint64_t rounds) {
  static double seconds[ROUNDS_MAX], cpu[ROUNDS_MAX];
  struct gc_thread t;
  gc_thread_begin(&t);
  uint64_t objects = graph_make(&t, shape, live);
  graph_check(shape, objects);
  gc_collect(&t); /* what building left behind */
  for (uint64_t i = 0; i < rounds; i++) {
    double begin = bench_now(), cpu_begin = bench_cpu();
    gc_collect(&t);
    seconds[i] = bench_now() - begin;
    cpu[i] = bench_cpu() - cpu_begin;
  }
  graph_check(shape, objects);
  gc_thread_end(&t);
  double middle = median(seconds, rounds);
  gc_report("gc_mark", objects, middle,
            ",\"cpu_s\":%.6f,\"ns_object\":%.3f,\"slowest_ms\":%.3f",
            median(cpu, rounds), middle * 1e9 / (double)objects,
            seconds[rounds - 1] * 1e3);
}

int main(int argc, char **argv) {
  uint64_t shape = SHAPE_LISTS, live = 256 << 20, rounds = 5;
  const struct bench_option table[] = {
      {"shape", &shape, "0: lists, 1: tree, 2: cells"},
      {"live", &live, "bytes of the objects"},
      {"rounds", &rounds, "collections, 1 to 100"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  if (shape > SHAPE_CELLS || rounds < 1 || rounds > ROUNDS_MAX) {
    bench_usage(argv[0], table, sizeof table / sizeof table[0]);
  }
  gc_init();
  gc_root(&root, sizeof root);
  item_type = gc_type_make(sizeof(struct item), 1);
  cell_type = gc_type_make(sizeof(struct cell), 3);
  inner_type = gc_type_make(WAYS * GC_WORD_BYTES, 0xffff);
  for (size_t i = 0; i < 5; i++) {
    leaf_types[i] = gc_type_make(64 + 16 * i, 1);
  }
  measure(shape, live, rounds);
  return 0;
}
