/* api/core.c -- the table of almacen_core.h: what a face calls the core by.
 *
 * WHAT    One function an entry, most of them a call of what the native
 *         functions call too; storage for the face's own records.
 * LOCKS   as almacen_core.h says; none is held on entry.
 */
#include "almacen_core.h"

#include "background.h"
#include "collector.h"
#include "gc/local.h"
#include "gc/mark.h"
#include "gc/sweep.h"
#include "gc/world.h"
#include "mem/memstat.h"
#include "mem/metaalloc.h"
#include "mem/pageheap.h"
#include "os/os.h"

#include <string.h>

/* ---- heaps and threads --------------------------------------------------- */

static enum alm_err core_heap_create(const struct alm_heap_options *options,
                                     const struct alm_face *face,
                                     struct alm_heap **out) {
  struct alm_heap_options own = *options;
  own.contract = ALM_UNCOOPERATIVE;
  own.check = ALM_TORTURE ? 2 : ALM_DEBUG; /* at every cycle */
  return collector_create_heap(&own, face, out);
}

static void core_set_stack(struct alm_mutator *m, void *low, void *high) {
  lock_acquire(&m->heap->lock);
  m->own.low = (uintptr_t)low;
  m->own.high = (uintptr_t)high;
  m->own.head.pointer = high;
  lock_release(&m->heap->lock);
}

static void core_get_stack(const struct alm_mutator *m, void **low,
                           void **high) {
  *low = (void *)m->own.low;
  *high = (void *)m->own.high;
}

static bool core_blocked_begin(struct alm_mutator *m, const void *top) {
  bool is_running = m->state == MUTATOR_RUNNING;
  if (is_running) {
    world_blocked_begin(m, top);
  }
  return is_running;
}

static void core_blocked_end(struct alm_mutator *m) {
  if (m->state == MUTATOR_BLOCKED) {
    world_blocked_end(m);
  }
}

static void *core_stopped_at(const struct alm_mutator *m) {
  return (void *)m->saved.pointer;
}

static bool core_in_section(void) {
  return lock_nesting != 0;
}

static void core_section_begin(void) {
  world_enter();
}

static void core_section_end(struct alm_mutator *m) {
  if (m != NULL) {
    world_leave(m);
  } else {
    lock_section_end();
  }
}

/* ---- objects ------------------------------------------------------------- */

static uint32_t core_layouts(struct alm_heap *heap, enum alm_kind kind,
                             alm_core_trace trace, void *arg, bool is_root) {
  if (trace == NULL && !is_root) {
    return kind == ALM_NOSCAN ? LAYOUT_NOSCAN : LAYOUT_CONSERVATIVE;
  }
  return heap_add_layouts(heap, kind, trace, arg, is_root);
}

static unsigned core_size_class(size_t bytes, uint32_t *slot_bytes) {
  unsigned class = sizeclass_for(max_size(bytes, 16));
  *slot_bytes = sizeclasses[class].object_bytes;
  return class;
}

static void *core_take(struct alm_mutator *m, uint32_t index) {
  return collector_take_of(m, index, "GC_malloc");
}

static ALM_HOT bool core_next_run(struct alm_mutator *m, uint32_t index) {
  world_enter();
  bool ok = local_continue(m, index);
  world_leave(m);
  return ok;
}

static void *core_take_large(struct alm_mutator *m, uint32_t layouts,
                             size_t bytes, bool is_zero) {
  const struct layout *l = &m->heap->layouts[layouts];
  if (bytes > PTRDIFF_MAX - PAGE_BYTES) {
    return NULL;
  }
  return collector_large_of(m, (enum alm_kind)l->kind, l->type,
                            align_up(bytes, PAGE_BYTES), l->is_root, is_zero,
                            "GC_malloc");
}

static void core_describe(const struct found *f, struct alm_core_object *out) {
  const struct collected *c = f->c;
  out->base = (char *)found_object(f);
  out->bytes = c->object_bytes;
  out->slot_bytes =
      c->layout ? c->layout->slot_bytes : c->span.npages << PAGE_SHIFT;
  out->kind = (enum alm_kind)c->kind;
  out->is_root = c->is_root;
  out->is_swept = atomic_load_acquire(&c->sweepgen) ==
                  atomic_load_relaxed(&c->heap->sweepgen);
  out->arg = c->type != NULL ? c->type->core_arg : NULL;
}

