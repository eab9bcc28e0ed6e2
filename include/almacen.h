/* almacen.h -- the public face of almacen: Go's memory allocator in C.
 *
 * WHAT    The alm_malloc family, statistics, options, error reporting, and
 *         the layout of the process record that the almacen command reads.
 * HOW     Link with -lalmacen and call alm_malloc, or preload
 *         libalmacen-malloc.so and call malloc: one allocator behind both.
 * THREADS Every function may be called from any thread unless it says
 *         otherwise, and none from a signal handler.
 * UNITS   Sizes are bytes. "page" is 8 KiB; "OS page" is the kernel's.
 */
#ifndef ALMACEN_H
#define ALMACEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALM_VERSION "0.1.0"

#ifndef ALM_API
#define ALM_API __attribute__((visibility("default")))
#endif

/* Every function that can fail for several causes returns one of these. */
enum alm_err {
  ALM_OK = 0, /* success                                        */
  ALM_ENOMEM, /* the OS refused memory or address space         */
  ALM_EINVAL, /* an argument is outside its documented range    */
  ALM_ENAME,  /* no option of that name                         */
  ALM_EVALUE, /* the option exists, the value does not fit it   */
  ALM_ELATE,  /* the option can only be set at start            */
};

/* alm_strerror -- the sentence for an error code.
 *
 * Does     Maps an enum alm_err to a constant English sentence.
 * Units    none
 * Returns  a static string, never NULL; unknown codes give a sentence too.
 * Errors   none
 * Threads  any
 * Cost     a table look-up.
 * Since    0.1
 */
ALM_API const char *alm_strerror(enum alm_err err);

/* alm_version -- the version of the library that is running.
 *
 * Does     Returns the run-time counterpart of ALM_VERSION.
 * Units    none
 * Returns  a static string such as "0.1.0".
 * Errors   none
 * Threads  any
 * Cost     constant.
 * Since    0.1
 */
ALM_API const char *alm_version(void);

/* ---- allocation ------------------------------------------------------- */

/* alm_malloc -- allocate memory that alm_free returns.
 *
 * Does     Returns at least `size` bytes, uninitialised, aligned to 16 (to 8
 *          when size <= 8). size 0 gives a unique pointer that may be freed.
 * Units    size: bytes.
 * Returns  the object; NULL on failure.
 * Errors   ENOMEM: size > PTRDIFF_MAX, or the OS refused. errno is untouched
 *          on success.
 * Threads  any
 * Cost     usual: no lock, no atomic read-modify-write.
 * Since    0.1
 * Source   Go mallocgc's layers; free lists are ours (doc/design.md).
 */
ALM_API void *alm_malloc(size_t size);

/* alm_calloc -- allocate zeroed memory for an array.
 *
 * Does     As alm_malloc(count * size), with every byte zero. Memory fresh
 *          from the OS is not cleared again.
 * Units    count: elements, size: bytes each.
 * Returns  the object; NULL on failure.
 * Errors   ENOMEM, also when count * size overflows.
 * Threads  any
 * Cost     alm_malloc plus clearing.
 * Since    0.1
 */
ALM_API void *alm_calloc(size_t count, size_t size);

/* alm_realloc -- change the size of an object, keeping its contents.
 *
 * Does     Grows or shrinks in place where the slot or the neighbouring
 *          pages allow; else moves (whole OS pages by remapping when that
 *          is cheaper than copying). p NULL: as alm_malloc. size 0 with p
 *          not NULL: frees p and returns NULL, as glibc does.
 * Units    size: bytes.
 * Returns  the object, perhaps moved; NULL on failure (p is then untouched).
 * Errors   ENOMEM. A pointer that is not a live object is reported through
 *          the error handler.
 * Threads  any; nobody else may use p meanwhile.
 * Cost     in place: constant; moved: the copy, or the kernel's remapping.
 * Since    0.1
 */
ALM_API void *alm_realloc(void *p, size_t size);

/* alm_reallocarray -- alm_realloc(p, count * size) with overflow check.
 *
 * Does     As alm_realloc.
 * Units    count: elements, size: bytes each.
 * Returns  as alm_realloc.
 * Errors   ENOMEM, also when count * size overflows (p is then untouched).
 * Threads  as alm_realloc
 * Cost     as alm_realloc.
 * Since    0.1
 */
ALM_API void *alm_reallocarray(void *p, size_t count, size_t size);

