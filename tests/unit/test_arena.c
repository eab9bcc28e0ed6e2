/* mem/arena.c: the region, its size under limits, its growth. */
#include "support.h"

#include "mem/arena.h"
#include "mem/memstat.h"
#include "os/conf.h"
#include "os/os.h"

static bool start(void) {
  os_init();
  conf_init();
  return arena_init();
}

static void extend_and_touch(void *arg) {
  (void)arg;
  REQUIRE(!arena_contains((void *)&heap_map) && !arena_contains(NULL));
  REQUIRE(start());
  REQUIRE(heap_map.base % ARENA_BYTES == 0);
  REQUIRE(heap_map.npages == CHUNK_PAGES);
  REQUIRE(arena_extend(3 * CHUNK_PAGES));
  REQUIRE(heap_map.npages == 3 * CHUNK_PAGES);
  char *last = (char *)heap_map.base + 3 * CHUNK_BYTES - 1;
  REQUIRE(*last == 0);
  *last = 1;
  REQUIRE(arena_contains(last) && !arena_contains(last + 1));
  REQUIRE(!arena_contains((char *)heap_map.base - 1));
  REQUIRE(arena_page_of(last) == 3 * CHUNK_PAGES - 1);
  REQUIRE(arena_page_address(1) == (char *)heap_map.base + PAGE_BYTES);
  heap_map.tags[3 * CHUNK_PAGES - 1] = PAGE_TAG(67, 3);
  REQUIRE(PAGE_TAG_CLASS(heap_map.tags[3 * CHUNK_PAGES - 1]) == 67);
  REQUIRE(PAGE_TAG_OFFSET(PAGE_TAG(67, 3)) == 3 * PAGE_BYTES);
  heap_map.spans[3 * CHUNK_PAGES - 1] = NULL;
  REQUIRE(arena_page_of(heap_map.tags) < ARENA_OWN_PAGES);
}

static void the_region_grows_by_chunks_with_its_tables(void **state) {
  (void)state;
  child_must_pass(extend_and_touch, NULL, NULL);
}

/* Tables and their contents move out when the second arena comes. */
static void extend_past_one_arena(void *arg) {
  (void)arg;
  REQUIRE(start());
  struct span *stored = (struct span *)(uintptr_t)4096;
  heap_map.tags[CHUNK_PAGES - 1] = PAGE_TAG(9, 2);
  heap_map.spans[CHUNK_PAGES - 1] = stored;
  const uint16_t *old = heap_map.tags;
  REQUIRE(arena_extend(ARENA_PAGES) && heap_map.tags == old);
  REQUIRE(arena_extend(ARENA_PAGES + CHUNK_PAGES) && heap_map.tags != old);
  REQUIRE(!arena_contains(heap_map.tags) && !arena_contains(heap_map.spans));
  REQUIRE(arena_tag(CHUNK_PAGES - 1) == PAGE_TAG(9, 2));
  REQUIRE(arena_span(CHUNK_PAGES - 1) == stored);
  REQUIRE(old[CHUNK_PAGES - 1] == PAGE_TAG(9, 2)); /* [arena.3] */
  heap_map.tags[ARENA_PAGES + CHUNK_PAGES - 1] = 7;
  heap_map.tags[CHUNK_PAGES - 1] = 0;
  heap_map.spans[CHUNK_PAGES - 1] = NULL;
  const uint16_t *moved = heap_map.tags;
  REQUIRE(arena_extend(40 * ARENA_PAGES) && heap_map.tags == moved);
  REQUIRE(arena_tag(ARENA_PAGES + CHUNK_PAGES - 1) == 7);
}

static void the_tables_leave_the_first_pages_once(void **state) {
  (void)state;
  child_must_pass(extend_past_one_arena, NULL, NULL);
}

