/* bench/bench_tree.c -- binary trees built, walked and torn down.
 *
 * WHAT    Each thread keeps one long-lived tree of `depth` and builds, sums
 *         and frees shorter ones of all depths from 4 up, as many of each as
 *         give equal numbers of nodes. Nodes have 32 to 64 bytes.
 * SOURCE  Idea: the binary-trees program of the Benchmarks Game.
 */
#include "bench.h"

struct node {
  struct node *left, *right;
  uint64_t sum; /* of the subtree's leaves: 1 each */
};

struct worker {
  uint64_t depth, repeat, nodes;
};

static struct node *tree_build(unsigned depth) {
  size_t size = 32 + (depth % 3) * 16;
  struct node *n = bench_checked(malloc(size), size);
  n->left = n->right = NULL;
  n->sum = 1;
  if (depth > 0) {
    n->left = tree_build(depth - 1);
    n->right = tree_build(depth - 1);
    n->sum = n->left->sum + n->right->sum;
  }
  return n;
}

static uint64_t tree_sum(const struct node *n) {
  uint64_t sum = n->left != NULL ? tree_sum(n->left) + tree_sum(n->right) : 1;
  if (sum != n->sum) {
    bench_broken("tree contents lost", n, sizeof *n);
  }
  return sum;
}

static void tree_free(struct node *n) {
  if (n->left != NULL) {
    tree_free(n->left);
    tree_free(n->right);
  }
  free(n);
}

static void *trees(void *arg) {
  struct worker *w = arg;
  struct node *kept = tree_build((unsigned)w->depth);
  for (uint64_t n = 0; n < w->repeat; n++) {
    for (unsigned depth = 4; depth < w->depth; depth += 4) {
      uint64_t count = UINT64_C(1) << (w->depth - depth);
      for (uint64_t i = 0; i < count; i++) {
        struct node *t = tree_build(depth);
        tree_sum(t);
        tree_free(t);
        w->nodes += UINT64_C(2) << depth;
      }
    }
  }
  tree_sum(kept);
  tree_free(kept);
  w->nodes += UINT64_C(2) << w->depth;
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 1, depth = 18, repeat = 36;
  const struct bench_option table[] = {
      {"threads", &threads, "threads, each with its own trees"},
      {"depth", &depth, "of the long-lived tree, 4 to 30"},
      {"repeat", &repeat, "how often each depth is gone through"},
  };
  BENCH_OPTIONS(argc, argv, table);
  static struct worker workers[BENCH_THREADS_MAX];
  for (uint64_t i = 0; i < threads && i < BENCH_THREADS_MAX; i++) {
    workers[i] = (struct worker){depth, repeat, 0};
  }
  double begin = bench_now();
  bench_parallel(threads, trees, workers, sizeof workers[0]);
  double seconds = bench_now() - begin;
  uint64_t nodes = 0;
  for (uint64_t i = 0; i < threads && i < BENCH_THREADS_MAX; i++) {
    nodes += workers[i].nodes;
  }
  bench_report("tree", nodes, seconds, ",\"threads\":%" PRIu64, threads);
  return 0;
}
