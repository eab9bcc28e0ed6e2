/* mem/scavenge.c: one step of returning memory. The goal's arithmetic is in
 * model/test_scavenge.c and sim/test_scavenge.c. */
#include "support.h"

#include "mem/arena.h"
#include "mem/memstat.h"
#include "mem/pagealloc.h"
#include "mem/scavenge.h"
#include "os/conf.h"
#include "os/os.h"

static void start(size_t npages) {
  os_init();
  conf_init();
  REQUIRE(arena_init());
  pagealloc_init();
  struct page_run run = pagealloc_take(npages, 1);
  REQUIRE(run.npages == npages);
  memset(arena_page_address(run.page), 7, npages << PAGE_SHIFT);
  pagealloc_return(run.page, npages);
}

static void step_down(void *arg) {
  (void)arg;
  start(1000);
  REQUIRE(scavenge_step(1000, 0) == 0);
  REQUIRE(scavenge_step(400, 0) == 600);
  REQUIRE(pagealloc_npages_free() == 400);
  REQUIRE(*(char *)arena_page_address(ARENA_OWN_PAGES) == 7);
  REQUIRE(*(char *)arena_page_address(ARENA_OWN_PAGES + 399) == 7);
  REQUIRE(*(char *)arena_page_address(ARENA_OWN_PAGES + 400) == 0);
  REQUIRE(*(char *)arena_page_address(ARENA_OWN_PAGES + 999) == 0);
  REQUIRE(scavenge_step(0, 0) == 400);
  REQUIRE(scavenge_step(0, 0) == 0);
  REQUIRE(memstat->released == 1000 * PAGE_BYTES);
  REQUIRE(pagealloc_npages_resident() == 0);
  REQUIRE(pagealloc_check());
}

static void what_is_to_be_kept_is_kept_at_the_low_end(void **state) {
  (void)state;
  child_must_pass(step_down, NULL, NULL);
}

static void step_in_budget(void *arg) {
  (void)arg;
  start(4000);
  size_t first = scavenge_step(0, 1); /* one system call fits into 1 ns */
  REQUIRE(first > 0 && first <= 512);
  size_t steps = 1;
  for (; pagealloc_npages_free() > 0; steps++) {
    REQUIRE(scavenge_step(0, 1) > 0 || ALM_TORTURE); /* refused */
  }
  REQUIRE(steps >= 4000 / 512);
  REQUIRE(memstat->released == 4000 * PAGE_BYTES);
}

static void a_budget_ends_a_step_early(void **state) {
  (void)state;
  child_must_pass(step_in_budget, NULL, NULL);
}

static void step_refused(void *arg) {
  (void)arg;
  start(1000);
  (void)os_fault_set(OS_RELEASE, 1, UINT64_MAX);
  REQUIRE(scavenge_step(0, 0) == 0);
  REQUIRE(pagealloc_npages_free() == 1000);
  REQUIRE(memstat->released == 0);
  (void)os_fault_set(OS_RELEASE, 0, 0);
  REQUIRE(*(char *)arena_page_address(ARENA_OWN_PAGES + 999) == 7);
  REQUIRE(scavenge_step(0, 0) == 1000);
  REQUIRE(pagealloc_check());
}

static void pages_the_os_refuses_stay_and_are_tried_again(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(step_refused, NULL, NULL);
}

static void the_goal_is_the_decayed_peak(void **state) {
  (void)state;
  struct scavenge_goal g = {0};
  assert_int_equal(scavenge_goal_step(&g, 100 * MIB, 1, 1000), 0);
  assert_int_equal(scavenge_goal_step(&g, 0, 1000000, 1000000), 50 * MIB);
  assert_int_equal(scavenge_goal_step(&g, 20 * MIB, 0, 1000000), 30 * MIB);
  assert_int_equal(scavenge_goal_step(&g, 60 * MIB, 5, 1000000), 0);
  assert_int_equal(g.peak_bytes, 60 * MIB);
  assert_true(scavenge_goal_step(&g, 0, UINT64_MAX, 3600000000000) < 16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_to_be_kept_is_kept_at_the_low_end),
      cmocka_unit_test(a_budget_ends_a_step_early),
      cmocka_unit_test(pages_the_os_refuses_stay_and_are_tried_again),
      cmocka_unit_test(the_goal_is_the_decayed_peak),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
