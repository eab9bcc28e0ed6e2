/* mem/span.c -- see span.h. */
#include "span.h"

#include "base/diag.h"

void span_init(struct span *s, uintptr_t base, unsigned class, bool is_zero) {
  s->base = base;
  s->npages = sizeclasses[class].npages;
  list_init(&s->link);
  s->nslots = sizeclasses[class].nslots;
  s->nfree = s->nslots;
  s->class = (uint8_t) class;
  s->is_owned = false;
  s->is_fresh = is_zero;
  atomic_store_relaxed(&s->is_collected, false);
  for (unsigned i = 0; i < span_nwords(s); i++) {
    unsigned left = s->nslots - i * 64;
    s->free_bits[i] = bits_low(left < 64 ? left : 64); /* [span.1] */
  }
}

unsigned span_count_free(const struct span *s) {
  unsigned n = 0;
  for (unsigned i = 0; i < span_nwords(s); i++) {
    n += bits_count(atomic_load_relaxed(&s->free_bits[i]));
  }
  return n;
}

bool span_check(const struct span *s) {
  CHECK(s->base % PAGE_BYTES == 0);
  CHECK(s->npages > 0);
  CHECK(s->class < SIZECLASS_COUNT);
  if (s->class == 0) {
    CHECK_EQ(s->nslots, 1);
    return true;
  }
  CHECK_EQ(s->npages, sizeclasses[s->class].npages);
  CHECK_EQ(s->nslots, sizeclasses[s->class].nslots);
  CHECK(s->nfree <= s->nslots);
  unsigned tail = s->nslots % 64;
  uint64_t last = atomic_load_relaxed(&s->free_bits[span_nwords(s) - 1]);
  CHECK(tail == 0 || (last & ~bits_low(tail)) == 0); /* [span.1] */
  if (!s->is_owned) {
    CHECK_EQ(s->nfree, span_count_free(s)); /* [span.3] */
    /* A span with all slots free is on its way to the page heap, in hands
     * that hold no lock: its link is theirs. [span.2] */
    bool is_leaving = s->nfree == s->nslots;
    CHECK(is_leaving || (s->nfree > 0) == (s->link.next != &s->link));
  } else {
    CHECK(s->link.next == &s->link);
  }
  return true;
}
