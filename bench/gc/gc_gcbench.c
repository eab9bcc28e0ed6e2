/* bench/gc/gc_gcbench.c -- GCBench.
 *
 * WHAT    A stretch tree, a long-lived tree and a long-lived array of doubles;
 *         then trees of depths 4, 6, ... 16, made from the root down (so that
 *         old nodes are written) and from the leaves up. Nodes are two
 *         pointers and two numbers.
 * SOURCE  GCBench by J. Ellis, P. Kovac and H. Boehm.
 */
#include "gc_adapter.h"

struct node {
  struct node *left, *right;
  int i, j;
};

static struct gc_type node_type;
static uint64_t nodes_made;

static uint64_t tree_nodes(uint64_t depth) {
  return (UINT64_C(2) << depth) - 1;
}

static struct node *node_make(struct gc_thread *t) {
  nodes_made++;
  return gc_new(t, &node_type);
}

static void tree_grow(struct gc_thread *t, unsigned depth, struct node *n) {
  if (depth > 0) {
    gc_store(t, n, &n->left, node_make(t));
    gc_store(t, n, &n->right, node_make(t));
    tree_grow(t, depth - 1, n->left);
    tree_grow(t, depth - 1, n->right);
  }
}

static struct node *tree_make(struct gc_thread *t, unsigned depth) {
  struct node *left = NULL, *right = NULL;
  if (depth > 0) {
    left = tree_make(t, depth - 1);
    right = tree_make(t, depth - 1);
  }
  struct node *n = node_make(t);
  gc_store(t, n, &n->left, left);
  gc_store(t, n, &n->right, right);
  return n;
}

static uint64_t tree_count(const struct node *n) {
  return n->left == NULL ? 1 : 1 + tree_count(n->left) + tree_count(n->right);
}

static void tree_check(const struct node *n, uint64_t depth) {
  if (tree_count(n) != tree_nodes(depth)) {
    bench_broken("nodes lost", n, (size_t)depth);
  }
}

static void bench_body(uint64_t stretch, uint64_t kept, uint64_t doubles) {
  struct gc_thread t;
  gc_thread_begin(&t);
  tree_check(tree_make(&t, (unsigned)stretch), stretch);
  struct node *volatile root = node_make(&t);
  tree_grow(&t, (unsigned)kept, root);
  double *volatile array = gc_noscan(&t, doubles * sizeof(double));
  for (uint64_t i = 0; i < doubles; i++) {
    array[i] = i < doubles / 2 ? 1.0 / (double)(i + 1) : 0;
  }
  for (uint64_t depth = 4; depth <= kept; depth += 2) {
    uint64_t count = 2 * tree_nodes(stretch) / tree_nodes(depth);
    for (uint64_t i = 0; i < count; i++) {
      struct node *n = node_make(&t);
      tree_grow(&t, (unsigned)depth, n);
      tree_check(n, depth);
    }
    for (uint64_t i = 0; i < count; i++) {
      tree_check(tree_make(&t, (unsigned)depth), depth);
    }
  }
  tree_check(root, kept);
  if (doubles > 2000 && array[1000] != 1.0 / 1001) {
    bench_broken("array lost", array, doubles);
  }
  gc_thread_end(&t);
}

int main(int argc, char **argv) {
  uint64_t stretch = 18, kept = 16, doubles = 500000;
  const struct bench_option table[] = {
      {"stretch", &stretch, "depth of the first tree"},
      {"kept", &kept, "depth of the tree that stays"},
      {"doubles", &doubles, "in the array that stays"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  gc_init();
  node_type = gc_type_make(sizeof(struct node), 3);
  double begin = bench_now();
  bench_body(stretch, kept, doubles);
  double seconds = bench_now() - begin;
  gc_report("gc_gcbench", nodes_made, seconds, "%s", "");
  return 0;
}
