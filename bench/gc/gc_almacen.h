/* bench/gc/gc_almacen.h -- almacen's half of gc_adapter.h. */
#include "almacen_inline.h"

struct gc_thread {
  struct alm_mutator *m;
};

struct gc_type {
  const struct alm_type *type;
};

static struct alm_heap *gc_heap;
static struct gc_type gc_pointers; /* arrays of pointers */

static inline void gc_must(enum alm_err err, const char *what) {
  if (err != ALM_OK) {
    bench_broken(what, NULL, (size_t)err);
  }
}

/* Bit i of mask: word i holds a pointer or NULL. */
static inline struct gc_type gc_type_make(size_t bytes, uint64_t mask) {
  struct gc_type t;
  size_t words = bytes / GC_WORD_BYTES;
  struct alm_type_info info = {
      .bytes = bytes, .pointers = &mask, .words = words < 64 ? words : 64};
  gc_must(alm_type_create(gc_heap, &info, &t.type), "alm_type_create");
  return t;
}

static inline void gc_init(void) {
  struct alm_heap_options o = {0};
  if (gc_options.tuned) {
    o.base_pointers_only = true;
    o.first_bytes = gc_options.heap;
  }
  gc_must(alm_heap_create(&o, &gc_heap), "alm_heap_create");
  gc_pointers = gc_type_make(GC_WORD_BYTES, 1);
}

static inline void gc_root(void *start, size_t bytes) {
  gc_must(alm_root_add(gc_heap, start, bytes), "alm_root_add");
}

static inline void gc_thread_begin(struct gc_thread *t) {
  gc_must(alm_mutator_attach(gc_heap, &t->m), "alm_mutator_attach");
}

static inline void gc_thread_end(struct gc_thread *t) {
  alm_mutator_detach(t->m);
}

static inline void *gc_new(struct gc_thread *t, const struct gc_type *type) {
  void *p = alm_new_inline(t->m, type->type);
  if (__builtin_expect(p == NULL, 0)) {
    bench_broken("out of memory", p, 0);
  }
  return p;
}

static inline void *gc_array(struct gc_thread *t, size_t count) {
  void *p = alm_new_array(t->m, gc_pointers.type, count);
  return p != NULL ? p : bench_checked(p, count);
}

static inline void *gc_noscan(struct gc_thread *t, size_t bytes) {
  void *p = alm_new_bytes(t->m, ALM_NOSCAN, bytes);
  return p != NULL ? p : bench_checked(p, bytes);
}

static inline void gc_store(struct gc_thread *t, void *object, void *slot,
                            void *value) {
  alm_store_inline(t->m, object, slot, value);
}

static inline void gc_safepoint(struct gc_thread *t) {
  alm_safepoint_inline(t->m);
}

static inline void gc_collect(struct gc_thread *t) {
  gc_must(alm_collect(t->m), "alm_collect");
}

static inline struct gc_pauses gc_pauses_read(void) {
  struct alm_heap_stats s;
  alm_heap_stats_read(gc_heap, &s);
  return (struct gc_pauses){s.collections, (double)s.pause_ns * 1e-6,
                            (double)s.pause_ns_max * 1e-6};
}
