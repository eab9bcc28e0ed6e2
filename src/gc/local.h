/* gc/local.h -- what a mutator takes from the heap for itself.
 *
 * WHAT    Runs of zeroed slots, one per layout, claimed from an owned span;
 *         large objects; giving all of it up when the world stops.
 * HOW     Slots are claimed from the free bits a word at a time; consecutive
 *         ones become a run, which is zeroed at once unless the pages are
 *         known to be zero. Allocation then bumps a pointer and writes
 *         nothing. Bytes are accounted when a run is claimed.
 * INVARIANTS
 *   [local.1] Every slot of a run reads as zero (arrays: the header word is
 *             written when the slot is handed out).
 *   [local.2] A thread that was stopped by a signal may be amid the bump of a
 *             pointer. So in an uncooperative heap runs, and the block of
 *             tiny objects, stay as they are when the world stops: their
 *             slots count as marked, and the span is swept with them in use.
 * LOCKS   none held on entry. The own thread only, but for local_flush.
 * SOURCE  Go mcache.go; runs instead of freeindex and allocCache.
 */
#ifndef ALM_GC_LOCAL_H
#define ALM_GC_LOCAL_H

#include "heap.h"

/* The next run of slots that are claimed already, if there is one and nothing
 * else is due: whether to collect, to sweep or to stop is asked again after a
 * few KiB. In a heap with holes most runs are short. */
ALM_INTERNAL bool local_continue(struct alm_mutator *m, unsigned index);
/* After true the layout's run is not empty. False: no memory; see
 * sweep_take_span. */
ALM_INTERNAL bool local_refill(struct alm_mutator *m, unsigned index);

/* A large object, zeroed unless !is_zero; NULL as above. */
ALM_INTERNAL void *local_new_large(struct alm_mutator *m, enum alm_kind kind,
                                   const struct alm_type *type, size_t bytes,
                                   bool is_root, bool is_zero);

/* Give back runs and the block of tiny objects (but see [local.2]), claims and
 * spans. World stopped; not filing: everything is swept again now. */
ALM_INTERNAL void local_flush_stopped(struct alm_mutator *m, bool is_filing);
/* The own thread: all of it, runs as well. */
ALM_INTERNAL void local_flush(struct alm_mutator *m);
/* Mark what runs and the block have left. While marking. */
ALM_INTERNAL void local_mark_runs(const struct alm_mutator *m);

#endif
