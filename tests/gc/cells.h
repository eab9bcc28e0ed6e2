/* tests/gc/cells.h -- a heap with one type, and lists that know their length.
 *
 * HOW     Include it after support.h. Every cell is numbered from the end of
 *         its list, so a list that lost or mixed one is noticed.
 */
#ifndef ALM_TESTS_GC_CELLS_H
#define ALM_TESTS_GC_CELLS_H

#include "support.h"

#include "almacen_inline.h"

struct cell {
  struct cell *next;
  uint64_t id;
};

struct world {
  struct alm_heap *heap;
  const struct alm_type *cell;
};

__attribute__((unused)) static struct world make_world(
    const struct alm_heap_options *options) {
  const uint64_t mask = 1;
  struct world w;
  struct alm_type_info info = {"cell", sizeof(struct cell), &mask, 1, NULL};
  REQUIRE(heap_under_test(options, &w.heap) == ALM_OK);
  REQUIRE(alm_type_create(w.heap, &info, &w.cell) == ALM_OK);
  return w;
}

__attribute__((unused)) static struct cell *list_of(struct alm_mutator *m,
                                                    const struct alm_type *type,
                                                    uint64_t n) {
  struct cell *list = NULL;
  for (uint64_t i = 0; i < n; i++) {
    struct cell *c = alm_new_inline(m, type);
    REQUIRE(c != NULL && c->next == NULL && c->id == 0);
    c->id = i + 1;
    alm_store_inline(m, c, &c->next, list);
    list = c;
  }
  return list;
}

__attribute__((unused)) static void require_list(const struct cell *list,
                                                 uint64_t n) {
  for (; n > 0; n--, list = list->next) {
    REQUIRE(list != NULL && list->id == n);
  }
  REQUIRE(list == NULL);
}

#endif
