/* api/collector.c -- the public functions of garbage-collected heaps: check,
 * convert, call. See include/almacen.h for the contracts. */
#include "almacen.h"

#include "collector.h"

#include "background.h"
#include "base/diag.h"
#include "gc/cycle.h"
#include "gc/finalizer.h"
#include "gc/local.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/special.h"
#include "gc/sweep.h"
#include "gc/world.h"
#include "mem/misuse.h"
#include "process.h"

#include <signal.h>
#include <string.h>

enum { CHECK_MAX = 2, GC_PERCENT_MAX = 100000 };

/* ---- heaps, mutators, types ------------------------------------------------ */

enum alm_err collector_create_heap(const struct alm_heap_options *options,
                                   const struct alm_face *face,
                                   struct alm_heap **out) {
  static const struct alm_heap_options defaults;
  const struct alm_heap_options *o = options ? options : &defaults;
  if (out == NULL || o->check > CHECK_MAX || o->gc_percent > GC_PERCENT_MAX ||
      (unsigned)o->contract > ALM_UNCOOPERATIVE) {
    return ALM_EINVAL;
  }
  struct alm_heap_options own = *o;
  own.stop_signal = o->stop_signal != 0 ? o->stop_signal : SIGURG;
  if (o->contract == ALM_UNCOOPERATIVE &&
      !world_use_signal(own.stop_signal, face != NULL)) {
    return ALM_EBUSY;
  }
  struct alm_heap *h = process_start() ? cycle_open(&own, face) : NULL;
  if (h == NULL) {
    return ALM_ENOMEM;
  }
  *out = h;
  return ALM_OK;
}

enum alm_err alm_heap_create(const struct alm_heap_options *options,
                             struct alm_heap **out) {
  return collector_create_heap(options, NULL, out);
}

enum alm_err alm_heap_destroy(struct alm_heap *heap) {
  if (world_in_callback()) {
    return ALM_ESTATE;
  }
  if (!finalizer_is_alone(heap)) {
    return ALM_EBUSY;
  }
  cycle_close(heap);
  background_poke();
  return ALM_OK;
}

enum alm_err alm_mutator_attach(struct alm_heap *heap,
                                struct alm_mutator **out) {
  if (heap == NULL || out == NULL) {
    return ALM_EINVAL;
  }
  return world_in_callback() ? ALM_ESTATE : world_attach(heap, out);
}

