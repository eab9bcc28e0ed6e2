/* tests/compat/libgc/functions_statistics.c -- what the library says of itself
 * in numbers. Only what the documentation relates is compared. */
#include "check.h"

static void *kept;

enum { MIB = 1 << 20 };

static APART void allocate(size_t bytes, size_t each) {
  for (size_t n = 0; n < bytes; n += each) GC_malloc(each);
}

TEST("GC_get_heap_size holds what is reachable") {
  kept = GC_malloc(20 * MIB);
  CHECK_THAT(GC_get_heap_size(), >=, 20 * MIB);
  CHECK_THAT(GC_get_heap_size(), >=, GC_get_free_bytes());
  kept = NULL;
}

static void make_large(void *unused) {
  (void)unused;
  kept = GC_malloc(50 * MIB);
}

TEST("GC_get_free_bytes and GC_get_unmapped_bytes grow when an object dies") {
  apart(make_large, NULL);
  GC_gcollect();
  size_t before = GC_get_free_bytes() + GC_get_unmapped_bytes();
  kept = NULL;
  wipe_stack();
  GC_gcollect();
  size_t after = GC_get_free_bytes() + GC_get_unmapped_bytes();
  CHECK_THAT(after, >=, before + 45 * MIB);
  CHECK_THAT(GC_get_free_bytes(), <=, GC_get_heap_size());
}

TEST("GC_get_obtained_from_os_bytes holds the heap and never falls") {
  size_t before = GC_get_obtained_from_os_bytes();
  CHECK_THAT(before, >=, GC_get_heap_size() + GC_get_unmapped_bytes());
  kept = GC_malloc(100 * MIB);
  CHECK_THAT(GC_get_obtained_from_os_bytes(), >=, 100 * MIB);
  CHECK_THAT(GC_get_obtained_from_os_bytes(), >=, before);
  before = GC_get_obtained_from_os_bytes();
  kept = NULL;
  GC_gcollect_and_unmap();
  CHECK_THAT(GC_get_obtained_from_os_bytes(), >=, before);
}

TEST("GC_get_bytes_since_gc counts allocation and starts anew") {
  GC_gcollect();
  GC_disable();
  size_t before = GC_get_bytes_since_gc();
  CHECK_THAT(before, <, MIB);
  allocate(10 * MIB, 1024);
  allocate(10 * MIB, 100000);
  CHECK_THAT(GC_get_bytes_since_gc(), >=, before + 19 * MIB);
  GC_enable();
  GC_gcollect();
  CHECK_THAT(GC_get_bytes_since_gc(), <, MIB);
}

TEST("GC_get_total_bytes counts allocation and never falls") {
  size_t before = GC_get_total_bytes();
  allocate(10 * MIB, 1024);
  allocate(10 * MIB, 100000);
  size_t after = GC_get_total_bytes();
  CHECK_THAT(after, >=, before + 19 * MIB);
  CHECK_THAT(after, <=, before + 60 * MIB);
  GC_gcollect();
  CHECK_THAT(GC_get_total_bytes(), >=, after);
}

TEST("GC_get_expl_freed_bytes_since_gc counts what is freed") {
  GC_gcollect();
  GC_disable();
  size_t before = GC_get_expl_freed_bytes_since_gc();
  CHECK_THAT(before, <, MIB);
  for (int i = 0; i < 100; i++) GC_free(GC_malloc(100000));
  CHECK_THAT(GC_get_expl_freed_bytes_since_gc(), >=, before + 9 * MIB);
  GC_enable();
  GC_gcollect();
  CHECK_THAT(GC_get_expl_freed_bytes_since_gc(), <, MIB);
}

TEST("GC_get_memory_use counts what objects take") {
  GC_gcollect();
  size_t before = GC_get_memory_use();
  apart(make_large, NULL);
  size_t most = GC_get_memory_use();
  CHECK_THAT(most, >=, before + 50 * MIB);
  kept = NULL;
  wipe_stack();
  GC_gcollect();
  CHECK_THAT(GC_get_memory_use(), <=, most - 45 * MIB);
}

TEST("GC_get_heap_usage_safe tells the same as the getters") {
  GC_word heap, free_bytes, unmapped, since, total;
  GC_gcollect();
  GC_get_heap_usage_safe(&heap, &free_bytes, &unmapped, &since, &total);
  CHECK_THAT(heap, ==, GC_get_heap_size());
  CHECK_THAT(free_bytes, ==, GC_get_free_bytes());
  CHECK_THAT(unmapped, ==, GC_get_unmapped_bytes());
  CHECK_THAT(since, ==, GC_get_bytes_since_gc());
  CHECK_THAT(total, ==, GC_get_total_bytes());
  GC_get_heap_usage_safe(NULL, NULL, NULL, NULL, NULL);
  GC_get_heap_usage_safe(&heap, NULL, NULL, NULL, NULL);
  CHECK_THAT(heap, ==, GC_get_heap_size());
}

