/* Collected heaps with graphs of extreme shapes, at their limit, and when all
 * is dropped: memory goes back. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

enum {
  FANOUT = 60,      /* children of a wide node; with its head: 488 bytes     */
  FEW_OBJECTS = 60, /* what stale words on a stack may keep                  */
  FEW_BYTES = 1 << 20,
};

struct cell {
  struct cell *next;
  uint64_t id;
};

struct ring {
  struct ring *next;
  struct ring *previous;
  struct ring *across;
  uint64_t id;
};

struct wide {
  uint64_t id;
  struct wide *children[FANOUT];
};

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *cell, *ring, *wide, *word, *traced;
  struct alm_handle *root;
} t;

static void trace_words(void *object, size_t bytes, struct alm_visitor *v) {
  for (size_t i = 0; i < bytes / 8; i++) {
    alm_visit(v, ((void **)object)[i]);
  }
}

static void begin(const struct alm_heap_options *options) {
  static const uint64_t one = 1, three = 7, most = ~(uint64_t)1;
  struct alm_type_info cell = {"cell", sizeof(struct cell), &one, 1, NULL};
  struct alm_type_info ring = {"ring", sizeof(struct ring), &three, 3, NULL};
  struct alm_type_info wide = {"wide", sizeof(struct wide), &most, 1 + FANOUT,
                               NULL};
  struct alm_type_info word = {"word", 8, &one, 1, NULL};
  struct alm_type_info traced = {"traced", 8, NULL, 0, trace_words};
  REQUIRE(heap_under_test(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &cell, &t.cell) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &ring, &t.ring) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &wide, &t.wide) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &word, &t.word) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &traced, &t.traced) == ALM_OK);
  t.root = alm_handle_create(t.m, NULL);
  REQUIRE(t.root != NULL);
}

static void end(void) {
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  all_memory_is_back();
}

static struct alm_heap_stats stats; /* not on the stack: it is scanned */

static uint64_t live(void) {
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
  alm_heap_stats_read(t.heap, &stats);
  return stats.live_objects;
}

static void require_about(uint64_t n) {
  uint64_t found = live();
  REQUIRE(found >= n && found <= n + FEW_OBJECTS);
}

/* Everything was dropped: nothing of it stays. */
static void require_empty(void) {
  require_about(0);
  REQUIRE(alm_sweep(t.m) == ALM_OK);
  alm_heap_stats_read(t.heap, &stats);
  REQUIRE(stats.heap_bytes <= FEW_BYTES);
  REQUIRE(alm_heap_check(t.m));
}

/* ---- lists ---------------------------------------------------------------------- */

static void build_list(size_t n) {
  struct cell *list = NULL;
  for (size_t i = 0; i < n; i++) {
    struct cell *c = alm_new_inline(t.m, t.cell);
    REQUIRE(c != NULL && c->next == NULL && c->id == 0);
    c->id = i;
    alm_store_inline(t.m, c, &c->next, list);
    list = c;
  }
  alm_handle_set(t.root, list);
}

static void check_list(size_t n) {
  const struct cell *c = alm_handle_get(t.root);
  for (; n > 0; n--, c = c->next) {
    REQUIRE(c != NULL && c->id == n - 1);
  }
  REQUIRE(c == NULL);
}

static void cut_list(size_t n) {
  struct cell *c = alm_handle_get(t.root);
  while (n-- > 1) {
    c = c->next;
  }
  alm_store(t.m, c, &c->next, NULL);
}

static void a_list_of_millions_lives_and_goes(void) {
  size_t n = !ALM_DEBUG && support_number("ALM_SOAK_SECONDS", 0)
                 ? 100000000
                 : rounds(10000000);
  begin(NULL);
  deep(build_list, n);
  require_about(n);
  deep(check_list, n);
  deep(cut_list, n / 4);
  require_about(n / 4);
  alm_handle_set(t.root, NULL);
  require_empty();
  deep(build_list, n / 4); /* in memory that was used before */
  require_about(n / 4);
  deep(check_list, n / 4);
  end();
}

