/* tests/compat/libgc/functions_incremental.c -- collecting in small steps. */
#include "check.h"

struct node {
  struct node *left, *right;
  long number;
};

static struct node *tree;
enum { DEPTH = 14 };

static struct node *new_tree(int depth) {
  struct node *node = GC_malloc(sizeof *node);
  node->number = depth;
  if (depth > 1) {
    GC_PTR_STORE_AND_DIRTY(&node->left, new_tree(depth - 1));
    GC_PTR_STORE_AND_DIRTY(&node->right, new_tree(depth - 1));
  }
  return node;
}

static int tree_is_intact(const struct node *node, int depth) {
  if (depth == 0) return node == NULL;
  return node && node->number == depth &&
         tree_is_intact(node->left, depth - 1) &&
         tree_is_intact(node->right, depth - 1);
}

/* Replaces one of the subtrees again and again, far down the tree. */
static void change_tree(int rounds) {
  unsigned seed = 1;
  for (int i = 0; i < rounds; i++) {
    struct node *node = tree;
    for (int depth = DEPTH; depth > 5; depth--) {
      seed = seed * 1103515245 + 12345;
      node = seed >> 16 & 1 ? node->left : node->right;
    }
    node->left = node->right;
    GC_end_stubborn_change(node);
    GC_reachable_here(node->right);
    struct node *fresh = new_tree(4);
    node->right = fresh;
    GC_end_stubborn_change(node);
    GC_reachable_here(fresh);
  }
}

TEST("the incremental mode is off at first") {
  CHECK_THAT(GC_is_incremental_mode(), ==, 0);
}

TEST("GC_start_incremental_collection does nothing while it is off") {
  GC_start_incremental_collection();
  CHECK_THAT(GC_is_incremental_mode(), ==, 0);
}

TEST("GC_enable_incremental turns it on") {
  GC_enable_incremental();
  CHECK_THAT(GC_is_incremental_mode(), !=, 0);
}

TEST("GC_incremental_protection_needs names some of the kinds of memory") {
  int needs = GC_incremental_protection_needs();
  CHECK_THAT(needs & ~(GC_PROTECTS_POINTER_HEAP | GC_PROTECTS_PTRFREE_HEAP |
                       GC_PROTECTS_STATIC_DATA | GC_PROTECTS_STACK),
             ==, GC_PROTECTS_NONE);
}

TEST("a tree stays intact while it is changed and collected in steps") {
  tree = new_tree(DEPTH);
  change_tree(30000);
  CHECK(tree_is_intact(tree, DEPTH));
  GC_gcollect();
  CHECK(tree_is_intact(tree, DEPTH));
}

TEST("GC_collect_a_little returns 0 when there is no more to do") {
  GC_start_incremental_collection();
  int steps = 0;
  while (GC_collect_a_little() && steps < 10000000) steps++;
  CHECK_THAT(steps, <, 10000000);
  CHECK(tree_is_intact(tree, DEPTH));
}

TEST("small steps between changes keep the tree intact") {
  for (int i = 0; i < 300; i++) {
    GC_start_incremental_collection();
    for (int k = 0; k < 10 && GC_collect_a_little(); k++) change_tree(3);
  }
  CHECK(tree_is_intact(tree, DEPTH));
}

static void watch_some(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) watch(i, GC_malloc(100));
}

TEST("dead objects are collected in this mode, too") {
  apart(watch_some, NULL);
  CHECK_WATCHED_GONE();
}

TEST("with a time limit, and without one, the tree stays intact") {
  struct GC_timeval_s limit = {1, 500000};
  GC_set_time_limit_tv(limit);
  change_tree(10000);
  CHECK(tree_is_intact(tree, DEPTH));
  GC_set_time_limit(GC_TIME_UNLIMITED);
  change_tree(10000);
  CHECK(tree_is_intact(tree, DEPTH));
  GC_set_time_limit(50);
}

TEST("the settings of its steps may be changed") {
  GC_set_rate(20);
  GC_set_full_freq(3);
  GC_set_max_prior_attempts(3);
  GC_set_min_bytes_allocd(100000);
  change_tree(10000);
  CHECK(tree_is_intact(tree, DEPTH));
}

static void *change_own_tree(void *unused) {
  struct node *own = new_tree(10);
  for (int i = 0; i < 2000; i++) {
    struct node *node = own->left->right;
    node->left = new_tree(7);
    GC_end_stubborn_change(node);
    GC_reachable_here(node->left);
  }
  CHECK(tree_is_intact(own, 10));
  return unused;
}

TEST("threads may change their trees in this mode") {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, change_own_tree, NULL), ==,
               0);
  change_tree(5000);
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
  CHECK(tree_is_intact(tree, DEPTH));
}

/* ---- the program tells its changes --------------------------------------- */

static int run_manual(void) {
  CHECK_THAT(GC_get_manual_vdb_allowed(), ==, 0);
  GC_set_manual_vdb_allowed(1);
  CHECK_THAT(GC_get_manual_vdb_allowed(), ==, 1);
  GC_enable_incremental();
  CHECK_THAT(GC_is_incremental_mode(), !=, 0);
  tree = new_tree(DEPTH);
  GC_ptr_store_and_dirty(&tree->left->left, new_tree(DEPTH - 2));
  change_tree(30000);
  for (int i = 0; i < 100; i++) {
    GC_start_incremental_collection();
    for (int k = 0; k < 10 && GC_collect_a_little(); k++) change_tree(3);
  }
  return tree_is_intact(tree, DEPTH) ? 0 : 1;
}

TEST("with GC_set_manual_vdb_allowed the program tells its changes") {
  char text[2000];
  int status = run_part("manual", text, sizeof text);
  if (status) fputs(text, stderr);
  CHECK_THAT(status, ==, 0);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return run_manual();
  GC_INIT();
  return run_tests();
}