static bool core_find(struct alm_heap *heap, const void *p,
                      struct alm_core_object *out) {
  struct found f;
  lock_section_begin(); /* the span does not go meanwhile */
  bool ok = heap_find(heap, (uintptr_t)p, &f);
  if (ok) {
    core_describe(&f, out);
    ok = heap_find(heap, (uintptr_t)p, &f); /* is_swept: by the bits since */
  }
  lock_section_end();
  return ok;
}

static bool core_grow_large(struct alm_heap *heap, void *p, size_t bytes,
                            bool is_zero) {
  struct found f;
  lock_section_begin();
  bool ok = bytes < PTRDIFF_MAX - PAGE_BYTES &&
            heap_find_start(heap, p, &f) == ALM_OK && f.c->layout == NULL &&
            heap_grow_large(heap, f.c, bytes, is_zero);
  lock_section_end();
  return ok;
}

static void core_del(struct alm_heap *heap, struct alm_mutator *m, void *p) {
  struct found f;
  lock_section_begin();
  if (heap_find_start(heap, p, &f) == ALM_OK) {
    if (m != NULL) {
      local_free(m, &f);
    } else {
      sweep_free_object(heap, &f);
    }
  }
  lock_section_end();
}

/* ---- collections --------------------------------------------------------- */

static enum alm_err core_collect(struct alm_mutator *m) {
  world_enter();
  enum cycle_result r = collector_collect(m);
  world_leave(m);
  return r == CYCLE_DONE ? ALM_OK : r == CYCLE_OTHER ? ALM_EBUSY : ALM_ENOMEM;
}

static void core_sweep(struct alm_mutator *m) {
  world_enter();
  sweep_finish(m->heap);
  world_leave(m);
  background_poke();
}

static void core_set_limit(struct alm_heap *heap, uint64_t bytes) {
  lock_acquire(&heap->lock);
  heap->limit_bytes = bytes;
  lock_release(&heap->lock);
}

static void core_set_percent(struct alm_heap *heap, unsigned percent) {
  lock_acquire(&heap->lock);
  heap->options.gc_percent = percent;
  lock_release(&heap->lock);
}

static void core_set_base_only(struct alm_heap *heap, bool is_base_only) {
  lock_acquire(&heap->lock);
  heap->options.base_pointers_only = is_base_only;
  heap->is_base_only = is_base_only;
  lock_release(&heap->lock);
}

static void core_set_first(struct alm_heap *heap, uint64_t bytes) {
  lock_acquire(&heap->lock);
  heap->options.first_bytes = bytes;
  if (bytes > atomic_load_relaxed(&heap->goal)) {
    atomic_store_relaxed(&heap->goal, bytes);
  }
  lock_release(&heap->lock);
}

static void core_add_displacement(struct alm_heap *heap, size_t bytes) {
  (void)alm_displacement_add(heap, bytes);
}

static bool core_is_displacement(struct alm_heap *heap, size_t bytes) {
  return heap_is_displacement(heap, bytes);
}

static bool core_world_stop(struct alm_mutator *m) {
  world_enter();
  bool ok = cycle_stop_world(m);
  if (!ok) {
    world_leave(m);
  }
  return ok;
}

static void core_world_start(struct alm_mutator *m) {
  world_start(m);
  world_leave(m);
}

/* In a run of a mutator that has stopped: nobody has it. */
static bool core_is_in_run(const struct collected *c, uintptr_t slot) {
  struct alm_heap *h = c->heap;
  if (c->layout == NULL) {
    return false;
  }
  size_t index = (size_t)(c->layout - h->layouts);
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    const struct alm_run *run = &m->head.runs[index];
    if (slot - (uintptr_t)run->next <
        (uintptr_t)run->end - (uintptr_t)run->next) {
      return true;
    }
  }
  return false;
}

struct core_visit {
  void (*seen)(const struct alm_core_object *o, void *arg);
  void *arg;
};

static void core_visit_span(struct collected *c, void *arg) {
  struct core_visit *v = arg;
  bool is_swept = c->sweepgen == c->heap->sweepgen;
  size_t step = c->layout != NULL ? c->layout->slot_bytes : 0;
  for (unsigned i = 0; i < c->span.nslots; i++) {
    struct alm_core_object o;
    struct found f;
    uintptr_t slot = c->span.base + i * step;
    if ((is_swept || marks_test(slot)) && !core_is_in_run(c, slot) &&
        heap_find(c->heap, slot + c->header_bytes, &f)) {
      core_describe(&f, &o);
      v->seen(&o, v->arg);
    }
  }
}

