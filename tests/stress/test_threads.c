/* tests/stress/test_threads.c -- threads that allocate, pass on, free, die.
 *
 * WHAT    Every object is stamped at both ends and checked when it is freed,
 *         by whichever thread frees it: memory handed out twice, or lost
 *         between a thread's claim and another's return, breaks a stamp. At
 *         the end the account must add up.
 */
#include "support.h"

#include "almacen.h"

#include <pthread.h>

enum { THREADS = 6, BOXES = 512, SIZE_MAX_ = 80000 };

struct object {
  void *p;
  size_t size;
  uint64_t tag;
};

/* A mailbox slot holds one object; whoever exchanges it out owns it. */
static struct object *boxes[BOXES];
static uint64_t stop_at_ns;
static bool is_over;

static struct object *object_make(struct rng *r, size_t most) {
  struct object *o = alm_malloc(sizeof *o);
  REQUIRE(o != NULL);
  o->size = rng_size(r, most);
  o->tag = rng_next(r);
  switch (rng_below(r, 4)) {
  case 0:
    o->p = alm_calloc(1, o->size);
    for (size_t i = 0; i < o->size && i < 256; i++) {
      REQUIRE(((char *)o->p)[i] == 0);
    }
    break;
  case 1:
    o->p = alm_aligned_alloc((size_t)16 << rng_below(r, 9), o->size);
    break;
  default:
    o->p = alm_malloc(o->size);
  }
  REQUIRE(o->p != NULL);
  stamp_write(o->p, o->size, o->tag);
  return o;
}

static void object_check(const struct object *o) {
  REQUIRE(stamp_holds(o->p, o->size, o->size, o->tag));
}

static void object_free(struct object *o) {
  if (o != NULL) {
    object_check(o);
    alm_free(o->p);
    alm_free(o);
  }
}

static void object_resize(struct object *o, struct rng *r) {
  size_t size = rng_size(r, SIZE_MAX_);
  size_t kept = size < o->size ? size : o->size;
  void *p = alm_realloc(o->p, size ? size : 1);
  REQUIRE(p != NULL);
  REQUIRE(stamp_holds(p, o->size, kept, o->tag));
  o->p = p;
  o->size = size ? size : 1;
  stamp_write(o->p, o->size, o->tag);
}

static struct object *box_exchange(size_t i, struct object *o) {
  return __atomic_exchange_n(&boxes[i], o, __ATOMIC_ACQ_REL);
}

static bool over(void) {
  if (now_ns() > stop_at_ns) {
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
  }
  return __atomic_load_n(&is_over, __ATOMIC_RELAXED);
}

static void *trader(void *arg) {
  struct rng r = {(uintptr_t)arg};
  while (!over()) {
    for (int i = 0; i < 200; i++) {
      size_t at = rng_below(&r, BOXES);
      if (rng_below(&r, 8) == 0) {
        struct object *o = box_exchange(at, NULL);
        if (o != NULL) {
          object_resize(o, &r);
          object_free(box_exchange(at, o));
        }
      } else {
        size_t most = rng_below(&r, 16) ? 600 : SIZE_MAX_;
        object_free(box_exchange(at, object_make(&r, most)));
      }
    }
  }
  return NULL;
}

/* Threads that live briefly, and die with objects others free. */
static void *brief(void *arg) {
  struct rng r = {(uintptr_t)arg};
  for (int i = 0; i < 100; i++) {
    size_t at = rng_below(&r, BOXES);
    object_free(box_exchange(at, object_make(&r, 400)));
  }
  return NULL;
}

static void *mother(void *arg) {
  struct rng r = {(uintptr_t)arg};
  while (!over()) {
    pthread_t t;
    if (pthread_create(&t, NULL, brief, (void *)(uintptr_t)rng_next(&r)) == 0) {
      pthread_join(t, NULL);
    }
  }
  return NULL;
}

/* Everything an embedder may call, at the same time. */
static void *meddler(void *arg) {
  struct rng r = {(uintptr_t)arg};
  while (!over()) {
    static struct alm_stats s;
    switch (rng_below(&r, 6)) {
    case 0:
      alm_release_memory(rng_size(&r, 64 * MIB));
      break;
    case 1:
      alm_thread_flush();
      break;
    case 2:
      REQUIRE(alm_check());
      break;
    case 3:
      alm_stats_read(&s);
      break;
    case 4:
      alm_background_stop();
      break;
    default:
      sleep_ms(5);
    }
  }
  return NULL;
}

