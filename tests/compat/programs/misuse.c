/* tests/compat/programs/misuse.c -- hand a wrong pointer to CALL.
 *
 * usage: misuse CALL WHAT; prints the pointer, then makes the call. When that
 * returns, it goes on freeing what else it has and ends with status 0. */
#define _GNU_SOURCE
#include "check.h"

#include <malloc.h>
#include <pthread.h>

#define WEAK __attribute__((weak))
extern void free_sized(void *p, size_t size) WEAK;
extern void free_aligned_sized(void *p, size_t alignment, size_t size) WEAK;

enum { OTHERS = 20000 };

static long long in_data[8] = {1, 2, 3};
static void *others[OTHERS];

static void call(const char *name, void *p) {
  volatile size_t usable = 0;
  if (strcmp(name, "free") == 0)
    free(p);
  else if (strcmp(name, "realloc") == 0)
    p = realloc(p, 200);
  else if (strcmp(name, "reallocarray") == 0)
    p = reallocarray(p, 20, 20);
  else if (strcmp(name, "malloc_usable_size") == 0)
    usable = malloc_usable_size(p);
  else if (strcmp(name, "free_sized") == 0)
    free_sized(p, 48);
  else if (strcmp(name, "free_aligned_sized") == 0)
    free_aligned_sized(p, 16, 48);
  else
    exit(3);
  (void)usable;
}

static void *free_in_thread(void *p) {
  free(p);
  return NULL;
}

/* Return the wrong pointer of a kind, made with the help of a live object. */
static void *wrong_pointer(const char *what) {
  static long long unused[4];
  char *small = malloc(40);
  char *large = malloc(300000);
  char *middle = malloc(20000);
  REQUIRE(small && large && middle);
  if (!strcmp(what, "static")) return &in_data[2];
  if (!strcmp(what, "bss")) return unused;
  if (!strcmp(what, "code")) return (void *)(uintptr_t)call;
  if (!strcmp(what, "literal")) return (void *)(uintptr_t) "a string literal";
  if (!strcmp(what, "inside")) return small + 16;
  if (!strcmp(what, "odd")) return small + 1;
  if (!strcmp(what, "inside-middle")) return middle + 8192;
  if (!strcmp(what, "inside-large")) return large + 8192;
  if (!strcmp(what, "inside-large-odd")) return large + 100001;
  if (!strcmp(what, "low")) return (void *)16;
  if (!strcmp(what, "high")) return (void *)UINTPTR_MAX;
  if (!strcmp(what, "kernel")) return (void *)0xffff888012345670;
  if (!strcmp(what, "noncanonical")) return (void *)0x4141414141414140;
  if (!strcmp(what, "unmapped")) return (void *)0x123456789ab0;
  if (!strcmp(what, "beyond")) return small + ((size_t)1 << 31);
  if (!strcmp(what, "freed")) {
    free(small);
    return small;
  }
  if (!strcmp(what, "freed-large")) {
    free(large);
    return large;
  }
  if (!strcmp(what, "freed-middle")) {
    free(middle);
    return middle;
  }
  if (!strcmp(what, "freed-second")) {
    char *second = malloc(40);
    free(small);
    free(second);
    return small;
  }
  if (!strcmp(what, "freed-later")) {
    free(small);
    for (int i = 0; i < OTHERS; i += 2) free(others[i]);
    return small;
  }
  if (!strcmp(what, "freed-elsewhere")) {
    pthread_t thread;
    REQUIRE(!pthread_create(&thread, NULL, free_in_thread, small));
    REQUIRE(!pthread_join(thread, NULL));
    return small;
  }
  exit(3);
}

/* A thread of its own, so that its end empties a cache. */
static void *misuse(void *argument) {
  char **argv = argument;
  long long on_stack[4] = {0, 0, 0, 0};
  for (int i = 0; i < OTHERS; i++) others[i] = malloc(40);
  void *p = strcmp(argv[2], "stack") ? wrong_pointer(argv[2]) : on_stack;
  printf("%p\n", p);
  fflush(stdout);
  call(argv[1], p);
  for (int i = 1; i < OTHERS; i += 2) free(others[i]);
  return NULL;
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  pthread_t thread;
  REQUIRE(!pthread_create(&thread, NULL, misuse, argv));
  REQUIRE(!pthread_join(thread, NULL));
  malloc_trim(0);
  return 0;
}
