/* mem/arena.h -- the heap's addresses, and what is known per page.
 *
 * WHAT    One reserved region; every table about it lies in a second
 *         reservation at a computed place, so "is it ours" is a subtraction
 *         and a compare, and "which span" is one load more.
 * HOW     The region grows from its base by whole chunks; tables become
 *         ready an arena (64 MiB) ahead. Nothing is ever taken back here.
 * INVARIANTS
 *   [arena.1] heap_map.base is constant after arena_init.
 *   [arena.2] For every page below heap_map.npages all tables are ready.
 *             npages is stored (release) after that and only grows.
 * LOCKS   arena_extend: the page heap's lock.
 * SOURCE  Go malloc.go's arenas. Differs: one region, no hints, no radix map
 *         of arenas.
 */
#ifndef ALM_MEM_ARENA_H
#define ALM_MEM_ARENA_H

#include "base/atomic.h"
#include "base/base.h"

struct span;

/* Read on every free. One cache line. */
struct heap_map {
  uintptr_t base;      /* [arena.1]; 0 before arena_init                   */
  size_t npages;       /* [arena.2]                                        */
  uint16_t *tags;      /* per page, see PAGE_TAG; owner: page heap         */
  struct span **spans; /* per page: its span or NULL; owner: page heap     */
} ALM_CACHE_ALIGNED;

ALM_INTERNAL_DATA struct heap_map heap_map;

/* A page's tag: its size class (0: free, or a large object) and its number
 * within the span, so that a pointer's offset in its span needs no span. */
#define PAGE_TAG(class, number) ((uint16_t)((class) | (number) << 8))
#define PAGE_TAG_CLASS(tag) ((tag)&0xffu)
#define PAGE_TAG_OFFSET(tag) (((size_t)(tag) >> 8) << PAGE_SHIFT)

/* The tables that others own, by what they hold. */
enum arena_table {
  ARENA_TAGS,
  ARENA_SPANS,
  ARENA_CHUNKS,    /* pagealloc: struct chunk_bits per chunk                */
  ARENA_SUMMARY_0, /* pagealloc: five levels, see pagealloc.h              */
  ARENA_SUMMARY_1,
  ARENA_SUMMARY_2,
  ARENA_SUMMARY_3,
  ARENA_SUMMARY_4,
  ARENA_TABLE_COUNT
};

/* Reserve region and tables; false when not even 4 MiB can be had. Once,
 * before a second thread can allocate. */
ALM_INTERNAL bool arena_init(void);

/* Most pages the region can ever have. */
ALM_INTERNAL size_t arena_npages_max(void);

ALM_INTERNAL void *arena_table(enum arena_table id);

/* Make pages [heap_map.npages, npages) ready; npages is a multiple of
 * CHUNK_PAGES. False: the OS refused, nothing has changed. */
ALM_INTERNAL bool arena_extend(size_t npages);

/* Page number of an address; meaningless unless arena_contains. */
ALM_INLINE size_t arena_page_of(const void *p) {
  return ((uintptr_t)p - heap_map.base) >> PAGE_SHIFT;
}

ALM_INLINE bool arena_contains(const void *p) {
  return arena_page_of(p) < atomic_load_acquire(&heap_map.npages);
}

ALM_INLINE void *arena_page_address(size_t page) {
  return (void *)(heap_map.base + (page << PAGE_SHIFT));
}

#endif
