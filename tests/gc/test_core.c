/* api/core.c: the table that a face calls the core by, used with a small face
 * of the test's own. Statics are no roots here but for those it reports. */
#include "support.h"

#include "almacen_core.h"
#include "frames.h"
#include "gc/idle.h"
#include "os/os.h"

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
static void *hidden[ROOTS];
static void *hidden_too[ROOTS];

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

/* ---- root layouts ------------------------------------------------------------------ */

static const size_t sizes[] = {16, 48, 512, 8000, 32768, 100000};
enum { SIZES = sizeof sizes / sizeof sizes[0], OF_EACH = 20 };

/* hidden[i] is a root, and its last word refers to hidden_too[i]. */
static void make_roots(struct alm_mutator *m, size_t kind) {
  uint32_t roots = plain((enum alm_kind)kind, true);
  uint32_t children = plain(ALM_CONSERVATIVE, false);
  REQUIRE(roots != 0);
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    size_t bytes = sizes[i % SIZES];
    void **root = take(m, roots, bytes);
    uint64_t *child = take(m, children, 32);
    REQUIRE(root != NULL && child != NULL);
    child[0] = i;
    root[0] = (void *)(i + 1);
    root[bytes / 8 - 1] = child;
    hidden[i] = root;
    hidden_too[i] = child;
  }
}

static void check_roots(struct alm_mutator *m, size_t kind) {
  (void)m;
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    struct alm_core_object o;
    void **root = hidden[i];
    REQUIRE(alm_core.find(t.heap, root, &o) && o.base == (char *)root);
    REQUIRE(o.is_root && o.is_swept && o.kind == (enum alm_kind)kind);
    REQUIRE(o.bytes >= sizes[i % SIZES] && o.slot_bytes >= o.bytes);
    REQUIRE(root[0] == (void *)(i + 1));
    REQUIRE(root[sizes[i % SIZES] / 8 - 1] == hidden_too[i]);
    if (kind == ALM_CONSERVATIVE) {
      REQUIRE(is_in_use(hidden_too[i]) && *(uint64_t *)hidden_too[i] == i);
    } else {
      REQUIRE(!is_in_use(hidden_too[i]));
    }
  }
}

static void delete_roots(struct alm_mutator *m, size_t with_mutator) {
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    alm_core.del(t.heap, with_mutator ? m : NULL, hidden[i]);
  }
}

static void roots_live_until_they_are_deleted(void **state) {
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    enum alm_kind kind = i < 2 ? ALM_CONSERVATIVE : ALM_NOSCAN;
    begin((struct alm_heap_options){0});
    by_thread(make_roots, kind);
    collected(2);
    by_thread(check_roots, kind);
    by_thread(delete_roots, i % 2);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0 && stats(NULL).live_bytes == 0);
    end();
  }
}

/* ---- trace functions ----------------------------------------------------------------- */

static char trace_arg;
static atomic_size_t ntraced, traced_bytes;

/* The second word is a pointer, and no other. */
static void trace_second(void *arg, void *object, size_t bytes,
                         struct alm_visitor *v) {
  REQUIRE(arg == &trace_arg);
  atomic_fetch_add(&ntraced, 1);
  atomic_fetch_add(&traced_bytes, bytes);
  alm_visit(v, ((void **)object)[1]);
}

static size_t nbytes_made;

static void make_traced(struct alm_mutator *m, size_t is_root) {
  uint32_t traced =
      alm_core.layouts(t.heap, ALM_TRACED, trace_second, &trace_arg, is_root);
  REQUIRE(traced != 0);
  nbytes_made = 0;
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    struct alm_core_object o;
    void **object = take(m, traced, sizes[i % SIZES]);
    REQUIRE(object != NULL);
    for (size_t k = 0; k < 2; k++) {
      void *child = take(m, plain(ALM_NOSCAN, false), 24);
      REQUIRE(child != NULL);
      object[k] = child;
      (k == 0 ? hidden : hidden_too)[i] = child;
    }
    REQUIRE(alm_core.find(t.heap, object, &o) && o.arg == &trace_arg);
    REQUIRE(o.kind == ALM_TRACED && o.is_root == is_root);
    nbytes_made += o.bytes;
    if (!is_root) {
      t.roots[i] = object;
    }
  }
}

static void check_traced(struct alm_mutator *m, size_t n) {
  (void)m;
  for (size_t i = 0; i < n; i++) {
    REQUIRE(!is_in_use(hidden[i]) && is_in_use(hidden_too[i]));
  }
}

static void a_trace_function_gets_its_argument_and_the_bytes(void **state) {
  (void)state;
  for (size_t is_root = 0; is_root < 2; is_root++) {
    begin((struct alm_heap_options){.first_bytes = 64 * MIB});
    by_thread(make_traced, is_root);
    atomic_store(&ntraced, 0);
    atomic_store(&traced_bytes, 0);
    collected(1);
    size_t times = ntraced / (SIZES * OF_EACH);
    REQUIRE(times == (ALM_TORTURE ? 2 : 1)); /* marked again, to compare */
    REQUIRE(ntraced == times * SIZES * OF_EACH);
    REQUIRE(traced_bytes == times * nbytes_made);
    by_thread(check_traced, SIZES * OF_EACH);
    end();
  }
}

static void fill_layouts(struct alm_mutator *m, size_t n) {
  (void)n;
  unsigned made = 0;
  for (uint32_t first;
       (first = alm_core.layouts(t.heap, ALM_TRACED, trace_second, &trace_arg,
                                 made % 2)) != 0;
       made++) {
    void **object = take(m, first, 64);
    REQUIRE(object != NULL && is_zero(object, 64));
    t.roots[made] = object;
  }
  REQUIRE(made >= 16 && made < ROOTS);
  REQUIRE(plain(ALM_NOSCAN, true) == 0);
  REQUIRE(plain(ALM_CONSERVATIVE, false) != 0);
}

static void too_many_layouts_are_refused(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(fill_layouts, 0);
  collected(1);
  end();
}

/* ---- pointers to first bytes -------------------------------------------------------- */

