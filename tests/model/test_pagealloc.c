/* The page allocator against arrays of bool: millions of random operations.
 * What is taken must be the first fit in address order. */
#include "support.h"

#include "base/bits.h"
#include "mem/arena.h"
#include "mem/pagealloc.h"
#include "os/conf.h"
#include "os/os.h"

enum { PAGES_MAX = 16384, RUNS_MAX = 2000, CACHES = 3 };

static struct {
  size_t npages;
  unsigned char used[PAGES_MAX];     /* 1: in use, or in a cache */
  unsigned char released[PAGES_MAX]; /* only where used is 0     */
  size_t nfree, nreleased;           /* free at all; and released */
  struct page_run runs[RUNS_MAX];
  size_t nruns;
  struct pagecache caches[CACHES];
} m;

/* New pages are free and released. */
static void model_grow(void) {
  size_t now = heap_map.npages;
  REQUIRE(now % CHUNK_PAGES == 0 && now >= m.npages && now <= PAGES_MAX);
  memset(m.released + m.npages, 1, now - m.npages);
  m.nfree += now - m.npages;
  m.nreleased += now - m.npages;
  m.npages = now;
}

/* First fit by looking at every page. */
static size_t model_find(size_t npages) {
  size_t at = 0;
  while (at + npages <= m.npages) {
    const unsigned char *hit = memchr(m.used + at, 1, npages);
    if (hit == NULL) {
      return at;
    }
    const unsigned char *next =
        memchr(hit, 0, (size_t)(m.used + m.npages - hit));
    at = next == NULL ? m.npages : (size_t)(next - m.used);
  }
  return PAGE_NONE;
}

/* Take [page, page + n) in the model; returns whether all were released. */
static bool model_mark(size_t page, size_t n) {
  size_t released = 0;
  for (size_t i = page; i < page + n; i++) {
    REQUIRE(i < m.npages && !m.used[i]);
    released += m.released[i];
    m.used[i] = 1;
    m.released[i] = 0;
  }
  m.nfree -= n;
  m.nreleased -= released;
  return released == n;
}

static void start(size_t reserve) {
  char options[64];
  snprintf(options, sizeof options, "reserve=%zu", reserve);
  setenv("ALMACEN", options, 1);
  os_init();
  conf_init();
  REQUIRE(arena_init());
  pagealloc_init();
  model_grow();
  (void)model_mark(0, ARENA_OWN_PAGES); /* the library's own */
}

static void model_unmark(size_t page, size_t n, bool released) {
  for (size_t i = page; i < page + n; i++) {
    REQUIRE(m.used[i]);
    m.used[i] = 0;
    m.released[i] = released;
  }
  m.nfree += n;
  m.nreleased += released ? n : 0;
}

static void keep(struct page_run run) {
  m.runs[m.nruns++] = run;
}

static void op_take(size_t n, size_t align) {
  size_t wide = n + align - 1;
  size_t before = model_find(wide);
  struct page_run run = pagealloc_take(n, align);
  model_grow();
  size_t page = model_find(wide);
  REQUIRE(before == PAGE_NONE || before == page);
  if (page == PAGE_NONE) {
    REQUIRE(run.npages == 0);
    return;
  }
  REQUIRE(run.npages == n);
  if (align == 1) {
    REQUIRE(run.page == page);
  } else {
    size_t base = heap_map.base >> PAGE_SHIFT;
    REQUIRE((base + run.page) % align == 0);
    REQUIRE(run.page >= page && run.page + n <= page + wide);
  }
  REQUIRE(run.is_zero == model_mark(run.page, n));
  keep(run);
}

static void op_take_at(struct rng *r) {
  size_t page = rng_below(r, m.npages + 4), n = 1 + rng_size(r, 700);
  bool is_free = page + n <= m.npages && !memchr(m.used + page, 1, n);
  struct page_run run = pagealloc_take_at(page, n);
  REQUIRE(is_free == (run.npages == n));
  if (is_free) {
    REQUIRE(run.page == page && run.is_zero == model_mark(page, n));
    keep(run);
  }
}

static void model_fill(struct pagecache *c) {
  size_t page = model_find(1);
  if (page == PAGE_NONE) {
    return;
  }
  c->page = align_down(page, 64);
  for (size_t i = page; i < c->page + 64; i++) {
    uint64_t bit = (uint64_t)1 << (i - c->page);
    if (!m.used[i] && !(ALM_TORTURE && i != page)) {
      c->free |= bit;
      c->released |= m.released[i] ? bit : 0;
      model_mark(i, 1);
    }
  }
}

