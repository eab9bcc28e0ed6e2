/* tests/compat/libgc/unloaded.c -- a thread has used the thread-local variables
 * of a library that is gone, and one with many more of them takes its place.
 *
 * usage: unloaded SMALL LARGE */
#include "check.h"

#include <dlfcn.h>

static const char *small, *large;
static volatile int used, end;

static void *use_small(void *unused) {
  void *library = dlopen(small, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  void *address = dlsym(library, "plugin_touch");
  void (*touch)(void);
  memcpy(&touch, &address, sizeof touch);
  touch();
  CHECK(!dlclose(library));
  used = 1;
  while (!end) sleep_ms(1);
  return unused;
}

TEST("collections do not look for a library's variables in another's") {
  pthread_t thread;
  CHECK(!GC_pthread_create(&thread, NULL, use_small, NULL));
  while (!used) sleep_ms(1);
  void *library = dlopen(large, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  for (int i = 0; i < 3; i++) GC_gcollect();
  end = 1;
  CHECK(!GC_pthread_join(thread, NULL));
  CHECK(!dlclose(library));
}

int main(int argc, char **argv) {
  CHECK_THAT(argc, ==, 3);
  small = argv[1];
  large = argv[2];
  GC_INIT();
  return run_tests();
}