enum { OFFSETS = 4, REFERENCES = OFFSETS * 50 };
static const size_t offsets[OFFSETS] = {0, 8, 24, 56};

/* Each child of a cell is referred to at one of the offsets: from an object
 * or, `from_roots`, by the face's range. */
static void refer(struct alm_mutator *m, size_t from_roots) {
  void **holder = take(m, plain(ALM_CONSERVATIVE, false), REFERENCES * 8);
  REQUIRE(holder != NULL);
  t.roots[ROOTS - 1] = holder;
  for (size_t i = 0; i < REFERENCES; i++) {
    size_t bytes = i % 10 == 9 ? 50000 : 64;
    char *child = take(m, plain(ALM_NOSCAN, false), bytes);
    REQUIRE(child != NULL);
    hidden[i] = child;
    if (from_roots) {
      t.roots[i] = child + offsets[i % OFFSETS];
    } else {
      holder[i] = child + offsets[i % OFFSETS];
    }
  }
}

static void check_referred(struct alm_mutator *m, size_t alive) {
  (void)m;
  for (size_t i = 0; i < REFERENCES; i++) {
    REQUIRE(is_in_use(hidden[i]) == ((alive >> (i % OFFSETS)) & 1));
  }
}

static void pointers_to_first_bytes_and_displacements_count(void **state) {
  (void)state;
  static const struct {
    bool at_first, then, from_roots, roots_base_only;
    size_t displacement;
    unsigned alive; /* bit i: at offsets[i] */
  } cases[] = {
      {false, false, false, false, 0, 15}, {true, true, false, false, 0, 1},
      {true, false, false, false, 0, 15},  {false, true, false, false, 0, 1},
      {true, true, false, false, 24, 5},   {true, true, true, false, 0, 15},
      {false, false, true, true, 0, 1},    {false, false, true, true, 56, 9},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    begin((struct alm_heap_options){.base_pointers_only = cases[i].at_first});
    by_thread(refer, cases[i].from_roots);
    alm_core.set_base_only(t.heap, cases[i].then);
    t.is_base_only = cases[i].roots_base_only;
    REQUIRE(alm_core.is_displacement(t.heap, 0));
    if (cases[i].displacement != 0) {
      REQUIRE(!alm_core.is_displacement(t.heap, cases[i].displacement));
      alm_core.add_displacement(t.heap, cases[i].displacement);
      REQUIRE(alm_core.is_displacement(t.heap, cases[i].displacement));
    }
    alm_core.add_displacement(t.heap, (size_t)1 << 40); /* too far: ignored */
    REQUIRE(!alm_core.is_displacement(t.heap, (size_t)1 << 40));
    collected(1);
    by_thread(check_referred, cases[i].alive);
    end();
  }
}

/* ---- large objects -------------------------------------------------------------------- */

static void take_dirty(struct alm_mutator *m, size_t bytes) {
  uint32_t noscan = plain(ALM_NOSCAN, false);
  for (unsigned i = 0; i < 20; i++) {
    struct alm_core_object o;
    char *p = alm_core.take_large(m, noscan, bytes, i % 2);
    REQUIRE(p != NULL && alm_core.find(t.heap, p + bytes - 1, &o));
    REQUIRE(o.base == p && o.bytes >= bytes && o.bytes % PAGE == 0);
    REQUIRE(o.slot_bytes == o.bytes && o.kind == ALM_NOSCAN);
    REQUIRE(i % 2 == 0 || is_zero(p, o.bytes));
    memset(p, 0xff, o.bytes);
    alm_core.del(t.heap, m, p);
    REQUIRE(!alm_core.find(t.heap, p, &o));
    REQUIRE(stats(NULL).heap_bytes == 0);
  }
  REQUIRE(alm_core.take_large(m, noscan, SIZE_MAX, true) == NULL);
  REQUIRE(alm_core.take_large(m, noscan, PTRDIFF_MAX, true) == NULL);
  REQUIRE(alm_core.take_large(m, noscan, (size_t)1 << 46, true) == NULL);
  REQUIRE(alm_heap_check(m));
}

static void large_objects_are_zeroed_when_that_is_asked_for(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(take_dirty, 40000);
  by_thread(take_dirty, 3 * MIB + 1);
  end();
}

enum { LARGE = 5 * PAGE };

/* Two large objects of which the second begins where the first ends. */
static char *neighbours(struct alm_mutator *m) {
  char *last = NULL;
  for (unsigned i = 0; i < 64; i++) {
    char *p =
        alm_core.take_large(m, plain(ALM_CONSERVATIVE, false), LARGE, true);
    REQUIRE(p != NULL);
    t.roots[i] = p;
    if (last != NULL && last + LARGE == p) {
      stamp_write(last, LARGE, 7);
      memset(p, 0xff, LARGE);
      return last;
    }
    last = p;
  }
  REQUIRE(!"neighbours");
  return NULL;
}

static void grow(struct alm_mutator *m, size_t is_zeroed) {
  struct alm_core_object o;
  struct alm_core_stats before, after;
  char *p = neighbours(m);
  enum { MORE = 3 * PAGE };
  uint64_t bytes = stats(&before).heap_bytes;
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + MORE, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p + PAGE, LARGE + MORE, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p, SIZE_MAX, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p, (size_t)1 << 46, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, &o, LARGE, is_zeroed));
  REQUIRE(stats(NULL).heap_bytes == bytes && alm_heap_check(m));
  alm_core.del(t.heap, m, p + LARGE);
  bytes = stats(&before).heap_bytes;
  alm_core.set_limit(t.heap, bytes + MORE - 1);
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + MORE, is_zeroed));
  alm_core.set_limit(t.heap, bytes + MORE);
  REQUIRE(alm_core.grow_large(t.heap, p, LARGE + MORE - 100, is_zeroed));
  alm_core.set_limit(t.heap, 0);
  REQUIRE(stats(&after).heap_bytes == bytes + MORE);
  REQUIRE(after.since_bytes == before.since_bytes + MORE);
  REQUIRE(alm_core.find(t.heap, p + LARGE + MORE - 1, &o));
  REQUIRE(o.base == p && o.bytes == LARGE + MORE && o.slot_bytes == o.bytes);
  REQUIRE(stamp_holds(p, LARGE, LARGE, 7));
  REQUIRE(!is_zeroed || is_zero(p + LARGE, MORE));
  memset(p + LARGE, 0xff, MORE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK && alm_heap_check(m));
  REQUIRE(stamp_holds(p, LARGE, LARGE, 7) && (unsigned char)p[LARGE] == 0xff);
  alm_core.del(t.heap, m, p);
  REQUIRE(stats(NULL).heap_bytes == bytes - LARGE);
  REQUIRE(alm_heap_check(m));
}

