/* mem/arena.h -- the heap's addresses, and what is known per page.
 *
 * WHAT    One reserved region; every table about it lies in a second
 *         reservation at a computed place, so "is it ours" is a subtraction
 *         and a compare, and "which span" is one load more.
 * HOW     The region grows from its base by whole chunks; tables become
 *         ready an arena (64 MiB) ahead. Nothing is ever taken back here.
 *         A heap of one arena has its tables in its own first pages, so that
 *         a small process touches one stretch of addresses instead of six:
 *         each costs page tables of the kernel's. When the second arena
 *         comes, they are copied to the second reservation, once.
 * INVARIANTS
 *   [arena.1] heap_map.base is constant after arena_init.
 *   [arena.2] For every page below heap_map.npages all tables are ready.
 *             npages is stored (release) after that and only grows.
 *   [arena.3] Pages below ARENA_OWN_PAGES belong to the library and have no
 *             span. The tables left there stay readable and no longer
 *             change, so a reader with the old address still finds the page
 *             of every object it had then.
 * ORDER   tags and spans are stored with release after the copy, and loaded
 *         with acquire by readers without a lock.
 * LOCKS   arena_extend: the page heap's lock. heap_map_lock (RANK_MAPS) for
 *         whoever writes tags or spans, and while the tables move.
 * SOURCE  Go malloc.go's arenas. Differs: one region, no hints, no radix map
 *         of arenas.
 */
#ifndef ALM_MEM_ARENA_H
#define ALM_MEM_ARENA_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/lock.h"

struct span;

/* 128 KiB: 84 KiB of tables, the rest for the first records of metaalloc. Of
 * a small heap most of it is never touched. */
enum { ARENA_OWN_PAGES = 16 };

/* Read on every free. One cache line. */
struct heap_map {
  uintptr_t base;      /* [arena.1]; 0 before arena_init                   */
  size_t npages;       /* [arena.2]                                        */
  uint16_t *tags;      /* per page, see PAGE_TAG; owner: page heap         */
  struct span **spans; /* per page: its span or NULL; owner: page heap     */
} ALM_CACHE_ALIGNED;

ALM_INTERNAL_DATA struct heap_map heap_map;
ALM_INTERNAL_DATA struct lock heap_map_lock;

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

/* Reserve region and tables, make the first chunk ready; false when not even
 * 4 MiB can be had (nothing is kept, try again). Before a second thread can
 * allocate. */
ALM_INTERNAL bool arena_init(void);

/* Most pages the region can ever have. */
ALM_INTERNAL size_t arena_npages_max(void);

/* Where the table is; asked again after each arena_extend. */
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

/* The tag of a page below heap_map.npages. */
ALM_INLINE unsigned arena_tag(size_t page) {
  const uint16_t *tags = atomic_load_acquire(&heap_map.tags);
  return atomic_load_relaxed(&tags[page]);
}

/* Its span, with all that was stored before it was published; or NULL. */
ALM_INLINE struct span *arena_span(size_t page) {
  struct span *const *spans = atomic_load_acquire(&heap_map.spans);
  return atomic_load_acquire(&spans[page]);
}

ALM_INLINE void *arena_page_address(size_t page) {
  return (void *)(heap_map.base + (page << PAGE_SHIFT));
}

#endif
