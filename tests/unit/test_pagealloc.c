/* mem/pagealloc.c: known sequences; model/test_pagealloc.c has random ones. */
#include "support.h"

#include "mem/arena.h"
#include "mem/memstat.h"
#include "mem/pagealloc.h"
#include "os/conf.h"
#include "os/os.h"

/* The first page that is not the library's own. */
#define FIRST ((size_t)ARENA_OWN_PAGES)

static void start(void) {
  os_init();
  conf_init();
  REQUIRE(arena_init());
  pagealloc_init();
}

static void first_fit(void *arg) {
  (void)arg;
  start();
  REQUIRE(pagealloc_check());
  struct page_run a = pagealloc_take(10, 1), b = pagealloc_take(20, 1),
                  c = pagealloc_take(5, 1);
  REQUIRE(a.page == FIRST && b.page == FIRST + 10 && c.page == FIRST + 30);
  REQUIRE(a.is_zero && b.is_zero && c.is_zero);
  pagealloc_return(b.page, b.npages);
  REQUIRE(pagealloc_npages_free() == 20);
  REQUIRE(pagealloc_npages_resident() == 35);
  struct page_run d = pagealloc_take(6, 1);
  REQUIRE(d.page == FIRST + 10 && !d.is_zero);
  struct page_run e = pagealloc_take(15, 1);
  REQUIRE(e.page == FIRST + 35 && e.is_zero);
  REQUIRE(pagealloc_take(14, 1).page == FIRST + 16);
  REQUIRE(pagealloc_check());
}

static void the_lowest_fitting_run_is_taken(void **state) {
  (void)state;
  child_must_pass(first_fit, NULL, NULL);
}

static void aligned(void *arg) {
  (void)arg;
  start();
  size_t base = heap_map.base >> PAGE_SHIFT;
  (void)pagealloc_take(3, 1);
  for (size_t align = 1; align <= 8192; align *= 2) {
    struct page_run run = pagealloc_take(7, align);
    REQUIRE(run.npages == 7 && (base + run.page) % align == 0);
    REQUIRE(pagealloc_check());
  }
}

static void aligned_runs_are_aligned(void **state) {
  (void)state;
  child_must_pass(aligned, NULL, NULL);
}

static void use_up(void *arg) {
  (void)arg;
  start();
  REQUIRE(pagealloc_take(arena_npages_max() + 1, 1).npages == 0);
  REQUIRE(pagealloc_take((size_t)1 << 60, 1).npages == 0);
  REQUIRE(pagealloc_take(1, (size_t)1 << 50).npages == 0);
  REQUIRE(pagealloc_take(arena_npages_max() - FIRST + 1, 1).npages == 0);
  struct page_run all = pagealloc_take(arena_npages_max() - FIRST, 1);
  REQUIRE(all.npages == arena_npages_max() - FIRST && all.page == FIRST);
  REQUIRE(pagealloc_take(1, 1).npages == 0);
  struct pagecache cache = {0, 0, 0};
  REQUIRE(pagealloc_take_cached(&cache, 1).npages == 0);
  pagealloc_return(100, 1);
  REQUIRE(pagealloc_take_cached(&cache, 2).npages == 0);
  REQUIRE(pagealloc_take_cached(&cache, 1).page == 100);
  REQUIRE(pagealloc_check());
}

static void the_last_page_can_be_had_and_not_more(void **state) {
  (void)state;
  child_must_pass(use_up, NULL, "reserve=64M");
}

static void take_neighbours(void *arg) {
  (void)arg;
  start();
  struct page_run a = pagealloc_take(4, 1);
  REQUIRE(pagealloc_take_at(FIRST + 4, 10).npages == 10);
  REQUIRE(pagealloc_take_at(FIRST + 13, 2).npages == 0); /* its first is used */
  REQUIRE(pagealloc_take_at(FIRST + 14, 2).npages == 2);
  size_t end = heap_map.npages;
  REQUIRE(pagealloc_take_at(end - 1, 2).npages == 0);
  REQUIRE(pagealloc_take_at(end - 1, 1).npages == 1);
  REQUIRE(pagealloc_take_at(end, 1).npages == 0);
  pagealloc_return(a.page, 4);
  REQUIRE(pagealloc_take_at(FIRST, 4).npages == 4);
  REQUIRE(pagealloc_check());
}

