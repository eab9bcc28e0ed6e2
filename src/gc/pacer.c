/* gc/pacer.c -- see pacer.h. */
#include "pacer.h"

/* Near the limit this much is allocated between two collections at least,
 * as a share of the limit: else each object would pay for a collection. */
enum { LIMIT_STEP_SHIFT = 6 };

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
