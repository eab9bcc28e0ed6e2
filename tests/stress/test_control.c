/* The control functions under load: each may be called by any thread at any
 * time, and the heap is whole whenever somebody looks. */
#include "load.h"

#include "os/os.h"

static uint64_t end_ns;
static uint64_t seed;

static void *work(void *arg) {
  struct rng r = {seed + (uintptr_t)arg * 104729};
  while (now_ns() < end_ns) {
    load_some(&r, 500, rng_below(&r, 3) ? 3000 : 1 << 20);
  }
  return NULL;
}

static void *work_a_little(void *arg) {
  struct rng r = {(uintptr_t)arg};
  load_some(&r, 300, rng_below(&r, 3) ? 3000 : 1 << 20);
  return NULL;
}

/* Threads that come and go under the others' feet. */
static void *come_and_go(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  while (now_ns() < end_ns) {
    pthread_t t;
    void *own_seed = (void *)(uintptr_t)rng_next(&r);
    REQUIRE(pthread_create(&t, NULL, work_a_little, own_seed) == 0);
    REQUIRE(pthread_join(t, NULL) == 0);
  }
  return NULL;
}

static void look_at_statistics(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  REQUIRE(s.heap_mapped < (uint64_t)1 << 40); /* never below zero */
  REQUIRE(s.heap_free < (uint64_t)1 << 40);
  REQUIRE(s.heap_inuse < (uint64_t)1 << 40);
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    REQUIRE(s.classes[i].spans < (uint64_t)1 << 40);
  }
}

static void *control(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  struct rng own = {seed * 31 + (uintptr_t)arg};
  while (now_ns() < end_ns) {
    switch (rng_below(&r, 6)) {
    case 0:
      (void)alm_release_memory(rng_below(&r, 3) * MIB);
      break;
    case 1:
      alm_thread_flush();
      break;
    case 2:
      REQUIRE(alm_check());
      break;
    case 3:
      look_at_statistics();
      break;
    default:
      load_some(&own, 200, 3000);
      break;
    }
  }
  return NULL;
}

static void *mixed(void *arg) {
  return (uintptr_t)arg < 2   ? control(arg)
         : (uintptr_t)arg < 4 ? come_and_go(arg)
                              : work(arg);
}

static void control_functions_work_under_load(void **state) {
  (void)state;
  seed = seed_take();
  end_ns = soak_end_ns(2500);
  threads_run(7, mixed);
  mail_empty();
  (void)alm_background_stop();
  everything_must_be_back();
}

/* ---- the background thread --------------------------------------------- */

static void *switch_background(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  while (now_ns() < end_ns) {
    switch (rng_below(&r, 4)) {
    case 0:
      (void)alm_background_stop();
      break;
    case 1:
      (void)alm_option_set("background", rng_below(&r, 3) ? "1" : "0");
      break;
    case 2:
      (void)alm_option_set("decay_ms", rng_below(&r, 2) ? "0" : "50");
      break;
    default:
      sleep_ms((unsigned)rng_below(&r, 8));
      break;
    }
  }
  return NULL;
}

/* Enough at once to start and wake it. */
static void *make_spikes(void *arg) {
  struct rng r = {seed + (uintptr_t)arg};
  while (now_ns() < end_ns) {
    void *objects[48];
    for (size_t i = 0; i < 48; i++) {
      objects[i] = object_make((300 << 10) + rng_below(&r, 100000), i);
    }
    for (size_t i = 0; i < 48; i++) {
      object_free(objects[i]);
    }
  }
  return NULL;
}

static void *spike_or_switch(void *arg) {
  return (uintptr_t)arg < 2 ? switch_background(arg) : make_spikes(arg);
}

static void background_thread_starts_and_stops_in_races(void **state) {
  (void)state;
  seed = seed_take();
  sleep_ms(120); /* a younger process has none */
  end_ns = soak_end_ns(1500);
  threads_run(4, spike_or_switch);
  (void)alm_background_stop();
  everything_must_be_back();
}

static bool is_returned_within(unsigned ms) {
  struct alm_stats s;
  for (uint64_t until = now_ns() + ms * (uint64_t)1000000; now_ns() < until;) {
    alm_stats_read(&s);
    if (s.heap_mapped < 4 * MIB) {
      return true;
    }
    sleep_ms(2);
  }
  return false;
}

/* Spikes at all moments of the thread's falling asleep. A wake-up that is
 * lost leaves the spike there for ever. */
static void no_wake_up_is_lost(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  assert_int_equal(alm_option_set("background", "1"), ALM_OK);
  assert_int_equal(alm_option_set("decay_ms", "0"), ALM_OK);
  end_ns = soak_end_ns(4000);
  while (now_ns() < end_ns) {
    void *objects[48];
    for (size_t i = 0; i < 48; i++) {
      objects[i] = object_make(512 << 10, i);
    }
    for (size_t i = 0; i < 48; i++) {
      object_free(objects[i]);
    }
    assert_true(is_returned_within(20000));
    sleep_ms((unsigned)(950 + rng_below(&r, 400)));
  }
  (void)alm_background_stop();
  everything_must_be_back();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(control_functions_work_under_load),
      cmocka_unit_test(background_thread_starts_and_stops_in_races),
      cmocka_unit_test(no_wake_up_is_lost),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
