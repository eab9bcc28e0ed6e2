/* base/bits.h -- find, count and change ranges of 64-bit bitmap words.
 *
 * WHAT    Bit i of a bitmap is bit i % 64 of word i / 64. All functions are
 *         pure but for the words given; none is atomic.
 * SOURCE  Runs inside a word by and-shifting: Go mpallocbits.go.
 */
#ifndef ALM_BASE_BITS_H
#define ALM_BASE_BITS_H

#include "base.h"

/* Trailing zeros; 64 for 0. */
ALM_INLINE unsigned bits_ctz(uint64_t w) {
  return w ? (unsigned)__builtin_ctzll(w) : 64u;
}

/* Leading zeros; 64 for 0. */
ALM_INLINE unsigned bits_clz(uint64_t w) {
  return w ? (unsigned)__builtin_clzll(w) : 64u;
}

/* Set bits. Written out, because the baseline x86-64 has no instruction for
 * it and the compiler would call a function. */
ALM_INLINE unsigned bits_count(uint64_t w) {
  w -= (w >> 1) & 0x5555555555555555u;
  w = (w & 0x3333333333333333u) + ((w >> 2) & 0x3333333333333333u);
  w = (w + (w >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (unsigned)((w * 0x0101010101010101u) >> 56);
}

/* The low n bits set, n <= 64. */
ALM_INLINE uint64_t bits_low(unsigned n) {
  return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

/* Bits [first, first + n) of one word; first + n <= 64. */
ALM_INLINE uint64_t bits_span(unsigned first, unsigned n) {
  return n == 0 ? 0 : bits_low(n) << first;
}

ALM_INLINE bool bits_test(const uint64_t *words, size_t i) {
  return (words[i / 64] >> (i % 64)) & 1;
}

/* First position of a run of n set bits in w, or 64. 1 <= n <= 64.
 * Afterwards each surviving bit says "n set bits start here". */
ALM_INLINE unsigned bits_find_run(uint64_t w, unsigned n) {
  unsigned done = 1;
  while (done < n && w != 0) {
    unsigned step = done < n - done ? done : n - done;
    w &= w >> step;
    done += step;
  }
  return bits_ctz(w);
}

/* Every second bit from bit 0, side by side in the low half. */
ALM_INLINE uint64_t bits_even(uint64_t w) {
  w &= 0x5555555555555555u;
  w = (w | w >> 1) & 0x3333333333333333u;
  w = (w | w >> 2) & 0x0f0f0f0f0f0f0f0fu;
  w = (w | w >> 4) & 0x00ff00ff00ff00ffu;
  w = (w | w >> 8) & 0x0000ffff0000ffffu;
  return (w | w >> 16) & 0x00000000ffffffffu;
}

/* Call `word_op(word, mask)` for each word touched by [first, first + n). */
#define BITS_FOR_RANGE(first, n, word, mask)                                   \
  for (size_t bfr_i = (first), bfr_end = (first) + (n), word, mask;            \
       bfr_i < bfr_end &&                                                      \
       (word = bfr_i / 64,                                                     \
       mask = bits_span((unsigned)(bfr_i % 64),                                \
                        (unsigned)min_size(64 - bfr_i % 64, bfr_end - bfr_i)), \
       true);                                                                  \
       bfr_i = (bfr_i / 64 + 1) * 64)

ALM_INLINE void bits_set_range(uint64_t *words, size_t first, size_t n) {
  BITS_FOR_RANGE(first, n, word, mask) {
    words[word] |= mask;
  }
}

ALM_INLINE void bits_clear_range(uint64_t *words, size_t first, size_t n) {
  BITS_FOR_RANGE(first, n, word, mask) {
    words[word] &= ~mask;
  }
}

ALM_INLINE size_t bits_count_range(const uint64_t *words, size_t first,
                                   size_t n) {
  size_t count = 0;
  BITS_FOR_RANGE(first, n, word, mask) {
    count += bits_count(words[word] & mask);
  }
  return count;
}

#endif
