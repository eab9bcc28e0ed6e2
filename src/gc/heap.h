/* gc/heap.h -- the records of a collected heap, and how an address becomes an
 * object.
 *
 * WHAT    struct alm_heap with its layouts (what spans hold), types, and
 *         mutators; struct collected, the span record with what the collector
 *         needs; heap_find.
 * HOW     A *layout* is what all objects of a span have in common: size class
 *         and kind, and for objects of a fixed type the type itself. So an
 *         object of a fixed type has no header, and nothing is written for it
 *         when it is allocated. Arrays of a type share layouts by size class
 *         and begin with a word that holds the type; large objects have the
 *         type in their span's record.
 * INVARIANTS
 *   [heap.1] A collected span is in its layout's list `all`, or in `large`,
 *            while it is published, but for the moments between the two.
 *   [heap.2] sweepgen of a span: equal to the heap's: swept, its free bits
 *            are true; one less: its mark bits say what is alive.
 *   [heap.3] A swept span of which slots are free is owned by one mutator or
 *            in its layout's list `partial`, or in a sweeper's hands.
 *   [heap.4] While the world is stopped nobody owns a span, and, but for
 *            uncooperative heaps, all runs are empty and no block is packed
 *            into.                                checked: heap_check_stopped
 * LOCKS   RANK_HEAP, one per heap: lists, layouts, roots, specials, mutators.
 *         Held for list work, not while a span is swept, zeroed or taken from
 *         the page heap. Fields without a remark are constant.
 * SOURCE  Go mheap.go, mcentral.go (sweepgen). Differs: spans per type.
 */
#ifndef ALM_GC_HEAP_H
#define ALM_GC_HEAP_H

#include "almacen.h"
#include "almacen_inline.h"
#include "almacen_core.h"
#include "base/list.h"
#include "mem/marks.h"
#include "mem/span.h"
#include "os/lock.h"
#include "stack.h"

/* Layouts of bytes by class, of arrays by class, of blocks that tiny objects
 * share, then one for each type. */
enum {
  LAYOUT_NOSCAN = 0,
  LAYOUT_CONSERVATIVE = LAYOUT_NOSCAN + SIZECLASS_COUNT,
  LAYOUT_ARRAY = LAYOUT_CONSERVATIVE + SIZECLASS_COUNT,
  LAYOUT_TINY = LAYOUT_ARRAY + SIZECLASS_COUNT,
  LAYOUT_TYPES,
  LAYOUT_COUNT = 4096
};

/* How far behind an object's start a pointer can be registered to lie. */
enum { DISPLACEMENTS = 4096 };

enum { TYPE_WORDS_MAX = SMALL_BYTES_MAX / 8 / 64, TYPE_NAME_BYTES = 32 };

/* Bytes before the object in an array's slot. */
enum { ARRAY_HEADER_BYTES = 8 };

/* A slot of LAYOUT_TINY: Go's maxTinySize. In larger ones less room is left
 * over, and one object keeps more neighbours. */
enum { TINY_BLOCK_BYTES = 16 };

struct alm_type {
  struct alm_type_head head;
  uint32_t bytes;  /* of an object                                       */
  uint32_t stride; /* bytes rounded up to 8                              */
  uint32_t nmask;  /* words of mask                                      */
  enum alm_kind kind;
  alm_trace trace;
  alm_core_trace core_trace; /* instead of trace, with core_arg            */
  void *core_arg;
  struct alm_heap *heap;
  char name[TYPE_NAME_BYTES];
  uint64_t mask[TYPE_WORDS_MAX];
};
STATIC_CHECK(offsetof(struct alm_type, head) == 0);

/* A run of a mutator is at most this long: what zeroing touches is used soon,
 * from the first cache. */
enum { GC_RUN_BYTES_MAX = ALM_TORTURE ? 64 : 8192 };

