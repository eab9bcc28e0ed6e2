/* tests/compat/programs/plugin.c -- a library that allocates when it is
 * loaded and unloaded, with thread-locals too many for the static space. */
#include "check.h"

static char *loaded;
static _Thread_local char local[9000];
static _Thread_local void *mine;

__attribute__((constructor)) static void load(void) {
  loaded = malloc(5000);
  REQUIRE(loaded);
  pattern_fill(loaded, 5000, 4);
  for (size_t i = 0; i < 500; i++) free(malloc(i * 100));
}

__attribute__((destructor)) static void unload(void) {
  REQUIRE(pattern_holds(loaded, 5000, 4));
  free(loaded);
  free(malloc(70000));
}

int plugin_touch(int value);

int plugin_touch(int value) {
  memset(local, value, sizeof local);
  mine = realloc(mine, 300);
  REQUIRE(mine);
  pattern_fill(mine, 300, 5);
  free(mine);
  mine = NULL;
  return local[8999];
}
