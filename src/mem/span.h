/* mem/span.h -- a run of pages with objects of one size class, or one large
 * object.
 *
 * WHAT    The record of a span and its free bits: bit i is 1 when slot i is
 *         in nobody's hands. A slot whose bit is 0 is an object, or lies in
 *         a thread's run or list, or in a central's batch.
 * HOW     Whoever owns the span claims slots a word at a time by exchanging
 *         the word with 0; whoever returns slots ORs their bits in.
 * INVARIANTS
 *   [span.1] Bits at or above nslots are 0.
 *   [span.2] A span is owned by one cache, or in its central's list of
 *            partial spans (some free bit set), or in no list (none set).
 *   [span.3] nfree equals the number of set bits unless the span is owned.
 * ORDER   claim: exchange, acquire; return: or, release. They pair: the
 *         returner's last use of a slot is before the claimer's first.
 * LOCKS   the class's central lock for is_owned, nfree, link.
 * MEMORY  64 bytes for at most 192 slots, up to 176 for 1024, off heap.
 * SOURCE  Go mheap.go mspan. Differs: claims by word instead of freeindex.
 */
#ifndef ALM_MEM_SPAN_H
#define ALM_MEM_SPAN_H

#include "base/atomic.h"
#include "base/bits.h"
#include "base/list.h"
#include "sizeclass.h"

struct span {
  uintptr_t base;        /* set before publishing, then constant           */
  size_t npages;         /* constant; large: changed by its realloc only   */
  struct list_node link; /* in the central's list, else pointing to itself */
  uint16_t nslots;       /* constant; 1 for a large object                 */
  uint16_t nfree;        /* [span.3]                                       */
  uint8_t class;         /* constant; 0 for a large object                 */
  bool is_owned;         /* by a cache, or by a mutator                    */
  bool is_fresh;         /* no slot was ever returned and the pages were
                            zero: free slots are zero. Cleared by returners
                            before they set bits, read after a claim.      */
  bool is_collected;     /* part of a struct collected (gc/collected.h);
                            constant                                       */
  uint64_t free_bits[];  /* span_nwords(class) words                       */
};
STATIC_CHECK(sizeof(struct span) <= 48);

ALM_INLINE unsigned span_nwords(const struct span *s) {
  return (s->nslots + 63u) / 64;
}

ALM_INLINE uintptr_t span_slot_address(const struct span *s, unsigned slot) {
  unsigned class = s->class;
  return s->base + (uintptr_t)slot * sizeclasses[class].object_bytes;
}

ALM_INLINE bool span_is_free(const struct span *s, size_t slot) {
  return (atomic_load_relaxed(&s->free_bits[slot / 64]) >> (slot % 64)) & 1;
}

/* All slots free, not owned, `is_zero`: the pages read as zero. */
ALM_INTERNAL void span_init(struct span *s, uintptr_t base, unsigned class,
                            bool is_zero);

/* Claim the free slots of word i; their bits are returned. Owner only. */
ALM_INLINE uint64_t span_claim(struct span *s, unsigned i) {
  uint64_t *word = &s->free_bits[i];
  return atomic_load_relaxed(word) ? atomic_exchange_acquire(word, 0) : 0;
}

/* Return claimed slots of word i that were never handed out. */
ALM_INLINE void span_unclaim(struct span *s, unsigned i, uint64_t bits) {
  (void)atomic_or_release(&s->free_bits[i], bits);
}

/* Return slots of word i that hold data. */
ALM_INLINE void span_return(struct span *s, unsigned i, uint64_t bits) {
  atomic_store_relaxed(&s->is_fresh, false);
  (void)atomic_or_release(&s->free_bits[i], bits);
}

ALM_INTERNAL unsigned span_count_free(const struct span *s);

ALM_INTERNAL bool span_check(const struct span *s);

#endif