static void a_large_object_grows_where_there_is_room(void **state) {
  (void)state;
  for (size_t is_zeroed = 0; is_zeroed < 2; is_zeroed++) {
    begin((struct alm_heap_options){0});
    by_thread(grow, is_zeroed);
    end();
  }
}

static void grow_unswept(struct alm_mutator *m, size_t n) {
  (void)n;
  struct alm_core_object o;
  char *p = neighbours(m);
  alm_core.del(t.heap, m, p + LARGE);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  REQUIRE(alm_core.find(t.heap, p, &o) && !o.is_swept);
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + PAGE, true));
  REQUIRE(alm_heap_check(m));
  alm_core.sweep(m);
  REQUIRE(alm_core.find(t.heap, p, &o) && o.is_swept);
  REQUIRE(alm_core.grow_large(t.heap, p, LARGE + PAGE, true));
  REQUIRE(is_zero(p + LARGE, PAGE) && stamp_holds(p, LARGE, LARGE, 7));
  REQUIRE(alm_heap_check(m));
}

static void grow_unswept_in_child(void *arg) {
  (void)arg;
  begin((struct alm_heap_options){.markers = 1});
  by_thread(grow_unswept, 0);
  collected(1);
  end();
}

static void a_large_object_that_is_to_be_swept_does_not_grow(void **state) {
  (void)state;
  child_must_pass(grow_unswept_in_child, NULL, "background=0");
}

/* ---- things that know what they are --------------------------------------------------- */

enum thing_kind { NOSCAN, PLAIN, TRACED, NOSCAN_ROOT, PLAIN_ROOT, THING_KINDS };

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

static void delete_thing(struct alm_mutator *m, struct thing *p,
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

/* ---- deletion --------------------------------------------------------------------------- */

static void take_and_delete(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct thing *p = make_thing(m, i % THING_KINDS, 48, NULL);
    REQUIRE(p != NULL);
    delete_thing(m, p, true);
  }
  REQUIRE(stats(NULL).collections == 0);
  REQUIRE(stats(NULL).heap_bytes <= 3 * THING_KINDS * PAGE);
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
}

static void deleted_slots_are_taken_again(void **state) {
  (void)state;
  begin_things((struct alm_heap_options){0});
  by_thread(take_and_delete, rounds(1000000));
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* So that a slot which was handed out twice is noticed at check_thing. */
static void fill(struct alm_mutator *m, size_t bytes) {
  for (size_t i = 0; i < ROOTS / 2; i++) {
    if (t.roots[i] == NULL) {
      struct thing *p = make_thing(m, i % THING_KINDS, bytes, NULL);
      REQUIRE(p != NULL);
      t.roots[i] = p;
    }
  }
}

static void delete_every(struct alm_mutator *m, size_t nth) {
  for (size_t i = 0; i < ROOTS / 2; i += nth) {
    if (t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], true);
      t.roots[i] = NULL;
    }
  }
}

static void delete_beside_collections(struct alm_mutator *m, size_t bytes) {
  for (size_t i = 0; i < 12; i++) {
    fill(m, bytes);
    delete_every(m, 2 + i % 3);
    if (i % 4 != 3) {
      REQUIRE(alm_core.collect(m) == ALM_OK);
    }
    if (i % 3 == 0) {
      delete_every(m, 5); /* what is yet to be swept */
    }
    expect_things();
    require_visited(m, NOTHING_ELSE);
    if (i % 2) {
      alm_core.sweep(m);
    }
    REQUIRE(alm_heap_check(m));
  }
}

static void a_collection_between_two_deletions_loses_nothing(void **state) {
  (void)state;
  for (size_t bytes = 32; bytes <= 2048; bytes *= 8) {
    begin_things((struct alm_heap_options){.first_bytes = 64 * MIB});
    by_thread(delete_beside_collections, bytes);
    by_thread(delete_every, 1);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0);
    end();
  }
}

static void check_none(struct alm_mutator *m, size_t n) {
  (void)n;
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(stats(NULL).heap_bytes == 0);
}

static void who_frees_may_be_another_and_end(void **state) {
  (void)state;
  for (size_t bytes = 32; bytes <= 2048; bytes *= 8) {
    begin_things((struct alm_heap_options){0});
    by_thread(fill, bytes);
    by_thread(delete_every, 3);
    by_thread(fill, bytes);
    by_thread(delete_every, 1);
    by_thread(check_none, 0);
    end();
  }
}

/* ---- heaps with holes -------------------------------------------------------------------- */

enum { HOLE_THREADS = 4, HOLES = 20000 };

static void fill_with_ones(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t *p = take(m, plain(ALM_CONSERVATIVE, false), 48);
    REQUIRE(p != NULL && is_zero(p, 48));
    memset(p, 0xff, 48);
    if (i % 3 == 0 && i / 3 < ROOTS) {
      t.roots[i / 3] = p;
    }
  }
}

/* A list in the holes, each with its number and its thread's. */
static void take_holes(struct alm_mutator *m, size_t thread) {
  uint64_t *list = NULL, n = 0;
  for (size_t i = 0; i < rounds(HOLES * 4); i++) {
    uint64_t *p = take(m, plain(ALM_CONSERVATIVE, false), 48);
    REQUIRE(p != NULL && is_zero(p, 48));
    memset(p, 0xff, 48);
    p[0] = (uintptr_t)list;
    p[1] = thread;
    p[2] = ++n;
    list = n % 5000 != 0 ? p : NULL;
    n = list == NULL ? 0 : n;
    for (uint64_t *c = list, k = n; n % 1000 == 999 && c != NULL;
         c = (uint64_t *)c[0], k--) {
      REQUIRE(c[1] == thread && c[2] == k);
    }
  }
}

