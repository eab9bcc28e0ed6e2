/* Threads that are stopped by signals: anywhere, and without harm to what they
 * do. The mirror, specials and threads tests run under this contract, too. */
#include "support.h"

#include "almacen_inline.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static struct alm_heap *heap;
static atomic_bool stop;
static atomic_uint nready;

static void begin(enum alm_contract contract) {
  (void)seed_take(); /* before there are threads */
  struct alm_heap_options options = {
      .contract = contract, .check = 1, .first_bytes = 256 << 10};
  REQUIRE(alm_heap_create(&options, &heap) == ALM_OK);
  atomic_store(&stop, false);
  atomic_store(&nready, 0);
}

static pthread_t begin_thread(void *(*f)(void *), void *arg) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, f, arg) == 0);
  return thread;
}

static void await_ready(unsigned n) {
  while (atomic_load(&nready) < n) {
    sleep_ms(1);
  }
}

static void collect_times(size_t n) {
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_collect(m) == ALM_OK);
    REQUIRE(alm_new_bytes(m, ALM_NOSCAN, 64) != NULL);
  }
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
}

static void end(pthread_t *threads, size_t n) {
  atomic_store(&stop, true);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  REQUIRE(alm_heap_destroy(heap) == ALM_OK);
}

/* ---- what a stopped thread holds ------------------------------------------ */

/* Beyond what the compiler may keep in memory: the pointer, shifted, so that
 * it is none. */
static uint64_t hidden(const void *p) {
  return ~(uint64_t)(uintptr_t)p;
}

static void *spin_without_us(void *arg) {
  struct alm_mutator *m;
  uint64_t tag = (uintptr_t)arg, turns = 0;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  unsigned char *p = alm_new_bytes(m, ALM_NOSCAN, 200);
  stamp_write(p, 200, tag);
  atomic_fetch_add(&nready, 1);
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    turns++;
  }
  REQUIRE(stamp_holds(p, 200, 200, tag) && turns > 0);
  alm_mutator_detach(m);
  return NULL;
}

static void a_thread_that_never_calls_us_is_stopped(void **state) {
  (void)state;
  pthread_t threads[3];
  begin(ALM_UNCOOPERATIVE);
  for (size_t i = 0; i < 3; i++) {
    threads[i] = begin_thread(spin_without_us, (void *)(i + 1));
  }
  await_ready(3);
  collect_times(rounds(200));
  end(threads, 3);
}

/* The only pointer to the object is in a register that no callee keeps. */
#ifdef __x86_64__
#define SPIN_WITH_POINTER_IN(asm_in, asm_out, scratch)                         \
  static uint64_t __attribute__((noinline))                                    \
  spin_##scratch(uint64_t nothing, const atomic_bool *flag) {                  \
    uint64_t out;                                                              \
    __asm__ volatile("notq %1\n\t" asm_in "\n\t"                               \
                     "xorl %k1, %k1\n\t"                                       \
                     "1: cmpb $0, (%2)\n\tpause\n\tje 1b\n\t" asm_out          \
                     "\n\tnotq %0"                                             \
                     : "=&r"(out), "+r"(nothing)                               \
                     : "r"(flag)                                               \
                     : #scratch, "memory");                                    \
    return out;                                                                \
  }
SPIN_WITH_POINTER_IN("movq %1, %%r11", "movq %%r11, %0\n\txorl %%r11d, %%r11d",
                     r11)
SPIN_WITH_POINTER_IN("movq %1, %%xmm13",
                     "movq %%xmm13, %0\n\tpxor %%xmm13, %%xmm13", xmm13)
static uint64_t (*const spins[])(uint64_t, const atomic_bool *) = {spin_r11,
                                                                   spin_xmm13};
