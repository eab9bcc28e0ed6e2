/* mem/metaalloc.h -- storage for our own structures, off the heap.
 *
 * WHAT    Permanent storage by bumping a pointer, and pools of fixed-size
 *         records on top of it. A record that is returned is reused for the
 *         same type only, so that a stale pointer to it stays readable.
 * INVARIANTS
 *   [meta.1] Memory once handed out is never given back to the OS.
 * LOCKS   RANK_META, inside. A pool is guarded by the same lock.
 * SOURCE  Go mfixalloc.go, persistentalloc.
 */
#ifndef ALM_MEM_METAALLOC_H
#define ALM_MEM_METAALLOC_H

#include "base/base.h"

/* A list of free records of one size. Zero-initialised but for `bytes`. */
struct meta_pool {
  size_t bytes; /* of one record, a multiple of 16; constant */
  void *free;   /* under RANK_META */
};

/* A record, contents undefined but for what its last user left; fresh ones
 * are zero. NULL when the OS refuses. Aligned to 64 if bytes % 64 == 0,
 * else to 16. */
ALM_INTERNAL void *meta_take(struct meta_pool *pool);
ALM_INTERNAL void meta_return(struct meta_pool *pool, void *record);

/* Zeroed memory that is nobody else's: records come from it first. Before a
 * second thread can allocate. */
ALM_INTERNAL void meta_donate(void *p, size_t bytes);

/* Around fork. */
ALM_INTERNAL void meta_fork_prepare(void);
ALM_INTERNAL void meta_fork_release(bool in_child);

#endif
