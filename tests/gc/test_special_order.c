/* Weak references, cleanups, finalizers and ephemerons by known sequences:
 * what happens in which order, in which collection, how often. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

enum { SLOTS = 16, LOG_MAX = 4096 };

struct cell {
  struct cell *next;
  struct cell *other;
  uint64_t id;
};

/* Everything a test refers to lies here, addresses inverted, where the
 * collector does not look. */
static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *cell;
  struct alm_handle *handles[SLOTS]; /* what keeps object i, if anything     */
  uintptr_t hidden[SLOTS];           /* inverted address of object i         */
  struct alm_weak *weak[SLOTS], *long_weak[SLOTS];
  struct alm_ephemeron *ephemerons[SLOTS];
} t;

/* What cleanups and finalizers were called with, in order. */
static uint64_t log_ids[LOG_MAX];
static size_t nlog;

static void begin(void) {
  static const uint64_t mask = 3;
  struct alm_heap_options options = {.check = 2, .markers = 2};
  struct alm_type_info info = {"cell", sizeof(struct cell), &mask, 2, NULL};
  memset(&t, 0, sizeof t);
  nlog = 0;
  REQUIRE(heap_under_test(&options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.cell) == ALM_OK);
  for (size_t i = 0; i < SLOTS; i++) {
    t.handles[i] = alm_handle_create(t.m, NULL);
    REQUIRE(t.handles[i] != NULL);
  }
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static void collect(void) {
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
}

static void run_here(size_t most) {
  (void)alm_finalizers_run(t.m, most);
}

/* Run all that is queued; how many were called? */
static size_t run(void) {
  size_t before = nlog;
  deep(run_here, 0);
  scrub();
  return nlog - before;
}

static void *object(size_t i) {
  return t.hidden[i] != 0 ? (void *)~t.hidden[i] : NULL;
}

static void make_here(size_t i) {
  struct cell *c = alm_new(t.m, t.cell);
  REQUIRE(c != NULL);
  c->id = i;
  t.hidden[i] = ~(uintptr_t)c;
  alm_handle_set(t.handles[i], c);
}

/* Objects 0 to n - 1, each kept by its handle. */
static void make(size_t n) {
  for (size_t i = 0; i < n; i++) {
    deep(make_here, i);
  }
}

static void drop(size_t i) {
  alm_handle_set(t.handles[i], NULL);
}

static void drop_all(void) {
  for (size_t i = 0; i < SLOTS; i++) {
    drop(i);
  }
}

static void connect_here(size_t both) {
  struct cell *from = object(both / SLOTS);
  alm_store(t.m, from, &from->next, object(both % SLOTS));
}

/* from->next = to */
static void connect(size_t from, size_t to) {
  deep(connect_here, from * SLOTS + to);
}

static void weaken_here(size_t i) {
  t.weak[i] = alm_weak_create(t.m, object(i), false);
  t.long_weak[i] = alm_weak_create(t.m, object(i), true);
  REQUIRE(t.weak[i] != NULL && t.long_weak[i] != NULL);
}

static void weaken(size_t n) {
  for (size_t i = 0; i < n; i++) {
    deep(weaken_here, i);
  }
}

static bool found_here;

static void ask_weak_here(size_t i) {
  void *p = alm_weak_get(t.m, t.weak[i]);
  REQUIRE(p == NULL || p == object(i));
  found_here = p != NULL;
}

static void ask_long_here(size_t i) {
  void *p = alm_weak_get(t.m, t.long_weak[i]);
  REQUIRE(p == NULL || (p == object(i) && ((struct cell *)p)->id == i));
  found_here = p != NULL;
}

/* Does the weak reference still lead to object i? */
static bool is_there(size_t i) {
  deep(ask_weak_here, i);
  return found_here;
}

/* Is its memory still there? */
static bool is_alive(size_t i) {
  deep(ask_long_here, i);
  return found_here;
}

static void logged(void *p, void *arg) {
  REQUIRE(nlog < LOG_MAX);
  REQUIRE(p == NULL || ((struct cell *)p)->id == (uintptr_t)arg % 1000);
  log_ids[nlog++] = (uintptr_t)arg;
}

static bool was_called(uint64_t id) {
  size_t n = 0;
  for (size_t i = 0; i < nlog; i++) {
    n += log_ids[i] == id;
  }
  REQUIRE(n <= 1);
  return n == 1;
}

static void finalize_here(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), logged, (void *)i) == ALM_OK);
}

