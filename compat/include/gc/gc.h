/* gc/gc.h -- the interface of libgc 8.2, provided by almacen.
 *
 * WHAT    Conservative garbage collection for C: GC_MALLOC and what goes with
 *         it. Written anew from libgc's documented interface; programs for
 *         libgc 8.2 compile and link unchanged, and compiled ones run.
 * HOW     GC_INIT() in main, then GC_MALLOC ..., linked with -lgc. Macros that
 *         a client may define first: gc_config_macros.h. doc/libgc.md tells
 *         where behaviour differs from libgc's.
 *         In a comment, f(a, b) names the parameters of f in their order; the
 *         declarations leave names out, for a client's macros to be free.
 * THREADS With GC_THREADS, any thread may call any function, none from a signal
 *         handler. A callback that is called "with the lock" may allocate and
 *         lock nothing. A function marked (lock) takes the allocation lock; one
 *         marked (plain) takes none: call it before GC_INIT, or from
 *         GC_call_with_alloc_lock. The variables are as plain as that, and
 *         exist for older programs.
 * UNITS   Sizes are bytes unless said otherwise.
 * ERRORS  An allocation that fails returns what the GC_oom_func returns: NULL,
 *         unless one was set.
 */
#ifndef GC_H
#define GC_H

#include "gc_version.h"
#include "gc_config_macros.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *GC_PTR;
typedef unsigned long GC_word;
typedef long GC_signed_word;

/* The version of the library: major << 16 | minor << 8 | micro. */
GC_API unsigned GC_CALL GC_get_version(void);

/* ---- results ----------------------------------------------------------- */

/* Of the functions that say so. */
#define GC_SUCCESS 0
#define GC_DUPLICATE 1
#define GC_NO_MEMORY 2
#define GC_NO_THREADS 2
#define GC_UNIMPLEMENTED 3
#define GC_NOT_FOUND 4

/* ---- start and end ----------------------------------------------------- */

/* What GC_INIT does first; further calls do nothing. */
GC_API void GC_CALL GC_init(void);
/* Whether that has happened, or is happening. */
GC_API int GC_CALL GC_is_init_called(void);
/* The end: no GC_ function may be called after it but itself. */
GC_API void GC_CALL GC_deinit(void);

/* Whether fork is prepared for by pthread_atfork: 1 yes; 0 no; -1 the client
 * calls the three functions below around each fork. Before GC_INIT. (plain) */
GC_API void GC_CALL GC_set_handle_fork(int);
GC_API void GC_CALL GC_atfork_prepare(void);
GC_API void GC_CALL GC_atfork_parent(void);
GC_API void GC_CALL GC_atfork_child(void);

/* ---- allocation -------------------------------------------------------- */

/* GC_malloc(bytes): an object, zeroed, that lasts while it is referred to from
 * the stacks, registers, static data or other objects. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL GC_malloc(size_t);

/* GC_malloc_atomic(bytes): one that holds no pointers; not zeroed. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_atomic(size_t);

/* GC_malloc_uncollectable(bytes): one that lasts until GC_free and whose
 * contents are looked at for pointers; zeroed. _atomic_: they are not. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_uncollectable(size_t);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_atomic_uncollectable(size_t);

/* GC_malloc_ignore_off_page(bytes): for large objects of which the client
 * always holds a pointer into the first 256 bytes; pointers further in need
 * not keep it. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_ignore_off_page(size_t);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_malloc_atomic_ignore_off_page(size_t);

/* GC_malloc_many(bytes): a list of zeroed objects, linked by GC_NEXT. The
 * number is the library's choice. */
GC_API GC_ATTR_MALLOC void *GC_CALL GC_malloc_many(size_t);
#define GC_NEXT(p) (*(void **)(p))

/* GC_memalign(alignment, bytes), a power of two. GC_posix_memalign(result,
 * alignment, bytes): as posix_memalign(3). */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(2) void *GC_CALL
    GC_memalign(size_t, size_t);
GC_API int GC_CALL GC_posix_memalign(void **, size_t, size_t)
    GC_ATTR_NONNULL(1);

/* As strdup(3), strndup(3) and wcsdup(3); atomic objects. */
GC_API GC_ATTR_MALLOC char *GC_CALL GC_strdup(const char *);
GC_API GC_ATTR_MALLOC char *GC_CALL GC_strndup(const char *, size_t)
    GC_ATTR_NONNULL(1);
#ifdef GC_REQUIRE_WCSDUP
GC_API GC_ATTR_MALLOC wchar_t *GC_CALL GC_wcsdup(const wchar_t *)
    GC_ATTR_NONNULL(1);
#endif

/* GC_realloc(object, bytes): as realloc(3), of the object's sort; what is
 * added is zeroed unless atomic. NULL: as GC_malloc. 0 bytes: as GC_free. */
GC_API void *GC_CALL GC_realloc(void *, size_t) GC_ATTR_ALLOC_SIZE(2);

/* Frees early; needs the address that allocation returned, of an object
 * without finalizers and links. NULL is allowed. */
GC_API void GC_CALL GC_free(void *);

/* The start of the object that an address is in, of a checked object the start
 * of what stands in front of it; NULL if there is none. */
GC_API void *GC_CALL GC_base(void *);
/* Whether an address is in the heap; faster than GC_base. After GC_INIT. */
GC_API int GC_CALL GC_is_heap_ptr(const void *);
/* The bytes of the object that starts there; at least what was asked for. */
GC_API size_t GC_CALL GC_size(const void *) GC_ATTR_NONNULL(1);

/* GC_end_stubborn_change(object): pointers were stored there; needed in manual
 * mode (GC_set_manual_vdb_allowed). Stubborn objects are no more: allocation
 * is GC_malloc, and a change need not be announced. */
GC_API void GC_CALL GC_end_stubborn_change(const void *) GC_ATTR_NONNULL(1);
GC_API GC_ATTR_DEPRECATED void *GC_CALL GC_malloc_stubborn(size_t);
GC_API GC_ATTR_DEPRECATED void GC_CALL GC_change_stubborn(const void *);
#define GC_MALLOC_STUBBORN(sz) GC_MALLOC(sz)
#define GC_NEW_STUBBORN(t) GC_NEW(t)
#define GC_CHANGE_STUBBORN(p) GC_change_stubborn(p)

