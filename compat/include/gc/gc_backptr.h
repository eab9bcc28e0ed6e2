/* gc/gc_backptr.h -- who holds an object.
 *
 * WHAT    Questions about what led the last collection to an object.
 * HOW     Declared so that programs compile. They need a library that records
 *         where marks come from; neither Debian's nor ours does, and neither
 *         has these functions: the command `almacen` answers the question.
 */
#ifndef GC_BACKPTR_H
#define GC_BACKPTR_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the reference was: nowhere; not recorded; in static data or a stack;
 * in a register; in another object; only a finalizer's table has it. */
typedef enum {
  GC_UNREFERENCED,
  GC_NO_SPACE,
  GC_REFD_FROM_ROOT,
  GC_REFD_FROM_REG,
  GC_REFD_FROM_HEAP,
  GC_FINALIZER_REFD
} GC_ref_kind;

/* GC_get_back_ptr_info(object, base, offset): the object must be a checked
 * one. For a reference from the heap *base is the referring object and *offset
 * bytes into it; for one from a root *base is the root's address. */
GC_API GC_ref_kind GC_CALL GC_get_back_ptr_info(void *, void **, size_t *)
    GC_ATTR_NONNULL(1);

/* An address of the heap at random; one of an object found by marking. */
GC_API void *GC_CALL GC_generate_random_heap_address(void);
GC_API void *GC_CALL GC_generate_random_valid_address(void);

/* Collects and prints the chain of references to an object at random; prints
 * that to the given object, as of the last collection. */
GC_API void GC_CALL GC_generate_random_backtrace(void);
GC_API void GC_CALL GC_print_backtrace(void *) GC_ATTR_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
