/* tests/compat/libgc/many_libraries.c -- hundreds of libraries with pointers in
 * their variables, and collections that get no more memory from the system.
 *
 * usage: many_libraries PREFIX COUNT KINDS; the libraries are PREFIX1.so to
 * PREFIXCOUNT.so; kinds as in loading.c */
#include "check.h"

#include <dlfcn.h>
#include <sys/resource.h>

static const char *prefix;
static int count, kinds;
static void **(**of_kinds)(int);

static void load(int i) {
  char path[4096];
  snprintf(path, sizeof path, "%s%d.so", prefix, i + 1);
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) FAILED("%s", dlerror());
  void *address = dlsym(handle, "plugin_of_kind");
  memcpy(&of_kinds[i], &address, sizeof address);
  for (int kind = 0; kind < kinds; kind++)
    of_kinds[i](kind)[0] = memset(GC_malloc(64), 1 + i % 200, 64);
}

TEST("what the variables of many libraries hold stays, also without memory") {
  of_kinds = calloc((size_t)count, sizeof *of_kinds);
  for (int i = 0; i < count; i++) load(i);
  wipe_stack();
  struct rlimit before, none;
  CHECK(!getrlimit(RLIMIT_AS, &before));
  none = before;
  none.rlim_cur = 1 << 20;
  CHECK(!setrlimit(RLIMIT_AS, &none));
  for (int i = 0; i < 3; i++) GC_gcollect();
  CHECK(!setrlimit(RLIMIT_AS, &before));
  for (int i = 0; i < 100000; i++) memset(GC_malloc(64), 0xee, 64);
  for (int i = 0; i < count; i++)
    for (int kind = 0; kind < kinds; kind++)
      CHECK(is_filled(of_kinds[i](kind)[0], 1 + i % 200, 64));
}

int main(int argc, char **argv) {
  CHECK_THAT(argc, ==, 4);
  prefix = argv[1];
  count = atoi(argv[2]);
  kinds = atoi(argv[3]);
  GC_INIT();
  GC_gcollect(); /* the markers exist */
  return run_tests();
}