static void *take_holes_of(void *arg) {
  call_on_thread((struct call){take_holes, (uintptr_t)arg, true});
  return NULL;
}

static void short_runs_are_zero_and_handed_out_once(void **state) {
  (void)state;
  pthread_t threads[HOLE_THREADS];
  begin((struct alm_heap_options){.first_bytes = 1 * MIB});
  alm_core.set_percent(t.heap, 50);
  by_thread(fill_with_ones, HOLES);
  collected(1);
  for (uintptr_t i = 0; i < HOLE_THREADS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, take_holes_of, (void *)i) == 0);
  }
  for (size_t i = 0; i < HOLE_THREADS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  REQUIRE(stats(NULL).collections > 1);
  for (size_t i = 0; i < ROOTS && t.roots[i] != NULL; i++) {
    const char *p = t.roots[i];
    REQUIRE(p[0] == (char)0xff && memcmp(p, p + 1, 47) == 0);
  }
  collected(1);
  end();
}

/* ---- callbacks ---------------------------------------------------------------------------- */

static void a_collection_calls_the_face_in_order(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(fill_with_ones, 100);
  t.nevents = 0;
  collected(2);
  t.events[t.nevents] = '\0';
  assert_string_equal(t.events, ALM_TORTURE ? "LB(SRRDMb)sULB(SRRDMb)sU"
                                            : "LB(SRDMb)sULB(SRDMb)sU");
  end();
}

static void by_a_guest_too(void **state) {
  (void)state;
  begin((struct alm_heap_options){.period_ms = 20, .markers = 1});
  by_thread(fill_with_ones, 1000);
  t.nevents = 0;
  uint64_t give_up = now_ns() + 20000000000u;
  while (stats(NULL).collections == 0 && now_ns() < give_up) {
    (void)idle_collect();
    sleep_ms(5);
  }
  t.events[t.nevents] = '\0';
  assert_string_equal(t.events, ALM_TORTURE ? "LB(SRRDMb)sU" : "LB(SRDMb)sU");
  end();
}

static void allocate_past_the_goal(struct alm_mutator *m, size_t is_shut) {
  atomic_store(&t.is_shut, is_shut);
  atomic_store(&t.nrefused, 0);
  uint64_t before = stats(NULL).collections;
  for (size_t i = 0; i < 600; i++) {
    char *p = take(m, plain(ALM_NOSCAN, false), i % 2 ? 8192 : 40000);
    REQUIRE(p != NULL);
  }
  REQUIRE(is_shut ? stats(NULL).collections == before && t.nrefused > 0
                  : stats(NULL).collections > before && t.nrefused == 0);
  REQUIRE(alm_core.collect(m) == (is_shut ? ALM_EBUSY : ALM_OK));
  REQUIRE(alm_heap_check(m));
}

static void without_the_lock_nothing_is_collected(void **state) {
  (void)state;
  begin((struct alm_heap_options){.first_bytes = 1 * MIB});
  by_thread(allocate_past_the_goal, true);
  REQUIRE(t.nevents == 0 && stats(NULL).heap_bytes > 8 * MIB);
  by_thread(allocate_past_the_goal, false);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes < 1 * MIB);
  end();
}

static void collect_is_busy(struct alm_mutator *m, size_t n) {
  (void)n;
  REQUIRE(alm_core.collect(m) == ALM_EBUSY);
  REQUIRE(stats(NULL).collections == 0);
}

static void who_collects_while_another_has_the_lock_is_told(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  REQUIRE(pthread_mutex_lock(&t.lock) == 0);
  by_thread(collect_is_busy, 0);
  REQUIRE(pthread_mutex_unlock(&t.lock) == 0);
  collected(1);
  end();
}

/* ---- decide --------------------------------------------------------------------------------- */

/* Of four lists the first is kept by its first cell, the second by what that
 * refers to, the third by mark bits alone; the fourth not. */
enum { LISTS = 4, LIST_LENGTH = 100 };

static void make_lists(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < LISTS * n; i++) {
    void **cell = take(m, plain(ALM_CONSERVATIVE, false), 32);
    REQUIRE(cell != NULL);
    cell[0] = i < LISTS ? NULL : hidden[i - LISTS];
    hidden[i] = cell;
  }
}

static void decide_lists(struct alm_marker *m) {
  void **last = &hidden[LISTS * (LIST_LENGTH - 1)];
  for (size_t i = 0; i < LISTS * LIST_LENGTH; i++) {
    REQUIRE(!alm_core.is_marked(hidden[i]));
  }
  alm_core.mark_range(m, &last[0], sizeof last[0], true);
  alm_core.mark_contents(m, last[1]);
  alm_core.mark_drain(m);
  for (size_t i = 0; i < LIST_LENGTH; i++) {
    REQUIRE(alm_core.is_marked(hidden[i * LISTS]));
    REQUIRE(alm_core.is_marked(hidden[i * LISTS + 1]) == (i < LIST_LENGTH - 1));
    REQUIRE(!alm_core.is_marked(hidden[i * LISTS + 2]));
    alm_core.set_mark(hidden[i * LISTS + 2], true);
    alm_core.set_mark(hidden[i * LISTS + 3], true);
    REQUIRE(alm_core.is_marked(hidden[i * LISTS + 3]));
    alm_core.set_mark(hidden[i * LISTS + 3], false);
    REQUIRE(!alm_core.is_marked(hidden[i * LISTS + 3]));
  }
}

static void check_lists(struct alm_mutator *m, size_t n) {
  (void)m;
  for (size_t i = 0; i < n; i++) {
    REQUIRE(is_in_use(hidden[i * LISTS]) && is_in_use(hidden[i * LISTS + 2]));
    REQUIRE(is_in_use(hidden[i * LISTS + 1]) == (i < n - 1));
    REQUIRE(!is_in_use(hidden[i * LISTS + 3]));
  }
}