static void unset_here(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), NULL, NULL) == ALM_OK);
}

static void clean_here(size_t i) {
  REQUIRE(alm_cleanup_add(t.m, object(i), logged, (void *)(100000 + i)) ==
          ALM_OK);
}

/* ---- weak references --------------------------------------------------------------- */

static void a_weak_reference_is_cleared_with_its_object(void) {
  begin();
  make(4);
  weaken(4);
  collect();
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(is_there(i) && is_alive(i));
  }
  drop(1);
  drop(3);
  collect();
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(is_there(i) == (i % 2 == 0) && is_alive(i) == (i % 2 == 0));
  }
  for (size_t i = 0; i < 4; i++) {
    alm_weak_release(t.m, t.weak[i]);
    alm_weak_release(t.m, t.long_weak[i]);
  }
  end();
}

static void revive_from_weak(size_t i) {
  alm_handle_set(t.handles[i], alm_weak_get(t.m, t.weak[i]));
}

static void what_a_weak_reference_gave_lives_on(void) {
  begin();
  make(2);
  weaken(2);
  connect(0, 1);
  drop_all();
  deep(revive_from_weak, 0); /* no collection came between */
  collect();
  REQUIRE(is_there(0) && is_there(1));
  drop(0);
  collect();
  REQUIRE(!is_there(0) && !is_there(1));
  deep(revive_from_weak, 0);
  REQUIRE(alm_handle_get(t.handles[0]) == NULL);
  end();
}

/* A pointer from weak_get alone, held over collections. */
static void hold_over_collections(size_t i) {
  struct cell *volatile c = alm_weak_get(t.m, t.weak[i]);
  REQUIRE(c != NULL);
  drop(i);
  for (int k = 0; k < 3; k++) {
    REQUIRE(alm_collect(t.m) == ALM_OK);
    REQUIRE(alm_weak_get(t.m, t.weak[i]) == c && c->id == i);
  }
}

static void a_local_variable_from_a_weak_reference_keeps(void) {
  begin();
  make(1);
  weaken(1);
  deep(hold_over_collections, 0);
  collect();
  REQUIRE(!is_there(0));
  end();
}

enum { MANY = 5000 };
static struct alm_weak *many[MANY];

static void weaken_many(size_t n) {
  for (size_t i = 0; i < n; i++) {
    many[i] = alm_weak_create(t.m, object(0), i % 2);
    REQUIRE(many[i] != NULL);
  }
}

static void release_some(size_t n) {
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_weak_get(t.m, many[i]) == object(0));
    if (i % 3 == 0) {
      alm_weak_release(t.m, many[i]);
    }
  }
}

static void many_weak_references_to_one_object_agree(void) {
  begin();
  make(1);
  deep(weaken_many, MANY);
  collect();
  deep(release_some, MANY);
  drop(0);
  collect();
  for (size_t i = 0; i < MANY; i++) {
    if (i % 3 != 0) {
      REQUIRE(alm_weak_get(t.m, many[i]) == NULL);
      alm_weak_release(t.m, many[i]);
    }
  }
  end();
}

static void weak_references_need_the_start_of_an_object(void) {
  begin();
  make(1);
  char *p = object(0);
  int local;
  REQUIRE(alm_weak_create(t.m, p + 8, false) == NULL);
  REQUIRE(alm_weak_create(t.m, NULL, false) == NULL);
  REQUIRE(alm_weak_create(t.m, &local, true) == NULL);
  REQUIRE(alm_cleanup_add(t.m, p + 8, logged, NULL) == ALM_EINVAL);
  REQUIRE(alm_cleanup_add(t.m, p, NULL, NULL) == ALM_EINVAL);
  REQUIRE(alm_finalizer_set(t.m, p + 8, logged, NULL) == ALM_EINVAL);
  REQUIRE(alm_finalizer_set(t.m, NULL, logged, NULL) == ALM_EINVAL);
  REQUIRE(alm_ephemeron_create(t.m, p + 8, p) == NULL);
  REQUIRE(alm_ephemeron_create(t.m, NULL, p) == NULL);
  alm_weak_release(t.m, NULL);
  alm_ephemeron_release(t.m, NULL);
  alm_handle_release(t.heap, NULL);
  end();
}

