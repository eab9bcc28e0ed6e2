/* gc/cycle.h -- a collection, from start to end.
 *
 * WHAT    A collection is a walk through the table cycle_steps: each row has a
 *         phase, what runs in it, whether the world is stopped by then, and
 *         the phase that follows.
 *
 *     claim -> prepare -> stop -> end sweep -> mark -> check -> specials
 *       |                   | no memory                            |
 *       v                   +------> start <------ end mark <------+
 *      off: another collects           +---> after -> off
 *
 * LOCKS   none held on entry. One collection of a heap at a time.
 * SOURCE  Go mgc.go. Differs: marking stops the world.
 */
#ifndef ALM_GC_CYCLE_H
#define ALM_GC_CYCLE_H

#include "heap.h"
#include "os/os.h"

enum cycle_result {
  CYCLE_DONE,
  CYCLE_OTHER, /* another thread was at it, and has finished */
  CYCLE_NOMEM  /* no memory to begin                         */
};

/* A whole collection by this mutator's thread. */
ALM_INTERNAL enum cycle_result cycle_collect(struct alm_mutator *m);

/* Is it time, before `bytes` are allocated? A large object may find that it is
 * before the goal, but not when little was allocated since the last time. */
ALM_INLINE bool cycle_is_due(const struct alm_heap *h, size_t bytes) {
  uint64_t allocated = atomic_load_relaxed(&h->allocated);
  uint64_t live = atomic_load_relaxed(&h->stats.live_bytes);
  uint64_t goal = atomic_load_relaxed(&h->goal);
  return live + allocated >= goal ||
         (live + allocated + bytes > goal && allocated >= (goal - live) / 2);
}

/* Was nothing collected for the heap's period, though something was allocated?
 * Some loads and the coarse clock. */
ALM_INLINE bool cycle_is_overdue(const struct alm_heap *h) {
  uint64_t last = atomic_load_relaxed(&h->collected_ns), now;
  return h->period_ns != 0 && atomic_load_relaxed(&h->allocated) != 0 &&
         (now = os_coarse_ns()) > last && now - last >= h->period_ns;
}

/* A whole collection by a guest, if no mutator runs; otherwise they are asked
 * to come to alm_safepoint, where they look whether it is overdue. */
ALM_INTERNAL enum cycle_result cycle_collect_as_guest(struct alm_heap *h);

/* Stop the heap as for a collection, with all spans in the heap's hands. False:
 * another thread is at it. Ends with world_start. */
ALM_INTERNAL bool cycle_stop_world(struct alm_mutator *m);

/* Stop the heap and check everything. */
ALM_INTERNAL bool cycle_check(struct alm_mutator *m);

/* A heap with all that belongs to it; NULL: no memory. */
ALM_INTERNAL struct alm_heap *cycle_open(const struct alm_heap_options *o,
                                         const struct alm_face *face);
/* No mutator is attached. */
ALM_INTERNAL void cycle_close(struct alm_heap *h);

#endif
