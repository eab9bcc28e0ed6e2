/* Roots are taken in pieces by all markers: each once, none twice, and none
 * while it is being removed. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CALLBACKS = 200, RANGE_WORDS = 100000, HANDLES = 5000 };

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
} t;

static void begin(struct alm_heap_options options) {
  REQUIRE(heap_under_test(&options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
}

static void end(void) {
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static uint64_t *number(uint64_t n) {
  uint64_t *p = alm_new_bytes(t.m, ALM_NOSCAN, 32);
  REQUIRE(p != NULL);
  p[0] = p[3] = n;
  return p;
}

static void require_number(const uint64_t *p, uint64_t n) {
  REQUIRE(p[0] == n && p[3] == n);
}

/* ---- each once ------------------------------------------------------------------ */

struct reporter {
  uint64_t *object;
  atomic_uint calls;
};

static struct reporter reporters[CALLBACKS];
static uint64_t *range[RANGE_WORDS];
static struct alm_handle *handles[HANDLES];

static void report_one(void *arg, struct alm_visitor *v) {
  struct reporter *r = arg;
  atomic_fetch_add(&r->calls, 1);
  alm_visit(v, (char *)r->object + 8); /* any byte will do */
}

static void make_roots(void) {
  for (size_t i = 0; i < CALLBACKS; i++) {
    reporters[i].object = number(i);
    atomic_store(&reporters[i].calls, 0);
    REQUIRE(alm_root_callback_add(t.heap, report_one, &reporters[i]) == ALM_OK);
  }
  REQUIRE(alm_root_add(t.heap, range, sizeof range) == ALM_OK);
  for (size_t i = 0; i < RANGE_WORDS; i++) {
    range[i] = number(i);
  }
  for (size_t i = 0; i < HANDLES; i++) {
    handles[i] = alm_handle_create(t.m, number(i));
    REQUIRE(handles[i] != NULL);
  }
}

static void every_root_is_visited_once(void **state) {
  (void)state;
  for (unsigned markers = 1; markers <= 4; markers++) {
    struct alm_heap_stats s;
    begin((struct alm_heap_options){.markers = markers,
                                    .first_bytes = 256 << 20,
                                    .base_pointers_only = markers % 2});
    make_roots();
    for (unsigned n = 1; n <= 5; n++) {
      REQUIRE(alm_collect(t.m) == ALM_OK);
      for (size_t i = 0; i < CALLBACKS; i++) {
        REQUIRE(atomic_load(&reporters[i].calls) == n);
      }
    }
    alm_heap_stats_read(t.heap, &s);
    REQUIRE(s.live_objects >= CALLBACKS + RANGE_WORDS + HANDLES);
    for (size_t i = 0; i < RANGE_WORDS; i++) {
      require_number(range[i], i);
    }
    for (size_t i = 0; i < HANDLES; i++) {
      require_number(alm_handle_get(handles[i]), i);
    }
    for (size_t i = 0; i < CALLBACKS; i++) {
      require_number(reporters[i].object, i);
    }
    end();
  }
}

/* ---- removal -------------------------------------------------------------------- */

static atomic_bool stop;

/* A thread that is no mutator: memory that was a root is gone right after. */
static void *add_and_remove(void *arg) {
  struct rng r = {(uintptr_t)arg + 1};
  while (!atomic_load(&stop)) {
    size_t bytes = (1 + rng_below(&r, 300)) << 12;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    REQUIRE(alm_root_add(t.heap, p, bytes) == ALM_OK);
    struct alm_stack *s;
    REQUIRE(alm_stack_add(t.heap, p, bytes, &s) == ALM_OK);
    __atomic_store_n(&((struct alm_stack_head *)(void *)s)->pointer, p,
                     __ATOMIC_RELAXED);
    if (rng_below(&r, 4) == 0) {
      sleep_ms(1);
    }
    REQUIRE(alm_stack_remove(t.heap, s) == ALM_OK);
    REQUIRE(alm_root_remove(t.heap, p) == ALM_OK);
    REQUIRE(munmap(p, bytes) == 0);
  }
  return NULL;
}

static void a_root_is_not_read_after_its_removal(void **state) {
  (void)state;
  pthread_t threads[2];
  begin((struct alm_heap_options){.markers = 2});
  atomic_store(&stop, false);
  for (size_t i = 0; i < 2; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, add_and_remove, (void *)i) == 0);
  }
  for (size_t i = 0, n = rounds(4000); i < n; i++) {
    REQUIRE(alm_collect(t.m) == ALM_OK);
    if (i % 16 == 0) { /* a mutator that removes does not wait for itself */
      REQUIRE(alm_root_add(t.heap, range, sizeof range) == ALM_OK);
      REQUIRE(alm_root_remove(t.heap, range) == ALM_OK);
    }
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < 2; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  REQUIRE(alm_heap_check(t.m));
  end();
}

/* ---- what is freed ----------------------------------------------------------------- */

static uintptr_t hidden[64];
static uint64_t *kept;

static __attribute__((noinline)) void make_garbage(void) {
  for (size_t i = 0; i < 64; i++) {
    hidden[i] = ~(uintptr_t)number(i);
    if (i == 32) {
      kept = number(1000); /* so that the span stays */
    }
  }
}

__attribute__((no_sanitize("address"))) static bool is_clobbered(
    uintptr_t address) {
  const volatile uint64_t *p = (const volatile uint64_t *)address;
  return p[0] == 0xdbdbdbdbdbdbdbdb && p[3] == p[0];
}

/* Mark bits are ready as far as collected spans reach. */
static void pointers_to_pages_without_mark_bits_are_ignored(void **state) {
  (void)state;
  enum { BLOCKS = 16, BLOCK_BYTES = 32 << 20 };
  static char *blocks[BLOCKS], *ends[BLOCKS];
  begin((struct alm_heap_options){0});
  uint64_t *seven = number(7);
  for (int i = 0; i < BLOCKS; i++) {
    blocks[i] = alm_malloc(BLOCK_BYTES); /* untouched: address space only */
    REQUIRE(blocks[i] != NULL);
    ends[i] = blocks[i] + BLOCK_BYTES - 64;
  }
  REQUIRE(alm_root_add(t.heap, blocks, sizeof blocks) == ALM_OK);
  REQUIRE(alm_root_add(t.heap, ends, sizeof ends) == ALM_OK);
  REQUIRE(alm_collect(t.m) == ALM_OK);
  require_number(seven, 7);
  for (int i = 0; i < BLOCKS; i++) {
    alm_free(blocks[i]);
  }
  end();
}

static void objects_that_are_freed_are_overwritten_on_demand(void **state) {
  (void)state;
  size_t n = 0;
  begin((struct alm_heap_options){.clobber_free = true});
  REQUIRE(alm_root_add(t.heap, &kept, sizeof kept) == ALM_OK);
  make_garbage();
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK && alm_sweep(t.m) == ALM_OK);
  for (size_t i = 0; i < 64; i++) {
    n += is_clobbered(~hidden[i]);
  }
  REQUIRE(n >= 60); /* of the rest a stale word may know */
  require_number(kept, 1000);
  uintptr_t address = (uintptr_t)kept;
  kept = number(1001); /* the span has a live object still */
  REQUIRE(alm_delete(t.m, (void *)address) == ALM_OK);
  REQUIRE(is_clobbered(address));
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_root_is_visited_once),
      cmocka_unit_test(a_root_is_not_read_after_its_removal),
      cmocka_unit_test(pointers_to_pages_without_mark_bits_are_ignored),
      cmocka_unit_test(objects_that_are_freed_are_overwritten_on_demand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