/* ---- cleanups ----------------------------------------------------------------------- */

static void a_cleanup_is_called_once_after_its_object_is_gone(void) {
  begin();
  make(2);
  weaken(2);
  deep(clean_here, 0);
  deep(clean_here, 1);
  collect();
  REQUIRE(run() == 0);
  drop(0);
  REQUIRE(run() == 0);
  collect();
  REQUIRE(!is_alive(0));
  REQUIRE(run() == 1 && was_called(100000));
  for (int i = 0; i < 3; i++) {
    collect();
    REQUIRE(run() == 0);
  }
  drop(1);
  collect();
  REQUIRE(run() == 1 && was_called(100001));
  end();
}

static void clean_often(size_t n) {
  for (uintptr_t i = 0; i < n; i++) {
    REQUIRE(alm_cleanup_add(t.m, object(0), logged,
                            (void *)(100000 + i * 1000)) == ALM_OK);
  }
}

static void several_cleanups_of_an_object_are_all_called(void) {
  begin();
  make(1);
  deep(clean_often, 100);
  drop(0);
  collect();
  REQUIRE(run() == 100);
  for (uint64_t i = 0; i < 100; i++) {
    REQUIRE(was_called(100000 + i * 1000));
  }
  end();
}

static void ignore(void *p, void *arg) {
  (void)p, (void)arg;
  nlog++;
}

static void clean_with_itself(size_t i) {
  REQUIRE(alm_cleanup_add(t.m, object(i), ignore, object((i + 1) % 2)) ==
          ALM_OK);
}

static void an_argument_that_keeps_the_object_keeps_it_for_ever(void) {
  begin();
  make(3);
  weaken(3);
  connect(1, 0);
  deep(clean_with_itself, 0); /* its argument 1 refers to it */
  drop_all();
  for (int i = 0; i < 3; i++) {
    collect();
    REQUIRE(run() == 0 && is_there(0) && is_there(1) && !is_there(2));
  }
  end();
}

static void clean_with_other(size_t both) {
  REQUIRE(alm_cleanup_add(t.m, object(both / SLOTS), ignore,
                          object(both % SLOTS)) == ALM_OK);
}

static void an_argument_lives_until_the_cleanup_has_run(void) {
  begin();
  make(2);
  weaken(2);
  deep(clean_with_other, 0 * SLOTS + 1);
  drop_all();
  collect();
  REQUIRE(!is_there(0) && is_there(1)); /* in the queue */
  collect();
  REQUIRE(is_there(1));
  REQUIRE(run() == 1);
  collect();
  REQUIRE(!is_there(1));
  end();
}

/* ---- finalizers ------------------------------------------------------------------------ */

static void a_finalizer_gets_its_object_once_and_whole(void) {
  begin();
  make(2);
  weaken(2);
  connect(0, 1);
  deep(finalize_here, 0);
  drop_all();
  collect();
  REQUIRE(!is_there(0) && !is_there(1)); /* cleared before it runs  */
  REQUIRE(is_alive(0) && is_alive(1));   /* with all that it reaches */
  collect();
  collect();
  REQUIRE(is_alive(0) && is_alive(1)); /* as long as it has not run */
  REQUIRE(run() == 1 && was_called(0));
  collect();
  REQUIRE(!is_alive(0) && !is_alive(1));
  REQUIRE(run() == 0);
  end();
}

/* The object comes back through its handle. */
static void revive(void *p, void *arg) {
  logged(p, arg);
  alm_handle_set(t.handles[(uintptr_t)arg % 1000], p);
}

static void finalize_and_revive(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), revive, (void *)i) == ALM_OK);
}

static void an_object_that_was_brought_back_dies_in_the_end(void) {
  begin();
  make(2);
  weaken(2);
  connect(0, 1);
  deep(finalize_and_revive, 0);
  deep(clean_here, 0);
  drop_all();
  collect();
  REQUIRE(run() == 1 && was_called(0)); /* not the cleanup */
  collect();
  REQUIRE(is_alive(0) && is_alive(1) && !is_there(0) && !is_there(1));
  deep(weaken_here, 0); /* new ones are exact again */
  REQUIRE(run() == 0);
  drop(0);
  collect();
  REQUIRE(!is_alive(0) && !is_alive(1) && !is_there(0));
  REQUIRE(run() == 1 && was_called(100000)); /* no finalizer again */
  end();
}

