/* tests/gc/face.h -- a small face of the core's table, and what tests of it
 * share.
 *
 * WHAT    A heap with the face; threads that leave no word on a stack; objects
 *         that know what they are; which objects a walk over the heap sees.
 * HOW     Include it after support.h. Statics are no roots of such a heap but
 *         for t.roots, which the face reports.
 */
#ifndef ALM_TESTS_GC_FACE_H
#define ALM_TESTS_GC_FACE_H

#include "support.h"

#include "almacen_core.h"
#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ROOTS = 6000, EVENTS = 64, PAGE = 8192 };

static struct {
  struct alm_heap *heap;
  pthread_mutex_t lock;
  atomic_bool is_shut; /* no collection is let begin                     */
  atomic_uint nrefused;
  atomic_uint nstopped;
  atomic_uint ndetached;
  struct alm_mutator *_Atomic gone; /* detached last                     */
  char events[EVENTS]; /* a letter each; who holds the lock         */
  unsigned nevents;
  bool is_base_only; /* how `roots` is reported                          */
  void (*decide)(struct alm_marker *m);
  void *_Atomic roots[ROOTS];
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the face ---------------------------------------------------------------- */

static void note(char event) {
  if (t.nevents < EVENTS - 1) {
    t.events[t.nevents++] = event;
  }
}

static bool face_try_lock(void *arg) {
  REQUIRE(arg == &t);
  if (atomic_load(&t.is_shut) || pthread_mutex_trylock(&t.lock) != 0) {
    t.nrefused++;
    return false;
  }
  note('L');
  return true;
}

static void face_unlock(void *arg) {
  REQUIRE(arg == &t);
  note('U');
  REQUIRE(pthread_mutex_unlock(&t.lock) == 0);
}

static void face_hold_objects(void *arg, void (*run)(void *what), void *what) {
  REQUIRE(arg == &t);
  note('(');
  run(what);
  note(')');
}

static void face_before_stop(void *arg) {
  REQUIRE(arg == &t);
  note('B');
}

static void face_stopped(void *arg) {
  REQUIRE(arg == &t);
  note('S');
  t.nstopped++;
}

static void face_mark_roots(void *arg, struct alm_marker *m) {
  REQUIRE(arg == &t);
  note('R');
  alm_core.mark_range(m, t.roots, sizeof t.roots, t.is_base_only);
}

static void face_decide(void *arg, struct alm_marker *m) {
  REQUIRE(arg == &t);
  note('D');
  if (t.decide != NULL) {
    t.decide(m);
  }
}

static void face_marked(void *arg) {
  REQUIRE(arg == &t);
  note('M');
}

static void face_before_start(void *arg) {
  REQUIRE(arg == &t);
  note('b');
}

static void face_started(void *arg) {
  REQUIRE(arg == &t);
  note('s');
}

static void face_detached(void *arg, struct alm_mutator *m) {
  REQUIRE(arg == &t);
  REQUIRE(alm_mutator_self(t.heap) == NULL);
  REQUIRE(alm_core.in_section());
  t.gone = m;
  t.ndetached++;
}

static const struct alm_face face = {.try_lock = face_try_lock,
                                     .unlock = face_unlock,
                                     .hold_objects = face_hold_objects,
                                     .before_stop = face_before_stop,
                                     .stopped = face_stopped,
                                     .before_start = face_before_start,
                                     .started = face_started,
                                     .mark_roots = face_mark_roots,
                                     .decide = face_decide,
                                     .marked = face_marked,
                                     .detached = face_detached,
                                     .arg = &t};

/* ---- heaps and threads --------------------------------------------------------- */

static void begin(struct alm_heap_options options) {
  for (size_t i = 0; i < ROOTS; i++) {
    t.roots[i] = NULL;
  }
  t.is_base_only = false;
  t.decide = NULL;
  t.nevents = 0;
  atomic_store(&t.is_shut, false);
  atomic_store(&t.ndetached, 0);
  options.period_ms = options.period_ms ? options.period_ms : ALM_NEVER;
  REQUIRE(alm_core.heap_create(&options, &face, &t.heap) == ALM_OK);
}

static void end(void) {
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  t.heap = NULL;
  all_memory_is_back();
}

static struct alm_heap_stats stats(struct alm_core_stats *more) {
  struct alm_heap_stats s;
  struct alm_core_stats own;
  alm_core.stats(t.heap, &s, more != NULL ? more : &own);
  return s;
}

struct call {
  void (*f)(struct alm_mutator *m, size_t n);
  size_t n;
  bool is_deep; /* what it leaves on the stack is cleared */
};

static __attribute__((noinline)) void call_deep(const struct call *c,
                                                struct alm_mutator *m) {
  DEEP(c->f(m, c->n));
}

/* The stack may be one that a marker's thread has left. */
static void *call_main(void *arg) {
  const struct call *c = arg;
  struct alm_mutator *m;
  scrub();
  REQUIRE(alm_core.attach(t.heap, &m) == ALM_OK);
  if (c->is_deep) {
    call_deep(c, m);
  } else {
    c->f(m, c->n);
  }
  alm_core.detach(m);
  return NULL;
}

static void call_on_thread(struct call c) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, call_main, &c) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
}

