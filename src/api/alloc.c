/* api/alloc.c -- see alloc.h. */
#include "alloc.h"

#include "background.h"
#include "base/diag.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"
#include "os/os.h"

#include <string.h>

/* Moving OS pages beats copying from here on, if the new place has no pages
 * yet: then copying faults each one in. Onto resident pages copying wins. */
#define REMAP_BYTES_MIN (1 * MIB)

/* Each move leaves mappings the kernel cannot merge; its limit is 65,530. */
enum { REMAPS_MAX = 8192 };

static uint32_t alloc_remaps; /* moves so far; relaxed */

/* One object out of this cache, refilling it; the caller owns the cache. */
static void *alloc_from(struct cache *cache, unsigned class, bool *is_zero) {
  void *p = alloc_pop(&cache->bins[class], is_zero);
  if (p == NULL && cache_refill(cache, class)) {
    p = alloc_pop(&cache->bins[class], is_zero);
  }
  return p;
}

static void *alloc_small(unsigned class, bool *is_zero) {
  struct cache *cache = process_thread_attach();
  if (likely(cache != NULL)) {
    void *p = alloc_from(cache, cache_stand_in(cache, class), is_zero);
    background_poke(); /* what was freed before may be old enough now */
    return p;
  }
  cache = process_shared_acquire();
  if (cache == NULL) {
    return NULL;
  }
  void *p = alloc_from(cache, class, is_zero);
  process_shared_release();
  return p;
}

static struct span *alloc_large_span(size_t npages, size_t align_pages,
                                     bool *is_zero) {
  struct cache *cache = process_thread_attach();
  if (cache != NULL) {
    return cache_take_large(cache, npages, align_pages, is_zero);
  }
  cache = process_shared_acquire();
  if (cache == NULL) {
    return NULL;
  }
  struct span *s = cache_take_large(cache, npages, align_pages, is_zero);
  process_shared_release();
  return s;
}

static void *alloc_large(size_t size, size_t align, bool *is_zero) {
  if (size > PTRDIFF_MAX || align > PTRDIFF_MAX - size) {
    return NULL;
  }
  size_t align_pages = max_size(align >> PAGE_SHIFT, 1);
  size_t npages = max_size(pages_for(size), 1);
  struct span *s = alloc_large_span(npages, align_pages, is_zero);
  if (s == NULL) {
    return NULL;
  }
  memstat_publish_large(false, (uint64_t)s->npages << PAGE_SHIFT);
  return (void *)s->base;
}

void *alloc_malloc_slow(size_t size) {
  bool is_zero;
  return size <= SMALL_BYTES_MAX ? alloc_small(sizeclass_for(size), &is_zero)
                                 : alloc_large(size, 1, &is_zero);
}

void *alloc_calloc(size_t size) {
  bool is_zero;
  void *p;
  if (likely(size <= SMALL_BYTES_MAX)) {
    unsigned class = sizeclass_for(size);
    p = alloc_pop(&thread_cache->bins[class], &is_zero);
    if (unlikely(p == NULL)) {
      p = alloc_small(class, &is_zero);
    }
  } else {
    p = alloc_large(size, 1, &is_zero);
  }
  if (p != NULL && !is_zero) {
    memset(p, 0, size);
  }
  return p;
}

void *alloc_aligned(size_t align, size_t size) {
  bool is_zero;
  if (align <= 8) {
    return alloc_malloc(size);
  }
  unsigned class = sizeclass_for_aligned(max_size(size, 16), align);
  return class != SIZECLASS_NONE ? alloc_small(class, &is_zero)
                                 : alloc_large(size, align, &is_zero);
}

void alloc_free_overflow(struct cache *cache, unsigned class) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  cache_overflow(cache, class, &bad);
  if (unlikely(bad.kind != 0)) {
    misuse_report("free", &bad);
  }
  background_poke();
}

/* The large object that starts at p, or NULL. */
static struct span *alloc_large_at(const void *p) {
  struct span *s = pageheap_span_at(p);
  bool is_start = s != NULL && s->class == 0 && s->base == (uintptr_t)p;
  return is_start && s->nfree == 0 && !s->is_collected ? s : NULL;
}

static void alloc_free_large(struct span *s) {
  memstat_publish_large(true, (uint64_t)s->npages << PAGE_SHIFT);
  struct cache *cache = process_thread_attach();
  if (cache != NULL) {
    cache_return_large(cache, s);
  } else {
    pageheap_return_span(s);
  }
  background_poke();
}

/* The class of the small object that starts at p, or SIZECLASS_NONE. */
static unsigned alloc_class_at(const void *p) {
  if (!arena_contains(p)) {
    return SIZECLASS_NONE;
  }
  unsigned tag = arena_tag(arena_page_of(p));
  unsigned class = PAGE_TAG_CLASS(tag);
  size_t offset = PAGE_TAG_OFFSET(tag) | (uintptr_t)p % PAGE_BYTES;
  return sizeclass_is_slot_start(sizeclasses[class].magic, offset)
             ? class
             : SIZECLASS_NONE;
}

