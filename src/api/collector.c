/* api/collector.c -- the public functions of garbage-collected heaps: check,
 * convert, call. See include/almacen.h for the contracts. */
#include "almacen.h"

#include "base/diag.h"
#include "gc/cycle.h"
#include "gc/local.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/special.h"
#include "gc/sweep.h"
#include "gc/world.h"
#include "mem/misuse.h"
#include "process.h"

#include <string.h>

enum { CHECK_MAX = 2, GC_PERCENT_MAX = 100000 };

/* ---- heaps, mutators, types ------------------------------------------------ */

enum alm_err alm_heap_create(const struct alm_heap_options *options,
                             struct alm_heap **out) {
  static const struct alm_heap_options defaults;
  const struct alm_heap_options *o = options ? options : &defaults;
  if (out == NULL || o->check > CHECK_MAX || o->gc_percent > GC_PERCENT_MAX) {
    return ALM_EINVAL;
  }
  struct alm_heap *h = process_start() ? cycle_open(o) : NULL;
  if (h == NULL) {
    return ALM_ENOMEM;
  }
  *out = h;
  return ALM_OK;
}

enum alm_err alm_heap_destroy(struct alm_heap *heap) {
  if (world_in_callback()) {
    return ALM_ESTATE;
  }
  lock_acquire(&heap->lock);
  bool is_used = !list_is_empty(&heap->mutators);
  lock_release(&heap->lock);
  if (is_used) {
    return ALM_EBUSY;
  }
  cycle_close(heap);
  return ALM_OK;
}

enum alm_err alm_mutator_attach(struct alm_heap *heap,
                                struct alm_mutator **out) {
  if (heap == NULL || out == NULL) {
    return ALM_EINVAL;
  }
  return world_in_callback() ? ALM_ESTATE : world_attach(heap, out);
}

void alm_mutator_detach(struct alm_mutator *m) {
  if (world_owns(m, "alm_mutator_detach")) {
    world_detach(m);
  }
}

enum alm_err alm_type_create(struct alm_heap *heap,
                             const struct alm_type_info *info,
                             const struct alm_type **out) {
  if (heap == NULL || info == NULL || out == NULL || info->bytes == 0 ||
      info->bytes > SMALL_BYTES_MAX ||
      (info->words > 0 && info->pointers == NULL) ||
      info->words > info->bytes / sizeof(void *) ||
      (info->words > 0 && info->trace != NULL)) {
    return ALM_EINVAL;
  }
  struct alm_type *t = heap_add_type(heap, info);
  if (t == NULL) {
    return ALM_ENOMEM;
  }
  *out = t;
  return ALM_OK;
}

/* ---- allocation -------------------------------------------------------------- */

static void collector_before_refill(struct alm_mutator *m, size_t bytes) {
  struct alm_heap *h = m->heap;
  uint64_t every = h->options.collect_every;
  m->refills++;
  if (atomic_load_relaxed(&m->head.stop_wanted) != 0) {
    world_safepoint(m);
  }
  if (cycle_is_due(h, bytes) || (every != 0 && m->refills % every == 0)) {
    atomic_store_relaxed(&h->awaited, bytes);
    (void)cycle_collect(m);
  }
}

/* Memory was out the nth time: is another attempt worth it? */
static bool collector_find_room(struct alm_mutator *m, unsigned nth,
                                size_t bytes) {
  struct alm_heap *h = m->heap;
  if (nth > 0 &&
      (h->options.out_of_memory == NULL ||
       !h->options.out_of_memory(h, bytes, h->options.out_of_memory_arg))) {
    return false;
  }
  (void)cycle_collect(m);
  sweep_finish(h);
  return true;
}

ALM_COLD static bool collector_refill(struct alm_mutator *m, unsigned index) {
  size_t bytes = m->heap->layouts[index].slot_bytes;
  collector_before_refill(m, 0);
  for (unsigned nth = 0; !local_refill(m, index); nth++) {
    if (!collector_find_room(m, nth, bytes)) {
      return false;
    }
  }
  return true;
}

/* A zeroed slot of the layout, or NULL. */
ALM_INLINE void *collector_take(struct alm_mutator *m, unsigned index,
                                uint32_t slot_bytes, const char *call) {
  struct alm_run *run = &m->head.runs[index];
  if (unlikely(run->next == run->end) &&
      (!world_owns(m, call) || !collector_refill(m, index))) {
    return NULL;
  }
  void *p = run->next;
  run->next += slot_bytes;
  return p;
}

void *alm_new(struct alm_mutator *m, const struct alm_type *type) {
  return collector_take(m, type->head.index, type->head.slot_bytes, "alm_new");
}

