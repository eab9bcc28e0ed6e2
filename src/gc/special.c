/* gc/special.c -- see special.h. */
#include "special.h"

#include "base/diag.h"
#include "heap.h"
#include "mark.h"
#include "mem/memstat.h"
#include "mem/metaalloc.h"
#include "os/os.h"

#include <string.h>

enum special_kind {
  SPECIAL_WEAK,
  SPECIAL_LONG_WEAK,
  SPECIAL_EPHEMERON,
  SPECIAL_CLEANUP,
  SPECIAL_FINALIZER,
  SPECIAL_QUEUED, /* no object of its own any more */
  SPECIAL_KINDS
};

struct special {
  struct list_node of_kind;
  struct special *next_in_bucket;
  uintptr_t object; /* 0: cleared, in no bucket                             */
  void *value;      /* the ephemeron's; the queued finalizer's object       */
  alm_finalizer fn;
  void *arg;
  enum special_kind kind;
  uint32_t pad;
};
STATIC_CHECK(sizeof(struct special) % 16 == 0);

/* What the public header calls by these names. */
struct alm_weak {
  struct special s;
};
struct alm_ephemeron {
  struct special s;
};

enum { BUCKETS_FIRST = 512 };

struct special_table {
  struct list_node kinds[SPECIAL_KINDS];
  struct special **buckets;
  size_t nbuckets; /* a power of two */
  size_t count;    /* in buckets     */
};

static struct meta_pool special_pool = {sizeof(struct special), NULL};
static struct meta_pool special_table_pool = {
    (sizeof(struct special_table) + 15) / 16 * 16, NULL};

static struct special **special_take_buckets(size_t n) {
  return os_alloc(n * sizeof(struct special *), "almacen: specials");
}

struct special_table *special_create(void) {
  struct special_table *t = meta_take(&special_table_pool);
  struct special **buckets = special_take_buckets(BUCKETS_FIRST);
  if (t == NULL || buckets == NULL) {
    if (t != NULL) {
      meta_return(&special_table_pool, t);
    }
    if (buckets != NULL) {
      os_unreserve(buckets, BUCKETS_FIRST * sizeof *buckets);
    }
    return NULL;
  }
  for (int i = 0; i < SPECIAL_KINDS; i++) {
    list_init(&t->kinds[i]);
  }
  t->buckets = buckets;
  t->nbuckets = BUCKETS_FIRST;
  t->count = 0;
  return t;
}

void special_destroy(struct special_table *t) {
  if (t == NULL) {
    return;
  }
  for (int i = 0; i < SPECIAL_KINDS; i++) {
    while (!list_is_empty(&t->kinds[i])) {
      struct special *s =
          LIST_ELEMENT(t->kinds[i].next, struct special, of_kind);
      list_remove(&s->of_kind);
      meta_return(&special_pool, s);
    }
  }
  os_unreserve(t->buckets, t->nbuckets * sizeof *t->buckets);
  meta_return(&special_table_pool, t);
}

static struct special **special_bucket(const struct special_table *t,
                                       uintptr_t object) {
  uint64_t mixed = (object >> 3) * 0x9e3779b97f4a7c15u;
  return &t->buckets[(mixed >> 32) & (t->nbuckets - 1)];
}

/* Without memory the chains just get longer. */
static void special_grow(struct special_table *t) {
  size_t n = t->nbuckets * 2;
  struct special **more = special_take_buckets(n);
  if (more == NULL) {
    return;
  }
  struct special **old = t->buckets;
  size_t nold = t->nbuckets;
  t->buckets = more;
  t->nbuckets = n;
  for (size_t i = 0; i < nold; i++) {
    while (old[i] != NULL) {
      struct special *s = old[i];
      old[i] = s->next_in_bucket;
      struct special **at = special_bucket(t, s->object);
      s->next_in_bucket = *at;
      *at = s;
    }
  }
  os_unreserve(old, nold * sizeof *old);
}

static void special_insert_locked(struct special_table *t, struct special *s) {
  if (t->count >= 2 * t->nbuckets) {
    special_grow(t);
  }
  struct special **at = special_bucket(t, s->object);
  s->next_in_bucket = *at;
  *at = s;
  t->count++;
  list_push_back(&t->kinds[s->kind], &s->of_kind);
}

/* The object is gone, or the record is released. */
static void special_clear(struct special_table *t, struct special *s) {
  if (s->object == 0) {
    return;
  }
  struct special **at = special_bucket(t, s->object);
  while (*at != s) {
    at = &(*at)->next_in_bucket;
  }
  *at = s->next_in_bucket;
  t->count--;
  atomic_store_relaxed(&s->object, 0);
}

