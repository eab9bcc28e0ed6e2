/* gc/world.h -- the mutators of a heap: attached, running, stopped.
 *
 * WHAT    Attaching and detaching threads; stopping all mutators of a heap
 *         and letting them go on; blocked regions.
 * HOW     A mutator that runs is counted in heap->nrunning. Whoever wants to
 *         collect sets stop_wanted (in the heap and in each mutator's head,
 *         which safepoints poll) and sleeps until nobody runs; the others
 *         save registers and stack pointer and sleep until stop_wanted is 0.
 *         A mutator between alm_blocked_begin and end counts as stopped.
 *         In an uncooperative heap mutators that run are sent a signal, whose
 *         handler is a safepoint. It returns at once while the thread is in a
 *         section of lock.h; then the thread stops at the section's end, or at
 *         one of the next signals: they are repeated until it has stopped. A
 *         thread that leaves the running state makes sure that no signal of
 *         ours is still on its way to it.
 *
 *              attach            stop (at a safepoint), blocked_begin
 *     (none) ---------> running -----------------------------> not counted
 *        ^     own         | ^              own                    |
 *        +-----------------+ +-------------------------------------+
 *           detach, own          start, blocked_end: own, when
 *                                stop_wanted is 0
 *
 *         A thread may end while its mutator runs: it was attached by the
 *         last of the destructors that a thread ends with, so ours did not
 *         come again. There is nobody to signal then; the mutator is *lost*,
 *         and whoever stops the world detaches it.
 *
 *         A thread that sleeps for one heap rests in all of its heaps, and
 *         runs again in all of them at once, when none wants to stop: so no
 *         two collectors wait for each other's threads. One that sleeps in a
 *         signal handler rests in its uncooperative heaps only: a cooperative
 *         one's collector waits until that sleep is over.
 *         A *guest* is a thread of the library's that works on a heap without
 *         being one of its mutators. It counts in nrunning like one, so while
 *         it is there the world does not come to a stop, and while the world
 *         stops none comes in: guests never meet a cycle. In return a guest
 *         works in pieces of some microseconds and leaves when the world wants
 *         to stop. It has no stack to be scanned, and holds no object. A fork
 *         does not wait for guests, only for what they count in nbusy; in the
 *         child there are none. A heap that is destroyed leaves the list of
 *         heaps, where guests find it, and waits until the last has gone.
 * INVARIANTS
 *   [world.1] While the world is stopped no mutator of the heap runs but the
 *             collector's, and each one's state is saved.
 *   [world.2] Only its own thread changes a mutator's state, and who stops the
 *             world that of a thread that has ended.
 *   [world.3] nguests of those that nrunning counts are guests.
 * LOCKS   RANK_HEAP guards states and counts; stop_wanted and nrunning are
 *         futex words, written under it.
 * ORDER   The lock orders everything: a stopped thread's last writes are
 *         before its release, the collector's reads after its acquire.
 * SOURCE  Go proc.go stopTheWorld. Differs: threads, so no scheduler.
 */
#ifndef ALM_GC_WORLD_H
#define ALM_GC_WORLD_H

#include "heap.h"

#include <pthread.h>

/* Handle the heap's signal, `is_ours` whatever the program does with it.
 * False: it is not to be had. */
ALM_INTERNAL bool world_use_signal(int signal, bool is_ours);

/* See alm_mutator_attach. */
ALM_INTERNAL enum alm_err world_attach(struct alm_heap *h,
                                       struct alm_mutator **out);
ALM_INTERNAL void world_detach(struct alm_mutator *m);

/* Any address that no other thread has at the same time. */
ALM_INTERNAL const void *world_thread(void);
/* The calling thread's mutator of the heap, or NULL. */
ALM_INTERNAL struct alm_mutator *world_mutator(const struct alm_heap *h);
/* pthread_join, while which no collection waits for the calling thread. */
ALM_INTERNAL void world_join(pthread_t thread);

/* True if m is attached by the calling thread; else it was reported under
 * `call`, or the thread is inside a callback. */
ALM_INTERNAL bool world_owns(const struct alm_mutator *m, const char *call);
/* The caller is inside a callback of a collection. */
ALM_INTERNAL bool world_in_callback(void);
ALM_INTERNAL void world_callback_begin(void);
ALM_INTERNAL void world_callback_end(void);

/* Become the heap's collector. The caller has saved its stack in a frame that
 * lives until world_start. False: another thread was collecting; it has
 * finished, or has not stopped the world yet. */
ALM_INTERNAL bool world_claim(struct alm_mutator *m);
/* After that: stop every other mutator. */
ALM_INTERNAL void world_stop(struct alm_mutator *m);
ALM_INTERNAL void world_start(struct alm_mutator *m);

/* The slow half of a safepoint: wait until the world runs. */
ALM_INTERNAL void world_safepoint(struct alm_mutator *m);

/* Around what a signal must not interrupt, see lock.h. */
ALM_INLINE void world_enter(void) {
  lock_section_begin();
}
/* The run of an uncooperative heap's mutator stays as it is. */
ALM_INLINE void world_leave(struct alm_mutator *m) {
  if (unlikely(atomic_load_relaxed(&m->head.stop_wanted) != 0) &&
      m->heap->stop_signal != 0) {
    world_safepoint(m);
  }
  lock_section_end();
}
/* `top`: the end of the frame that the thread is about to leave. */
ALM_INTERNAL void world_blocked_begin(struct alm_mutator *m, const void *top);
ALM_INTERNAL void world_blocked_end(struct alm_mutator *m);

/* Should the thread come to world_safepoint? Two loads. */
ALM_INTERNAL bool world_is_wanted(const struct alm_mutator *m);
/* Come in and leave. False: the world is stopped, or about to be, or a thread
 * wants to fork. While the list of heaps is locked, or otherwise sure that the
 * heap is not destroyed. */
ALM_INTERNAL bool world_guest_begin(struct alm_heap *h);
ALM_INTERNAL void world_guest_end(struct alm_heap *h);
/* Guests should leave. */
ALM_INLINE bool world_wants_stop(const struct alm_heap *h) {
  return atomic_load_relaxed(&h->stop_wanted) != 0;
}
/* The only guest becomes the heap's collector, if no mutator runs, or they can
 * be stopped by a signal. False: one runs, or another thread collects; who runs
 * will come to alm_safepoint though nobody waits. */
ALM_INTERNAL bool world_guest_claim(struct alm_heap *h);
ALM_INTERNAL void world_guest_stop(struct alm_heap *h);
ALM_INTERNAL void world_guest_start(struct alm_heap *h);
/* The heap is not in the list any more: wait for the last guest. */
ALM_INTERNAL void world_guests_wait(struct alm_heap *h);

/* Around fork: no collection is under way; in the child only the calling
 * thread's mutators are left. */
ALM_INTERNAL void world_fork_prepare(void);
ALM_INTERNAL void world_fork_release(bool in_child);

#endif
