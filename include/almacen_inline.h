/* almacen_inline.h -- the fast paths of the garbage-collected heap, inline.
 *
 * WHAT    Allocation by bumping a pointer, the pointer store, the safepoint
 *         poll. Include it beside almacen.h where speed counts; programs that
 *         do must be built again when the library's first version number
 *         changes, because the layouts below are part of the promise then.
 */
#ifndef ALMACEN_INLINE_H
#define ALMACEN_INLINE_H

#include "almacen.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed slots to bump through; equal: used up. Owner: its mutator. */
struct alm_run {
  char *next;
  char *end;
};

/* The first fields of every mutator. */
struct alm_mutator_head {
  struct alm_run *runs;    /* by alm_type_head.index; constant                */
  uint32_t stop_wanted;    /* not 0: go to alm_safepoint. Any thread, relaxed */
  uint32_t store_wanted;   /* not 0: store by alm_store. As stop_wanted */
  struct alm_stack *stack; /* the one it runs on; own thread */
};

/* The first field of every stack. A switch written in assembler stores the
 * stack pointer here, below the registers it has pushed, when it leaves the
 * stack, and loads it when it comes back. */
struct alm_stack_head {
  void *pointer;
};

/* The first fields of every type. Constant. */
struct alm_type_head {
  uint32_t index;
  uint32_t slot_bytes;
};

/* alm_new, inline. */
static inline void *alm_new_inline(struct alm_mutator *m,
                                   const struct alm_type *type) {
  const struct alm_type_head *t =
      (const struct alm_type_head *)(const void *)type;
  struct alm_run *run = &((struct alm_mutator_head *)(void *)m)->runs[t->index];
  char *p = run->next;
  if (__builtin_expect(p == run->end, 0)) {
    return alm_new(m, type);
  }
  run->next = p + t->slot_bytes;
  return p;
}

/* alm_store, inline. */
static inline void alm_store_inline(struct alm_mutator *m, void *object,
                                    void *slot, void *value) {
  if (__builtin_expect(
          __atomic_load_n(&((struct alm_mutator_head *)(void *)m)->store_wanted,
                          __ATOMIC_RELAXED) != 0,
          0)) {
    alm_store(m, object, slot, value);
  } else {
    *(void **)slot = value;
  }
}

/* alm_safepoint, inline. */
static inline void alm_safepoint_inline(struct alm_mutator *m) {
  if (__builtin_expect(
          __atomic_load_n(&((struct alm_mutator_head *)(void *)m)->stop_wanted,
                          __ATOMIC_RELAXED) != 0,
          0)) {
    alm_safepoint(m);
  }
}

/* The half of alm_stack_switch that is left for a switch which saves registers
 * and stack pointer by itself as struct alm_stack_head says: the thread is
 * about to run on `to`, or has just come there. */
static inline void alm_stack_enter_inline(struct alm_mutator *m,
                                          struct alm_stack *to) {
  ((struct alm_mutator_head *)(void *)m)->stack = to;
}

#ifdef __cplusplus
}
#endif
#endif
