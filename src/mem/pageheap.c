/* mem/pageheap.c -- see pageheap.h. */
#include "pageheap.h"

#include "base/diag.h"
#include "memstat.h"
#include "metaalloc.h"

/* Records by how many words of free bits they have room for. */
static struct meta_pool pageheap_pools[] = {
    {64, NULL},  /*  3 words: up to 192 slots                    */
    {96, NULL},  /*  7 words: 24 and 32-byte objects             */
    {112, NULL}, /* 8 words: 16-byte objects                    */
    {176, NULL}, /* 16 words: 8-byte objects                    */
};

static struct meta_pool *pageheap_pool(unsigned class) {
  size_t words = (sizeclasses[class].nslots + 63u) / 64;
  struct meta_pool *pool = pageheap_pools;
  while (sizeof(struct span) + words * 8 > pool->bytes) {
    pool++;
  }
  return pool;
}

/* Grow (or with a negative step shrink) a gauge that only we write. */
static uint64_t pageheap_add_locked(uint64_t *gauge, int64_t step) {
  uint64_t now = atomic_load_relaxed(gauge) + (uint64_t)step;
  atomic_store_relaxed(gauge, now);
  return now;
}

/* A collected heap has `step` bytes more of spans of the class. */
static void pageheap_account_collected_locked(unsigned class, int64_t step) {
  struct alm_gc_stats *gc = &memstat->gc;
  struct alm_gc_class_stats *c = &gc->classes[class];
  atomic_store_relaxed(&c->object_bytes, sizeclasses[class].object_bytes);
  memstat_raise(&c->bytes_max, pageheap_add_locked(&c->bytes, step));
  memstat_raise(&gc->heap_bytes_max,
                pageheap_add_locked(&gc->heap_bytes, step));
}

/* Put the span in the maps and the account. [pageheap.1] */
static void pageheap_publish(struct span *s) {
  size_t page = arena_page_of((void *)s->base);
  unsigned class = s->class;
  struct alm_class_stats *c = &memstat->classes[class];
  int64_t bytes = (int64_t)(s->npages << PAGE_SHIFT);
  lock_acquire(&heap_map_lock);
  bool is_small = class != 0 && !s->is_collected;
  bool in_all_pages = class != 0 || s->is_collected;
  if (is_small) { /* here, so that unused classes cost no memory */
    atomic_store_relaxed(&c->object_bytes, sizeclasses[class].object_bytes);
    atomic_store_relaxed(&c->span_bytes, (uint64_t)bytes);
  }
  atomic_store_release(&heap_map.spans[page], s);
  for (size_t i = 0; in_all_pages && i < s->npages; i++) {
    if (is_small) {
      atomic_store_relaxed(&heap_map.tags[page + i], PAGE_TAG(class, i));
    }
    atomic_store_release(&heap_map.spans[page + i], s);
  }
  uint64_t inuse = pageheap_add_locked(&memstat->heap_inuse, bytes);
  if (s->is_collected) {
    pageheap_account_collected_locked(class, bytes);
  } else {
    memstat_raise(&c->spans_max, pageheap_add_locked(&c->spans, 1));
  }
  memstat_inuse_grew(inuse, in_all_pages ? 0 : (uint64_t)bytes);
  lock_release(&heap_map_lock);
}

static void pageheap_unpublish(struct span *s) {
  size_t page = arena_page_of((void *)s->base);
  unsigned class = s->class;
  lock_acquire(&heap_map_lock);
  atomic_store_relaxed(&heap_map.spans[page], NULL);
  bool in_all_pages = class != 0 || s->is_collected;
  for (size_t i = 0; in_all_pages && i < s->npages; i++) {
    atomic_store_relaxed(&heap_map.tags[page + i], 0);
    atomic_store_relaxed(&heap_map.spans[page + i], NULL);
  }
  int64_t bytes = (int64_t)(s->npages << PAGE_SHIFT);
  (void)pageheap_add_locked(&memstat->heap_inuse, -bytes);
  if (s->is_collected) {
    pageheap_account_collected_locked(class, -bytes);
  } else {
    (void)pageheap_add_locked(&memstat->classes[class].spans, -1);
  }
  lock_release(&heap_map_lock);
}

struct span *pageheap_take_span(unsigned class, struct pagecache *cache) {
  struct meta_pool *pool = pageheap_pool(class);
  struct span *s = meta_take(pool);
  if (s == NULL) {
    return NULL;
  }
  size_t npages = sizeclasses[class].npages;
  struct page_run run = pagealloc_take_cached(cache, npages);
  if (run.npages == 0) {
    meta_return(pool, s);
    return NULL;
  }
  span_init(s, (uintptr_t)arena_page_address(run.page), class, run.is_zero);
  pageheap_publish(s);
  return s;
}

void pageheap_return_span(struct span *s) {
  size_t page = arena_page_of((void *)s->base);
  size_t npages = s->npages;
  unsigned class = s->class;
  pageheap_unpublish(s);
  meta_return(pageheap_pool(class), s);
  pagealloc_return(page, npages);
}

struct span *pageheap_take_large(size_t npages, size_t align_pages,
                                 struct pagecache *cache, bool *is_zero) {
  struct span *s = meta_take(pageheap_pool(0));
  if (s == NULL) {
    return NULL;
  }
  struct page_run run = align_pages == 1 ? pagealloc_take_cached(cache, npages)
                                         : pagealloc_take(npages, align_pages);
  if (run.npages == 0) {
    meta_return(pageheap_pool(0), s);
    return NULL;
  }
  span_init(s, (uintptr_t)arena_page_address(run.page), 0, run.is_zero);
  s->npages = npages;
  s->nslots = 1;
  s->nfree = 0;
  *is_zero = run.is_zero;
  pageheap_publish(s);
  return s;
}

