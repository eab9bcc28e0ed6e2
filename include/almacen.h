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
  ALM_OK = 0,   /* success                                        */
  ALM_ENOMEM,   /* the OS refused memory or address space         */
  ALM_EINVAL,   /* an argument is outside its documented range    */
  ALM_ENAME,    /* no option of that name                         */
  ALM_EVALUE,   /* the option exists, the value does not fit it   */
  ALM_ELATE,    /* the option can only be set at start            */
  ALM_EBUSY,    /* others use it (a heap, a stack, a signal)      */
  ALM_ESTATE,   /* not allowed now (inside a callback of ours)    */
  ALM_ESPECIAL, /* the object has finalizers, weak references ...  */
  ALM_EPACKED,  /* the object shares a block, see alm_new_bytes   */
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
  ALM_MISUSE_COLLECTED,   /* memory of a garbage-collected heap             */
  ALM_MISUSE_MUTATOR,     /* not a mutator that this thread has attached    */
  ALM_MISUSE_CALLBACK,    /* the call is not allowed in a callback          */
  ALM_MISUSE_STACK,       /* a stack pointer is outside of its stack        */
  ALM_MISUSE_HEAP,        /* a type or stack of another heap                */
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
  ALM_CLASS_COUNT = 68, /* size classes; 0 stands for large objects */
  ALM_PAUSE_COUNT = 106 /* lengths of pauses, see alm_pause_below_ns */
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

/* The spans that garbage-collected heaps have of one size class. */
struct alm_gc_class_stats {
  uint64_t object_bytes; /* slot size; 0 for class 0, and while never used   */
  uint64_t bytes;        /* gauge                                            */
  uint64_t bytes_max;    /* largest value of `bytes`                         */
};

/* What the garbage-collected heaps of a process did: all together, also those
 * that are gone. Counters but where it says gauge or largest; bytes unless
 * named otherwise. */
struct alm_gc_stats {
  uint64_t heaps;     /* made (or inherited by a forked child)            */
  uint64_t heaps_now; /* gauge                                            */
  uint64_t collections;
  uint64_t pause_ns;     /* threads of a heap stood still, in all ...        */
  uint64_t pause_ns_max; /* ... and at most                                  */
  uint64_t cpu_ns;       /* CPU time of collections, all threads             */
  uint64_t alloc_bytes;  /* claimed by mutators; up to date when read, as of
                            the last collections in a killed process's record */
  uint64_t heap_bytes;   /* gauge: spans                                     */
  uint64_t heap_bytes_max;
  uint64_t live_bytes;   /* marked by the last collection of each heap that
                            there was when the last one ended                */
  uint64_t live_objects; /* objects, the same                                */
  uint64_t live_bytes_max;
  uint64_t finalizers_queued; /* functions: finalizers and cleanups          */
  uint64_t finalizers_run;    /* functions taken by alm_finalizers_run       */
  /* Pauses of less than alm_pause_below_ns(i) that are in no element before;
   * the last one has all longer ones. */
  uint64_t pauses[ALM_PAUSE_COUNT];
  struct alm_gc_class_stats classes[ALM_CLASS_COUNT];
};

/* The limit of element i of `pauses`: 1 us, then four in each octave (1.25,
 * 1.5, 1.75, 2, 2.5 ... us) to 67 s; none for the last element. */
static inline uint64_t alm_pause_below_ns(unsigned i) {
  if (i >= ALM_PAUSE_COUNT - 1) {
    return UINT64_MAX;
  }
  return i == 0 ? 1000 : (uint64_t)(5 + (i - 1) % 4) * 250 << (i - 1) / 4;
}

/* The account of one process. Bytes unless named otherwise. The classes do
 * not count objects of garbage-collected heaps, all else counts their pages. */
struct alm_stats {
  uint64_t heap_inuse;       /* gauge: pages in spans                         */
  uint64_t heap_inuse_max;   /* largest value of heap_inuse                   */
  uint64_t live_at_max;      /* bytes in live objects when that was reached;
                                spans of collected heaps count whole         */
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
  struct alm_gc_stats gc;
};

