/* mem/central.h -- spans and batches of one size class, shared by all
 * threads.
 *
 * WHAT    A thread whose cache runs dry takes a batch of free objects or a
 *         span with free slots here; full lists come here as batches.
 * HOW     A batch is a chain through the objects' first words, with its
 *         length: handing one over touches no object. A few batches per
 *         class wait for another thread (producer and consumer exchange
 *         them whole); beyond that the oldest is spilled: its objects'
 *         bits are set in their spans, and a span whose last object comes
 *         back leaves for the page heap at once.
 * INVARIANTS
 *   [central.1] A span in `partial` is not owned and has nfree > 0.
 *   [central.2] An owned span is in no list; its nfree means nothing.
 *                                            checked: central_check
 * LOCKS   RANK_CENTRAL, one per class, inside. Held while a batch is spilled
 *         (a few microseconds); the page heap is called without it.
 * SOURCE  Go mcentral.go (partial spans). Differs: batches (tcmalloc's
 *         transfer cache is the model), no sweeping yet.
 */
#ifndef ALM_MEM_CENTRAL_H
#define ALM_MEM_CENTRAL_H

#include "misuse.h"
#include "pagealloc.h"
#include "span.h"

/* `count` free objects of one class, linked through their first words. */
struct batch {
  void *head;
  size_t count;
};

/* Bytes and objects in one full batch; bound what a thread holds per class.
 * Every free object in a list may be the one that keeps a span: four times
 * these figures cost 5 % of a SQL session's memory and saved 6 to 9 % of the
 * time of churning programs (doc/decisions/002). */
enum { BATCH_COUNT_MAX = 128, BATCH_BYTES = ALM_TORTURE ? 512 : 8192 };

/* Objects in a full batch of the class: at least 2. */
ALM_INTERNAL unsigned central_batch_count(unsigned class);
/* Frees after which a list is looked at again, hence how far it may grow past
 * a batch: half a batch; more where batches are short, because a look costs a
 * third of a malloc and free. */
ALM_INTERNAL unsigned central_slack_count(unsigned class);

ALM_INTERNAL void central_init(void);

/* A waiting batch, count 0 if there is none. The caller owns it. */
ALM_INTERNAL struct batch central_take_batch(unsigned class);

/* Give a batch up. The first object in it that was free already or is none
 * is described in *bad (kind 0: all well) and left out. */
ALM_INTERNAL void central_return_batch(unsigned class, struct batch b,
                                       struct misuse *bad);

/* Give `count` consecutive slots back that were claimed and never used. */
ALM_INTERNAL void central_return_slots(unsigned class, char *first,
                                       size_t count);

/* A span with at least one free slot, owned by the caller, or NULL when
 * memory is out. `cache`: the caller's page cache. */
ALM_INTERNAL struct span *central_take_span(unsigned class,
                                            struct pagecache *cache);
/* The caller owns s no longer, and has returned what it claimed of it. */
ALM_INTERNAL void central_return_span(struct span *s);

/* Spill batches that wait: all, or those of classes from which none was
 * taken since the last call. Returns how many objects. */
ALM_INTERNAL size_t central_drain(bool all, struct misuse *bad);

ALM_INTERNAL bool central_check(void);

/* Take and release every class's lock: for checks of the whole heap. */
ALM_INTERNAL void central_lock_all(void);
ALM_INTERNAL void central_unlock_all(void);
ALM_INTERNAL void central_fork_release(bool in_child);

#endif
