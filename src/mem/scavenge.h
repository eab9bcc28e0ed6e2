/* mem/scavenge.h -- how much goes back to the OS, and the work of doing it.
 *
 * WHAT    A goal (pure arithmetic): keep for reuse what the recent peak used,
 *         the peak decaying with a time constant. And one bounded step.
 * HOW     Runs are taken from the highest address down, out of the page
 *         heap, released without its lock, and put back as released.
 * LOCKS   RANK_SCAVENGE inside scavenge_step, so that a fork waits for a
 *         step instead of losing its pages in the child.
 * SOURCE  Go mgcscavenge.go. Differs: decay of a peak instead of the next
 *         cycle's goal (there is no cycle here); jemalloc decays too.
 */
#ifndef ALM_MEM_SCAVENGE_H
#define ALM_MEM_SCAVENGE_H

#include "base/base.h"

struct scavenge_goal {
  uint64_t peak_bytes; /* decayed peak of bytes in use */
};

/* Let `elapsed_ns` pass with `used_bytes` in use now. Returns how many free
 * bytes to keep. */
ALM_INTERNAL uint64_t scavenge_goal_step(struct scavenge_goal *goal,
                                         uint64_t used_bytes,
                                         uint64_t elapsed_ns,
                                         uint64_t decay_ns);

/* Release free pages until at most keep_npages resident ones are left or
 * budget_ns of CPU time are used up (0: no bound). Returns pages released. */
ALM_INTERNAL size_t scavenge_step(size_t keep_npages, uint64_t budget_ns);

ALM_INTERNAL void scavenge_fork_prepare(void);
ALM_INTERNAL void scavenge_fork_release(bool in_child);

#endif