static void decide_may_mark_and_drain(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(make_lists, LIST_LENGTH);
  t.decide = decide_lists;
  collected(1);
  t.decide = NULL;
  by_thread(check_lists, LIST_LENGTH);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *attach_and_leave(void *arg) {
  struct alm_mutator **m = arg;
  REQUIRE(alm_core.attach(t.heap, m) == ALM_OK);
  REQUIRE(alm_core.attach(t.heap, m) == ALM_EBUSY);
  REQUIRE(take(*m, plain(ALM_CONSERVATIVE, false), 100) != NULL);
  return NULL;
}

static void the_end_of_a_thread_is_told(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  for (unsigned i = 1; i <= 3; i++) {
    pthread_t thread;
    struct alm_mutator *m;
    REQUIRE(pthread_create(&thread, NULL, attach_and_leave, &m) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(t.ndetached == i && t.gone == m && stats(NULL).mutators == 0);
  }
  collected(1);
  end();
}

enum { LOCALS = 64 };

/* References in this frame, and a stack that is said to end below it, or not;
 * false: where it is said to be nobody runs. */
static __attribute__((noinline)) void collect_below(struct alm_mutator *m,
                                                    size_t how) {
  void *low, *high, *local[LOCALS];
  char elsewhere[256];
  for (size_t i = 0; i < LOCALS; i++) {
    local[i] = hidden[i] = take(m, plain(ALM_CONSERVATIVE, false), 64);
    REQUIRE(local[i] != NULL);
  }
  __asm__ volatile("" : : "r"(local), "r"(elsewhere) : "memory");
  alm_core.get_stack(m, &low, &high);
  REQUIRE((uintptr_t)low < (uintptr_t)local && (void *)local < high);
  switch (how) {
  case 0:
    alm_core.set_stack(m, NULL, high);
    break;
  case 1:
    alm_core.set_stack(m, hidden, hidden + ROOTS);
    break;
  default:
    break;
  }
  void *set_low, *set_high;
  alm_core.get_stack(m, &set_low, &set_high);
  REQUIRE(set_low == (how == 0 ? NULL : how == 1 ? (void *)hidden : low));
  REQUIRE(set_high == (how == 1 ? (void *)(hidden + ROOTS) : high));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.set_stack(m, low, high);
  alm_core.sweep(m);
  __asm__ volatile("" : : "r"(local) : "memory");
  size_t alive = 0;
  for (size_t i = 0; i < LOCALS; i++) {
    alive += is_in_use(hidden[i]);
  }
  /* registers, and the frame of the collection, are looked at anyway */
  REQUIRE(how == 1 ? alive < LOCALS / 2 : alive == LOCALS);
}

static void the_stack_is_where_it_is_said_to_be(void **state) {
  (void)state;
  for (size_t how = 0; how < 3; how++) {
    begin((struct alm_heap_options){0});
    by_thread(collect_below, how);
    end();
  }
}

static void *collect_thrice(void *arg) {
  (void)arg;
  collected(3);
  return NULL;
}

static __attribute__((noinline)) void begin_blocked(struct alm_mutator *m) {
  alm_core.blocked_begin(m, (char *)__builtin_frame_address(0) +
                                2 * sizeof(void *));
}

/* While it is blocked others collect; what its frame holds is alive. */
static void block(struct alm_mutator *m, size_t n) {
  uint64_t *volatile kept = take(m, plain(ALM_CONSERVATIVE, false), 64);
  for (size_t i = 0; i < n; i++) {
    pthread_t thread;
    uint64_t before = stats(NULL).collections;
    alm_core.blocked_end(m); /* is not: nothing happens */
    kept[1] = i;
    begin_blocked(m);
    begin_blocked(m);
    REQUIRE(pthread_create(&thread, NULL, collect_thrice, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(stats(NULL).collections == before + 3);
    alm_core.blocked_end(m);
    alm_core.blocked_end(m);
    REQUIRE(kept[1] == i && is_in_use(kept));
    REQUIRE(alm_core.collect(m) == ALM_OK);
  }
}

static void blocked_regions_begin_and_end_once(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(block, 20);
  end();
}

static atomic_bool is_asking;

static void *ask_for_collection(void *arg) {
  (void)arg;
  atomic_store(&is_asking, true);
  collected(1);
  return NULL;
}

static void stay_in_section(struct alm_mutator *m, size_t depth) {
  pthread_t thread;
  atomic_store(&is_asking, false);
  REQUIRE(!alm_core.in_section());
  for (size_t i = 0; i < depth; i++) {
    alm_core.section_begin();
  }
  REQUIRE(pthread_create(&thread, NULL, ask_for_collection, NULL) == 0);
  while (!atomic_load(&is_asking)) {
    sleep_ms(1);
  }
  unsigned before = t.nstopped;
  for (size_t i = 0; i < depth; i++) {
    sleep_ms(10);
    REQUIRE(alm_core.in_section() && t.nstopped == before);
    alm_core.section_end(i + 1 < depth ? NULL : m);
  }
  REQUIRE(!alm_core.in_section());
  alm_blocked_begin(m);
  REQUIRE(pthread_join(thread, NULL) == 0);
  alm_blocked_end(m);
  REQUIRE(t.nstopped == before + 1);
}

static void who_is_in_a_section_is_not_stopped(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  for (size_t depth = 1; depth <= 3; depth++) {
    by_thread(stay_in_section, depth);
  }
  alm_core.section_begin(); /* a thread without a mutator */
  REQUIRE(alm_core.in_section());
  alm_core.section_end(NULL);
  REQUIRE(!alm_core.in_section());
  end();
}

/* ---- settings -------------------------------------------------------------------------------- */

enum { KEPT = 4096, KEPT_BYTES = 1024 };

static void keep_some(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    t.roots[i] = take(m, plain(ALM_NOSCAN, false), KEPT_BYTES);
    REQUIRE(t.roots[i] != NULL);
  }
}

static void percent_and_first_bytes_move_the_goal(void **state) {
  (void)state;
  begin((struct alm_heap_options){.first_bytes = 1 * MIB, .gc_percent = 20});
  REQUIRE(stats(NULL).goal_bytes == 1 * MIB);
  alm_core.set_first(t.heap, 2 * MIB);
  REQUIRE(stats(NULL).goal_bytes == 2 * MIB);
  alm_core.set_first(t.heap, 1 * MIB); /* from the next collection on */
  REQUIRE(stats(NULL).goal_bytes == 2 * MIB);
  by_thread(keep_some, KEPT);
  uint64_t live = KEPT * KEPT_BYTES, last = 0;
  for (unsigned percent = 25; percent <= 400; percent *= 2) {
    alm_core.set_percent(t.heap, percent);
    collected(1);
    struct alm_heap_stats s = stats(NULL);
    REQUIRE(s.live_bytes == live);
    REQUIRE(s.goal_bytes >= live + live * percent / 100);
    REQUIRE(s.goal_bytes > last);
    last = s.goal_bytes;
  }
  REQUIRE(last <= live + live * 401 / 100);
  alm_core.set_first(t.heap, 64 * MIB);
  REQUIRE(stats(NULL).goal_bytes == 64 * MIB);
  collected(1);
  REQUIRE(stats(NULL).goal_bytes == 64 * MIB);
  end();
}

static void allocate_to_the_limit(struct alm_mutator *m, size_t limit) {
  struct thing *p;
  size_t n = 0;
  alm_core.set_limit(t.heap, limit);
  while (n < ROOTS &&
         (p = make_thing(m, n % THING_KINDS, 2000, NULL)) != NULL) {
    t.roots[n++] = p;
  }
  REQUIRE(n > 100 && n < ROOTS && stats(NULL).heap_bytes <= limit);
  REQUIRE(alm_core.take_large(m, thing_layouts[PLAIN], limit, true) == NULL);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  expect_things();
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  alm_core.set_limit(t.heap, 0);
  for (unsigned i = 0; i < 100; i++) {
    struct thing *large = make_thing(m, PLAIN, 40000, t.roots[n]);
    REQUIRE(large != NULL);
    t.roots[n] = large;
  }
}

static void at_the_limit_objects_are_refused_and_none_is_lost(void **state) {
  (void)state;
  begin_things((struct alm_heap_options){0});
  by_thread(allocate_to_the_limit, 1 * MIB);
  collected(1);
  end();
}

static void release_down_to(struct alm_mutator *m, size_t keep) {
  struct alm_core_stats more;
  void *p = take(m, plain(ALM_NOSCAN, false), 3 * MIB);
  REQUIRE(p != NULL);
  memset(p, 1, 3 * MIB);
  (void)stats(&more);
  REQUIRE(more.since_bytes >= 3 * MIB && more.deleted_bytes == 0);
  REQUIRE(more.markers >= 1 && more.mapped_bytes_max >= 3 * MIB);
  alm_core.del(t.heap, m, p);
  (void)stats(&more);
  REQUIRE(more.deleted_bytes == 3 * MIB && more.since_bytes < 3 * MIB);
  (void)alm_core.release(keep);
  (void)stats(&more);
  REQUIRE(more.free_bytes <= keep);
}

static void free_pages_are_released_down_to_what_is_kept(void **state) {
  (void)state;
  for (size_t keep = 0; keep <= 2 * MIB; keep += 1 * MIB) {
    begin((struct alm_heap_options){0});
    by_thread(release_down_to, keep);
    end();
  }
}

/* ---- records --------------------------------------------------------------------------------- */

static void records_of_all_sizes_are_zero(void **state) {
  (void)state;
  static const size_t bytes[] = {1,    16,   17,   32,   33,    64,     100,
                                 255,  256,  257,  1000, 1024,  1025,   2047,
                                 2048, 2049, 5000, 8192, 65536, 1 << 20};
  enum { SORTS = sizeof bytes / sizeof bytes[0], EACH = 10 };
  char *p[SORTS][EACH];
  REQUIRE(alm_core.bytes == sizeof(struct alm_core_table));
  REQUIRE(strcmp(alm_core.version, ALM_VERSION) == 0);
  for (unsigned again = 0; again < 3; again++) {
    for (size_t i = 0; i < SORTS * EACH; i++) {
      size_t n = bytes[i / EACH];
      char *one = p[i / EACH][i % EACH] = alm_core.meta_alloc(n);
      REQUIRE(one != NULL && (uintptr_t)one % 16 == 0 && is_zero(one, n));
      memset(one, (int)i | 1, n);
    }
    for (size_t i = 0; i < SORTS * EACH; i++) {
      const char *one = p[i / EACH][i % EACH];
      REQUIRE(one[0] == (char)(i | 1));
      REQUIRE(memcmp(one, one + 1, bytes[i / EACH] - 1) == 0);
    }
    for (size_t i = 0; i < SORTS * EACH; i++) {
      alm_core.meta_free(p[i / EACH][i % EACH], bytes[i / EACH]);
    }
  }
}

/* ---- everything at once ------------------------------------------------------------------------ */

enum { ACTORS = 4 };

static size_t thing_size(struct rng *r) {
  return rng_below(r, 100) == 0 ? 33000 + rng_below(r, 200000)
                                : rng_size(r, rng_below(r, 8) ? 300 : 32768);
}

/* Slots are exchanged, so a thing is in one thread's hands. */
static void act_once(struct alm_mutator *m, struct rng *r) {
  size_t i = rng_below(r, ROOTS);
  struct thing *p = atomic_exchange(&t.roots[i], NULL);
  if (p != NULL) {
    check_thing(p);
  }
  if (p != NULL && rng_below(r, 2)) {
    delete_thing(m, p, rng_below(r, 4) != 0);
    p = NULL;
  } else if (p == NULL) {
    struct thing *next = make_thing(m, NOSCAN, thing_size(r), NULL);
    REQUIRE(next != NULL);
    enum thing_kind kind = rng_below(r, THING_KINDS);
    p = make_thing(m, kind, thing_size(r), next);
    REQUIRE(p != NULL);
    if (p->next == NULL) {
      alm_core.del(t.heap, m, next);
    }
  } else if (p->bytes > 32768) {
    size_t bytes = p->bytes + rng_below(r, 4) * PAGE;
    if (alm_core.grow_large(t.heap, p, bytes, false)) {
      p->bytes = bytes;
      p->check = ((uint64_t *)p)[bytes / 8 - 1] = thing_check(p);
    }
  }
  if (p != NULL && (p = atomic_exchange(&t.roots[i], p)) != NULL) {
    delete_thing(m, p, true);
  }
}

static void count_one(const struct alm_core_object *o, void *n) {
  struct alm_core_object same;
  REQUIRE(alm_core.find(t.heap, o->base + o->bytes - 1, &same));
  REQUIRE(same.base == o->base && same.bytes == o->bytes);
  ++*(size_t *)n;
}

/* What the others have in hand is not known. */
static void visit_beside_others(struct alm_mutator *m) {
  size_t slots = 0, visited = 0;
  if (!alm_core.world_stop(m)) {
    return;
  }
  for (size_t i = 0; i < ROOTS; i++) {
    slots += t.roots[i] != NULL;
    REQUIRE(t.roots[i] == NULL || is_in_use(t.roots[i]));
  }
  alm_core.world_visit(t.heap, count_one, &visited);
  REQUIRE(visited >= slots);
  alm_core.world_start(m);
}

static void act(struct alm_mutator *m, size_t seed) {
  struct rng r = {seed};
  for (size_t i = 0; i < 3000; i++) {
    act_once(m, &r);
    switch (rng_below(&r, 600)) {
    case 0:
      (void)alm_core.collect(m);
      break;
    case 1:
      alm_core.sweep(m);
      break;
    case 2:
      REQUIRE(alm_heap_check(m));
      break;
    case 3:
      visit_beside_others(m);
      break;
    default:
      break;
    }
  }
}

static uint64_t act_until;

static void *act_by_threads(void *seed) {
  for (size_t i = 0; now_ns() < act_until; i++) {
    by_thread(act, (uintptr_t)seed + i);
  }
  return NULL;
}

static void visit_all(struct alm_mutator *m, size_t visit) {
  expect_things();
  require_visited(m, (enum visit)visit);
}

static void delete_all(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < ROOTS; i++) {
    if (t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], (i + n) % 2);
      t.roots[i] = NULL;
    }
  }
}