static void markers_share_a_list_that_cannot_be_shared(void) {
  for (unsigned markers = 1; markers <= 4; markers++) {
    struct alm_heap_options options = {.markers = markers, .check = 2};
    size_t n = rounds(200000);
    begin(&options);
    deep(build_list, n);
    require_about(n);
    deep(check_list, n);
    alm_handle_set(t.root, NULL);
    require_empty();
    end();
  }
}

/* ---- large arrays ------------------------------------------------------------------ */

static void **(*make_array)(size_t n);

static void **make_typed(size_t n) {
  return alm_new_array(t.m, t.word, n);
}

static void **make_traced(size_t n) {
  return alm_new_array(t.m, t.traced, n);
}

static void **make_conservative(size_t n) {
  return alm_new_bytes(t.m, ALM_CONSERVATIVE, n * sizeof(void *));
}

static void build_array(size_t n) {
  void **array = make_array(n);
  REQUIRE(array != NULL);
  alm_handle_set(t.root, array);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(array[i] == NULL);
    struct cell *c = alm_new_inline(t.m, t.cell);
    REQUIRE(c != NULL);
    c->id = i;
    alm_store_inline(t.m, array, &array[i], c);
  }
}

static void drop_every_third(size_t n) {
  void **array = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i += 3) {
    alm_store_inline(t.m, array, &array[i], NULL);
  }
}

static void check_array(size_t n) {
  void **array = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i++) {
    const struct cell *c = array[i];
    REQUIRE(i % 3 == 0 ? c == NULL : c->id == i && c->next == NULL);
  }
}

static void an_array_of_a_million_pointers_is_marked_in_pieces(void) {
  static void **(*const makers[])(size_t) = {make_typed, make_traced,
                                             make_conservative};
  for (size_t i = 0; i < 6; i++) {
    struct alm_heap_options options = {.markers = (unsigned)i % 3 + 1,
                                       .base_pointers_only = i >= 3};
    size_t n = rounds(1000000) + i;
    make_array = makers[i % 3];
    begin(&options);
    deep(build_array, n);
    require_about(n + 1);
    deep(drop_every_third, n);
    require_about(n + 1 - (n + 2) / 3);
    deep(check_array, n);
    alm_handle_set(t.root, NULL);
    require_empty();
    end();
  }
}

/* ---- trees and cycles ------------------------------------------------------------------ */

static uint64_t nmade;

static struct wide *tree(size_t depth) {
  struct wide *w = alm_new(t.m, t.wide);
  REQUIRE(w != NULL);
  w->id = nmade++;
  for (size_t i = 0; depth > 0 && i < FANOUT; i++) {
    alm_store(t.m, w, &w->children[i], tree(depth - 1));
  }
  return w;
}

static void build_tree(size_t depth) {
  nmade = 0;
  alm_handle_set(t.root, tree(depth));
}

static uint64_t nseen;

static void see_tree(const struct wide *w, size_t depth) {
  REQUIRE(w->id == nseen++); /* in the order they were made */
  for (size_t i = 0; i < FANOUT; i++) {
    REQUIRE((w->children[i] != NULL) == (depth > 0));
    if (depth > 0) {
      see_tree(w->children[i], depth - 1);
    }
  }
}

static void check_tree(size_t depth) {
  nseen = 0;
  see_tree(alm_handle_get(t.root), depth);
}

static void a_wide_tree_lives_and_goes(void) {
  for (unsigned markers = 1; markers <= 4; markers += 3) {
    struct alm_heap_options options = {.markers = markers};
    size_t depth = rounds(2) == 2 ? 3 : 2;
    begin(&options);
    deep(build_tree, depth);
    require_about(nmade);
    deep(check_tree, depth);
    alm_handle_set(t.root, NULL);
    require_empty();
    end();
  }
}

