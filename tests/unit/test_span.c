/* mem/span.c: one span's slots. */
#include "support.h"

#include "mem/span.h"

/* Room for a span of the 8-byte class: 16 words. */
static _Alignas(16) char storage[sizeof(struct span) + 16 * 8];
static struct span *const s = (struct span *)(void *)storage;

static void fresh_spans_have_all_slots_free(void **state) {
  (void)state;
  for (unsigned class = 1; class < SIZECLASS_COUNT; class += 1) {
    memset(storage, 0xff, sizeof storage);
    span_init(s, PAGE_BYTES, class, true);
    assert_int_equal(span_count_free(s), sizeclasses[class].nslots);
    assert_int_equal(s->nfree, sizeclasses[class].nslots);
    assert_true(s->is_fresh && !s->is_owned && s->class == class);
    assert_true(span_check(s));
    uintptr_t last = span_slot_address(s, s->nslots - 1u);
    assert_true(last + sizeclasses[class].object_bytes <=
                s->base + s->npages * PAGE_BYTES);
  }
}

static void claiming_takes_a_word_at_once(void **state) {
  (void)state;
  unsigned class = sizeclass_for(24 + 8); /* 256 slots */
  span_init(s, PAGE_BYTES, class, true);
  s->is_owned = true;
  assert_true(span_claim(s, 1) == ~(uint64_t)0);
  assert_true(span_claim(s, 1) == 0);
  assert_int_equal(span_count_free(s), 192);
  span_unclaim(s, 1, 0xf0);
  assert_true(s->is_fresh); /* they were never used */
  span_return(s, 1, 0x0f);
  assert_false(s->is_fresh);
  assert_true(span_claim(s, 1) == 0xff);
  assert_true(span_check(s));
}

static void check_span(void *arg) {
  (void)arg;
  REQUIRE(span_check(s));
}

static void broken_spans_are_noticed(void **state) {
  (void)state;
  unsigned class = sizeclass_for(48);
  for (unsigned i = 0; i < 6; i++) {
    span_init(s, PAGE_BYTES, class, true);
    child_must_pass(check_span, NULL, NULL);
    switch (i) {
    case 0:
      s->base++;
      break;
    case 1:
      s->nslots--;
      break;
    case 2:
      s->nfree--;
      break;
    case 3:
      s->free_bits[s->nslots / 64] |= (uint64_t)1 << 63; /* [span.1] */
      break;
    case 4:
      s->class ++;
      break;
    default:
      s->npages++;
      break;
    }
    struct child c = child_run(check_span, NULL, NULL);
    assert_true(child_aborted(&c));
    assert_non_null(strstr(c.text, "check failed"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fresh_spans_have_all_slots_free),
      cmocka_unit_test(claiming_takes_a_word_at_once),
      cmocka_unit_test(broken_spans_are_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