#else
#define SPIN_WITH_POINTER_IN(move_in, move_out, scratch)                       \
  static uint64_t __attribute__((noinline))                                    \
  spin_##scratch(uint64_t nothing, const atomic_bool *flag) {                  \
    uint64_t out;                                                              \
    __asm__ volatile("mvn %1, %1\n\t" move_in "\n\tmov %1, #0\n"               \
                     "1: ldrb w9, [%2]\n\tyield\n\tcbz w9, 1b\n\t" move_out    \
                     "\n\tmvn %0, %0"                                          \
                     : "=&r"(out), "+r"(nothing)                               \
                     : "r"(flag)                                               \
                     : #scratch, "x9", "memory");                              \
    return out;                                                                \
  }
SPIN_WITH_POINTER_IN("mov x14, %1", "mov %0, x14\n\tmov x14, #0", x14)
SPIN_WITH_POINTER_IN("fmov d19, %1", "fmov %0, d19", d19)
static uint64_t (*const spins[])(uint64_t, const atomic_bool *) = {spin_x14,
                                                                   spin_d19};
#endif

/* In a frame of its own, so that the pointer is left nowhere. */
static __attribute__((noinline)) uint64_t make_hidden(struct alm_mutator *m) {
  void *p = alm_new_bytes(m, ALM_NOSCAN, 100);
  stamp_write(p, 100, 7);
  return hidden(p);
}

static void *hold_in_register(void *arg) {
  struct alm_mutator *m;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  uint64_t p = make_hidden(m);
  atomic_fetch_add(&nready, 1);
  p = spins[(uintptr_t)arg](p, &stop);
  REQUIRE(stamp_holds((void *)(uintptr_t)~p, 100, 100, 7));
  alm_mutator_detach(m);
  return NULL;
}

static void pointers_in_any_register_are_found(void **state) {
  (void)state;
  if (UNDER_TSAN) {
    skip(); /* it runs handlers late: not amid these loops */
  }
  pthread_t threads[2];
  begin(ALM_UNCOOPERATIVE);
  for (size_t i = 0; i < 2; i++) {
    threads[i] = begin_thread(hold_in_register, (void *)i);
  }
  await_ready(2);
  collect_times(50);
  end(threads, 2);
}

/* ---- system calls ---------------------------------------------------------- */

static int ends[2];

static void *read_unblocked(void *arg) {
  struct alm_mutator *m;
  char byte = 0;
  (void)arg;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  unsigned char *p = alm_new_bytes(m, ALM_NOSCAN, 100);
  stamp_write(p, 100, 3);
  atomic_fetch_add(&nready, 1);
  REQUIRE(read(ends[0], &byte, 1) == 1 && byte == 'x');
  REQUIRE(stamp_holds(p, 100, 100, 3));
  alm_mutator_detach(m);
  return NULL;
}

static void a_read_that_was_interrupted_goes_on(void **state) {
  (void)state;
  if (UNDER_TSAN) {
    skip(); /* nor amid a read */
  }
  pthread_t thread;
  begin(ALM_UNCOOPERATIVE);
  REQUIRE(pipe(ends) == 0);
  thread = begin_thread(read_unblocked, NULL);
  await_ready(1);
  collect_times(rounds(100));
  REQUIRE(write(ends[1], "x", 1) == 1);
  end(&thread, 1);
  close(ends[0]);
  close(ends[1]);
}

/* poll is not restarted after a handler has run. */
static void *poll_blocked(void *arg) {
  struct alm_mutator *m;
  (void)arg;
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  while (!atomic_load(&stop)) {
    unsigned char *p = alm_new_bytes(m, ALM_NOSCAN, 100);
    stamp_write(p, 100, 5);
    alm_blocked_begin(m);
    atomic_fetch_add(&nready, 1);
    REQUIRE(poll(NULL, 0, 2) == 0);
    alm_blocked_end(m);
    REQUIRE(stamp_holds(p, 100, 100, 5));
  }
  alm_mutator_detach(m);
  return NULL;
}

