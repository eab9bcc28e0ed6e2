/* Size classes against brute force: every size, every offset. */
#include "support.h"

#include "mem/sizeclass.h"

/* Alignment malloc owes an object of this size. */
static size_t alignment_for(size_t size) {
  return size <= 8 ? 8 : 16;
}

static unsigned naive_class(size_t size, size_t align) {
  for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
    uint32_t bytes = sizeclasses[i].object_bytes;
    if (bytes >= size && bytes % align == 0) {
      return i;
    }
  }
  return SIZECLASS_NONE;
}

static void every_size_gets_the_smallest_adequate_class(void **state) {
  (void)state;
  for (size_t size = 0; size <= SMALL_BYTES_MAX; size++) {
    assert_int_equal(sizeclass_for(size),
                     naive_class(size, alignment_for(size)));
  }
}

static void every_aligned_size_gets_the_smallest_adequate_class(void **state) {
  (void)state;
  for (size_t align = 8; align <= PAGE_BYTES; align *= 2) {
    for (size_t size = 0; size <= SMALL_BYTES_MAX; size++) {
      size_t owed = max_size(align, alignment_for(size));
      REQUIRE(sizeclass_for_aligned(size, align) == naive_class(size, owed));
    }
  }
  assert_int_equal(sizeclass_for_aligned(SMALL_BYTES_MAX + 1, 16),
                   SIZECLASS_NONE);
  assert_int_equal(sizeclass_for_aligned(16, 2 * PAGE_BYTES), SIZECLASS_NONE);
  assert_int_equal(sizeclass_for_aligned(SIZE_MAX, 16), SIZECLASS_NONE);
}

static void every_offset_has_its_slot_and_knows_a_start(void **state) {
  (void)state;
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    const struct sizeclass *c = &sizeclasses[class];
    for (size_t at = 0; at < (size_t)c->npages << PAGE_SHIFT; at++) {
      REQUIRE(sizeclass_slot(class, at) == at / c->object_bytes);
      REQUIRE(sizeclass_is_slot_start(c->magic, at) ==
              (at % c->object_bytes == 0));
    }
  }
}

static void the_magic_of_no_class_has_no_slot_starts(void **state) {
  (void)state;
  for (size_t at = 0; at < 16 * PAGE_BYTES; at++) {
    REQUIRE(!sizeclass_is_slot_start(0, at));
  }
}

static void spans_hold_as_many_slots_as_fit(void **state) {
  (void)state;
  uint32_t last = 0;
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    const struct sizeclass *c = &sizeclasses[class];
    size_t bytes = (size_t)c->npages << PAGE_SHIFT;
    assert_true(c->object_bytes > last && c->object_bytes % 8 == 0);
    assert_int_equal(c->nslots, bytes / c->object_bytes);
    assert_true(c->npages < 256); /* a tag's number of the page in the span */
    last = c->object_bytes;
  }
  assert_int_equal(last, SMALL_BYTES_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_size_gets_the_smallest_adequate_class),
      cmocka_unit_test(every_aligned_size_gets_the_smallest_adequate_class),
      cmocka_unit_test(every_offset_has_its_slot_and_knows_a_start),
      cmocka_unit_test(the_magic_of_no_class_has_no_slot_starts),
      cmocka_unit_test(spans_hold_as_many_slots_as_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
