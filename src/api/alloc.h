/* api/alloc.h -- the fast halves of malloc and free, and their slow ones.
 *
 * WHAT    Inline: pop the list or bump the run; find the class by a table,
 *         push. Everything else is in alloc.c.
 * HOW     free computes the pointer's offset in its span from the page's tag
 *         alone, so one multiplication tells an object's start from its
 *         inside; large objects, foreign pointers and threads without a
 *         cache fail the same comparison, so the fast path has no test for
 *         them.
 * LOCKS   none held on entry.
 * COST    malloc 21 instructions to 1 KiB, free 35 (x86-64, gcc -O2,
 *         counted by valgrind).
 */
#ifndef ALM_API_ALLOC_H
#define ALM_API_ALLOC_H

#include "mem/arena.h"
#include "process.h"

/* How alloc_realloc got there. */
enum alloc_move { ALLOC_IN_PLACE, ALLOC_MOVED, ALLOC_REMAPPED };

/* Any size; NULL when memory is out or size > PTRDIFF_MAX. */
ALM_INTERNAL void *alloc_malloc_slow(size_t size);
ALM_INTERNAL void *alloc_calloc(size_t size);
/* align is a power of two. */
ALM_INTERNAL void *alloc_aligned(size_t align, size_t size);
/* p is not NULL, size is not 0. NULL also for a pointer that was reported. */
ALM_INTERNAL void *alloc_realloc(void *p, size_t size, const char *call);
/* `call` is named in reports. Any pointer. */
ALM_INTERNAL void alloc_free_slow(void *p, const char *call);
ALM_INTERNAL void alloc_free_overflow(struct cache *cache, unsigned class);
/* 0: not the start of an object (reported under `call`). p is not NULL. */
ALM_INTERNAL size_t alloc_usable_size(const void *p, const char *call);

/* An object of the class from the list or the run; NULL: neither has one.
 * *is_zero: it is known to read as zero. */
ALM_INLINE void *alloc_pop(struct bin *bin, bool *is_zero) {
  void *p = bin->list;
  *is_zero = false;
  if (likely(p != NULL)) {
    bin->list = *(void **)p;
  } else {
    p = bin->run;
    if (unlikely(p == bin->run_end)) {
      return NULL;
    }
    bin->run += bin->object_bytes;
    *is_zero = bin->run_is_zero;
  }
  atomic_store_relaxed(&bin->allocs, bin->allocs + 1);
  return p;
}

ALM_INLINE void *alloc_malloc(size_t size) {
  if (likely(size <= SMALL_BYTES_MAX)) {
    bool is_zero;
    unsigned class = sizeclass_for(size);
    void *p = alloc_pop(&thread_cache->bins[class], &is_zero);
    if (likely(p != NULL)) {
      return p;
    }
  }
  return alloc_malloc_slow(size);
}

ALM_INLINE void alloc_free(void *p, const char *call) {
  size_t offset = (uintptr_t)p - heap_map.base;
  size_t page = offset >> PAGE_SHIFT;
  if (unlikely(page >= atomic_load_relaxed(&heap_map.npages))) {
    alloc_free_slow(p, call);
    return;
  }
  unsigned tag = arena_tag(page);
  unsigned class = PAGE_TAG_CLASS(tag);
  struct cache *cache = thread_cache;
  struct bin *bin = &cache->bins[class];
  size_t in_span = PAGE_TAG_OFFSET(tag) | (offset % PAGE_BYTES);
  if (unlikely(!sizeclass_is_slot_start(bin->magic, in_span)) ||
      unlikely(p == bin->list)) {
    alloc_free_slow(p, call);
    return;
  }
  *(void **)p = bin->list;
  bin->list = p;
  atomic_store_relaxed(&bin->frees, bin->frees + 1);
  if (unlikely(bin->frees == bin->frees_limit)) {
    alloc_free_overflow(cache, class);
  }
}

#endif
