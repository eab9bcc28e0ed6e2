/* bench/gc/gc_boehm.h -- libgc's half of gc_adapter.h.
 *
 * A pause is the time from before the world is stopped until after it has
 * been started. Tuned, small typed objects come from per-thread lists
 * (GC_malloc_many), which is the fastest way libgc offers. */

struct gc_thread {
  void *lists[GC_TYPES_MAX]; /* by gc_type.index */
};

struct gc_type {
  size_t bytes;
  unsigned index;
  bool listed;
  bool typed;
  GC_descr descr; /* if typed */
};

static struct gc_pauses gc_pauses;
static double gc_pause_begin;

static inline void gc_on_event(GC_EventType event) {
  if (event == GC_EVENT_PRE_STOP_WORLD) {
    gc_pause_begin = bench_now();
  } else if (event == GC_EVENT_POST_START_WORLD) {
    double ms = (bench_now() - gc_pause_begin) * 1e3;
    gc_pauses.count++;
    gc_pauses.total_ms += ms;
    gc_pauses.max_ms = ms > gc_pauses.max_ms ? ms : gc_pauses.max_ms;
  }
}

static inline void gc_init(void) {
  if (gc_options.tuned) {
    GC_set_all_interior_pointers(0);
  }
  GC_INIT();
  GC_start_mark_threads(); /* else only with the first thread */
  GC_set_on_collection_event(gc_on_event);
  if (gc_options.tuned && gc_options.heap > GC_get_heap_size()) {
    GC_expand_hp(gc_options.heap - GC_get_heap_size());
  }
}

/* Bit i of mask: word i holds a pointer or NULL. */
static inline struct gc_type gc_type_make(size_t bytes, uint64_t mask) {
  static unsigned count;
  struct gc_type t = {.bytes = bytes, .index = count++};
  if (t.index >= GC_TYPES_MAX) {
    bench_broken("too many types", NULL, bytes);
  }
  t.typed = gc_options.typed;
  t.listed = gc_options.tuned && !t.typed;
  if (t.typed) {
    size_t words = bytes / GC_WORD_BYTES;
    GC_word bits = mask;
    t.descr = GC_make_descriptor(&bits, words < 64 ? words : 64);
  }
  return t;
}

/* libgc finds static memory by itself. */
static inline void gc_root(void *start, size_t bytes) {
  (void)start;
  (void)bytes;
}

static inline void gc_thread_begin(struct gc_thread *t) {
  memset(t, 0, sizeof *t);
}

static inline void gc_thread_end(struct gc_thread *t) {
  memset(t, 0, sizeof *t);
}

static inline void *gc_new_listed(struct gc_thread *t,
                                  const struct gc_type *type) {
  void **list = &t->lists[type->index];
  void *p = *list;
  if (__builtin_expect(p == NULL, 0)) {
    p = GC_malloc_many(type->bytes);
    if (p == NULL) {
      bench_broken("out of memory", p, type->bytes);
    }
  }
  *list = GC_NEXT(p);
  GC_NEXT(p) = NULL;
  return p;
}

static inline void *gc_new(struct gc_thread *t, const struct gc_type *type) {
  if (type->listed) {
    return gc_new_listed(t, type);
  }
  void *p = type->typed ? GC_malloc_explicitly_typed(type->bytes, type->descr)
                        : GC_MALLOC(type->bytes);
  if (__builtin_expect(p == NULL, 0)) {
    bench_broken("out of memory", p, type->bytes);
  }
  return p;
}

static inline void *gc_array(struct gc_thread *t, size_t count) {
  (void)t;
  void *p = GC_MALLOC(count * GC_WORD_BYTES);
  return p != NULL ? p : bench_checked(p, count);
}

static inline void *gc_noscan(struct gc_thread *t, size_t bytes) {
  (void)t;
  void *p = GC_MALLOC_ATOMIC(bytes);
  return p != NULL ? p : bench_checked(p, bytes);
}

static inline void gc_store(struct gc_thread *t, void *object, void *slot,
                            void *value) {
  (void)t;
  (void)object;
  *(void **)slot = value;
}

static inline void gc_safepoint(struct gc_thread *t) {
  (void)t;
}

static inline void gc_collect(struct gc_thread *t) {
  (void)t;
  GC_gcollect();
}

static inline struct gc_pauses gc_pauses_read(void) {
  return gc_pauses;
}
