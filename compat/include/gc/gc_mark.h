/* gc/gc_mark.h -- for language runtimes: how their objects are marked.
 *
 * WHAT    Kinds of objects with descriptors and mark procedures of their own,
 *         and the few calls that such procedures, and callbacks that run
 *         during a collection, may make.
 * HOW     GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(proc), 0),
 *         0, 1), then GC_generic_malloc or GC_malloc_kind with that kind.
 * THREADS A name that ends in _inner: the caller holds the allocation lock.
 */
#ifndef GC_MARK_H
#define GC_MARK_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- mark procedures --------------------------------------------------- */

/* An entry of the mark stack; a client only hands pointers to it on. */
#if defined(GC_BUILD) || defined(NOT_GCBUILD)
struct GC_ms_entry;
#else
struct GC_ms_entry {
  void *opaque;
};
#endif

/* proc(object, top, limit, env): hands each pointer of the object to
 * GC_MARK_AND_PUSH and returns the mark stack's new top. Must look at no
 * pointer that conservative scanning would not find; must bear a free object
 * (all zero but its first word) and calls from several threads at once.
 * env is what GC_MAKE_PROC was given. */
typedef struct GC_ms_entry *(*GC_mark_proc)(GC_word *, struct GC_ms_entry *,
                                            struct GC_ms_entry *, GC_word);

/* Bytes that one call should look at; it pushes itself again for more. */
#define GC_PROC_BYTES 100

/* Procedures there can be, and how many of the first are taken. */
#define GC_LOG_MAX_MARK_PROCS 6
#define GC_MAX_MARK_PROCS (1 << GC_LOG_MAX_MARK_PROCS)
#define GC_RESERVED_MARK_PROCS 8
#define GC_GCJ_RESERVED_MARK_PROC_INDEX 0

/* GC_mark_and_push(object, top, limit, where): marks the object if there is
 * one and it is unmarked, and pushes its contents; returns the new top. where
 * is the address that the pointer was found at. */
GC_API struct GC_ms_entry *GC_CALL GC_mark_and_push(void *,
                                                    struct GC_ms_entry *,
                                                    struct GC_ms_entry *,
                                                    void **);

/* No object lies outside. */
GC_API void *GC_least_plausible_heap_addr;
GC_API void *GC_greatest_plausible_heap_addr;

/* The same, without the call for what cannot be an object. */
#define GC_MARK_AND_PUSH(obj, msp, lim, src)                                   \
  ((GC_word)(obj) < (GC_word)GC_least_plausible_heap_addr ||                   \
           (GC_word)(obj) > (GC_word)GC_greatest_plausible_heap_addr           \
       ? (msp)                                                                 \
       : GC_mark_and_push(obj, msp, lim, src))

/* Bytes in front of a checked object, and the object behind them. */
GC_API GC_ATTR_CONST size_t GC_CALL GC_get_debug_header_size(void);
#define GC_USR_PTR_FROM_BASE(p)                                                \
  ((void *)((char *)(p) + GC_get_debug_header_size()))
#ifdef GC_BUILD
GC_API const size_t GC_debug_header_size;
#else
GC_API GC_ATTR_DEPRECATED size_t GC_debug_header_size;
#endif

/* ---- descriptors ------------------------------------------------------- */

/* The two low bits of a descriptor say what the rest is. */
#define GC_DS_TAG_BITS 2
#define GC_DS_TAGS ((1 << GC_DS_TAG_BITS) - 1)
/* A length in bytes: every word up to it may be a pointer. */
#define GC_DS_LENGTH 0
/* A bitmap whose top bit is the first word of the object. */
#define GC_DS_BITMAP 1
/* A mark procedure and its environment. */
#define GC_DS_PROC 2
/* An offset in bytes at which the object has its descriptor; if negative, the
 * structure that the first word points to has it, at minus the rest minus
 * GC_INDIR_PER_OBJ_BIAS. */
#define GC_DS_PER_OBJECT 3
#define GC_INDIR_PER_OBJ_BIAS 0x10

/* proc_index is what GC_new_proc returned. */
#define GC_MAKE_PROC(proc_index, env)                                          \
  (((((env) << GC_LOG_MAX_MARK_PROCS) | (proc_index)) << GC_DS_TAG_BITS) |     \
   GC_DS_PROC)

/* ---- kinds ------------------------------------------------------------- */

/* The free lists of a new kind; NULL without memory. */
GC_API void **GC_CALL GC_new_free_list(void);
GC_API void **GC_CALL GC_new_free_list_inner(void);

/* GC_new_kind(free_list, descriptor, add_size, clear): the number of a new
 * kind. add_size 1: an object's size is added to the descriptor. clear 1: new
 * objects are zeroed. Stops the process when there are too many. */