/* alm_stats_read -- read the account of this process.
 *
 * Does     Sums the counters of all threads into *out. Counters of running
 *          threads may be a few operations old.
 * Units    as in struct alm_stats
 * Returns  nothing
 * Errors   none
 * Threads  any
 * Cost     proportional to threads x size classes, and to collected heaps;
 *          nothing is counted on allocation's fast path for it.
 * Since    0.1
 */
ALM_API void alm_stats_read(struct alm_stats *out);

/* alm_pause_quantile_ns -- how long a pause was, by its rank among all.
 *
 * Does     Finds the length that so many of a thousand pauses did not exceed:
 *          500 asks for the median, 990 for the 99th percentile. Within an
 *          element of `pauses` the lengths count as spread evenly.
 * Units    nanoseconds; per_mille: 1000 and more ask for the longest
 * Returns  at most 1/4 more or less than the exact value, never more than
 *          pause_ns_max; 0 without a pause
 * Errors   none
 * Threads  any
 * Cost     a walk through ALM_PAUSE_COUNT numbers.
 * Since    0.1
 */
ALM_API uint64_t alm_pause_quantile_ns(const struct alm_gc_stats *gc,
                                       unsigned per_mille);

/* The record of a process: a file the library keeps mapped while it runs
 * when the option `record` names a directory. Its name is PID-N.almrec. N is 0
 * for most; it goes on counting when the process runs another program image
 * (exec), and when an image holds the library twice: the malloc face is
 * preloaded into a program that was linked with libalmacen.a. Such copies are
 * allocators of their own, each with its own record; `image` is the same in
 * them. A forked child has a record of its own, counting from zero. The file
 * stays valid when the process is killed; it is then a few batches of objects
 * (some 16 KiB) per thread and class behind. Native byte order. */
#define ALM_RECORD_MAGIC "ALMREC3"

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
  uint64_t image; /* the same in the records of one program image only       */
  char face[8];   /* "malloc": the copy that is malloc; "gc": the one that is
                     libgc; "alm": one that has the functions with the prefix
                     only                                                    */
  uint64_t start_ns;  /* CLOCK_REALTIME                                      */
  uint64_t end_ns;    /* CLOCK_REALTIME, 0 unless state is EXITED            */
  uint64_t user_ns;   /* CPU time at the last update                         */
  uint64_t system_ns; /* CPU time at the last update                         */
  uint64_t rss_max;   /* bytes, as the kernel counts, at the last update     */
  char command[256];  /* arguments joined with blanks, cut, NUL-terminated   */
  struct alm_stats stats;
};

/* ---- garbage-collected heaps ------------------------------------------ */

/* A heap is a world of its own: its objects, roots and collections. Several
 * may exist; all take their pages from the same page heap as alm_malloc. A
 * thread that uses a heap attaches and gets a *mutator*. How it is stopped is
 * the heap's contract with its threads, see enum alm_contract; between
 * alm_blocked_begin and alm_blocked_end it counts as stopped in any case.
 * Objects do not move. The collector finds pointers in
 * registers and stacks of attached threads (conservatively), in roots,
 * handles and in objects as their type says. An object stays as long as a
 * pointer to any byte of it is found; heaps made with base_pointers_only ask
 * inside typed and traced objects for pointers to the first byte, or so many
 * bytes behind it as alm_displacement_add said. */
struct alm_heap;
struct alm_mutator;
struct alm_type;
struct alm_visitor;
struct alm_handle;
struct alm_stack;
struct alm_weak;
struct alm_ephemeron;

/* What the collector may find in an object. */
enum alm_kind {
  ALM_NOSCAN = 1,   /* no pointers                                          */
  ALM_TYPED,        /* pointers where the type's mask has bits              */
  ALM_TRACED,       /* pointers that the type's trace function reports      */
  ALM_CONSERVATIVE, /* any aligned word may be one                          */
};

/* Called by the collector with the world stopped, on any of its threads,
 * several at once: report the pointers in `object` (of `bytes` usable bytes)
 * by alm_visit. Must not call anything else of this library. */
