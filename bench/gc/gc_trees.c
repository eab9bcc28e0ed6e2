/* bench/gc/gc_trees.c -- binary trees, made and dropped.
 *
 * WHAT    A stretch tree, a tree that stays, and between them many trees of
 *         depths 4, 6, ... `depth`, as many of each as give equal numbers of
 *         nodes; with several threads each makes its share. Nodes are two
 *         pointers.
 * SOURCE  binary-trees of the Benchmarks Game.
 */
#include "gc_adapter.h"

struct node {
  struct node *left, *right;
};

struct worker {
  uint64_t depth, share, shares, nodes;
};

static struct gc_type node_type;

static struct node *tree_make(struct gc_thread *t, unsigned depth) {
  struct node *left = NULL, *right = NULL;
  if (depth > 0) {
    left = tree_make(t, depth - 1);
    right = tree_make(t, depth - 1);
  }
  struct node *n = gc_new(t, &node_type);
  gc_store(t, n, &n->left, left);
  gc_store(t, n, &n->right, right);
  return n;
}

static uint64_t tree_count(const struct node *n) {
  return n->left == NULL ? 1 : 1 + tree_count(n->left) + tree_count(n->right);
}

static void tree_check(struct worker *w, const struct node *n, uint64_t depth) {
  uint64_t count = tree_count(n);
  if (count != (UINT64_C(2) << depth) - 1) {
    bench_broken("nodes lost", n, count);
  }
  w->nodes += count;
}

static void *trees(void *arg) {
  struct worker *w = arg;
  struct gc_thread t;
  gc_thread_begin(&t);
  struct node *volatile kept = NULL;
  if (w->share == 0) {
    tree_check(w, tree_make(&t, (unsigned)w->depth + 1), w->depth + 1);
    kept = tree_make(&t, (unsigned)w->depth);
  }
  for (uint64_t depth = 4; depth <= w->depth; depth += 2) {
    uint64_t count = UINT64_C(1) << (w->depth - depth + 4);
    for (uint64_t i = w->share; i < count; i += w->shares) {
      tree_check(w, tree_make(&t, (unsigned)depth), depth);
    }
  }
  if (kept != NULL) {
    tree_check(w, kept, w->depth);
  }
  gc_thread_end(&t);
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 1, depth = 18;
  const struct bench_option table[] = {
      {"threads", &threads, "threads that share the trees"},
      {"depth", &depth, "of the tree that stays, 4 to 30"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  gc_init();
  node_type = gc_type_make(sizeof(struct node), 3);
  static struct worker workers[BENCH_THREADS_MAX];
  threads = threads < BENCH_THREADS_MAX ? threads : BENCH_THREADS_MAX;
  for (uint64_t i = 0; i < threads; i++) {
    workers[i] = (struct worker){depth, i, threads, 0};
  }
  double begin = bench_now();
  bench_parallel(threads, trees, workers, sizeof workers[0]);
  double seconds = bench_now() - begin;
  uint64_t nodes = 0;
  for (uint64_t i = 0; i < threads; i++) {
    nodes += workers[i].nodes;
  }
  gc_report("gc_trees", nodes, seconds, ",\"threads\":%" PRIu64, threads);
  return 0;
}
