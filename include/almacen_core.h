/* almacen_core.h -- the library as a face in another shared object sees it.
 *
 * WHAT    libalmacen-gc.so speaks libgc's language; a process may have
 *         libalmacen-malloc.so as well, and both must stand on one page heap.
 *         So what such a face needs of the core is a table of functions, and
 *         what the core needs of the face is another. The malloc face and the
 *         library export their table as `alm_core`; libalmacen-gc.so refers to
 *         that name weakly, uses what the dynamic linker has found, in
 *         whatever order the objects were loaded, and else its own copy.
 *         malloc's fast path knows nothing of it; a collected object's fast
 *         path is a mutator's run (almacen_inline.h), whosever core it is.
 * VERSION Both sides are built from the same source: `bytes` and `version`
 *         are compared, and a core that differs is not used. For faces of this
 *         project; programs use almacen.h.
 * SOURCE  The shapes follow bdwgc 8.2's documented interface: descriptors,
 *         mark procedures, kinds.
 */
#ifndef ALMACEN_CORE_H
#define ALMACEN_CORE_H

#include "almacen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The one that collects, while the world is stopped. */
struct alm_marker;

/* As alm_trace, with the argument that the layout was made with. */
typedef void (*alm_core_trace)(void *arg, void *object, size_t bytes,
                               struct alm_visitor *v);

/* How a face takes part in the collections of its heap. All of them are called
 * by the thread that collects, without locks of the core's, but for
 * `detached`. `arg` is the face's. */
struct alm_face {
  /* Before a collection; false: not now. After true, `unlock` follows. The
   * world runs, and the thread can wait for no other thread of the heap. */
  bool (*try_lock)(void *arg);
  void (*unlock)(void *arg);
  /* Call run(what) with the dynamic linker's list of objects held as it is. The
   * world runs at both ends of the call, and is stopped within. */
  void (*hold_objects)(void *arg, void (*run)(void *what), void *what);
  /* The world is about to stop, is stopped, is about to run, runs. */
  void (*before_stop)(void *arg);
  void (*stopped)(void *arg);
  void (*before_start)(void *arg);
  void (*started)(void *arg);
  /* World stopped: report roots. May be called twice in a collection. */
  void (*mark_roots)(void *arg, struct alm_marker *m);
  /* World stopped, all that the roots reach is marked: finalizers, links. */
  void (*decide)(void *arg, struct alm_marker *m);
  /* World stopped, marking is over. */
  void (*marked)(void *arg);
  /* The mutator is no longer attached. It was the calling thread's; or its
   * thread has ended, and the world is stopped. */
  void (*detached)(void *arg, struct alm_mutator *m);
  void *arg;
};

/* What an address belongs to. */
struct alm_core_object {
  char *base;         /* the first byte                                   */
  size_t bytes;       /* usable from there on                             */
  size_t slot_bytes;  /* that it takes of the heap                        */
  enum alm_kind kind; /* ALM_TRACED: reported by a alm_core_trace         */
  bool is_root;
  bool is_swept; /* since the last collection: in use means found or made */
  void *arg;     /* of its layout                                    */
};

/* Numbers that alm_heap_stats does not have. */
struct alm_core_stats {
  uint64_t since_bytes;      /* allocated since the last collection */
  uint64_t deleted_bytes;    /* by `del` since then                 */
  uint64_t mapped_bytes_max; /* in use or free, the most there was */
  unsigned markers;
};

/* One core. Each function says on which threads it may be called, else: any.
 * `own`: the thread whose mutator it is. */
struct alm_core_table {
  size_t bytes;        /* sizeof(struct alm_core_table) */
  const char *version; /* ALM_VERSION             */

  /* Heaps and threads. A heap with a face is uncooperative, and takes its stop
   * signal whatever the program does with it. */
  enum alm_err (*heap_create)(const struct alm_heap_options *options,
                              const struct alm_face *face,
                              struct alm_heap **out);
  enum alm_err (*attach)(struct alm_heap *heap, struct alm_mutator **out);
  void (*detach)(struct alm_mutator *m); /* own */
  /* The mutator's stack is [low, high) from now on; low 0: whatever lies below
   * high. */
  void (*set_stack)(struct alm_mutator *m, void *low, void *high);
  void (*get_stack)(const struct alm_mutator *m, void **low, void **high);
  /* See alm_blocked_begin; both do nothing when it is so already, and the first
   * says whether it did something. */
  bool (*blocked_begin)(struct alm_mutator *m, const void *top); /* own */
  void (*blocked_end)(struct alm_mutator *m);                    /* own */
  /* Where the stopped thread's stack pointer is. */
  void *(*stopped_at)(const struct alm_mutator *m);
  /* Between the two the thread is not stopped. They nest. */
  void (*section_begin)(void);
  void (*section_end)(struct alm_mutator *m); /* own; NULL: no mutator */
  bool (*in_section)(void);

