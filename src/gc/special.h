/* gc/special.h -- what is attached to single objects: weak references,
 * cleanups, finalizers, ephemerons; and the queue of what is to be run.
 *
 * WHAT    One record each, found by its object through a hash table, and by
 *         its kind through a list.
 * HOW     After marking from the roots (step 1), in this order:
 *           2  ephemerons: a value whose key is marked is marked, until
 *              nothing changes
 *           3  short weak references and ephemerons whose object or key is
 *              not marked are cleared
 *           4  what objects with finalizers reach is marked (not they
 *              themselves): so of two that refer to each other by a chain the
 *              first is finalized first; a cycle never is
 *           5  objects with finalizers that are still not marked are queued,
 *              and marked: they live until they have run
 *           6  long weak references, and cleanups, whose object is not marked
 *              now: cleared, queued
 *         So a short weak reference to what only a dying object with a
 *         finalizer reaches is cleared, though the finalizer may bring that
 *         back.
 * INVARIANTS
 *   [special.1] An object with a record here cannot be freed by alm_delete.
 *   [special.2] A record's object was alive after the last cycle, or is 0.
 * LOCKS   the heap's, inside; the steps run with the world stopped.
 * SOURCE  Go mgcsweep.go, mfinal.go, mcleanup.go (order of events); B. Hayes,
 *         "Ephemerons", 1997. Differs: decided while the world is stopped,
 *         not by the sweep.
 */
#ifndef ALM_GC_SPECIAL_H
#define ALM_GC_SPECIAL_H

#include "almacen.h"
#include "base/base.h"

struct alm_heap;
struct marker;
struct special_table;

/* NULL: no memory. */
ALM_INTERNAL struct special_table *special_create(void);
/* NULL allowed. */
ALM_INTERNAL void special_destroy(struct special_table *t);

/* See the public functions; object is the start of one. False, NULL: no
 * memory. */
ALM_INTERNAL struct alm_weak *special_add_weak(struct alm_heap *h, void *object,
                                               bool is_long);
ALM_INTERNAL struct alm_ephemeron *special_add_ephemeron(struct alm_heap *h,
                                                         void *key,
                                                         void *value);
ALM_INTERNAL bool special_add_cleanup(struct alm_heap *h, void *object,
                                      alm_finalizer fn, void *arg);
/* fn NULL removes. */
ALM_INTERNAL bool special_set_finalizer(struct alm_heap *h, void *object,
                                        alm_finalizer fn, void *arg);
ALM_INTERNAL void *special_weak_get(const struct alm_weak *weak);
ALM_INTERNAL void *special_ephemeron_get(const struct alm_ephemeron *e);
ALM_INTERNAL void special_release_weak(struct alm_heap *h, struct alm_weak *w);
ALM_INTERNAL void special_release_ephemeron(struct alm_heap *h,
                                            struct alm_ephemeron *e);
ALM_INTERNAL bool special_has(struct alm_heap *h, const void *object);

/* Take the oldest of the queue; false: it is empty. *object stays alive as a
 * local variable of the caller. */
ALM_INTERNAL bool special_take_queued(struct alm_heap *h, alm_finalizer *fn,
                                      void **object, void **arg);

/* Arguments, and what is queued. World stopped, before step 1 ends. */
ALM_INTERNAL void special_visit_roots(struct alm_heap *h, struct marker *m);
/* Steps 2 to 6; `drain` marks all that was found. World stopped. */
ALM_INTERNAL void special_process(struct alm_heap *h, struct marker *m,
                                  void (*drain)(struct alm_heap *h));

ALM_INTERNAL bool special_check(const struct special_table *t);

#endif