/* Sets itself again each time. */
static void revive_again(void *p, void *arg) {
  nlog++;
  alm_handle_set(t.handles[0], p);
  REQUIRE(alm_finalizer_set(t.m, p, revive_again, arg) == ALM_OK);
}

static void finalize_again_and_again(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), revive_again, NULL) == ALM_OK);
}

static void a_finalizer_that_is_set_again_runs_again(void) {
  begin();
  make(1);
  weaken(1);
  deep(finalize_again_and_again, 0);
  for (int i = 0; i < 10; i++) {
    drop(0);
    collect();
    REQUIRE(run() == 1 && is_alive(0));
  }
  drop(0);
  deep(unset_here, 0);
  collect();
  REQUIRE(run() == 0 && !is_alive(0));
  end();
}

static void a_chain_is_finalized_link_by_link(void) {
  begin();
  make(5);
  weaken(5);
  for (size_t i = 0; i < 5; i++) {
    deep(finalize_here, 4 - i);
    if (i > 0) {
      connect(i - 1, i);
    }
  }
  drop_all();
  for (size_t i = 0; i < 5; i++) {
    collect(); /* one is queued, the next waits until it is gone */
    collect();
    REQUIRE(run() == 1 && was_called(i) && is_alive(4));
  }
  collect();
  REQUIRE(run() == 0);
  for (size_t i = 0; i < 5; i++) {
    REQUIRE(!is_alive(i));
  }
  end();
}

static void finalizers_in_a_cycle_never_run(void) {
  begin();
  make(3);
  weaken(3);
  connect(0, 1);
  connect(1, 0);
  connect(2, 2);
  for (size_t i = 0; i < 3; i++) {
    deep(finalize_here, i);
  }
  drop_all();
  for (int i = 0; i < 3; i++) {
    collect();
    REQUIRE(run() == 0);
    REQUIRE(is_alive(0) && is_alive(1) && is_alive(2));
  }
  deep(unset_here, 1);
  deep(unset_here, 2);
  collect();
  REQUIRE(run() == 0 && !is_alive(2) && is_alive(0)); /* 0 reaches itself */
  deep(unset_here, 0);
  collect();
  REQUIRE(run() == 0 && !is_alive(0) && !is_alive(1));
  end();
}

static void finalize_other(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), logged, (void *)(5000 + i)) ==
          ALM_OK);
}

static void a_finalizer_can_be_replaced_and_removed(void) {
  begin();
  make(3);
  weaken(3);
  for (size_t i = 0; i < 3; i++) {
    deep(finalize_here, i);
  }
  deep(finalize_other, 1);
  deep(unset_here, 2);
  deep(unset_here, 2); /* none */
  drop_all();
  collect();
  REQUIRE(!is_alive(2));
  REQUIRE(run() == 2 && was_called(0) && was_called(5001) && !was_called(1));
  end();
}

static void so_many_are_run_as_one_asks_for_in_order(void) {
  struct alm_heap_stats s;
  begin();
  make(10);
  for (size_t i = 0; i < 5; i++) {
    deep(finalize_here, i);
  }
  for (size_t i = 0; i < 5; i++) {
    drop(i);
  }
  collect();
  for (size_t i = 5; i < 10; i++) {
    deep(clean_here, i);
    drop(i);
  }
  collect();
  alm_heap_stats_read(t.heap, &s);
  REQUIRE(s.finalizers_queued == 10);
  REQUIRE(alm_finalizers_run(t.m, 3) == 3 && nlog == 3);
  REQUIRE(alm_finalizers_run(t.m, 1) == 1 && nlog == 4);
  alm_heap_stats_read(t.heap, &s);
  REQUIRE(s.finalizers_queued == 6);
  REQUIRE(alm_finalizers_run(t.m, 100) == 6 && nlog == 10);
  REQUIRE(alm_finalizers_run(t.m, 0) == 0);
  for (size_t i = 0; i < 10; i++) { /* oldest first */
    REQUIRE(i < 5 ? log_ids[i] < 5 : log_ids[i] >= 100005);
  }
  end();
}

