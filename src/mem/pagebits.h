/* mem/pagebits.h -- one chunk: 512 pages, two bits each.
 *
 * WHAT    in_use: the page is allocated (or cached by a thread). released:
 *         the OS holds nothing for it, so it reads as zero.
 * INVARIANTS
 *   [pagebits.1] A page is never both in use and released.
 * LOCKS   the page heap's, for every call.
 * SOURCE  Go mpallocbits.go.
 */
#ifndef ALM_MEM_PAGEBITS_H
#define ALM_MEM_PAGEBITS_H

#include "base/bits.h"

enum { CHUNK_WORDS = CHUNK_PAGES / 64 };

struct chunk_bits {
  uint64_t in_use[CHUNK_WORDS];
  uint64_t released[CHUNK_WORDS];
};

/* Free runs of a stretch of pages: at its start, the longest, at its end.
 * Packed in 21 bits each; entirely free at the top level is the top bit. */
struct summary {
  uint32_t start;
  uint32_t max;
  uint32_t end;
};

ALM_INTERNAL struct summary pagebits_summarize(const struct chunk_bits *c);

/* First run of n free pages at or after `from`, or CHUNK_PAGES. */
ALM_INTERNAL unsigned pagebits_find(const struct chunk_bits *c, unsigned n,
                                    unsigned from);

/* The highest run of pages that are free and not released, cut to `most`
 * and to whole groups of `group` (a power of two) pages. Its length, 0 when
 * there is none; *first is its first page. */
ALM_INTERNAL unsigned pagebits_find_releasable(const struct chunk_bits *c,
                                               unsigned most, unsigned group,
                                               unsigned *first);

ALM_INTERNAL bool pagebits_check(const struct chunk_bits *c);

#endif
