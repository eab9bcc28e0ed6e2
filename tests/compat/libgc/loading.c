/* tests/compat/libgc/loading.c -- libraries with pointers in their variables
 * are loaded and unloaded, perhaps while other threads collect.
 *
 * usage: loading PLUGIN KINDS COLLECTORS; kinds: 2 data and bss, 3 thread-local,
 * too; collectors: threads that collect meanwhile, at most 8 */
#include "check.h"

#include <dlfcn.h>

enum { EACH = 100, ROUNDS = 100, COLLECTORS_MAX = 8 };

static const char *plugin;
static int kinds, collectors;
static volatile int stop;

static APART void fill(void **into, int byte) {
  for (int i = 0; i < EACH; i++) {
    into[i] = GC_malloc(64);
    memset(into[i], byte, 64);
  }
}

static APART void check_all(void **from, int byte) {
  for (int i = 0; i < EACH; i++) CHECK(is_filled(from[i], byte, 64));
}

static void *collect_always(void *unused) {
  while (!stop) {
    for (int i = 0; i < 2000; i++) memset(GC_malloc(64), 0xee, 64);
    GC_gcollect();
  }
  return unused;
}

static void load_and_unload(int round) {
  void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(handle);
  void *address = dlsym(handle, "plugin_of_kind");
  void **(*of_kind)(int);
  memcpy(&of_kind, &address, sizeof of_kind);
  CHECK(of_kind);
  for (int kind = 0; kind < kinds; kind++)
    fill(of_kind(kind), (round + kind) % 200 + 1);
  wipe_stack();
  for (int i = 0; i < 3000; i++) memset(GC_malloc(64), 0xdd, 64);
  if (round % 8 == 0) GC_gcollect();
  for (int kind = 0; kind < kinds; kind++)
    check_all(of_kind(kind), (round + kind) % 200 + 1);
  CHECK(!dlclose(handle));
}

TEST("what a loaded library's variables hold stays") {
  pthread_t ids[COLLECTORS_MAX];
  stop = 0;
  for (int i = 0; i < collectors; i++)
    CHECK(!GC_pthread_create(&ids[i], NULL, collect_always, NULL));
  for (int round = 0; round < ROUNDS; round++) load_and_unload(round);
  stop = 1;
  for (int i = 0; i < collectors; i++) CHECK(!GC_pthread_join(ids[i], NULL));
}

static void fill_and_watch(void *handle) {
  void *address = dlsym(handle, "plugin_bss");
  fill(address, 9);
  for (int i = 0; i < WATCHED; i++) watch(i, ((void **)address)[i]);
}

TEST("what an unloaded library's variables held goes") {
  void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(handle);
  apart(fill_and_watch, handle);
  CHECK_THAT(watched_gone(), ==, 0);
  CHECK(!dlclose(handle));
  CHECK_WATCHED_GONE();
}

int main(int argc, char **argv) {
  CHECK_THAT(argc, ==, 4);
  plugin = argv[1];
  kinds = atoi(argv[2]);
  collectors = atoi(argv[3]);
  CHECK_THAT(collectors, <=, COLLECTORS_MAX);
  GC_INIT();
  return run_tests();
}