struct layout {
  struct list_node all;     /* struct collected; under the lock             */
  struct list_node partial; /* struct span; [heap.3]; under the lock        */
  struct list_node *sweep;  /* next of `all` to sweep, &all: none; lock     */
  const struct alm_type *type; /* of a fixed type or kind, else NULL        */
  uint32_t slot_bytes;
  uint32_t run_slots; /* a run has this many at most                         */
  uint8_t class;
  uint8_t kind;      /* enum alm_kind; arrays: ALM_TYPED                      */
  bool has_header;   /* ARRAY_HEADER_BYTES                                    */
  bool is_packed;    /* a slot holds several objects                          */
  bool may_be_dirty; /* slots are handed out as they are: libgc's face does not
                        promise that objects without pointers are zero       */
  bool is_root;      /* its objects live until they are freed                 */
  bool shares_type;  /* which the first layout of its kind owns              */
};

/* How markers find the pointers of a span's objects: there are none; all words;
 * the words of the type's mask, once; or as mark_scan_part finds out. The bit
 * SCAN_PAIR: the slots have two words, which Lisps are full of, and all are
 * scanned. */
enum scan { SCAN_NONE, SCAN_WORDS, SCAN_PAIR, SCAN_MASK = 4, SCAN_PARTS };

/* A span of a collected heap. */
struct collected {
  size_t object_bytes;         /* usable bytes of a slot or large object    */
  struct alm_heap *heap;       /* relaxed: other heaps' markers may look at a
                                  record that is on its way out; not the first
                                  field, where free records are linked      */
  struct layout *layout;       /* NULL: large                               */
  const struct alm_type *type; /* fixed type, or large array of it; or NULL */
  struct list_node all;        /* [heap.1], or in heap->large               */
  uint32_t sweepgen;           /* [heap.2]; under the lock, or its sweeper:
                                  release, after the free bits; who looks
                                  without the lock: acquire                 */
  uint8_t kind;                /* enum alm_kind                             */
  uint8_t scan;                /* enum scan                                 */
  uint8_t header_bytes;
  bool is_root; /* as the layout's                                          */
  struct span span; /* last: its free bits follow */
};

ALM_INLINE struct collected *collected_of(struct span *s) {
  return (struct collected *)(void *)((char *)s -
                                      offsetof(struct collected, span));
}

/* What a mutator has of a layout beside its run. Its own thread, or whoever
 * has stopped the world. */
struct lease {
  struct collected *span; /* owned; NULL: none                             */
  uint64_t claimed;       /* slots of word claimed_word not yet in a run   */
  uint32_t claimed_word;
  uint32_t next_word;
  void *freed; /* slots the thread has freed, by their first words [local.3] */
  uint32_t nfreed;
};

/* Resting: its thread sleeps for the sake of another heap. Lost: its thread has
 * ended. */
enum mutator_state {
  MUTATOR_RUNNING = 1,
  MUTATOR_BLOCKED,
  MUTATOR_RESTING,
  MUTATOR_LOST,
  MUTATOR_DETACHED
};

struct alm_mutator {
  struct alm_mutator_head head;
  /* The block that tiny objects are packed into is free from tiny_at to
   * tiny_end; 0: no block. Own thread, or whoever has stopped the world. A
   * collection takes it away, because what is left of it would be handed out
   * without a mark; or it marks the block [local.2], by its end: the thread may
   * be between the stores of the two. */
  uintptr_t tiny_at;
  uintptr_t tiny_end;
  struct lease *leases; /* LAYOUT_COUNT                                  */
  struct alm_heap *heap;
  const void *thread;       /* identity of the owner, see world_thread       */
  uint32_t state;           /* enum mutator_state; under the lock            */
  uint32_t layouts_used;    /* indices below were ever used; own thread      */
  bool is_packing;          /* not in heaps of base pointers; own thread     */
  bool is_signalled;        /* since it last made sure of it; under the lock */
  uint32_t thread_id;       /* for its signal                                */
  uint64_t refills;         /* for collect_every; own thread                 */
  uint32_t unaccounted;     /* bytes of runs, not yet in the heap's `allocated`;
                           own thread; who has the heap's lock reads it    */
  struct alm_stack own;     /* the thread's stack                            */
  struct stack_state saved; /* its own, read when stopped                    */
  struct list_node link;    /* in the heap; under the lock                   */
  struct alm_mutator *next_of_thread; /* own thread                         */
};
STATIC_CHECK(offsetof(struct alm_mutator, head) == 0);

