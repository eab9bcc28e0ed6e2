/* mem/pagealloc.h -- free runs of pages: radix tree, thread caches.
 *
 * WHAT    Address-ordered first fit over all chunks through five levels of
 *         (start, max, end) summaries; a 64-page cache per thread for small
 *         requests; runs that can be returned to the OS.
 * HOW     Level 4 has an entry per chunk, each level above one per eight,
 *         level 0 one per 16 GiB. Pages are numbered from the base of the
 *         region.
 * INVARIANTS
 *   [pagealloc.1] A summary equals what its chunks' bits say.
 *   [pagealloc.2] No page below `search` is free.
 *   [pagealloc.3] npages_resident = pages ready minus pages released, without
 *                 the ARENA_OWN_PAGES.
 *   [pagealloc.4] Summaries above the root level are not kept: the root is the
 *                 lowest level at which eight entries cover the heap, so that
 *                 a small heap updates one level and touches one table.
 *   A page in a thread's cache is in use here.  checked: pagealloc_check
 * LOCKS   RANK_PAGEHEAP inside every call; held for bitmap work and, when
 *         the heap grows, for the kernel's mprotect. Never while zeroing or
 *         releasing.
 * COST    take and return: the bits, then at most five summaries.
 * SOURCE  Go mpagealloc.go, mpagecache.go. Differs: one region, so numbers
 *         instead of addresses and no list of ranges.
 */
#ifndef ALM_MEM_PAGEALLOC_H
#define ALM_MEM_PAGEALLOC_H

#include "base/base.h"

enum { PAGEALLOC_LEVELS = 5 };

#define PAGE_NONE ((size_t)-1)

/* A run of pages. npages 0: none. */
struct page_run {
  size_t page;
  size_t npages;
  bool is_zero;     /* every page reads as zero                            */
  size_t nreleased; /* pages that nothing stood behind when they were taken */
};

/* 64 pages of which a thread may take without a lock. Guarded by the cache's
 * lock. */
struct pagecache {
  size_t page;       /* of bit 0                                          */
  uint64_t free;     /* pages still here                                  */
  uint64_t released; /* of these, the ones known to be zero               */
};

/* Requests of at most so many pages go through a thread's cache. */
enum { PAGECACHE_REQUEST_MAX = ALM_TORTURE ? 2 : 15 };

/* After arena_init, before a second thread can allocate. */
ALM_INTERNAL void pagealloc_init(void);

/* A run of npages whose first page is a multiple of align_pages; grows the
 * heap when there is none. npages 0 in the result: no memory. */
ALM_INTERNAL struct page_run pagealloc_take(size_t npages, size_t align_pages);

/* The pages [page, page + npages) if all are free. */
ALM_INTERNAL struct page_run pagealloc_take_at(size_t page, size_t npages);

/* Give pages back; they hold data. */
ALM_INTERNAL void pagealloc_return(size_t page, size_t npages);

/* The run is not in use yet and its contents do not matter, but for their being
 * zero: let huge pages stand behind the blocks of 2 MiB that it lies in and
 * most of which was released. What is free in such a block is resident then. */
ALM_INTERNAL void pagealloc_make_huge(struct page_run run);

/* A run from the cache (refilled if it must be); `cache` may be NULL. */
ALM_INTERNAL struct page_run pagealloc_take_cached(struct pagecache *cache,
                                                   size_t npages);
ALM_INTERNAL void pagecache_flush(struct pagecache *cache);

/* Mark the highest run that can be released, at most `most` pages, as in use
 * and return it; the caller releases it and calls pagealloc_release_done. */
ALM_INTERNAL struct page_run pagealloc_release_begin(size_t most);
ALM_INTERNAL void pagealloc_release_done(struct page_run run, bool released);

/* Pages resident (ready and not released), and those of them that are free;
 * pages in threads' caches count as used. */
ALM_INTERNAL size_t pagealloc_npages_resident(void);
ALM_INTERNAL size_t pagealloc_npages_free(void);

ALM_INTERNAL bool pagealloc_check(void);

ALM_INTERNAL void pagealloc_fork_prepare(void);
ALM_INTERNAL void pagealloc_fork_release(bool in_child);

#endif