/* alm_free -- give an object back.
 *
 * Does     Frees p; NULL is ignored. errno is preserved.
 * Units    none
 * Returns  nothing
 * Errors   A foreign, interior, or (where known) freed pointer is reported
 *          through the error handler; the default prints what p is and
 *          aborts. The heap is not touched in that case.
 * Threads  any, also one that did not allocate p.
 * Cost     usual: no lock, no atomic read-modify-write.
 * Since    0.1
 */
ALM_API void alm_free(void *p);

/* alm_free_sized -- alm_free with the size the caller asked for (C23).
 *
 * Does     As alm_free. `size` must be what p was allocated or last
 *          reallocated with; debug builds report a size that cannot be.
 * Units    size: bytes.
 * Returns  nothing
 * Errors   as alm_free
 * Threads  any
 * Cost     as alm_free.
 * Since    0.1
 */
ALM_API void alm_free_sized(void *p, size_t size);

/* alm_free_aligned_sized -- alm_free for alm_aligned_alloc (C23).
 *
 * Does     As alm_free_sized.
 * Units    alignment, size: bytes.
 * Returns  nothing
 * Errors   as alm_free
 * Threads  any
 * Cost     as alm_free.
 * Since    0.1
 */
ALM_API void alm_free_aligned_sized(void *p, size_t alignment, size_t size);

/* alm_aligned_alloc -- allocate with an alignment.
 *
 * Does     As alm_malloc with the object at a multiple of `alignment`.
 * Units    alignment, size: bytes; alignment a power of two.
 * Returns  the object; NULL on failure.
 * Errors   EINVAL: alignment is no power of two. ENOMEM as alm_malloc.
 * Threads  any
 * Cost     alignment <= 8 KiB and size <= 32 KiB: as alm_malloc; else a
 *          search of the page heap.
 * Since    0.1
 */
ALM_API void *alm_aligned_alloc(size_t alignment, size_t size);

/* alm_posix_memalign -- POSIX's form of alm_aligned_alloc.
 *
 * Does     Stores the object in *out. errno is untouched.
 * Units    alignment, size: bytes; alignment a power of two and a multiple
 *          of sizeof(void *).
 * Returns  0, EINVAL or ENOMEM (errno values); *out only set on 0.
 * Errors   as returned
 * Threads  any
 * Cost     as alm_aligned_alloc.
 * Since    0.1
 */
ALM_API int alm_posix_memalign(void **out, size_t alignment, size_t size);

/* alm_memalign -- alm_aligned_alloc under its older name.
 *
 * Does     As alm_aligned_alloc.
 * Units    alignment, size: bytes.
 * Returns  as alm_aligned_alloc
 * Errors   as alm_aligned_alloc
 * Threads  any
 * Cost     as alm_aligned_alloc.
 * Since    0.1
 */
ALM_API void *alm_memalign(size_t alignment, size_t size);

/* alm_valloc -- allocate at an OS page boundary.
 *
 * Does     alm_aligned_alloc with the OS page size.
 * Units    size: bytes.
 * Returns  the object; NULL on failure.
 * Errors   ENOMEM
 * Threads  any
 * Cost     as alm_aligned_alloc.
 * Since    0.1
 */
ALM_API void *alm_valloc(size_t size);

/* alm_pvalloc -- alm_valloc with the size rounded up to OS pages.
 *
 * Does     As alm_valloc; size 0 gives one OS page.
 * Units    size: bytes.
 * Returns  the object; NULL on failure.
 * Errors   ENOMEM
 * Threads  any
 * Cost     as alm_aligned_alloc.
 * Since    0.1
 */
ALM_API void *alm_pvalloc(size_t size);

/* alm_malloc_usable_size -- how many bytes of an object may be used.
 *
 * Does     Returns the size of p's slot, at least what was asked for.
 * Units    bytes
 * Returns  the size; 0 for NULL.
 * Errors   A pointer that is not the start of an object is reported through
 *          the error handler.
 * Threads  any
 * Cost     two loads for small objects.
 * Since    0.1
 */
ALM_API size_t alm_malloc_usable_size(const void *p);

/* ---- control ---------------------------------------------------------- */