struct special_table;
struct finalizer;
struct marker;
struct roots_seen;

/* How far markers have taken the roots, see roots.h. */
enum root_phase {
  ROOTS_MUTATORS,
  ROOTS_STACKS,
  ROOTS_RANGES,
  ROOTS_HANDLES,
  ROOTS_DONE
};
struct root_cursor {
  uint32_t phase; /* enum root_phase; read by any, relaxed */
  struct list_node *at;
  size_t nth; /* shard of what lies there */
  struct roots_seen *seen;
};

struct alm_heap {
  struct lock lock;
  struct list_node heaps;        /* in the list of all; RANK_HEAPS            */
  struct list_node mutators;     /* under the lock                            */
  struct list_node large;        /* struct collected, swept or not; lock      */
  struct list_node *large_sweep; /* next to sweep, &large: none; lock       */
  struct layout *layouts;        /* LAYOUT_COUNT                              */
  uint32_t nlayouts;             /* used; grows under the lock                */
  uint32_t sweep_layout;         /* sweep_some's cursor; lock                 */
  uint32_t sweepgen;             /* changed with the world stopped; relaxed:
                                    who is no mutator                       */
  uint32_t stop_wanted;          /* futex; 1 while the world stops; lock      */
  uint32_t nbusy;                /* threads amid making or sweeping a span: a
                                  fork waits. Added to under the lock       */
  uint32_t nrunning;             /* futex; mutators not stopped, and guests;
                                  lock                                      */
  uint32_t nguests;              /* futex; threads in it that are no mutators,
                                  see world.h; lock                         */
  bool is_collecting;            /* under the lock                            */
  struct alm_heap_options options;
  int stop_signal;        /* 0: cooperative                            */
  uint64_t limit_bytes;   /* 0: none                                   */
  uint64_t allocated;     /* bytes since the last cycle; any, relaxed  */
  uint64_t deleted;       /* by alm_delete, and subtracted from there  */
  uint64_t published;     /* of both, in the process's account; lock   */
  uint64_t number;        /* 1: the first heap the process made ...    */
  uint64_t seen_bytes;    /* claimed, when the background thread last looked */
  uint64_t busy_ns;       /* when that had changed; the background thread's  */
  uint64_t goal;          /* see pacer.h; any, relaxed                 */
  uint64_t awaited;       /* bytes of the large object for whose sake it is
                             collected, else 0; any, relaxed           */
  uint64_t period_ns;     /* 0: never                                  */
  uint64_t collected_ns;  /* end of the last cycle, by the coarse clock; any,
                             relaxed                                         */
  uint64_t span_bytes;    /* under the lock                            */
  uint64_t sweep_pages;   /* that the last cycle left to sweep; changed
                                   with the world stopped                    */
  uint64_t unswept_pages; /* of them, in nobody's hands yet; changed under
                                   the lock, read by any, relaxed            */
  struct alm_heap_stats stats; /* under the lock                            */
  struct list_node roots;      /* struct root; under the lock               */
  struct list_node stacks;     /* of coroutines; under the lock             */
  struct root_cursor root_cursor;  /* under the lock                         */
  struct list_node handle_blocks;  /* under the lock                         */
  struct alm_handle *free_handles; /* under the lock                        */
  struct special_table *specials;  /* under the lock                         */
  struct finalizer *finalizer;     /* see finalizer.h; NULL: none          */
  struct mark_team *team; /* see mark.h; of whoever collects                */
  const struct alm_face *face; /* see almacen_core.h; NULL: none           */
  bool is_base_only; /* base_pointers_only, in conservative objects as well */
  /* Bit i: a pointer to byte i keeps an object of a base_pointers_only heap.
   * Only added to, by any thread, relaxed: who stores such a pointer has to
   * stop, under the lock, before a marker finds it. */
  uint64_t displacements[DISPLACEMENTS / 64];
};