/* By a thread that is gone afterwards, and its stack with it. */
static void by_thread(void (*f)(struct alm_mutator *m, size_t n), size_t n) {
  call_on_thread((struct call){f, n, true});
}

static void collect(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_core.collect(m) == ALM_OK);
  }
  alm_core.sweep(m);
  REQUIRE(alm_heap_check(m));
}

/* n times, and sweep; no word of an object is on the stack. */
static void collected(size_t n) {
  call_on_thread((struct call){collect, n, false});
}

/* ---- objects --------------------------------------------------------------------- */

static uint32_t plain(enum alm_kind kind, bool is_root) {
  return alm_core.layouts(t.heap, kind, NULL, NULL, is_root);
}

/* An object of at least so many bytes. */
static void *take(struct alm_mutator *m, uint32_t layouts, size_t bytes) {
  uint32_t slot_bytes;
  if (bytes > 32768) {
    return alm_core.take_large(m, layouts, bytes, true);
  }
  unsigned class = alm_core.size_class(bytes, &slot_bytes);
  REQUIRE(slot_bytes >= bytes);
  return alm_core.take(m, layouts + class);
}

static bool is_zero(const void *p, size_t bytes) {
  const char *c = p;
  return bytes == 0 || (c[0] == 0 && memcmp(c, c + 1, bytes - 1) == 0);
}

static bool is_in_use(const void *p) {
  struct alm_core_object o;
  return alm_core.find(t.heap, p, &o) && o.base == p;
}

/* Pointers that no marker sees. */
__attribute__((unused)) static void *hidden[ROOTS], *hidden_too[ROOTS];

/* ---- what is visited ------------------------------------------------------------- */

/* In a forked child what other threads' runs had is in use until a collection,
 * and root layouts keep it: how much there is beside what was expected. */
enum visit { NOTHING_ELSE, ROOTS_TOO, ANYTHING };

static struct {
  void *all[2 * ROOTS];
  size_t n;
  size_t seen;
  enum visit visit;
} expected;

static int compare_pointers(const void *a, const void *b) {
  uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
  return x < y ? -1 : x > y;
}

static void see_one(const struct alm_core_object *o, void *arg) {
  void *base = o->base;
  REQUIRE(arg == &expected);
  bool is_known = bsearch(&base, expected.all, expected.n,
                          sizeof expected.all[0], compare_pointers) != NULL;
  REQUIRE(is_known || expected.visit == ANYTHING ||
          (expected.visit == ROOTS_TOO && o->is_root));
  expected.seen += is_known;
}

static void expect(void *p) {
  if (p != NULL) {
    REQUIRE(expected.n < 2 * ROOTS);
    expected.all[expected.n++] = p;
  }
}

