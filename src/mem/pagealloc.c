/* mem/pagealloc.c -- see pagealloc.h. */
#include "pagealloc.h"

#include "arena.h"
#include "base/diag.h"
#include "memstat.h"
#include "os/lock.h"
#include "os/os.h"
#include "pagebits.h"

/* Pages per entry, as a shift. Each level has eight times more entries. */
static const unsigned level_shift[PAGEALLOC_LEVELS] = {21, 18, 15, 12, 9};

enum { LEAF = PAGEALLOC_LEVELS - 1, SUMMARY_BITS = 21 };
#define SUMMARY_ALL ((uint64_t)1 << 63) /* level 0: all 2^21 pages free */

enum { HUGE_PAGES = HUGE_BYTES / PAGE_BYTES, HUGE_WORDS = HUGE_PAGES / 64 };
STATIC_CHECK(CHUNK_PAGES % HUGE_PAGES == 0);

/* Grow by at least this, so that the kernel is asked rarely. */
#define GROW_PAGES_MIN ((size_t)CHUNK_PAGES)

static struct {
  struct lock lock;
  unsigned root; /* [pagealloc.4] */
  struct chunk_bits *chunks;
  uint64_t *levels[PAGEALLOC_LEVELS];
  size_t search;          /* [pagealloc.2]                                */
  size_t release_search;  /* no chunk at or above holds releasable pages  */
  size_t npages_resident; /* [pagealloc.3]                                */
  size_t npages_free;     /* resident and free, outside threads' caches   */
} pagealloc = {.lock = LOCK_INIT(RANK_PAGEHEAP), .root = LEAF};

static uint64_t summary_pack(struct summary s) {
  if (s.max == (uint32_t)1 << SUMMARY_BITS) {
    return SUMMARY_ALL;
  }
  return (uint64_t)s.start | (uint64_t)s.max << SUMMARY_BITS |
         (uint64_t)s.end << (2 * SUMMARY_BITS);
}

static struct summary summary_unpack(uint64_t w) {
  const uint32_t mask = ((uint32_t)1 << SUMMARY_BITS) - 1;
  if (w & SUMMARY_ALL) {
    return (struct summary){mask + 1, mask + 1, mask + 1};
  }
  return (struct summary){(uint32_t)w & mask,
                          (uint32_t)(w >> SUMMARY_BITS) & mask,
                          (uint32_t)(w >> (2 * SUMMARY_BITS)) & mask};
}

/* What eight siblings, each covering 2^shift pages, say together. */
static struct summary summary_merge(const uint64_t *eight, unsigned shift) {
  const uint32_t whole = (uint32_t)1 << shift;
  struct summary all = summary_unpack(eight[0]);
  for (unsigned i = 1; i < 8; i++) {
    struct summary s = summary_unpack(eight[i]);
    uint32_t joined = all.end + s.start;
    if (all.start == i * whole) {
      all.start += s.start;
    }
    all.max = s.max > all.max ? s.max : all.max;
    all.max = joined > all.max ? joined : all.max;
    all.end = s.end == whole ? all.end + whole : s.end;
  }
  return all;
}

/* Recompute entries [first, last] of a level from the one below. True: one
 * of them changed. */
static bool pagealloc_merge_locked(unsigned level, size_t first, size_t last) {
  bool changed = false;
  for (size_t i = first; i <= last; i++) {
    const uint64_t *eight = &pagealloc.levels[level + 1][i * 8];
    uint64_t w = summary_pack(summary_merge(eight, level_shift[level + 1]));
    changed |= w != pagealloc.levels[level][i];
    pagealloc.levels[level][i] = w;
  }
  return changed;
}

