/* gc/gc_typed.h -- objects whose pointers are at known places.
 *
 * WHAT    A descriptor, made once per type, says which words of an object may
 *         be pointers; the collector looks at no others.
 * HOW     GC_word bits[GC_BITMAP_SIZE(struct pair)] = {0};
 *         GC_set_bit(bits, GC_WORD_OFFSET(struct pair, next));
 *         d = GC_make_descriptor(bits, GC_WORD_LEN(struct pair));
 *         p = GC_MALLOC_EXPLICITLY_TYPED(sizeof(struct pair), d);
 * UNITS   Bits of a bitmap are words of the object, from bit 0 of word 0 on.
 */
#ifndef GC_TYPED_H
#define GC_TYPED_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef GC_word *GC_bitmap;
typedef GC_word GC_descr;

/* Bits in a word of a bitmap. */
#define GC_WORDSZ (8 * sizeof(GC_word))
#define GC_get_bit(bm, index)                                                  \
  (((bm)[(index) / GC_WORDSZ] >> ((index) % GC_WORDSZ)) & 1)
#define GC_set_bit(bm, index)                                                  \
  ((bm)[(index) / GC_WORDSZ] |= (GC_word)1 << ((index) % GC_WORDSZ))

/* The word that field f is in; words of a type; words of its bitmap. */
#define GC_WORD_OFFSET(t, f) (offsetof(t, f) / sizeof(GC_word))
#define GC_WORD_LEN(t) (sizeof(t) / sizeof(GC_word))
#define GC_BITMAP_SIZE(t) ((GC_WORD_LEN(t) + GC_WORDSZ - 1) / GC_WORDSZ)

/* GC_make_descriptor(bitmap, nbits): the descriptor of a layout; words behind
 * nbits are no pointers. Stays for the life of the process: one per type. With
 * no memory for it the result is one that lets the collector look at more. */
GC_API GC_descr GC_CALL GC_make_descriptor(const GC_word *, size_t);

/* GC_malloc_explicitly_typed(bytes, d): a zeroed object, at least as large as
 * d describes. Not for GC_realloc. The second form: see
 * GC_malloc_ignore_off_page. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_explicitly_typed(size_t, GC_descr);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_explicitly_typed_ignore_off_page(size_t, GC_descr);

/* GC_calloc_explicitly_typed(n, bytes, d): a zeroed array of n elements of
 * that many bytes, a multiple of the size of a pointer; d describes one. */
GC_API GC_ATTR_MALLOC GC_ATTR_CALLOC_SIZE(1, 2) void *GC_CALL
    GC_calloc_explicitly_typed(size_t, size_t, GC_descr);

/* Checked objects are looked at whole. */
#ifdef GC_DEBUG
#define GC_MALLOC_EXPLICITLY_TYPED(bytes, d) ((void)(d), GC_MALLOC(bytes))
#define GC_CALLOC_EXPLICITLY_TYPED(n, bytes, d)                                \
  ((void)(d), GC_MALLOC((n) * (bytes)))
#else
#define GC_MALLOC_EXPLICITLY_TYPED(bytes, d)                                   \
  GC_malloc_explicitly_typed(bytes, d)
#define GC_CALLOC_EXPLICITLY_TYPED(n, bytes, d)                                \
  GC_calloc_explicitly_typed(n, bytes, d)
#endif

#ifdef __cplusplus
}
#endif

#endif
