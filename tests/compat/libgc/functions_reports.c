/* tests/compat/libgc/functions_reports.c -- what is said on standard error and
 * standard output: misused debug objects, dumps, logs, and ends. */
#include "check.h"

#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

static char text[200000];
static char *kept;

/* ---- overwritten debug objects ------------------------------------------- */

TEST("an object that was only used as it may be is not reported") {
  for (size_t size = 1; size < 300; size++) {
    kept = GC_debug_malloc(size, "fine.c", 1);
    memset(kept, 0xff, size);
    capture_begin(2);
    if (size % 20 == 0) GC_gcollect();
    GC_debug_free(kept);
    kept = NULL;
    CHECK_THAT(capture_end(text, sizeof text), ==, 0);
  }
}

static volatile size_t past_end = 24;

static void smash_after(void) {
  kept = GC_debug_malloc(24, "overwritten.c", 4711);
  memset(kept + past_end, 0x55, sizeof(void *));
}

static void restore(void) {
  kept = NULL;
}

TEST("GC_gcollect reports an object written past its end, and from where") {
  smash_after();
  capture_begin(2);
  GC_gcollect();
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, "overwritten.c:4711") != NULL);
  restore();
}

TEST("GC_debug_free reports it, too") {
  smash_after();
  capture_begin(2);
  GC_debug_free(kept);
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, "overwritten.c:4711") != NULL);
  restore();
}

/* ---- dumps --------------------------------------------------------------- */

static char *object_kept;

static void *dump_named(void *name) {
  GC_dump_named(name);
  return NULL;
}

TEST("GC_dump writes the state to standard output") {
  GC_malloc(100);
  capture_begin(1);
  GC_dump();
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
}

TEST("GC_dump_named writes the name as well") {
  static char name[] = "the name of a dump";
  capture_begin(1);
  GC_call_with_alloc_lock(dump_named, name);
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, name) != NULL);
  capture_begin(1);
  GC_call_with_alloc_lock(dump_named, NULL);
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
}

TEST("GC_dump_regions writes the memory sections") {
  capture_begin(1);
  GC_dump_regions();
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
}

static void ignore(void *object, void *data) {
  (void)object;
  (void)data;
}

TEST("GC_dump_finalization writes each finalizable object") {
  char address[32];
  object_kept = GC_malloc(32);
  snprintf(address, sizeof address, "%p", (void *)object_kept);
  GC_register_finalizer(object_kept, ignore, NULL, NULL, NULL);
  capture_begin(1);
  GC_dump_finalization();
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, address + 2) != NULL);
  GC_register_finalizer(object_kept, NULL, NULL, NULL, NULL);
}

TEST("GC_dump_finalization writes each link") {
  static void *link;
  char address[32];
  snprintf(address, sizeof address, "%p", (void *)&link);
  GC_general_register_disappearing_link(&link, object_kept);
  capture_begin(1);
  GC_dump_finalization();
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, address + 2) != NULL);
  CHECK_THAT(GC_unregister_disappearing_link(&link), ==, 1);
}

static void *print_free_list(void *unused) {
  GC_print_free_list(GC_I_NORMAL, 2);
  return unused;
}

TEST("GC_print_free_list changes nothing") {
  kept = GC_strdup("as before");
  capture_begin(1);
  GC_call_with_alloc_lock(print_free_list, NULL);
  capture_end(text, sizeof text);
  GC_gcollect();
  CHECK_TEXT(kept, "as before");
  CHECK(GC_malloc(20) != NULL);
}

/* ---- ends ---------------------------------------------------------------- */

static void tell_abort(const char *message) {
  fprintf(stderr, "told: %s.", message ? message : "nothing");
}

TEST("GC_set_abort_func and its getter are a pair") {
  GC_abort_func before = GC_get_abort_func();
  CHECK(before != NULL);
  GC_set_abort_func(tell_abort);
  CHECK(GC_get_abort_func() == tell_abort);
  GC_set_abort_func(before);
  CHECK(GC_get_abort_func() == before);
}

TEST("the first one writes the message to standard error") {
  capture_begin(2);
  GC_get_abort_func()("the message of an end");
  CHECK_THAT(capture_end(text, sizeof text), >, 0);
  CHECK(strstr(text, "the message of an end") != NULL);
  capture_begin(2);
  GC_get_abort_func()(NULL);
  CHECK_THAT(capture_end(text, sizeof text), ==, 0);
}

TEST("GC_abort_on_oom ends the program with 1, after GC_set_abort_func's") {
  int status = run_part("oom told", text, sizeof text);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  CHECK(strstr(text, "told: nothing.") != NULL);
  status = run_part("oom", text, sizeof text);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  CHECK_THAT(strlen(text), >, 0);
}

TEST("freeing what is no debug object ends the program with a message") {
  int status = run_part("bad free told", text, sizeof text);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  CHECK(strstr(text, "told: ") != NULL);
  CHECK(strstr(text, "told: nothing.") == NULL);
  status = run_part("bad free", text, sizeof text);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  CHECK_THAT(strlen(text), >, 0);
}

/* ---- logs ---------------------------------------------------------------- */

/* With statistics on, the log goes where GC_set_log_fd says. */
static int run_log(void) {
  setenv("GC_PRINT_STATS", "1", 1);
  int file = memfd_create("log", MFD_CLOEXEC);
  GC_set_log_fd(file);
  GC_INIT();
  GC_gcollect();
  off_t length = lseek(file, 0, SEEK_END);
  return length > 0 ? 0 : 1;
}

TEST("GC_set_log_fd says where the log goes") {
  int status = run_part("log", text, sizeof text);
  CHECK_THAT(status, ==, 0);
  CHECK_TEXT(text, "");
}

static int run_named(const char *part) {
  if (strcmp(part, "log") == 0) return run_log();
  GC_INIT();
  if (strstr(part, "told")) GC_set_abort_func(tell_abort);
  if (strncmp(part, "oom", 3) == 0) GC_abort_on_oom();
  if (strncmp(part, "bad free", 8) == 0) {
    static char outside[100];
    GC_debug_free(outside + 50);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1) return run_named(argv[1]);
  GC_INIT();
  return run_tests();
}
