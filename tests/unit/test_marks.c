/* mem/marks.c: readiness, and bits against an array of bool. */
#include "support.h"

#include "mem/marks.h"
#include "mem/pagealloc.h"
#include "os/conf.h"
#include "os/os.h"

static void start(void) {
  os_init();
  conf_init();
  REQUIRE(arena_init());
  pagealloc_init();
}

static void compare(void *arg) {
  enum { PAGES = 40, BITS = PAGES * MARK_WORDS_PER_PAGE * 64 };
  static bool model[BITS];
  struct rng r = {*(uint64_t *)arg};
  start();
  REQUIRE(marks_ready(PAGES));
  uintptr_t base = heap_map.base;
  for (size_t i = 0; i < rounds(400000); i++) {
    size_t bit = rng_below(&r, BITS);
    uintptr_t p = base + (bit << GRANULE_SHIFT) + rng_below(&r, 16);
    switch (rng_below(&r, 4)) {
    case 0:
      marks_clear(p);
      model[bit] = false;
      break;
    case 1:
      REQUIRE(marks_test(p) == model[bit]);
      break;
    default:
      REQUIRE(marks_set(p, rng_below(&r, 2)) == !model[bit]);
      model[bit] = true;
      break;
    }
  }
  for (size_t bit = 0; bit < BITS; bit++) {
    const uint64_t *words = marks_of_page(bit / (MARK_WORDS_PER_PAGE * 64));
    size_t in = bit % (MARK_WORDS_PER_PAGE * 64);
    REQUIRE(((words[in / 64] >> (in % 64)) & 1) == model[bit]);
  }
}

static void bits_agree_with_an_array_of_bool(void **state) {
  (void)state;
  uint64_t seed = seed_take();
  child_must_pass(compare, &seed, NULL);
}

static void refuse(void *arg) {
  (void)arg;
  start();
  (void)os_fault_set(OS_RESERVE, 1, 1);
  REQUIRE(!marks_ready(1));
  (void)os_fault_set(OS_RESERVE, 0, 0);
  (void)os_fault_set(OS_READY, 1, 1);
  REQUIRE(!marks_ready(1));
  (void)os_fault_set(OS_READY, 0, 0);
  REQUIRE(marks_ready(1));
  REQUIRE(marks_ready(arena_npages_max()));
  REQUIRE(
      marks_set(heap_map.base + (arena_npages_max() << PAGE_SHIFT) - 16, true));
}

static void what_the_os_refuses_may_be_asked_again(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(refuse, NULL, "reserve=1G");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_agree_with_an_array_of_bool),
      cmocka_unit_test(what_the_os_refuses_may_be_asked_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
