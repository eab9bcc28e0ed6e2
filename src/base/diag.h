/* base/diag.h -- checks and messages that never allocate.
 *
 * WHAT    Formatting into a caller's buffer, lines on stderr by write(2), and
 *         the check macros. Broken state of our own ends the process here;
 *         running out of memory never does.
 * HOW     CHECK is always on; ASSERT in debug and torture builds (release
 *         still compiles it).
 * LOCKS   none; may be called with any lock held.
 */
#ifndef ALM_BASE_DIAG_H
#define ALM_BASE_DIAG_H

#include "base.h"
#include <stdarg.h>

/* Format into text[size], always terminated; returns the length written.
 * Conversions: %s %c %d %u %x %p %zu %lu %lx %llu %llx %%, no widths. */
ALM_INTERNAL size_t diag_format(char *text, size_t size, const char *format,
                                ...) ALM_PRINTF(3, 4);
ALM_INTERNAL size_t diag_vformat(char *text, size_t size, const char *format,
                                 va_list args);

/* One line "almacen: ..." on stderr, cut at 400 bytes; keeps errno. */
ALM_INTERNAL void diag_line(const char *format, ...) ALM_PRINTF(1, 2);

/* Our own state is broken: print, then abort. */
ALM_INTERNAL _Noreturn void diag_panic(const char *format, ...)
    ALM_PRINTF(1, 2);

ALM_INTERNAL _Noreturn void diag_check_failed(const char *expression,
                                              const char *file, int line);
ALM_INTERNAL _Noreturn void diag_check_eq_failed(const char *expression,
                                                 uint64_t a, uint64_t b,
                                                 const char *file, int line);

#define CHECK(c)                                                               \
  (likely(c) ? (void)0 : diag_check_failed(#c, __FILE__, __LINE__))

#define CHECK_EQ(a, b)                                                         \
  do {                                                                         \
    uint64_t check_a = (uint64_t)(a), check_b = (uint64_t)(b);                 \
    if (unlikely(check_a != check_b)) {                                        \
      diag_check_eq_failed(#a " == " #b, check_a, check_b, __FILE__,           \
                           __LINE__);                                          \
    }                                                                          \
  } while (0)

#define ASSERT(c) (ALM_DEBUG ? CHECK(c) : ((void)sizeof((c) ? 1 : 0)))

#endif
