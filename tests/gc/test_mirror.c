/* Random graphs against a mirror in plain C that decides what is reachable.
 *
 * Each thread has nodes of all kinds, reached through handles. The mirror
 * knows each node's edges and its address, hidden from the collector. After
 * two collections what the mirror reaches must be intact, word by word, and
 * the rest gone: weak references cleared, cleanups queued exactly once. Words
 * left on a stack may keep a few nodes longer; they are counted. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>

enum { NODES = 1500, HANDLES = 48, EDGES = 4, NONE = -1, THREADS_MAX = 8 };

/* A node's words: its name (odd: no pointer), edges, a checksum. */
enum { WORD_NAME, WORD_EDGE, WORD_SUM = WORD_EDGE + EDGES, WORDS };

enum shape { TYPED, TRACED, CONSERVATIVE, ARRAY, BIG, BIG_TRACED, LEAF };

struct mirror {
  uintptr_t hidden; /* ~address; 0: no node here */
  enum shape shape;
  int edges[EDGES];
  bool is_interior[EDGES]; /* stored as a pointer to the third word */
  struct alm_weak *weak;
  unsigned cleaned;
  bool is_reachable;
};

struct worker {
  struct alm_mutator *m;
  struct rng rng;
  struct mirror nodes[NODES];
  struct alm_handle *handles[HANDLES];
  int held[HANDLES];
  uint64_t name_base;
  size_t dead, stragglers;
  size_t operations;
  pthread_t thread;
  uint64_t seed;
};

static struct {
  struct alm_heap *heap;
  const struct alm_type *typed, *traced, *element, *traced_element;
  bool base_only;
  struct worker workers[THREADS_MAX];
} g;

static uintptr_t *address(const struct mirror *n) {
  return (uintptr_t *)~n->hidden;
}

static uintptr_t name(const struct worker *w, int i) {
  return (w->name_base + (uint64_t)i) * 2 + 1;
}

static void trace(void *object, size_t bytes, struct alm_visitor *v) {
  uintptr_t *words = object;
  for (size_t i = 0; i < bytes / sizeof *words; i++) {
    alm_visit(v, (void *)words[i]);
  }
}

static void count_cleanup(void *object, void *arg) {
  REQUIRE(object == NULL);
  ((struct mirror *)((uintptr_t)arg & ~(uintptr_t)1))->cleaned++;
}

static uintptr_t *make(struct worker *w, enum shape shape) {
  enum { BIG_WORDS = 6000 };
  size_t bytes = sizeof(uintptr_t) * (WORDS + rng_below(&w->rng, 60));
  switch (shape) {
  case TYPED:
    return alm_new_inline(w->m, g.typed);
  case TRACED:
    return alm_new_inline(w->m, g.traced);
  case CONSERVATIVE:
    return alm_new_bytes(w->m, ALM_CONSERVATIVE, bytes);
  case ARRAY:
    return alm_new_array(w->m, g.element, bytes / 8);
  case BIG:
    return alm_new_array(w->m, g.element, BIG_WORDS);
  case BIG_TRACED:
    return alm_new_array(w->m, g.traced_element, BIG_WORDS);
  default:
    return alm_new_bytes(w->m, ALM_NOSCAN, bytes);
  }
}

static enum shape random_shape(struct rng *r) {
  uint64_t n = rng_below(r, 100);
  return n < 40   ? TYPED
         : n < 55 ? TRACED
         : n < 70 ? CONSERVATIVE
         : n < 84 ? ARRAY
         : n < 85 ? BIG
         : n < 86 ? BIG_TRACED
                  : LEAF;
}

/* What the words of node i must be. */
static uintptr_t expected(const struct worker *w, int i, int word) {
  const struct mirror *n = &w->nodes[i];
  if (word == WORD_NAME) {
    return name(w, i);
  }
  if (word == WORD_SUM) {
    return ~name(w, i) | 1;
  }
  int e = word - WORD_EDGE;
  if (n->edges[e] == NONE) {
    return 0;
  }
  uintptr_t *to = address(&w->nodes[n->edges[e]]);
  return (uintptr_t)(n->is_interior[e] ? to + 2 : to);
}

__attribute__((noinline)) static void check_node(const struct worker *w,
                                                 int i) {
  const uintptr_t *words = address(&w->nodes[i]);
  for (int k = 0; k < WORDS; k++) {
    REQUIRE(words[k] == expected(w, i, k));
  }
}