/* p is an object of the class, and the thread had no cache until now. */
static void alloc_free_without_cache(void *p, unsigned class) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct cache *cache = process_shared_acquire();
  if (cache == NULL) {
    *(void **)p = NULL;
    central_return_batch(class, (struct batch){p, 1}, &bad);
    memstat_publish(class, 0, 1);
  } else {
    struct bin *bin = &cache->bins[class];
    if (p == bin->list) {
      bad = pageheap_diagnose(p);
    } else {
      *(void **)p = bin->list;
      bin->list = p;
      atomic_store_relaxed(&bin->frees, bin->frees + 1);
      if (bin->frees == bin->frees_limit) {
        cache_overflow(cache, class, &bad);
      }
    }
    process_shared_release();
  }
  if (bad.kind != 0) {
    misuse_report("free", &bad);
  }
}

void alloc_free_slow(void *p, const char *call) {
  if (p == NULL) {
    return;
  }
  struct span *large = alloc_large_at(p);
  if (large != NULL) {
    alloc_free_large(large);
    return;
  }
  unsigned class = alloc_class_at(p);
  if (class == SIZECLASS_NONE || p == thread_cache->bins[class].list) {
    struct misuse bad = pageheap_diagnose(p);
    misuse_report(call, &bad);
    return;
  }
  if (process_thread_attach() == NULL) {
    alloc_free_without_cache(p, class);
  } else {
    alloc_free(p, call); /* the thread has a cache now: not this way again */
  }
}

size_t alloc_usable_size(const void *p, const char *call) {
  unsigned class = alloc_class_at(p);
  if (likely(class != SIZECLASS_NONE) &&
      likely(p != thread_cache->bins[class].list)) {
    return sizeclasses[class].object_bytes;
  }
  struct span *large = alloc_large_at(p);
  if (large != NULL) {
    return large->npages << PAGE_SHIFT;
  }
  struct misuse bad = pageheap_diagnose(p);
  misuse_report(call, &bad);
  return 0;
}

/* Move whole OS pages of a large object to a new one. */
static bool alloc_remap(void *from, void *to, size_t bytes) {
  size_t odd = ((uintptr_t)from | (uintptr_t)to | bytes) % os_page_bytes();
  if (bytes < REMAP_BYTES_MIN || odd != 0 ||
      atomic_load_relaxed(&alloc_remaps) >= REMAPS_MAX ||
      !os_move(from, to, bytes)) {
    return false;
  }
  (void)atomic_add_relaxed(&alloc_remaps, 1);
  return true;
}

/* Try to give the object at p the new size where it is. */
static bool alloc_resize_in_place(void *p, size_t usable, size_t size) {
  if (usable <= SMALL_BYTES_MAX || size <= SMALL_BYTES_MAX) {
    /* Shrinking to half and more is not worth a copy. */
    return size <= usable && size >= usable / 2;
  }
  struct span *s = alloc_large_at(p);
  size_t old_pages = s == NULL ? 0 : s->npages, npages = pages_for(size);
  if (s == NULL || !pageheap_resize_large(s, npages)) {
    return false;
  }
  if (npages > old_pages) {
    uint64_t grown = (uint64_t)(npages - old_pages) << PAGE_SHIFT;
    memstat_add(&memstat->classes[0].alloc_bytes, grown);
  } else if (npages < old_pages) {
    uint64_t shrunk = (uint64_t)(old_pages - npages) << PAGE_SHIFT;
    memstat_add(&memstat->classes[0].free_bytes, shrunk);
    background_poke();
  }
  return true;
}

void *alloc_realloc(void *p, size_t size, const char *call) {
  size_t usable = alloc_usable_size(p, call);
  if (usable == 0 || size > PTRDIFF_MAX) {
    return NULL;
  }
  if (alloc_resize_in_place(p, usable, size)) {
    if (usable > SMALL_BYTES_MAX) {
      memstat_add(&memstat->realloc_inplace, 1);
    }
    return p;
  }
  bool is_zero = false;
  bool both_large = usable > SMALL_BYTES_MAX && size > SMALL_BYTES_MAX;
  void *to = both_large ? alloc_large(size, 1, &is_zero) : alloc_malloc(size);
  if (to == NULL) {
    return NULL;
  }
  size_t bytes = min_size(usable, size);
  if (is_zero && alloc_remap(p, to, bytes)) {
    memstat_add(&memstat->realloc_remapped, 1);
  } else {
    memcpy(to, p, bytes);
    memstat_add(&memstat->realloc_moved, 1);
  }
  alloc_free(p, call);
  return to;
}