/* alm_release_memory -- return free memory to the OS now.
 *
 * Does     Empties the calling thread's cache, the central lists and, of other
 *          threads' caches, all but the current lists and runs, then releases every free page
 *          until `keep` bytes of free pages are left.
 * Units    keep: bytes of free, still resident pages to leave alone.
 * Returns  bytes released.
 * Errors   none; what the OS refuses to take is simply not counted.
 * Threads  any
 * Cost     a walk of the page bitmaps and one system call per free run.
 * Since    0.1
 * Source   debug.FreeOSMemory, Go mgcscavenge.go.
 */
ALM_API size_t alm_release_memory(size_t keep);

/* alm_thread_flush -- empty the calling thread's cache.
 *
 * Does     Gives back every object the thread's cache holds for reuse. A
 *          thread that is about to sleep for long may call it; nobody must.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any; affects the caller only.
 * Cost     proportional to what the cache holds (bounded).
 * Since    0.1
 */
ALM_API void alm_thread_flush(void);

/* alm_background_stop -- end the library's background thread.
 *
 * Does     Ends and joins the thread that returns memory to the OS, if it
 *          runs. It starts again when there is enough to return. For callers
 *          of unshare and setns, which the kernel refuses to processes with
 *          several threads.
 * Units    none
 * Returns  true if a thread was running.
 * Errors   none
 * Threads  any but the background thread
 * Cost     waits for the thread: under a millisecond, usually.
 * Since    0.1
 */
ALM_API bool alm_background_stop(void);

/* alm_option_set -- change a run-time option.
 *
 * Does     Parses `value` and stores it, as ALMACEN=name=value at start
 *          would. doc/options.md lists the table.
 * Units    as the option's row says
 * Returns  ALM_OK, ALM_ENAME, ALM_EVALUE, or ALM_ELATE.
 * Errors   as returned; nothing is changed on error.
 * Threads  any
 * Cost     a look-up by name.
 * Since    0.1
 */
ALM_API enum alm_err alm_option_set(const char *name, const char *value);

/* alm_option_get -- read a run-time option.
 *
 * Does     Writes the option's value as text, cut to `size` - 1 characters.
 * Units    size: bytes of `text`.
 * Returns  ALM_OK, ALM_ENAME, or ALM_EINVAL (size 0).
 * Errors   as returned
 * Threads  any
 * Cost     a look-up by name.
 * Since    0.1
 */
ALM_API enum alm_err alm_option_get(const char *name, char *text, size_t size);

/* One row of the table of options. */
struct alm_option_info {
  const char *name;
  const char *type;          /* "bool", "count", "bytes", "ms", "text"       */
  const char *default_value; /* as text                                      */
  const char *when;          /* "start" or "any"                             */
  const char *help;          /* one sentence                                 */
};

/* alm_option_list -- the table of options, for `almacen options` and docs.
 *
 * Does     Fills *out with row `index`.
 * Units    index: 0, 1, 2 ...
 * Returns  ALM_OK; ALM_EINVAL past the last row.
 * Errors   as returned
 * Threads  any
 * Cost     constant.
 * Since    0.1
 */
ALM_API enum alm_err alm_option_list(size_t index, struct alm_option_info *out);

/* ---- errors of the caller -------------------------------------------- */

enum alm_misuse {
  ALM_MISUSE_FOREIGN = 1, /* the address was never part of this heap        */
  ALM_MISUSE_INTERIOR,    /* inside an object, not at its start             */
  ALM_MISUSE_FREED,       /* the object is free already                     */
  ALM_MISUSE_SIZE,        /* the size given cannot be the object's          */
};

/* What was called with what, and what it really is. */
struct alm_misuse_info {
  enum alm_misuse kind;
  const char *call;    /* the public function: "free", "realloc" ...         */
  const void *pointer; /* as given                                           */
  const char *message; /* the whole report, one line, no newline             */
};

typedef void (*alm_misuse_handler)(const struct alm_misuse_info *info);

/* alm_misuse_handler_set -- decide what happens on a caller's mistake.
 *
 * Does     Replaces the handler that prints the report and aborts. When the
 *          handler returns, the offending call does nothing (a free is
 *          ignored, a realloc or usable size gives NULL or 0).
 * Units    none
 * Returns  the handler that was set before; NULL means the default.
 * Errors   none
 * Threads  any; the handler runs on the thread that made the mistake, with no
 *          lock held, and may call any function but exit handlers.
 * Cost     constant.
 * Since    0.1
 */
ALM_API alm_misuse_handler alm_misuse_handler_set(alm_misuse_handler handler);

