/* gc/gc_disclaim.h -- a procedure that is asked when an object is reclaimed.
 *
 * WHAT    Cheaper than finalizers, and limited: called while memory is being
 *         reclaimed, in no order, once, for every object of a kind.
 */
#ifndef GC_DISCLAIM_H
#define GC_DISCLAIM_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The procedure: gets the object, with the allocation lock held; what it
 * returns says whether the object stays until the next collection. */
typedef int(GC_CALLBACK *GC_disclaim_proc)(void *);

/* GC_register_disclaim_proc(kind, proc, mark_from_all): proc is asked for each
 * unreachable object of the kind, not for those given to GC_free. With
 * mark_from_all what these objects refer to is kept for the call, at the price
 * that a chain of n objects takes n collections. Nothing is done while leaks
 * are searched for. */
GC_API void GC_CALL GC_register_disclaim_proc(int, GC_disclaim_proc, int)
    GC_ATTR_NONNULL(2);

/* What an object of GC_finalized_malloc is finalized with: proc(object, cd). */
struct GC_finalizer_closure {
  GC_finalization_proc proc;
  void *cd;
};

/* Makes the kind of GC_finalized_malloc; call it before. Any thread. */
GC_API void GC_CALL GC_init_finalized_malloc(void);

/* GC_finalized_malloc(bytes, closure): a zeroed object that the closure is
 * called for when it is reclaimed; it cannot be rescued. A word in front of it
 * belongs to it: GC_base gives that word's address. The closure stays in use,
 * and is kept if it is on the heap. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_finalized_malloc(size_t, const struct GC_finalizer_closure *)
        GC_ATTR_NONNULL(2);

#ifdef __cplusplus
}
#endif

#endif