__attribute__((noinline)) static void make_node(struct worker *w, int i,
                                                int handle) {
  struct mirror *n = &w->nodes[i];
  n->shape = random_shape(&w->rng);
  uintptr_t *words = make(w, n->shape);
  REQUIRE(words != NULL);
  size_t bytes = alm_object_bytes(g.heap, words);
  REQUIRE(bytes >= WORDS * sizeof *words);
  for (size_t k = 0; k < bytes / sizeof *words; k++) {
    REQUIRE(words[k] == 0);
  }
  words[WORD_NAME] = name(w, i);
  words[WORD_SUM] = ~name(w, i) | 1;
  n->hidden = ~(uintptr_t)words;
  n->cleaned = 0;
  for (int e = 0; e < EDGES; e++) {
    n->edges[e] = NONE;
  }
  n->weak = alm_weak_create(w->m, words, rng_below(&w->rng, 2));
  REQUIRE(n->weak != NULL);
  REQUIRE(alm_cleanup_add(w->m, words, count_cleanup,
                          (void *)((uintptr_t)n | 1)) == ALM_OK);
  alm_handle_set(w->handles[handle], words);
  w->held[handle] = i;
}

/* A node some steps from a handle, or NONE. */
static int walk(struct worker *w) {
  int at = w->held[rng_below(&w->rng, HANDLES)];
  for (uint64_t steps = rng_below(&w->rng, 6); at != NONE && steps > 0;
       steps--) {
    int next = w->nodes[at].edges[rng_below(&w->rng, EDGES)];
    at = next == NONE ? at : next;
  }
  return at;
}

__attribute__((noinline)) static void set_edge(struct worker *w, int from,
                                               int to) {
  struct mirror *n = &w->nodes[from];
  uint64_t e = rng_below(&w->rng, EDGES);
  if (n->shape == LEAF) {
    return;
  }
  n->edges[e] = to;
  n->is_interior[e] = !g.base_only && rng_below(&w->rng, 4) == 0;
  uintptr_t *words = address(n);
  alm_store_inline(w->m, words, &words[WORD_EDGE + e],
                   (void *)expected(w, from, (int)(WORD_EDGE + e)));
}

static void mark_from(struct worker *w, int i) {
  static _Thread_local int stack[NODES]; /* node * EDGES + next edge */
  int depth = 0;
  for (;;) {
    if (i != NONE && !w->nodes[i].is_reachable) {
      w->nodes[i].is_reachable = true;
      stack[depth++] = i * EDGES;
    }
    if (depth == 0) {
      return;
    }
    int at = stack[depth - 1]++;
    i = w->nodes[at / EDGES].edges[at % EDGES];
    if (at % EDGES == EDGES - 1) {
      depth--;
    }
  }
}

static void decide(struct worker *w) {
  for (int i = 0; i < NODES; i++) {
    w->nodes[i].is_reachable = false;
  }
  for (int k = 0; k < HANDLES; k++) {
    mark_from(w, w->held[k]);
  }
}

/* Compare with the mirror; what is gone leaves it. */
__attribute__((noinline)) static void compare(struct worker *w) {
  for (int i = 0; i < NODES; i++) {
    struct mirror *n = &w->nodes[i];
    if (n->hidden == 0) {
      continue;
    }
    bool is_there = alm_weak_get(w->m, n->weak) != NULL;
    REQUIRE(!is_there || alm_weak_get(w->m, n->weak) == address(n));
    REQUIRE(n->cleaned <= !is_there);
    if (n->is_reachable) {
      REQUIRE(is_there);
      check_node(w, i);
    } else if (!n->cleaned) { /* or its cleanup waits for the next round */
      w->stragglers++;
    } else {
      w->dead++;
      alm_weak_release(w->m, n->weak);
      n->hidden = 0;
    }
  }
}

/* A thread's cleanups may be run by another. */
static pthread_mutex_t collect_lock = PTHREAD_MUTEX_INITIALIZER;

static void collect_and_compare(struct worker *w) {
  alm_blocked_begin(w->m);
  pthread_mutex_lock(&collect_lock);
  alm_blocked_end(w->m);
  for (int i = 0; i < 2; i++) {
    scrub();
    REQUIRE(alm_collect(w->m) == ALM_OK);
    (void)alm_finalizers_run(w->m, 0);
  }
  decide(w);
  compare(w);
  pthread_mutex_unlock(&collect_lock);
}

static int free_index(struct worker *w) {
  for (int tries = 0; tries < 50; tries++) {
    int i = (int)rng_below(&w->rng, NODES);
    if (w->nodes[i].hidden == 0) {
      return i;
    }
  }
  return NONE;
}

/* The old one has to be seen between the two steps: a signal may stop the
 * thread there. */
__attribute__((noinline)) static void replace_by_new(struct worker *w, int at,
                                                     int handle, int to) {
  void *volatile seen = to != NONE ? address(&w->nodes[to]) : NULL;
  make_node(w, at, handle);
  if (to != NONE && rng_below(&w->rng, 8) != 0) {
    set_edge(w, at, to);
  }
  seen = NULL;
  (void)seen;
}

