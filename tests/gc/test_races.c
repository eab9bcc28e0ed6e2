/* Several threads at the same objects: deleting what others made, and getting
 * hold of what others are about to collect. */
#include "support.h"

#include "almacen_inline.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAKERS = 2, DELETERS = 2, QUEUE = 256, WATCHERS = 3, WATCHED = 40 };

struct cell {
  struct cell *self;
  uint64_t id;
  uint64_t stamp;
};

static struct {
  struct alm_heap *heap;
  const struct alm_type *cell;
} t;

static void begin(const struct alm_heap_options *options) {
  static const uint64_t one = 1;
  struct alm_type_info info = {"cell", sizeof(struct cell), &one, 1, NULL};
  REQUIRE(alm_heap_create(options, &t.heap) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.cell) == ALM_OK);
}

static void end(void) {
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  all_memory_is_back();
}

static struct alm_mutator *attach(void) {
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_OK);
  return m;
}

/* ---- objects that others delete ------------------------------------------------------ */

static struct {
  pthread_mutex_t lock;
  struct cell *cells[QUEUE]; /* a root */
  size_t n;
  size_t makers; /* that still make some */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *make_cells(void *arg) {
  struct alm_mutator *m = attach();
  struct rng r = {(uintptr_t)arg + seed_take()};
  for (size_t made = 0; made < rounds(200000);) {
    struct cell *c = alm_new(m, t.cell); /* not while the lock is held */
    REQUIRE(c != NULL && c->self == NULL && c->id == 0 && c->stamp == 0);
    alm_store(m, c, &c->self, c);
    c->id = rng_next(&r);
    c->stamp = stamp_word(c->id, 1);
    pthread_mutex_lock(&queue.lock);
    bool has_room = queue.n < QUEUE;
    if (has_room) {
      queue.cells[queue.n++] = c;
      made++;
    }
    pthread_mutex_unlock(&queue.lock);
    if (!has_room) {
      REQUIRE(alm_delete(m, c) == ALM_OK);
      alm_safepoint(m);
    }
  }
  pthread_mutex_lock(&queue.lock);
  queue.makers--;
  pthread_mutex_unlock(&queue.lock);
  alm_mutator_detach(m);
  return NULL;
}

static void *delete_cells(void *arg) {
  struct alm_mutator *m = attach();
  struct rng r = {(uintptr_t)arg + 77};
  for (bool is_over = false; !is_over;) {
    struct cell *c = NULL;
    pthread_mutex_lock(&queue.lock);
    if (queue.n > 0) {
      size_t i = rng_below(&r, queue.n);
      c = queue.cells[i];
      queue.cells[i] = queue.cells[--queue.n];
      queue.cells[queue.n] = NULL;
    }
    is_over = c == NULL && queue.makers == 0;
    pthread_mutex_unlock(&queue.lock);
    if (c != NULL) {
      REQUIRE(c->self == c && c->stamp == stamp_word(c->id, 1));
      REQUIRE(alm_delete(m, c) == ALM_OK);
    }
    if (rng_below(&r, 20000) == 0) {
      REQUIRE(alm_collect(m) == ALM_OK);
    }
    alm_safepoint_inline(m);
  }
  alm_mutator_detach(m);
  return NULL;
}

static void objects_are_deleted_by_other_threads(void **state) {
  (void)state;
  struct alm_heap_options options = {.first_bytes = 256 << 10, .check = 1};
  pthread_t threads[MAKERS + DELETERS];
  begin(&options);
  queue.makers = MAKERS;
  REQUIRE(alm_root_add(t.heap, queue.cells, sizeof queue.cells) == ALM_OK);
  for (size_t i = 0; i < MAKERS + DELETERS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL,
                           i < MAKERS ? make_cells : delete_cells,
                           (void *)i) == 0);
  }
  for (size_t i = 0; i < MAKERS + DELETERS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  struct alm_heap_stats s;
  alm_heap_stats_read(t.heap, &s);
  REQUIRE(s.heap_bytes_max < 4 << 20); /* they were used again */
  end();
}

/* ---- weak references while others collect ---------------------------------------------- */

static atomic_bool is_over;
static atomic_uint nseen, ngone;

static void *collect_on(void *unused) {
  struct alm_mutator *m = attach();
  (void)unused;
  while (!atomic_load(&is_over)) {
    REQUIRE(alm_collect(m) == ALM_OK);
    alm_safepoint(m);
  }
  alm_mutator_detach(m);
  return NULL;
}

__attribute__((noinline)) static void make_watched(struct alm_mutator *m,
                                                   struct alm_weak **weak,
                                                   uint64_t id) {
  struct cell *c = alm_new(m, t.cell);
  REQUIRE(c != NULL);
  c->id = id;
  c->stamp = stamp_word(id, 2);
  *weak = alm_weak_create(m, c, id % 2);
  REQUIRE(*weak != NULL);
}

/* What a weak reference gave is kept by the variable alone, over collections,
 * and is whole. */
static void use_watched(struct alm_mutator *m, const struct alm_weak *weak,
                        uint64_t id) {
  struct cell *c = alm_weak_get(m, (struct alm_weak *)(uintptr_t)weak);
  if (c == NULL) {
    atomic_fetch_add(&ngone, 1);
    return;
  }
  for (size_t i = 0; i < 3; i++) {
    REQUIRE(c->id == id && c->stamp == stamp_word(id, 2));
    alm_store(m, c, &c->self, c);
    (void)alm_new(m, t.cell);
    alm_blocked_begin(m);
    sleep_ms(id % 2);
    alm_blocked_end(m);
    REQUIRE(c->self == c);
  }
  atomic_fetch_add(&nseen, 1);
}

static void *watch(void *arg) {
  struct alm_mutator *m = attach();
  struct alm_weak *weak[WATCHED];
  uint64_t first = (uintptr_t)arg << 32;
  while (!atomic_load(&is_over)) {
    for (size_t i = 0; i < WATCHED; i++) {
      make_watched(m, &weak[i], first + i);
    }
    for (size_t i = 0; i < WATCHED; i++) {
      use_watched(m, weak[i], first + i);
      alm_weak_release(m, weak[i]);
    }
    first += WATCHED;
  }
  alm_mutator_detach(m);
  return NULL;
}

static void what_a_weak_reference_gives_outlives_collections(void **state) {
  (void)state;
  struct alm_heap_options options = {.first_bytes = 64 << 10};
  pthread_t threads[WATCHERS + 1];
  begin(&options);
  atomic_store(&is_over, false);
  for (size_t i = 0; i <= WATCHERS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, i == 0 ? collect_on : watch,
                           (void *)i) == 0);
  }
  uint64_t end_ns = soak_end_ns(1000);
  while (now_ns() < end_ns || atomic_load(&nseen) < 10 ||
         atomic_load(&ngone) < 10) {
    sleep_ms(5);
  }
  atomic_store(&is_over, true);
  for (size_t i = 0; i <= WATCHERS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_are_deleted_by_other_threads),
      cmocka_unit_test(what_a_weak_reference_gives_outlives_collections),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