static void grow_to_the_end(void *arg) {
  (void)arg;
  REQUIRE(start());
  REQUIRE(memstat->reserved == 64 * MIB);
  REQUIRE(arena_npages_max() == 64 * MIB >> PAGE_SHIFT);
  REQUIRE(arena_extend(arena_npages_max()));
  size_t own_bytes = ARENA_OWN_PAGES << PAGE_SHIFT;
  memset((char *)heap_map.base + own_bytes, 1, 64 * MIB - own_bytes);
  REQUIRE(!arena_extend(arena_npages_max() + CHUNK_PAGES));
  REQUIRE(heap_map.npages == arena_npages_max());
}

static void the_reserve_option_bounds_the_region(void **state) {
  (void)state;
  child_must_pass(grow_to_the_end, NULL, "reserve=64M");
}

static void write_base(void *arg) {
  REQUIRE(start());
  *(uintptr_t *)arg = heap_map.base;
}

static uintptr_t base_with(const char *options) {
  uintptr_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  child_must_pass(write_base, shared, options);
  uintptr_t base = *shared;
  munmap(shared, 4096);
  return base;
}

static void the_base_is_random_unless_seeded(void **state) {
  (void)state;
  if (UNDER_ASAN || UNDER_TSAN) {
    skip(); /* their shadow is where it would be */
  }
  uintptr_t a = base_with(NULL), b = base_with(NULL), c = base_with(NULL);
  assert_true(a != b || b != c);
  assert_true(base_with("seed=5") == base_with("seed=5"));
  assert_true(base_with("seed=5") != base_with("seed=6"));
}

static void start_under_limit(void *arg) {
  size_t limit = *(size_t *)arg;
  struct rlimit l = {limit, limit};
  REQUIRE(setrlimit(RLIMIT_AS, &l) == 0);
  REQUIRE(start());
  REQUIRE(memstat->reserved < limit);
  REQUIRE(memstat->reserved >= limit / 4);
  REQUIRE(arena_extend(arena_npages_max()));
  void *stack = mmap(NULL, limit / 32, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(stack != MAP_FAILED); /* the program has room, too */
}

static void under_ulimit_v_the_region_shrinks(void **state) {
  (void)state;
  if (UNDER_ASAN || UNDER_TSAN) {
    skip(); /* their shadow does not fit */
  }
  static size_t limits[] = {96 * MIB, 256 * MIB, 1 * GIB, 20 * GIB};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    child_must_pass(start_under_limit, &limits[i], NULL);
  }
}

static void start_without_space(void *arg) {
  struct rlimit l = {4 * MIB, 64 * MIB};
  (void)arg;
  REQUIRE(setrlimit(RLIMIT_AS, &l) == 0);
  REQUIRE(!start());
  l.rlim_cur = 64 * MIB;
  REQUIRE(setrlimit(RLIMIT_AS, &l) == 0);
  REQUIRE(arena_init()); /* later there is some */
}

static void without_any_space_it_fails_and_may_be_tried_again(void **state) {
  (void)state;
  if (UNDER_ASAN || UNDER_TSAN) {
    skip();
  }
  child_must_pass(start_without_space, NULL, NULL);
}

static void extend_with_faults(void *arg) {
  (void)arg;
  REQUIRE(start());
  bool ok = false;
  for (uint64_t nth = 1; !ok; nth++) {
    REQUIRE(nth < 50);
    (void)os_fault_set(OS_READY, nth, 1);
    size_t before = heap_map.npages;
    ok = arena_extend(before + ARENA_PAGES);
    REQUIRE(heap_map.npages == before + (ok ? ARENA_PAGES : 0));
  }
  (void)os_fault_set(OS_READY, 0, 0);
  memset(arena_page_address(CHUNK_PAGES), 1, ARENA_BYTES);
}

static void a_refused_extension_changes_nothing(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    skip();
  }
  child_must_pass(extend_with_faults, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_region_grows_by_chunks_with_its_tables),
      cmocka_unit_test(the_tables_leave_the_first_pages_once),
      cmocka_unit_test(the_reserve_option_bounds_the_region),
      cmocka_unit_test(the_base_is_random_unless_seeded),
      cmocka_unit_test(under_ulimit_v_the_region_shrinks),
      cmocka_unit_test(without_any_space_it_fails_and_may_be_tried_again),
      cmocka_unit_test(a_refused_extension_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
