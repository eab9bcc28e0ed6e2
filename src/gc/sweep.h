/* gc/sweep.h -- mark bits become free bits.
 *
 * WHAT    Sweeping one span, some spans, or all of them; taking a span with
 *         free slots.
 * HOW     After marking nothing is swept. A mutator that needs a span sweeps
 *         those of its layout one after the other until one has free slots;
 *         before the heap takes new pages, others are swept too, in the hope
 *         of an empty one. Whoever allocates also sweeps in proportion, so
 *         that all is swept before the next cycle is due (pacer.h), and the
 *         library's thread sweeps meanwhile (idle.h); a cycle that comes
 *         earlier begins by sweeping what is left. Spans that are empty go
 *         back to the page heap at once.
 * INVARIANTS
 *   [sweep.1] A span is swept once per cycle: its sweeper takes it from the
 *             layout's cursor under the lock.
 *   [sweep.2] heap->unswept_pages counts the pages of spans whose sweepgen is
 *             the last one, less those in a sweeper's hands.
 *                                              checked: heap_check_stopped
 * LOCKS   RANK_HEAP inside. The bits are worked on without it.
 * COST    A few words of bitmap per span, and a step per slot; objects are
 *         not touched (but for the fill in debug builds).
 * SOURCE  Go mgcsweep.go, mcentral.go.
 */
#ifndef ALM_GC_SWEEP_H
#define ALM_GC_SWEEP_H

#include "heap.h"

/* Spans swept anywhere before the heap takes pages for a new one. */
enum { SWEEP_BEFORE_GROWTH = 16 };

/* An owned span of the layout with a free slot; NULL: memory is out or the
 * limit reached. No lock held. */
ALM_INTERNAL struct collected *sweep_take_span(struct alm_heap *h,
                                               struct layout *l);
/* Its owner, or who has swept it, is done with it. */
ALM_INTERNAL void sweep_return_span(struct collected *c);

/* Sweep up to `most` spans of any layout and all large objects when there are
 * some to sweep. False: everything was swept already. */
ALM_INTERNAL bool sweep_some(struct alm_heap *h, unsigned most);
/* Sweep one span or large object, if there is one to sweep. */
ALM_INTERNAL bool sweep_one(struct alm_heap *h);
/* `bytes` are about to be allocated: sweep what is due then. */
ALM_INTERNAL void sweep_pay(struct alm_heap *h, uint64_t bytes);
/* Sweep everything. */
ALM_INTERNAL void sweep_finish(struct alm_heap *h);

/* The world is stopped, marking is over: every span is to be swept. */
ALM_INTERNAL void sweep_begin_stopped(struct alm_heap *h);

/* In a forked child: no thread owns a span, none is being swept. */
ALM_INTERNAL void sweep_disown_locked(struct alm_heap *h);
/* But for this span, whose owner is the child's only thread. */
ALM_INTERNAL void sweep_own_again_locked(struct collected *c);

/* The slot's bit, in a span that may be anyone's. */
ALM_INTERNAL void sweep_free_slot(struct alm_heap *h, const struct found *f);
/* Free an object of the heap now, which has no special. */
ALM_INTERNAL void sweep_free_object(struct alm_heap *h, const struct found *f);

#endif
