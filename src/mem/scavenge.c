/* mem/scavenge.c -- see scavenge.h. */
#include "scavenge.h"

#include "arena.h"
#include "memstat.h"
#include "os/lock.h"
#include "os/os.h"
#include "pagealloc.h"

/* One system call: 2 MiB, some 50 us. Larger ones delay forks and make the
 * pages unavailable for longer. */
enum { QUANTUM_PAGES = 256 };

/* A step that the kernel refuses so often in a row ends. */
enum { REFUSALS_MAX = 3 };

static struct lock scavenge_lock = LOCK_INIT(RANK_SCAVENGE);

uint64_t scavenge_goal_step(struct scavenge_goal *goal, uint64_t used_bytes,
                            uint64_t elapsed_ns, uint64_t decay_ns) {
  if (goal->peak_bytes <= used_bytes || decay_ns == 0) {
    goal->peak_bytes = used_bytes;
    return 0;
  }
  /* exp(-t/d) as d / (d + t): never overshoots, and needs no libm. */
  unsigned __int128 above = goal->peak_bytes - used_bytes;
  above = above * decay_ns / ((unsigned __int128)decay_ns + elapsed_ns);
  goal->peak_bytes = used_bytes + (uint64_t)above;
  return (uint64_t)above;
}

size_t scavenge_step(size_t keep_npages, uint64_t budget_ns) {
  size_t total = 0;
  unsigned refusals = 0;
  uint64_t start = budget_ns ? os_cpu_ns() : 0;
  lock_acquire(&scavenge_lock);
  while (pagealloc_npages_free() > keep_npages) {
    size_t most = pagealloc_npages_free() - keep_npages;
    struct page_run run =
        pagealloc_release_begin(min_size(most, QUANTUM_PAGES));
    if (run.npages == 0) {
      break;
    }
    bool ok =
        os_release(arena_page_address(run.page), run.npages << PAGE_SHIFT);
    pagealloc_release_done(run, ok);
    total += ok ? run.npages : 0;
    refusals = ok ? 0 : refusals + 1;
    if (refusals == REFUSALS_MAX) {
      break; /* locked memory, say: the next step tries again */
    }
    if (budget_ns && os_cpu_ns() - start >= budget_ns) {
      break;
    }
  }
  memstat_add(&memstat->released, (uint64_t)total << PAGE_SHIFT);
  lock_release(&scavenge_lock);
  return total;
}

void scavenge_fork_prepare(void) {
  lock_acquire(&scavenge_lock);
}

void scavenge_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&scavenge_lock);
  } else {
    lock_release(&scavenge_lock);
  }
}