static void one_operation(struct worker *w) {
  int handle = (int)rng_below(&w->rng, HANDLES), at, to;
  switch (rng_below(&w->rng, 16)) {
  case 0 ... 4:
    at = free_index(w);
    if (at == NONE) {
      collect_and_compare(w);
      return;
    }
    to = w->held[handle]; /* often what was there stays reachable */
    replace_by_new(w, at, handle, to);
    break;
  case 5:
    alm_handle_set(w->handles[handle], NULL);
    w->held[handle] = NONE;
    break;
  case 6:
    alm_safepoint_inline(w->m);
    break;
  default:
    at = walk(w);
    to = rng_below(&w->rng, 5) == 0 ? NONE : walk(w);
    if (at != NONE) {
      check_node(w, at);
      set_edge(w, at, to);
    }
    break;
  }
}

static void drop_all(struct worker *w) {
  for (int k = 0; k < HANDLES; k++) {
    alm_handle_set(w->handles[k], NULL);
    w->held[k] = NONE;
  }
}

static void *work(void *arg) {
  struct worker *w = arg;
  REQUIRE(alm_mutator_attach(g.heap, &w->m) == ALM_OK);
  w->rng = (struct rng){w->seed};
  for (int k = 0; k < HANDLES; k++) {
    w->handles[k] = alm_handle_create(w->m, NULL);
    REQUIRE(w->handles[k] != NULL);
    w->held[k] = NONE;
  }
  for (size_t i = 0; i < w->operations; i++) {
    one_operation(w);
  }
  scrub(); /* also where one_operation's frame was */
  collect_and_compare(w);
  drop_all(w);
  w->stragglers = 0;
  scrub();
  collect_and_compare(w);
  REQUIRE(w->dead > w->operations / 20);
  REQUIRE(w->stragglers < NODES / 4 || UNDER_ASAN);
  REQUIRE(alm_heap_check(w->m));
  alm_mutator_detach(w->m);
  return NULL;
}

static void make_types(void) {
  static const uint64_t mask = ((1u << EDGES) - 1) << WORD_EDGE, one = 1;
  struct alm_type_info typed = {"typed", WORDS * 8, &mask, WORDS, NULL};
  struct alm_type_info traced = {"traced", WORDS * 8, NULL, 0, trace};
  struct alm_type_info element = {"element", 8, &one, 1, NULL};
  struct alm_type_info traced_element = {"traced element", 8, NULL, 0, trace};
  REQUIRE(alm_type_create(g.heap, &typed, &g.typed) == ALM_OK);
  REQUIRE(alm_type_create(g.heap, &traced, &g.traced) == ALM_OK);
  REQUIRE(alm_type_create(g.heap, &element, &g.element) == ALM_OK);
  REQUIRE(alm_type_create(g.heap, &traced_element, &g.traced_element) ==
          ALM_OK);
}

/* Not in a child: TSan forbids threads there. */
static void run_with(struct alm_heap_options options, unsigned threads,
                     size_t operations) {
  uint64_t seed = seed_take();
  memset(&g, 0, sizeof g);
  REQUIRE(heap_under_test(&options, &g.heap) == ALM_OK);
  make_types();
  g.base_only = options.base_pointers_only;
  for (unsigned i = 0; i < threads; i++) {
    struct worker *w = &g.workers[i];
    w->name_base = (uint64_t)i * NODES + 1;
    w->operations = rounds(operations) / threads;
    w->seed = seed + i * 977;
    REQUIRE(pthread_create(&w->thread, NULL, work, w) == 0);
  }
  for (unsigned i = 0; i < threads; i++) {
    REQUIRE(pthread_join(g.workers[i].thread, NULL) == 0);
  }
  REQUIRE(alm_heap_destroy(g.heap) == ALM_OK);
  all_memory_is_back();
}

static void one_thread_agrees_with_its_mirror(void **state) {
  (void)state;
  run_with((struct alm_heap_options){.check = 2, .markers = 1}, 1, 300000);
}

static void several_threads_agree_with_their_mirrors(void **state) {
  (void)state;
  run_with((struct alm_heap_options){.check = 1}, 4, 400000);
  run_with((struct alm_heap_options){.markers = 3}, 8, 400000);
}

static void base_pointers_alone_keep_what_they_should(void **state) {
  (void)state;
  run_with((struct alm_heap_options){.base_pointers_only = true, .check = 2}, 2,
           200000);
}

static void collecting_all_the_time_loses_nothing(void **state) {
  (void)state;
  run_with((struct alm_heap_options){.collect_every = 3, .first_bytes = 4096},
           3, 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_thread_agrees_with_its_mirror),
      cmocka_unit_test(several_threads_agree_with_their_mirrors),
      cmocka_unit_test(base_pointers_alone_keep_what_they_should),
      cmocka_unit_test(collecting_all_the_time_loses_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