/* Where an address lies. */
struct found {
  struct collected *c;
  uintptr_t slot; /* its first byte */
  uint32_t index;
};

/* The object's first byte, as its user knows it. */
ALM_INLINE uintptr_t found_object(const struct found *f) {
  return f->slot + f->c->header_bytes;
}

/* The heap's span around the page, which is below heap_map.npages. */
ALM_INLINE struct collected *heap_span_at(const struct alm_heap *h,
                                          size_t page) {
  struct span *s = arena_span(page);
  if (s == NULL || !atomic_load_relaxed(&s->is_collected)) {
    return NULL;
  }
  struct collected *c = collected_of(s);
  return atomic_load_relaxed(&c->heap) == h ? c : NULL;
}

/* The object in use around p, which lies in the span. */
ALM_INLINE bool heap_find_in_span(struct collected *c, uintptr_t p,
                                  struct found *f) {
  const struct span *s = &c->span;
  f->c = c;
  if (s->class == 0) {
    f->slot = s->base;
    f->index = 0;
    return s->nfree == 0;
  }
  f->index = sizeclass_slot(s->class, p - s->base);
  if (f->index >= s->nslots) {
    return false;
  }
  f->slot = span_slot_address(s, f->index);
  return !span_is_free(s, f->index);
}

/* Is p inside an object in use of the heap? Slots that a mutator has claimed
 * and not handed out count as in use, unless the world is stopped. Any value
 * of p. */
ALM_INLINE bool heap_find(const struct alm_heap *h, uintptr_t p,
                          struct found *f) {
  struct collected *c = arena_contains((const void *)p)
                            ? heap_span_at(h, arena_page_of((const void *)p))
                            : NULL;
  return c != NULL && heap_find_in_span(c, p, f);
}

/* The same, and p is the first byte of an object that has its slot for itself.
 * ALM_EINVAL, ALM_EPACKED: it is not. */
ALM_INLINE enum alm_err heap_find_start(const struct alm_heap *h, const void *p,
                                        struct found *f) {
  if (!heap_find(h, (uintptr_t)p, f)) {
    return ALM_EINVAL;
  }
  if (f->c->layout != NULL && f->c->layout->is_packed) {
    return ALM_EPACKED;
  }
  return found_object(f) == (uintptr_t)p ? ALM_OK : ALM_EINVAL;
}

/* May a pointer in a typed or traced object be so far from the object's first
 * byte? Below it `bytes` is huge. */
ALM_INLINE bool heap_is_displacement(const struct alm_heap *h,
                                     uintptr_t bytes) {
  return bytes < DISPLACEMENTS &&
         ((atomic_load_relaxed(&h->displacements[bytes / 64]) >> (bytes % 64)) &
          1);
}

/* See alm_heap_create; without the options' checks; `face` may be NULL. NULL: no
 * memory. */
ALM_INTERNAL struct alm_heap *heap_create(const struct alm_heap_options *o,
                                          const struct alm_face *face);
/* It is no longer in the list of heaps: nobody else will find it. */
ALM_INTERNAL void heap_unlist(struct alm_heap *h);
/* No mutator is attached, no guest is there, and it is in no list. */
ALM_INTERNAL void heap_destroy(struct alm_heap *h);
/* See alm_type_create; the info is valid. NULL: no memory, or too many. */
ALM_INTERNAL struct alm_type *heap_add_type(struct alm_heap *h,
                                            const struct alm_type_info *info);

/* Layouts for all size classes, of objects that the type's core_trace reports
 * (NULL: as the kind says) and, `is_root`, that are roots themselves. The index
 * of the first; 0: no memory, or too many. */
ALM_INTERNAL uint32_t heap_add_layouts(struct alm_heap *h, enum alm_kind kind,
                                       alm_core_trace trace, void *arg,
                                       bool is_root);

