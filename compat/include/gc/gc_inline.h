/* gc/gc_inline.h -- allocation from free lists that the client owns.
 *
 * WHAT    Macros that take an object from an array of free lists without a
 *         call, and fill a list by GC_generic_malloc_many when it is empty.
 * HOW     static void *lists[GC_TINY_FREELISTS];
 *         GC_MALLOC_WORDS(p, 2, lists);
 * THREADS An array belongs to one thread. It must lie where the collector looks
 *         (static data, a stack, the heap).
 * UNITS   Words are pointers, granules are those of gc_tiny_fl.h.
 */
#ifndef GC_INLINE_H
#define GC_INLINE_H

#include "gc.h"
#include "gc_tiny_fl.h"

#if GC_GNUC_PREREQ(3, 0)
#define GC_EXPECT(expr, outcome) __builtin_expect(expr, outcome)
#else
#define GC_EXPECT(expr, outcome) (expr)
#endif

#ifndef GC_ASSERT
#ifdef NDEBUG
#define GC_ASSERT(expr)
#else
#include <assert.h>
#define GC_ASSERT(expr) assert(expr)
#endif
#endif

#ifndef GC_PREFETCH_FOR_WRITE
#if GC_GNUC_PREREQ(3, 0) && !defined(GC_NO_PREFETCH_FOR_WRITE)
#define GC_PREFETCH_FOR_WRITE(x) __builtin_prefetch((x), 1)
#else
#define GC_PREFETCH_FOR_WRITE(x) (void)0
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Two kinds (gc_mark.h) that always are: without pointers; as GC_malloc's. */
#define GC_I_PTRFREE 0
#define GC_I_NORMAL 1

/* GC_generic_malloc_many(bytes, kind, list): *list becomes a list of new
 * objects, linked by their first words; NULL without memory. */
GC_API void GC_CALL GC_generic_malloc_many(size_t, int, void **);

/* GC_malloc_kind(bytes, kind): GC_malloc for a kind. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_kind(size_t, int);
/* The same, past the calling thread's own supply. */
#ifdef GC_THREADS
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_kind_global(size_t, int);
#else
#define GC_malloc_kind_global GC_malloc_kind
#endif

/* GC_print_free_list(kind, granules): one of the collector's own lists, to the
 * log. */
GC_API void GC_CALL GC_print_free_list(int, size_t);

#ifdef __cplusplus
}
#endif

/* One store: a thread stopped at any instruction leaves a list or its rest. */
#ifdef GC_THREADS
#define GC_FAST_M_AO_STORE(my_fl, next)                                        \
  (void)(*(void *volatile *)(my_fl) = (void *)(next))
#else
#define GC_FAST_M_AO_STORE(my_fl, next) (void)(*(my_fl) = (void *)(next))
#endif

/* The last value that is a count and not the address of an object: see
 * GC_FAST_MALLOC_GRANS. */
#define GC_FAST_COUNT_MAX(num_direct) ((num_direct) + GC_TINY_FREELISTS + 1)

/* An object from list gc_fl, whose first is gc_top. */
#define GC_FAST_POP(result, granules, gc_fl, gc_top, kind, init)               \
  do {                                                                         \
    void *gc_rest = *(void **)(gc_top);                                        \
    result = (gc_top);                                                         \
    GC_FAST_M_AO_STORE(gc_fl, gc_rest);                                        \
    init;                                                                      \
    GC_PREFETCH_FOR_WRITE(gc_rest);                                            \
    if ((kind) != GC_I_PTRFREE) {                                              \
      GC_end_stubborn_change(gc_fl);                                           \
      GC_reachable_here(gc_rest);                                              \
    }                                                                          \
    GC_ASSERT(GC_size(result) >= (granules)*GC_GRANULE_BYTES);                 \
    GC_ASSERT((kind) == GC_I_PTRFREE || ((GC_word *)(result))[1] == 0);        \
  } while (0)

/* Sets result to an object of the kind of that many granules. tiny_fl[granules]
 * is NULL, or a list, or a count: in an array that starts as (void *)1, each
 * object that default_expr made adds granules + 1, and beyond num_direct there
 * is a list. default_expr also is for sizes that have no list; init is done to
 * an object from a list, whose first word still is a link. Without memory
 * result is what GC_oom_func returns. */
#define GC_FAST_MALLOC_GRANS(result, granules, tiny_fl, num_direct, kind,      \
                             default_expr, init)                               \
  do {                                                                         \
    if (GC_EXPECT((granules) >= GC_TINY_FREELISTS, 0)) {                       \
      result = (default_expr);                                                 \
    } else {                                                                   \
      void **gc_list = (tiny_fl) + (granules);                                 \
      void *gc_first = *gc_list;                                               \
      if (gc_first != NULL && (GC_word)gc_first <= (GC_word)(num_direct)) {    \
        GC_FAST_M_AO_STORE(gc_list, (char *)gc_first + (granules) + 1);        \
        result = (default_expr);                                               \
        break;                                                                 \
      }                                                                        \
      if (GC_EXPECT((GC_word)gc_first <= GC_FAST_COUNT_MAX(num_direct), 0)) {  \
        GC_generic_malloc_many((granules) == 0                                 \
                                   ? GC_GRANULE_BYTES                          \
                                   : GC_RAW_BYTES_FROM_INDEX(granules),        \
                               kind, gc_list);                                 \
        gc_first = *gc_list;                                                   \
        if (gc_first == NULL) {                                                \
          result = (*GC_get_oom_fn())((granules)*GC_GRANULE_BYTES);            \
          break;                                                               \
        }                                                                      \
      }                                                                        \
      GC_FAST_POP(result, granules, gc_list, gc_first, kind, init);            \
    }                                                                          \
  } while (0)

/* Rounds up. */
#define GC_WORDS_TO_WHOLE_GRANULES(n)                                          \
  GC_WORDS_TO_GRANULES((n) + GC_GRANULE_WORDS - 1)

/* Sets result to an object of n words of a kind; init as above. */
#define GC_MALLOC_WORDS_KIND(result, n, tiny_fl, kind, init)                   \
  do {                                                                         \
    size_t gc_granules = GC_WORDS_TO_WHOLE_GRANULES(n);                        \
    GC_FAST_MALLOC_GRANS(result, gc_granules, tiny_fl, 0, kind,                \
                         GC_malloc_kind(gc_granules *GC_GRANULE_BYTES, kind),  \
                         init);                                                \
  } while (0)

/* An object of n words, zeroed; one without pointers, not zeroed. */
#define GC_MALLOC_WORDS(result, n, tiny_fl)                                    \
  GC_MALLOC_WORDS_KIND(result, n, tiny_fl, GC_I_NORMAL, *(void **)(result) = 0)
#define GC_MALLOC_ATOMIC_WORDS(result, n, tiny_fl)                             \
  GC_MALLOC_WORDS_KIND(result, n, tiny_fl, GC_I_PTRFREE, (void)0)

/* An object of two words with these values. */
#define GC_CONS(result, first, second, tiny_fl)                                \
  do {                                                                         \
    void *gc_car = (void *)(first);                                            \
    void *gc_cdr = (void *)(second);                                           \
    GC_MALLOC_WORDS_KIND(result, 2, tiny_fl, GC_I_NORMAL, (void)0);            \
    if ((result) != 0) {                                                       \
      *(void **)(result) = gc_car;                                             \
      GC_PTR_STORE_AND_DIRTY((void **)(result) + 1, gc_cdr);                   \
      GC_reachable_here(gc_car);                                               \
    }                                                                          \
  } while (0)

#endif
