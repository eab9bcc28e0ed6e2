/* gc/roots.h -- where marking starts.
 *
 * WHAT    Stacks of threads and coroutines, registered ranges, root callbacks,
 *         handles.
 * HOW     Handles are words in blocks of 127, taken from a free list through
 *         the words themselves: a free one holds the next free one's address
 *         with bit 0 set, which is no object.
 * LOCKS   RANK_HEAP inside; none for roots_visit (world stopped).
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
/* Report all of them to the marker. World stopped. */
ALM_INTERNAL void roots_visit(struct alm_heap *h, struct marker *m,
                              struct roots_seen *seen);
/* The heap is destroyed. */
ALM_INTERNAL void roots_drop(struct alm_heap *h);

#endif