/* alm_check -- walk and verify every structure of the allocator.
 *
 * Does     Checks page bitmaps against summaries, spans against the page
 *          map, slot bitmaps against counts, lists against their owners.
 *          Prints the first broken invariant and aborts.
 * Units    none
 * Returns  true when everything holds.
 * Errors   none: a broken heap does not return.
 * Threads  any; other threads go on, and wait where they need shared lists.
 * Cost     proportional to the heap; holds the allocator's locks meanwhile.
 * Since    0.1
 */
ALM_API bool alm_check(void);

/* ---- statistics ------------------------------------------------------- */

enum {
  ALM_CLASS_COUNT = 68 /* size classes; 0 stands for large objects */
};

/* One size class. Counters only grow; gauges are values now. */
struct alm_class_stats {
  uint64_t object_bytes; /* slot size; 0 for class 0                         */
  uint64_t span_bytes;   /* bytes of one span; 0 for class 0                 */
  uint64_t allocs;       /* counter, objects                                 */
  uint64_t frees;        /* counter, objects                                 */
  uint64_t alloc_bytes;  /* counter; slots count whole                       */
  uint64_t free_bytes;   /* counter                                          */
  uint64_t spans;        /* gauge: spans in use                              */
  uint64_t spans_max;    /* largest value `spans` ever had                   */
  uint64_t inherited;    /* objects alive when the process was forked, so
                            alive now = inherited + allocs - frees           */
  uint64_t inherited_bytes; /* the same in bytes                             */
};

/* The account of one process. Bytes unless named otherwise. */
struct alm_stats {
  uint64_t heap_inuse;       /* gauge: pages in spans                         */
  uint64_t heap_inuse_max;   /* largest value of heap_inuse                   */
  uint64_t live_at_max;      /* bytes in live objects when that was reached   */
  uint64_t heap_free;        /* gauge: free pages not returned to the OS      */
  uint64_t heap_mapped;      /* gauge: in use, free, or in threads' caches    */
  uint64_t heap_mapped_max;  /* largest value of heap_mapped                  */
  uint64_t released;         /* counter: bytes returned to the OS             */
  uint64_t metadata;         /* gauge: the allocator's own structures         */
  uint64_t reserved;         /* address space reserved                        */
  uint64_t threads;          /* counter: threads that allocated               */
  uint64_t realloc_inplace;  /* counter, calls                                */
  uint64_t realloc_moved;    /* counter, calls that copied                    */
  uint64_t realloc_remapped; /* counter, calls that moved OS pages           */
  struct alm_class_stats classes[ALM_CLASS_COUNT];
};

/* alm_stats_read -- read the account of this process.
 *
 * Does     Sums the counters of all threads into *out. Counters of running
 *          threads may be a few operations old.
 * Units    as in struct alm_stats
 * Returns  nothing
 * Errors   none
 * Threads  any
 * Cost     proportional to threads x size classes; nothing is counted on
 *          allocation's fast path for it.
 * Since    0.1
 */
ALM_API void alm_stats_read(struct alm_stats *out);

/* The record of a process: a file the library keeps mapped while it runs
 * when the option `record` names a directory. Its name is PID-N.almrec, N
 * counting the program images the process has run (exec) and so is 0 for
 * most. A forked child has a record of its own, counting from zero. The file
 * stays valid when the process is killed; it is then a few batches of objects
 * (some 16 KiB) per thread and class behind. Native byte order. */
#define ALM_RECORD_MAGIC "ALMREC1"

enum alm_record_state {
  ALM_RECORD_RUNNING = 1, /* also: was killed, or replaced by exec           */
  ALM_RECORD_EXITED = 2,  /* ended through exit() or return from main        */
};

struct alm_record {
  char magic[8]; /* ALM_RECORD_MAGIC, written last                           */
  uint32_t record_bytes; /* sizeof(struct alm_record)                        */
  uint32_t state;        /* enum alm_record_state                            */
  uint32_t pid;
  uint32_t parent_pid;
  uint64_t start_ns;  /* CLOCK_REALTIME                                      */
  uint64_t end_ns;    /* CLOCK_REALTIME, 0 unless state is EXITED            */
  uint64_t user_ns;   /* CPU time at the last update                         */
  uint64_t system_ns; /* CPU time at the last update                         */
  uint64_t rss_max;   /* bytes, as the kernel counts, at the last update     */
  char command[256];  /* arguments joined with blanks, cut, NUL-terminated   */
  struct alm_stats stats;
};

#ifdef __cplusplus
}
#endif
#endif
