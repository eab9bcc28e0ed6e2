/* mem/central.c: spans and batches of one class. */
#include "support.h"

#include "api/process.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"

static bool all_checks(void) {
  central_lock_all();
  bool ok = central_check() && pageheap_check();
  central_unlock_all();
  return ok;
}

/* Claim every slot of the span and chain `count` of them from `first`. */
static struct batch chain(struct span *s, unsigned first, unsigned count) {
  void *head = NULL;
  for (unsigned i = first + count; i-- > first;) {
    void **p = (void **)span_slot_address(s, i);
    *p = head;
    head = p;
  }
  return (struct batch){head, count};
}

static struct span *take_used_up(unsigned class) {
  struct span *s = central_take_span(class, NULL);
  assert_non_null(s);
  assert_true(s->is_owned);
  for (unsigned i = 0; i < span_nwords(s); i++) {
    (void)span_claim(s, i);
  }
  return s;
}

static void batches_wait_and_the_newest_is_taken(void **state) {
  (void)state;
  unsigned class = sizeclass_for(64);
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct span *s = take_used_up(class);
  struct batch a = chain(s, 0, 10), b = chain(s, 10, 20);
  assert_int_equal(central_take_batch(class).count, 0);
  central_return_batch(class, a, &bad);
  central_return_batch(class, b, &bad);
  assert_true(all_checks());
  struct batch got = central_take_batch(class);
  assert_true(got.head == b.head && got.count == 20);
  got = central_take_batch(class);
  assert_true(got.head == a.head && got.count == 10);
  assert_int_equal(central_take_batch(class).count, 0);
  central_return_slots(class, (char *)s->base, s->nslots);
  central_return_span(s);
  assert_int_equal(memstat->classes[class].spans, 0);
  assert_int_equal(bad.kind, 0);
}

static void spilled_spans_become_partial_then_leave(void **state) {
  (void)state;
  unsigned class = sizeclass_for(80);
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct span *s = take_used_up(class);
  central_return_span(s); /* full: in no list */
  assert_true(all_checks());
  assert_int_equal(s->nfree, 0);
  central_return_batch(class, chain(s, 5, 7), &bad);
  assert_int_equal(central_drain(true, &bad), 7);
  assert_int_equal(s->nfree, 7);
  assert_true(all_checks());
  struct span *again = central_take_span(class, NULL);
  assert_ptr_equal(again, s);
  assert_true(span_claim(s, 0) == bits_span(5, 7));
  central_return_span(s);
  central_return_batch(class, chain(s, 0, s->nslots), &bad);
  assert_int_equal(central_drain(true, &bad), sizeclasses[class].nslots);
  assert_int_equal(memstat->classes[class].spans, 0);
  assert_int_equal(bad.kind, 0);
  assert_true(all_checks());
}

static void objects_of_an_owned_span_go_home_to_its_owner(void **state) {
  (void)state;
  unsigned class = sizeclass_for(112);
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct span *s = take_used_up(class);
  central_return_batch(class, chain(s, 60, 10), &bad);
  (void)central_drain(true, &bad);
  assert_true(s->is_owned && list_is_empty(&s->link));
  assert_true(span_claim(s, 0) == bits_span(60, 4));
  assert_true(span_claim(s, 1) == bits_span(0, 6));
  central_return_slots(class, (char *)s->base, s->nslots);
  central_return_span(s);
  assert_true(all_checks());
}

static void draining_spares_classes_in_use(void **state) {
  (void)state;
  unsigned busy = sizeclass_for(128), idle = sizeclass_for(144);
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct span *a = take_used_up(busy), *b = take_used_up(idle);
  central_return_span(a);
  central_return_span(b);
  central_return_batch(busy, chain(a, 0, 3), &bad);
  central_return_batch(busy, chain(a, 3, 3), &bad);
  central_return_batch(idle, chain(b, 0, 5), &bad);
  struct batch taken = central_take_batch(busy);
  assert_int_equal(central_drain(false, &bad), 5);
  assert_int_equal(central_drain(false, &bad), 3); /* idle by now */
  central_return_batch(busy, taken, &bad);
  central_return_batch(busy, chain(a, 6, a->nslots - 6u), &bad);
  central_return_batch(idle, chain(b, 5, b->nslots - 5u), &bad);
  (void)central_drain(true, &bad);
  assert_int_equal(memstat->classes[busy].spans, 0);
  assert_int_equal(memstat->classes[idle].spans, 0);
}

/* Every span of the class back, whatever a damaged chain lost of it. */
static void return_rest(struct span *s) {
  for (unsigned i = 0; i < s->nslots; i++) {
    if (!bits_test(s->free_bits, i)) {
      central_return_slots(s->class, (char *)span_slot_address(s, i), 1);
    }
  }
  central_return_span(s);
}

static void a_double_free_in_a_batch_is_described(void **state) {
  (void)state;
  unsigned class = sizeclass_for(160);
  struct misuse bad = {0, NULL, 0, 0, 0};
  struct span *s = take_used_up(class);
  void **a = (void **)span_slot_address(s, 3);
  void **b = (void **)span_slot_address(s, 9);
  *a = b;
  *b = a; /* freed a, b, a */
  central_return_batch(class, (struct batch){a, 3}, &bad);
  (void)central_drain(true, &bad);
  assert_int_equal(bad.kind, ALM_MISUSE_FREED);
  assert_ptr_equal(bad.pointer, a);
  assert_int_equal(span_count_free(s), 2);
  return_rest(s);
}

static void a_written_free_object_does_not_crash_the_spill(void **state) {
  (void)state;
  unsigned class = sizeclass_for(176);
  struct span *s = take_used_up(class);
  void *const wrong[] = {(void *)0x41414141,
                         (void *)(span_slot_address(s, 5) + 8),
                         (void *)(uintptr_t)0xdeadbeefdeadbeef, NULL};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct misuse bad = {0, NULL, 0, 0, 0};
    void **a = (void **)span_slot_address(s, (unsigned)i);
    *a = wrong[i];
    central_return_batch(class, (struct batch){a, 4}, &bad);
    (void)central_drain(true, &bad);
    assert_true(bad.kind == ALM_MISUSE_FOREIGN ||
                bad.kind == ALM_MISUSE_INTERIOR);
    assert_ptr_equal(bad.pointer, wrong[i]);
  }
  return_rest(s);
  assert_true(all_checks());
}

static void batch_counts_are_bounded(void **state) {
  (void)state;
  for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
    size_t bytes = (size_t)central_batch_count(i) * sizeclasses[i].object_bytes;
    assert_true(central_batch_count(i) >= 2);
    assert_true(bytes <= BATCH_BYTES || central_batch_count(i) == 2);
    assert_true(central_slack_count(i) >= 1);
  }
}

static int start(void **state) {
  (void)state;
  return process_start() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batches_wait_and_the_newest_is_taken),
      cmocka_unit_test(spilled_spans_become_partial_then_leave),
      cmocka_unit_test(objects_of_an_owned_span_go_home_to_its_owner),
      cmocka_unit_test(draining_spares_classes_in_use),
      cmocka_unit_test(a_double_free_in_a_batch_is_described),
      cmocka_unit_test(a_written_free_object_does_not_crash_the_spill),
      cmocka_unit_test(batch_counts_are_bounded),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
