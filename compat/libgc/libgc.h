/* compat/libgc/libgc.h -- what the modules of the libgc face share.
 *
 * WHAT    bdwgc's interface (gc.h 8.2) on one uncooperative heap of the core:
 *         the state of the face, a thread's record, and the calls between the
 *         modules. One translation unit: compat/libgc_all.c.
 * HOW     The *allocation lock* is a mutex that a collection holds from before
 *         the world stops until it runs again, so whoever holds it is never
 *         stopped, and nobody else waits for it in a way that a signal could
 *         not interrupt: a collector that does not get it at once gives up.
 *         The collector calls us by struct alm_face; what is called then may
 *         not allocate. A holder that locks again is let through, so that the
 *         client's callbacks may call what locks.
 * LOCKS   gc.lock guards everything here without a remark of its own. It is
 *         taken before all locks of the core.
 * INVARIANTS
 *   [libgc.1] gc_self is NULL or an attached mutator's record of the calling
 *             thread, and gc_runs its runs; without one, or while it is
 *             blocking, gc_runs is gc_no_runs, whose runs are all empty.
 *   [libgc.2] A thread that holds gc.lock does not allocate from the heap.
 */
#ifndef LIBGC_H
#define LIBGC_H

#include "almacen.h"
#include "almacen_core.h"
#include "almacen_inline.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef GC_THREADS
#define GC_THREADS 1
#endif
#define GC_NO_THREAD_REDIRECTS 1
#define GC_ATTR_DEPRECATED /* we are who must not call them so */
#define GC_REQUIRE_WCSDUP 1
#pragma GCC visibility push(default)
#include <gc/gc.h>
#include <gc/gc_disclaim.h>
#include <gc/gc_gcj.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>
#include <gc/javaxfc.h>
#pragma GCC visibility pop

#define GC_LIKELY(x) __builtin_expect(!!(x), 1)
#define GC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GC_COLD __attribute__((noinline, cold))
/* As ALM_HOT. */
#define GC_HOT __attribute__((hot))

/* libgc's object kinds; further ones are the client's. */
enum {
  KIND_ATOMIC,
  KIND_NORMAL,
  KIND_UNCOLLECTABLE,
  KIND_ATOMIC_UNCOLLECTABLE,
  KIND_TYPED,     /* the last word of the slot is a descriptor */
  KIND_TYPED_ROW, /* an array of such                          */
  KIND_FINALIZED, /* see GC_finalized_malloc                   */
  KIND_GCJ,
  KIND_GCJ_DEBUG,
  KINDS_OWN,
  KINDS_MAX = 24
};

/* Those of the core are compared with its own in libgc_all.c. */
enum {
  GRANULE = 16,
  OS_PAGE = 4096, /* mincore's  */
  PAGE = 8192,    /* the core's */
  SMALL_MAX = 32768,
  DISPLACEMENT_MAX = 4095,
  STEPS = SMALL_MAX / GRANULE + 1,
  RUNS_MAX = 4096,
  NO_LAYOUTS = RUNS_MAX - 128, /* whose runs are always empty */
  MARK_PROCS = GC_MAX_MARK_PROCS
};

/* How objects of so many granules are allocated. */
struct gc_step {
  uint16_t class;
  uint16_t granules; /* of a slot */
};

struct gc_kind {
  uint32_t layouts;          /* NO_LAYOUTS: not made yet                  */
  GC_descr descr;            /* of client's kinds                         */
  bool adds_size;            /* to the descriptor                         */
  bool is_used;              /* by GC_new_kind, or of our own             */
  GC_disclaim_proc disclaim; /* NULL: none                                */
  bool disclaim_marks;       /* what all its objects refer to, beforehand */
  GC_describe_type_fn describe;
};

/* What a thread that is to be suspended does. */
enum { PARKED_NOT, PARKED, PARKED_CALLED /* to go on */, PARKED_GONE };

/* A registered thread. */
struct gc_thread {
  struct gc_thread *next;
  struct gc_thread *prev;
  struct alm_mutator *mutator;
  pthread_t id;
  const char *thread_pointer; /* where its static TLS is found from         */
  void *altstack_low;         /* see GC_register_altstack                   */
  void *altstack_high;
  void *stack_low; /* what lies below the alternative one                   */
  void *stack_high;
  void *bottom;        /* GC_stackbottom as last seen, if that is its thread */
  bool is_blocking;    /* in GC_do_blocking, and not active again            */
  bool is_explicit;    /* registered by a call, not by its first use         */
  bool is_main;        /* whose stack GC_stackbottom is about                */
  uint32_t finalizing; /* calls of the queue that it is amid               */
  uint32_t postponed;  /* further ones, since the last                     */
  bool is_suspended;   /* by GC_suspend_thread; relaxed                      */
  uint32_t parked;     /* has it stopped for that? futex, acquire, release   */
};

