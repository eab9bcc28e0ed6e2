/* tests/compat/libgc/functions_loading.c -- data of libraries that come and go.
 * The library is plugin_functions.so in the working directory. */
#include "check.h"

#include <dlfcn.h>

static const char plugin[] = "./plugin_functions.so";
static void **target;

static void fill_target(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    target[i] = GC_malloc(40);
    watch(i, target[i]);
  }
}

static void fill(void *library, const char *name) {
  target = dlsym(library, name);
  CHECK(target != NULL);
  apart(fill_target, NULL);
}

static void check_data_is_root(void *library) {
  CHECK(library != NULL);
  fill(library, "plugin_pointers");
  CHECK_WATCHED_KEPT();
  fill(library, "plugin_more_pointers");
  CHECK_WATCHED_KEPT();
}

TEST("the data of a library loaded by GC_dlopen is a root") {
  void *library = GC_dlopen(plugin, RTLD_NOW);
  check_data_is_root(library);
  CHECK_THAT(dlclose(library), ==, 0);
}

TEST("the data of a library loaded by dlopen is a root") {
  void *library = dlopen(plugin, RTLD_NOW);
  check_data_is_root(library);
  CHECK_THAT(dlclose(library), ==, 0);
}

TEST("what a library alone pointed to dies when it is closed") {
  void *library = GC_dlopen(plugin, RTLD_NOW);
  CHECK(library != NULL);
  fill(library, "plugin_pointers");
  CHECK_THAT(watched_gone(), ==, 0);
  CHECK_THAT(dlclose(library), ==, 0);
  CHECK(dlopen(plugin, RTLD_NOW | RTLD_NOLOAD) == NULL);
  CHECK_WATCHED_GONE();
}

TEST("a library is loaded and closed many times") {
  for (int i = 0; i < 50; i++) {
    void *library = GC_dlopen(plugin, RTLD_NOW);
    CHECK(library != NULL);
    void **pointers = dlsym(library, "plugin_pointers");
    pointers[5] = GC_strdup("in a library");
    GC_gcollect();
    for (int k = 0; k < 200; k++) memset(GC_malloc_atomic(13), 'x', 13);
    CHECK_TEXT(pointers[5], "in a library");
    CHECK_THAT(dlclose(library), ==, 0);
  }
  GC_gcollect();
}

/* ---- the filter ---------------------------------------------------------- */

static int scan_plugin, asked;
static size_t asked_size;

static int has_roots(const char *name, void *start, size_t size) {
  if (!strstr(name, "plugin_functions")) return 1;
  asked++;
  if (start) asked_size += size;
  return scan_plugin;
}

TEST("GC_register_has_static_roots_callback decides by library") {
  void *library = GC_dlopen(plugin, RTLD_NOW);
  CHECK(library != NULL);
  GC_register_has_static_roots_callback(has_roots);
  scan_plugin = 0;
  fill(library, "plugin_pointers");
  CHECK_WATCHED_GONE();
  CHECK_THAT(asked, >=, 1);
  CHECK_THAT(asked_size, >=, 100 * sizeof(void *));
  scan_plugin = 1;
  fill(library, "plugin_pointers");
  CHECK_WATCHED_KEPT();
  GC_register_has_static_roots_callback(NULL);
  asked = scan_plugin = 0;
  fill(library, "plugin_pointers");
  CHECK_WATCHED_KEPT();
  CHECK_THAT(asked, ==, 0);
  CHECK_THAT(dlclose(library), ==, 0);
}

/* Without the data of libraries, which may be all data of the program, what is
 * needed is told. */
static int run_without(void) {
  static void *extra[WATCHED];
  GC_set_no_dls(1);
  GC_INIT();
  GC_add_roots(extra, extra + WATCHED);
  void *library = GC_dlopen(plugin, RTLD_NOW);
  if (!library) return 2;
  fill(library, "plugin_pointers");
  int gone = watched_gone();
  watch_end();
  target = extra;
  apart(fill_target, NULL);
  return gone >= WATCHED * 9 / 10 && watched_gone() == 0 ? 0 : 1;
}

TEST("with GC_set_no_dls the data of libraries is no root") {
  char text[2000];
  CHECK_THAT(run_part("without", text, sizeof text), ==, 0);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return run_without();
  GC_INIT();
  return run_tests();
}