static void core_world_visit(struct alm_heap *heap,
                             void (*seen)(const struct alm_core_object *o,
                                          void *arg),
                             void *arg) {
  struct core_visit v = {seen, arg};
  heap_visit_spans(heap, core_visit_span, &v);
}

static void core_stats(struct alm_heap *heap, struct alm_heap_stats *out,
                       struct alm_core_stats *more) {
  alm_heap_stats_read(heap, out);
  lock_acquire(&heap->lock);
  more->since_bytes = heap_allocated_locked(heap);
  lock_release(&heap->lock);
  more->deleted_bytes = atomic_load_relaxed(&heap->deleted);
  more->mapped_bytes_max = atomic_load_relaxed(&memstat->heap_mapped_max);
  more->markers = heap->options.markers ? heap->options.markers
                                        : (unsigned)min_size(os_cpus(), 8);
}

/* ---- marking ------------------------------------------------------------- */

static void core_mark_range(struct alm_marker *m, const void *from,
                            size_t bytes, bool is_base_only) {
  mark_range_of(mark_of_face(m), from, bytes, is_base_only);
}

static void core_mark_contents(struct alm_marker *m, void *object) {
  mark_contents(mark_of_face(m), object);
}

static void core_mark_drain(struct alm_marker *m) {
  mark_drain(mark_heap(mark_of_face(m)));
}

static bool core_is_marked(const void *object) {
  return marks_test((uintptr_t)object);
}

static void core_set_mark(const void *object, bool is_marked) {
  if (is_marked) {
    (void)marks_set((uintptr_t)object, false);
  } else {
    marks_clear((uintptr_t)object);
  }
}

/* ---- records of the face ------------------------------------------------- */

#define CORE_POOL(bytes)                                                       \
  { bytes, NULL }
/* By powers of two, from 16 bytes on. */
static struct meta_pool core_pools[] = {
    CORE_POOL(16),  CORE_POOL(32),  CORE_POOL(64),   CORE_POOL(128),
    CORE_POOL(256), CORE_POOL(512), CORE_POOL(1024), CORE_POOL(2048)};
enum { CORE_POOLS = sizeof core_pools / sizeof core_pools[0] };

static struct meta_pool *core_pool(size_t bytes) {
  unsigned i = 0;
  while (i < CORE_POOLS && core_pools[i].bytes < bytes) {
    i++;
  }
  return i < CORE_POOLS ? &core_pools[i] : NULL;
}

static void *core_meta_alloc(size_t bytes) {
  struct meta_pool *pool = core_pool(bytes);
  if (pool == NULL) {
    return os_alloc(bytes, "almacen: face");
  }
  void *p = meta_take(pool);
  if (p != NULL) {
    memset(p, 0, pool->bytes);
  }
  return p;
}

static void core_meta_free(void *p, size_t bytes) {
  struct meta_pool *pool = core_pool(bytes);
  if (pool != NULL) {
    meta_return(pool, p);
  } else {
    os_unreserve(p, bytes);
  }
}

const struct alm_core_table alm_core = {
    .bytes = sizeof(struct alm_core_table),
    .version = ALM_VERSION,
    .heap_create = core_heap_create,
    .attach = alm_mutator_attach,
    .detach = world_detach,
    .set_stack = core_set_stack,
    .get_stack = core_get_stack,
    .blocked_begin = core_blocked_begin,
    .blocked_end = core_blocked_end,
    .stopped_at = core_stopped_at,
    .section_begin = core_section_begin,
    .section_end = core_section_end,
    .in_section = core_in_section,
    .layouts = core_layouts,
    .size_class = core_size_class,
    .take = core_take,
    .next_run = core_next_run,
    .take_large = core_take_large,
    .find = core_find,
    .grow_large = core_grow_large,
    .del = core_del,
    .collect = core_collect,
    .sweep = core_sweep,
    .set_limit = core_set_limit,
    .set_percent = core_set_percent,
    .set_base_only = core_set_base_only,
    .set_first = core_set_first,
    .add_displacement = core_add_displacement,
    .is_displacement = core_is_displacement,
    .world_stop = core_world_stop,
    .world_start = core_world_start,
    .world_visit = core_world_visit,
    .stats = core_stats,
    .release = alm_release_memory,
    .mark_range = core_mark_range,
    .mark_contents = core_mark_contents,
    .mark_drain = core_mark_drain,
    .is_marked = core_is_marked,
    .set_mark = core_set_mark,
    .meta_alloc = core_meta_alloc,
    .meta_free = core_meta_free,
};
