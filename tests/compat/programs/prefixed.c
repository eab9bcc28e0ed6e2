/* tests/compat/programs/prefixed.c -- the alm_ functions of libalmacen.so
 * beside the system's malloc: linked (no argument), or found by dlopen. */
#define _GNU_SOURCE
#include "check.h"

#include <almacen.h>
#include <dlfcn.h>

#ifdef LINKED /* -DLINKED: the symbols are there at link time */
#define GET(name) (name##_of = alm_##name)
#else
#define GET(name)                                                              \
  do {                                                                         \
    void *found = dlsym(library, "alm_" #name);                                \
    REQUIRE(found);                                                            \
    memcpy(&name##_of, &found, sizeof found);                                  \
  } while (0)
#endif

static void *(*malloc_of)(size_t);
static void *(*calloc_of)(size_t, size_t);
static void *(*realloc_of)(void *, size_t);
static void *(*aligned_alloc_of)(size_t, size_t);
static void (*free_of)(void *);
static size_t (*malloc_usable_size_of)(const void *);
static const char *(*version_of)(void);
static bool (*check_of)(void);

static void use(void) {
  enum { N = 2000 };
  static void *ours[N], *systems[N];
  for (size_t i = 0; i < N; i++) {
    ours[i] = i % 2 ? malloc_of(i * 13) : calloc_of(i, 13);
    systems[i] = malloc(i * 13);
    REQUIRE(ours[i] && systems[i]);
    REQUIRE(malloc_usable_size_of(ours[i]) >= i * 13);
    pattern_fill(ours[i], i * 13, i);
    pattern_fill(systems[i], i * 13, i + 1);
  }
  for (size_t i = 0; i < N; i++) {
    REQUIRE(pattern_holds(ours[i], i * 13, i));
    REQUIRE(pattern_holds(systems[i], i * 13, i + 1));
    ours[i] = realloc_of(ours[i], i * 26 + 1);
    REQUIRE(ours[i] && pattern_survived(ours[i], i * 13, i * 26, i));
    free_of(ours[i]);
    free(systems[i]);
  }
  void *p = aligned_alloc_of(4096, 100);
  REQUIRE(p && (uintptr_t)p % 4096 == 0);
  free_of(p);
  REQUIRE(check_of());
}

int main(int argc, char **argv) {
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (argc > 1 && !library) fprintf(stderr, "%s\n", dlerror());
  REQUIRE(library || argc == 1);
  GET(malloc);
  GET(calloc);
  GET(realloc);
  GET(aligned_alloc);
  GET(free);
  GET(malloc_usable_size);
  GET(version);
  GET(check);
  REQUIRE(strcmp(version_of(), ALM_VERSION) == 0);
  use();
  Dl_info info;
  void *system_malloc = dlsym(RTLD_DEFAULT, "malloc");
  REQUIRE(system_malloc && dladdr(system_malloc, &info));
  REQUIRE(strstr(info.dli_fname, "almacen") == NULL); /* not taken over */
  if (library) dlclose(library);
  free(malloc(100));
  puts("prefixed: done");
  return 0;
}
