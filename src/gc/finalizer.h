/* gc/finalizer.h -- a heap's thread that runs finalizers and cleanups.
 *
 * WHAT    For heaps with the option finalizer_thread. It starts after the first
 *         collection that queues something, runs the queue in order, sleeps
 *         on a futex until there is more.
 * HOW     It is a mutator of the heap while it works, and none while it
 *         sleeps: then collections have nothing to wait for and no stack of
 *         it to scan. Nothing runs inside an allocation or a collection.
 *         Whoever has collected wakes it (finalizer_poke): it has set `wake`
 *         to sleeping before it looked at the queue, under the heap's lock, so
 *         what was queued since finds it awake.
 * STATES  stopped -> starting -> running -> stopping -> stopped. The first
 *         and third arrow are a CAS; who took it alone takes the next.
 * FORK    The child has no such thread; the next collection that leaves
 *         something in the queue starts one. What it was running is lost to
 *         the child.
 * LOCKS   none held on entry; RANK_HEAP inside.
 * SOURCE  Go mfinal.go runFinalizers (one goroutine, in order).
 */
#ifndef ALM_GC_FINALIZER_H
#define ALM_GC_FINALIZER_H

#include "heap.h"

/* The heap has one from now on; false: no memory. */
ALM_INTERNAL bool finalizer_create(struct alm_heap *h);
/* Start or wake it if something is queued. */
ALM_INTERNAL void finalizer_poke(struct alm_heap *h);
/* Wait until the function it is in returns, and end it. Nobody pokes. */
ALM_INTERNAL void finalizer_destroy(struct alm_heap *h);
/* No mutator is attached, but perhaps the thread's, which is another than the
 * calling one. */
ALM_INTERNAL bool finalizer_is_alone(struct alm_heap *h);
/* Every heap's, in a forked child. */
ALM_INTERNAL void finalizer_forget_in_child(void);

#endif
