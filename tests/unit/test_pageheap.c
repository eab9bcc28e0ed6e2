/* mem/pageheap.c: pages to spans and back, addresses to spans. */
#include "support.h"

#include "api/process.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"

static bool all_checks(void) {
  central_lock_all();
  bool ok = pageheap_check();
  central_unlock_all();
  return ok && pagealloc_check();
}

static void small_spans_are_in_the_maps_page_by_page(void **state) {
  (void)state;
  unsigned class = sizeclass_for(28672); /* seven pages */
  uint64_t inuse = memstat->heap_inuse;
  struct span *s = pageheap_take_span(class, NULL);
  assert_non_null(s);
  size_t page = arena_page_of((void *)s->base);
  for (size_t i = 0; i < 7; i++) {
    const char *inside = (char *)s->base + i * PAGE_BYTES + 100;
    assert_ptr_equal(pageheap_span_at(inside), s);
    assert_int_equal(heap_map.tags[page + i], PAGE_TAG(class, i));
  }
  assert_int_equal(memstat->heap_inuse, inuse + 7 * PAGE_BYTES);
  assert_int_equal(memstat->classes[class].spans, 1);
  assert_true(all_checks());
  pageheap_return_span(s);
  for (size_t i = 0; i < 7; i++) {
    assert_null(pageheap_span_at(arena_page_address(page + i)));
    assert_int_equal(heap_map.tags[page + i], 0);
  }
  assert_int_equal(memstat->heap_inuse, inuse);
  assert_int_equal(memstat->classes[class].spans, 0);
  assert_int_equal(memstat->classes[class].spans_max, 1);
  assert_true(all_checks());
}

static void every_class_has_a_record_with_room(void **state) {
  (void)state;
  struct span *spans[SIZECLASS_COUNT] = {NULL};
  for (unsigned round = 0; round < 2; round++) {
    for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
      spans[i] = pageheap_take_span(i, NULL);
      assert_non_null(spans[i]);
      memset((void *)spans[i]->base, 0xa5, spans[i]->npages * PAGE_BYTES);
    }
    assert_true(all_checks());
    for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
      pageheap_return_span(spans[i]);
    }
    assert_true(all_checks());
  }
}

static void large_objects_are_in_the_map_by_their_first_page(void **state) {
  (void)state;
  bool is_zero = false;
  struct span *s = pageheap_take_large(10, 4, NULL, &is_zero);
  assert_non_null(s);
  assert_int_equal(s->base % (4 * PAGE_BYTES), 0);
  assert_ptr_equal(pageheap_span_at((void *)s->base), s);
  assert_null(pageheap_span_at((char *)s->base + PAGE_BYTES));
  if (is_zero) {
    const char *p = (char *)s->base;
    assert_memory_equal(p, p + 1, 10 * PAGE_BYTES - 1);
    assert_int_equal(*p, 0);
  }
  assert_true(all_checks());
  pageheap_return_span(s);
}

static void large_objects_grow_and_shrink_where_they_are(void **state) {
  (void)state;
  bool is_zero;
  struct span *s = pageheap_take_large(100, 1, NULL, &is_zero);
  struct span *next = pageheap_take_large(10, 1, NULL, &is_zero);
  assert_true(s != NULL && next != NULL);
  assert_ptr_equal((char *)s->base + 100 * PAGE_BYTES, (char *)next->base);
  uint64_t inuse = memstat->heap_inuse;
  assert_false(pageheap_resize_large(s, 101));
  assert_int_equal(s->npages, 100);
  assert_true(pageheap_resize_large(s, 60));
  assert_int_equal(memstat->heap_inuse, inuse - 40 * PAGE_BYTES);
  assert_true(all_checks());
  assert_true(pageheap_resize_large(s, 100));
  assert_false(pageheap_resize_large(s, 110));
  pageheap_return_span(next);
  assert_true(pageheap_resize_large(s, 110));
  assert_int_equal(memstat->heap_inuse, inuse);
  assert_true(all_checks());
  pageheap_return_span(s);
  assert_true(all_checks());
}

static void expect(const void *p, enum alm_misuse kind, uintptr_t object,
                   size_t bytes) {
  struct misuse m = pageheap_diagnose(p);
  assert_int_equal(m.kind, kind);
  assert_ptr_equal(m.pointer, p);
  if (kind == ALM_MISUSE_INTERIOR) {
    assert_int_equal(m.object, object);
    assert_int_equal(m.object_bytes, bytes);
  }
}

static void addresses_are_diagnosed(void **state) {
  (void)state;
  bool is_zero;
  struct span *small = pageheap_take_span(sizeclass_for(48), NULL);
  struct span *large = pageheap_take_large(20, 1, NULL, &is_zero);
  char *a = (char *)small->base, *b = (char *)large->base;
  expect(&a, ALM_MISUSE_FOREIGN, 0, 0);
  expect((void *)1, ALM_MISUSE_FOREIGN, 0, 0);
  expect((char *)heap_map.base - 1, ALM_MISUSE_FOREIGN, 0, 0);
  expect((char *)UINTPTR_MAX, ALM_MISUSE_FOREIGN, 0, 0);
  expect(a + 48 * 5 + 7, ALM_MISUSE_INTERIOR, small->base + 240, 48);
  expect(a + 8191, ALM_MISUSE_FOREIGN, 0, 0); /* the tail of 32 bytes */
  expect(b + 19 * PAGE_BYTES, ALM_MISUSE_INTERIOR, large->base,
         20 * PAGE_BYTES);
  expect(b + 20 * PAGE_BYTES + 5, ALM_MISUSE_FREED, 0, 0);
  pageheap_return_span(large);
  expect(b, ALM_MISUSE_FREED, 0, 0);
  pageheap_return_span(small);
  expect(a, ALM_MISUSE_FREED, 0, 0);
}

static void check_in_child(void *arg) {
  uint16_t *tag = arg;
  *tag ^= 1;
  (void)all_checks();
}

static void a_wrong_tag_is_noticed(void **state) {
  (void)state;
  struct span *s = pageheap_take_span(sizeclass_for(100), NULL);
  uint16_t *tag = &heap_map.tags[arena_page_of((void *)s->base)];
  struct child c = child_run(check_in_child, tag, NULL);
  assert_true(child_aborted(&c));
  pageheap_return_span(s);
}

static int start(void **state) {
  (void)state;
  return process_start() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_spans_are_in_the_maps_page_by_page),
      cmocka_unit_test(every_class_has_a_record_with_room),
      cmocka_unit_test(large_objects_are_in_the_map_by_their_first_page),
      cmocka_unit_test(large_objects_grow_and_shrink_where_they_are),
      cmocka_unit_test(addresses_are_diagnosed),
      cmocka_unit_test(a_wrong_tag_is_noticed),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