static void special_free_locked(struct special_table *t, struct special *s) {
  special_clear(t, s);
  list_remove(&s->of_kind);
  meta_return(&special_pool, s);
}

static struct special *special_add(struct alm_heap *h, enum special_kind kind,
                                   const void *object, struct special init) {
  struct special *s = meta_take(&special_pool);
  if (s == NULL) {
    return NULL;
  }
  *s = init;
  s->kind = kind;
  s->object = (uintptr_t)object;
  lock_acquire(&h->lock);
  special_insert_locked(h->specials, s);
  lock_release(&h->lock);
  return s;
}

struct alm_weak *special_add_weak(struct alm_heap *h, void *object,
                                  bool is_long) {
  struct special none = {.value = NULL};
  return (struct alm_weak *)special_add(
      h, is_long ? SPECIAL_LONG_WEAK : SPECIAL_WEAK, object, none);
}

struct alm_ephemeron *special_add_ephemeron(struct alm_heap *h, void *key,
                                            void *value) {
  struct special init = {.value = value};
  return (struct alm_ephemeron *)special_add(h, SPECIAL_EPHEMERON, key, init);
}

bool special_add_cleanup(struct alm_heap *h, void *object, alm_finalizer fn,
                         void *arg) {
  struct special init = {.fn = fn, .arg = arg};
  return special_add(h, SPECIAL_CLEANUP, object, init) != NULL;
}

static struct special *special_find_locked(const struct special_table *t,
                                           uintptr_t object,
                                           enum special_kind kind) {
  struct special *s = *special_bucket(t, object);
  while (s != NULL && (s->object != object || s->kind != kind)) {
    s = s->next_in_bucket;
  }
  return s;
}

bool special_set_finalizer(struct alm_heap *h, void *object, alm_finalizer fn,
                           void *arg) {
  lock_acquire(&h->lock);
  struct special *s =
      special_find_locked(h->specials, (uintptr_t)object, SPECIAL_FINALIZER);
  if (s != NULL && fn != NULL) {
    s->fn = fn;
    s->arg = arg;
  } else if (s != NULL) {
    special_free_locked(h->specials, s);
  }
  lock_release(&h->lock);
  if (s != NULL || fn == NULL) {
    return true;
  }
  struct special init = {.fn = fn, .arg = arg};
  return special_add(h, SPECIAL_FINALIZER, object, init) != NULL;
}

void *special_weak_get(const struct alm_weak *weak) {
  return (void *)atomic_load_relaxed(&weak->s.object);
}

void *special_ephemeron_get(const struct alm_ephemeron *e) {
  return atomic_load_relaxed(&e->s.object) != 0 ? e->s.value : NULL;
}

static void special_release(struct alm_heap *h, struct special *s) {
  lock_acquire(&h->lock);
  special_free_locked(h->specials, s);
  lock_release(&h->lock);
}

void special_release_weak(struct alm_heap *h, struct alm_weak *w) {
  special_release(h, &w->s);
}

void special_release_ephemeron(struct alm_heap *h, struct alm_ephemeron *e) {
  special_release(h, &e->s);
}

bool special_has(struct alm_heap *h, const void *object) {
  lock_acquire(&h->lock);
  struct special *s = *special_bucket(h->specials, (uintptr_t)object);
  while (s != NULL && s->object != (uintptr_t)object) {
    s = s->next_in_bucket;
  }
  lock_release(&h->lock);
  return s != NULL;
}

bool special_take_queued(struct alm_heap *h, alm_finalizer *fn, void **object,
                         void **arg) {
  struct list_node *queue = &h->specials->kinds[SPECIAL_QUEUED];
  struct special *s = NULL;
  lock_acquire(&h->lock);
  if (!list_is_empty(queue)) {
    s = LIST_ELEMENT(queue->next, struct special, of_kind);
    *fn = s->fn;
    *object = s->value;
    *arg = s->arg;
    h->stats.finalizers_queued--;
    memstat_add(&memstat->gc.finalizers_run, 1);
    special_free_locked(h->specials, s);
  }
  lock_release(&h->lock);
  return s != NULL;
}

#define FOR_EACH_SPECIAL(t, kind, s)                                           \
  for (struct list_node *fes = (t)->kinds[kind].next, *fes_next;               \
       fes != &(t)->kinds[kind] &&                                             \
       (fes_next = fes->next, s = LIST_ELEMENT(fes, struct special, of_kind),  \
       true);                                                                  \
       fes = fes_next)

