/* mem/memstat.c -- see memstat.h. */
#include "memstat.h"

/* live_at_max is sampled when the peak has grown by this much, so that a
 * growing heap does not sum all classes at every span. */
enum { PEAK_STEP_SHIFT = 6, PEAK_STEP_BYTES_MIN = 1 << 16 };

static struct alm_stats memstat_static;
static uint64_t memstat_peak_sampled; /* heap_inuse then; relaxed */
static struct {
  uint64_t bytes, objects; /* over the heaps that exist; relaxed */
} memstat_live;
struct alm_stats *memstat = &memstat_static;

void memstat_publish(unsigned size_class, uint64_t allocs, uint64_t frees) {
  struct alm_class_stats *c = &memstat->classes[size_class];
  uint64_t object_bytes = atomic_load_relaxed(&c->object_bytes);
  if (allocs != 0) {
    memstat_add(&c->allocs, allocs);
    memstat_add(&c->alloc_bytes, allocs * object_bytes);
  }
  if (frees != 0) {
    memstat_add(&c->frees, frees);
    memstat_add(&c->free_bytes, frees * object_bytes);
  }
}

void memstat_publish_large(bool is_free, uint64_t bytes) {
  struct alm_class_stats *c = &memstat->classes[0];
  memstat_add(is_free ? &c->frees : &c->allocs, 1);
  memstat_add(is_free ? &c->free_bytes : &c->alloc_bytes, bytes);
}

void memstat_pause(uint64_t ns) {
  struct alm_gc_stats *gc = &memstat->gc;
  unsigned i = 0;
  while (i < ALM_PAUSE_COUNT - 1 && ns >= alm_pause_below_ns(i)) {
    i++;
  }
  memstat_add(&gc->pauses[i], 1);
  memstat_add(&gc->pause_ns, ns);
  memstat_raise(&gc->pause_ns_max, ns);
}

uint64_t memstat_pause_quantile(const struct alm_gc_stats *gc,
                                unsigned per_mille) {
  uint64_t all = 0, before = 0;
  for (unsigned i = 0; i < ALM_PAUSE_COUNT; i++) {
    all += gc->pauses[i];
  }
  if (all == 0) {
    return 0;
  }
  uint64_t rank = (all * (per_mille < 1000 ? per_mille : 1000) + 999) / 1000;
  rank += rank == 0;
  unsigned i = 0;
  while (i < ALM_PAUSE_COUNT - 1 && gc->pauses[i] < rank - before) {
    before += gc->pauses[i++];
  }
  if (i == ALM_PAUSE_COUNT - 1) {
    return gc->pause_ns_max;
  }
  uint64_t from_ns = i == 0 ? 0 : alm_pause_below_ns(i - 1);
  uint64_t range_ns = alm_pause_below_ns(i) - from_ns;
  uint64_t ns = from_ns + range_ns * (rank - before) / gc->pauses[i];
  return ns < gc->pause_ns_max ? ns : gc->pause_ns_max;
}

void memstat_live_change(uint64_t bytes, uint64_t objects) {
  memstat_add(&memstat_live.bytes, bytes);
  memstat_add(&memstat_live.objects, objects);
}

void memstat_live_show(void) {
  struct alm_gc_stats *gc = &memstat->gc;
  uint64_t bytes = atomic_load_relaxed(&memstat_live.bytes);
  atomic_store_relaxed(&gc->live_bytes, bytes);
  atomic_store_relaxed(&gc->live_objects,
                       atomic_load_relaxed(&memstat_live.objects));
  memstat_raise(&gc->live_bytes_max, bytes);
}

/* a - b, or 0: counters of different moments or threads, where a free may be
 * seen without its malloc. */
static uint64_t memstat_above(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

uint64_t memstat_live_bytes(void) {
  uint64_t allocated = 0, freed = 0;
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    struct alm_class_stats *c = &memstat->classes[i];
    allocated += atomic_load_relaxed(&c->alloc_bytes);
    allocated += atomic_load_relaxed(&c->inherited_bytes);
    freed += atomic_load_relaxed(&c->free_bytes);
  }
  allocated += atomic_load_relaxed(&memstat->gc.heap_bytes);
  return memstat_above(allocated, freed);
}

void memstat_sample_peak(uint64_t inuse, uint64_t more_live) {
  uint64_t live = memstat_live_bytes() + more_live;
  atomic_store_relaxed(&memstat_peak_sampled, inuse);
  atomic_store_relaxed(&memstat->live_at_max, live < inuse ? live : inuse);
}

void memstat_inuse_grew(uint64_t inuse, uint64_t more_live) {
  memstat_raise(&memstat->heap_inuse_max, inuse);
  uint64_t sampled = atomic_load_relaxed(&memstat_peak_sampled);
  if (inuse > sampled + (sampled >> PEAK_STEP_SHIFT) + PEAK_STEP_BYTES_MIN) {
    /* racing threads sample neighbouring moments; either will do */
    memstat_sample_peak(inuse, more_live);
  }
}

void memstat_copy(struct alm_stats *out) {
  const uint64_t *from = (const uint64_t *)(const void *)memstat;
  uint64_t *to = (uint64_t *)(void *)out;
  for (size_t i = 0; i < sizeof *out / sizeof *to; i++) {
    to[i] = atomic_load_relaxed(&from[i]);
  }
}

void memstat_move(struct alm_stats *to) {
  *to = *memstat;
  memstat = to;
}

static void memstat_restart_gc(struct alm_gc_stats *gc) {
  gc->heaps = gc->heaps_now;
  gc->collections = gc->pause_ns = gc->pause_ns_max = gc->cpu_ns = 0;
  gc->alloc_bytes = gc->finalizers_queued = gc->finalizers_run = 0;
  gc->heap_bytes_max = gc->heap_bytes;
  gc->live_bytes_max = gc->live_bytes;
  for (unsigned i = 0; i < ALM_PAUSE_COUNT; i++) {
    gc->pauses[i] = 0;
  }
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    gc->classes[i].bytes_max = gc->classes[i].bytes;
  }
}

void memstat_restart(void) {
  struct alm_stats *s = memstat;
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    struct alm_class_stats *c = &s->classes[i];
    c->inherited = memstat_above(c->inherited + c->allocs, c->frees);
    c->inherited_bytes =
        memstat_above(c->inherited_bytes + c->alloc_bytes, c->free_bytes);
    c->allocs = c->frees = c->alloc_bytes = c->free_bytes = 0;
    c->spans_max = c->spans;
  }
  s->heap_inuse_max = s->heap_inuse;
  s->heap_mapped_max = s->heap_mapped;
  memstat_sample_peak(s->heap_inuse, 0);
  s->released = s->realloc_inplace = s->realloc_moved = 0;
  s->realloc_remapped = 0;
  s->threads = 1;
  if (s->gc.heaps != 0) {
    memstat_restart_gc(&s->gc);
  }
}

STATIC_CHECK(sizeof(struct alm_stats) % sizeof(uint64_t) == 0);