static void threads_take_grow_and_delete_each_others_objects(void **state) {
  (void)state;
  pthread_t threads[ACTORS];
  uint64_t seed = seed_take();
  begin_things((struct alm_heap_options){.first_bytes = 2 * MIB});
  act_until = soak_end_ns(UNDER_TSAN || UNDER_ASAN ? 4000 : 2000);
  for (uintptr_t i = 0; i < ACTORS; i++) {
    void *arg = (void *)(seed * 1000 + i * 100000);
    REQUIRE(pthread_create(&threads[i], NULL, act_by_threads, arg) == 0);
  }
  for (size_t i = 0; i < ACTORS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  by_thread(visit_all, NOTHING_ELSE);
  collected(1);
  by_thread(visit_all, NOTHING_ELSE);
  by_thread(delete_all, 0);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* ---- fork ------------------------------------------------------------------------------------------ */

static atomic_bool is_ready, is_over;

/* With half-used runs of all layouts, and objects that it has freed. */
static void stay(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    t.roots[i] = make_thing(m, i % THING_KINDS, 48, NULL);
    REQUIRE(t.roots[i] != NULL);
  }
  for (size_t i = 0; i < n; i += 7) {
    delete_thing(m, t.roots[i], true);
    t.roots[i] = NULL;
  }
  atomic_store(&is_ready, true);
  while (!atomic_load(&is_over)) {
    sleep_ms(1);
  }
}

static void *stay_until_told(void *arg) {
  by_thread(stay, (uintptr_t)arg);
  return NULL;
}

static void live_in_child(struct alm_mutator *m) {
  visit_all(m, ANYTHING);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  visit_all(m, ROOTS_TOO);
  fill(m, 200);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.sweep(m);
  visit_all(m, ROOTS_TOO);
  delete_all(m, 0);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.sweep(m);
  REQUIRE(alm_heap_check(m));
  visit_all(m, ROOTS_TOO);
  alm_core.detach(m);
  REQUIRE(stats(NULL).heap_bytes <= 2 * PAGE); /* of the two root layouts */
}

/* The other has collected, so that it has runs in spans of nobody, or not. */
static void fork_beside_another(struct alm_mutator *m, size_t collects) {
  pthread_t thread;
  int status;
  atomic_store(&is_ready, false);
  atomic_store(&is_over, false);
  REQUIRE(pthread_create(&thread, NULL, stay_until_told, (void *)500) == 0);
  while (!atomic_load(&is_ready)) {
    sleep_ms(1);
  }
  if (collects) {
    REQUIRE(alm_core.collect(m) == ALM_OK);
    if (collects > 1) {
      alm_core.sweep(m);
    }
  }
  t.roots[ROOTS - 1] = make_thing(m, PLAIN, 64, NULL);
  REQUIRE(t.roots[ROOTS - 1] != NULL);
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    support_in_child = true;
    alarm(60);
    live_in_child(m);
    _exit(0);
  }
  alm_blocked_begin(m);
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  atomic_store(&is_over, true);
  REQUIRE(pthread_join(thread, NULL) == 0);
  alm_blocked_end(m);
  delete_all(m, 0);
}

