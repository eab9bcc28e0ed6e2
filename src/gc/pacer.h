/* gc/pacer.h -- when to collect, and how fast to sweep: arithmetic only.
 *
 * WHAT    The goal: at how many bytes (live and allocated since) the next
 *         collection begins; and how much is to be swept by then. No clock,
 *         no threads, no globals.
 * SOURCE  Go mgcpacer.go. Differs: the world stops, so goal and trigger are
 *         one.
 */
#ifndef ALM_GC_PACER_H
#define ALM_GC_PACER_H

#include "base/base.h"

/* `live` bytes were marked, `percent` more may be allocated, but at least
 * first_bytes in all, and with a limit (0: none) not beyond it. */
ALM_INTERNAL uint64_t pacer_goal(uint64_t live, uint64_t percent,
                                 uint64_t first_bytes, uint64_t limit);

/* How many of the `pages` that the last collection left to sweep should be
 * swept when `allocated` of the `distance` bytes to the next one are used up:
 * in proportion, and all of them an eighth of the way before. */
ALM_INTERNAL uint64_t pacer_sweep_due(uint64_t pages, uint64_t distance,
                                      uint64_t allocated);

#endif