typedef void (*alm_trace)(void *object, size_t bytes, struct alm_visitor *v);
/* The same for roots; `arg` as registered. Once per collection. */
typedef void (*alm_root_trace)(void *arg, struct alm_visitor *v);
/* Called by alm_finalizers_run. `object` is NULL for cleanups. */
typedef void (*alm_finalizer)(void *object, void *arg);
/* A heap cannot give `bytes`, although it was collected. Called without locks
 * in the thread that allocates; may free handles, roots and so on, but not
 * allocate. True: try again. */
typedef bool (*alm_out_of_memory)(struct alm_heap *heap, size_t bytes,
                                  void *arg);

/* How the threads of a heap are stopped. */
enum alm_contract {
  /* They stop where they allocate and at alm_safepoint, and store pointers by
   * alm_store: for runtimes that generate or interpret code. */
  ALM_COOPERATIVE,
  /* They are stopped anywhere by a signal, so no safepoints are needed, nor
   * alm_store. The handler restarts system calls where the kernel can; sleep,
   * poll and the like may still end early (EINTR), but never in a blocked
   * region. The signal must not be blocked for long, and the stack the thread
   * is on has to be its own or one that was declared (alm_stack_add). Root and
   * trace callbacks must not lock anything: its holder may be stopped. */
  ALM_UNCOOPERATIVE
};

/* Zero means default everywhere. */
struct alm_heap_options {
  unsigned gc_percent;        /* collect when this much has been allocated, in
                                percent of what was live; 0: 75             */
  unsigned markers;           /* threads that mark; 0: CPUs, at most 8       */
  size_t limit_bytes;         /* spans of this heap together; 0: none        */
  size_t first_bytes;         /* no collection before so much; 0: 4 MiB      */
  enum alm_contract contract; /* ALM_COOPERATIVE                          */
  int stop_signal;            /* of uncooperative heaps; 0: SIGURG        */
  bool base_pointers_only;    /* see above                                */
  unsigned check;             /* 1: check the heap after each collection;
                                2: mark a second time as well               */
  uint64_t collect_every;     /* tests: collect at every n-th slow path      */
  bool clobber_free;          /* tests: overwrite objects that are freed     */
  unsigned period_ms;         /* collect when this long after the last time
                                 something has been allocated since; 0:
                                 two minutes; ALM_NEVER. See alm_collect     */
  bool finalizer_thread;      /* a thread of the heap runs finalizers and
                                 cleanups, see alm_finalizers_run            */
  alm_out_of_memory out_of_memory; /* NULL: allocation returns NULL         */
  void *out_of_memory_arg;
};

/* For period_ms. */
#define ALM_NEVER ((unsigned)-1)

/* A type is described once per heap and used for many objects. */
struct alm_type_info {
  const char *name; /* for reports; copied, cut at 31 bytes                 */
  size_t bytes;     /* of one object, 1 to 32,768; more: use an array       */
  /* Word i (8 bytes) may hold a pointer if bit i % 64 of pointers[i / 64] is
   * set; `words` of them are described, the rest holds none. Copied. */
  const uint64_t *pointers;
  size_t words;
  alm_trace trace; /* instead of `pointers`; both absent: noscan            */
};

/* alm_heap_create -- make a garbage-collected heap.
 *
 * Does     Makes a heap with the options given (NULL: defaults); it has no
 *          objects and takes no memory for any.
 * Units    none
 * Returns  ALM_OK and *out; else *out is untouched.
 * Errors   ALM_ENOMEM; ALM_EINVAL: out is NULL, check is above 2, or
 *          gc_percent is above 100,000, or the contract is none of the two.
 *          ALM_EBUSY: the program handles the stop signal itself, or there is
 *          no such signal.
 * Threads  any
 * Cost     some microseconds.
 * Since    0.1
 */
ALM_API enum alm_err alm_heap_create(const struct alm_heap_options *options,
                                     struct alm_heap **out);