void special_visit_roots(struct alm_heap *h, struct marker *m) {
  struct special *s;
  FOR_EACH_SPECIAL(h->specials, SPECIAL_CLEANUP, s) {
    mark_range(m, &s->arg, sizeof s->arg);
  }
  FOR_EACH_SPECIAL(h->specials, SPECIAL_FINALIZER, s) {
    mark_range(m, &s->arg, sizeof s->arg);
  }
  FOR_EACH_SPECIAL(h->specials, SPECIAL_QUEUED, s) {
    mark_range(m, &s->arg, sizeof s->arg);
    mark_range(m, &s->value, sizeof s->value);
  }
}

/* A slot's mark bit is that of the granule its object begins in. */
static bool special_is_marked(const struct special *s) {
  return marks_test(s->object);
}

static void special_mark_ephemerons(struct alm_heap *h, struct marker *m,
                                    void (*drain)(struct alm_heap *h)) {
  uint64_t before;
  struct special *s;
  if (list_is_empty(&h->specials->kinds[SPECIAL_EPHEMERON])) {
    return;
  }
  do {
    before = mark_count(m);
    FOR_EACH_SPECIAL(h->specials, SPECIAL_EPHEMERON, s) {
      if (s->object != 0 && special_is_marked(s)) {
        mark_range(m, &s->value, sizeof s->value);
      }
    }
    drain(h);
  } while (mark_count(m) != before);
}

static void special_clear_unmarked(struct special_table *t,
                                   enum special_kind kind) {
  struct special *s;
  FOR_EACH_SPECIAL(t, kind, s) {
    if (s->object != 0 && !special_is_marked(s)) {
      special_clear(t, s);
      s->value = NULL;
    }
  }
}

static void special_queue_unmarked(struct alm_heap *h, enum special_kind kind) {
  struct special *s;
  lock_acquire(&h->lock); /* for the count, which others may read */
  FOR_EACH_SPECIAL(h->specials, kind, s) {
    if (special_is_marked(s)) {
      continue;
    }
    if (kind == SPECIAL_FINALIZER) {
      s->value = (void *)s->object;
    }
    special_clear(h->specials, s);
    list_remove(&s->of_kind);
    s->kind = SPECIAL_QUEUED;
    list_push_back(&h->specials->kinds[SPECIAL_QUEUED], &s->of_kind);
    h->stats.finalizers_queued++;
    memstat_add(&memstat->gc.finalizers_queued, 1);
  }
  lock_release(&h->lock);
}

/* Steps 4 and 5. */
static void special_finalize(struct alm_heap *h, struct marker *m,
                             void (*drain)(struct alm_heap *h)) {
  struct special_table *t = h->specials;
  struct special *s;
  if (list_is_empty(&t->kinds[SPECIAL_FINALIZER])) {
    return;
  }
  FOR_EACH_SPECIAL(t, SPECIAL_FINALIZER, s) {
    if (!special_is_marked(s)) {
      mark_contents(m, (void *)s->object);
    }
  }
  drain(h);
  special_queue_unmarked(h, SPECIAL_FINALIZER);
  FOR_EACH_SPECIAL(t, SPECIAL_QUEUED, s) {
    mark_range(m, &s->value, sizeof s->value);
  }
  drain(h);
}

void special_process(struct alm_heap *h, struct marker *m,
                     void (*drain)(struct alm_heap *h)) {
  struct special_table *t = h->specials;
  special_mark_ephemerons(h, m, drain);         /* 2 */
  special_clear_unmarked(t, SPECIAL_EPHEMERON); /* 3 */
  special_clear_unmarked(t, SPECIAL_WEAK);
  special_finalize(h, m, drain);                /* 4, 5 */
  special_clear_unmarked(t, SPECIAL_LONG_WEAK); /* 6 */
  special_queue_unmarked(h, SPECIAL_CLEANUP);
}

bool special_check(const struct special_table *t) {
  size_t in_buckets = 0;
  for (size_t i = 0; i < t->nbuckets; i++) {
    for (struct special *s = t->buckets[i]; s; s = s->next_in_bucket) {
      CHECK(s->object != 0 && special_bucket(t, s->object) == &t->buckets[i]);
      in_buckets++;
    }
  }
  CHECK_EQ(in_buckets, t->count);
  return true;
}
