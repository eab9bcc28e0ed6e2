/* gc/roots.h -- where marking starts.
 *
 * WHAT    Stacks of threads and coroutines, registered ranges, root callbacks,
 *         handles.
 * HOW     Handles are words in blocks of 126, taken from a free list through
 *         the words themselves: a free one holds the next free one's address
 *         with bit 0 set, which is no object.
 *         Markers take the roots in shards: a stack, 256 KiB of a range, a
 *         callback, a block of handles; a cursor goes through the lists. Which
 *         stacks threads run on is known when all mutators have been taken.
 * LOCKS   RANK_HEAP inside, held to take a shard, not to mark it. So a root is
 *         not removed while the world stands.
 * SOURCE  Go mgcmark.go markroot (shards).
 */
#ifndef ALM_GC_ROOTS_H
#define ALM_GC_ROOTS_H

#include "heap.h"
#include "mem/misuse.h"

struct alm_handle {
  uintptr_t word; /* an object, or 1 + the next free handle; relaxed */
};

/* See the public functions. Ranges: words. False: no memory. */
ALM_INTERNAL bool roots_add(struct alm_heap *h, const void *start,
                            size_t bytes);
/* False: there is no such range. */
ALM_INTERNAL bool roots_remove(struct alm_heap *h, const void *start);
ALM_INTERNAL bool roots_add_callback(struct alm_heap *h, alm_root_trace trace,
                                     void *arg);
ALM_INTERNAL struct alm_handle *roots_take_handle(struct alm_heap *h,
                                                  void *object);
ALM_INTERNAL void roots_return_handle(struct alm_heap *h,
                                      struct alm_handle *handle);
ALM_INTERNAL struct alm_stack *roots_add_stack(struct alm_heap *h,
                                               const void *low, size_t bytes);
/* False: a thread runs on it. */
ALM_INTERNAL bool roots_remove_stack(struct alm_heap *h, struct alm_stack *s);

struct roots_seen {
  size_t stack_bytes; /* scanned: used parts of stacks, and registers         */
  size_t root_bytes;  /* scanned: ranges and handles                          */
  struct misuse bad;  /* a stack without a sensible pointer, which could not
                         be visited; else left alone                          */
};
/* World stopped: from the first one on. *seen lives until there is none. */
ALM_INTERNAL void roots_begin(struct alm_heap *h, struct roots_seen *seen);
/* Report the next shard to the marker; any marker. False: there is none. */
ALM_INTERNAL bool roots_mark_next(struct alm_heap *h, struct marker *m);
/* The heap is destroyed. */
ALM_INTERNAL void roots_drop(struct alm_heap *h);

#endif
