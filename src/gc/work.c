/* gc/work.c -- see work.h. */
#include "work.h"

#include "mem/metaalloc.h"
#include "os/os.h"

enum { WORK_SPINS = 500 };

static struct meta_pool work_pool = {
    (sizeof(struct work_buffer) + 15) / 16 * 16, NULL};

void work_begin(struct work *w, unsigned nmarkers) {
  atomic_store_relaxed(&w->nidle, 0);
  w->nmarkers = nmarkers;
}

struct work_buffer *work_take_empty(struct work *w) {
  struct work_buffer *b = meta_take(&work_pool);
  if (b == NULL) {
    atomic_store_relaxed(&w->has_overflowed, true);
    return NULL;
  }
  b->next = NULL;
  b->count = 0;
  return b;
}

void work_return_empty(struct work_buffer *b) {
  meta_return(&work_pool, b);
}

static void work_announce(struct work *w, uint32_t nmarkers) {
  (void)atomic_add_relaxed(&w->event, 1); /* under the lock, as waiters read */
  os_futex_wake(&w->event, nmarkers);
}

void work_give(struct work *w, struct work_buffer *full) {
  lock_acquire(&w->lock);
  full->next = w->full;
  atomic_store_relaxed(&w->full, full);
  if (w->nasleep > 0) {
    work_announce(w, 1);
  }
  lock_release(&w->lock);
}

static bool work_is_awaited(const struct work *w) {
  return atomic_load_relaxed(&w->full) == NULL &&
         atomic_load_relaxed(&w->nidle) < w->nmarkers;
}

/* A marker that has something shares it within a microsecond, if it can; to
 * sleep and be woken takes tens of them. */
static void work_spin(const struct work *w) {
  for (unsigned i = 0; i < WORK_SPINS && work_is_awaited(w); i++) {
    cpu_relax();
  }
}

static void work_wait_locked(struct work *w) {
  lock_release(&w->lock);
  work_spin(w);
  lock_acquire(&w->lock);
  w->nasleep++;
  while (work_is_awaited(w)) {
    uint32_t event = atomic_load_relaxed(&w->event);
    lock_release(&w->lock);
    os_futex_wait(&w->event, event, 0);
    lock_acquire(&w->lock);
  }
  w->nasleep--;
}

struct work_buffer *work_take(struct work *w) {
  lock_acquire(&w->lock);
  if (w->full == NULL) {
    atomic_store_relaxed(&w->nidle, w->nidle + 1);
    if (w->nidle == w->nmarkers) {
      work_announce(w, w->nmarkers); /* [work.1] */
    } else {
      work_wait_locked(w);
    }
    if (w->full != NULL) {
      atomic_store_relaxed(&w->nidle, w->nidle - 1);
    }
  }
  struct work_buffer *b = w->full;
  if (b != NULL) {
    atomic_store_relaxed(&w->full, b->next);
  }
  lock_release(&w->lock);
  return b;
}
