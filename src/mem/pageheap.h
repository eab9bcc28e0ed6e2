/* mem/pageheap.h -- pages -> spans and back; address -> span.
 *
 * WHAT    Makes spans of small objects and of one large object, publishes
 *         them in the page maps, takes them back.
 * INVARIANTS
 *   [pageheap.1] Every page of a small span has its tag and its span in the
 *                maps; of a large one only the first page has the span, and
 *                no page has a tag; every page of a collected span has the
 *                span and no tag, so that free refuses its objects. Free
 *                pages have neither.
 * ORDER   spans are stored with release after all their fields; readers
 *         load with acquire (span_of).
 * LOCKS   RANK_MAPS, inside, for a change of the maps together with the
 *         account; pagealloc and metaalloc lock inside too.
 * SOURCE  Go mheap.go.
 */
#ifndef ALM_MEM_PAGEHEAP_H
#define ALM_MEM_PAGEHEAP_H

#include "arena.h"
#include "misuse.h"
#include "pagealloc.h"
#include "span.h"

/* A span of the class, all slots free; NULL when memory is out. `cache` is
 * the caller's page cache or NULL. */
ALM_INTERNAL struct span *pageheap_take_span(unsigned class,
                                             struct pagecache *cache);
/* Nothing refers to the span any more. */
ALM_INTERNAL void pageheap_return_span(struct span *s);

/* A large object of npages; *is_zero tells whether it must be cleared. */
ALM_INTERNAL struct span *pageheap_take_large(size_t npages, size_t align_pages,
                                              struct pagecache *cache,
                                              bool *is_zero);
/* Pages for a collected span whose record the caller has: a class's, or
 * npages for a large object (class 0). Not in the maps yet. `is_dense`: the
 * pages around will be wanted soon, huge ones are welcome. */
ALM_INTERNAL bool pageheap_take_collected(struct span *s, unsigned class,
                                          size_t npages, bool is_dense);
ALM_INTERNAL void pageheap_publish_collected(struct span *s);
ALM_INTERNAL void pageheap_return_collected(struct span *s, bool was_published);
/* The next `more` pages become part of a large collected object; *is_zero: they
 * read as zero. False: they are in use, nothing has changed. */
ALM_INTERNAL bool pageheap_extend_collected(struct span *s, size_t more,
                                            bool *is_zero);

/* Change a large object's length where it is. False: the next pages are in
 * use, nothing has changed. Shrinking always works. */
ALM_INTERNAL bool pageheap_resize_large(struct span *s, size_t npages);

/* The span whose maps name this page, or NULL. Any address. */
ALM_INLINE struct span *pageheap_span_at(const void *p) {
  return arena_contains(p) ? arena_span(arena_page_of(p)) : NULL;
}

/* What is wrong with p, which is not the start of an object in use as far as
 * the maps tell. Walks back over a large object's pages. */
ALM_INTERNAL struct misuse pageheap_diagnose(const void *p);

/* Every span in the maps and every tag. The caller holds all centrals. */
ALM_INTERNAL bool pageheap_check(void);

ALM_INTERNAL void pageheap_fork_prepare(void);
ALM_INTERNAL void pageheap_fork_release(bool in_child);

#endif
