/* bench/gc/gc_churn.c -- a live set whose members are replaced at random.
 *
 * WHAT    Fills a table with `live` nodes of `min` to `max` bytes, then
 *         replaces a random one `ops` times: check it, make another, store
 *         it. Every replacement is timed. With noscan=1 nodes hold no
 *         pointers; with linked=1 each points to another node of the table
 *         (and a node that leaves forgets its own, so chains stay short).
 */
#include "gc_adapter.h"

enum {
  CLASS_BYTES = 16,
  CLASSES_MAX = 65,
  /* The histogram: 16 steps per power of two, from 1 ns. */
  STEP_BITS = 4,
  STEPS = 64 << STEP_BITS,
};

struct node {
  struct node *other, *unused;
  uint64_t words; /* of the node */
  uint64_t key;   /* also the last word: the size is 32 at least */
};

static struct settings {
  uint64_t live, ops, min, max, noscan, linked;
} set = {200000, 4 << 20, 32, 128, 0, 0};

static struct gc_type types[CLASSES_MAX]; /* by bytes / CLASS_BYTES */
static struct node **nodes;
static uint64_t steps[STEPS], longest_ns;

static void latency_add(uint64_t ns) {
  unsigned bits = 63 - (unsigned)__builtin_clzll(ns | 1);
  unsigned shift = bits > STEP_BITS ? bits - STEP_BITS : 0;
  steps[(shift << STEP_BITS) + (ns >> shift)]++;
  longest_ns = ns > longest_ns ? ns : longest_ns;
}

/* Microseconds that `share` of the operations did not exceed. */
static double latency_at(double share) {
  uint64_t left = (uint64_t)((1 - share) * (double)set.ops);
  for (uint64_t i = STEPS - 1; i > 0; i--) {
    if (steps[i] > left) {
      uint64_t shift = i >> STEP_BITS > 1 ? (i >> STEP_BITS) - 1 : 0;
      return (double)((i - (shift << STEP_BITS)) << shift) * 1e-3;
    }
    left -= steps[i];
  }
  return 0;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct node *node_make(struct gc_thread *t, struct bench_rng *r) {
  size_t bytes = bench_between(r, set.min, set.max) / CLASS_BYTES * CLASS_BYTES;
  struct node *n =
      set.noscan ? gc_noscan(t, bytes) : gc_new(t, &types[bytes / CLASS_BYTES]);
  n->words = bytes / GC_WORD_BYTES;
  uint64_t key = (uint64_t)(uintptr_t)n * UINT64_C(0x9E3779B97F4A7C15);
  n->key = key;
  ((uint64_t *)(void *)n)[n->words - 1] = key;
  if (set.linked) {
    gc_store(t, n, &n->other, nodes[bench_between(r, 0, set.live - 1)]);
  }
  return n;
}

static void node_check(const struct node *n) {
  uint64_t key = (uint64_t)(uintptr_t)n * UINT64_C(0x9E3779B97F4A7C15);
  if (n->key != key ||
      ((const uint64_t *)(const void *)n)[n->words - 1] != key) {
    bench_broken("contents lost", n, n->words);
  }
}

static void churn(struct gc_thread *t) {
  struct bench_rng r = bench_seed(3);
  nodes = gc_array(t, set.live);
  for (uint64_t i = 0; i < set.live; i++) {
    gc_store(t, nodes, &nodes[i], node_make(t, &r));
  }
  uint64_t before = now_ns();
  for (uint64_t n = 0; n < set.ops; n++) {
    uint64_t i = bench_between(&r, 0, set.live - 1);
    node_check(nodes[i]);
    struct node *made = node_make(t, &r);
    if (set.linked) {
      gc_store(t, nodes[i], &nodes[i]->other, NULL);
    }
    gc_store(t, nodes, &nodes[i], made);
    uint64_t now = now_ns();
    latency_add(now - before);
    before = now;
  }
  for (uint64_t i = 0; i < set.live; i++) {
    node_check(nodes[i]);
  }
}

int main(int argc, char **argv) {
  const struct bench_option table[] = {
      {"live", &set.live, "nodes"},
      {"ops", &set.ops, "replacements"},
      {"min", &set.min, "bytes of a node, 32 at least"},
      {"max", &set.max, "bytes of a node, 1024 at most"},
      {"noscan", &set.noscan, "1: nodes hold no pointers"},
      {"linked", &set.linked, "1: nodes point to nodes"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  if (set.min < 32 || set.max > 1024 || set.max < set.min || set.live < 1) {
    bench_usage(argv[0], table, sizeof table / sizeof table[0]);
  }
  gc_init();
  gc_root(&nodes, sizeof nodes);
  for (size_t c = set.noscan ? CLASSES_MAX : set.min / CLASS_BYTES;
       c <= set.max / CLASS_BYTES; c++) {
    types[c] = gc_type_make(c * CLASS_BYTES, 1);
  }
  struct gc_thread t;
  gc_thread_begin(&t);
  double begin = bench_now();
  churn(&t);
  double seconds = bench_now() - begin;
  gc_thread_end(&t);
  gc_report("gc_churn", set.ops, seconds,
            ",\"p50_us\":%.3f,\"p99_us\":%.3f,\"p9999_us\":%.3f,"
            "\"max_us\":%.3f",
            latency_at(0.5), latency_at(0.99), latency_at(0.9999),
            (double)longest_ns * 1e-3);
  return 0;
}
