/* gc/local.h -- what a mutator takes from the heap for itself.
 *
 * WHAT    Runs of zeroed slots, one per layout, claimed from an owned span;
 *         large objects; giving all of it up when the world stops.
 * HOW     Slots are claimed from the free bits a word at a time; consecutive
 *         ones become a run, which is zeroed at once unless the pages are
 *         known to be zero. Allocation then bumps a pointer and writes
 *         nothing. Bytes are accounted for when KiB of runs were claimed.
 * INVARIANTS
 *   [local.1] Every slot of a run reads as zero (arrays: the header word is
 *             written when the slot is handed out).
 *   [local.2] A thread that was stopped by a signal may be amid the bump of a
 *             pointer. So in an uncooperative heap runs, and the block of
 *             tiny objects, stay as they are when the world stops: their
 *             slots count as marked, and the span is swept with them in use.
 *   [local.3] Slots that a thread has freed become its next runs. They count as
 *             in use until a collection, or another walk over the heap, has
 *             given them back to their spans.
 * LOCKS   none held on entry. The own thread only, but for local_flush.
 * SOURCE  Go mcache.go; runs instead of freeindex and allocCache.
 */
#ifndef ALM_GC_LOCAL_H
#define ALM_GC_LOCAL_H

#include "heap.h"

/* Bring the heap's account of what was allocated up to date. The own thread, or
 * world stopped. */
ALM_INTERNAL void local_account(struct alm_mutator *m);
/* The next run of slots that are freed or claimed already, if there is one and
 * nothing else is due: whether to collect, to sweep or to stop is asked again after a
 * few KiB. In a heap with holes most runs are short. */
ALM_INTERNAL bool local_continue(struct alm_mutator *m, unsigned index);
/* After true the layout's run is not empty. False: no memory; see
 * sweep_take_span. */
ALM_INTERNAL bool local_refill(struct alm_mutator *m, unsigned index);

/* Free an object of the heap now, which has no special: to the mutator's list,
 * or, if that is full or it is a large one, to its span. */
ALM_INTERNAL void local_free(struct alm_mutator *m, const struct found *f);

/* A large object, zeroed unless !is_zero; NULL as above. */
ALM_INTERNAL void *local_new_large(struct alm_mutator *m, enum alm_kind kind,
                                   const struct alm_type *type, size_t bytes,
                                   bool is_root, bool is_zero);

/* Give back what it has freed. World stopped, and no mutator's spans were given
 * back before: their counts are not true then. Or the own thread. */
ALM_INTERNAL void local_return_freed(struct alm_mutator *m);
/* Give back runs and the block of tiny objects (but see [local.2]), claims and
 * spans. World stopped; not filing: everything is swept again now. */
ALM_INTERNAL void local_flush_stopped(struct alm_mutator *m, bool is_filing);
/* The own thread: all of it, runs as well. */
ALM_INTERNAL void local_flush(struct alm_mutator *m);
/* Mark what runs and the block have left. While marking. */
ALM_INTERNAL void local_mark_runs(const struct alm_mutator *m);

#endif