static void neighbours_can_be_taken_if_free(void **state) {
  (void)state;
  child_must_pass(take_neighbours, NULL, NULL);
}

static void release_all(void *arg) {
  (void)arg;
  start();
  struct page_run run = pagealloc_take(1000, 1);
  memset(arena_page_address(run.page), 7, 1000 * PAGE_BYTES);
  pagealloc_return(run.page, 1000);
  REQUIRE(memstat->heap_mapped == 1000 * PAGE_BYTES);
  REQUIRE(memstat->heap_free == 1000 * PAGE_BYTES);
  struct page_run r = pagealloc_release_begin(300);
  REQUIRE(r.npages == 300 && r.page == run.page + 700);
  REQUIRE(pagealloc_npages_free() == 700);
  REQUIRE(pagealloc_take_at(r.page, 1).npages == 0); /* not meanwhile */
  REQUIRE(os_release(arena_page_address(r.page), r.npages << PAGE_SHIFT));
  pagealloc_release_done(r, true);
  REQUIRE(pagealloc_npages_resident() == 700);
  r = pagealloc_release_begin(1000);
  pagealloc_release_done(r, false); /* the OS did not want it */
  REQUIRE(pagealloc_npages_resident() == 700);
  REQUIRE(pagealloc_npages_free() == 700);
  while ((r = pagealloc_release_begin(1000)).npages != 0) {
    pagealloc_release_done(r, true);
  }
  REQUIRE(pagealloc_npages_free() == 0 && pagealloc_npages_resident() == 0);
  REQUIRE(memstat->heap_mapped_max == 1000 * PAGE_BYTES);
  REQUIRE(pagealloc_take(1000, 1).is_zero);
  REQUIRE(pagealloc_check());
}

static void released_pages_are_zero_and_not_resident(void **state) {
  (void)state;
  child_must_pass(release_all, NULL, NULL);
}

/* Pages 300 to 309 hold data, 310 to 319 are taken and new; the rest of the
 * second block of 2 MiB was never used. */
static void make_huge(void *arg) {
  (void)arg;
  start();
  size_t huge = HUGE_BYTES / PAGE_BYTES;
  (void)pagealloc_take(300 - FIRST, 1);
  char *data = arena_page_address(pagealloc_take(10, 1).page);
  memset(data, 7, 10 * PAGE_BYTES);
  struct page_run run = pagealloc_take(10, 1);
  size_t used = run.page + run.npages - FIRST;
  if (ALM_DEBUG) {
    (void)os_fault_set(OS_HUGE, 1, UINT64_MAX);
    pagealloc_make_huge(run);
    REQUIRE(os_fault_set(OS_HUGE, 0, 0) == 1);
    REQUIRE(pagealloc_npages_resident() == used &&
            pagealloc_npages_free() == 0);
    REQUIRE(pagealloc_check());
  }
  pagealloc_make_huge(run);
  size_t rest = 2 * huge - FIRST - used, nfree = pagealloc_npages_free();
  REQUIRE(nfree == 0 || nfree == rest); /* as the machine is set up */
  REQUIRE(pagealloc_npages_resident() == used + nfree);
  REQUIRE(pagealloc_check());
  for (size_t i = 0; i < 20 * PAGE_BYTES; i++) {
    REQUIRE(data[i] == (i < 10 * PAGE_BYTES ? 7 : 0));
  }
  struct page_run next = pagealloc_take(10, 1);
  REQUIRE(next.page == run.page + 10 && next.is_zero == (nfree == 0));
  for (struct page_run r; (r = pagealloc_release_begin(1000)).npages != 0;) {
    REQUIRE(os_release(arena_page_address(r.page), r.npages << PAGE_SHIFT));
    pagealloc_release_done(r, true);
  }
  REQUIRE(pagealloc_npages_resident() == used + 10);
  REQUIRE(pagealloc_check());
}

