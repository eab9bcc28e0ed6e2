/* tests/compat/programs/lifetime.c -- allocation at the edges of a program's
 * life: before main, after it, in plugins, in thread-exit destructors. */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>

static void *early[3];

/* Runs before the constructors of every shared library. */
static void preinit(void) {
  early[0] = malloc(1000);
  REQUIRE(early[0]);
  pattern_fill(early[0], 1000, 1);
}
__attribute__((section(".preinit_array"),
               used)) static void (*preinit_entry)(void) = preinit;

__attribute__((constructor(101))) static void constructor_early(void) {
  early[1] = malloc(100000);
  REQUIRE(early[1]);
  pattern_fill(early[1], 100000, 2);
  char *p = malloc(64);
  free(p);
}

__attribute__((constructor)) static void constructor_late(void) {
  early[2] = calloc(1, 64);
  REQUIRE(early[2]);
  early[2] = realloc(early[2], 70000);
  REQUIRE(early[2]);
  pattern_fill(early[2], 70000, 3);
}

static void at_exit(void) {
  free(early[2]);
  early[2] = malloc(50);
}

__attribute__((destructor(101))) static void destructor_last(void) {
  REQUIRE(pattern_holds(early[0], 1000, 1));
  free(early[0]);
  free(early[2]);
  void *p = malloc(3 << 20);
  REQUIRE(p);
  memset(p, 1, 3 << 20);
  free(p);
  fputs("destructor ran\n", stdout);
  fflush(stdout);
}

static pthread_key_t key;
static int destructions;

/* Allocates, frees and sets the key again, as long as the system plays. */
static void key_destroy(void *value) {
  char *text = value;
  __atomic_add_fetch(&destructions, 1, __ATOMIC_RELAXED);
  char *more = malloc(strlen(text) * 3 + 4000);
  REQUIRE(more);
  strcpy(more, text);
  strcat(more, "x");
  free(text);
  if (strlen(more) < 7) {
    pthread_setspecific(key, more);
  } else {
    free(more);
    free(malloc(100000)); /* and once more after that: the cache is back */
  }
}

static void *thread_with_key(void *argument) {
  (void)argument;
  char *text = malloc(60);
  REQUIRE(text);
  strcpy(text, "four");
  pthread_setspecific(key, text);
  for (int i = 0; i < 50; i++) free(malloc((size_t)i * 30));
  return NULL;
}

static void test_keys(void) {
  enum { ROUNDS = 100, THREADS = 20 };
  pthread_t threads[THREADS];
  REQUIRE(pthread_key_create(&key, key_destroy) == 0);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < THREADS; i++)
      REQUIRE(!pthread_create(&threads[i], NULL, thread_with_key, NULL));
    for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_join(threads[i], NULL));
  }
  REQUIRE(destructions == ROUNDS * THREADS * 3);
  REQUIRE(rss_bytes() < (size_t)100 << 20);
}

static void *thread_in_plugin(void *touch) {
  int (*function)(int);
  memcpy(&function, &touch, sizeof function);
  REQUIRE(function(1) > 0);
  return NULL;
}

/* Load, use from two threads (its thread-locals live on our heap), unload. */
static void test_plugin(const char *path, int rounds) {
  for (int round = 0; round < rounds; round++) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) fprintf(stderr, "%s\n", dlerror());
    REQUIRE(plugin);
    void *touch = dlsym(plugin, "plugin_touch");
    REQUIRE(touch);
    thread_in_plugin(touch);
    pthread_t thread;
    REQUIRE(!pthread_create(&thread, NULL, thread_in_plugin, touch));
    REQUIRE(!pthread_join(thread, NULL));
    REQUIRE(dlclose(plugin) == 0);
  }
}

int main(int argc, char **argv) {
  REQUIRE(pattern_holds(early[0], 1000, 1));
  REQUIRE(pattern_holds(early[1], 100000, 2));
  REQUIRE(pattern_holds(early[2], 70000, 3));
  free(early[1]);
  atexit(at_exit);
  test_keys();
  for (int i = 1; i < argc; i++) test_plugin(argv[i], 200);
  puts("main returns");
  return 0;
}
