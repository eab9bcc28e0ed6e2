/* tests/compat/libgc/functions_environment.c -- the variables of the
 * environment. Each part runs with one of them set. */
#include "check.h"

static char text[200000];

static int part_initial_heap_size(void) {
  CHECK_THAT(GC_get_heap_size(), >=, 48 << 20);
  return 0;
}

static int part_maximum_heap_size(void) {
  static void *volatile all[1000];
  int n = 0;
  while (n < 1000 && (all[n] = GC_malloc(1 << 20)) != NULL) n++;
  CHECK_THAT(n, <=, 64);
  CHECK_THAT(n, >=, 32);
  return 0;
}

static int part_free_space_divisor(void) {
  CHECK_THAT(GC_get_free_space_divisor(), ==, 7);
  return 0;
}

static int part_full_frequency(void) {
  CHECK_THAT(GC_get_full_freq(), ==, 5);
  return 0;
}

static int part_dont_gc(void) {
  CHECK(GC_is_disabled());
  GC_word before = GC_get_gc_no();
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), ==, before);
  return 0;
}

static int part_find_leak(void) {
  CHECK_THAT(GC_get_find_leak(), !=, 0);
  return 0;
}

static int part_all_interior_pointers(void) {
  CHECK_THAT(GC_get_all_interior_pointers(), ==, 1);
  return 0;
}

static int part_use_entire_heap(void) {
  CHECK_THAT(GC_use_entire_heap, !=, 0);
  return 0;
}

static int part_force_unmap(void) {
  CHECK_THAT(GC_get_force_unmap_on_gcollect(), !=, 0);
  return 0;
}

static int part_pause_time_target(void) {
  CHECK_THAT(GC_get_time_limit(), ==, 33);
  return 0;
}

static int part_enable_incremental(void) {
  CHECK_THAT(GC_is_incremental_mode(), !=, 0);
  return 0;
}

static int part_disable_incremental(void) {
  GC_enable_incremental();
  CHECK_THAT(GC_is_incremental_mode(), ==, 0);
  return 0;
}

static int part_markers(void) {
  GC_start_mark_threads();
  CHECK_THAT(GC_get_parallel(), ==, 2);
  return 0;
}

static int part_no_markers(void) {
  GC_start_mark_threads();
  CHECK_THAT(GC_get_parallel(), ==, 0);
  return 0;
}

static int part_collect(void) {
  for (int i = 0; i < 1000; i++) GC_malloc(100);
  GC_gcollect();
  GC_gcollect();
  return 0;
}

static void leak_some(void *unused) {
  (void)unused;
  for (int i = 0; i < 50; i++) GC_debug_malloc(40, "leaking.c", 815);
}

static int part_leak(void) {
  apart(leak_some, NULL);
  GC_gcollect();
  return 0;
}

static volatile int stop;

static void *allocate(void *unused) {
  while (!stop) GC_malloc(64);
  return unused;
}

static int part_threads(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, allocate, NULL), ==, 0);
  for (int i = 0; i < 20; i++) GC_gcollect();
  stop = 1;
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
  return 0;
}

static struct part {
  const char *name;
  int (*run)(void);
} parts[] = {{"initial heap size", part_initial_heap_size},
             {"maximum heap size", part_maximum_heap_size},
             {"free space divisor", part_free_space_divisor},
             {"full frequency", part_full_frequency},
             {"dont gc", part_dont_gc},
             {"find leak", part_find_leak},
             {"all interior pointers", part_all_interior_pointers},
             {"use entire heap", part_use_entire_heap},
             {"force unmap", part_force_unmap},
             {"pause time target", part_pause_time_target},
             {"enable incremental", part_enable_incremental},
             {"disable incremental", part_disable_incremental},
             {"markers", part_markers},
             {"no markers", part_no_markers},
             {"collect", part_collect},
             {"leak", part_leak},
             {"threads", part_threads}};

static int run_named(const char *name) {
  GC_INIT();
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strcmp(parts[i].name, name) == 0) return parts[i].run();
  return 2;
}

/* Runs a part with the variable set; returns its status, and its standard
 * error in `text`. */
static int run_with(const char *variable, const char *value, const char *part) {
  setenv(variable, value, 1);
  int status = run_part(part, text, sizeof text);
  unsetenv(variable);
  return status;
}

static void check_with(const char *variable, const char *value,
                       const char *part) {
  int status = run_with(variable, value, part);
  if (status) fputs(text, stderr);
  CHECK_THAT(status, ==, 0);
}

TEST("GC_INITIAL_HEAP_SIZE is the size at the start, with a suffix as well") {
  check_with("GC_INITIAL_HEAP_SIZE", "50331648", "initial heap size");
  check_with("GC_INITIAL_HEAP_SIZE", "49152k", "initial heap size");
  check_with("GC_INITIAL_HEAP_SIZE", "48M", "initial heap size");
}

TEST("GC_MAXIMUM_HEAP_SIZE is the limit, with a suffix as well") {
  check_with("GC_MAXIMUM_HEAP_SIZE", "67108864", "maximum heap size");
  check_with("GC_MAXIMUM_HEAP_SIZE", "65536k", "maximum heap size");
  check_with("GC_MAXIMUM_HEAP_SIZE", "64M", "maximum heap size");
}

TEST("GC_FREE_SPACE_DIVISOR sets the divisor") {
  check_with("GC_FREE_SPACE_DIVISOR", "7", "free space divisor");
}

