/* mem/marks.h -- mark bits: one bit per 16 bytes of heap, at a computed place.
 *
 * WHAT    The bit of an object is that of its first granule. It is 1 from the
 *         moment a collection reaches the object until its span is swept.
 * HOW     A reservation of its own, made with the first collected heap and
 *         ready as far as spans of such heaps reach. No span is looked up to
 *         mark a pointer to an object's start.
 * INVARIANTS
 *   [marks.1] Outside of marking and before sweeping, bits of pages without a
 *             collected span are 0.
 * ORDER   Markers set bits with relaxed read-modify-writes: whoever sees the
 *         bit change owns the object. Everything else about an object was
 *         there before the world stopped, or comes through work.h's lock.
 * LOCKS   RANK_MARKS inside marks_ready.
 * MEMORY  8 MiB per GiB of heap, touched only where objects are.
 * SOURCE  Dense bitmaps: H.-J. Boehm's collector among others; Go keeps mark
 *         bits per span.
 */
#ifndef ALM_MEM_MARKS_H
#define ALM_MEM_MARKS_H

#include "arena.h"

enum { GRANULE_SHIFT = 4, MARK_WORDS_PER_PAGE = 8 };
STATIC_CHECK((MARK_WORDS_PER_PAGE * 64) << GRANULE_SHIFT == PAGE_BYTES);

/* Constant after the first marks_ready that returned true. */
ALM_INTERNAL_DATA uint64_t *marks_words;

/* Make the bits of pages below npages usable; false when the OS refuses. */
ALM_INTERNAL bool marks_ready(size_t npages);

ALM_INLINE size_t marks_index(uintptr_t p) {
  return (p - heap_map.base) >> GRANULE_SHIFT;
}

/* Where a bit is. */
struct mark_place {
  uint64_t *word;
  unsigned bit;
};

/* `offset`: from the region's start. */
ALM_INLINE struct mark_place marks_place_at(size_t offset) {
  size_t i = offset >> GRANULE_SHIFT;
  return (struct mark_place){&marks_words[i / 64], (unsigned)(i % 64)};
}

ALM_INLINE struct mark_place marks_place(uintptr_t p) {
  return marks_place_at(p - heap_map.base);
}

ALM_INLINE bool marks_test_at(struct mark_place at) {
  return (atomic_load_relaxed(at.word) >> at.bit) & 1;
}

ALM_INLINE bool marks_test(uintptr_t p) {
  return marks_test_at(marks_place(p));
}

/* The bit was seen clear. True: it still was. `is_alone`: nobody else marks now,
 * so it was. */
ALM_INLINE bool marks_claim_at(struct mark_place at, bool is_alone) {
  uint64_t bit = (uint64_t)1 << at.bit;
  if (is_alone) {
    atomic_store_relaxed(at.word, atomic_load_relaxed(at.word) | bit);
    return true;
  }
  return !(atomic_or_relaxed(at.word, bit) & bit);
}

/* True: it was clear. */
ALM_INLINE bool marks_set(uintptr_t p, bool is_alone) {
  struct mark_place at = marks_place(p);
  return !marks_test_at(at) && marks_claim_at(at, is_alone);
}

ALM_INLINE void marks_clear(uintptr_t p) {
  struct mark_place at = marks_place(p);
  (void)atomic_and_relaxed(at.word, ~((uint64_t)1 << at.bit));
}

ALM_INLINE uint64_t *marks_of_page(size_t page) {
  return &marks_words[page * MARK_WORDS_PER_PAGE];
}

ALM_INTERNAL void marks_fork_prepare(void);
ALM_INTERNAL void marks_fork_release(bool in_child);

#endif