/* Recompute all summaries over [page, page + npages). */
static void pagealloc_update_locked(size_t page, size_t npages) {
  size_t first = page >> CHUNK_PAGES_SHIFT;
  size_t last = (page + npages - 1) >> CHUNK_PAGES_SHIFT;
  bool changed = false;
  for (size_t i = first; i <= last; i++) {
    uint64_t w = summary_pack(pagebits_summarize(&pagealloc.chunks[i]));
    changed |= w != pagealloc.levels[LEAF][i];
    pagealloc.levels[LEAF][i] = w;
  }
  for (unsigned level = LEAF; level > pagealloc.root && changed;) {
    level--;
    first /= 8;
    last /= 8;
    changed = pagealloc_merge_locked(level, first, last);
  }
}

static size_t pagealloc_entries(unsigned level) {
  size_t whole = (size_t)1 << level_shift[level];
  return (heap_map.npages + whole - 1) >> level_shift[level];
}

/* The heap has grown: keep the root at a level of at most eight entries. */
static void pagealloc_raise_root_locked(void) {
  while (pagealloc.root > 0 && pagealloc_entries(pagealloc.root) > 8) {
    pagealloc.root--;
    (void)pagealloc_merge_locked(pagealloc.root, 0,
                                 pagealloc_entries(pagealloc.root) - 1);
  }
}

static void pagealloc_count_locked(void) {
  uint64_t mapped = (uint64_t)pagealloc.npages_resident << PAGE_SHIFT;
  atomic_store_relaxed(&memstat->heap_mapped, mapped);
  atomic_store_relaxed(&memstat->heap_free,
                       (uint64_t)pagealloc.npages_free << PAGE_SHIFT);
  memstat_raise(&memstat->heap_mapped_max, mapped);
}

/* Among siblings [i, end) of a level, starting at the one that holds the
 * search hint: the first run of npages that crosses siblings, or the first
 * sibling that holds one. True: *page is the run; false: *index is the
 * sibling, or `end` when there is neither. */
static bool pagealloc_scan_level(unsigned level, size_t i, size_t end,
                                 size_t npages, size_t *page, size_t *index) {
  const size_t whole = (size_t)1 << level_shift[level];
  size_t run = 0, run_page = 0;
  for (; i < end; i++) {
    struct summary s = summary_unpack(pagealloc.levels[level][i]);
    if (run + s.start >= npages) {
      *page = run ? run_page : i * whole;
      return true;
    }
    if (s.max >= npages) {
      break;
    }
    if (s.start == whole) {
      run_page = run ? run_page : i * whole;
      run += whole;
    } else {
      run = s.end;
      run_page = (i + 1) * whole - run;
    }
  }
  *index = i;
  return false;
}

/* First run of npages free pages, or PAGE_NONE. */
static size_t pagealloc_find_locked(size_t npages) {
  size_t hint = pagealloc.search;
  size_t first = 0, end = pagealloc_entries(pagealloc.root);
  for (unsigned level = pagealloc.root; level < PAGEALLOC_LEVELS; level++) {
    size_t page = PAGE_NONE, index = end;
    size_t start = max_size(first, hint >> level_shift[level]);
    if (pagealloc_scan_level(level, start, end, npages, &page, &index)) {
      return page;
    }
    if (index == end) {
      CHECK(level == pagealloc.root); /* else the parent promised a run */
      return PAGE_NONE;
    }
    first = index * 8;
    end = first + 8;
    if (level == LEAF) {
      unsigned from = hint >> CHUNK_PAGES_SHIFT == index
                          ? (unsigned)(hint % CHUNK_PAGES)
                          : 0;
      unsigned at =
          pagebits_find(&pagealloc.chunks[index], (unsigned)npages, from);
      CHECK(at < CHUNK_PAGES);
      return index * CHUNK_PAGES + at;
    }
  }
  return PAGE_NONE;
}

/* Mark [page, page + npages), all free, as in use. Returns how many of them
 * were released. */