static void *collector_large(struct alm_mutator *m, enum alm_kind kind,
                             const struct alm_type *type, size_t bytes,
                             const char *call) {
  if (bytes > PTRDIFF_MAX || !world_owns(m, call)) {
    return NULL;
  }
  collector_before_refill(m, bytes);
  void *p;
  for (unsigned nth = 0; (p = local_new_large(m, kind, type, bytes)) == NULL;
       nth++) {
    if (!collector_find_room(m, nth, bytes)) {
      return NULL;
    }
  }
  return p;
}

static void *collector_bytes(struct alm_mutator *m, enum alm_kind kind,
                             size_t bytes, const char *call) {
  if (bytes > SMALL_BYTES_MAX) {
    return collector_large(m, kind, NULL, bytes, call);
  }
  unsigned class = sizeclass_for(max_size(bytes, 16));
  unsigned first = kind == ALM_NOSCAN ? LAYOUT_NOSCAN : LAYOUT_CONSERVATIVE;
  return collector_take(m, first + class, sizeclasses[class].object_bytes,
                        call);
}

void *alm_new_bytes(struct alm_mutator *m, enum alm_kind kind, size_t bytes) {
  if (kind != ALM_NOSCAN && kind != ALM_CONSERVATIVE) {
    return NULL;
  }
  return collector_bytes(m, kind, bytes, "alm_new_bytes");
}

void *alm_new_array(struct alm_mutator *m, const struct alm_type *type,
                    size_t count) {
  size_t bytes, total;
  if (__builtin_mul_overflow(count, (size_t)type->stride, &bytes) ||
      __builtin_add_overflow(bytes, (size_t)ARRAY_HEADER_BYTES, &total)) {
    return NULL;
  }
  if (type->kind == ALM_NOSCAN) {
    return collector_bytes(m, ALM_NOSCAN, bytes, "alm_new_array");
  }
  if (total > SMALL_BYTES_MAX) {
    return collector_large(m, type->kind, type, bytes, "alm_new_array");
  }
  unsigned class = sizeclass_for(max_size(total, 16));
  char *p = collector_take(m, LAYOUT_ARRAY + class,
                           sizeclasses[class].object_bytes, "alm_new_array");
  if (p == NULL) {
    return NULL;
  }
  *(const struct alm_type **)(void *)p = type;
  return p + ARRAY_HEADER_BYTES;
}

enum alm_err alm_delete(struct alm_mutator *m, void *object) {
  struct found f;
  if (object == NULL) {
    return ALM_OK;
  }
  if (!world_owns(m, "alm_delete") || !heap_find_start(m->heap, object, &f)) {
    return ALM_EINVAL;
  }
  if (special_has(m->heap, object)) {
    return ALM_ESPECIAL;
  }
  sweep_free_object(m->heap, &f);
  return ALM_OK;
}

size_t alm_object_bytes(struct alm_heap *heap, const void *p) {
  struct found f;
  return heap_find_start(heap, p, &f) ? f.c->object_bytes : 0;
}

void alm_store(struct alm_mutator *m, void *object, void *slot, void *value) {
  alm_store_inline(m, object, slot, value);
}

void alm_copy(struct alm_mutator *m, void *object, void *to, const void *from,
              size_t bytes) {
  (void)m;
  (void)object;
  memmove(to, from, bytes);
}

/* ---- stopping ---------------------------------------------------------------- */

void alm_safepoint(struct alm_mutator *m) {
  if (atomic_load_relaxed(&m->head.stop_wanted) != 0 &&
      world_owns(m, "alm_safepoint")) {
    world_safepoint(m);
  }
}

/* Not inlined: the end of its frame is what the thread leaves. */
__attribute__((noinline)) void alm_blocked_begin(struct alm_mutator *m) {
  if (world_owns(m, "alm_blocked_begin") && m->state == MUTATOR_RUNNING) {
    world_blocked_begin(m, (char *)__builtin_frame_address(0) +
                               2 * sizeof(void *));
  }
}

void alm_blocked_end(struct alm_mutator *m) {
  if (world_owns(m, "alm_blocked_end") && m->state == MUTATOR_BLOCKED) {
    world_blocked_end(m);
  }
}

/* ---- roots ------------------------------------------------------------------- */

void alm_visit(struct alm_visitor *v, const void *p) {
  mark_visit(v, p);
}

enum alm_err alm_root_add(struct alm_heap *heap, const void *start,
                          size_t bytes) {
  if (start == NULL || (uintptr_t)start % sizeof(void *) != 0) {
    return ALM_EINVAL;
  }
  return roots_add(heap, start, bytes) ? ALM_OK : ALM_ENOMEM;
}

enum alm_err alm_root_remove(struct alm_heap *heap, const void *start) {
  return roots_remove(heap, start) ? ALM_OK : ALM_EINVAL;
}