/* Everything is allowed in a finalizer. */
static void busy(void *p, void *arg) {
  logged(p, arg);
  struct cell *c = alm_new(t.m, t.cell);
  REQUIRE(c != NULL);
  REQUIRE(alm_collect(t.m) == ALM_OK);
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 100000) != NULL);
  REQUIRE(c->id == 0);
  struct alm_weak *w = alm_weak_create(t.m, c, false);
  REQUIRE(w != NULL && alm_weak_get(t.m, w) == c);
  alm_weak_release(t.m, w);
  if (p != NULL) {
    REQUIRE(((struct cell *)p)->id == (uintptr_t)arg);
  }
  REQUIRE(alm_finalizers_run(t.m, 1) <= 1); /* the next, from within */
}

static void finalize_busily(size_t i) {
  REQUIRE(alm_finalizer_set(t.m, object(i), busy, (void *)i) == ALM_OK);
}

static void clean_busily(size_t i) {
  REQUIRE(alm_cleanup_add(t.m, object(i), busy, (void *)(100000 + i)) ==
          ALM_OK);
}

static void finalizers_may_do_anything(void) {
  begin();
  make(8);
  for (size_t i = 0; i < 8; i++) {
    deep(i % 2 ? clean_busily : finalize_busily, i);
  }
  drop_all();
  collect();
  REQUIRE(run() == 8);
  end();
}

static void the_memory_goes_after_weak_cleanup_and_finalizer(void) {
  begin();
  make(1);
  weaken(1);
  deep(finalize_here, 0);
  deep(clean_here, 0);
  drop(0);
  collect();
  REQUIRE(!is_there(0) && is_alive(0));
  REQUIRE(run() == 1 && was_called(0) && !was_called(100000));
  REQUIRE(is_alive(0));
  collect();
  REQUIRE(!is_alive(0));
  REQUIRE(run() == 1 && was_called(100000));
  end();
}

/* ---- ephemerons --------------------------------------------------------------------------- */

static void ephemeron_here(size_t both) {
  size_t key = both / SLOTS, value = both % SLOTS;
  t.ephemerons[key] = alm_ephemeron_create(t.m, object(key), object(value));
  REQUIRE(t.ephemerons[key] != NULL);
}

static void attach(size_t key, size_t value) {
  deep(ephemeron_here, key * SLOTS + value);
}

static void ask_ephemeron_here(size_t both) {
  void *p = alm_ephemeron_get(t.m, t.ephemerons[both / SLOTS]);
  REQUIRE(p == NULL || p == object(both % SLOTS));
  found_here = p != NULL;
}

static bool has_value(size_t key, size_t value) {
  deep(ask_ephemeron_here, key * SLOTS + value);
  return found_here;
}

static void a_value_lives_as_long_as_its_key(void) {
  begin();
  make(4);
  weaken(4);
  attach(0, 1);
  attach(2, 3);
  drop(1);
  drop(3);
  collect();
  REQUIRE(has_value(0, 1) && has_value(2, 3) && is_there(1) && is_there(3));
  drop(0);
  collect();
  REQUIRE(!has_value(0, 1) && has_value(2, 3));
  REQUIRE(!is_alive(0) && !is_alive(1) && is_there(2) && is_there(3));
  alm_ephemeron_release(t.m, t.ephemerons[2]); /* then it keeps nothing */
  collect();
  REQUIRE(is_there(2) && !is_there(3));
  alm_ephemeron_release(t.m, t.ephemerons[0]);
  end();
}

static void a_value_does_not_keep_its_key(void) {
  begin();
  make(4);
  weaken(4);
  connect(1, 0); /* the value refers to the key */
  attach(0, 1);
  attach(2, 2); /* the key is its own value */
  drop(0);
  drop(1);
  drop(2);
  collect();
  REQUIRE(!is_alive(0) && !is_alive(1) && !is_alive(2) && is_there(3));
  REQUIRE(!has_value(0, 1) && !has_value(2, 2));
  end();
}

static void a_value_that_lives_without_its_key_is_no_longer_given(void) {
  begin();
  make(2);
  weaken(2);
  attach(0, 1);
  drop(0);
  collect();
  REQUIRE(!has_value(0, 1) && !is_alive(0) && is_there(1));
  end();
}

