/* os/lock.h -- futex mutex with ranks.
 *
 * WHAT    A mutex of four bytes. Debug builds check that a thread acquires
 *         locks in the order of enum lock_rank, and hold-checks work.
 * HOW     0 free, 1 held, 2 held and somebody sleeps. Acquire spins a
 *         little, then sleeps; the owner of state 2 wakes one on release.
 *         A thread that is stopped in a signal handler must hold no lock and
 *         be amid no change that others rely on. So each thread counts the
 *         locks it holds or waits for and the *sections* it is in; a handler
 *         of the same thread reads the count.
 * ORDER   acquire: CAS or exchange with acquire; release: exchange with
 *         release. They pair with each other, nothing else reads the word.
 * SOURCE  The three-state mutex of U. Drepper, "Futexes are tricky", 2011.
 */
#ifndef ALM_OS_LOCK_H
#define ALM_OS_LOCK_H

#include "base/atomic.h"

/* Acquire only upwards. Centrals share a rank and are taken by class. */
enum lock_rank {
  RANK_HEAPS = 1, /* the list of collected heaps                   */
  RANK_HEAP,      /* one collected heap                            */
  RANK_WORK,      /* the full mark buffers of one                  */
  RANK_REGISTRY,  /* the list of caches                            */
  RANK_SHARED,    /* the cache of threads without one              */
  RANK_CACHE,     /* a cache's slow half                           */
  RANK_CENTRAL,   /* one size class, by ascending class            */
  RANK_SCAVENGE,  /* one releasing at a time                       */
  RANK_PAGEHEAP,  /* page bitmaps, summaries                       */
  RANK_MAPS,      /* page -> span, and the account of spans        */
  RANK_MARKS,     /* how far mark bits are ready                   */
  RANK_META,      /* storage of our own structs                    */
  RANK_COUNT
};

struct lock {
  uint32_t state;
  uint16_t rank;     /* enum lock_rank; constant                        */
  uint16_t subclass; /* order among locks of one rank; constant         */
};

#define LOCK_INIT(rank)                                                        \
  { 0, rank, 0 }

/* Locks and sections of the thread; its own handlers read it. */
ALM_INTERNAL_DATA ALM_TLS unsigned lock_nesting;

/* Between the two the thread does not stop in a signal handler. They nest. */
ALM_INLINE void lock_section_begin(void) {
  atomic_store_relaxed(&lock_nesting, lock_nesting + 1);
  atomic_signal_order();
}
ALM_INLINE void lock_section_end(void) {
  atomic_signal_order();
  atomic_store_relaxed(&lock_nesting, lock_nesting - 1);
}

ALM_INTERNAL void lock_acquire(struct lock *l);
/* True: acquired. Never waits. */
ALM_INTERNAL bool lock_try(struct lock *l);
/* With patience, but not for ever: the holder may be what a signal handler
 * interrupted that has called exit(). False: not acquired. */
ALM_INTERNAL bool lock_try_patiently(struct lock *l);
ALM_INTERNAL void lock_release(struct lock *l);
/* In a forked child: the lock was held by the forking thread; now free. */
ALM_INTERNAL void lock_reset_after_fork(struct lock *l);
/* Debug: abort unless the calling thread holds l. */
ALM_INTERNAL void lock_assert_held(const struct lock *l);

#endif