/* alm_heap_destroy -- give a heap back whole.
 *
 * Does     Frees all objects, types, handles and specials of the heap.
 *          Cleanups and finalizers that have not run do not run; one that the
 *          heap's finalizer thread is in is waited for.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EBUSY: a mutator is attached (the finalizer thread's does not
 *          count, unless it calls). ALM_ESTATE: called from a callback.
 * Threads  one, the last to use the heap.
 * Cost     proportional to the spans; no object is touched.
 * Since    0.1
 */
ALM_API enum alm_err alm_heap_destroy(struct alm_heap *heap);

/* alm_mutator_attach -- let the calling thread use a heap.
 *
 * Does     Registers the thread with its stack. A thread may be attached to
 *          several heaps, once to each. A thread that ends is detached.
 * Units    none
 * Returns  ALM_OK and *out; else *out is untouched.
 * Errors   ALM_ENOMEM; ALM_EBUSY: it is attached already; ALM_EINVAL: a NULL
 *          argument.
 * Threads  any; waits while the heap is being collected.
 * Cost     some microseconds.
 * Since    0.1
 */
ALM_API enum alm_err alm_mutator_attach(struct alm_heap *heap,
                                        struct alm_mutator **out);

/* alm_mutator_self -- the calling thread's mutator.
 *
 * Does     Looks it up: for finalizers and other functions that were not given
 *          it.
 * Units    none
 * Returns  the mutator; NULL when the thread is not attached to the heap.
 * Errors   none
 * Threads  any
 * Cost     proportional to the heaps the thread is attached to.
 * Since    0.1
 */
ALM_API struct alm_mutator *alm_mutator_self(struct alm_heap *heap);

/* alm_mutator_detach -- end the use of a heap by the calling thread.
 *
 * Does     Its stack is no longer a root, its cached memory goes back. The
 *          mutator must not be used again; using it is reported and ends the
 *          program.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  the one that attached it.
 * Cost     proportional to the size classes it used.
 * Since    0.1
 */
ALM_API void alm_mutator_detach(struct alm_mutator *m);

/* alm_type_create -- describe a type of objects.
 *
 * Does     Copies the description. The type lives as long as the heap.
 * Units    bytes, words of 8 bytes
 * Returns  ALM_OK and *out; else *out is untouched.
 * Errors   ALM_EINVAL: bytes is 0 or above 32,768; the mask is longer than
 *          the object; both mask and trace function. ALM_ENOMEM: also beyond
 *          3,891 types.
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API enum alm_err alm_type_create(struct alm_heap *heap,
                                     const struct alm_type_info *info,
                                     const struct alm_type **out);

/* alm_new -- allocate an object of a type.
 *
 * Does     Returns a zeroed object, aligned to 16. May collect, so pointers
 *          must be where the collector finds them. The fast path is
 *          alm_new_inline in almacen_inline.h.
 * Units    none
 * Returns  the object; NULL when memory is out.
 * Errors   NULL: the heap's limit holds after a collection, or the OS
 *          refused, and the out-of-memory handler did not ask to try again.
 *          In a callback of ours: reported.
 * Threads  any thread, with its own mutator.
 * Cost     usual: bump of a pointer; no lock, no atomic read-modify-write.
 * Since    0.1
 * Source   Go mallocgc; runs instead of a free index.
 */
ALM_API void *alm_new(struct alm_mutator *m, const struct alm_type *type);

/* alm_new_array -- allocate an array of objects of a type.
 *
 * Does     Returns zeroed room for `count` (0 allowed) objects, each of the
 *          type's bytes rounded up to 8; aligned to 8. A traced type's
 *          function is called with the whole array.
 * Units    count: objects
 * Returns  the array; NULL when memory is out or the size overflows.
 * Errors   as alm_new.
 * Threads  any thread, with its own mutator.
 * Cost     as alm_new; above 32 KiB whole pages.
 * Since    0.1
 */
ALM_API void *alm_new_array(struct alm_mutator *m, const struct alm_type *type,
                            size_t count);

