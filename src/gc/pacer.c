/* gc/pacer.c -- see pacer.h. */
#include "pacer.h"

/* Near the limit this much is allocated between two collections at least,
 * as a share of the limit: else each object would pay for a collection. */
enum { LIMIT_STEP_SHIFT = 6 };

/* A large object without pointers costs a bit to mark, whatever its size; its
 * allocation costs the clearing. So it counts a 16th. */
enum { LIGHT_SHIFT = 4 };

/* A heap that has shrunk holds so many times the percentage at most: after a
 * peak its memory is to go back. Programs drop one structure and then build
 * the next, so one collection that finds little does not count. */
enum { HELD_TIMES = 3 };

/* Sweeping ends this share of the way before the goal: several threads may be
 * between their look and their allocation. Half of it makes a pause that sweeps
 * likely where the distance is small; twice as much sweeps a seventh faster. */
enum { SWEEP_MARGIN_SHIFT = 3 };

static uint64_t pacer_add(uint64_t live, uint64_t bytes, uint64_t percent) {
  unsigned __int128 wide = live + (unsigned __int128)bytes * percent / 100;
  return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

uint64_t pacer_goal(const struct pacer_facts *f) {
  uint64_t heavy = f->live - f->light + (f->light >> LIGHT_SHIFT);
  uint64_t goal = pacer_add(f->live, heavy, f->percent);
  uint64_t live = f->live > f->live_before ? f->live : f->live_before;
  uint64_t most = pacer_add(live, live, (uint64_t)f->percent * HELD_TIMES);
  most = most < f->held ? most : f->held;
  goal = goal < most ? most : goal;
  goal = goal < f->first_bytes ? f->first_bytes : goal;
  if (f->limit != 0 && goal > f->limit) {
    uint64_t least = f->live + (f->limit >> LIMIT_STEP_SHIFT);
    goal = least > f->limit ? least : f->limit;
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