static void chains_of_ephemerons_live_and_die_whole(void) {
  for (int reversed = 0; reversed < 2; reversed++) {
    begin();
    make(SLOTS);
    weaken(SLOTS);
    for (size_t i = 0; i + 1 < SLOTS; i++) { /* value of one, key of the next */
      size_t key = reversed ? SLOTS - 2 - i : i;
      attach(key, key + 1);
    }
    for (size_t i = 1; i < SLOTS; i++) {
      drop(i);
    }
    collect();
    for (size_t i = 0; i < SLOTS; i++) {
      REQUIRE(is_there(i) && (i + 1 == SLOTS || has_value(i, i + 1)));
    }
    drop(0);
    collect(); /* one suffices */
    for (size_t i = 0; i < SLOTS; i++) {
      REQUIRE(!is_alive(i) && (i + 1 == SLOTS || !has_value(i, i + 1)));
    }
    end();
  }
}

static void a_cycle_of_ephemerons_dies(void) {
  begin();
  make(3);
  weaken(3);
  for (size_t i = 0; i < 3; i++) {
    attach(i, (i + 1) % 3);
  }
  drop(0);
  drop(1);
  collect();
  REQUIRE(is_there(0) && is_there(1) && is_there(2));
  drop(2);
  collect();
  REQUIRE(!is_alive(0) && !is_alive(1) && !is_alive(2));
  end();
}

static struct alm_handle *long_chain;
enum { LONG = 3000 };
static struct alm_ephemeron *links[LONG];

static void build_long_chain(size_t n) {
  struct cell *value = alm_new(t.m, t.cell);
  for (size_t i = 0; i < n; i++) { /* the last is found first */
    struct cell *key = alm_new(t.m, t.cell);
    REQUIRE(key != NULL && value != NULL);
    links[i] = alm_ephemeron_create(t.m, key, value);
    REQUIRE(links[i] != NULL);
    value = key;
  }
  alm_handle_set(long_chain, value);
}

static void a_long_chain_of_ephemerons_is_followed(void) {
  size_t n = rounds(LONG);
  begin();
  long_chain = alm_handle_create(t.m, NULL);
  deep(build_long_chain, n);
  collect();
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_ephemeron_get(t.m, links[i]) != NULL);
  }
  scrub();
  alm_handle_set(long_chain, NULL);
  collect();
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_ephemeron_get(t.m, links[i]) == NULL);
    alm_ephemeron_release(t.m, links[i]);
  }
  end();
}

static void an_ephemeron_does_not_survive_a_finalizer_of_its_key(void) {
  begin();
  make(4);
  weaken(4);
  attach(0, 1); /* 0 has a finalizer that brings it back           */
  attach(2, 3); /* 2 is kept by 0 alone                             */
  connect(0, 2);
  deep(finalize_and_revive, 0);
  drop_all();
  collect();
  REQUIRE(is_alive(0) && is_alive(2));
  REQUIRE(!has_value(0, 1) && !has_value(2, 3) && !is_alive(1) && !is_alive(3));
  REQUIRE(run() == 1);
  collect();
  REQUIRE(is_alive(0) && is_alive(2) && !has_value(0, 1) && !has_value(2, 3));
  end();
}

static void a_finalizer_of_a_value_waits_for_its_key(void) {
  begin();
  make(2);
  weaken(2);
  attach(0, 1);
  deep(finalize_here, 1);
  drop(1);
  collect();
  REQUIRE(run() == 0 && is_there(1));
  drop(0);
  collect();
  REQUIRE(!is_alive(0) && !is_there(1) && is_alive(1));
  REQUIRE(run() == 1 && was_called(1));
  collect();
  REQUIRE(!is_alive(1));
  end();
}

/* ---- alm_delete ------------------------------------------------------------------------------ */

static void delete_refused(size_t i) {
  REQUIRE(alm_delete(t.m, object(i)) == ALM_ESPECIAL);
}

static void delete_done(size_t i) {
  REQUIRE(alm_delete(t.m, object(i)) == ALM_OK);
  t.hidden[i] = 0;
}

