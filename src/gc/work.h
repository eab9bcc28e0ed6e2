/* gc/work.h -- what is marked and not yet scanned, shared by markers.
 *
 * WHAT    Buffers of objects; a list of full ones; the end of marking.
 * HOW     A marker pushes to and pops from a buffer of its own; full buffers
 *         go to the list, and are taken from there by markers that have
 *         none. A marker that finds nothing looks out for a while, then
 *         sleeps; when all wait there is nothing left.
 * INVARIANTS
 *   [work.1] nidle == nmarkers only if the list is empty, and then for ever
 *            (until work_begin).
 *   [work.2] An object that finds no buffer (no memory) is not lost: the
 *            overflow flag makes marking go over all marked objects again.
 * LOCKS   RANK_WORK inside; RANK_META below it.
 * SOURCE  Go mgcwork.go, H.-J. Boehm's mark stack overflow.
 */
#ifndef ALM_GC_WORK_H
#define ALM_GC_WORK_H

#include "base/atomic.h"
#include "os/lock.h"

/* 4 KiB with the head. */
enum { WORK_ITEMS = ALM_TORTURE ? 6 : 510 };

struct work_buffer {
  struct work_buffer *next;
  size_t count;
  uintptr_t items[WORK_ITEMS];
};

struct work {
  struct lock lock;
  struct work_buffer *full; /* under the lock, read relaxed                */
  uint32_t nidle;           /* wait in work_take; under the lock, read
                               relaxed                                     */
  uint32_t nasleep;         /* of these; under the lock                    */
  uint32_t nmarkers;        /* constant while marking                      */
  uint32_t event;           /* futex: changes when there is work or an end */
  bool has_overflowed;      /* any marker, relaxed                         */
};

/* So many threads will call work_take; none does now. What was given before
 * is there for them. A new struct work is zero but for its lock. */
ALM_INTERNAL void work_begin(struct work *w, unsigned nmarkers);
/* NULL: no memory, and the flag is set. */
ALM_INTERNAL struct work_buffer *work_take_empty(struct work *w);
ALM_INTERNAL void work_return_empty(struct work_buffer *b);
ALM_INTERNAL void work_give(struct work *w, struct work_buffer *full);
/* A full buffer; waits for one. NULL: marking is over. */
ALM_INTERNAL struct work_buffer *work_take(struct work *w);
/* Is another marker waiting, with nothing there for it? */
ALM_INLINE bool work_is_wanted(const struct work *w) {
  return atomic_load_relaxed(&w->nidle) > 0 &&
         atomic_load_relaxed(&w->full) == NULL;
}

#endif
