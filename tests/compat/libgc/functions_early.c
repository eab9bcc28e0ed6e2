/* tests/compat/libgc/functions_early.c -- what may or must be said before the
 * library is initialized. */
#include "check.h"

#include <gc/gc_mark.h>

static GC_word collections_at_start;

TEST("GC_is_init_called tells before and after") {
  CHECK(!GC_is_init_called());
}

TEST("GC_set_suspend_signal chooses the signal that stops threads") {
  GC_set_suspend_signal(SIGUSR1);
}

TEST("GC_set_thr_restart_signal chooses the one that lets them go on") {
  GC_set_thr_restart_signal(SIGUSR2);
}

TEST("GC_set_markers_count chooses the number of markers") {
  GC_set_markers_count(3);
}

/* It may have no effect; then its getter says so. */
TEST("GC_set_pages_executable asks for memory that can be executed") {
  CHECK_THAT(GC_get_pages_executable(), ==, 0);
  GC_set_pages_executable(1);
}

TEST("GC_set_dont_precollect leaves out the first collection") {
  GC_set_dont_precollect(1);
  CHECK_THAT(GC_get_dont_precollect(), ==, 1);
}

TEST("GC_set_handle_fork may be set") {
  GC_set_handle_fork(1);
}

TEST("GC_set_min_bytes_allocd, GC_set_rate and others may be set") {
  GC_set_min_bytes_allocd(2000);
  GC_set_rate(5);
  GC_set_free_space_divisor(4);
  GC_set_full_freq(10);
  GC_set_max_retries(1);
  GC_set_max_prior_attempts(2);
  GC_set_time_limit(20);
}

TEST("GC_init starts with them") {
  GC_init();
  CHECK(GC_is_init_called());
  GC_init();
  collections_at_start = GC_get_gc_no();
  CHECK_THAT(collections_at_start, ==, 0);
  CHECK_THAT(GC_get_suspend_signal(), ==, SIGUSR1);
  CHECK_THAT(GC_get_thr_restart_signal(), ==, SIGUSR2);
  CHECK_THAT(GC_get_min_bytes_allocd(), ==, 2000);
  CHECK_THAT(GC_get_rate(), ==, 5);
  CHECK_THAT(GC_get_free_space_divisor(), ==, 4);
  CHECK_THAT(GC_get_full_freq(), ==, 10);
  CHECK_THAT(GC_get_max_retries(), ==, 1);
  CHECK_THAT(GC_get_max_prior_attempts(), ==, 2);
  CHECK_THAT(GC_get_time_limit(), ==, 20);
}

static volatile int stop;

static void *allocate(void *unused) {
  while (!stop) GC_malloc(64);
  return unused;
}

TEST("threads are stopped with the chosen signals") {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, allocate, NULL), ==, 0);
  for (int i = 0; i < 20; i++) GC_gcollect();
  stop = 1;
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
}

TEST("there are so many markers as chosen, one of them who collects") {
  GC_start_mark_threads();
  CHECK_THAT(GC_get_parallel(), ==, 2);
  CHECK_THAT(GC_parallel, ==, 2);
}

#if defined(__x86_64__)
TEST("code in the heap can be executed if GC_get_pages_executable says so") {
  if (!GC_get_pages_executable()) return;
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  int (*function)(void) = GC_malloc_atomic(sizeof code);
  memcpy((void *)function, code, sizeof code);
  GC_reachable_here(function); /* the copy is made before the call */
  CHECK_THAT(function(), ==, 42);
  function = GC_malloc(1 << 20);
  memcpy((void *)function, code, sizeof code);
  GC_reachable_here(function); /* the copy is made before the call */
  CHECK_THAT(function(), ==, 42);
}
#endif

TEST("afterwards the signals are fixed") {
  GC_set_suspend_signal(SIGPWR);
  GC_set_thr_restart_signal(SIGXCPU);
  CHECK_THAT(GC_get_suspend_signal(), ==, SIGUSR1);
  CHECK_THAT(GC_get_thr_restart_signal(), ==, SIGUSR2);
}

/* ---- without any of it --------------------------------------------------- */

static int run_default(void) {
  GC_INIT();
  CHECK_THAT(GC_get_suspend_signal(), ==, SIGPWR);
  CHECK_THAT(GC_get_thr_restart_signal(), ==, SIGXCPU);
  CHECK_THAT(GC_get_parallel(), ==, 0);
  return 0;
}

/* GC_stackbottom may be set before the first call. */
static int run_bottom(void) {
  struct GC_stack_base base = {__builtin_frame_address(0)};
  GC_set_stackbottom(NULL, &base);
  GC_INIT();
  CHECK(GC_stackbottom == (char *)base.mem_base);
  struct GC_stack_base told;
  CHECK(GC_get_my_stackbottom(&told) != NULL);
  CHECK(told.mem_base == base.mem_base);
  return 0;
}

static int run_bottom_variable(void) {
  char *bottom = __builtin_frame_address(0);
  GC_stackbottom = bottom;
  GC_INIT();
  CHECK(GC_stackbottom == bottom);
  return 0;
}

/* No call but an allocation. */
static int run_unstarted(void) {
  char *p = GC_malloc(100);
  CHECK(p != NULL);
  CHECK(GC_is_init_called());
  CHECK(is_filled(p, 0, 100));
  return 0;
}

static struct part {
  const char *name;
  int (*run)(void);
} parts[] = {{"default", run_default},
             {"bottom", run_bottom},
             {"bottom variable", run_bottom_variable},
             {"unstarted", run_unstarted}};

static int run_named(const char *name) {
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strcmp(parts[i].name, name) == 0) return parts[i].run();
  return 2;
}

static void check_part(const char *name) {
  char text[2000];
  int status = run_part(name, text, sizeof text);
  if (status) fputs(text, stderr);
  CHECK_THAT(status, ==, 0);
}

TEST("unless chosen, threads are stopped by SIGPWR and go on by SIGXCPU") {
  check_part("default");
}

TEST("GC_set_stackbottom before the start sets the main thread's") {
  check_part("bottom");
}

TEST("GC_stackbottom may be written before the start") {
  check_part("bottom variable");
}

TEST("GC_malloc starts the library") {
  check_part("unstarted");
}

int main(int argc, char **argv) {
  return argc > 1 ? run_named(argv[1]) : run_tests();
}
