/* Threads that allocate and free each other's objects, live short, and end
 * with objects alive. Contents are verified at each free; in the end every
 * byte is accounted for. */
#include "load.h"

static uint64_t end_ns;
static uint64_t seed;

static void *random_work(void *arg) {
  struct rng r = {seed + (uintptr_t)arg * 7919};
  while (now_ns() < end_ns) {
    load_some(&r, 2000, rng_below(&r, 4) ? 2000 : 200000);
  }
  return NULL;
}

static void random_work_with_remote_frees(void **state) {
  (void)state;
  seed = seed_take();
  end_ns = soak_end_ns(1500);
  threads_run(8, random_work);
  mail_empty();
  everything_must_be_back();
}

/* ---- one class --------------------------------------------------------- */

static size_t hammered;

static void *hammer(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  void *mine[300] = {NULL};
  while (now_ns() < end_ns) {
    for (size_t i = 0; i < 3000; i++) {
      void **at = &mine[rng_below(&r, 300)];
      object_free(mail_exchange(rng_below(&r, 64), *at));
      *at = object_make(hammered, i);
    }
    for (size_t i = 0; i < 300; i++) {
      object_free(mine[i]);
      mine[i] = NULL;
    }
  }
  return NULL;
}

static void two_threads_hammer_one_class(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 48, 1024, 8192, 32768, 40000};
  seed = seed_take();
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    hammered = sizes[i];
    end_ns = soak_end_ns(150);
    threads_run(2, hammer);
    mail_empty();
    everything_must_be_back();
  }
}

/* ---- producers and consumers ------------------------------------------- */

enum { RING = 4096 };

static struct ring {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  void *objects[RING];
  size_t head, tail; /* under lock, as all here */
  unsigned producers;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER};

static void *produce(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  while (now_ns() < end_ns) {
    void *made[256];
    for (size_t i = 0; i < 256; i++) {
      made[i] = object_make(16 + rng_size(&r, 3000), i);
    }
    pthread_mutex_lock(&ring.lock);
    while (ring.tail + 256 - ring.head > RING) {
      pthread_cond_wait(&ring.changed, &ring.lock);
    }
    for (size_t i = 0; i < 256; i++) {
      ring.objects[ring.tail++ % RING] = made[i];
    }
    pthread_cond_broadcast(&ring.changed);
    pthread_mutex_unlock(&ring.lock);
  }
  pthread_mutex_lock(&ring.lock);
  ring.producers--;
  pthread_cond_broadcast(&ring.changed);
  pthread_mutex_unlock(&ring.lock);
  return NULL;
}

static void *consume(void *arg) {
  (void)arg;
  for (;;) {
    void *taken[100];
    size_t n = 0;
    pthread_mutex_lock(&ring.lock);
    while (ring.head == ring.tail && ring.producers > 0) {
      pthread_cond_wait(&ring.changed, &ring.lock);
    }
    for (; n < 100 && ring.head < ring.tail; n++) {
      taken[n] = ring.objects[ring.head++ % RING];
    }
    pthread_cond_broadcast(&ring.changed);
    pthread_mutex_unlock(&ring.lock);
    if (n == 0) {
      return NULL;
    }
    for (size_t i = 0; i < n; i++) {
      object_free(taken[i]);
    }
  }
}

static void *produce_or_consume(void *arg) {
  return (uintptr_t)arg < 2 ? produce(arg) : consume(arg);
}

/* What one side frees must come back to the other: memory is bounded by what
 * is on the way, not by how much went through. */
static void producers_and_consumers_need_bounded_memory(void **state) {
  (void)state;
  struct alm_stats s;
  seed = seed_take();
  ring.producers = 2;
  end_ns = soak_end_ns(1000);
  threads_run(4, produce_or_consume);
  alm_stats_read(&s);
  uint64_t allocated = 0;
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    allocated += s.classes[i].alloc_bytes;
  }
  print_message("%" PRIu64 " MiB went through, %" PRIu64 " MiB at most held\n",
                allocated >> 20, s.heap_inuse_max >> 20);
  everything_must_be_back();
}

/* ---- thread churn ------------------------------------------------------ */

/* Leaves all it has in the mailboxes, and ends. */
static void *live_short(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  for (size_t i = 0; i < 40; i++) {
    void *p = object_make(rng_size(&r, 5000), i);
    object_free(mail_exchange(rng_next(&r), p));
  }
  return NULL;
}

static void a_thousand_short_threads_leave_nothing(void **state) {
  (void)state;
  seed = seed_take();
  size_t metadata = 0;
  for (size_t i = 0; i < 1600; i += 16) {
    threads_run(16, live_short);
    seed += 16;
    struct alm_stats s;
    alm_stats_read(&s);
    metadata = metadata ? metadata : s.metadata;
    REQUIRE(s.metadata < metadata + (1 << 20)); /* records are reused */
  }
  mail_empty();
  everything_must_be_back();
}

/* ---- destructors that come late ---------------------------------------- */

static pthread_key_t keys[6];

static void allocate_at_end(void *value) {
  struct rng r = {(uintptr_t)value};
  for (size_t i = 0; i < 20; i++) {
    object_free(
        mail_exchange(rng_next(&r), object_make(rng_size(&r, 3000), i)));
  }
  if ((uintptr_t)value % 4 != 0) { /* another round */
    pthread_setspecific(keys[(uintptr_t)value % 6],
                        (void *)((uintptr_t)value - 1));
  }
}

static void *end_with_destructors(void *arg) {
  for (uintptr_t i = 0; i < 6; i++) {
    pthread_setspecific(keys[i], (void *)((uintptr_t)arg * 64 + i + 1));
  }
  return (uintptr_t)arg % 2 ? live_short(arg) : NULL;
}

static void late_destructors_share_a_cache(void **state) {
  (void)state;
  seed = seed_take();
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(pthread_key_create(&keys[i], allocate_at_end), 0);
  }
  for (end_ns = soak_end_ns(600); now_ns() < end_ns;) {
    threads_run(16, end_with_destructors);
    seed += 16;
  }
  mail_empty();
  everything_must_be_back();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_work_with_remote_frees),
      cmocka_unit_test(two_threads_hammer_one_class),
      cmocka_unit_test(producers_and_consumers_need_bounded_memory),
      cmocka_unit_test(a_thousand_short_threads_leave_nothing),
      cmocka_unit_test(late_destructors_share_a_cache),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
