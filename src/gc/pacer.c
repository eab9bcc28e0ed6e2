/* gc/pacer.c -- see pacer.h. */
#include "pacer.h"

/* Near the limit this much is allocated between two collections at least,
 * as a share of the limit: else each object would pay for a collection. */
enum { LIMIT_STEP_SHIFT = 6 };

/* Sweeping ends this share of the way before the goal: several threads may be
 * between their look and their allocation. Half of it makes a pause that sweeps
 * likely where the distance is small; twice as much sweeps a seventh faster. */
enum { SWEEP_MARGIN_SHIFT = 3 };

uint64_t pacer_goal(uint64_t live, uint64_t percent, uint64_t first_bytes,
                    uint64_t limit) {
  unsigned __int128 wide = (unsigned __int128)live * (100 + percent) / 100;
  uint64_t goal = wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
  goal = goal < first_bytes ? first_bytes : goal;
  if (limit != 0 && goal > limit) {
    uint64_t least = live + (limit >> LIMIT_STEP_SHIFT);
    goal = least > limit ? least : limit;
  }
  return goal;
}

uint64_t pacer_sweep_due(uint64_t pages, uint64_t distance,
                         uint64_t allocated) {
  uint64_t reach = distance - (distance >> SWEEP_MARGIN_SHIFT);
  if (allocated >= reach) {
    return pages;
  }
  unsigned __int128 wide = (unsigned __int128)pages * allocated;
  return (uint64_t)((wide + reach - 1) / reach); /* at most pages */
}