static void a_thread_in_a_blocked_region_gets_no_signal(void **state) {
  (void)state;
  pthread_t threads[2];
  begin(ALM_UNCOOPERATIVE);
  for (size_t i = 0; i < 2; i++) {
    threads[i] = begin_thread(poll_blocked, NULL);
  }
  await_ready(2);
  collect_times(rounds(2000));
  end(threads, 2);
}

/* ---- signals of others ------------------------------------------------------ */

static void own_handler(int signal) {
  (void)signal;
}

static void a_signal_that_the_program_handles_is_refused(void **state) {
  (void)state;
  struct alm_heap *h = NULL;
  struct alm_heap_options options = {.contract = ALM_UNCOOPERATIVE,
                                     .stop_signal = SIGUSR2};
  REQUIRE(signal(SIGUSR2, own_handler) == SIG_DFL);
  REQUIRE(alm_heap_create(&options, &h) == ALM_EBUSY && h == NULL);
  options.stop_signal = 12345;
  REQUIRE(alm_heap_create(&options, &h) == ALM_EBUSY && h == NULL);
  options.contract = (enum alm_contract)7;
  REQUIRE(alm_heap_create(&options, &h) == ALM_EINVAL && h == NULL);
  REQUIRE(signal(SIGUSR2, SIG_DFL) == own_handler);
  options = (struct alm_heap_options){.contract = ALM_UNCOOPERATIVE,
                                      .stop_signal = SIGUSR2};
  REQUIRE(alm_heap_create(&options, &heap) == ALM_OK);
  atomic_store(&stop, false);
  atomic_store(&nready, 0);
  pthread_t thread = begin_thread(spin_without_us, (void *)1);
  await_ready(1);
  collect_times(10);
  end(&thread, 1);
}

static void *allocate(void *arg) {
  struct alm_mutator *m;
  struct rng r = {(uintptr_t)arg + seed_take()};
  void *kept[16] = {NULL};
  size_t bytes[16] = {0};
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  atomic_fetch_add(&nready, 1);
  while (!atomic_load(&stop)) {
    size_t i = rng_below(&r, 16);
    REQUIRE(kept[i] == NULL || stamp_holds(kept[i], bytes[i], bytes[i], i));
    bytes[i] = 1 + rng_size(&r, 50000);
    kept[i] = alm_new_bytes(m, ALM_NOSCAN, bytes[i]);
    REQUIRE(kept[i] != NULL);
    stamp_write(kept[i], bytes[i], i);
  }
  alm_mutator_detach(m);
  return NULL;
}

static void *send_signals(void *arg) {
  const pthread_t *threads = arg;
  while (!atomic_load(&stop)) {
    for (size_t i = 0; i < 2; i++) {
      REQUIRE(pthread_kill(threads[i], SIGURG) == 0);
    }
    sleep_ms(1);
  }
  return NULL;
}

static void our_signal_from_elsewhere_does_no_harm(void **state) {
  (void)state;
  pthread_t threads[3];
  begin(ALM_UNCOOPERATIVE);
  for (size_t i = 0; i < 2; i++) {
    threads[i] = begin_thread(allocate, (void *)i);
  }
  await_ready(2);
  threads[2] = begin_thread(send_signals, threads);
  collect_times(rounds(200));
  atomic_store(&stop, true);
  REQUIRE(pthread_join(threads[2], NULL) == 0);
  end(threads, 2);
}

/* ---- both contracts ---------------------------------------------------------- */

static struct alm_heap *other;

static void fill(struct alm_mutator *m, void **kept, struct rng *r,
                 uint64_t tag) {
  size_t i = rng_below(r, 8);
  REQUIRE(kept[i] == NULL || stamp_holds(kept[i], 300, 300, tag));
  kept[i] = alm_new_bytes(m, ALM_NOSCAN, 300);
  REQUIRE(kept[i] != NULL);
  stamp_write(kept[i], 300, tag);
}

