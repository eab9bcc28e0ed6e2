/* gc/idle.c -- see idle.h. */
#include "idle.h"

#include "cycle.h"
#include "os/os.h"
#include "sweep.h"
#include "world.h"

static uint64_t idle_unswept_pages(const struct alm_heap *h) {
  return atomic_load_relaxed(&h->unswept_pages);
}

/* A heap with something to sweep, of which the caller is a guest now. */
static struct alm_heap *idle_enter_unswept(void) {
  struct alm_heap *found = NULL, *h;
  heap_list_acquire();
  FOR_EACH_HEAP(h) {
    if (idle_unswept_pages(h) > 0 && world_guest_begin(h)) {
      found = h;
      break;
    }
  }
  heap_list_release();
  return found;
}

bool idle_sweep(uint64_t budget_ns) {
  uint64_t begin = os_now_ns();
  bool is_over = false, any = false;
  struct alm_heap *h;
  while (!is_over && (h = idle_enter_unswept()) != NULL) {
    while (!is_over && !world_wants_stop(h) && sweep_one(h)) {
      any = true;
      is_over = os_now_ns() - begin >= budget_ns;
    }
    world_guest_end(h);
    is_over |= os_now_ns() - begin >= budget_ns;
  }
  return any;
}

/* The next heap after the first `skip` that is overdue; *skip counts on. */
static struct alm_heap *idle_enter_overdue(size_t *skip) {
  struct alm_heap *found = NULL, *h;
  size_t i = 0;
  heap_list_acquire();
  FOR_EACH_HEAP(h) {
    if (i++ >= *skip && cycle_is_overdue(h) && world_guest_begin(h)) {
      found = h;
      break;
    }
  }
  heap_list_release();
  *skip = i;
  return found;
}

bool idle_collect(void) {
  bool any = false;
  struct alm_heap *h;
  for (size_t skip = 0; (h = idle_enter_overdue(&skip)) != NULL;) {
    any |= cycle_collect_as_guest(h) == CYCLE_DONE;
    world_guest_end(h);
  }
  return any;
}

uint64_t idle_period_ns(void) {
  uint64_t shortest = 0;
  struct alm_heap *h;
  heap_list_acquire();
  FOR_EACH_HEAP(h) {
    uint64_t ns = h->period_ns;
    shortest = ns != 0 && (shortest == 0 || ns < shortest) ? ns : shortest;
  }
  heap_list_release();
  return shortest;
}

uint64_t idle_unswept_bytes(void) {
  uint64_t npages = 0;
  struct alm_heap *h;
  heap_list_acquire();
  FOR_EACH_HEAP(h) {
    npages += idle_unswept_pages(h);
  }
  heap_list_release();
  return npages << PAGE_SHIFT;
}

/* Sweeping and the threads' spans make a heap end a little above its goal. */
enum { RETAIN_SPARE_SHIFT = 3 };

static bool idle_is_busy(struct alm_heap *h, uint64_t now_ns,
                         uint64_t patience_ns) {
  uint64_t claimed = h->stats.alloc_bytes + heap_claimed_locked(h);
  if (claimed != h->seen_bytes) {
    h->seen_bytes = claimed;
    h->busy_ns = now_ns;
  }
  return h->busy_ns != 0 && now_ns - h->busy_ns < patience_ns;
}

uint64_t idle_retained_bytes(uint64_t now_ns, uint64_t patience_ns) {
  uint64_t sum = 0;
  struct alm_heap *h;
  heap_list_acquire();
  FOR_EACH_HEAP(h) {
    lock_acquire(&h->lock);
    uint64_t goal = atomic_load_relaxed(&h->goal);
    goal += goal >> RETAIN_SPARE_SHIFT;
    if (idle_is_busy(h, now_ns, patience_ns) && goal > h->span_bytes) {
      sum += goal - h->span_bytes;
    }
    lock_release(&h->lock);
  }
  heap_list_release();
  return sum;
}
