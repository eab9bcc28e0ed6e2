/* gc/gc_gcj.h -- objects whose first word leads to their descriptor.
 *
 * WHAT    The first word of such an object points to a structure (the class of
 *         a language) that holds the descriptor of gc_mark.h for the object in
 *         its second word.
 * HOW     GC_init_gcj_malloc once, then GC_GCJ_MALLOC.
 */
#ifndef GC_GCJ_H
#define GC_GCJ_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* GC_init_gcj_malloc(index, proc): before the others. proc, a GC_mark_proc, is
 * installed under index (GC_GCJ_RESERVED_MARK_PROC_INDEX) and marks the
 * checked objects, for which it is called with an environment of 1. */
GC_API void GC_CALL GC_init_gcj_malloc(int, void *);

/* GC_gcj_malloc(bytes, type): a zeroed object with type in its first word;
 * GC_oom_func's value without memory. Its forms: checked (the type's
 * descriptor is not used, the procedure is); and as in
 * GC_malloc_ignore_off_page. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_gcj_malloc(size_t, void *);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_gcj_malloc(size_t, void *, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_gcj_malloc_ignore_off_page(size_t, void *);

/* The kinds (gc_mark.h) of the plain and the checked objects. */
GC_API int GC_gcj_kind;
GC_API int GC_gcj_debug_kind;

#ifdef GC_DEBUG
#define GC_GCJ_MALLOC(s, d) GC_debug_gcj_malloc(s, d, GC_EXTRAS)
#define GC_GCJ_MALLOC_IGNORE_OFF_PAGE(s, d) GC_debug_gcj_malloc(s, d, GC_EXTRAS)
#else
#define GC_GCJ_MALLOC(s, d) GC_gcj_malloc(s, d)
#define GC_GCJ_MALLOC_IGNORE_OFF_PAGE(s, d) GC_gcj_malloc_ignore_off_page(s, d)
#endif

#ifdef __cplusplus
}
#endif

#endif