static size_t pagealloc_mark_locked(size_t page, size_t npages) {
  size_t released = 0;
  for (size_t at = page, left = npages; left > 0;) {
    struct chunk_bits *c = &pagealloc.chunks[at >> CHUNK_PAGES_SHIFT];
    size_t in = at % CHUNK_PAGES;
    size_t n = min_size(left, CHUNK_PAGES - in);
    released += bits_count_range(c->released, in, n);
    bits_set_range(c->in_use, in, n);
    bits_clear_range(c->released, in, n);
    at += n;
    left -= n;
  }
  pagealloc_update_locked(page, npages);
  pagealloc.npages_resident += released;
  pagealloc.npages_free -= npages - released;
  if (page <= pagealloc.search && pagealloc.search < page + npages) {
    pagealloc.search = page + npages;
  }
  pagealloc_count_locked();
  return released;
}

/* Make pages [page, page + npages) free. `released`: they read as zero. */
static void pagealloc_unmark_locked(size_t page, size_t npages, bool released) {
  for (size_t at = page, left = npages; left > 0;) {
    struct chunk_bits *c = &pagealloc.chunks[at >> CHUNK_PAGES_SHIFT];
    size_t in = at % CHUNK_PAGES;
    size_t n = min_size(left, CHUNK_PAGES - in);
    ASSERT(bits_count_range(c->in_use, in, n) == n);
    bits_clear_range(c->in_use, in, n);
    if (released) {
      bits_set_range(c->released, in, n);
    }
    at += n;
    left -= n;
  }
  pagealloc_update_locked(page, npages);
  if (page < pagealloc.search) {
    pagealloc.search = page;
  }
  if (released) {
    pagealloc.npages_resident -= npages;
  } else {
    pagealloc.npages_free += npages;
    size_t end = (page + npages + CHUNK_PAGES - 1) >> CHUNK_PAGES_SHIFT;
    pagealloc.release_search = max_size(pagealloc.release_search, end);
  }
  pagealloc_count_locked();
}

/* The tables may have moved with the last growth. */
static void pagealloc_find_tables(void) {
  pagealloc.chunks = arena_table(ARENA_CHUNKS);
  for (int level = 0; level < PAGEALLOC_LEVELS; level++) {
    pagealloc.levels[level] =
        arena_table((enum arena_table)(ARENA_SUMMARY_0 + level));
  }
}

/* The heap has grown from `old` pages: of the new ones all but the first nkept become free,
 * as released. */
static void pagealloc_add_locked(size_t old, size_t nkept) {
  size_t grown = heap_map.npages - old;
  for (size_t i = old; i < old + grown; i += CHUNK_PAGES) {
    struct chunk_bits *c = &pagealloc.chunks[i >> CHUNK_PAGES_SHIFT];
    bits_set_range(c->in_use, 0, CHUNK_PAGES);
  }
  pagealloc.npages_resident += grown - nkept;
  pagealloc_unmark_locked(old + nkept, grown - nkept, true);
  pagealloc_raise_root_locked();
}

/* New pages at the end of the heap, enough for npages with what is free
 * there already. They start as released: nothing backs them yet. */
static bool pagealloc_grow_locked(size_t npages) {
  size_t old = heap_map.npages;
  size_t tail = 0;
  while (tail < old && tail < npages) {
    size_t chunk = (old - tail - 1) >> CHUNK_PAGES_SHIFT;
    struct summary s = summary_unpack(pagealloc.levels[LEAF][chunk]);
    tail += s.end;
    if (s.end < CHUNK_PAGES) {
      break;
    }
  }
  size_t more = npages - min_size(tail, npages - 1);
  size_t grown = align_up(max_size(more, GROW_PAGES_MIN), CHUNK_PAGES);
  if (grown < more || grown > arena_npages_max() - old) {
    grown = align_up(more, CHUNK_PAGES);
  }
  if (grown > arena_npages_max() - old || !arena_extend(old + grown)) {
    return false;
  }
  pagealloc_find_tables();
  pagealloc_add_locked(old, 0);
  return true;
}

