/* gc/pacer.h -- when to collect, and how fast to sweep: arithmetic only.
 *
 * WHAT    The goal: at how many bytes (live and allocated since) the next
 *         collection begins; and how much is to be swept by then. No clock,
 *         no threads, no globals.
 * HOW     What a collection costs grows with what it has to look at, so the
 *         goal allows a percentage of that to be allocated. A heap that was
 *         larger has the pages already: it uses them up again instead, within
 *         bounds.
 * SOURCE  Go mgcpacer.go. Differs: the world stops, so goal and trigger are
 *         one. Large objects without pointers count less, and a heap is
 *         filled again before it is collected: H.-J. Boehm's collector.
 */
#ifndef ALM_GC_PACER_H
#define ALM_GC_PACER_H

#include "base/base.h"

/* All in bytes but the percentage. */
struct pacer_facts {
  uint64_t live;        /* marked by the last collection, or about to be    */
  uint64_t live_before; /* marked by the one before it                      */
  uint64_t light;       /* of these: in large objects without pointers      */
  uint64_t held;        /* about what it was before, live and dead, at most
                           the goal then                                    */
  uint64_t first_bytes; /* the goal is at least this                        */
  uint64_t limit;       /* and not beyond this if it can be; 0: none        */
  unsigned percent;     /* of live may be allocated                         */
};

ALM_INTERNAL uint64_t pacer_goal(const struct pacer_facts *f);

/* How many of the `pages` that the last collection left to sweep should be
 * swept when `allocated` of the `distance` bytes to the next one are used up:
 * in proportion, and all of them an eighth of the way before. */
ALM_INTERNAL uint64_t pacer_sweep_due(uint64_t pages, uint64_t distance,
                                      uint64_t allocated);

#endif