TEST("GC_FULL_FREQUENCY sets the number of partial collections") {
  check_with("GC_FULL_FREQUENCY", "5", "full frequency");
}

TEST("GC_DONT_GC forbids collections") {
  check_with("GC_DONT_GC", "1", "dont gc");
}

TEST("GC_FIND_LEAK looks for leaks and reports them") {
  check_with("GC_FIND_LEAK", "1", "find leak");
  check_with("GC_FIND_LEAK", "1", "leak");
  CHECK(strstr(text, "leaking.c:815") != NULL);
}

TEST("GC_ALL_INTERIOR_POINTERS makes all of them count") {
  check_with("GC_ALL_INTERIOR_POINTERS", "1", "all interior pointers");
}

TEST("GC_USE_ENTIRE_HEAP sets GC_use_entire_heap") {
  check_with("GC_USE_ENTIRE_HEAP", "1", "use entire heap");
}

TEST("GC_FORCE_UNMAP_ON_GCOLLECT turns that on") {
  check_with("GC_FORCE_UNMAP_ON_GCOLLECT", "1", "force unmap");
}

TEST("GC_PAUSE_TIME_TARGET sets the time limit") {
  check_with("GC_PAUSE_TIME_TARGET", "33", "pause time target");
}

TEST("GC_ENABLE_INCREMENTAL turns the incremental mode on") {
  check_with("GC_ENABLE_INCREMENTAL", "1", "enable incremental");
}

TEST("GC_DISABLE_INCREMENTAL ignores requests for it") {
  check_with("GC_DISABLE_INCREMENTAL", "1", "disable incremental");
}

TEST("GC_MARKERS sets the number of markers") {
  check_with("GC_MARKERS", "3", "markers");
  check_with("GC_MARKERS", "1", "no markers");
}

TEST("GC_NPROCS does so, too") {
  check_with("GC_NPROCS", "3", "markers");
  check_with("GC_NPROCS", "1", "no markers");
}

TEST("nothing is logged unless it is asked for") {
  unsetenv("GC_PRINT_STATS");
  CHECK_THAT(run_part("collect", text, sizeof text), ==, 0);
  CHECK_TEXT(text, "");
}

TEST("GC_PRINT_STATS logs to standard error") {
  check_with("GC_PRINT_STATS", "1", "collect");
  CHECK_THAT(strlen(text), >, 0);
}

TEST("GC_PRINT_VERBOSE_STATS logs more") {
  check_with("GC_PRINT_VERBOSE_STATS", "1", "collect");
  CHECK_THAT(strlen(text), >, 0);
}

static off_t size_of(const char *file) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
  close(fd);
  return size;
}

TEST("GC_LOG_FILE names the file of the log") {
  setenv("GC_PRINT_STATS", "1", 1);
  check_with("GC_LOG_FILE", "environment.log", "collect");
  unsetenv("GC_PRINT_STATS");
  CHECK_THAT(size_of("environment.log"), >, 0);
  unlink("environment.log");
}

TEST("GC_ONLY_LOG_TO_FILE keeps the rest on standard error") {
  setenv("GC_ONLY_LOG_TO_FILE", "1", 1);
  setenv("GC_LOG_FILE", "environment.log", 1);
  check_with("GC_FIND_LEAK", "1", "leak");
  CHECK(strstr(text, "leaking.c:815") != NULL);
  unsetenv("GC_ONLY_LOG_TO_FILE");
  check_with("GC_FIND_LEAK", "1", "leak");
  CHECK(strstr(text, "leaking.c:815") == NULL);
  CHECK_THAT(size_of("environment.log"), >, 0);
  unsetenv("GC_LOG_FILE");
  unlink("environment.log");
}

TEST("GC_ABORT_ON_LEAK ends a program that leaks") {
  setenv("GC_FIND_LEAK", "1", 1);
  int status = run_with("GC_ABORT_ON_LEAK", "1", "leak");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  unsetenv("GC_FIND_LEAK");
}

TEST("GC_DUMP_REGULARLY dumps at each collection") {
  capture_begin(1);
  check_with("GC_DUMP_REGULARLY", "1", "collect");
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
}

TEST("GC_PRINT_ADDRESS_MAP writes the map of addresses") {
  check_with("GC_PRINT_ADDRESS_MAP", "1", "collect");
  CHECK(strstr(text, "[stack]") != NULL);
}

TEST("GC_RETRY_SIGNALS stops threads as well") {
  check_with("GC_RETRY_SIGNALS", "1", "threads");
  check_with("GC_RETRY_SIGNALS", "0", "threads");
}

TEST("settings that matter to other libraries do no harm") {
  check_with("GC_UNMAP_THRESHOLD", "0", "collect");
  check_with("GC_UNMAP_THRESHOLD", "20", "collect");
  check_with("GC_LARGE_ALLOC_WARN_INTERVAL", "1000", "collect");
  check_with("GC_NO_BLACKLIST_WARNING", "1", "collect");
  check_with("GC_IGNORE_GCJ_INFO", "1", "collect");
  check_with("GC_USE_GETWRITEWATCH", "0", "collect");
  check_with("GC_FINDLEAK_DELAY_FREE", "1", "collect");
  check_with("GC_BACKTRACES", "0", "collect");
}

int main(int argc, char **argv) {
  if (argc > 1) return run_named(argv[1]);
  return run_tests();
}