/* alm_new_bytes -- allocate bytes without a type.
 *
 * Does     Returns `bytes` zeroed bytes of kind ALM_NOSCAN or
 *          ALM_CONSERVATIVE, aligned to 16. Noscan objects of less than 16
 *          bytes are packed: they share blocks of 16 bytes, and are aligned
 *          to 8, 4, 2 or 1, the largest of these that is not above `bytes`;
 *          0 gives a unique address. A block lives as long as a pointer into
 *          it is found, so neighbours keep each other; a packed object cannot
 *          be deleted and has no size, weak references and so on of its own.
 *          Nothing is packed in heaps made with base_pointers_only, nor what
 *          alm_new and alm_new_array make.
 * Units    bytes
 * Returns  the object; NULL when memory is out or the kind is another.
 * Errors   as alm_new.
 * Threads  any thread, with its own mutator.
 * Cost     as alm_new_array.
 * Since    0.1
 */
ALM_API void *alm_new_bytes(struct alm_mutator *m, enum alm_kind kind,
                            size_t bytes);

/* alm_delete -- free an object of a heap now.
 *
 * Does     The object must not be used or reachable any more. It is optional:
 *          the collector would find it. NULL is ignored.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_ESPECIAL: the object has a weak reference, cleanup, finalizer
 *          or ephemeron. ALM_EINVAL: not the start of an object of this heap.
 *          ALM_EPACKED: an address in a block of packed objects.
 * Threads  any thread, with its own mutator.
 * Cost     small: a lock of the size class; large: one of the page heap.
 * Since    0.1
 * Source   Go's experimental freegc.
 */
ALM_API enum alm_err alm_delete(struct alm_mutator *m, void *object);

/* alm_object_bytes -- the usable size of an object.
 *
 * Does     Looks the object up.
 * Units    bytes
 * Returns  its usable bytes; 0 when p is not the start of an object of the
 *          heap, and for packed objects (see alm_new_bytes), whose sizes are
 *          not kept.
 * Errors   none
 * Threads  any
 * Cost     a look-up.
 * Since    0.1
 */
ALM_API size_t alm_object_bytes(struct alm_heap *heap, const void *p);

/* alm_store -- store a pointer into an object.
 *
 * Does     Stores `value` in *slot, which lies in `object`. Every store of a
 *          pointer to an object into an object of the heap goes through here
 *          (alm_store_inline is the same); plain stores into fresh objects
 *          before the next safepoint are allowed.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a load, a test and a store. The collector stops the world to mark,
 *          so there is no more to do yet; programs that use the inline form
 *          need not be built again when it marks beside them.
 * Since    0.1
 */
ALM_API void alm_store(struct alm_mutator *m, void *object, void *slot,
                       void *value);

/* alm_copy -- copy words that may be pointers into an object.
 *
 * Does     memmove of `bytes` from `from` to `to`, which lies in `object`:
 *          the bulk form of alm_store.
 * Units    bytes
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     that of memmove.
 * Since    0.1
 */
ALM_API void alm_copy(struct alm_mutator *m, void *object, void *to,
                      const void *from, size_t bytes);

/* alm_safepoint -- let a collection happen.
 *
 * Does     Stops the thread while another collects. Loops that do not
 *          allocate call it from time to time; alm_safepoint_inline is its
 *          fast path.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a load, when nobody collects.
 * Since    0.1
 */
ALM_API void alm_safepoint(struct alm_mutator *m);

/* alm_blocked_begin -- the thread will not touch the heap for a while.
 *
 * Does     Collections no longer wait for this thread: before a blocking
 *          call. Its stack is scanned as it is now. Does not nest.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_blocked_begin(struct alm_mutator *m);

/* alm_blocked_end -- the thread comes back to the heap.
 *
 * Does     Ends alm_blocked_begin; waits while the heap is being collected.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_blocked_end(struct alm_mutator *m);

/* alm_visit -- report a pointer to the collector.
 *
 * Does     For trace functions: `p` is any value; what does not point into an
 *          object of the heap is ignored.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  the one that called the trace function, within it.
 * Cost     a test and a mark.
 * Since    0.1
 */
ALM_API void alm_visit(struct alm_visitor *v, const void *p);