static void op_take_cached(struct pagecache *c, size_t n) {
  if (n > PAGECACHE_REQUEST_MAX) {
    return;
  }
  struct pagecache twin = *c;
  bool had = model_find(1) != PAGE_NONE;
  struct page_run run = pagealloc_take_cached(c, n);
  if (twin.free == 0 && had) {
    model_fill(&twin); /* before pages that only this call's growth brought */
  }
  model_grow();
  if (twin.free == 0 && !had) {
    model_fill(&twin);
  }
  size_t at = 0;
  while (at + n <= 64 &&
         ((twin.free >> at) & bits_low((unsigned)n)) != bits_low((unsigned)n)) {
    at++;
  }
  if (at + n <= 64) {
    uint64_t mask = bits_span((unsigned)at, (unsigned)n);
    REQUIRE(run.npages == n && run.page == twin.page + at);
    REQUIRE(run.is_zero == ((twin.released & mask) == mask));
    twin.free &= ~mask;
    twin.released &= ~mask;
    keep(run);
  } else {
    size_t page = model_find(n);
    REQUIRE((page == PAGE_NONE) == (run.npages == 0));
    if (page != PAGE_NONE) {
      REQUIRE(run.page == page && run.npages == n);
      REQUIRE(run.is_zero == model_mark(page, n));
      keep(run);
    }
  }
  REQUIRE(c->free == twin.free && c->released == twin.released);
  REQUIRE(c->free == 0 || c->page == twin.page);
}

static void op_flush(struct pagecache *c) {
  for (unsigned i = 0; i < 64; i++) {
    if ((c->free >> i) & 1) {
      model_unmark(c->page + i, 1, (c->released >> i) & 1);
    }
  }
  pagecache_flush(c);
  REQUIRE(c->free == 0 && c->released == 0);
}

static void op_return(struct rng *r) {
  if (m.nruns == 0) {
    return;
  }
  size_t i = rng_below(r, m.nruns);
  struct page_run *run = &m.runs[i];
  size_t page = run->page, n = run->npages;
  if (n > 1 && rng_below(r, 4) == 0) { /* a part: what realloc does */
    size_t kept = 1 + rng_below(r, n - 1);
    page += kept;
    n -= kept;
    run->npages = kept;
  } else {
    *run = m.runs[--m.nruns];
  }
  pagealloc_return(page, n);
  model_unmark(page, n, false);
}

/* The highest releasable run inside the highest chunk that has one. */
static size_t model_releasable(size_t most, size_t *page) {
  size_t end = m.npages;
  while (end > 0 && (m.used[end - 1] || m.released[end - 1])) {
    end--;
  }
  size_t first = end;
  while (first > 0 && end - first < most && !m.used[first - 1] &&
         !m.released[first - 1] && (first == end || first % CHUNK_PAGES != 0)) {
    first--;
  }
  *page = first;
  return end - first;
}

static void op_release(struct rng *r, bool ok) {
  size_t most = 1 + rng_size(r, 600), page;
  size_t n = model_releasable(min_size(most, CHUNK_PAGES), &page);
  struct page_run run = pagealloc_release_begin(most);
  if (os_page_bytes() <= PAGE_BYTES) { /* else whole OS pages only */
    REQUIRE(run.npages == n && (n == 0 || run.page == page));
  }
  if (run.npages == 0) {
    return;
  }
  (void)model_mark(run.page, run.npages);
  if (rng_below(r, 8) == 0) {
    op_take(1 + rng_size(r, 64), 1); /* another thread meanwhile */
    while (m.nruns == RUNS_MAX) {
      op_return(r);
    }
  }
  pagealloc_release_done(run, ok);
  model_unmark(run.page, run.npages, ok);
}

/* Release all there is, then what caches still had. */
static void op_release_all(struct rng *r) {
  for (size_t i = 0; i <= CACHES; i++) {
    while (m.nfree > m.nreleased) {
      op_release(r, true);
    }
    if (i < CACHES) {
      op_flush(&m.caches[i]);
    }
  }
}

static void compare_counts(void) {
  size_t resident = m.npages - ARENA_OWN_PAGES - m.nreleased;
  REQUIRE(pagealloc_npages_resident() == resident);
  REQUIRE(pagealloc_npages_free() == m.nfree - m.nreleased);
}