static void empty_boxes(void) {
  for (size_t i = 0; i < BOXES; i++) {
    object_free(box_exchange(i, NULL));
  }
}

static void account_adds_up(void) {
  static struct alm_stats s;
  alm_background_stop();
  alm_release_memory(0);
  alm_stats_read(&s);
  for (size_t i = 0; i < ALM_CLASS_COUNT; i++) {
    REQUIRE(s.classes[i].allocs == s.classes[i].frees);
    REQUIRE(s.classes[i].spans == 0);
  }
  REQUIRE(s.heap_inuse == 0);
  REQUIRE(s.heap_mapped == 0);
  REQUIRE(alm_check());
}

static void trade(void *unused) {
  (void)unused;
  pthread_t threads[THREADS];
  struct rng r = {seed_take()};
  stop_at_ns = soak_end_ns(1500);
  for (size_t i = 0; i < THREADS; i++) {
    void *(*f)(void *) = i == 0 ? meddler : i == 1 ? mother : trader;
    REQUIRE(pthread_create(&threads[i], NULL, f,
                           (void *)(uintptr_t)rng_next(&r)) == 0);
  }
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  empty_boxes();
  account_adds_up();
}

static void objects_survive_trade_between_threads_and_the_account_adds_up(
    void **state) {
  (void)state;
  seed_take();
  child_must_pass(trade, NULL, UNDER_TSAN ? "reserve=1G" : NULL);
}

/* One class, two threads: claims race with returns on the same words. */
static void *same_class(void *arg) {
  struct rng r = {(uintptr_t)arg};
  while (!over()) {
    for (int i = 0; i < 500; i++) {
      struct object *o = alm_malloc(sizeof *o);
      REQUIRE(o != NULL);
      *o = (struct object){alm_malloc(24), 24, rng_next(&r)};
      REQUIRE(o->p != NULL);
      stamp_write(o->p, o->size, o->tag);
      object_free(box_exchange(rng_below(&r, BOXES), o));
    }
    alm_thread_flush();
  }
  return NULL;
}

static void hammer(void *unused) {
  (void)unused;
  pthread_t threads[4];
  struct rng r = {seed_take()};
  stop_at_ns = soak_end_ns(800);
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, same_class,
                           (void *)(uintptr_t)rng_next(&r)) == 0);
  }
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  empty_boxes();
  account_adds_up();
}

static void no_slot_is_lost_or_given_twice_within_one_class(void **state) {
  (void)state;
  seed_take();
  child_must_pass(hammer, NULL, UNDER_TSAN ? "reserve=1G" : NULL);
}

/* ---- late destructors --------------------------------------------------- */

static pthread_key_t late_keys[3];

/* Allocates again in every round of destructors, past the cache's own. */
static void late(void *value) {
  size_t left = *(size_t *)value;
  alm_free(value);
  for (size_t i = 0; i < 3 && left > 0; i++) {
    size_t *again = alm_malloc(sizeof *again);
    REQUIRE(again != NULL);
    *again = left - 1;
    if (i == 0) {
      pthread_setspecific(late_keys[left % 3], again);
    } else {
      alm_free(again);
    }
  }
}

static void *dies_late(void *unused) {
  (void)unused;
  for (size_t i = 0; i < 3; i++) {
    size_t *value = alm_malloc(sizeof *value);
    REQUIRE(value != NULL);
    *value = 2;
    pthread_setspecific(late_keys[i], value);
  }
  return NULL;
}

static void die_late(void *unused) {
  (void)unused;
  for (size_t i = 0; i < 3; i++) {
    REQUIRE(pthread_key_create(&late_keys[i], late) == 0);
  }
  for (size_t i = 0; i < rounds(1000); i++) {
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, dies_late, NULL) == 0);
    pthread_join(t, NULL);
  }
  REQUIRE(alm_check());
  static struct alm_stats s;
  alm_release_memory(0);
  alm_stats_read(&s);
  REQUIRE(s.heap_inuse < MIB);
}

static void destructors_of_dying_threads_may_allocate(void **state) {
  (void)state;
  child_must_pass(die_late, NULL, UNDER_TSAN ? "reserve=1G" : NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(
          objects_survive_trade_between_threads_and_the_account_adds_up),
      cmocka_unit_test(no_slot_is_lost_or_given_twice_within_one_class),
      cmocka_unit_test(destructors_of_dying_threads_may_allocate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