/* alm_root_add -- declare memory a root.
 *
 * Does     Every aligned word in [start, start + bytes) may hold a pointer.
 *          The memory must stay readable until alm_root_remove.
 * Units    bytes
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: start is NULL or not aligned to 8. ALM_ENOMEM.
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API enum alm_err alm_root_add(struct alm_heap *heap, const void *start,
                                  size_t bytes);

/* alm_root_remove -- end what alm_root_add began.
 *
 * Does     The range must be one that was added.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: no such range.
 * Threads  any; waits while the heap is being collected.
 * Cost     a lock; proportional to the number of ranges.
 * Since    0.1
 */
ALM_API enum alm_err alm_root_remove(struct alm_heap *heap, const void *start);

/* alm_root_callback_add -- let a function report roots.
 *
 * Does     `trace` is called once in each collection.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: trace is NULL. ALM_ENOMEM.
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API enum alm_err alm_root_callback_add(struct alm_heap *heap,
                                           alm_root_trace trace, void *arg);

/* alm_stack_add -- declare a coroutine's stack a root.
 *
 * Does     Registers [low, low + bytes), which threads of the heap will run
 *          on in turn. While none does, it is scanned from the pointer saved
 *          when it was left; at first nothing of it is.
 * Units    bytes
 * Returns  ALM_OK and *out; else *out is untouched.
 * Errors   ALM_EINVAL: low or out is NULL, bytes is 0, or the end overflows.
 *          ALM_ENOMEM.
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API enum alm_err alm_stack_add(struct alm_heap *heap, void *low,
                                   size_t bytes, struct alm_stack **out);

/* alm_stack_remove -- the stack is no root any more.
 *
 * Does     Ends alm_stack_add. The memory stays the caller's.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EBUSY: a thread runs on it. ALM_EINVAL: NULL, or of another
 *          heap.
 * Threads  any; waits while the heap is being collected.
 * Cost     a lock; proportional to the mutators.
 * Since    0.1
 */
ALM_API enum alm_err alm_stack_remove(struct alm_heap *heap,
                                      struct alm_stack *stack);

/* alm_stack_switch -- the thread is about to leave its stack for another.
 *
 * Does     Saves the registers that a callee keeps and the stack pointer as
 *          those of the stack the thread runs on, and makes `to` (NULL: the
 *          thread's own) the one it runs on. To be called right before
 *          swapcontext or the like, by the function that calls that. Where a
 *          switch in assembler does the first half, see struct alm_stack_head
 *          and alm_stack_enter_inline in almacen_inline.h: then it is one
 *          store.
 * Units    none
 * Returns  nothing
 * Errors   a stack of another heap is reported.
 * Threads  any thread, with its own mutator; a stack may go from one thread to
 *          another.
 * Cost     some stores.
 * Since    0.1
 */
ALM_API void alm_stack_switch(struct alm_mutator *m, struct alm_stack *to);

/* alm_displacement_add -- let tagged or shifted pointers keep objects.
 *
 * Does     From now on a pointer to byte number `bytes` of an object (the
 *          first is 0) keeps it as one to its first byte does, in heaps made
 *          with base_pointers_only; the others accept every byte anyway. Call
 *          it before an object is reachable in that way only. There is no way
 *          back.
 * Units    bytes
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: bytes is above 4,095.
 * Threads  any
 * Cost     an atomic or; while marking, a test for each such pointer.
 * Since    0.1
 * Source   libgc's GC_register_displacement.
 */
ALM_API enum alm_err alm_displacement_add(struct alm_heap *heap, size_t bytes);

/* alm_handle_create -- keep an object alive from anywhere.
 *
 * Does     A handle is a root of one word, for pointers in memory the
 *          collector does not see.
 * Units    none
 * Returns  the handle; NULL when memory is out.
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock; constant.
 * Since    0.1
 */
ALM_API struct alm_handle *alm_handle_create(struct alm_mutator *m,
                                             void *object);