void pagealloc_init(void) {
  pagealloc_find_tables();
  pagealloc_add_locked(0, ARENA_OWN_PAGES); /* nobody else is there yet */
}

static struct page_run pagealloc_run_locked(size_t page, size_t npages) {
  size_t released = pagealloc_mark_locked(page, npages);
  return (struct page_run){page, npages, released == npages, released};
}

static const struct page_run no_run = {0, 0, false, 0};

struct page_run pagealloc_take(size_t npages, size_t align_pages) {
  struct page_run run = no_run;
  size_t wide = npages + align_pages - 1;
  if (wide > arena_npages_max()) {
    return no_run;
  }
  lock_acquire(&pagealloc.lock);
  size_t page = pagealloc_find_locked(wide);
  if (page == PAGE_NONE && pagealloc_grow_locked(wide)) {
    page = pagealloc_find_locked(wide);
  }
  if (page != PAGE_NONE) {
    /* [pagealloc.2] holds: an aligned start skips pages only above search */
    size_t base_page = heap_map.base >> PAGE_SHIFT;
    size_t aligned = align_up(base_page + page, align_pages) - base_page;
    run = pagealloc_run_locked(aligned, npages);
    if (wide == 1) {
      pagealloc.search = page + 1; /* it was the first free page */
    }
  }
  lock_release(&pagealloc.lock);
  return run;
}

struct page_run pagealloc_take_at(size_t page, size_t npages) {
  struct page_run run = no_run;
  lock_acquire(&pagealloc.lock);
  bool is_free = page + npages <= heap_map.npages;
  for (size_t at = page; is_free && at < page + npages;) {
    size_t in = at % CHUNK_PAGES;
    size_t n = min_size(page + npages - at, CHUNK_PAGES - in);
    const struct chunk_bits *c = &pagealloc.chunks[at >> CHUNK_PAGES_SHIFT];
    is_free = bits_count_range(c->in_use, in, n) == 0;
    at += n;
  }
  if (is_free) {
    run = pagealloc_run_locked(page, npages);
  }
  lock_release(&pagealloc.lock);
  return run;
}

void pagealloc_return(size_t page, size_t npages) {
  lock_acquire(&pagealloc.lock);
  pagealloc_unmark_locked(page, npages, false);
  lock_release(&pagealloc.lock);
}

/* Released pages of the block are in use, or free and resident, or what they
 * were: the three moments of making it huge. */
static size_t pagealloc_take_rest_locked(size_t block, uint64_t *rest) {
  struct chunk_bits *c = &pagealloc.chunks[block >> CHUNK_PAGES_SHIFT];
  size_t word = block % CHUNK_PAGES / 64, n = 0;
  for (size_t i = 0; i < HUGE_WORDS; i++) {
    rest[i] = c->released[word + i];
    c->released[word + i] = 0;
    c->in_use[word + i] |= rest[i];
    n += bits_count(rest[i]);
  }
  pagealloc.npages_resident += n;
  pagealloc_update_locked(block, HUGE_PAGES);
  return n;
}

static void pagealloc_return_rest_locked(size_t block, const uint64_t *rest,
                                         size_t n, bool is_huge) {
  struct chunk_bits *c = &pagealloc.chunks[block >> CHUNK_PAGES_SHIFT];
  size_t word = block % CHUNK_PAGES / 64;
  for (size_t i = 0; i < HUGE_WORDS; i++) {
    c->in_use[word + i] &= ~rest[i];
    c->released[word + i] |= is_huge ? 0 : rest[i];
  }
  pagealloc.npages_free += is_huge ? n : 0;
  pagealloc.npages_resident -= is_huge ? 0 : n;
  pagealloc.search = min_size(pagealloc.search, block);
  size_t chunk_end = (block >> CHUNK_PAGES_SHIFT) + 1;
  pagealloc.release_search = max_size(pagealloc.release_search, chunk_end);
  pagealloc_update_locked(block, HUGE_PAGES);
  pagealloc_count_locked();
}