struct gc_state {
  const struct alm_core_table *core; /* constant once started               */
  struct alm_heap *heap;             /* likewise                            */
  pthread_mutex_t lock;
  bool is_started;      /* release by who started; acquire                   */
  uint32_t extra;       /* bytes added to each object: 1 or 0                */
  bool is_base_only;    /* !GC_all_interior_pointers                         */
  pthread_t holder;     /* of the lock, while is_held; relaxed               */
  bool is_held;         /* release, acquire: a thread asks about itself      */
  int cancel_state;     /* that the holder has otherwise                     */
  unsigned depth;       /* times that its holder has taken it again          */
  bool is_collecting;   /* its holder; relaxed                               */
  bool is_main_forking; /* the process's first thread is who forks         */
  struct gc_kind kinds[KINDS_MAX]; /* near the rest: the steps take pages    */
  struct gc_step steps[STEPS];
  struct gc_thread threads; /* ring */
};

extern struct gc_state gc __attribute__((visibility("hidden")));
extern __thread struct gc_thread *gc_self
    __attribute__((visibility("hidden"), tls_model("initial-exec")));
extern __thread struct alm_run *gc_runs
    __attribute__((visibility("hidden"), tls_model("initial-exec")));
extern struct alm_run gc_no_runs[RUNS_MAX]
    __attribute__((visibility("hidden")));

#define GC_INTERNAL __attribute__((visibility("hidden")))

/* Of an object of n bytes, n <= SMALL_MAX: the step, and what it takes. */
static inline struct gc_step gc_step_of(size_t n) {
  return gc.steps[(n + GRANULE - 1) / GRANULE];
}
static inline size_t gc_slot_bytes(size_t n) {
  return (size_t)gc_step_of(n).granules * GRANULE;
}

/* ---- start.c ------------------------------------------------------------- */

/* The core in this object. */
extern const struct alm_core_table gc_own_core;

/* The heap exists after it. May be called by any thread, at any time. */
GC_INTERNAL void gc_start(void);
/* The same, and the calling thread is registered, and not blocking. False: it
 * cannot be. */
GC_INTERNAL bool gc_enter(void);
GC_INTERNAL void gc_lock(void);
GC_INTERNAL void gc_unlock(void);
/* Has the calling thread taken it? */
GC_INTERNAL bool gc_is_holder(void);
/* A number from an environment variable of libgc's, K M G allowed. False:
 * it is not set, or is none. */
