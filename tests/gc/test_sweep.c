/* gc/sweep.c over whole cycles: who sweeps, and when it is done. */
#include "support.h"

#include "almacen_inline.h"

enum { TYPES = 24, LIVE = 8 << 20 };

struct cell {
  struct cell *next;
  uint64_t id;
};

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *types[TYPES];
} t;

static void make_heap(const struct alm_heap_options *options) {
  const uint64_t mask = 1;
  REQUIRE(alm_heap_create(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  for (size_t i = 0; i < TYPES; i++) {
    struct alm_type_info info = {"cell", sizeof(struct cell) + 48 * i, &mask, 1,
                                 NULL};
    REQUIRE(alm_type_create(t.heap, &info, &t.types[i]) == ALM_OK);
  }
}

static struct alm_heap_stats stats(void) {
  struct alm_heap_stats s;
  alm_heap_stats_read(t.heap, &s);
  return s;
}

static struct cell *list_of(size_t bytes, size_t type) {
  struct cell *list = NULL;
  for (size_t i = 0; i < bytes / (sizeof(struct cell) + 48 * type); i++) {
    struct cell *c = alm_new_inline(t.m, t.types[type]);
    REQUIRE(c != NULL);
    alm_store_inline(t.m, c, &c->next, list);
    list = c;
  }
  return list;
}

/* Three of four are garbage then. */
static void thin_out(struct cell *list) {
  for (; list != NULL; list = list->next) {
    for (int i = 0; i < 3 && list->next != NULL; i++) {
      alm_store_inline(t.m, list, &list->next, list->next->next);
    }
  }
}

/* Type 0 has enough free slots for all that is allocated, so no span of the
 * other types is needed; when the next cycle is due, all are swept. */
static void allocate_to_the_goal(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.gc_percent = 20, .first_bytes = 1 << 20};
  make_heap(&options);
  struct cell *volatile lists[TYPES];
  for (size_t i = 0; i < TYPES; i++) {
    lists[i] = list_of(i == 0 ? 2 * LIVE : LIVE / TYPES, i);
  }
  thin_out(lists[0]);
  for (int i = 0; i < 10; i++) {
    REQUIRE(alm_collect(t.m) == ALM_OK);
    struct alm_heap_stats begin = stats(), s = begin;
    REQUIRE(s.unswept_bytes >= LIVE);
    uint64_t last = s.unswept_bytes, burst = 0;
    while (s.alloc_bytes + begin.live_bytes <
           begin.alloc_bytes + begin.goal_bytes - (128 << 10)) {
      for (int k = 0; k < 500; k++) {
        REQUIRE(alm_new_inline(t.m, t.types[0]) != NULL);
      }
      s = stats();
      burst = last - s.unswept_bytes > burst ? last - s.unswept_bytes : burst;
      last = s.unswept_bytes;
    }
    REQUIRE(s.collections == begin.collections);
    REQUIRE(s.unswept_bytes == 0);
    REQUIRE(alm_heap_check(t.m));
    /* 500 objects are a 200th of the way */
    REQUIRE(burst < begin.unswept_bytes / 20);
  }
  REQUIRE(lists[TYPES - 1] != NULL);
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static void all_is_swept_when_the_next_cycle_is_due(void **state) {
  (void)state;
  child_must_pass(allocate_to_the_goal, NULL, "background=0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_is_swept_when_the_next_cycle_is_due),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
