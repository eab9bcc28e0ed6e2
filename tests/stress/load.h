/* tests/stress/load.h -- threads that allocate, hand over and free.
 *
 * WHAT    Objects that know their size and stamp, so that any thread can
 *         verify and free them; mailboxes through which they change hands;
 *         what must hold of the statistics when all is over.
 */
#ifndef ALM_TESTS_STRESS_LOAD_H
#define ALM_TESTS_STRESS_LOAD_H

#include "support.h"

#include "almacen.h"

#include <pthread.h>

enum { MAILBOXES = 512, OBJECT_BYTES_MIN = 16 };

/* Each holds an object or NULL; exchanged by any thread. */
static void *mailboxes[MAILBOXES];

/* size >= OBJECT_BYTES_MIN. The tag is kept in the object. */
__attribute__((unused)) static void object_stamp(void *p, size_t size,
                                                 uint64_t tag) {
  uint64_t *words = p;
  words[0] = size;
  words[1] = tag;
  stamp_write(words + 2, size - OBJECT_BYTES_MIN, tag);
}

__attribute__((unused)) static void object_verify(const void *p) {
  const uint64_t *words = p;
  size_t size = words[0];
  REQUIRE(size >= OBJECT_BYTES_MIN && size <= alm_malloc_usable_size(p));
  REQUIRE(stamp_holds(words + 2, size - OBJECT_BYTES_MIN,
                      size - OBJECT_BYTES_MIN, words[1]));
}

/* By malloc, calloc or with an alignment, as the tag says. */
__attribute__((unused)) static void *object_make(size_t size, uint64_t tag) {
  size = size < OBJECT_BYTES_MIN ? OBJECT_BYTES_MIN : size;
  size_t align = (size_t)16 << (tag / 8 % 9);
  unsigned char *p = NULL;
  switch (tag % 8) {
  case 0:
    p = alm_calloc(1, size);
    REQUIRE(p != NULL && p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
    break;
  case 1:
    p = alm_aligned_alloc(align, size);
    REQUIRE(p != NULL && (uintptr_t)p % align == 0);
    break;
  default:
    p = alm_malloc(size);
    REQUIRE(p != NULL);
    break;
  }
  object_stamp(p, size, tag);
  return p;
}

/* Wipes what it frees: two owners of one object would notice. */
__attribute__((unused)) static void object_free(void *p) {
  if (p != NULL) {
    object_verify(p);
    ((uint64_t *)p)[0] = 0;
    alm_free(p);
  }
}

__attribute__((unused)) static void *object_resize(void *p, size_t size) {
  uint64_t *words = p;
  size_t old = words[0];
  uint64_t tag = words[1];
  object_verify(p);
  size = size < OBJECT_BYTES_MIN ? OBJECT_BYTES_MIN : size;
  words = alm_realloc(p, size);
  REQUIRE(words != NULL && words[0] == old && words[1] == tag);
  REQUIRE(stamp_holds(words + 2, old - OBJECT_BYTES_MIN,
                      min_size(old, size) - OBJECT_BYTES_MIN, tag));
  object_stamp(words, size, tag + 1);
  return words;
}

/* Leave p (or NULL) there, take what was there. */
__attribute__((unused)) static void *mail_exchange(size_t box, void *p) {
  return __atomic_exchange_n(&mailboxes[box % MAILBOXES], p, __ATOMIC_ACQ_REL);
}

/* A few hundred random operations, objects handed to and taken from others.
 * Nothing of the caller's is live afterwards but what lies in mailboxes. */
__attribute__((unused)) static void load_some(struct rng *r, size_t ops,
                                              size_t size_max) {
  void *mine[64] = {NULL};
  for (size_t i = 0; i < ops; i++) {
    void **at = &mine[rng_below(r, 64)];
    switch (rng_below(r, 8)) {
    case 0:
    case 1:
      object_free(mail_exchange(rng_next(r), *at));
      *at = NULL;
      break;
    case 2:
      if (*at != NULL) {
        *at = object_resize(*at, rng_size(r, size_max));
      }
      break;
    case 3:
      object_free(*at);
      *at = NULL;
      break;
    default:
      object_free(*at);
      *at = object_make(rng_size(r, size_max), rng_next(r));
      break;
    }
  }
  for (size_t i = 0; i < 64; i++) {
    object_free(mine[i]);
  }
}

__attribute__((unused)) static void mail_empty(void) {
  for (size_t i = 0; i < MAILBOXES; i++) {
    object_free(mail_exchange(i, NULL));
  }
}

/* All threads have ended and everything was freed. */
__attribute__((unused)) static void everything_must_be_back(void) {
  struct alm_stats s;
  REQUIRE(alm_check());
  (void)alm_release_memory(0);
  alm_stats_read(&s);
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    REQUIRE(s.classes[i].allocs == s.classes[i].frees);
    REQUIRE(s.classes[i].alloc_bytes == s.classes[i].free_bytes);
    REQUIRE(s.classes[i].spans == 0);
  }
  REQUIRE(s.heap_inuse == 0);
  REQUIRE(s.heap_mapped == 0);
  REQUIRE(alm_check());
}

__attribute__((unused)) static void threads_run(size_t n, void *(*f)(void *)) {
  pthread_t threads[128];
  REQUIRE(n <= 128);
  for (uintptr_t i = 0; i < n; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, f, (void *)i) == 0);
  }
  for (size_t i = 0; i < n; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
}

#endif
