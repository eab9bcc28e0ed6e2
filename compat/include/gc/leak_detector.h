/* gc/leak_detector.h -- malloc and free as the checking variants.
 *
 * WHAT    Included last in every source of a program, it turns the C library's
 *         allocation calls into GC_ ones with file and line, so that
 *         GC_set_find_leak(1) reports what was lost and where it came from.
 * HOW     GC_set_find_leak(1) before GC_INIT(); CHECK_LEAKS() where a report
 *         is wanted. GC_DONT_INCLUDE_STDLIB: the client includes the system's
 *         headers itself, before this one.
 */
#ifndef GC_LEAK_DETECTOR_H
#define GC_LEAK_DETECTOR_H

#ifndef GC_DEBUG
#define GC_DEBUG
#endif
#include "gc.h"

/* The system's declarations come first, untouched by the macros. */
#ifndef GC_DONT_INCLUDE_STDLIB
#include <stdlib.h>
#include <string.h>
#endif

#undef malloc
#define malloc(n) GC_MALLOC(n)
#undef calloc
#define calloc(m, n) GC_MALLOC((m) * (n))
#undef realloc
#define realloc(p, n) GC_REALLOC(p, n)
#undef free
#define free(p) GC_FREE(p)

#undef memalign
#define memalign(a, n) GC_memalign(a, n)
#undef posix_memalign
#define posix_memalign(p, a, n) GC_posix_memalign(p, a, n)

#undef strdup
#define strdup(s) GC_STRDUP(s)
#undef strndup
#define strndup(s, n) GC_STRNDUP(s, n)
#ifdef GC_REQUIRE_WCSDUP
#include <wchar.h>
#undef wcsdup
#define wcsdup(s) GC_WCSDUP(s)
#endif

#ifndef CHECK_LEAKS
#define CHECK_LEAKS() GC_gcollect()
#endif

#endif