static void huge_pages_make_what_is_free_around_resident(void **state) {
  (void)state;
  child_must_pass(make_huge, NULL, NULL);
}

/* One page of a block whose others are in use gains nothing. */
static void make_huge_in_vain(void *arg) {
  (void)arg;
  start();
  size_t huge = HUGE_BYTES / PAGE_BYTES;
  (void)pagealloc_take(huge - FIRST, 1);
  (void)pagealloc_take(huge / 2 + 1, 1);
  pagealloc_make_huge(pagealloc_take(1, 1));
  REQUIRE(pagealloc_npages_free() == 0);
  pagealloc_make_huge(pagealloc_take(3 * huge, 1)); /* all that it touches */
  size_t nfree = pagealloc_npages_free();
  REQUIRE(nfree == 0 || nfree == huge / 2 - 2);
  REQUIRE(pagealloc_check());
}

static void blocks_mostly_in_use_are_left_alone(void **state) {
  (void)state;
  child_must_pass(make_huge_in_vain, NULL, NULL);
}

static void cache_pages(void *arg) {
  (void)arg;
  start();
  struct pagecache cache = {0, 0, 0};
  struct page_run a = pagealloc_take_cached(&cache, 1);
  struct page_run b = pagealloc_take_cached(&cache, 1);
  REQUIRE(a.npages == 1 && a.page == FIRST && a.is_zero);
  REQUIRE(b.npages == 1 && b.page == FIRST + 1 && b.is_zero);
  if (!ALM_TORTURE) {
    REQUIRE(pagealloc_npages_resident() == 64 - FIRST); /* the block */
    REQUIRE(pagealloc_take_cached(&cache, 15).page == FIRST + 2);
    REQUIRE(pagealloc_take_cached(&cache, 16).page == 64); /* not from it */
  }
  pagealloc_return(FIRST, 1);
  pagecache_flush(&cache);
  REQUIRE(cache.free == 0);
  REQUIRE(pagealloc_npages_free() == 1);
  REQUIRE(pagealloc_check());
  struct page_run c = pagealloc_take_cached(NULL, 1);
  REQUIRE(c.page == FIRST && !c.is_zero);
  pagecache_flush(&cache); /* empty: nothing */
  REQUIRE(pagealloc_check());
}

static void caches_hold_blocks_of_pages(void **state) {
  (void)state;
  child_must_pass(cache_pages, NULL, NULL);
}

static void grow_with_faults(void *arg) {
  (void)arg;
  start();
  size_t rest = CHUNK_PAGES - FIRST - 10; /* of the first chunk */
  REQUIRE(pagealloc_take(10, 1).npages == 10);
  (void)os_fault_set(OS_READY, 1, UINT64_MAX);
  REQUIRE(pagealloc_take(CHUNK_PAGES, 1).npages == 0);
  REQUIRE(pagealloc_take(rest, 1).npages != 0); /* is there */
  struct pagecache cache = {0, 0, 0};
  REQUIRE(pagealloc_take_cached(&cache, 1).npages == 0);
  (void)os_fault_set(OS_READY, 0, 0);
  REQUIRE(pagealloc_take_cached(&cache, 1).npages == 1);
  REQUIRE(pagealloc_check());
}

static void refused_growth_changes_nothing(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(grow_with_faults, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_lowest_fitting_run_is_taken),
      cmocka_unit_test(aligned_runs_are_aligned),
      cmocka_unit_test(the_last_page_can_be_had_and_not_more),
      cmocka_unit_test(neighbours_can_be_taken_if_free),
      cmocka_unit_test(released_pages_are_zero_and_not_resident),
      cmocka_unit_test(huge_pages_make_what_is_free_around_resident),
      cmocka_unit_test(blocks_mostly_in_use_are_left_alone),
      cmocka_unit_test(caches_hold_blocks_of_pages),
      cmocka_unit_test(refused_growth_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
