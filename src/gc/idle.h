/* gc/idle.h -- what is done for collected heaps while their mutators do
 * something else, or nothing.
 *
 * WHAT    Sweeping ahead, heap by heap; collecting heaps whose period is over
 *         while nobody is at work in them. For the library's background
 *         thread; any thread that is no mutator may call it.
 * HOW     As a guest of the heap (world.h): found in the list of heaps while
 *         that is locked, entered before it is released. So a heap is neither
 *         destroyed nor collected while it is swept here.
 * LOCKS   RANK_HEAPS, RANK_HEAP inside; none held while sweeping.
 * COST    Sweeping: as much time as the caller gives.
 * SOURCE  Go mgcsweep.go bgsweep. Differs: a budget of time instead of the
 *         scheduler's idle priority. proc.go forcegchelper.
 */
#ifndef ALM_GC_IDLE_H
#define ALM_GC_IDLE_H

#include "heap.h"

/* Sweep for about budget_ns. False: there was nothing to sweep. */
ALM_INTERNAL bool idle_sweep(uint64_t budget_ns);
/* Collect what is overdue, or ask the heap's mutators to. False: nothing was
 * collected here. */
ALM_INTERNAL bool idle_collect(void);
/* The shortest period of all heaps; 0: there is none. */
ALM_INTERNAL uint64_t idle_period_ns(void);
/* Bytes of spans that are not swept, in all heaps. */
ALM_INTERNAL uint64_t idle_unswept_bytes(void);

/* How many bytes of free pages the heaps will take again soon: each that has
 * allocated within the last patience_ns grows to its goal and somewhat beyond.
 * By one thread, again and again. */
ALM_INTERNAL uint64_t idle_retained_bytes(uint64_t now_ns,
                                          uint64_t patience_ns);

#endif