static void one_op(struct rng *r, size_t size_max) {
  struct pagecache *c = &m.caches[rng_below(r, CACHES)];
  switch (rng_below(r, 32)) {
  case 0:
    op_take_at(r);
    break;
  case 1:
    op_flush(c);
    break;
  case 2:
    if (rng_below(r, 20) == 0) {
      op_release_all(r);
    } else {
      op_release(r, rng_below(r, 4) != 0);
    }
    break;
  case 3:
    op_take(1 + rng_size(r, size_max), (size_t)1 << rng_below(r, 11));
    break;
  case 4 ... 9:
    op_take_cached(c, 1 + rng_below(r, 15));
    break;
  case 10 ... 17:
    op_take(1 + rng_size(r, size_max), 1);
    break;
  default:
    op_return(r);
    break;
  }
  while (m.nruns == RUNS_MAX) { /* it may return a part only */
    op_return(r);
  }
  compare_counts();
}

static void return_everything(void) {
  for (size_t i = 0; i < CACHES; i++) {
    op_flush(&m.caches[i]);
  }
  while (m.nruns > 0) {
    struct page_run run = m.runs[--m.nruns];
    pagealloc_return(run.page, run.npages);
    model_unmark(run.page, run.npages, false);
  }
  REQUIRE(m.nfree == m.npages - ARENA_OWN_PAGES);
  compare_counts();
  REQUIRE(pagealloc_check());
}

/* Phases with more takes than returns and the other way round come from the
 * sizes: many small ones fill up, large ones fail and let returns win. */
static void run_operations(void *arg) {
  struct rng r = {*(uint64_t *)arg};
  start((size_t)PAGES_MAX << PAGE_SHIFT);
  size_t count = rounds(600000);
  for (size_t i = 0; i < count; i++) {
    static const size_t sizes[] = {4, 40, 700, 6000};
    one_op(&r, sizes[i / 5000 % 4]);
    if (i % 2000 == 1999) {
      REQUIRE(pagealloc_check());
    }
    if (i % 100000 == 99999) {
      return_everything();
    }
  }
  return_everything();
}

static void random_operations_agree_with_a_bool_array(void **state) {
  (void)state;
  uint64_t seed = seed_take();
  for (uint64_t i = 0; i < 4; i++) {
    uint64_t one = seed + i;
    child_must_pass(run_operations, &one, NULL);
  }
}

/* ---- a big heap, for the upper levels ---------------------------------- */

#define BIG_PAGES ((size_t)40 * GIB >> PAGE_SHIFT)

static int by_page(const void *a, const void *b) {
  const struct page_run *x = a, *y = b;
  return x->page < y->page ? -1 : x->page > y->page;
}

/* First gap of npages between the sorted runs. */
static size_t gap_find(size_t npages) {
  size_t at = ARENA_OWN_PAGES;
  for (size_t i = 0; i < m.nruns; i++) {
    if (m.runs[i].page - at >= npages) {
      return at;
    }
    at = m.runs[i].page + m.runs[i].npages;
  }
  return at + npages <= BIG_PAGES ? at : PAGE_NONE;
}

static void run_big(void *arg) {
  struct rng r = {*(uint64_t *)arg};
  start(BIG_PAGES << PAGE_SHIFT);
  if (arena_npages_max() < BIG_PAGES) {
    return; /* no such address space here */
  }
  size_t count = rounds(60000);
  for (size_t i = 0; i < count; i++) {
    bool take = m.nruns < 300 && rng_below(&r, 100) < 55;
    if (take) {
      size_t n = 1 + rng_size(&r, i % 3 ? BIG_PAGES / 8 : CHUNK_PAGES * 3);
      if (rng_below(&r, 4) == 0) { /* whole blocks of a level */
        n = (size_t)1 << (9 + 3 * rng_below(&r, 5));
      }
      size_t page = gap_find(n);
      struct page_run run = pagealloc_take(n, 1);
      REQUIRE((run.npages == 0) == (page == PAGE_NONE));
      REQUIRE(run.npages == 0 || (run.page == page && run.npages == n));
      if (run.npages != 0) {
        keep(run);
        qsort(m.runs, m.nruns, sizeof m.runs[0], by_page);
      }
    } else if (m.nruns > 0) {
      size_t at = rng_below(&r, m.nruns);
      pagealloc_return(m.runs[at].page, m.runs[at].npages);
      memmove(&m.runs[at], &m.runs[at + 1],
              (--m.nruns - at) * sizeof m.runs[0]);
    }
    if (i % 5000 == 4999) {
      REQUIRE(pagealloc_check());
    }
  }
  REQUIRE(pagealloc_check());
}

static void first_fit_holds_across_all_five_levels(void **state) {
  (void)state;
  uint64_t seed = seed_take();
  child_must_pass(run_big, &seed, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_operations_agree_with_a_bool_array),
      cmocka_unit_test(first_fit_holds_across_all_five_levels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