static void an_object_with_specials_cannot_be_deleted(void) {
  begin();
  make(6);
  collect();
  deep(clean_here, 0);
  deep(finalize_here, 1);
  attach(2, 3);
  deep(weaken_here, 4);
  drop_all();
  for (size_t i = 0; i < 5; i++) {
    deep(i == 3 ? clean_here : delete_refused, i);
  }
  deep(unset_here, 1);
  deep(delete_done, 1);
  alm_ephemeron_release(t.m, t.ephemerons[2]);
  deep(delete_done, 2);
  alm_weak_release(t.m, t.weak[4]);
  deep(delete_refused, 4); /* the long one */
  alm_weak_release(t.m, t.long_weak[4]);
  deep(delete_done, 4);
  deep(delete_done, 5);
  collect();
  REQUIRE(run() == 2 && was_called(100000) && was_called(100003));
  end();
}

/* The record of a dead object must not apply to the next one there. */
static void specials_do_not_pass_to_the_next_object_at_the_address(void) {
  begin();
  for (int round = 0; round < 20; round++) {
    nlog = 0;
    make(SLOTS);
    weaken(SLOTS);
    for (size_t i = 0; i < SLOTS; i++) {
      deep(clean_here, i);
    }
    drop_all();
    collect();
    make(SLOTS); /* most likely where the others were */
    for (size_t i = 0; i < SLOTS; i++) {
      REQUIRE(!is_there(i) && !is_alive(i));
      alm_weak_release(t.m, t.weak[i]);
      alm_weak_release(t.m, t.long_weak[i]);
    }
    REQUIRE(run() == SLOTS);
    drop_all();
    collect();
    REQUIRE(run() == 0);
  }
  end();
}

static void what_has_not_run_never_runs_after_the_heap(void) {
  begin();
  make(4);
  weaken(4);
  attach(0, 1);
  deep(clean_here, 0);
  deep(finalize_here, 1);
  deep(clean_here, 2);
  drop(0);
  drop(2);
  collect();
  end();
  REQUIRE(nlog == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(a_weak_reference_is_cleared_with_its_object),
      ON_ITS_OWN_STACK(what_a_weak_reference_gave_lives_on),
      ON_ITS_OWN_STACK(a_local_variable_from_a_weak_reference_keeps),
      ON_ITS_OWN_STACK(many_weak_references_to_one_object_agree),
      ON_ITS_OWN_STACK(weak_references_need_the_start_of_an_object),
      ON_ITS_OWN_STACK(a_cleanup_is_called_once_after_its_object_is_gone),
      ON_ITS_OWN_STACK(several_cleanups_of_an_object_are_all_called),
      ON_ITS_OWN_STACK(an_argument_that_keeps_the_object_keeps_it_for_ever),
      ON_ITS_OWN_STACK(an_argument_lives_until_the_cleanup_has_run),
      ON_ITS_OWN_STACK(a_finalizer_gets_its_object_once_and_whole),
      ON_ITS_OWN_STACK(an_object_that_was_brought_back_dies_in_the_end),
      ON_ITS_OWN_STACK(a_finalizer_that_is_set_again_runs_again),
      ON_ITS_OWN_STACK(a_chain_is_finalized_link_by_link),
      ON_ITS_OWN_STACK(finalizers_in_a_cycle_never_run),
      ON_ITS_OWN_STACK(a_finalizer_can_be_replaced_and_removed),
      ON_ITS_OWN_STACK(so_many_are_run_as_one_asks_for_in_order),
      ON_ITS_OWN_STACK(finalizers_may_do_anything),
      ON_ITS_OWN_STACK(the_memory_goes_after_weak_cleanup_and_finalizer),
      ON_ITS_OWN_STACK(a_value_lives_as_long_as_its_key),
      ON_ITS_OWN_STACK(a_value_does_not_keep_its_key),
      ON_ITS_OWN_STACK(a_value_that_lives_without_its_key_is_no_longer_given),
      ON_ITS_OWN_STACK(chains_of_ephemerons_live_and_die_whole),
      ON_ITS_OWN_STACK(a_cycle_of_ephemerons_dies),
      ON_ITS_OWN_STACK(a_long_chain_of_ephemerons_is_followed),
      ON_ITS_OWN_STACK(an_ephemeron_does_not_survive_a_finalizer_of_its_key),
      ON_ITS_OWN_STACK(a_finalizer_of_a_value_waits_for_its_key),
      ON_ITS_OWN_STACK(an_object_with_specials_cannot_be_deleted),
      ON_ITS_OWN_STACK(specials_do_not_pass_to_the_next_object_at_the_address),
      ON_ITS_OWN_STACK(what_has_not_run_never_runs_after_the_heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