bool pageheap_take_collected(struct span *s, unsigned class, size_t npages,
                             bool is_dense) {
  struct page_run run = pagealloc_take(npages, 1);
  if (run.npages == 0) {
    return false;
  }
  if (is_dense && run.nreleased > 0) {
    pagealloc_make_huge(run);
  }
  span_init(s, (uintptr_t)arena_page_address(run.page), class, run.is_zero);
  s->npages = npages;
  if (class == 0) {
    s->nslots = 1;
    s->nfree = 0;
  }
  atomic_store_relaxed(&s->is_collected, true);
  return true;
}

void pageheap_publish_collected(struct span *s) {
  pageheap_publish(s);
}

void pageheap_return_collected(struct span *s, bool was_published) {
  if (was_published) {
    pageheap_unpublish(s);
  }
  pagealloc_return(arena_page_of((void *)s->base), s->npages);
}

bool pageheap_extend_collected(struct span *s, size_t more, bool *is_zero) {
  size_t page = arena_page_of((void *)s->base) + s->npages;
  struct page_run run = pagealloc_take_at(page, more);
  if (run.npages == 0) {
    return false;
  }
  *is_zero = run.is_zero;
  int64_t bytes = (int64_t)(more << PAGE_SHIFT);
  lock_acquire(&heap_map_lock);
  for (size_t i = 0; i < more; i++) {
    atomic_store_release(&heap_map.spans[page + i], s);
  }
  s->npages += more;
  memstat_inuse_grew(pageheap_add_locked(&memstat->heap_inuse, bytes), 0);
  pageheap_account_collected_locked(s->class, bytes);
  lock_release(&heap_map_lock);
  return true;
}

bool pageheap_resize_large(struct span *s, size_t npages) {
  size_t page = arena_page_of((void *)s->base);
  size_t old = s->npages;
  if (npages > old && pagealloc_take_at(page + old, npages - old).npages == 0) {
    return false;
  }
  int64_t step = ((int64_t)npages - (int64_t)old) * (int64_t)PAGE_BYTES;
  lock_acquire(&heap_map_lock);
  s->npages = npages;
  uint64_t inuse = pageheap_add_locked(&memstat->heap_inuse, step);
  memstat_inuse_grew(inuse, step > 0 ? (uint64_t)step : 0);
  lock_release(&heap_map_lock);
  if (npages < old) {
    pagealloc_return(page + npages, old - npages);
  }
  return true;
}

struct misuse pageheap_diagnose(const void *p) {
  struct misuse m = {ALM_MISUSE_FOREIGN, p, 0, 0, 0};
  if (!arena_contains(p)) {
    return m;
  }
  m.kind = ALM_MISUSE_FREED;
  size_t page = arena_page_of(p);
  struct span *s = pageheap_span_at(p);
  while (s == NULL && page > 0) {
    s = arena_span(--page);
  }
  if (s == NULL || (uintptr_t)p - s->base >= s->npages << PAGE_SHIFT) {
    return m; /* free pages */
  }
  if (s->is_collected) {
    m.kind = ALM_MISUSE_COLLECTED;
    return m;
  }
  size_t offset = (uintptr_t)p - s->base;
  m.object = s->base;
  m.object_bytes = s->npages << PAGE_SHIFT;
  if (s->class != 0) {
    unsigned slot = sizeclass_slot(s->class, offset);
    m.object = span_slot_address(s, slot);
    m.object_bytes = sizeclasses[s->class].object_bytes;
    if (slot >= s->nslots) {
      m.kind = ALM_MISUSE_FOREIGN; /* the unused tail of a span */
      return m;
    }
  }
  m.kind = m.object == (uintptr_t)p ? ALM_MISUSE_FREED : ALM_MISUSE_INTERIOR;
  return m;
}

static void pageheap_check_maps(const struct span *s, size_t page) {
  bool is_small = s->class != 0 && !s->is_collected; /* [pageheap.1] */
  bool in_all_pages = s->class != 0 || s->is_collected;
  for (size_t i = 0; i < s->npages; i++) {
    CHECK(!in_all_pages || arena_span(page + i) == s);
    CHECK_EQ(arena_tag(page + i), is_small ? PAGE_TAG(s->class, i) : 0);
  }
}

bool pageheap_check(void) {
  size_t npages = atomic_load_acquire(&heap_map.npages);
  uint64_t inuse = 0;
  lock_acquire(&heap_map_lock);
  for (size_t page = 0; page < npages;) {
    struct span *s = arena_span(page);
    if (s == NULL) {
      CHECK_EQ(arena_tag(page), 0);
      page++;
      continue;
    }
    CHECK_EQ(arena_page_of((void *)s->base), page);
    CHECK(s->is_collected || span_check(s)); /* else: heap_check */
    pageheap_check_maps(s, page);
    inuse += (uint64_t)s->npages << PAGE_SHIFT;
    page += s->npages;
  }
  CHECK_EQ(inuse, atomic_load_relaxed(&memstat->heap_inuse));
  lock_release(&heap_map_lock);
  return true;
}

void pageheap_fork_prepare(void) {
  lock_acquire(&heap_map_lock);
}

void pageheap_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&heap_map_lock);
  } else {
    lock_release(&heap_map_lock);
  }
}
