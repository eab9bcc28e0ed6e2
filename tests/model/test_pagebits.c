/* One chunk's bit operations against loops over single pages. */
#include "support.h"

#include "mem/pagebits.h"

static bool is_free(const struct chunk_bits *c, unsigned i) {
  return !bits_test(c->in_use, i);
}

static struct summary naive_summary(const struct chunk_bits *c) {
  struct summary s = {0, 0, 0};
  unsigned run = 0;
  bool at_start = true;
  for (unsigned i = 0; i < CHUNK_PAGES; i++) {
    run = is_free(c, i) ? run + 1 : 0;
    at_start = at_start && is_free(c, i);
    s.start += at_start;
    s.max = run > s.max ? run : s.max;
  }
  s.end = run;
  return s;
}

static unsigned naive_find(const struct chunk_bits *c, unsigned n,
                           unsigned from) {
  unsigned run = 0;
  for (unsigned i = from; i < CHUNK_PAGES; i++) {
    run = is_free(c, i) ? run + 1 : 0;
    if (run == n) {
      return i + 1 - n;
    }
  }
  return CHUNK_PAGES;
}

static unsigned naive_releasable(const struct chunk_bits *c, unsigned most,
                                 unsigned group, unsigned *first) {
  unsigned end = CHUNK_PAGES, n = 0;
  for (unsigned g = CHUNK_PAGES; g > 0; g -= group) {
    bool whole = true;
    for (unsigned i = g - group; i < g; i++) {
      whole = whole && is_free(c, i) && !bits_test(c->released, i);
    }
    if (whole && n == 0) {
      end = g;
    }
    if (!whole && n > 0) {
      break;
    }
    n += whole ? group : 0;
  }
  n = n < most ? n : most;
  *first = end - n;
  return n;
}

static void compare(const struct chunk_bits *c, struct rng *r) {
  struct summary a = pagebits_summarize(c), b = naive_summary(c);
  REQUIRE(a.start == b.start && a.max == b.max && a.end == b.end);
  for (unsigned i = 0; i < 6; i++) {
    unsigned n = 1 + (unsigned)rng_size(r, CHUNK_PAGES - 1);
    n = i == 0 && b.max > 0 ? b.max : i == 1 ? b.max + 1 : n;
    unsigned from = i < 3 ? 0 : (unsigned)rng_below(r, CHUNK_PAGES);
    n = n > CHUNK_PAGES ? CHUNK_PAGES : n;
    REQUIRE(pagebits_find(c, n, from) == naive_find(c, n, from));
  }
  for (unsigned group = 1; group <= 64; group *= 2) {
    unsigned most = group * (1 + (unsigned)rng_below(r, CHUNK_PAGES / group));
    unsigned first_a = 0, first_b = 0;
    unsigned n = pagebits_find_releasable(c, most, group, &first_a);
    REQUIRE(n == naive_releasable(c, most, group, &first_b));
    REQUIRE(n == 0 || first_a == first_b);
  }
  REQUIRE(pagebits_check(c));
}

/* Runs of random lengths, used and free in turn. */
static void fill_runs(struct chunk_bits *c, struct rng *r, unsigned longest) {
  memset(c, 0, sizeof *c);
  bool used = rng_below(r, 2);
  for (size_t i = 0; i < CHUNK_PAGES;) {
    size_t n = min_size(1 + rng_size(r, longest), CHUNK_PAGES - i);
    if (used) {
      bits_set_range(c->in_use, i, n);
    } else if (rng_below(r, 3) == 0) {
      size_t part = 1 + rng_below(r, n);
      bits_set_range(c->released, i + rng_below(r, n - part + 1), part);
    }
    used = !used;
    i += n;
  }
}

static void random_chunks_agree_with_loops(void **state) {
  (void)state;
  struct rng r = {seed_take()};
  struct chunk_bits c;
  size_t count = rounds(60000);
  for (size_t i = 0; i < count; i++) {
    static const unsigned longest[] = {1, 3, 20, 70, 200, 512};
    fill_runs(&c, &r, longest[i % 6]);
    compare(&c, &r);
    for (unsigned w = 0; w < CHUNK_WORDS; w++) { /* and plain noise */
      uint64_t dense = rng_next(&r) | (i % 2 ? rng_next(&r) : 0);
      c.in_use[w] = i % 3 ? dense : ~dense;
      c.released[w] = rng_next(&r) & ~c.in_use[w];
    }
    compare(&c, &r);
  }
}

static void single_runs_at_every_place_agree_with_loops(void **state) {
  (void)state;
  struct rng r = {1};
  struct chunk_bits c;
  static const unsigned lengths[] = {1,  2,   31,  32,  33,  63,  64,  65,
                                     95, 127, 128, 129, 191, 448, 511, 512};
  for (unsigned l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
    for (unsigned at = 0; at + lengths[l] <= CHUNK_PAGES; at++) {
      memset(&c, 0, sizeof c); /* one used run in free pages */
      bits_set_range(c.in_use, at, lengths[l]);
      compare(&c, &r);
      for (unsigned w = 0; w < CHUNK_WORDS; w++) { /* and inverted */
        c.in_use[w] = ~c.in_use[w];
      }
      compare(&c, &r);
    }
  }
}

static void two_equal_runs_give_the_first(void **state) {
  (void)state;
  struct rng r = {2};
  struct chunk_bits c;
  for (unsigned n = 1; n <= 130; n++) {
    for (unsigned gap = 1; gap <= 70; gap += 3) {
      memset(c.in_use, 0xff, sizeof c.in_use);
      memset(c.released, 0, sizeof c.released);
      unsigned at = (n * 7 + gap) % 100;
      bits_clear_range(c.in_use, at, n);
      bits_clear_range(c.in_use, at + n + gap, n);
      assert_int_equal(pagebits_find(&c, n, 0), at);
      assert_int_equal(pagebits_find(&c, n, at + 1), at + n + gap);
      compare(&c, &r);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_chunks_agree_with_loops),
      cmocka_unit_test(single_runs_at_every_place_agree_with_loops),
      cmocka_unit_test(two_equal_runs_give_the_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
