/* mem/pagebits.c -- see pagebits.h. */
#include "pagebits.h"

#include "base/diag.h"

/* Longest run of set bits strictly inside w (touching neither end) if it is
 * longer than `best`, else best. */
static unsigned pagebits_inner_run(uint64_t w, unsigned best) {
  w &= ~bits_low(bits_ctz(~w)); /* the run at the low end is   */
  unsigned top = bits_clz(~w);  /* counted by the caller, and  */
  w &= top ? bits_low(64 - top) : ~(uint64_t)0; /* so is the high end's */
  if (bits_count(w) <= best) {
    return best;
  }
  /* Bits that start a run of best + 1; then lengthen while any survives. */
  unsigned done = 1;
  while (done < best + 1 && w != 0) {
    unsigned step = done < best + 1 - done ? done : best + 1 - done;
    w &= w >> step;
    done += step;
  }
  for (; w != 0; w &= w >> 1) {
    best++;
  }
  return best;
}

struct summary pagebits_summarize(const struct chunk_bits *c) {
  struct summary s = {0, 0, 0};
  unsigned run = 0; /* free pages up to the end of the last word seen */
  bool at_start = true;
  for (unsigned i = 0; i < CHUNK_WORDS; i++) {
    uint64_t free = ~c->in_use[i];
    if (free == ~(uint64_t)0) {
      run += 64;
      continue;
    }
    run += bits_ctz(~free);
    if (at_start) {
      s.start = run;
      at_start = false;
    }
    s.max = run > s.max ? run : s.max;
    s.max = pagebits_inner_run(free, s.max);
    run = bits_clz(~free);
  }
  if (at_start) {
    s.start = run;
  }
  s.end = run;
  s.max = run > s.max ? run : s.max;
  return s;
}

unsigned pagebits_find(const struct chunk_bits *c, unsigned n, unsigned from) {
  unsigned run = 0, run_start = 0;
  for (unsigned i = from / 64; i < CHUNK_WORDS; i++) {
    uint64_t free = ~c->in_use[i];
    if (i == from / 64) {
      free &= ~bits_low(from % 64);
    }
    if (run == 0) {
      run_start = i * 64;
    }
    unsigned low = bits_ctz(~free);
    if (run + low >= n) {
      return run_start;
    }
    if (low == 64) {
      run += 64;
      continue;
    }
    unsigned inside = n <= 64 ? bits_find_run(free, n) : 64;
    if (inside < 64) {
      return i * 64 + inside;
    }
    run = bits_clz(~free);
    run_start = i * 64 + 64 - run;
  }
  return CHUNK_PAGES;
}

/* Bits of w whose whole aligned group of `group` bits is set. */
static uint64_t pagebits_whole_groups(uint64_t w, unsigned group) {
  for (unsigned step = 1; step < group; step *= 2) {
    w &= w >> step;
  }
  uint64_t firsts = 0;
  for (unsigned i = 0; i < 64; i += group) {
    firsts |= (uint64_t)1 << i;
  }
  w &= firsts;
  for (unsigned step = 1; step < group; step *= 2) {
    w |= w << step;
  }
  return w;
}

unsigned pagebits_find_releasable(const struct chunk_bits *c, unsigned most,
                                  unsigned group, unsigned *first) {
  unsigned end = 0, n = 0;
  ASSERT(group <= 64 && most >= group && most % group == 0);
  for (unsigned i = CHUNK_WORDS; i-- > 0;) {
    uint64_t w = ~(c->in_use[i] | c->released[i]);
    if (group > 1) {
      w = pagebits_whole_groups(w, group);
    }
    if (n == 0) {
      if (w == 0) {
        continue;
      }
      end = i * 64 + 64 - bits_clz(w);
      w |= bits_clz(w) ? ~bits_low(64 - bits_clz(w)) : 0;
      n = end - i * 64 - 64; /* wraps; made good by the whole-word count */
    }
    unsigned high = bits_clz(~w);
    n += high;
    if (high < 64) {
      break;
    }
  }
  n = n < most ? n : most;
  *first = end - n;
  return n;
}

bool pagebits_check(const struct chunk_bits *c) {
  for (unsigned i = 0; i < CHUNK_WORDS; i++) {
    CHECK_EQ(c->in_use[i] & c->released[i], 0); /* [pagebits.1] */
  }
  return true;
}
