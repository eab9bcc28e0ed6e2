/* tests/compat/libgc/functions_parameters.c -- settings: their defaults, their
 * getters, and the variables behind them. */
#include "check.h"

/* A setting's default, and that its getter and variable follow its setter. */
#define CHECK_SETTING(name, initial, other)                                    \
  do {                                                                         \
    CHECK_THAT(GC_get_##name(), ==, initial);                                  \
    GC_set_##name(other);                                                      \
    CHECK_THAT(GC_get_##name(), ==, other);                                    \
    GC_set_##name(initial);                                                    \
    CHECK_THAT(GC_get_##name(), ==, initial);                                  \
  } while (0)

#define CHECK_VARIABLE(name, initial, other)                                   \
  do {                                                                         \
    CHECK_THAT(GC_##name, ==, initial);                                        \
    GC_set_##name(other);                                                      \
    CHECK_THAT(GC_##name, ==, other);                                          \
    GC_##name = initial;                                                       \
    CHECK_THAT(GC_get_##name(), ==, initial);                                  \
  } while (0)

static void use_heap(void) {
  for (int i = 0; i < 20000; i++) GC_malloc(100);
  GC_gcollect();
}

TEST("GC_set_free_space_divisor: 3 unless set") {
  CHECK_SETTING(free_space_divisor, 3, 20);
  CHECK_VARIABLE(free_space_divisor, 3, 7);
}

static size_t heap_after_churn(GC_word divisor) {
  GC_set_free_space_divisor(divisor);
  GC_gcollect_and_unmap();
  size_t most = 0;
  for (int i = 0; i < 400000; i++) {
    GC_malloc(512);
    if (i % 1000 == 0 && GC_get_heap_size() > most) most = GC_get_heap_size();
  }
  return most;
}

TEST("a larger divisor takes no more memory") {
  static void *live[20000];
  for (int i = 0; i < 20000; i++) live[i] = GC_malloc(512);
  size_t small = heap_after_churn(50);
  size_t large = heap_after_churn(1);
  CHECK_THAT(small, <=, large);
  GC_set_free_space_divisor(3);
  memset(live, 0, sizeof live);
}

TEST("GC_set_full_freq: 19 unless set") {
  CHECK_SETTING(full_freq, 19, 4);
  CHECK_VARIABLE(full_freq, 19, 100);
}

TEST("GC_set_max_retries: 0 unless set") {
  CHECK_SETTING(max_retries, 0, 5);
  CHECK_VARIABLE(max_retries, 0, 2);
}

TEST("GC_set_non_gc_bytes sets what GC_get_non_gc_bytes tells") {
  GC_word before = GC_get_non_gc_bytes();
  CHECK_SETTING(non_gc_bytes, before, before + 100000);
  CHECK_VARIABLE(non_gc_bytes, before, before + 5);
}

TEST("GC_set_dont_expand: off unless set") {
  CHECK_SETTING(dont_expand, 0, 1);
  CHECK_VARIABLE(dont_expand, 0, 1);
}

TEST("GC_set_no_dls: off unless set") {
  CHECK_SETTING(no_dls, 0, 1);
  CHECK_VARIABLE(no_dls, 0, 1);
}

TEST("GC_set_dont_precollect: off unless set") {
  CHECK_SETTING(dont_precollect, 0, 1);
  CHECK_VARIABLE(dont_precollect, 0, 1);
}

TEST("GC_set_finalize_on_demand: off unless set") {
  CHECK_SETTING(finalize_on_demand, 0, 1);
  CHECK_VARIABLE(finalize_on_demand, 0, 1);
}

TEST("GC_set_java_finalization: on unless set") {
  CHECK_SETTING(java_finalization, 1, 0);
  CHECK_VARIABLE(java_finalization, 1, 0);
}

TEST("GC_set_find_leak: off unless set") {
  CHECK_SETTING(find_leak, 0, 1);
  CHECK_VARIABLE(find_leak, 0, 1);
}

TEST("GC_set_all_interior_pointers: on unless set") {
  CHECK_THAT(GC_get_all_interior_pointers(), ==, 1);
  CHECK_THAT(GC_all_interior_pointers, ==, 1);
  GC_set_all_interior_pointers(1);
  CHECK_THAT(GC_get_all_interior_pointers(), ==, 1);
}

TEST("GC_set_force_unmap_on_gcollect: off unless set") {
  CHECK_SETTING(force_unmap_on_gcollect, 0, 1);
}

TEST("GC_set_disable_automatic_collection: off unless set") {
  CHECK_SETTING(disable_automatic_collection, 0, 1);
}

TEST("GC_set_allocd_bytes_per_finalizer: 10000 unless set") {
  CHECK_SETTING(allocd_bytes_per_finalizer, 10000, 0);
  CHECK_SETTING(allocd_bytes_per_finalizer, 10000, 12345);
}

TEST("GC_set_min_bytes_allocd: 1 unless set") {
  CHECK_SETTING(min_bytes_allocd, 1, 1000000);
}

TEST("GC_set_rate: 10 unless set") {
  CHECK_SETTING(rate, 10, 3);
}

TEST("GC_set_max_prior_attempts: 1 unless set") {
  CHECK_SETTING(max_prior_attempts, 1, 4);
}

TEST("GC_use_entire_heap: off, and may be set") {
  CHECK_THAT(GC_use_entire_heap, ==, 0);
  GC_use_entire_heap = 1;
  use_heap();
  CHECK_THAT(GC_use_entire_heap, ==, 1);
  GC_use_entire_heap = 0;
}

TEST("GC_set_time_limit sets milliseconds, GC_set_time_limit_tv both parts") {
  CHECK_THAT(GC_get_time_limit(), ==, GC_time_limit);
  unsigned long before = GC_get_time_limit();
  CHECK_THAT(before, >, 0);
  struct GC_timeval_s limit = GC_get_time_limit_tv();
  CHECK_THAT(limit.tv_ms, ==, before);
  CHECK_THAT(limit.tv_nsec, ==, 0);
  limit.tv_ms = 7;
  limit.tv_nsec = 500000;
  GC_set_time_limit_tv(limit);
  limit = GC_get_time_limit_tv();
  CHECK_THAT(limit.tv_ms, ==, 7);
  CHECK_THAT(limit.tv_nsec, ==, 500000);
  CHECK_THAT(GC_get_time_limit(), ==, 7);
  CHECK_THAT(GC_time_limit, ==, 7);
  GC_set_time_limit(9);
  limit = GC_get_time_limit_tv();
  CHECK_THAT(limit.tv_ms, ==, 9);
  CHECK_THAT(limit.tv_nsec, ==, 500000);
  GC_set_time_limit(GC_TIME_UNLIMITED);
  CHECK_THAT(GC_get_time_limit(), ==, GC_TIME_UNLIMITED);
  GC_time_limit = before;
  CHECK_THAT(GC_get_time_limit(), ==, before);
}

TEST("pointers to functions are variables as well") {
  CHECK(GC_oom_fn == GC_get_oom_fn());
  CHECK(GC_on_heap_resize == GC_get_on_heap_resize());
  CHECK(GC_finalizer_notifier == GC_get_finalizer_notifier());
}

static int resizes, notices, failures;

static void on_resize(GC_word size) {
  (void)size;
  resizes++;
}

static void on_notice(void) {
  notices++;
}

static void *on_failure(size_t size) {
  (void)size;
  failures++;
  return NULL;
}

static void ignore(void *object, void *data) {
  (void)object;
  (void)data;
}

static void drop_finalizable(void *unused) {
  (void)unused;
  for (int i = 0; i < 10; i++)
    GC_register_finalizer(GC_malloc(16), ignore, NULL, NULL, NULL);
}

static volatile size_t impossible = SIZE_MAX / 4;

TEST("writing the variables has the effect of the setters") {
  GC_oom_func before = GC_oom_fn;
  GC_on_heap_resize = on_resize;
  CHECK(GC_get_on_heap_resize() == on_resize);
  GC_expand_hp(1 << 20);
  CHECK_THAT(resizes, >=, 1);
  GC_on_heap_resize = NULL;
  GC_oom_fn = on_failure;
  CHECK(GC_malloc(impossible) == NULL);
  CHECK_THAT(failures, ==, 1);
  GC_oom_fn = before;
  GC_finalize_on_demand = 1;
  GC_finalizer_notifier = on_notice;
  apart(drop_finalizable, NULL);
  GC_gcollect();
  CHECK_THAT(notices, >=, 1);
  GC_invoke_finalizers();
  GC_finalize_on_demand = 0;
  GC_finalizer_notifier = NULL;
}

TEST("GC_get_pages_executable is off unless set") {
  CHECK_THAT(GC_get_pages_executable(), ==, 0);
}

TEST("GC_set_manual_vdb_allowed: off unless set") {
  CHECK_SETTING(manual_vdb_allowed, 0, 1);
}

int main(void) {
  GC_INIT();
  GC_set_warn_proc(GC_ignore_warn_proc);
  return run_tests();
}
