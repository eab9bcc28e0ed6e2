/* mem/memstat.c -- see memstat.h. */
#include "memstat.h"

static struct alm_stats memstat_static;
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

uint64_t memstat_live_bytes(void) {
  uint64_t allocated = 0, freed = 0;
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    struct alm_class_stats *c = &memstat->classes[i];
    allocated += atomic_load_relaxed(&c->alloc_bytes);
    allocated += atomic_load_relaxed(&c->inherited) *
                 atomic_load_relaxed(&c->object_bytes);
    freed += atomic_load_relaxed(&c->free_bytes);
  }
  /* counters of different moments: free may be seen before its malloc */
  return allocated > freed ? allocated - freed : 0;
}

void memstat_move(struct alm_stats *to) {
  *to = *memstat;
  memstat = to;
}

void memstat_restart(void) {
  struct alm_stats *s = memstat;
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    struct alm_class_stats *c = &s->classes[i];
    c->inherited += c->allocs - c->frees;
    c->allocs = c->frees = c->alloc_bytes = c->free_bytes = 0;
    c->spans_max = c->spans;
  }
  s->heap_inuse_max = s->heap_inuse;
  s->heap_mapped_max = s->heap_mapped;
  s->live_at_max = memstat_live_bytes();
  s->released = s->realloc_inplace = s->realloc_moved = 0;
  s->realloc_remapped = 0;
  s->threads = 1;
}