/* A ring with pointers across it. */
static void build_ring(size_t n) {
  struct ring *first = alm_new_inline(t.m, t.ring), *r = first;
  struct rng random = {n};
  REQUIRE(first != NULL);
  alm_handle_set(t.root, first);
  for (size_t i = 1; i < n; i++) {
    struct ring *next = alm_new_inline(t.m, t.ring);
    REQUIRE(next != NULL);
    next->id = i;
    alm_store(t.m, r, &r->next, next);
    alm_store(t.m, next, &next->previous, r);
    alm_store(t.m, next, &next->across, rng_below(&random, 2) ? first : r);
    r = next;
  }
  alm_store(t.m, r, &r->next, first);
  alm_store(t.m, first, &first->previous, r);
}

static void check_ring(size_t n) {
  const struct ring *r = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i++, r = r->next) {
    REQUIRE(r->id == i && r->next->previous == r);
  }
  REQUIRE(r == alm_handle_get(t.root));
}

/* Each refers to each. */
static void build_clique(size_t n) {
  void **all = alm_new_array(t.m, t.word, n);
  REQUIRE(all != NULL);
  alm_handle_set(t.root, all);
  for (size_t i = 0; i < n; i++) {
    alm_store(t.m, all, &all[i], alm_new_array(t.m, t.word, n));
    REQUIRE(all[i] != NULL);
  }
  for (size_t i = 0; i < n; i++) {
    alm_copy(t.m, all[i], all[i], all, n * sizeof *all);
  }
}

static void check_clique(size_t n) {
  void **all = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(memcmp(all[i], all, n * sizeof *all) == 0);
  }
}

static void what_refers_to_itself_goes_as_well(void) {
  struct alm_heap_options options = {.check = 2};
  size_t n = rounds(500000), nclique = rounds(2000);
  begin(&options);
  deep(build_ring, n);
  require_about(n);
  deep(check_ring, n);
  alm_handle_set(t.root, NULL);
  require_empty();
  deep(build_clique, nclique);
  require_about(nclique + 1);
  deep(check_clique, nclique);
  alm_handle_set(t.root, NULL);
  require_empty();
  deep(build_ring, 1); /* itself alone */
  require_about(1);
  alm_handle_set(t.root, NULL);
  require_empty();
  end();
}

/* ---- sizes -------------------------------------------------------------------------------- */

/* Objects of every size and kind in one list of arrays; each is stamped. */
static size_t size_of(size_t i) {
  return i < 300 ? i : i < 600 ? (i - 290) * 130 : (i - 590) * 20000;
}

static void *make_of(size_t i, size_t bytes) {
  switch (i % 3) {
  case 0:
    return alm_new_bytes(t.m, ALM_NOSCAN, bytes);
  case 1:
    return alm_new_bytes(t.m, ALM_CONSERVATIVE, bytes);
  default:
    return alm_new_array(t.m, t.word, (bytes + 7) / 8);
  }
}

static void build_sizes(size_t n) {
  void **all = alm_new_array(t.m, t.word, n);
  REQUIRE(all != NULL);
  alm_handle_set(t.root, all);
  for (size_t i = 0; i < n; i++) {
    size_t bytes = size_of(i);
    void *p = make_of(i, bytes);
    bool is_packed = i % 3 == 0 && bytes < 16;
    REQUIRE(p != NULL && (is_packed || alm_object_bytes(t.heap, p) >= bytes));
    alm_store(t.m, all, &all[i], p);
    for (size_t k = 0; k < bytes; k++) {
      REQUIRE(((char *)p)[k] == 0);
    }
    if (i % 3 != 2) { /* stamps are no pointers, mostly */
      stamp_write(p, bytes, i);
    }
  }
}

static void check_sizes(size_t n) {
  void **all = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(i % 3 == 2 || stamp_holds(all[i], size_of(i), size_of(i), i));
  }
}

