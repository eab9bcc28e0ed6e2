/* tests/compat/programs/limits.c -- life under a limit of memory.
 *
 * usage: limits until-null BYTES  allocate until NULL and ENOMEM; at least
 *                                 BYTES were given; free; all over again
 *        limits below BYTES       never hold more than BYTES, in ever new
 *                                 shapes; nothing may fail */
#define _GNU_SOURCE
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

enum { MIB = 1 << 20 };

struct object {
  struct object *next;
  size_t size;
};

/* Allocate objects of a size until NULL, or until `limit` bytes are held.
 * Returns how many bytes the objects hold, slots counted whole. */
static size_t take(struct object **list, size_t size, size_t limit) {
  size_t total = 0;
  while (total + size <= limit) {
    errno = 0;
    struct object *o = malloc(size);
    if (!o) {
      REQUIRE(errno == ENOMEM);
      break;
    }
    memset(o, 0x42, size);
    o->size = size;
    o->next = *list;
    *list = o;
    total += malloc_usable_size(o);
  }
  return total;
}

static void release(struct object **list) {
  while (*list) {
    struct object *o = *list;
    *list = o->next;
    REQUIRE(o->size <= sizeof *o || ((char *)o)[o->size - 1] == 0x42);
    free(o);
  }
}

static void *thread_work(void *argument) {
  for (size_t i = 0; i < 1000; i++) free(malloc(i * 7));
  return argument;
}

/* The allocator has not taken all address space for itself. */
static void test_others(void) {
  void *p = mmap(NULL, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(p != MAP_FAILED);
  munmap(p, 16 * MIB);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, MIB);
  for (int i = 0; i < 20; i++) {
    pthread_t threads[4];
    for (int k = 0; k < 4; k++)
      REQUIRE(!pthread_create(&threads[k], &attributes, thread_work, NULL));
    for (int k = 0; k < 4; k++) REQUIRE(!pthread_join(threads[k], NULL));
  }
}

static void until_null(size_t least) {
  static const size_t shapes[] = {64,     1000, 9000,    100, 40000,
                                  300000, 24,   2 * MIB, 64,  1000};
  test_others();
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    struct object *list = NULL;
    size_t got = take(&list, shapes[i], SIZE_MAX / 2);
    /* Out of memory for large objects is not the end for small ones: what
     * fails must fail cleanly, what works must be right. */
    for (size_t n = 32; n <= MIB; n *= 4) free(malloc(n));
    errno = 0;
    REQUIRE(realloc(NULL, (size_t)1 << 40) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(calloc(1 << 20, 1 << 14) == NULL && errno == ENOMEM);
    release(&list);
    printf("objects of %zu bytes: %zu MiB\n", shapes[i], got / MIB);
    if (got < least)
      fprintf(stderr, "objects of %zu bytes: only %zu of the expected %zu\n",
              shapes[i], got, least);
    REQUIRE(got >= least);
    free(malloc(100)); /* goes on */
  }
}

static void below(size_t limit) {
  static const size_t shapes[] = {64, 100000,  1000, 48,    9000,  MIB,
                                  24, 5 * MIB, 500,  33000, 16000, 64};
  uint64_t state = 77;
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    struct object *list = NULL;
    size_t got = take(&list, shapes[i], limit);
    REQUIRE(got + shapes[i] > limit); /* none failed */
    release(&list);
  }
  for (int round = 0; round < 6; round++) { /* mixed, each round other sizes */
    struct object *list = NULL;
    size_t held = 0, largest = (size_t)1000 << round;
    while (held < limit / 2) {
      size_t size = sizeof *list + random_size(&state, largest);
      size_t got = take(&list, size, size);
      REQUIRE(got >= size);
      held += got;
    }
    release(&list);
  }
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  size_t bytes = (size_t)strtoull(argv[2], NULL, 0);
  if (strcmp(argv[1], "until-null") == 0)
    until_null(bytes);
  else
    below(bytes);
  puts("limits: done");
  return 0;
}
