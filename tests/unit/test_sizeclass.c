/* mem/sizeclass.c: a few known answers; model/test_sizeclass.c has all. */
#include "support.h"

#include "mem/sizeclass.h"

static uint32_t bytes_for(size_t size) {
  return sizeclasses[sizeclass_for(size)].object_bytes;
}

static uint32_t bytes_for_aligned(size_t size, size_t align) {
  return sizeclasses[sizeclass_for_aligned(size, align)].object_bytes;
}

static void known_sizes_have_known_slots(void **state) {
  (void)state;
  assert_int_equal(bytes_for(0), 8);
  assert_int_equal(bytes_for(8), 8);
  assert_int_equal(bytes_for(9), 16);
  assert_int_equal(bytes_for(17), 32); /* 24 is not aligned to 16 */
  assert_int_equal(bytes_for(1024), 1024);
  assert_int_equal(bytes_for(1025), 1152);
  assert_int_equal(bytes_for(32768), 32768);
}

static void known_alignments_have_known_slots(void **state) {
  (void)state;
  assert_int_equal(bytes_for_aligned(17, 8), 32);
  assert_int_equal(bytes_for_aligned(100, 64), 128);
  assert_int_equal(bytes_for_aligned(16, 4096), 4096);
  assert_int_equal(bytes_for_aligned(16, 8192), 8192);
  assert_int_equal(bytes_for_aligned(8193, 8192), 16384);
  assert_int_equal(sizeclass_for_aligned(16, 16384), SIZECLASS_NONE);
}

static void slots_are_found_from_offsets(void **state) {
  (void)state;
  unsigned class = sizeclass_for(48);
  uint32_t magic = sizeclasses[class].magic;
  assert_int_equal(sizeclass_slot(class, 0), 0);
  assert_int_equal(sizeclass_slot(class, 47), 0);
  assert_int_equal(sizeclass_slot(class, 48), 1);
  assert_true(sizeclass_is_slot_start(magic, 96));
  assert_false(sizeclass_is_slot_start(magic, 95));
  assert_false(sizeclass_is_slot_start(magic, 64));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_sizes_have_known_slots),
      cmocka_unit_test(known_alignments_have_known_slots),
      cmocka_unit_test(slots_are_found_from_offsets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
