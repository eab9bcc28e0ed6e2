/* Collected heaps with every kernel call failing at its 1st, 2nd, 3rd ... use:
 * allocation returns NULL, a collection without memory loses nothing, and the
 * heap goes on when memory is there again. */
#include "faults.h"

#include "almacen_inline.h"
#include "mem/arena.h"

enum { LISTS = 64 };

struct node {
  struct node *next;
  struct node *other;
  uint64_t id;
};

static struct node *lists[LISTS]; /* a registered root */

/* Every node of every list must be as it was made. */
static void check_lists(void) {
  for (uint64_t i = 0; i < LISTS; i++) {
    for (struct node *n = lists[i]; n != NULL; n = n->next) {
      REQUIRE(n->id == i + 1);
      REQUIRE(n->other == NULL || n->other->id == i + 1);
    }
  }
}

static void grow_lists(struct alm_mutator *m, const struct alm_type *type,
                       unsigned count) {
  for (unsigned k = 0; k < count; k++) {
    uint64_t i = k % LISTS;
    struct node *n = alm_new_inline(m, type);
    void *large = k % 500 == 0 ? alm_new_array(m, type, 20000) : NULL;
    (void)large;
    if (n == NULL) {
      continue;
    }
    n->id = i + 1;
    alm_store_inline(m, n, &n->other, lists[i]);
    if (k % 3000 > 1500) { /* drop what was there */
      n->other = NULL;
      lists[i] = NULL;
    }
    alm_store_inline(m, n, &n->next, lists[i]);
    lists[i] = n;
    if (k % 1000 == 0) {
      (void)alm_weak_create(m, n, k % 2000 == 0);
      (void)alm_handle_create(m, n);
      (void)alm_collect(m);
    }
  }
}

static void use_a_heap(const struct alm_type_info *info) {
  struct alm_heap_options options = {.check = 1, .markers = 2};
  struct alm_heap *h;
  struct alm_mutator *m;
  const struct alm_type *type;
  memset(lists, 0, sizeof lists);
  if (alm_heap_create(&options, &h) != ALM_OK) {
    return;
  }
  if (alm_root_add(h, lists, sizeof lists) == ALM_OK &&
      alm_type_create(h, info, &type) == ALM_OK &&
      alm_mutator_attach(h, &m) == ALM_OK) {
    grow_lists(m, type, 6000);
    check_lists();
    alm_mutator_detach(m);
  }
  REQUIRE(alm_heap_destroy(h) == ALM_OK);
}

static void scenario(void *arg) {
  const struct fault *f = arg;
  static const uint64_t mask = 3;
  struct alm_type_info info = {"node", sizeof(struct node), &mask, 2, NULL};
  alm_free(alm_malloc(1)); /* the start has tests of its own */
  (void)os_fault_set(f->call, f->nth, f->count);
  use_a_heap(&info);
  bool is_hit = fault_is_hit(f);
  use_a_heap(&info);
  REQUIRE(alm_check());
  fault_end(is_hit);
}

static void fail_each(enum os_call call, uint64_t count) {
  fault_each(scenario, call, count, "background=0,reserve=1G", NULL);
}

#define TESTS_OF(call, name)                                                   \
  static void one_failure_to_##name(void **state) {                            \
    (void)state;                                                               \
    fail_each(call, 1);                                                        \
  }                                                                            \
  static void lasting_failure_to_##name(void **state) {                        \
    (void)state;                                                               \
    fail_each(call, UINT64_MAX);                                               \
  }

TESTS_OF(OS_RESERVE, reserve_mark_bits)
TESTS_OF(OS_READY, make_pages_or_bits_ready)
TESTS_OF(OS_ALLOC, get_records)
TESTS_OF(OS_THREAD, start_markers)

#define BOTH(name)                                                             \
  cmocka_unit_test(one_failure_to_##name),                                     \
      cmocka_unit_test(lasting_failure_to_##name)

int main(void) {
  const struct CMUnitTest tests[] = {
      BOTH(reserve_mark_bits),
      BOTH(make_pages_or_bits_ready),
      BOTH(get_records),
      BOTH(start_markers),
  };
  if (!ALM_DEBUG || UNDER_TSAN) {
    print_message("release builds have no fault injection, and TSan forbids\n"
                  "threads in children\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