  /* Objects. Layouts for all sizes of a kind: index + size class is that of a
   * mutator's run. Those of no trace function and no root exist already; of the
   * others 0 means that there are too many. */
  uint32_t (*layouts)(struct alm_heap *heap, enum alm_kind kind,
                      alm_core_trace trace, void *arg, bool is_root);
  /* The size class for so many bytes, to 32 KiB, and what a slot has. */
  unsigned (*size_class)(size_t bytes, uint32_t *slot_bytes);
  /* An object of a layout (sizes to 32 KiB) or of a layout's kind (more). Zeroed
   * but for ALM_NOSCAN ones and, unless `is_zero`, large ones. NULL: no memory.
   * Own. */
  void *(*take)(struct alm_mutator *m, uint32_t index);
  /* The layout's run is used up: the next one, if it is at hand and nothing else
   * is due. False: `take` must be asked. Own. */
  bool (*next_run)(struct alm_mutator *m, uint32_t index);
  void *(*take_large)(struct alm_mutator *m, uint32_t layouts, size_t bytes,
                      bool is_zero);
  /* Does p point into an object in use? */
  bool (*find)(struct alm_heap *heap, const void *p,
               struct alm_core_object *out);
  /* The large object that begins at p gets `bytes` where it is. False: it
   * cannot. */
  bool (*grow_large)(struct alm_heap *heap, void *p, size_t bytes,
                     bool is_zero);
  /* Free the object that begins at p. The mutator is the calling thread's, or
   * NULL. */
  void (*del)(struct alm_heap *heap, struct alm_mutator *m, void *p);

  /* Collections. */
  enum alm_err (*collect)(struct alm_mutator *m); /* own; ALM_EBUSY: another */
  void (*sweep)(struct alm_mutator *m);           /* own */
  void (*set_limit)(struct alm_heap *heap, uint64_t bytes);
  void (*set_percent)(struct alm_heap *heap, unsigned percent);
  /* Of options, and for conservative objects as well. */
  void (*set_base_only)(struct alm_heap *heap, bool is_base_only);
  /* The goal is at least so much from now on. */
  void (*set_first)(struct alm_heap *heap, uint64_t bytes);
  void (*add_displacement)(struct alm_heap *heap, size_t bytes);
  bool (*is_displacement)(struct alm_heap *heap, size_t bytes);
  /* Stop and start the heap without a collection. Own. False: another thread
   * is at it. `seen` of world_visit: every object in use; world stopped. */
  bool (*world_stop)(struct alm_mutator *m);
  void (*world_start)(struct alm_mutator *m);
  void (*world_visit)(struct alm_heap *heap,
                      void (*seen)(const struct alm_core_object *o, void *arg),
                      void *arg);
  void (*stats)(struct alm_heap *heap, struct alm_heap_stats *out,
                struct alm_core_stats *more);
  /* Keep at most so many bytes of free pages. */
  size_t (*release)(size_t keep);

  /* While marking: words of memory; what an object refers to; all that was
   * found until now. An alm_core_trace's visitor is its marker. `is_base_only`:
   * pointers to first bytes and displacements count. */
  void (*mark_range)(struct alm_marker *m, const void *from, size_t bytes,
                     bool is_base_only);
  void (*mark_contents)(struct alm_marker *m, void *object);
  void (*mark_drain)(struct alm_marker *m);
  /* Mark bits, of an object's first byte. World stopped. */
  bool (*is_marked)(const void *object);
  void (*set_mark)(const void *object, bool is_marked);

  /* From the core's own pools, zeroed; NULL: no memory. */
  void *(*meta_alloc)(size_t bytes);
  void (*meta_free)(void *p, size_t bytes);
};

/* See above. */
extern ALM_API const struct alm_core_table alm_core;

#ifdef __cplusplus
}
#endif
#endif