static void a_child_has_the_heap_and_no_other_thread(void **state) {
  (void)state;
  for (size_t collects = 0; collects < 3; collects++) {
    begin_things((struct alm_heap_options){.markers = 1});
    by_thread(fork_beside_another, collects);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0);
    end();
  }
}

/* ---- no memory --------------------------------------------------------------------------------------- */

enum { NOT_HIT = 3, NTH_MAX = 4000 };

struct fault {
  enum os_call call;
  uint64_t nth;
  uint64_t count;
};

static void use_while_refused(struct alm_mutator *m) {
  for (size_t i = 0; i < 600; i++) {
    enum thing_kind kind = i % THING_KINDS;
    bool is_made = thing_layouts[kind] != 0 || kind == NOSCAN;
    size_t bytes = i % 50 == 0 ? 40000 : i % 10 == 0 ? 9000 : 48;
    t.roots[i] = is_made ? make_thing(m, kind, bytes, NULL) : NULL;
    if (bytes == 40000 && t.roots[i] != NULL) {
      (void)alm_core.grow_large(t.heap, t.roots[i], 20 * bytes, true);
    }
    if (i % 30 == 7 && t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], i % 2);
      t.roots[i] = NULL;
    }
    if (i % 200 == 150) {
      enum alm_err err = alm_core.collect(m);
      REQUIRE(err == ALM_OK || err == ALM_ENOMEM);
    }
    size_t record = (size_t)16 << (i % 16);
    char *p = alm_core.meta_alloc(record);
    REQUIRE(p == NULL || is_zero(p, record));
    if (p != NULL) {
      memset(p, 1, record);
      alm_core.meta_free(p, record);
    }
  }
}