/* The block's page `from` is the caller's; of all that are, nreleased were
 * released. */
static void pagealloc_make_block_huge(size_t block, size_t from,
                                      size_t nreleased) {
  uint64_t rest[HUGE_WORDS];
  lock_acquire(&pagealloc.lock);
  const struct chunk_bits *c = &pagealloc.chunks[block >> CHUNK_PAGES_SHIFT];
  size_t n = bits_count_range(c->released, block % CHUNK_PAGES, HUGE_PAGES);
  bool is_worth_it = n + nreleased >= HUGE_PAGES / 2;
  if (is_worth_it) {
    n = pagealloc_take_rest_locked(block, rest);
  }
  lock_release(&pagealloc.lock);
  if (is_worth_it) {
    bool ok = os_huge(arena_page_address(block), arena_page_address(from));
    lock_acquire(&pagealloc.lock);
    pagealloc_return_rest_locked(block, rest, n, ok);
    lock_release(&pagealloc.lock);
  }
}

void pagealloc_make_huge(struct page_run run) {
  size_t end = run.page + run.npages;
  for (size_t page = run.page; page < end;) {
    size_t block = align_down(page, HUGE_PAGES);
    size_t to = min_size(block + HUGE_PAGES, end);
    /* its released pages are taken to be spread evenly */
    size_t nreleased = (to - page) * run.nreleased / run.npages;
    pagealloc_make_block_huge(block, page, nreleased);
    page = to;
  }
}

/* All free pages of the first block of 64 that has one. */
static void pagecache_fill(struct pagecache *cache) {
  lock_acquire(&pagealloc.lock);
  size_t page = pagealloc_find_locked(1);
  if (page == PAGE_NONE && pagealloc_grow_locked(1)) {
    page = pagealloc_find_locked(1);
  }
  if (page != PAGE_NONE) {
    size_t block = align_down(page, 64);
    struct chunk_bits *c = &pagealloc.chunks[block >> CHUNK_PAGES_SHIFT];
    size_t word = block % CHUNK_PAGES / 64;
    uint64_t free = ~c->in_use[word];
    cache->page = block;
    cache->free = ALM_TORTURE ? free & -free : free;
    cache->released = c->released[word] & cache->free;
    c->in_use[word] |= cache->free;
    c->released[word] &= ~cache->free;
    pagealloc.npages_resident += bits_count(cache->released);
    pagealloc.npages_free -= bits_count(cache->free & ~cache->released);
    pagealloc.search = ALM_TORTURE ? page + 1 : block + 64;
    pagealloc_update_locked(block, 64);
    pagealloc_count_locked();
  }
  lock_release(&pagealloc.lock);
}

struct page_run pagealloc_take_cached(struct pagecache *cache, size_t npages) {
  if (cache == NULL || npages > PAGECACHE_REQUEST_MAX) {
    return pagealloc_take(npages, 1);
  }
  if (cache->free == 0) {
    pagecache_fill(cache);
  }
  unsigned at = bits_find_run(cache->free, (unsigned)npages);
  if (at >= 64) {
    return pagealloc_take(npages, 1);
  }
  uint64_t mask = bits_span(at, (unsigned)npages);
  struct page_run run = {cache->page + at, npages,
                         (cache->released & mask) == mask,
                         bits_count(cache->released & mask)};
  cache->free &= ~mask;
  cache->released &= ~mask;
  return run;
}

void pagecache_flush(struct pagecache *cache) {
  if (cache->free == 0) {
    return;
  }
  lock_acquire(&pagealloc.lock);
  size_t block = cache->page;
  struct chunk_bits *c = &pagealloc.chunks[block >> CHUNK_PAGES_SHIFT];
  size_t word = block % CHUNK_PAGES / 64;
  c->in_use[word] &= ~cache->free;
  c->released[word] |= cache->released;
  pagealloc.npages_resident -= bits_count(cache->released);
  pagealloc.npages_free += bits_count(cache->free & ~cache->released);
  pagealloc.search = min_size(pagealloc.search, block);
  size_t chunk_end = (block >> CHUNK_PAGES_SHIFT) + 1;
  pagealloc.release_search = max_size(pagealloc.release_search, chunk_end);
  pagealloc_update_locked(block, 64);
  pagealloc_count_locked();
  lock_release(&pagealloc.lock);
  cache->free = 0;
  cache->released = 0;
}