static void drop_some_sizes(size_t n) {
  void **all = alm_handle_get(t.root);
  for (size_t i = 0; i < n; i++) {
    if (i % 7 < 3) {
      alm_store(t.m, all, &all[i], make_of(i, size_of(i)));
      REQUIRE(all[i] != NULL);
      if (i % 3 != 2) {
        stamp_write(all[i], size_of(i), i);
      }
    }
  }
}

static void objects_of_every_size_live_and_go(void) {
  enum { SIZES = 650, PACKED = 6 }; /* these may share a block */
  struct alm_heap_options options = {.check = 1, .first_bytes = 1 << 20};
  begin(&options);
  deep(build_sizes, SIZES);
  for (int i = 0; i < 5; i++) {
    require_about(SIZES + 1 - PACKED);
    deep(check_sizes, SIZES);
    deep(drop_some_sizes, SIZES);
  }
  deep(check_sizes, SIZES);
  alm_handle_set(t.root, NULL);
  require_empty();
  end();
}

/* ---- the limit -------------------------------------------------------------------------------- */

static unsigned asked;
static bool may_free;

/* Does not look at what it frees: the collection comes next, and scans. */
static bool free_root(struct alm_heap *heap, size_t bytes, void *arg) {
  REQUIRE(heap == t.heap && arg == &asked && bytes > 0);
  asked++;
  if (may_free) {
    alm_handle_set(t.root, NULL);
  }
  return may_free && asked == 1;
}

static struct alm_handle *second;

/* Into the list of the second handle, until memory is out. */
static void fill_up(size_t most) {
  for (size_t i = 0; i < most; i++) {
    struct cell *c = alm_new(t.m, t.cell);
    if (c == NULL) {
      return;
    }
    REQUIRE(c->next == NULL && c->id == 0);
    c->id = 1;
    alm_store(t.m, c, &c->next, alm_handle_get(second));
    alm_handle_set(second, c);
  }
}

static void begin_limited(bool has_handler) {
  struct alm_heap_options options = {.limit_bytes = 16 << 20};
  if (has_handler) {
    options.out_of_memory = free_root;
    options.out_of_memory_arg = &asked;
  }
  begin(&options);
  second = alm_handle_create(t.m, NULL);
  asked = 0;
}

enum { HALF = (8 << 20) / sizeof(struct cell) };

static void a_full_heap_that_frees_something_goes_on(void) {
  begin_limited(true);
  may_free = true;
  deep(build_list, HALF);
  deep(fill_up, HALF + HALF / 2); /* more than fits beside the first */
  REQUIRE(asked == 1);
  require_about(HALF + HALF / 2);
  alm_heap_stats_read(t.heap, &stats);
  REQUIRE(stats.heap_bytes_max <= 16 << 20);
  alm_handle_set(second, NULL);
  require_empty();
  end();
}

static void a_full_heap_that_frees_nothing_gives_null(void) {
  for (int has_handler = 0; has_handler < 2; has_handler++) {
    begin_limited(has_handler);
    may_free = false;
    deep(fill_up, SIZE_MAX);
    uint64_t n = live();
    REQUIRE(n >= HALF && n <= 2 * HALF);
    REQUIRE(asked == (has_handler ? 1u : 0u));
    REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20) == NULL);
    REQUIRE(alm_new_array(t.m, t.word, 1 << 20) == NULL);
    REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, (size_t)1 << 40) == NULL);
    REQUIRE(alm_heap_check(t.m));
    alm_handle_set(second, NULL); /* and works again */
    scrub();
    deep(build_list, HALF);
    require_about(HALF);
    deep(check_list, HALF);
    end();
  }
}

/* Garbage at the limit costs collections, not failures. */
static void churn(size_t n) {
  for (size_t i = 0; i < n; i++) {
    void *p = alm_new_bytes(t.m, i % 2 ? ALM_NOSCAN : ALM_CONSERVATIVE,
                            i * 7919 % 300000);
    REQUIRE(p != NULL);
  }
}

