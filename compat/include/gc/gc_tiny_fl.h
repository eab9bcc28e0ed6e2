/* gc/gc_tiny_fl.h -- the size classes of a client's own free lists.
 *
 * WHAT    Sizes in granules, the unit of gc_inline.h, and how many lists there
 *         are: one for each number of granules below GC_TINY_FREELISTS, list 0
 *         being for objects of size 0, which are one granule.
 * UNITS   A granule is GC_GRANULE_BYTES; objects are aligned to it.
 */
#ifndef GC_TINY_FL_H
#define GC_TINY_FL_H

#ifndef GC_GRANULE_BYTES
#if defined(__LP64__) || defined(_LP64)
#define GC_GRANULE_BYTES 16
#else
#define GC_GRANULE_BYTES 8
#endif
#define GC_GRANULE_WORDS 2
#endif

/* Rounds down: see GC_WORDS_TO_WHOLE_GRANULES of gc_inline.h. */
#if GC_GRANULE_WORDS == 2
#define GC_WORDS_TO_GRANULES(n) ((n) >> 1)
#else
#define GC_WORDS_TO_GRANULES(n) ((n) * sizeof(void *) / GC_GRANULE_BYTES)
#endif

/* Objects up to 384 bytes with granules of 16, 256 bytes with those of 8. */
#ifndef GC_TINY_FREELISTS
#if GC_GRANULE_BYTES == 16
#define GC_TINY_FREELISTS 25
#else
#define GC_TINY_FREELISTS 33
#endif
#endif

/* Bytes of an object of list i, i > 0. */
#define GC_RAW_BYTES_FROM_INDEX(i) ((i)*GC_GRANULE_BYTES)

#endif