struct alm_mutator *alm_mutator_self(struct alm_heap *heap) {
  return world_mutator(heap);
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

enum cycle_result collector_collect(struct alm_mutator *m) {
  enum cycle_result r = cycle_collect(m);
  uint64_t npages = atomic_load_relaxed(&m->heap->unswept_pages);
  background_poke_to_sweep(npages << PAGE_SHIFT);
  return r;
}

static void collector_before_refill(struct alm_mutator *m, size_t bytes) {
  struct alm_heap *h = m->heap;
  uint64_t every = h->options.collect_every;
  m->refills++;
  local_account(m);
  if (world_is_wanted(m)) {
    world_safepoint(m);
  }
  if (cycle_is_due(h, bytes) || (every != 0 && m->refills % every == 0) ||
      cycle_is_overdue(h)) {
    atomic_store_relaxed(&h->awaited, bytes);
    (void)collector_collect(m);
  }
}

/* Memory was out the nth time: is another attempt worth it? */
static bool collector_find_room(struct alm_mutator *m, unsigned nth,
                                size_t bytes) {
  struct alm_heap *h = m->heap;
  if (nth > 0) {
    lock_section_end(); /* of the allocation: the handler may take its time */
    bool again =
        h->options.out_of_memory != NULL &&
        h->options.out_of_memory(h, bytes, h->options.out_of_memory_arg);
    lock_section_begin();
    if (!again) {
      return false;
    }
  }
  (void)collector_collect(m);
  sweep_finish(h);
  return true;
}

/* A run that is not at hand. */
ALM_COLD static bool collector_find_run(struct alm_mutator *m, unsigned index) {
  collector_before_refill(m, 0);
  size_t bytes = m->heap->layouts[index].slot_bytes;
  bool ok;
  for (unsigned nth = 0; !(ok = local_refill(m, index)); nth++) {
    if (!collector_find_room(m, nth, bytes)) {
      break;
    }
  }
  return ok;
}

static __attribute__((noinline)) bool collector_refill(struct alm_mutator *m,
                                                       unsigned index,
                                                       const char *call) {
  if (!world_owns(m, call)) {
    return false;
  }
  world_enter();
  bool ok = local_continue(m, index) || collector_find_run(m, index);
  world_leave(m);
  return ok;
}

/* A zeroed slot of the layout, or NULL. */
ALM_INLINE void *collector_take(struct alm_mutator *m, unsigned index,
                                uint32_t slot_bytes, const char *call) {
  struct alm_run *run = &m->head.runs[index];
  if (unlikely(run->next == run->end) && !collector_refill(m, index, call)) {
    return NULL;
  }
  void *p = run->next;
  run->next += slot_bytes;
  return p;
}

static bool collector_is_own_type(const struct alm_mutator *m,
                                  const struct alm_type *type,
                                  const char *call) {
  if (likely(type->heap == m->heap)) {
    return true;
  }
  if (world_owns(m, call)) {
    struct misuse bad = {ALM_MISUSE_HEAP, type, 0, 0, 0};
    misuse_report(call, &bad);
  }
  return false;
}

void *alm_new(struct alm_mutator *m, const struct alm_type *type) {
  if (!collector_is_own_type(m, type, "alm_new")) {
    return NULL;
  }
  return collector_take(m, type->head.index, type->head.slot_bytes, "alm_new");
}

void *collector_large_of(struct alm_mutator *m, enum alm_kind kind,
                         const struct alm_type *type, size_t bytes,
                         bool is_root, bool is_zero, const char *call) {
  if (bytes > PTRDIFF_MAX || !world_owns(m, call)) {
    return NULL;
  }
  world_enter();
  collector_before_refill(m, bytes);
  void *p;
  for (unsigned nth = 0;
       (p = local_new_large(m, kind, type, bytes, is_root, is_zero)) == NULL;
       nth++) {
    if (!collector_find_room(m, nth, bytes)) {
      break;
    }
  }
  world_leave(m);
  return p;
}

static void *collector_large(struct alm_mutator *m, enum alm_kind kind,
                             const struct alm_type *type, size_t bytes,
                             const char *call) {
  return collector_large_of(m, kind, type, bytes, false, true, call);
}

void *collector_take_of(struct alm_mutator *m, unsigned index,
                        const char *call) {
  return collector_take(m, index, m->heap->layouts[index].slot_bytes, call);
}

/* At least 16 bytes of a constant kind. */
ALM_INLINE void *collector_bytes(struct alm_mutator *m, enum alm_kind kind,
                                 size_t bytes, const char *call) {
  if (bytes > SMALL_BYTES_MAX) {
    return collector_large(m, kind, NULL, bytes, call);
  }
  unsigned class = sizeclass_for(bytes);
  unsigned first = kind == ALM_NOSCAN ? LAYOUT_NOSCAN : LAYOUT_CONSERVATIVE;
  return collector_take(m, first + class, sizeclasses[class].object_bytes,
                        call);
}

/* As much as any C object of at most so many bytes can ask for: a struct that
 * ends in an array of no fixed length may be longer by any number of bytes. */
ALM_INLINE size_t collector_tiny_align(size_t bytes) {
  return bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
}

/* Of the old block and the new one that with more room is kept. */
static void *collector_tiny_block(struct alm_mutator *m, size_t bytes) {
  if (!m->is_packing) {
    return collector_bytes(m, ALM_NOSCAN, TINY_BLOCK_BYTES, "alm_new_bytes");
  }
  char *p = collector_take(m, LAYOUT_TINY, TINY_BLOCK_BYTES, "alm_new_bytes");
  if (p != NULL && TINY_BLOCK_BYTES - bytes > m->tiny_end - m->tiny_at) {
    m->tiny_at = (uintptr_t)p + bytes;
    m->tiny_end = (uintptr_t)p + TINY_BLOCK_BYTES;
  }
  return p;
}

static void *collector_tiny(struct alm_mutator *m, size_t bytes) {
  bytes += bytes == 0; /* an address of its own */
  uintptr_t at = align_up(m->tiny_at, collector_tiny_align(bytes));
  if (at + bytes > m->tiny_end) {
    return collector_tiny_block(m, bytes);
  }
  m->tiny_at = at + bytes;
  return (void *)at;
}

void *alm_new_bytes(struct alm_mutator *m, enum alm_kind kind, size_t bytes) {
  if (kind == ALM_NOSCAN) {
    return bytes < TINY_BLOCK_BYTES
               ? collector_tiny(m, bytes)
               : collector_bytes(m, ALM_NOSCAN, bytes, "alm_new_bytes");
  }
  return kind == ALM_CONSERVATIVE
             ? collector_bytes(m, ALM_CONSERVATIVE, max_size(bytes, 16),
                               "alm_new_bytes")
             : NULL;
}

void *alm_new_array(struct alm_mutator *m, const struct alm_type *type,
                    size_t count) {
  size_t bytes, total;
  if (!collector_is_own_type(m, type, "alm_new_array") ||
      __builtin_mul_overflow(count, (size_t)type->stride, &bytes) ||
      __builtin_add_overflow(bytes, (size_t)ARRAY_HEADER_BYTES, &total)) {
    return NULL;
  }
  if (type->kind == ALM_NOSCAN) {
    return collector_bytes(m, ALM_NOSCAN, max_size(bytes, 16), "alm_new_array");
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
  if (!world_owns(m, "alm_delete")) {
    return ALM_EINVAL;
  }
  world_enter();
  enum alm_err err = heap_find_start(m->heap, object, &f);
  if (err == ALM_OK && special_has(m->heap, object)) {
    err = ALM_ESPECIAL;
  }
  if (err == ALM_OK) {
    sweep_free_object(m->heap, &f);
  }
  world_leave(m);
  return err;
}

size_t alm_object_bytes(struct alm_heap *heap, const void *p) {
  struct found f;
  return heap_find_start(heap, p, &f) == ALM_OK ? f.c->object_bytes : 0;
}

void alm_store(struct alm_mutator *m, void *object, void *slot, void *value) {
  (void)m;
  (void)object;
  *(void **)slot = value;
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
    world_enter();
    world_safepoint(m);
    if (cycle_is_overdue(m->heap)) { /* the background thread has asked */
      (void)collector_collect(m);
    }
    world_leave(m);
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

enum alm_err alm_stack_add(struct alm_heap *heap, void *low, size_t bytes,
                           struct alm_stack **out) {
  if (low == NULL || bytes == 0 || out == NULL ||
      (uintptr_t)low + bytes < (uintptr_t)low) {
    return ALM_EINVAL;
  }
  struct alm_stack *s = roots_add_stack(heap, low, bytes);
  if (s == NULL) {
    return ALM_ENOMEM;
  }
  *out = s;
  return ALM_OK;
}

enum alm_err alm_stack_remove(struct alm_heap *heap, struct alm_stack *stack) {
  if (stack == NULL || stack->heap != heap) {
    return ALM_EINVAL;
  }
  return roots_remove_stack(heap, stack) ? ALM_OK : ALM_EBUSY;
}

/* Not inlined: what it saves is its caller's. */
__attribute__((noinline)) void alm_stack_switch(struct alm_mutator *m,
                                                struct alm_stack *to) {
  if (!world_owns(m, "alm_stack_switch")) {
    return;
  }
  if (to != NULL && to->heap != m->heap) {
    struct misuse bad = {ALM_MISUSE_HEAP, to, 0, 0, 0};
    misuse_report("alm_stack_switch", &bad);
    return;
  }
  struct alm_stack *from = m->head.stack;
  from->head.pointer = (void *)stack_save_registers(from->registers);
  atomic_store_relaxed(&m->head.stack, to != NULL ? to : &m->own);
}

enum alm_err alm_displacement_add(struct alm_heap *heap, size_t bytes) {
  if (bytes >= DISPLACEMENTS) {
    return ALM_EINVAL;
  }
  (void)atomic_or_relaxed(&heap->displacements[bytes / 64],
                          (uint64_t)1 << (bytes % 64));
  return ALM_OK;
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

/* May it have specials? */
static enum alm_err collector_object(struct alm_mutator *m, const void *object,
                                     const char *call) {
  struct found f;
  return world_owns(m, call) ? heap_find_start(m->heap, object, &f)
                             : ALM_EINVAL;
}

struct alm_weak *alm_weak_create(struct alm_mutator *m, void *object,
                                 bool is_long) {
  return collector_object(m, object, "alm_weak_create") == ALM_OK
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
  if (fn == NULL) {
    return ALM_EINVAL;
  }
  enum alm_err err = collector_object(m, object, "alm_cleanup_add");
  if (err != ALM_OK) {
    return err;
  }
  return special_add_cleanup(m->heap, object, fn, arg) ? ALM_OK : ALM_ENOMEM;
}

enum alm_err alm_finalizer_set(struct alm_mutator *m, void *object,
                               alm_finalizer fn, void *arg) {
  enum alm_err err = collector_object(m, object, "alm_finalizer_set");
  if (err != ALM_OK) {
    return err;
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
  return collector_object(m, key, "alm_ephemeron_create") == ALM_OK
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
  world_enter();
  while ((r = collector_collect(m)) == CYCLE_OTHER) {
    /* that one may have begun before the caller's last change */
  }
  world_leave(m);
  return r == CYCLE_DONE ? ALM_OK : ALM_ENOMEM;
}

enum alm_err alm_sweep(struct alm_mutator *m) {
  if (world_in_callback() || !world_owns(m, "alm_sweep")) {
    return ALM_ESTATE;
  }
  world_enter();
  sweep_finish(m->heap);
  world_leave(m);
  background_poke();
  return ALM_OK;
}

void alm_heap_stats_read(struct alm_heap *heap, struct alm_heap_stats *out) {
  lock_acquire(&heap->lock);
  *out = heap->stats;
  out->goal_bytes = atomic_load_relaxed(&heap->goal);
  out->heap_bytes = heap->span_bytes;
  out->unswept_bytes = atomic_load_relaxed(&heap->unswept_pages) << PAGE_SHIFT;
  out->alloc_bytes += heap_claimed_locked(heap);
  lock_release(&heap->lock);
}

bool alm_heap_check(struct alm_mutator *m) {
  if (!world_owns(m, "alm_heap_check")) {
    return false;
  }
  world_enter();
  bool ok = cycle_check(m);
  world_leave(m);
  return ok;
}