/* GC_ptr_store_and_dirty(where, p): *where = p, announced. */
GC_API void GC_CALL GC_ptr_store_and_dirty(void *, const void *);

/* ---- checked allocation ------------------------------------------------ */

/* The variants behind the macros with GC_DEBUG. They put in front of an object
 * where it was allocated and around it what shows that its bounds were
 * overrun: an object of one sort must not be given to functions of the other.
 * The last parameters are the caller's file and line. */
#define GC_EXTRAS __FILE__, __LINE__
#define GC_EXTRA_PARAMS const char *s, int i

GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_atomic(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_uncollectable(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_atomic_uncollectable(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_ignore_off_page(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_atomic_ignore_off_page(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_DEPRECATED void *GC_CALL
    GC_debug_malloc_stubborn(size_t, GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC char *GC_CALL GC_debug_strdup(const char *,
                                                    GC_EXTRA_PARAMS);
GC_API GC_ATTR_MALLOC char *GC_CALL GC_debug_strndup(const char *, size_t,
                                                     GC_EXTRA_PARAMS)
    GC_ATTR_NONNULL(1);
#ifdef GC_REQUIRE_WCSDUP
GC_API GC_ATTR_MALLOC wchar_t *GC_CALL GC_debug_wcsdup(const wchar_t *,
                                                       GC_EXTRA_PARAMS)
    GC_ATTR_NONNULL(1);
#endif
GC_API void *GC_CALL GC_debug_realloc(void *, size_t, GC_EXTRA_PARAMS)
    GC_ATTR_ALLOC_SIZE(2);
GC_API void GC_CALL GC_debug_free(void *);
GC_API GC_ATTR_DEPRECATED void GC_CALL GC_debug_change_stubborn(const void *);
GC_API void GC_CALL GC_debug_end_stubborn_change(const void *)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_debug_ptr_store_and_dirty(void *, const void *);

/* Checked, with the signature of malloc and realloc and without a place. */
GC_API GC_ATTR_MALLOC GC_ATTR_ALLOC_SIZE(1) void *GC_CALL
    GC_debug_malloc_replacement(size_t);
GC_API GC_ATTR_ALLOC_SIZE(2) void *GC_CALL
    GC_debug_realloc_replacement(void *, size_t);

/* ---- what programs call ------------------------------------------------ */

#ifdef GC_DEBUG_REPLACEMENT
#define GC_MALLOC(sz) GC_debug_malloc_replacement(sz)
#define GC_REALLOC(old, sz) GC_debug_realloc_replacement(old, sz)
#elif defined(GC_DEBUG)
#define GC_MALLOC(sz) GC_debug_malloc(sz, GC_EXTRAS)
#define GC_REALLOC(old, sz) GC_debug_realloc(old, sz, GC_EXTRAS)
#else
#define GC_MALLOC(sz) GC_malloc(sz)
#define GC_REALLOC(old, sz) GC_realloc(old, sz)
#endif

#ifdef GC_DEBUG
#define GC_MALLOC_ATOMIC(sz) GC_debug_malloc_atomic(sz, GC_EXTRAS)
#define GC_MALLOC_UNCOLLECTABLE(sz) GC_debug_malloc_uncollectable(sz, GC_EXTRAS)
#define GC_MALLOC_ATOMIC_UNCOLLECTABLE(sz)                                     \
  GC_debug_malloc_atomic_uncollectable(sz, GC_EXTRAS)
#define GC_MALLOC_IGNORE_OFF_PAGE(sz)                                          \
  GC_debug_malloc_ignore_off_page(sz, GC_EXTRAS)
#define GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(sz)                                   \
  GC_debug_malloc_atomic_ignore_off_page(sz, GC_EXTRAS)
#define GC_STRDUP(s) GC_debug_strdup(s, GC_EXTRAS)
#define GC_STRNDUP(s, sz) GC_debug_strndup(s, sz, GC_EXTRAS)
#define GC_FREE(p) GC_debug_free(p)
#define GC_END_STUBBORN_CHANGE(p) GC_debug_end_stubborn_change(p)
#define GC_PTR_STORE_AND_DIRTY(p, q) GC_debug_ptr_store_and_dirty(p, q)
#define GC_REGISTER_DISPLACEMENT(n) GC_debug_register_displacement(n)
#define GC_REGISTER_FINALIZER(p, f, d, of, od)                                 \
  GC_debug_register_finalizer(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_IGNORE_SELF(p, f, d, of, od)                     \
  GC_debug_register_finalizer_ignore_self(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_NO_ORDER(p, f, d, of, od)                        \
  GC_debug_register_finalizer_no_order(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_UNREACHABLE(p, f, d, of, od)                     \
  GC_debug_register_finalizer_unreachable(p, f, d, of, od)
#define GC_GENERAL_REGISTER_DISAPPEARING_LINK(link, obj)                       \
  GC_general_register_disappearing_link(link, GC_base((void *)(obj)))
#define GC_REGISTER_LONG_LINK(link, obj)                                       \
  GC_register_long_link(link, GC_base((void *)(obj)))
#else
#define GC_MALLOC_ATOMIC(sz) GC_malloc_atomic(sz)
#define GC_MALLOC_UNCOLLECTABLE(sz) GC_malloc_uncollectable(sz)
#define GC_MALLOC_ATOMIC_UNCOLLECTABLE(sz) GC_malloc_atomic_uncollectable(sz)
#define GC_MALLOC_IGNORE_OFF_PAGE(sz) GC_malloc_ignore_off_page(sz)
#define GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(sz)                                   \
  GC_malloc_atomic_ignore_off_page(sz)
#define GC_STRDUP(s) GC_strdup(s)
#define GC_STRNDUP(s, sz) GC_strndup(s, sz)
#define GC_FREE(p) GC_free(p)
#define GC_END_STUBBORN_CHANGE(p) GC_end_stubborn_change(p)
#define GC_PTR_STORE_AND_DIRTY(p, q) GC_ptr_store_and_dirty(p, q)
#define GC_REGISTER_DISPLACEMENT(n) GC_register_displacement(n)
#define GC_REGISTER_FINALIZER(p, f, d, of, od)                                 \
  GC_register_finalizer(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_IGNORE_SELF(p, f, d, of, od)                     \
  GC_register_finalizer_ignore_self(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_NO_ORDER(p, f, d, of, od)                        \
  GC_register_finalizer_no_order(p, f, d, of, od)
#define GC_REGISTER_FINALIZER_UNREACHABLE(p, f, d, of, od)                     \
  GC_register_finalizer_unreachable(p, f, d, of, od)
#define GC_GENERAL_REGISTER_DISAPPEARING_LINK(link, obj)                       \
  GC_general_register_disappearing_link(link, obj)
#define GC_REGISTER_LONG_LINK(link, obj) GC_register_long_link(link, obj)
#endif

#ifdef GC_REQUIRE_WCSDUP
#ifdef GC_DEBUG
#define GC_WCSDUP(s) GC_debug_wcsdup(s, GC_EXTRAS)
#else
#define GC_WCSDUP(s) GC_wcsdup(s)
#endif
#endif

/* An object of a type. */
#define GC_NEW(t) ((t *)GC_MALLOC(sizeof(t)))
#define GC_NEW_ATOMIC(t) ((t *)GC_MALLOC_ATOMIC(sizeof(t)))
#define GC_NEW_UNCOLLECTABLE(t) ((t *)GC_MALLOC_UNCOLLECTABLE(sizeof(t)))

/* ---- roots ------------------------------------------------------------- */

/* (from, end): the words of that range may be pointers. Ranges may overlap;
 * the static data of the program and its libraries need no registration. */
GC_API void GC_CALL GC_add_roots(void *, void *);
/* (from, end): forgets the roots that lie within. */
GC_API void GC_CALL GC_remove_roots(void *, void *);
/* Forgets all. */
GC_API void GC_CALL GC_clear_roots(void);

/* (from, end): static data that hold no pointers to objects; forgets all. */
GC_API void GC_CALL GC_exclude_static_roots(void *, void *);
GC_API void GC_CALL GC_clear_exclusion_table(void);

/* fn(path, from, bytes): asked for each data segment of a loaded object; one
 * that it answers 0 for is no root. Called with the lock. NULL: none. */
typedef int(GC_CALLBACK *GC_has_static_roots_func)(const char *, void *,
                                                   size_t);
GC_API void GC_CALL
    GC_register_has_static_roots_callback(GC_has_static_roots_func);

/* Whether the data of loaded objects are left to the client. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_no_dls;
GC_API void GC_CALL GC_set_no_dls(int);
GC_API int GC_CALL GC_get_no_dls(void);

/* Whether a pointer into an object keeps it, or only one to its start. Before
 * GC_INIT; default 1. Pointers in stacks and registers may always point in. */
GC_API GC_ATTR_DEPRECATED int GC_all_interior_pointers;
GC_API void GC_CALL GC_set_all_interior_pointers(int);
GC_API int GC_CALL GC_get_all_interior_pointers(void);

/* Without interior pointers: one to this many bytes behind the start counts,
 * too. _debug_: for checked objects. */
GC_API void GC_CALL GC_register_displacement(size_t);
GC_API void GC_CALL GC_debug_register_displacement(size_t);

/* ---- collection -------------------------------------------------------- */

/* Collects, unless collecting is disabled; the world is stopped meanwhile. */
GC_API void GC_CALL GC_gcollect(void);
/* The same, heedless of the stop function, and gives memory to the OS. */
GC_API void GC_CALL GC_gcollect_and_unmap(void);

/* A collection is abandoned when its stop function returns other than 0. It
 * is called often, with the lock. GC_try_to_collect: 1 if the collection came
 * to its end, 0 if not. The pair: that of all other collections. (lock) */
typedef int(GC_CALLBACK *GC_stop_func)(void);
GC_API int GC_CALL GC_try_to_collect(GC_stop_func) GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_set_stop_func(GC_stop_func) GC_ATTR_NONNULL(1);
GC_API GC_stop_func GC_CALL GC_get_stop_func(void);

/* Disabling and enabling nest; the variable counts. */
GC_API void GC_CALL GC_disable(void);
GC_API void GC_CALL GC_enable(void);
GC_API int GC_CALL GC_is_disabled(void);
#ifdef GC_DONT_GC
GC_API int GC_dont_gc;
#else
GC_API GC_ATTR_DEPRECATED int GC_dont_gc;
#endif

/* Whether allocation never starts a collection by itself. (lock) */
GC_API void GC_CALL GC_set_disable_automatic_collection(int);
GC_API int GC_CALL GC_get_disable_automatic_collection(void);

/* Collections so far. */
GC_API GC_ATTR_DEPRECATED GC_word GC_gc_no;
GC_API GC_word GC_CALL GC_get_gc_no(void);

/* What happens in a collection, in this order of numbers. */
typedef enum {
  GC_EVENT_START,
  GC_EVENT_MARK_START,
  GC_EVENT_MARK_END,
  GC_EVENT_RECLAIM_START,
  GC_EVENT_RECLAIM_END,
  GC_EVENT_END,
  GC_EVENT_PRE_STOP_WORLD,
  GC_EVENT_POST_STOP_WORLD,
  GC_EVENT_PRE_START_WORLD,
  GC_EVENT_POST_START_WORLD,
  GC_EVENT_THREAD_SUSPENDED,
  GC_EVENT_THREAD_UNSUSPENDED
} GC_EventType;

/* Called with the lock for all but the last two. NULL: none. (lock) */
typedef void(GC_CALLBACK *GC_on_collection_event_proc)(GC_EventType);
GC_API void GC_CALL GC_set_on_collection_event(GC_on_collection_event_proc);
GC_API GC_on_collection_event_proc GC_CALL GC_get_on_collection_event(void);

#ifdef GC_THREADS
/* fn(event, thread): for the last two, with the thread's pthread_t. (lock) */
typedef void(GC_CALLBACK *GC_on_thread_event_proc)(GC_EventType, void *);
GC_API void GC_CALL GC_set_on_thread_event(GC_on_thread_event_proc);
GC_API GC_on_thread_event_proc GC_CALL GC_get_on_thread_event(void);
#endif

/* Starts the clock; milliseconds of all full collections since. (plain) */
GC_API void GC_CALL GC_start_performance_measurement(void);
GC_API unsigned long GC_CALL GC_get_full_gc_total_time(void);

/* ---- when to collect, how much memory ---------------------------------- */

/* Between collections at least n / divisor bytes are allocated, where n grows
 * with what a collection has to look at: a larger divisor takes less memory
 * and more time. (plain) */
GC_API GC_ATTR_DEPRECATED GC_word GC_free_space_divisor;
GC_API void GC_CALL GC_set_free_space_divisor(GC_word);
GC_API GC_word GC_CALL GC_get_free_space_divisor(void);

/* The least number of bytes between collections; not 0. (plain) */
GC_API void GC_CALL GC_set_min_bytes_allocd(size_t);
GC_API size_t GC_CALL GC_get_min_bytes_allocd(void);

/* Bytes that are not reckoned with as collectable; uncollectable objects are
 * added by the library. (plain) */
GC_API GC_ATTR_DEPRECATED GC_word GC_non_gc_bytes;
GC_API void GC_CALL GC_set_non_gc_bytes(GC_word);
GC_API GC_word GC_CALL GC_get_non_gc_bytes(void);

/* A collection starts, instead of the heap growing, when fewer bytes were
 * allocated for each new finalizer. 0: never. Default 10000. (plain) */
GC_API void GC_CALL GC_set_allocd_bytes_per_finalizer(GC_word);
GC_API GC_word GC_CALL GC_get_allocd_bytes_per_finalizer(void);

/* Grows the heap by that many bytes; 1 if done. */
GC_API int GC_CALL GC_expand_hp(size_t);
/* The heap grows to that many bytes at most; 0: no limit. (plain) */
GC_API void GC_CALL GC_set_max_heap_size(GC_word);

/* Whether the heap grows only when collecting did not help. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_dont_expand;
GC_API void GC_CALL GC_set_dont_expand(int);
GC_API int GC_CALL GC_get_dont_expand(void);

/* Whether free memory is used up before a collection. */
GC_API GC_ATTR_DEPRECATED int GC_use_entire_heap;

/* Collections that are tried before memory is said to be out. (plain) */
GC_API GC_ATTR_DEPRECATED GC_word GC_max_retries;
GC_API void GC_CALL GC_set_max_retries(GC_word);
GC_API GC_word GC_CALL GC_get_max_retries(void);

/* Whether GC_INIT leaves out its collection. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_dont_precollect;
GC_API void GC_CALL GC_set_dont_precollect(int);
GC_API int GC_CALL GC_get_dont_precollect(void);

/* Whether GC_gcollect gives to the OS all it can. (plain) */
GC_API void GC_CALL GC_set_force_unmap_on_gcollect(int);
GC_API int GC_CALL GC_get_force_unmap_on_gcollect(void);

/* Whether objects may be executed. Before GC_INIT. (plain) */
GC_API void GC_CALL GC_set_pages_executable(int);
GC_API int GC_CALL GC_get_pages_executable(void);

/* fn(bytes): the heap has this size now. Called with the lock and the world
 * stopped. NULL: none. (lock) */
typedef void(GC_CALLBACK *GC_on_heap_resize_proc)(GC_word);
GC_API GC_ATTR_DEPRECATED GC_on_heap_resize_proc GC_on_heap_resize;
GC_API void GC_CALL GC_set_on_heap_resize(GC_on_heap_resize_proc);
GC_API GC_on_heap_resize_proc GC_CALL GC_get_on_heap_resize(void);

/* fn(bytes): no memory for an object of that size; what it returns, NULL or an
 * object, is the allocation's result. Never NULL itself. (lock) */
typedef void *(GC_CALLBACK *GC_oom_func)(size_t);
GC_API GC_ATTR_DEPRECATED GC_oom_func GC_oom_fn;
GC_API void GC_CALL GC_set_oom_fn(GC_oom_func) GC_ATTR_NONNULL(1);
GC_API GC_oom_func GC_CALL GC_get_oom_fn(void);

/* ---- in small steps ---------------------------------------------------- */

/* Collecting in steps and by generations, from here on. Early in the program,
 * before or after GC_INIT, which it calls. */
GC_API void GC_CALL GC_enable_incremental(void);
GC_API int GC_CALL GC_is_incremental_mode(void);

/* Bits that tell which memory may be protected against writing meanwhile: a
 * system call that is to write there can fail. */
#define GC_PROTECTS_NONE 0
#define GC_PROTECTS_POINTER_HEAP 1
#define GC_PROTECTS_PTRFREE_HEAP 2
#define GC_PROTECTS_STATIC_DATA 4
#define GC_PROTECTS_STACK 8
GC_API int GC_CALL GC_incremental_protection_needs(void);

/* Whether the client announces its stores (GC_END_STUBBORN_CHANGE and
 * GC_reachable_here, or GC_PTR_STORE_AND_DIRTY). Before enabling. (plain) */
GC_API void GC_CALL GC_set_manual_vdb_allowed(int);
GC_API int GC_CALL GC_get_manual_vdb_allowed(void);

/* Starts a collection in steps; does a step: 1 if there is more to do. */
GC_API void GC_CALL GC_start_incremental_collection(void);
GC_API int GC_CALL GC_collect_a_little(void);

/* The size of a step, in pages; and how often marking may be retried before
 * the world stops for all of it. (plain) */
GC_API void GC_CALL GC_set_rate(int);
GC_API int GC_CALL GC_get_rate(void);
GC_API void GC_CALL GC_set_max_prior_attempts(int);
GC_API int GC_CALL GC_get_max_prior_attempts(void);

/* Collections of the young between two full ones. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_full_freq;
GC_API void GC_CALL GC_set_full_freq(int);
GC_API int GC_CALL GC_get_full_freq(void);

/* How long a step should take, in milliseconds; GC_TIME_UNLIMITED: as long as
 * it takes. The second pair adds nanoseconds below a millisecond. (plain) */
GC_API GC_ATTR_DEPRECATED unsigned long GC_time_limit;
#define GC_TIME_UNLIMITED 999999
GC_API void GC_CALL GC_set_time_limit(unsigned long);
GC_API unsigned long GC_CALL GC_get_time_limit(void);
struct GC_timeval_s {
  unsigned long tv_ms;
  unsigned long tv_nsec; /* 0 .. 999999 */
};
GC_API void GC_CALL GC_set_time_limit_tv(struct GC_timeval_s);
GC_API struct GC_timeval_s GC_CALL GC_get_time_limit_tv(void);

/* ---- numbers ----------------------------------------------------------- */

/* Bytes, read without a lock: the heap, what was given back to the OS not
 * counted; free in it; given back; allocated since the last collection; freed
 * by GC_free since; allocated ever; ever got from the OS. */
GC_API size_t GC_CALL GC_get_heap_size(void);
GC_API size_t GC_CALL GC_get_free_bytes(void);
GC_API size_t GC_CALL GC_get_unmapped_bytes(void);
GC_API size_t GC_CALL GC_get_bytes_since_gc(void);
GC_API size_t GC_CALL GC_get_expl_freed_bytes_since_gc(void);
GC_API size_t GC_CALL GC_get_total_bytes(void);
GC_API size_t GC_CALL GC_get_obtained_from_os_bytes(void);

/* GC_get_heap_usage_safe(heap, free, given back, since the last, ever): five
 * of these at one moment; any pointer may be NULL. (lock) */
GC_API void GC_CALL GC_get_heap_usage_safe(GC_word *, GC_word *, GC_word *,
                                           GC_word *, GC_word *);

struct GC_prof_stats_s {
  GC_word heapsize_full;   /* heap, with what was given back       */
  GC_word free_bytes_full; /* free, with what was given back       */
  GC_word unmapped_bytes;  /* given back to the OS                 */
  GC_word bytes_allocd_since_gc;
  GC_word allocd_bytes_before_gc; /* up to the last collection     */
  GC_word non_gc_bytes;           /* as GC_get_non_gc_bytes        */
  GC_word gc_no;                  /* as GC_get_gc_no               */
  GC_word markers_m1;             /* as GC_get_parallel            */
  GC_word bytes_reclaimed_since_gc;
  GC_word reclaimed_bytes_before_gc;
  GC_word expl_freed_bytes_since_gc;
  GC_word obtained_from_os_bytes;
};

/* GC_get_prof_stats(stats, bytes): fills as much as there is room for; what
 * the library does not know is all ones. Returns the bytes it knew. (lock)
 * _unsafe: the caller holds the lock. */
GC_API size_t GC_CALL GC_get_prof_stats(struct GC_prof_stats_s *, size_t);
#ifdef GC_THREADS
GC_API size_t GC_CALL GC_get_prof_stats_unsafe(struct GC_prof_stats_s *,
                                               size_t);
#endif

/* The size in bytes that a request of i bytes gets; all ones if the library
 * keeps no such entry. (plain) */
GC_API size_t GC_CALL GC_get_size_map_at(int i);
/* Bytes of the pages that hold objects. (lock) */
GC_API size_t GC_CALL GC_get_memory_use(void);

/* To standard output: everything (lock); everything, with a title; the roots
 * and the map of the heap; the finalizers. For reading in a debugger. */
GC_API void GC_CALL GC_dump(void);
GC_API void GC_CALL GC_dump_named(const char *);
GC_API void GC_CALL GC_dump_regions(void);
GC_API void GC_CALL GC_dump_finalization(void);

/* ---- finalizers -------------------------------------------------------- */

/* fn(object, data): called once, some time after the object was found
 * unreachable, in a thread that allocates or calls GC_invoke_finalizers. It
 * holds no lock, may allocate and may make the object reachable again. */
typedef void(GC_CALLBACK *GC_finalization_proc)(void *, void *);

/* GC_register_finalizer(object, fn, data, old_fn, old_data): fn replaces the
 * object's finalizer, which is stored where old_fn and old_data point unless
 * they are NULL; fn NULL takes it away. Objects that an object with a finalizer
 * reaches are finalized after it, and a cycle of them never. No effect for what
 * is no object. Forms:
 *   _ignore_self   pointers of an object to itself do not count
 *   _no_order      nothing the object reaches counts; all are called
 *   _unreachable   as _no_order, and only when finalizers cannot reach it
 *                  either; needs GC_set_java_finalization(1)
 * The _debug_ ones are for checked objects. (lock) */
GC_API void GC_CALL GC_register_finalizer(void *, GC_finalization_proc, void *,
                                          GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_register_finalizer_ignore_self(
    void *, GC_finalization_proc, void *, GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_register_finalizer_no_order(void *, GC_finalization_proc,
                                                   void *,
                                                   GC_finalization_proc *,
                                                   void **) GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_register_finalizer_unreachable(
    void *, GC_finalization_proc, void *, GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_debug_register_finalizer(void *, GC_finalization_proc,
                                                void *, GC_finalization_proc *,
                                                void **) GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_debug_register_finalizer_ignore_self(
    void *, GC_finalization_proc, void *, GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_debug_register_finalizer_no_order(
    void *, GC_finalization_proc, void *, GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);
GC_API void GC_CALL GC_debug_register_finalizer_unreachable(
    void *, GC_finalization_proc, void *, GC_finalization_proc *, void **)
    GC_ATTR_NONNULL(1);

/* Whether finalizers run only in GC_invoke_finalizers. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_finalize_on_demand;
GC_API void GC_CALL GC_set_finalize_on_demand(int);
GC_API int GC_CALL GC_get_finalize_on_demand(void);

/* Whether what finalizable objects reach is marked by itself, in a pass of its
 * own, as _no_order and _unreachable want it. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_java_finalization;
GC_API void GC_CALL GC_set_java_finalization(int);
GC_API int GC_CALL GC_get_java_finalization(void);

/* On demand, this is called after a collection that left finalizers to run,
 * once, for the client to wake its thread. NULL: none. (lock) */
typedef void(GC_CALLBACK *GC_finalizer_notifier_proc)(void);
GC_API GC_ATTR_DEPRECATED GC_finalizer_notifier_proc GC_finalizer_notifier;
GC_API void GC_CALL GC_set_finalizer_notifier(GC_finalizer_notifier_proc);
GC_API GC_finalizer_notifier_proc GC_CALL GC_get_finalizer_notifier(void);

/* Whether there are finalizers to run; runs them and tells how many. */
GC_API int GC_CALL GC_should_invoke_finalizers(void);
GC_API int GC_CALL GC_invoke_finalizers(void);

/* fn(object): the object's finalizer is going to run. Called with the lock.
 * NULL: none. (lock) */
typedef void(GC_CALLBACK *GC_await_finalize_proc)(void *);
GC_API void GC_CALL GC_set_await_finalize_proc(GC_await_finalize_proc);
GC_API GC_await_finalize_proc GC_CALL GC_get_await_finalize_proc(void);

/* ---- links that do not keep their object ------------------------------- */

/* GC_general_register_disappearing_link(link, object): *link becomes NULL when
 * the object is found unreachable, before any finalizer. *link should be hidden
 * from the collector (GC_HIDE_POINTER, or in an atomic object), and be read by
 * GC_call_with_alloc_lock. object is the start of an object. GC_SUCCESS,
 * GC_DUPLICATE (the link is set anew, to this object), GC_NO_MEMORY, and
 * GC_UNIMPLEMENTED while leaks are searched for. (lock) */
GC_API int GC_CALL GC_general_register_disappearing_link(void **, const void *)
    GC_ATTR_NONNULL(1) GC_ATTR_NONNULL(2);
/* The same for a link within its object. */
GC_API int GC_CALL GC_register_disappearing_link(void **) GC_ATTR_NONNULL(1);
/* (link, new_link): the latter takes the place of the former; neither's
 * contents are touched. GC_SUCCESS, GC_DUPLICATE, GC_NOT_FOUND. (lock) */
GC_API int GC_CALL GC_move_disappearing_link(void **, void **)
    GC_ATTR_NONNULL(2);
/* Ends it: 1 if there was such a link, 0 if not. (lock) */
GC_API int GC_CALL GC_unregister_disappearing_link(void **);

/* The same for links that last until no finalizer can bring the object back. */
GC_API int GC_CALL GC_register_long_link(void **, const void *)
    GC_ATTR_NONNULL(1) GC_ATTR_NONNULL(2);
GC_API int GC_CALL GC_move_long_link(void **, void **) GC_ATTR_NONNULL(2);
GC_API int GC_CALL GC_unregister_long_link(void **);

/* References of another memory manager that are strong or weak by turns: at
 * each collection fn(object) says which. Called with the lock. (lock) */
typedef enum {
  GC_TOGGLE_REF_DROP, /* forget the object */
  GC_TOGGLE_REF_STRONG,
  GC_TOGGLE_REF_WEAK
} GC_ToggleRefStatus;
typedef GC_ToggleRefStatus(GC_CALLBACK *GC_toggleref_func)(void *);
GC_API void GC_CALL GC_set_toggleref_func(GC_toggleref_func);
GC_API GC_toggleref_func GC_CALL GC_get_toggleref_func(void);
/* GC_toggleref_add(object, is_strong): asks about this one from now on, which
 * begins as said. GC_SUCCESS or GC_NO_MEMORY. (lock) */
GC_API int GC_CALL GC_toggleref_add(void *, int) GC_ATTR_NONNULL(1);

/* A pointer as a number that keeps nothing, and back. */
typedef GC_word GC_hidden_pointer;
#define GC_HIDE_POINTER(p) (~(GC_hidden_pointer)(p))
#define GC_REVEAL_POINTER(p) ((void *)GC_HIDE_POINTER(p))
#if defined(I_HIDE_POINTERS) || defined(GC_I_HIDE_POINTERS)
#define HIDE_POINTER(p) GC_HIDE_POINTER(p)
#define REVEAL_POINTER(p) GC_REVEAL_POINTER(p)
#endif

/* Up to here the compiler keeps the pointer where the collector finds it. */
#ifdef __GNUC__
#define GC_reachable_here(ptr) __asm__ __volatile__(" " : : "X"(ptr) : "memory")
#else
GC_API void GC_CALL GC_noop1(GC_word);
#define GC_reachable_here(ptr) GC_noop1((GC_word)(ptr))
#endif

/* ---- the lock ---------------------------------------------------------- */

/* GC_call_with_alloc_lock(fn, data): fn(data) while no collection and no
 * allocation can happen; it may do neither. Returns what fn does. */
typedef void *(GC_CALLBACK *GC_fn_type)(void *);
GC_API void *GC_CALL GC_call_with_alloc_lock(GC_fn_type, void *)
    GC_ATTR_NONNULL(1);
#ifdef GC_THREADS
GC_API void GC_CALL GC_alloc_lock(void);
GC_API void GC_CALL GC_alloc_unlock(void);
#else
#define GC_alloc_lock() (void)0
#define GC_alloc_unlock() (void)0
#endif

/* ---- stacks and threads ------------------------------------------------ */

/* Where a stack began: its highest address, for stacks that grow down. */
struct GC_stack_base {
  void *mem_base;
#if defined(__ia64__) || defined(__e2k__)
  void *reg_base;
#endif
};

/* GC_call_with_stack_base(fn, data): fn(base, data), where base is good for
 * registering the calling thread. Returns what fn does. */
typedef void *(GC_CALLBACK *GC_stack_base_func)(struct GC_stack_base *, void *);
GC_API void *GC_CALL GC_call_with_stack_base(GC_stack_base_func, void *)
    GC_ATTR_NONNULL(1);

/* The calling thread's base, from the system; GC_SUCCESS. */
GC_API int GC_CALL GC_get_stack_base(struct GC_stack_base *) GC_ATTR_NONNULL(1);

/* The base of the calling thread's stack or coroutine as the library has it;
 * returns a handle of the thread. (lock) */
GC_API void *GC_CALL GC_get_my_stackbottom(struct GC_stack_base *)
    GC_ATTR_NONNULL(1);
/* GC_set_stackbottom(handle, base): the thread runs on another stack now; NULL
 * is the calling one. The caller holds the lock, or GC_INIT is still to come:
 * then it is the main thread's. */
GC_API void GC_CALL GC_set_stackbottom(void *, const struct GC_stack_base *)
    GC_ATTR_NONNULL(2);
/* The main thread's base; may be set before GC_INIT. */
GC_API GC_ATTR_DEPRECATED char *GC_stackbottom;

/* GC_do_blocking(fn, data): fn(data), during which the thread is not stopped
 * for a collection; it must not touch objects or call GC_ functions but the
 * next. Returns what fn does. */
GC_API void *GC_CALL GC_do_blocking(GC_fn_type, void *) GC_ATTR_NONNULL(1);
/* GC_call_with_gc_active(fn, data): fn(data) as outside of GC_do_blocking; the
 * stack from here on is looked at. Elsewhere it only calls. */
GC_API void *GC_CALL GC_call_with_gc_active(GC_fn_type, void *)
    GC_ATTR_NONNULL(1);

/* Starts the threads that help marking, if there are to be any; after a fork,
 * the child calls it to have them again. */
GC_API void GC_CALL GC_start_mark_threads(void);

#ifdef GC_THREADS
/* Threads that mark, the collecting one not counted. */
GC_API GC_ATTR_DEPRECATED int GC_parallel;
GC_API int GC_CALL GC_get_parallel(void);
/* Threads that mark, the collecting one counted; 0: the library's choice.
 * Before GC_INIT. (plain) */
GC_API void GC_CALL GC_set_markers_count(unsigned);

/* The signal that stops threads and the one that lets them go on. Set before
 * GC_INIT. (plain) */
GC_API void GC_CALL GC_set_suspend_signal(int);
GC_API int GC_CALL GC_get_suspend_signal(void);
GC_API void GC_CALL GC_set_thr_restart_signal(int);
GC_API int GC_CALL GC_get_thr_restart_signal(void);

/* Announces threads that register themselves; from a thread that is
 * registered, after GC_INIT. */
GC_API void GC_CALL GC_allow_register_threads(void);
/* Registers the calling thread, whose stack began there: needed before it
 * touches objects if it was made without GC_pthread_create. GC_SUCCESS or
 * GC_DUPLICATE. (lock) */
GC_API int GC_CALL GC_register_my_thread(const struct GC_stack_base *)
    GC_ATTR_NONNULL(1);
/* Ends that; the thread touches no objects any more. GC_SUCCESS. (lock) */
GC_API int GC_CALL GC_unregister_my_thread(void);
/* Whether the calling thread is registered. (lock) */
GC_API int GC_CALL GC_thread_is_registered(void);
/* GC_register_altstack(stack, stack_bytes, alt, alt_bytes): the calling
 * thread's stack and the one that its signal handlers run on. (lock) */
GC_API void GC_CALL GC_register_altstack(void *, GC_word, void *, GC_word);

/* Stops all other threads and takes the lock; lets them go on. */
GC_API void GC_CALL GC_stop_world_external(void);
GC_API void GC_CALL GC_start_world_external(void);
#endif

/* ---- checks of pointers ------------------------------------------------ */

/* For programs that have their pointer arithmetic checked: with GC_DEBUG,
 * GC_PTR_ADD and its kin call these. One that fails calls its _print_proc,
 * which by default tells what is wrong and ends the process. */

/* (p, q): both in the same object, or neither in one. Returns p. */
GC_API void *GC_CALL GC_same_obj(void *, void *);
/* (where, bytes): adds to *where, and checks that it stays in its object.
 * Returns the new value; the old one. */
GC_API void *GC_CALL GC_pre_incr(void **, ptrdiff_t) GC_ATTR_NONNULL(1);
GC_API void *GC_CALL GC_post_incr(void **, ptrdiff_t) GC_ATTR_NONNULL(1);
/* The collector looks for pointers at that address. Returns it. */
GC_API void *GC_CALL GC_is_visible(void *);
/* The pointer, if into an object, keeps it. Returns it. */
GC_API void *GC_CALL GC_is_valid_displacement(void *);

GC_API void(GC_CALLBACK *GC_same_obj_print_proc)(void *, void *);
GC_API void(GC_CALLBACK *GC_is_valid_displacement_print_proc)(void *);
GC_API void(GC_CALLBACK *GC_is_visible_print_proc)(void *);

#if defined(GC_DEBUG) && defined(__GNUC__)
#define GC_PTR_ADD3(x, n, type_of_result)                                      \
  ((type_of_result)GC_same_obj((x) + (n), (x)))
#define GC_PRE_INCR3(x, n, type_of_result)                                     \
  ((type_of_result)GC_pre_incr((void **)(&(x)), (n) * (ptrdiff_t)sizeof(*(x))))
#define GC_POST_INCR3(x, n, type_of_result)                                    \
  ((type_of_result)GC_post_incr((void **)(&(x)), (n) * (ptrdiff_t)sizeof(*(x))))
#define GC_PTR_ADD(x, n) GC_PTR_ADD3(x, n, __typeof__(x))
#define GC_PRE_INCR(x, n) GC_PRE_INCR3(x, n, __typeof__(x))
#define GC_POST_INCR(x) GC_POST_INCR3(x, 1, __typeof__(x))
#define GC_POST_DECR(x) GC_POST_INCR3(x, -1, __typeof__(x))
#else
#define GC_PTR_ADD(x, n) ((x) + (n))
#define GC_PRE_INCR(x, n) ((x) += (n))
#define GC_POST_INCR(x) ((x)++)
#define GC_POST_DECR(x) ((x)--)
#endif

/* *p = q, for pointers to pointers. */
#ifdef GC_DEBUG
#define GC_PTR_STORE(p, q)                                                     \
  (*(void **)GC_is_visible((void *)(p)) = GC_is_valid_displacement((void *)(q)))
#else
#define GC_PTR_STORE(p, q) (*(void **)(p) = (void *)(q))
#endif

/* ---- messages and the end of the process ------------------------------- */

/* Whether collections reclaim nothing, but report what was not freed. Before
 * GC_INIT. (plain) */
GC_API GC_ATTR_DEPRECATED int GC_find_leak;
GC_API void GC_CALL GC_set_find_leak(int);
GC_API int GC_CALL GC_get_find_leak(void);

/* fn(format, number): a warning, in the form of printf(3). Called with the
 * lock. The last is one that says nothing. (lock) */
typedef void(GC_CALLBACK *GC_warn_proc)(char *, GC_word);
GC_API void GC_CALL GC_set_warn_proc(GC_warn_proc) GC_ATTR_NONNULL(1);
GC_API GC_warn_proc GC_CALL GC_get_warn_proc(void);
GC_API void GC_CALLBACK GC_ignore_warn_proc(char *, GC_word);

/* The file that the log goes to. (plain) */
GC_API void GC_CALL GC_set_log_fd(int);

/* fn(text): the process is about to end, by abort because of what the text
 * says, or by exit(1) if it is NULL. (lock) */
typedef void(GC_CALLBACK *GC_abort_func)(const char *);
GC_API void GC_CALL GC_set_abort_func(GC_abort_func) GC_ATTR_NONNULL(1);
GC_API GC_abort_func GC_CALL GC_get_abort_func(void);
/* Ends the process for want of memory. */
GC_API void GC_CALL GC_abort_on_oom(void);

/* Of Windows; in no library elsewhere. */
GC_API void GC_CALL GC_win32_free_heap(void);

/* ---- GC_INIT ----------------------------------------------------------- */

/* A client may define these before including gc.h, for GC_INIT to set at
 * start: GC_DONT_EXPAND, GC_FORCE_UNMAP_ON_GCOLLECT, GC_DONT_GC,
 * GC_IGNORE_WARN; and, with a value, GC_MAX_RETRIES,
 * GC_ALLOCD_BYTES_PER_FINALIZER, GC_FREE_SPACE_DIVISOR, GC_FULL_FREQ,
 * GC_TIME_LIMIT, GC_MAXIMUM_HEAP_SIZE, GC_INITIAL_HEAP_SIZE and, with
 * GC_THREADS, GC_MARKERS, GC_SIG_SUSPEND, GC_SIG_THR_RESTART. */
#ifdef GC_DONT_EXPAND
#define GC_INIT_CONF_DONT_EXPAND GC_set_dont_expand(1)
#else
#define GC_INIT_CONF_DONT_EXPAND
#endif
#ifdef GC_FORCE_UNMAP_ON_GCOLLECT
#define GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT GC_set_force_unmap_on_gcollect(1)
#else
#define GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT
#endif
/* Not GC_disable, which would initialize first. */
#ifdef GC_DONT_GC
#define GC_INIT_CONF_MAX_RETRIES (void)(GC_dont_gc = 1)
#elif defined(GC_MAX_RETRIES)
#define GC_INIT_CONF_MAX_RETRIES GC_set_max_retries(GC_MAX_RETRIES)
#else
#define GC_INIT_CONF_MAX_RETRIES
#endif
#ifdef GC_ALLOCD_BYTES_PER_FINALIZER
#define GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER                                \
  GC_set_allocd_bytes_per_finalizer(GC_ALLOCD_BYTES_PER_FINALIZER)
#else
#define GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER
#endif
#ifdef GC_FREE_SPACE_DIVISOR
#define GC_INIT_CONF_FREE_SPACE_DIVISOR                                        \
  GC_set_free_space_divisor(GC_FREE_SPACE_DIVISOR)
#else
#define GC_INIT_CONF_FREE_SPACE_DIVISOR
#endif
#ifdef GC_FULL_FREQ
#define GC_INIT_CONF_FULL_FREQ GC_set_full_freq(GC_FULL_FREQ)
#else
#define GC_INIT_CONF_FULL_FREQ
#endif
#ifdef GC_TIME_LIMIT
#define GC_INIT_CONF_TIME_LIMIT GC_set_time_limit(GC_TIME_LIMIT)
#else
#define GC_INIT_CONF_TIME_LIMIT
#endif
#if defined(GC_THREADS) && defined(GC_MARKERS)
#define GC_INIT_CONF_MARKERS GC_set_markers_count(GC_MARKERS)
#else
#define GC_INIT_CONF_MARKERS
#endif
#if defined(GC_THREADS) && defined(GC_SIG_SUSPEND)
#define GC_INIT_CONF_SUSPEND_SIGNAL GC_set_suspend_signal(GC_SIG_SUSPEND)
#else
#define GC_INIT_CONF_SUSPEND_SIGNAL
#endif
#if defined(GC_THREADS) && defined(GC_SIG_THR_RESTART)
#define GC_INIT_CONF_THR_RESTART_SIGNAL                                        \
  GC_set_thr_restart_signal(GC_SIG_THR_RESTART)
#else
#define GC_INIT_CONF_THR_RESTART_SIGNAL
#endif
#ifdef GC_MAXIMUM_HEAP_SIZE
#define GC_INIT_CONF_MAXIMUM_HEAP_SIZE                                         \
  GC_set_max_heap_size(GC_MAXIMUM_HEAP_SIZE)
#else
#define GC_INIT_CONF_MAXIMUM_HEAP_SIZE
#endif
#ifdef GC_IGNORE_WARN
#define GC_INIT_CONF_IGNORE_WARN GC_set_warn_proc(GC_ignore_warn_proc)
#else
#define GC_INIT_CONF_IGNORE_WARN
#endif
#ifdef GC_INITIAL_HEAP_SIZE
#define GC_INIT_CONF_INITIAL_HEAP_SIZE                                         \
  {                                                                            \
    size_t gc_heap_bytes = GC_get_heap_size();                                 \
    if (gc_heap_bytes < (size_t)(GC_INITIAL_HEAP_SIZE))                        \
      (void)GC_expand_hp((size_t)(GC_INITIAL_HEAP_SIZE)-gc_heap_bytes);        \
  }
#else
#define GC_INIT_CONF_INITIAL_HEAP_SIZE
#endif
/* Static data are found without a client's help. */
#define GC_INIT_CONF_ROOTS

/* A block, not an expression: programs use it with and without semicolon. */
#define GC_INIT()                                                              \
  {                                                                            \
    GC_INIT_CONF_DONT_EXPAND;                                                  \
    GC_INIT_CONF_FORCE_UNMAP_ON_GCOLLECT;                                      \
    GC_INIT_CONF_MAX_RETRIES;                                                  \
    GC_INIT_CONF_ALLOCD_BYTES_PER_FINALIZER;                                   \
    GC_INIT_CONF_FREE_SPACE_DIVISOR;                                           \
    GC_INIT_CONF_FULL_FREQ;                                                    \
    GC_INIT_CONF_TIME_LIMIT;                                                   \
    GC_INIT_CONF_MARKERS;                                                      \
    GC_INIT_CONF_SUSPEND_SIGNAL;                                               \
    GC_INIT_CONF_THR_RESTART_SIGNAL;                                           \
    GC_INIT_CONF_MAXIMUM_HEAP_SIZE;                                            \
    GC_init();                                                                 \
    GC_INIT_CONF_ROOTS;                                                        \
    GC_INIT_CONF_IGNORE_WARN;                                                  \
    GC_INIT_CONF_INITIAL_HEAP_SIZE;                                            \
  }

#ifdef __cplusplus
}
#endif

/* Last: it includes the system's headers, then renames their functions. */
#ifdef GC_PTHREADS
#include "gc_pthread_redirects.h"
#endif

#endif