/* alm_handle_get -- the object of a handle.
 *
 * Does     Reads it.
 * Units    none
 * Returns  the object or NULL, as last set.
 * Errors   none
 * Threads  any attached
 * Cost     a load.
 * Since    0.1
 */
ALM_API void *alm_handle_get(const struct alm_handle *handle);

/* alm_handle_set -- put another object into a handle.
 *
 * Does     Replaces it; NULL is allowed.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any attached; not two at once.
 * Cost     a store.
 * Since    0.1
 */
ALM_API void alm_handle_set(struct alm_handle *handle, void *object);

/* alm_handle_release -- give a handle up.
 *
 * Does     The object is no longer kept by it; the handle must not be used
 *          again.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_handle_release(struct alm_heap *heap,
                                struct alm_handle *handle);

/* alm_weak_create -- refer to an object without keeping it.
 *
 * Does     The reference is cleared when the object is found unreachable,
 *          before finalizers run; a long one (`is_long`) when its memory
 *          goes, after finalizers.
 * Units    none
 * Returns  the reference; NULL when memory is out, or object is not the start
 *          of an object, or is packed (see alm_new_bytes).
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock; constant.
 * Since    0.1
 * Source   Go weak.Pointer.
 */
ALM_API struct alm_weak *alm_weak_create(struct alm_mutator *m, void *object,
                                         bool is_long);

/* alm_weak_get -- the object of a weak reference, if it is alive.
 *
 * Does     The result keeps the object alive as any pointer does.
 * Units    none
 * Returns  the object; NULL when it is gone.
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a load.
 * Since    0.1
 */
ALM_API void *alm_weak_get(struct alm_mutator *m, struct alm_weak *weak);

/* alm_weak_release -- give a weak reference up.
 *
 * Does     It must not be used again.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_weak_release(struct alm_mutator *m, struct alm_weak *weak);

/* alm_cleanup_add -- call a function after an object is gone.
 *
 * Does     When the object has been found unreachable, and its memory is no
 *          longer there, `fn(NULL, arg)` is queued. The function cannot bring
 *          the object back; if `arg` reaches it, it is never gone. Several
 *          per object are allowed.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: not the start of an object, or fn is NULL. ALM_EPACKED:
 *          see alm_new_bytes. ALM_ENOMEM.
 * Threads  any thread, with its own mutator.
 * Cost     a lock; constant.
 * Since    0.1
 * Source   Go runtime.AddCleanup.
 */
ALM_API enum alm_err alm_cleanup_add(struct alm_mutator *m, void *object,
                                     alm_finalizer fn, void *arg);

/* alm_finalizer_set -- call a function with an object that is about to go.
 *
 * Does     When the object is found unreachable, `fn(object, arg)` is queued,
 *          once, and the object with all it reaches lives until it has run;
 *          it may bring the object back. One per object; fn NULL removes it.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_EINVAL: not the start of an object. ALM_EPACKED: see
 *          alm_new_bytes. ALM_ENOMEM.
 * Threads  any thread, with its own mutator.
 * Cost     a lock; constant.
 * Since    0.1
 * Source   Go runtime.SetFinalizer.
 */
ALM_API enum alm_err alm_finalizer_set(struct alm_mutator *m, void *object,
                                       alm_finalizer fn, void *arg);

/* alm_finalizers_run -- run queued finalizers and cleanups.
 *
 * Does     Takes at most `most` (0: all) from the queue, oldest first, and
 *          calls them in this thread. With the option finalizer_thread a
 *          thread of the heap does so after each collection that has queued
 *          some: attached (alm_mutator_self), one after the other, with all
 *          signals blocked; the functions may do what any thread may, but
 *          neither detach nor end the thread. Without it, nothing of ours
 *          calls them elsewhere.
 * Units    none
 * Returns  how many were called.
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     that of the functions.
 * Since    0.1
 */
ALM_API size_t alm_finalizers_run(struct alm_mutator *m, size_t most);