struct page_run pagealloc_release_begin(size_t most) {
  struct page_run run = no_run;
  unsigned group = (unsigned)max_size(os_page_bytes() >> PAGE_SHIFT, 1);
  unsigned cut = (unsigned)max_size(min_size(most, CHUNK_PAGES), group);
  lock_acquire(&pagealloc.lock);
  while (run.npages == 0 && pagealloc.release_search > 0) {
    size_t chunk = pagealloc.release_search - 1;
    unsigned first;
    unsigned n = pagebits_find_releasable(&pagealloc.chunks[chunk],
                                          (unsigned)align_down(cut, group),
                                          group, &first);
    if (n == 0) {
      pagealloc.release_search = chunk;
      continue;
    }
    run.page = chunk * CHUNK_PAGES + first;
    run.npages = n;
    (void)pagealloc_mark_locked(run.page, n);
  }
  lock_release(&pagealloc.lock);
  return run;
}

void pagealloc_release_done(struct page_run run, bool released) {
  lock_acquire(&pagealloc.lock);
  pagealloc_unmark_locked(run.page, run.npages, released);
  lock_release(&pagealloc.lock);
}

size_t pagealloc_npages_resident(void) {
  return atomic_load_relaxed(&memstat->heap_mapped) >> PAGE_SHIFT;
}

size_t pagealloc_npages_free(void) {
  return atomic_load_relaxed(&memstat->heap_free) >> PAGE_SHIFT;
}

static void pagealloc_check_levels(void) {
  CHECK(pagealloc.root == 0 || pagealloc_entries(pagealloc.root) <= 8);
  for (unsigned level = LEAF; level > pagealloc.root;) {
    level--;
    for (size_t i = 0; i < pagealloc_entries(level); i++) {
      const uint64_t *eight = &pagealloc.levels[level + 1][i * 8];
      struct summary s = summary_merge(eight, level_shift[level + 1]);
      CHECK_EQ(pagealloc.levels[level][i], summary_pack(s)); /* [pagealloc.1] */
    }
  }
}

bool pagealloc_check(void) {
  size_t free = 0, resident = 0;
  lock_acquire(&pagealloc.lock);
  for (size_t i = 0; i < heap_map.npages >> CHUNK_PAGES_SHIFT; i++) {
    const struct chunk_bits *c = &pagealloc.chunks[i];
    CHECK(pagebits_check(c));
    CHECK_EQ(pagealloc.levels[LEAF][i], summary_pack(pagebits_summarize(c)));
    size_t released = bits_count_range(c->released, 0, CHUNK_PAGES);
    size_t in_use = bits_count_range(c->in_use, 0, CHUNK_PAGES);
    resident += CHUNK_PAGES - released;
    free += CHUNK_PAGES - released - in_use;
    for (size_t p = 0; p < CHUNK_PAGES; p++) {
      bool below = i * CHUNK_PAGES + p < pagealloc.search;
      CHECK(!below || bits_test(c->in_use, p)); /* [pagealloc.2] */
    }
  }
  pagealloc_check_levels();
  CHECK_EQ(resident, pagealloc.npages_resident + ARENA_OWN_PAGES);
  CHECK_EQ(free, pagealloc.npages_free);
  lock_release(&pagealloc.lock);
  return true;
}

void pagealloc_fork_prepare(void) {
  lock_acquire(&pagealloc.lock);
}

void pagealloc_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&pagealloc.lock);
  } else {
    lock_release(&pagealloc.lock);
  }
}