static void use_again(struct alm_mutator *m) {
  visit_all(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  visit_all(m, NOTHING_ELSE);
  REQUIRE(alm_core.layouts(t.heap, ALM_TRACED, trace_thing, &trace_arg, true) !=
          0);
  REQUIRE(take(m, plain(ALM_NOSCAN, false), 100000) != NULL);
  delete_all(m, 0);
  REQUIRE(alm_heap_check(m));
}

static void use_with_fault(void *arg) {
  const struct fault *f = arg;
  struct alm_heap_options options = {.period_ms = ALM_NEVER};
  struct alm_mutator *m = NULL;
  alm_free(alm_malloc(1)); /* the start has tests of its own */
  (void)os_fault_set(f->call, f->nth, f->count);
  enum alm_err err = alm_core.heap_create(&options, &face, &t.heap);
  REQUIRE(err == ALM_OK || err == ALM_ENOMEM);
  if (err == ALM_OK) {
    err = alm_core.attach(t.heap, &m);
    REQUIRE(err == ALM_OK || (err == ALM_ENOMEM && m == NULL));
    set_thing_layouts();
    if (m != NULL) {
      use_while_refused(m);
    }
  }
  bool is_hit = os_fault_set(f->call, 0, 0) >= f->nth;
  if (t.heap == NULL) {
    begin_things(options);
  }
  REQUIRE(m != NULL || alm_core.attach(t.heap, &m) == ALM_OK);
  use_again(m);
  alm_core.detach(m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK && alm_check());
  _exit(is_hit ? 0 : NOT_HIT);
}

static void refuse_each(enum os_call call, uint64_t count) {
  uint64_t nth = 1, step = 1;
  for (;; nth += step) {
    struct fault f = {call, nth, count};
    struct child c = child_run(use_with_fault, &f, "background=0,reserve=1G");
    if (child_exited(&c, NOT_HIT)) {
      break;
    }
    if (!child_exited(&c, 0)) {
      print_error("fault %d, nth %" PRIu64 ", count %" PRIu64
                  ": status 0x%x, stderr:\n%s\n",
                  (int)call, nth, count, (unsigned)c.status, c.text);
      fail();
    }
    assert_true(nth < NTH_MAX);
    step = nth < 20 ? 1 : nth / 4;
  }
  assert_true(nth > 1); /* it is used */
}

static void without_memory_calls_fail_and_nothing_is_lost(void **state) {
  (void)state;
  if (!ALM_DEBUG || UNDER_TSAN) {
    print_message("release builds have no fault injection, and TSan forbids\n"
                  "threads in children\n");
    skip();
  }
  static const enum os_call calls[] = {OS_RESERVE, OS_READY, OS_ALLOC,
                                       OS_THREAD};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    refuse_each(calls[i], 1);
    refuse_each(calls[i], UINT64_MAX);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_memory_calls_fail_and_nothing_is_lost),
      cmocka_unit_test(a_large_object_that_is_to_be_swept_does_not_grow),
      cmocka_unit_test(roots_live_until_they_are_deleted),
      cmocka_unit_test(a_trace_function_gets_its_argument_and_the_bytes),
      cmocka_unit_test(too_many_layouts_are_refused),
      cmocka_unit_test(pointers_to_first_bytes_and_displacements_count),
      cmocka_unit_test(large_objects_are_zeroed_when_that_is_asked_for),
      cmocka_unit_test(a_large_object_grows_where_there_is_room),
      cmocka_unit_test(deleted_slots_are_taken_again),
      cmocka_unit_test(a_collection_between_two_deletions_loses_nothing),
      cmocka_unit_test(who_frees_may_be_another_and_end),
      cmocka_unit_test(short_runs_are_zero_and_handed_out_once),
      cmocka_unit_test(a_collection_calls_the_face_in_order),
      cmocka_unit_test(by_a_guest_too),
      cmocka_unit_test(without_the_lock_nothing_is_collected),
      cmocka_unit_test(who_collects_while_another_has_the_lock_is_told),
      cmocka_unit_test(decide_may_mark_and_drain),
      cmocka_unit_test(the_end_of_a_thread_is_told),
      cmocka_unit_test(the_stack_is_where_it_is_said_to_be),
      cmocka_unit_test(blocked_regions_begin_and_end_once),
      cmocka_unit_test(who_is_in_a_section_is_not_stopped),
      cmocka_unit_test(percent_and_first_bytes_move_the_goal),
      cmocka_unit_test(at_the_limit_objects_are_refused_and_none_is_lost),
      cmocka_unit_test(free_pages_are_released_down_to_what_is_kept),
      cmocka_unit_test(records_of_all_sizes_are_zero),
      cmocka_unit_test(threads_take_grow_and_delete_each_others_objects),
      cmocka_unit_test(a_child_has_the_heap_and_no_other_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