enum alm_err alm_root_callback_add(struct alm_heap *heap, alm_root_trace trace,
                                   void *arg) {
  if (trace == NULL) {
    return ALM_EINVAL;
  }
  return roots_add_callback(heap, trace, arg) ? ALM_OK : ALM_ENOMEM;
}

struct alm_handle *alm_handle_create(struct alm_mutator *m, void *object) {
  return world_owns(m, "alm_handle_create") ? roots_take_handle(m->heap, object)
                                            : NULL;
}

void *alm_handle_get(const struct alm_handle *handle) {
  return (void *)atomic_load_relaxed(&handle->word);
}

void alm_handle_set(struct alm_handle *handle, void *object) {
  atomic_store_relaxed(&handle->word, (uintptr_t)object);
}

void alm_handle_release(struct alm_heap *heap, struct alm_handle *handle) {
  if (handle != NULL) {
    roots_return_handle(heap, handle);
  }
}

/* ---- specials ---------------------------------------------------------------- */

static bool collector_is_object(struct alm_mutator *m, const void *object,
                                const char *call) {
  struct found f;
  return world_owns(m, call) && heap_find_start(m->heap, object, &f);
}

struct alm_weak *alm_weak_create(struct alm_mutator *m, void *object,
                                 bool is_long) {
  return collector_is_object(m, object, "alm_weak_create")
             ? special_add_weak(m->heap, object, is_long)
             : NULL;
}

void *alm_weak_get(struct alm_mutator *m, struct alm_weak *weak) {
  (void)m;
  return special_weak_get(weak);
}

void alm_weak_release(struct alm_mutator *m, struct alm_weak *weak) {
  if (weak != NULL && world_owns(m, "alm_weak_release")) {
    special_release_weak(m->heap, weak);
  }
}

enum alm_err alm_cleanup_add(struct alm_mutator *m, void *object,
                             alm_finalizer fn, void *arg) {
  if (fn == NULL || !collector_is_object(m, object, "alm_cleanup_add")) {
    return ALM_EINVAL;
  }
  return special_add_cleanup(m->heap, object, fn, arg) ? ALM_OK : ALM_ENOMEM;
}

enum alm_err alm_finalizer_set(struct alm_mutator *m, void *object,
                               alm_finalizer fn, void *arg) {
  if (!collector_is_object(m, object, "alm_finalizer_set")) {
    return ALM_EINVAL;
  }
  return special_set_finalizer(m->heap, object, fn, arg) ? ALM_OK : ALM_ENOMEM;
}

size_t alm_finalizers_run(struct alm_mutator *m, size_t most) {
  alm_finalizer fn;
  void *object, *arg;
  size_t n = 0;
  if (!world_owns(m, "alm_finalizers_run")) {
    return 0;
  }
  while ((most == 0 || n < most) &&
         special_take_queued(m->heap, &fn, &object, &arg)) {
    fn(object, arg);
    n++;
  }
  return n;
}

struct alm_ephemeron *alm_ephemeron_create(struct alm_mutator *m, void *key,
                                           void *value) {
  return collector_is_object(m, key, "alm_ephemeron_create")
             ? special_add_ephemeron(m->heap, key, value)
             : NULL;
}

void *alm_ephemeron_get(struct alm_mutator *m, struct alm_ephemeron *e) {
  (void)m;
  return special_ephemeron_get(e);
}

void alm_ephemeron_release(struct alm_mutator *m, struct alm_ephemeron *e) {
  if (e != NULL && world_owns(m, "alm_ephemeron_release")) {
    special_release_ephemeron(m->heap, e);
  }
}

/* ---- control ----------------------------------------------------------------- */

enum alm_err alm_collect(struct alm_mutator *m) {
  if (world_in_callback() || !world_owns(m, "alm_collect")) {
    return ALM_ESTATE;
  }
  enum cycle_result r;
  while ((r = cycle_collect(m)) == CYCLE_OTHER) {
    /* that one may have begun before the caller's last change */
  }
  return r == CYCLE_DONE ? ALM_OK : ALM_ENOMEM;
}

enum alm_err alm_sweep(struct alm_mutator *m) {
  if (world_in_callback() || !world_owns(m, "alm_sweep")) {
    return ALM_ESTATE;
  }
  sweep_finish(m->heap);
  return ALM_OK;
}

void alm_heap_stats_read(struct alm_heap *heap, struct alm_heap_stats *out) {
  lock_acquire(&heap->lock);
  *out = heap->stats;
  out->goal_bytes = atomic_load_relaxed(&heap->goal);
  out->heap_bytes = heap->span_bytes;
  out->alloc_bytes += atomic_load_relaxed(&heap->allocated);
  lock_release(&heap->lock);
}

bool alm_heap_check(struct alm_mutator *m) {
  return world_owns(m, "alm_heap_check") && cycle_check(m);
}
