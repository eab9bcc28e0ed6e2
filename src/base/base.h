/* base/base.h -- widths, units, alignment, visibility, build kinds.
 *
 * WHAT    What every other file needs and nothing else. No state, no OS.
 * HOW     The only file that reads a build parameter (ALM_BUILD_KIND,
 *         ALM_ONE_FILE, ALM_MALLOC_FACE, ALM_LIBGC_FACE); code tests the
 *         constants ALM_DEBUG, ALM_TORTURE, ALM_IS_MALLOC and ALM_IS_LIBGC
 *         with `if`, so that both branches always compile.
 */
#ifndef ALM_BASE_BASE_H
#define ALM_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ALM_BUILD_KIND
#define ALM_BUILD_KIND 0 /* 0 release, 1 debug, 2 torture */
#endif

enum { ALM_DEBUG = ALM_BUILD_KIND >= 1, ALM_TORTURE = ALM_BUILD_KIND == 2 };

#ifndef ALM_MALLOC_FACE
#define ALM_MALLOC_FACE 0 /* 1: the product that has malloc itself */
#endif

#ifndef ALM_LIBGC_FACE
#define ALM_LIBGC_FACE 0 /* 1: the product that is libgc */
#endif

enum { ALM_IS_MALLOC = ALM_MALLOC_FACE, ALM_IS_LIBGC = ALM_LIBGC_FACE };

#ifdef ALM_ONE_FILE
#define ALM_INTERNAL static __attribute__((unused))
#else
#define ALM_INTERNAL __attribute__((visibility("hidden")))
#endif
#define ALM_INTERNAL_DATA extern __attribute__((visibility("hidden")))

#define ALM_INLINE static inline __attribute__((always_inline))
#define ALM_COLD __attribute__((cold, noinline))
/* The linker puts these side by side: an interpreter that allocates between its
 * own many pages of code passes through few of ours. */
#define ALM_HOT __attribute__((hot))
#define ALM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ALM_CACHE_ALIGNED __attribute__((aligned(64)))
#define ALM_TLS _Thread_local __attribute__((tls_model("initial-exec")))

#define likely(c) __builtin_expect(!!(c), 1)
#define unlikely(c) __builtin_expect(!!(c), 0)

#define STATIC_CHECK(c) _Static_assert(c, #c)

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)

/* 8 KiB pages as in Go: the smallest span. Doubling them halves the page
 * maps and doubles the tail waste of rarely used size classes. */
enum { PAGE_SHIFT = 13 };
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

/* A chunk is what one leaf of the summary tree covers: 512 pages = 4 MiB. */
enum { CHUNK_PAGES_SHIFT = 9, CHUNK_PAGES = 1 << CHUNK_PAGES_SHIFT };
#define CHUNK_BYTES ((size_t)CHUNK_PAGES << PAGE_SHIFT)
#define HUGE_BYTES (2 * MIB) /* a huge page, where OS pages are of 4 KiB */

/* An arena is the unit in which metadata becomes ready: 16 chunks. */
enum { ARENA_SHIFT = 26 };
#define ARENA_BYTES ((size_t)1 << ARENA_SHIFT)
#define ARENA_PAGES (ARENA_BYTES >> PAGE_SHIFT)

ALM_INLINE size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

ALM_INLINE size_t max_size(size_t a, size_t b) {
  return a > b ? a : b;
}

ALM_INLINE bool is_power_of_two(size_t n) {
  return n != 0 && (n & (n - 1)) == 0;
}

/* `align` is a power of two. */
ALM_INLINE size_t align_up(size_t n, size_t align) {
  return (n + align - 1) & ~(align - 1);
}

ALM_INLINE size_t align_down(size_t n, size_t align) {
  return n & ~(align - 1);
}

/* n is not 0. */
ALM_INLINE unsigned log2_floor(size_t n) {
  return 63u - (unsigned)__builtin_clzll(n);
}

/* Pages that hold `size` bytes; size is at most PTRDIFF_MAX. */
ALM_INLINE size_t pages_for(size_t size) {
  return (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

#endif