GC_API unsigned GC_CALL GC_new_kind(void **, GC_word, int, int)
    GC_ATTR_NONNULL(1);
GC_API unsigned GC_CALL GC_new_kind_inner(void **, GC_word, int, int)
    GC_ATTR_NONNULL(1);

/* The index of a procedure, for GC_MAKE_PROC. */
GC_API unsigned GC_CALL GC_new_proc(GC_mark_proc);
GC_API unsigned GC_CALL GC_new_proc_inner(GC_mark_proc);

/* GC_generic_malloc(bytes, kind): an object of a kind. A kind whose objects
 * hold their own descriptor must bear that it is not there yet. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_generic_malloc(size_t, int);

/* The same as in GC_malloc_ignore_off_page; never reclaimed. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_generic_malloc_ignore_off_page(size_t, int);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_generic_malloc_uncollectable(size_t, int);

/* An object of the kind of another, collectable or not, as
 * GC_get_kind_and_size told it; not for gcj's and typed ones. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_generic_or_special_malloc(size_t, int);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_generic_or_special_malloc(size_t, int, GC_EXTRA_PARAMS);

#ifdef GC_DEBUG
#define GC_GENERIC_OR_SPECIAL_MALLOC(sz, knd)                                  \
  GC_debug_generic_or_special_malloc(sz, knd, GC_EXTRAS)
#else
#define GC_GENERIC_OR_SPECIAL_MALLOC(sz, knd)                                  \
  GC_generic_or_special_malloc(sz, knd)
#endif

/* GC_get_kind_and_size(base, size): the kind; *size, unless size is NULL, is
 * set to what GC_size tells. */
GC_API int GC_CALL GC_get_kind_and_size(const void *, size_t *)
    GC_ATTR_NONNULL(1);

/* fn(object, text): writes at most GC_TYPE_DESCR_LEN bytes that say what the
 * object is, for reports. Registered for one kind. */
typedef void(GC_CALLBACK *GC_describe_type_fn)(void *, char *);
#define GC_TYPE_DESCR_LEN 40
GC_API void GC_CALL GC_register_describe_type_fn(int, GC_describe_type_fn);

/* ---- during a collection ----------------------------------------------- */

/* Called as each full collection starts, with the allocation lock held: it
 * must not allocate, block or call GC_ functions. NULL: none. (lock) */
typedef void(GC_CALLBACK *GC_start_callback_proc)(void);
GC_API void GC_CALL GC_set_start_callback(GC_start_callback_proc);
GC_API GC_start_callback_proc GC_CALL GC_get_start_callback(void);

/* Called to push further roots, with the world stopped; a client's procedure
 * calls the one it replaces. (plain) */
typedef void(GC_CALLBACK *GC_push_other_roots_proc)(void);
GC_API void GC_CALL GC_set_push_other_roots(GC_push_other_roots_proc);
GC_API GC_push_other_roots_proc GC_CALL GC_get_push_other_roots(void);

/* (from, end): the words of that range may be pointers. _eager looks at once;
 * _conditional, with 0 as third argument, only at pages that were written. */
GC_API void GC_CALL GC_push_all(void *, void *);
GC_API void GC_CALL GC_push_all_eager(void *, void *);
GC_API void GC_CALL GC_push_conditional(void *, void *, int);
/* Pushes the tables of finalizers and links. */
GC_API void GC_CALL GC_push_finalizer_structures(void);

/* The mark of the object at a base address; the caller holds the lock. */
GC_API int GC_CALL GC_is_marked(const void *) GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_clear_mark_bit(const void *) GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_set_mark_bit(const void *) GC_ATTR_NONNULL(1);

/* GC_enumerate_reachable_objects_inner(proc, data): proc(base, bytes, data)
 * for every object the last collection found. */
typedef void(GC_CALLBACK *GC_reachable_object_proc)(void *, size_t, void *);
GC_API void GC_CALL GC_enumerate_reachable_objects_inner(
    GC_reachable_object_proc, void *) GC_ATTR_NONNULL(1);

/* Whether the address is in a root that the next collection forgets. */
GC_API int GC_CALL GC_is_tmp_root(void *);

/* Overwrites some stack below the caller's frame, so that no stale pointers
 * are found there; returns its argument. */
GC_API void *GC_CALL GC_clear_stack(void *);

/* Prints recorded events of a collection; in libraries built to record them,
 * which Debian's and ours are not. */
GC_API void GC_CALL GC_print_trace(GC_word);
GC_API void GC_CALL GC_print_trace_inner(GC_word);

#ifdef __cplusplus
}
#endif

#endif