/* World stopped: what was expected is in use. */
static void require_visited(struct alm_mutator *m, enum visit visit) {
  qsort(expected.all, expected.n, sizeof expected.all[0], compare_pointers);
  while (!alm_core.world_stop(m)) {}
  expected.visit = visit;
  expected.seen = 0;
  alm_core.world_visit(t.heap, see_one, &expected);
  alm_core.world_start(m);
  REQUIRE(expected.seen == expected.n);
  expected.n = 0;
}

/* ---- things that know what they are --------------------------------------------------- */

enum thing_kind { NOSCAN, PLAIN, TRACED, NOSCAN_ROOT, PLAIN_ROOT, THING_KINDS };

/* Of their trace function. */
static char trace_arg;

static uint32_t thing_layouts[THING_KINDS];

struct thing {
  struct thing *next; /* kept by this one, but for NOSCAN kinds: NULL     */
  uint64_t kind;      /* enum thing_kind                                  */
  size_t bytes;
  uint64_t check; /* of the three; and a copy at the end, from 48 bytes on */
};

static uint64_t thing_check(const struct thing *p) {
  return ((uintptr_t)p * 31 + p->kind) * 31 + p->bytes;
}

static void trace_thing(void *arg, void *object, size_t bytes,
                        struct alm_visitor *v) {
  const struct thing *p = object;
  REQUIRE(arg == &trace_arg && bytes >= sizeof *p);
  alm_visit(v, p->next);
}

static void set_thing_layouts(void) {
  for (unsigned kind = 0; kind < THING_KINDS; kind++) {
    thing_layouts[kind] =
        kind == TRACED
            ? alm_core.layouts(t.heap, ALM_TRACED, trace_thing, &trace_arg,
                               false)
            : plain(kind == PLAIN || kind == PLAIN_ROOT ? ALM_CONSERVATIVE
                                                        : ALM_NOSCAN,
                    kind >= NOSCAN_ROOT);
  }
}

static void begin_things(struct alm_heap_options options) {
  begin(options);
  set_thing_layouts();
}

static struct thing *make_thing(struct alm_mutator *m, enum thing_kind kind,
                                size_t bytes, struct thing *next) {
  bytes = bytes < sizeof(struct thing) ? sizeof(struct thing) : bytes;
  bytes = bytes / 8 * 8;
  struct thing *p = take(m, thing_layouts[kind], bytes);
  if (p == NULL) {
    return NULL;
  }
  REQUIRE(kind == NOSCAN || kind == NOSCAN_ROOT ||
          is_zero(p, bytes < 4096 ? bytes : 4096));
  p->next = kind == NOSCAN || kind == NOSCAN_ROOT ? NULL : next;
  p->kind = kind;
  p->bytes = bytes;
  p->check = thing_check(p);
  if (bytes >= 48) {
    ((uint64_t *)p)[bytes / 8 - 1] = p->check;
  }
  return p;
}

static void check_thing(const struct thing *p) {
  struct alm_core_object o;
  REQUIRE(p->kind < THING_KINDS && p->check == thing_check(p));
  REQUIRE(p->bytes < 48 || ((const uint64_t *)p)[p->bytes / 8 - 1] == p->check);
  REQUIRE(alm_core.find(t.heap, (const char *)p + p->bytes - 1, &o));
  REQUIRE(o.base == (const char *)p && o.bytes >= p->bytes);
  REQUIRE(o.is_root == (p->kind >= NOSCAN_ROOT));
  REQUIRE(o.arg == (p->kind == TRACED ? &trace_arg : NULL));
}

__attribute__((unused)) static void delete_thing(struct alm_mutator *m,
                                                 struct thing *p,
                                                 bool with_mutator) {
  check_thing(p);
  if (p->next != NULL) {
    check_thing(p->next);
    alm_core.del(t.heap, with_mutator ? m : NULL, p->next);
  }
  alm_core.del(t.heap, with_mutator ? m : NULL, p);
}

static void expect_things(void) {
  for (size_t i = 0; i < ROOTS; i++) {
    struct thing *p = t.roots[i];
    if (p != NULL) {
      check_thing(p);
      expect(p);
      expect(p->next);
    }
  }
}

#endif