static void garbage_never_exhausts_a_heap(void) {
  begin_limited(false);
  deep(build_list, HALF);
  deep(churn, rounds(4000));
  require_about(HALF);
  deep(check_list, HALF);
  alm_heap_stats_read(t.heap, &stats);
  REQUIRE(stats.collections > 10 && stats.heap_bytes_max <= 16 << 20);
  end();
}

/* ---- stale words ------------------------------------------------------------------------------- */

enum { STALE = 400 };
static uintptr_t dead[STALE]; /* inverted */
static void *stale[STALE];    /* a root; while the objects die: empty */

static void build_every_other(size_t n) {
  void **all = alm_new_array(t.m, t.word, n);
  REQUIRE(all != NULL);
  alm_handle_set(t.root, all);
  for (size_t i = 0; i < n; i++) {
    void *p = alm_new_array(t.m, t.word, 20);
    REQUIRE(p != NULL);
    dead[i] = ~(uintptr_t)p;
    alm_store(t.m, all, &all[i], i % 2 ? p : NULL);
  }
}

/* Claims all free slots of a span, of which the run begins with one. */
static void make_one(size_t bytes) {
  REQUIRE(alm_new_array(t.m, t.word, bytes / 8) != NULL);
}

static void a_stale_pointer_to_a_free_slot_keeps_nothing(void) {
  begin(NULL);
  memset(stale, 0, sizeof stale);
  REQUIRE(alm_root_add(t.heap, stale, sizeof stale) == ALM_OK);
  deep(build_every_other, STALE);
  require_about(STALE / 2 + 1);
  REQUIRE(alm_sweep(t.m) == ALM_OK);
  deep(make_one, 160);
  for (size_t i = 0; i < STALE; i += 2) {
    stale[i] = (void *)~dead[i];
  }
  require_about(STALE / 2 + 1);
  REQUIRE(alm_heap_check(t.m));
  REQUIRE(alm_root_remove(t.heap, stale) == ALM_OK);
  alm_handle_set(t.root, NULL);
  require_empty();
  end();
}

/* ---- the end of a heap ---------------------------------------------------------------------------- */

static void a_heap_with_live_objects_is_destroyed_whole(void) {
  struct alm_stats before, during, after;
  for (int i = 0; i < 10; i++) {
    alm_thread_flush();
    (void)alm_release_memory(0);
    alm_stats_read(&before);
    begin(NULL);
    deep(build_list, 100000);
    for (int k = 0; k < 4; k++) {
      REQUIRE(alm_handle_create(t.m, alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20)));
    }
    if (i % 2) {
      require_about(100004);
    }
    alm_stats_read(&during);
    REQUIRE(during.heap_inuse >= before.heap_inuse + (5u << 20));
    alm_mutator_detach(t.m);
    REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
    alm_stats_read(&after);
    REQUIRE(after.heap_inuse == before.heap_inuse);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(a_list_of_millions_lives_and_goes),
      ON_ITS_OWN_STACK(markers_share_a_list_that_cannot_be_shared),
      ON_ITS_OWN_STACK(an_array_of_a_million_pointers_is_marked_in_pieces),
      ON_ITS_OWN_STACK(a_wide_tree_lives_and_goes),
      ON_ITS_OWN_STACK(what_refers_to_itself_goes_as_well),
      ON_ITS_OWN_STACK(objects_of_every_size_live_and_go),
      ON_ITS_OWN_STACK(a_full_heap_that_frees_something_goes_on),
      ON_ITS_OWN_STACK(a_full_heap_that_frees_nothing_gives_null),
      ON_ITS_OWN_STACK(garbage_never_exhausts_a_heap),
      ON_ITS_OWN_STACK(a_stale_pointer_to_a_free_slot_keeps_nothing),
      ON_ITS_OWN_STACK(a_heap_with_live_objects_is_destroyed_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