GC_INTERNAL bool gc_env_number(const char *name, uint64_t *out);
GC_INTERNAL bool gc_env_flag(const char *name);
/* Say that memory is out, the client's way; what GC_malloc is to return. */
GC_INTERNAL void *gc_out_of_memory(size_t bytes);
/* By the warn procedure; `format` has one %ld at most, or %p. */
GC_INTERNAL void gc_warn(const char *format, GC_word arg);
/* By the abort function; does not return. */
GC_INTERNAL void gc_fail(const char *message) __attribute__((noreturn));
/* What the client should see: to standard error, or GC_LOG_FILE. */
GC_INTERNAL void gc_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/* To standard error, GC_LOG_FILE or GC_set_log_fd: how it goes. */
GC_INTERNAL void gc_log(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/* To standard output, or GC_LOG_FILE: what was asked for. */
GC_INTERNAL void gc_show(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* ---- alloc.c ------------------------------------------------------------- */

/* At least `bytes` (the extra one is added here) of a kind, zeroed unless
 * atomic; NULL or what the oom function says. */
GC_INTERNAL void *gc_alloc(unsigned kind, size_t bytes);
/* What p points into. False: no object in use. */
GC_INTERNAL bool gc_find(const void *p, struct alm_core_object *out);
GC_INTERNAL unsigned gc_kind_of(const struct alm_core_object *o);

/* ---- kinds.c ------------------------------------------------------------- */

/* Make the kind's layouts. False: too many. */
GC_INTERNAL bool gc_kind_ready(unsigned kind);
GC_INTERNAL void gc_kinds_start(void);
/* The marker that the calling thread reports to, while it is called back. */
GC_INTERNAL struct alm_marker *gc_marker_set(struct alm_marker *m);
GC_INTERNAL void gc_kinds_disclaim(struct alm_marker *m);

/* ---- table.c ------------------------------------------------------------- */

/* How a record in a table begins. */
struct gc_entry {
  struct gc_entry *next;
  void *key;
};

struct gc_table {
  struct gc_entry **chains; /* NULL: nothing was ever inserted */
  size_t nchains;           /* a power of two                  */
  size_t count;
};

/* Where the pointer to the first record with that key is, or the end of its
 * chain; NULL: there are no chains. */
GC_INTERNAL struct gc_entry **gc_table_find(const struct gc_table *t,
                                            const void *key);
/* The same from `at` on. */
GC_INTERNAL struct gc_entry **gc_chain_find(struct gc_entry **at,
                                            const void *key);
/* Before an insertion. Without memory for more chains they get longer; false:
 * there are none at all. */
GC_INTERNAL bool gc_table_has_room(struct gc_table *t);
GC_INTERNAL void gc_table_insert(struct gc_table *t, struct gc_entry *e);
/* Remove the record at `at`; it is the caller's. */
GC_INTERNAL struct gc_entry *gc_table_take(struct gc_table *t,
                                           struct gc_entry **at);
/* A full array of `room` elements, NULL for none yet, moved to where there is
 * room for more. NULL: no memory; nothing has changed. */
GC_INTERNAL void *gc_grown(void *array, size_t *room, size_t element_bytes);

/* ---- finalize.c ---------------------------------------------------------- */

GC_INTERNAL void gc_finalizers_mark(struct alm_marker *m);
GC_INTERNAL void gc_finalizers_report(void *arg, struct alm_marker *m);
/* After a collection, and now and then when allocating: call or notify, by
 * whatever the client has chosen. No lock held. */
GC_INTERNAL void gc_finalizers_offer(void);
/* Is anything to be offered? Racy, a hint. */
GC_INTERNAL bool gc_finalizers_wait(void);
/* The object is freed explicitly. */
GC_INTERNAL void gc_finalizers_forget(void *object);

/* ---- links.c ------------------------------------------------------------- */

GC_INTERNAL void gc_links_clear(bool is_long);
GC_INTERNAL void gc_links_show(void);
GC_INTERNAL void gc_toggles_before(void);
GC_INTERNAL void gc_toggles_mark(struct alm_marker *m);
GC_INTERNAL void gc_toggles_clear(void);

/* ---- roots.c ------------------------------------------------------------- */

GC_INTERNAL void gc_roots_hold(void *arg, void (*run)(void *what), void *what);
GC_INTERNAL void gc_roots_report(void *arg, struct alm_marker *m);
/* Is it in a range of GC_add_roots? */
GC_INTERNAL bool gc_roots_include(const void *p);

/* ---- threads.c ----------------------------------------------------------- */

/* Is the caller the thread that GC_stackbottom is about? */
GC_INTERNAL bool gc_thread_is_main(void);
/* The calling thread's GC_do_blocking is over, or was left by pthread_exit or
 * longjmp: it uses the heap. */
GC_INTERNAL void gc_thread_unblock(void);
GC_INTERNAL bool gc_thread_register(bool is_explicit, void *stack_base);
GC_INTERNAL void gc_thread_detached(void *arg, struct alm_mutator *m);
/* What the core does not know of stacks. World stopped. */
GC_INTERNAL void gc_threads_mark(struct alm_marker *m);
/* The client has written to GC_stackbottom. World stopped. */
GC_INTERNAL void gc_threads_see_bottom(void);
/* Call fn for each thread; gc.lock is held. */
GC_INTERNAL void gc_threads_tell(GC_on_thread_event_proc fn,
                                 GC_EventType event);
GC_INTERNAL void gc_threads_fork_child(void);

/* ---- control.c ----------------------------------------------------------- */

GC_INTERNAL void gc_control_start(void);
GC_INTERNAL bool gc_control_may_collect(void);
/* A large object was made: tell the client of the heap's size if it has
 * grown. */
GC_INTERNAL void gc_control_see_size(void);
/* Events of a collection, in its order. */
GC_INTERNAL void gc_control_before_stop(void *arg);
GC_INTERNAL void gc_control_stopped(void *arg);
GC_INTERNAL void gc_control_marked(void *arg);
/* World stopped: find what nobody has freed, see GC_find_leak. */
GC_INTERNAL void gc_control_find_leaks(struct alm_marker *m);
GC_INTERNAL void gc_control_before_start(void *arg);
GC_INTERNAL void gc_control_started(void *arg);

/* ---- debug.c ------------------------------------------------------------- */

/* World stopped: look for objects that were written beyond. */
GC_INTERNAL void gc_debug_check_all(void);
/* The world runs: say so. */
GC_INTERNAL void gc_debug_report(void);
/* An object nobody has freed. */
GC_INTERNAL void gc_debug_say_leaked(void *object, size_t bytes, unsigned kind);

#endif