/* alm_ephemeron_create -- a value that lives as long as its key.
 *
 * Does     The value is kept alive if the key is reachable from elsewhere and
 *          the ephemeron was not released; it does not keep the key.
 * Units    none
 * Returns  the ephemeron; NULL when memory is out, or key is not the start of
 *          an object, or is packed (see alm_new_bytes).
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock; constant.
 * Since    0.1
 * Source   B. Hayes, "Ephemerons", OOPSLA 1997.
 */
ALM_API struct alm_ephemeron *alm_ephemeron_create(struct alm_mutator *m,
                                                   void *key, void *value);

/* alm_ephemeron_get -- the value of an ephemeron.
 *
 * Does     Reads it.
 * Units    none
 * Returns  the value; NULL when the key is gone.
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a load.
 * Since    0.1
 */
ALM_API void *alm_ephemeron_get(struct alm_mutator *m, struct alm_ephemeron *e);

/* alm_ephemeron_release -- give an ephemeron up.
 *
 * Does     It must not be used again.
 * Units    none
 * Returns  nothing
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_ephemeron_release(struct alm_mutator *m,
                                   struct alm_ephemeron *e);

/* alm_collect -- collect garbage now.
 *
 * Does     A whole collection; what is not reachable when it starts is gone
 *          for alm_weak_get and queued for finalizers when it returns. Memory
 *          is swept as it is needed, see alm_sweep. Collections also begin by
 *          themselves: when the goal is reached, and when the period is over
 *          (the thread that then comes to a slow path of allocation or, if the
 *          library's background thread runs, to a safepoint; if all are in
 *          blocked regions or none is attached, the background thread, which
 *          then calls trace functions on a stack of 256 KiB).
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_ESTATE: called from a callback of a collection.
 * Threads  any thread, with its own mutator.
 * Cost     proportional to what is alive; stops all threads of the heap.
 * Since    0.1
 */
ALM_API enum alm_err alm_collect(struct alm_mutator *m);

/* alm_sweep -- sweep everything now.
 *
 * Does     Gives all memory of unreachable objects back to the page heap as
 *          far as whole spans are empty.
 * Units    none
 * Returns  ALM_OK; else nothing has changed.
 * Errors   ALM_ESTATE: called from a callback of a collection.
 * Threads  any thread, with its own mutator.
 * Cost     proportional to the spans of the heap.
 * Since    0.1
 */
ALM_API enum alm_err alm_sweep(struct alm_mutator *m);

/* The account of a heap. Bytes and nanoseconds; counters but where it says
 * gauge. */
struct alm_heap_stats {
  uint64_t collections;
  uint64_t pause_ns; /* of all collections                            */
  uint64_t pause_ns_max;
  uint64_t pause_ns_last;
  uint64_t live_bytes;   /* gauge: marked by the last collection          */
  uint64_t live_objects; /* gauge: the same; a packed block counts once   */
  uint64_t goal_bytes;   /* gauge: the next collection comes here         */
  uint64_t heap_bytes;   /* gauge: spans of the heap                      */
  uint64_t heap_bytes_max;
  uint64_t alloc_bytes; /* claimed by mutators; freed ones not deducted  */
  uint64_t mutators;    /* gauge                                         */
  uint64_t finalizers_queued; /* gauge: waiting for alm_finalizers_run      */
  uint64_t unswept_bytes;     /* gauge: spans that the last collection left  */
};

/* alm_heap_stats_read -- read the account of a heap.
 *
 * Does     Copies the numbers.
 * Units    as in struct alm_heap_stats
 * Returns  nothing
 * Errors   none
 * Threads  any
 * Cost     a lock.
 * Since    0.1
 */
ALM_API void alm_heap_stats_read(struct alm_heap *heap,
                                 struct alm_heap_stats *out);

/* alm_heap_check -- check every structure of a heap.
 *
 * Does     Stops the heap, walks all spans, bitmaps and lists. Broken state
 *          ends the program with a message.
 * Units    none
 * Returns  true
 * Errors   none
 * Threads  any thread, with its own mutator.
 * Cost     proportional to the heap.
 * Since    0.1
 */
ALM_API bool alm_heap_check(struct alm_mutator *m);

#ifdef __cplusplus
}
#endif
#endif