/* ---- all at once --------------------------------------------------------- */

typedef size_t statistics(struct GC_prof_stats_s *, size_t);

static void check_statistics(statistics *get) {
  struct GC_prof_stats_s s;
  memset(&s, 0x55, sizeof s);
  CHECK_THAT(get(&s, sizeof s), ==, sizeof s);
  CHECK_THAT(s.heapsize_full, ==, GC_get_heap_size() + GC_get_unmapped_bytes());
  CHECK_THAT(s.free_bytes_full, ==,
             GC_get_free_bytes() + GC_get_unmapped_bytes());
  CHECK_THAT(s.unmapped_bytes, ==, GC_get_unmapped_bytes());
  CHECK_THAT(s.bytes_allocd_since_gc, ==, GC_get_bytes_since_gc());
  CHECK_THAT(s.allocd_bytes_before_gc, ==,
             GC_get_total_bytes() - GC_get_bytes_since_gc());
  CHECK_THAT(s.non_gc_bytes, ==, GC_get_non_gc_bytes());
  CHECK_THAT(s.gc_no, ==, GC_get_gc_no());
  CHECK_THAT(s.markers_m1, ==, GC_get_parallel());
  CHECK_THAT(s.expl_freed_bytes_since_gc, ==,
             GC_get_expl_freed_bytes_since_gc());
  CHECK_THAT(s.obtained_from_os_bytes, ==, GC_get_obtained_from_os_bytes());
}

static void *check_statistics_locked(void *unused) {
  check_statistics(GC_get_prof_stats_unsafe);
  return unused;
}

TEST("GC_get_prof_stats tells the same as the getters") {
  allocate(3 * MIB, 64);
  GC_gcollect();
  allocate(MIB, 64);
  check_statistics(GC_get_prof_stats);
}

TEST("GC_get_prof_stats_unsafe as well, with the lock held") {
  GC_call_with_alloc_lock(check_statistics_locked, NULL);
}

TEST("a shorter structure is filled as far as it goes") {
  struct GC_prof_stats_s s;
  size_t size = offsetof(struct GC_prof_stats_s, non_gc_bytes);
  memset(&s, 0x55, sizeof s);
  CHECK_THAT(GC_get_prof_stats(&s, size), ==, size);
  CHECK_THAT(s.gc_no, ==, 0x5555555555555555);
  CHECK_THAT(s.heapsize_full, ==, GC_get_heap_size() + GC_get_unmapped_bytes());
}

TEST("a longer structure gets ones where nothing is known") {
  struct {
    struct GC_prof_stats_s known;
    GC_word unknown[4];
  } s;
  memset(&s, 0, sizeof s);
  size_t filled = GC_get_prof_stats(&s.known, sizeof s);
  CHECK_THAT(filled, >=, sizeof s.known);
  CHECK_THAT(filled, <, sizeof s);
  CHECK_THAT(s.unknown[3], ==, -1);
}

TEST("what a collection reclaims is counted") {
  struct GC_prof_stats_s before, after;
  GC_gcollect();
  GC_disable();
  GC_get_prof_stats(&before, sizeof before);
  allocate(20 * MIB, 50000);
  GC_enable();
  GC_gcollect();
  GC_gcollect();
  GC_get_prof_stats(&after, sizeof after);
  CHECK_THAT(after.bytes_reclaimed_since_gc + after.reclaimed_bytes_before_gc,
             >=,
             before.bytes_reclaimed_since_gc +
                 before.reclaimed_bytes_before_gc + 15 * MIB);
}

/* ---- time ---------------------------------------------------------------- */

static void make_tree(void *depth) {
  void **node = GC_malloc(4 * sizeof *node);
  int next = *(int *)depth - 1;
  kept = node;
  for (int i = 0; i < 4 && next > 0; i++) {
    make_tree(&next);
    node[i] = kept;
  }
  kept = node;
}

TEST("GC_get_full_gc_total_time grows once the measurement is started") {
  int depth = 9;
  CHECK_THAT(GC_get_full_gc_total_time(), ==, 0);
  make_tree(&depth);
  GC_gcollect();
  GC_start_performance_measurement();
  for (int i = 0; i < 1000 && GC_get_full_gc_total_time() < 20; i++)
    GC_gcollect();
  CHECK_THAT(GC_get_full_gc_total_time(), >, 0);
  CHECK_THAT(GC_get_full_gc_total_time(), <, 600 * 1000);
  kept = NULL;
}

int main(void) {
  GC_INIT();
  return run_tests();
}