/* What was claimed since the last cycle, and is not deleted; or all of it. The
 * lock is held. */
ALM_INTERNAL uint64_t heap_allocated_locked(const struct alm_heap *h);
ALM_INLINE uint64_t heap_claimed_locked(const struct alm_heap *h) {
  return heap_allocated_locked(h) + atomic_load_relaxed(&h->deleted);
}

/* Bring the process's account of what was allocated up to date: of one heap,
 * whose lock is held, or of all heaps whose locks can be had soon. */
ALM_INTERNAL void heap_publish_locked(struct alm_heap *h);
ALM_INTERNAL void heap_publish_all(void);

/* Ends what counted itself in nbusy. */
ALM_INTERNAL void heap_busy_end(struct alm_heap *h);

/* A span with all slots free, owned by the caller, or a large object; NULL:
 * memory is out, or the limit is reached. Bytes may be dirty: span.is_fresh.
 * No lock held. */
ALM_INTERNAL struct collected *heap_take_span(struct alm_heap *h,
                                              struct layout *layout);
ALM_INTERNAL struct collected *heap_take_large(struct alm_heap *h,
                                               enum alm_kind kind,
                                               const struct alm_type *type,
                                               size_t bytes, bool is_root);
/* A large object gets `bytes` where it is; what is new is zeroed if
 * `is_zero`. False: the pages behind it are in use, it is yet to be swept, or
 * the limit is reached; nothing has changed. Its user, no lock held, in a
 * section. */
ALM_INTERNAL bool heap_grow_large(struct alm_heap *h, struct collected *c,
                                  size_t bytes, bool is_zero);
/* So many pages less are to be swept. The lock is held, or the world is
 * stopped. */
ALM_INLINE void heap_count_swept_locked(struct alm_heap *h, size_t npages) {
  atomic_store_relaxed(&h->unswept_pages, h->unswept_pages - npages);
}
/* The span is in nobody's list `partial`; takes it out of `all`. The lock is
 * held. */
ALM_INTERNAL void heap_forget_span_locked(struct alm_heap *h,
                                          struct collected *c);
/* After that, without the lock: pages and record go back. */
ALM_INTERNAL void heap_return_span(struct collected *c);

/* Every span of the heap, small and large. World stopped. */
ALM_INTERNAL void heap_visit_spans(struct alm_heap *h,
                                   void (*visit)(struct collected *c,
                                                 void *arg),
                                   void *arg);

/* Those whose objects are roots. World stopped. */
ALM_INTERNAL void heap_visit_root_spans(struct alm_heap *h,
                                        void (*visit)(struct collected *c,
                                                      void *arg),
                                        void *arg);

/* All mark bits of the span's pages. */
ALM_INLINE uint64_t *heap_marks(const struct collected *c) {
  return marks_of_page(arena_page_of((const void *)c->span.base));
}
ALM_INLINE size_t heap_marks_bytes(const struct collected *c) {
  return c->span.npages * MARK_WORDS_PER_PAGE * sizeof(uint64_t);
}
ALM_INTERNAL void heap_clear_marks(struct collected *c);

/* Walk the heap: every span, list and bitmap. World stopped. */
ALM_INTERNAL bool heap_check_stopped(struct alm_heap *h);

/* Lock the list of heaps: none is made or destroyed meanwhile. */
ALM_INTERNAL void heap_list_acquire(void);
ALM_INTERNAL void heap_list_release(void);
/* Instead, after a fork amid the two. */
ALM_INTERNAL void heap_fork_release(bool in_child);
ALM_INTERNAL struct list_node *heap_list(void);

/* While the list is locked, or the process has one thread. */
#define FOR_EACH_HEAP(h)                                                       \
  for (struct list_node *feh = heap_list()->next;                              \
       feh != heap_list() &&                                                   \
       (h = LIST_ELEMENT(feh, struct alm_heap, heaps), true);                  \
       feh = feh->next)

#endif
