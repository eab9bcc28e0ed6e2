/* Memory ordering where there is no lock: claiming and returning slots of a
 * span. A slot handed out twice, lost, or seen before its last user was done
 * with it ends the test. */
#include "load.h"

#include "api/process.h"
#include "mem/span.h"

enum { RETURNERS = 3, SLOTS = 512 /* of 16 bytes */ };

static _Alignas(64) char storage[sizeof(struct span) + 8 * 8];
static struct span *const span = (struct span *)(void *)storage;

/* What each slot holds: plain memory, ordered by the span's bits alone. */
static uint64_t contents[SLOTS];
static uint32_t owners[SLOTS]; /* 1: handed out; atomic */

/* From the owner to each returner: slots to give back. */
static struct {
  uint16_t slots[SLOTS];
  size_t head, tail; /* the owner writes tail, the returner head */
} queues[RETURNERS];

static uint32_t is_over;
static uint64_t handed;

static void *return_slots(void *arg) {
  size_t q = (uintptr_t)arg;
  uint64_t bits = 0;
  unsigned word = 0;
  for (;;) {
    bool last = __atomic_load_n(&is_over, __ATOMIC_ACQUIRE);
    size_t tail = __atomic_load_n(&queues[q].tail, __ATOMIC_ACQUIRE);
    size_t head = queues[q].head;
    if (head == tail) {
      if (bits != 0) {
        span_return(span, word, bits);
        bits = 0;
      }
      if (last) {
        return NULL;
      }
      sched_yield();
      continue;
    }
    unsigned slot = queues[q].slots[head % SLOTS];
    __atomic_store_n(&queues[q].head, head + 1, __ATOMIC_RELEASE);
    REQUIRE(contents[slot] == ~(uint64_t)slot);
    contents[slot] = slot; /* the last use */
    REQUIRE(__atomic_exchange_n(&owners[slot], 0, __ATOMIC_RELAXED) == 1);
    if (slot / 64 != word && bits != 0) {
      span_return(span, word, bits);
      bits = 0;
    }
    word = slot / 64;
    bits |= (uint64_t)1 << (slot % 64);
  }
}

static void hand_out(struct rng *r, unsigned slot) {
  REQUIRE(__atomic_exchange_n(&owners[slot], 1, __ATOMIC_RELAXED) == 0);
  REQUIRE(contents[slot] == slot);
  contents[slot] = ~(uint64_t)slot;
  size_t q = rng_below(r, RETURNERS);
  size_t tail = queues[q].tail;
  while (tail - __atomic_load_n(&queues[q].head, __ATOMIC_ACQUIRE) == SLOTS) {
    sched_yield();
  }
  queues[q].slots[tail % SLOTS] = (uint16_t)slot;
  __atomic_store_n(&queues[q].tail, tail + 1, __ATOMIC_RELEASE);
  handed++;
}

static void *own_span(void *arg) {
  struct rng r = {support_seed};
  uint64_t end_ns = *(uint64_t *)arg;
  while (now_ns() < end_ns) {
    for (unsigned i = 0; i < 2000; i++) {
      unsigned word = (unsigned)rng_below(&r, SLOTS / 64);
      uint64_t bits = span_claim(span, word);
      if (bits != 0 && rng_below(&r, 4) == 0) { /* some of it goes back */
        uint64_t back = bits & rng_next(&r);
        span_unclaim(span, word, back);
        bits &= ~back;
      }
      for (; bits != 0; bits &= bits - 1) {
        hand_out(&r, word * 64 + bits_ctz(bits));
      }
    }
  }
  return NULL;
}

static void slots_are_neither_lost_nor_handed_out_twice(void **state) {
  (void)state;
  pthread_t owner, returners[RETURNERS];
  uint64_t end_ns = soak_end_ns(1200);
  (void)seed_take();
  span_init(span, PAGE_BYTES, sizeclass_for(16), true);
  span->is_owned = true;
  for (unsigned i = 0; i < SLOTS; i++) {
    contents[i] = i;
  }
  for (uintptr_t i = 0; i < RETURNERS; i++) {
    assert_int_equal(
        pthread_create(&returners[i], NULL, return_slots, (void *)i), 0);
  }
  assert_int_equal(pthread_create(&owner, NULL, own_span, &end_ns), 0);
  pthread_join(owner, NULL);
  __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < RETURNERS; i++) {
    pthread_join(returners[i], NULL);
  }
  print_message("%" PRIu64 " slots handed out\n", handed);
  assert_int_equal(span_count_free(span), SLOTS);
  assert_false(span->is_fresh);
  assert_true(span_check(span));
}

/* ---- zeroes ------------------------------------------------------------ */

/* calloc trusts what a span says about its slots; a flag read too early
 * would hand out what another thread has written. */
static uint64_t zero_end_ns;

static void *calloc_and_send(void *arg) {
  struct rng r = {support_seed + (uintptr_t)arg};
  while (now_ns() < zero_end_ns) {
    for (unsigned i = 0; i < 500; i++) {
      size_t size = 16 + rng_size(&r, i % 50 ? 2000 : 100000);
      unsigned char *p = alm_calloc(1, size);
      REQUIRE(p != NULL && p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
      object_stamp(p, size, i);
      object_free(mail_exchange(rng_next(&r), p));
    }
    if (rng_below(&r, 20) == 0) {
      (void)alm_release_memory(0);
    }
  }
  return NULL;
}

static void calloc_gives_zeroes_whoever_freed_them(void **state) {
  (void)state;
  (void)seed_take();
  zero_end_ns = soak_end_ns(1000);
  threads_run(4, calloc_and_send);
  mail_empty();
  (void)alm_background_stop();
  everything_must_be_back();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slots_are_neither_lost_nor_handed_out_twice),
      cmocka_unit_test(calloc_gives_zeroes_whoever_freed_them),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