static void *use_both(void *arg) {
  struct alm_mutator *signalled, *polling;
  struct rng r = {(uintptr_t)arg + seed_take()};
  void *a[8] = {NULL}, *b[8] = {NULL};
  REQUIRE(alm_mutator_attach(heap, &signalled) == ALM_OK);
  REQUIRE(alm_mutator_attach(other, &polling) == ALM_OK);
  for (size_t i = 0, n = rounds(40000); i < n; i++) {
    fill(signalled, a, &r, 1);
    fill(polling, b, &r, 2);
    if (rng_below(&r, 500) == 0) {
      REQUIRE(alm_collect(rng_below(&r, 2) ? signalled : polling) == ALM_OK);
    }
  }
  alm_mutator_detach(polling);
  alm_mutator_detach(signalled);
  return NULL;
}

static void threads_may_use_heaps_of_both_contracts(void **state) {
  (void)state;
  pthread_t threads[4];
  struct alm_heap_options options = {.first_bytes = 256 << 10, .check = 1};
  begin(ALM_UNCOOPERATIVE);
  REQUIRE(alm_heap_create(&options, &other) == ALM_OK);
  for (size_t i = 0; i < 4; i++) {
    threads[i] = begin_thread(use_both, (void *)i);
  }
  end(threads, 4);
  REQUIRE(alm_heap_destroy(other) == ALM_OK);
}

/* ---- a thread that ended without our being told ---------------------------- */

static pthread_key_t last_key; /* made after the library's own */

/* In the last of the rounds that there are, so nothing follows. */
static void attach_in_last_round(void *rounds_left) {
  uintptr_t left = (uintptr_t)rounds_left - 1;
  struct alm_mutator *m;
  if (left > 0) {
    REQUIRE(pthread_setspecific(last_key, (void *)left) == 0);
    return;
  }
  REQUIRE(alm_mutator_attach(heap, &m) == ALM_OK);
  for (size_t i = 0; i < 100; i++) {
    REQUIRE(alm_new_bytes(m, ALM_CONSERVATIVE, 16 + 100 * i) != NULL);
  }
}

static void *end_late(void *arg) {
  void *rounds_left = (void *)(uintptr_t)PTHREAD_DESTRUCTOR_ITERATIONS;
  REQUIRE(pthread_setspecific(last_key, rounds_left) == 0);
  return arg;
}

static void a_thread_that_ends_attached_is_not_waited_for(void **state) {
  (void)state;
  struct alm_heap_stats s;
  if (UNDER_TSAN) {
    skip(); /* what it knows of a thread ends in the last round, too */
  }
  begin(ALM_UNCOOPERATIVE);
  collect_times(1);
  REQUIRE(pthread_key_create(&last_key, attach_in_last_round) == 0);
  for (size_t i = 0, n = rounds(100); i < n; i++) {
    pthread_t threads[3];
    for (size_t k = 0; k < 3; k++) {
      threads[k] = begin_thread(end_late, NULL);
    }
    collect_times(1); /* while they end */
    for (size_t k = 0; k < 3; k++) {
      REQUIRE(pthread_join(threads[k], NULL) == 0);
    }
    collect_times(2);
  }
  alm_heap_stats_read(heap, &s);
  REQUIRE(s.mutators == 0);
  REQUIRE(pthread_key_delete(last_key) == 0);
  end(NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_thread_that_never_calls_us_is_stopped),
      cmocka_unit_test(pointers_in_any_register_are_found),
      cmocka_unit_test(a_read_that_was_interrupted_goes_on),
      cmocka_unit_test(a_thread_in_a_blocked_region_gets_no_signal),
      cmocka_unit_test(a_signal_that_the_program_handles_is_refused),
      cmocka_unit_test(our_signal_from_elsewhere_does_no_harm),
      cmocka_unit_test(threads_may_use_heaps_of_both_contracts),
      cmocka_unit_test(a_thread_that_ends_attached_is_not_waited_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
