/* os/lock.c -- see lock.h. */
#include "lock.h"

#include "base/diag.h"
#include "os.h"

enum { FREE, HELD, HELD_WAITED };

/* About a microsecond: longer than a bitmap search, shorter than a sleep. */
enum { SPINS_MAX = 40, PATIENCE = 1000 };

/* Debug builds: what this thread holds, in order of acquisition. Few enough
 * for the static block a dlopen'ed library may use; a check of the whole heap
 * with many threads holds more, which are then only counted. */
enum { HELD_LOCKS_MAX = ALM_DEBUG ? 100 : 1 };
static ALM_TLS struct {
  const struct lock *held[HELD_LOCKS_MAX];
  unsigned count;
  unsigned untracked; /* acquired while `held` was full */
} lock_thread;

ALM_TLS unsigned lock_nesting;

static void lock_note_acquired(const struct lock *l) {
  if (!ALM_DEBUG) {
    return;
  }
  if (lock_thread.count == HELD_LOCKS_MAX) {
    lock_thread.untracked++;
    return;
  }
  lock_thread.held[lock_thread.count++] = l;
}

static void lock_check_order(const struct lock *l) {
  if (!ALM_DEBUG || lock_thread.count == 0 || lock_thread.untracked > 0) {
    return;
  }
  const struct lock *last = lock_thread.held[lock_thread.count - 1];
  if (l->rank < last->rank ||
      (l->rank == last->rank && l->subclass <= last->subclass)) {
    diag_panic("lock: rank %u.%u acquired while holding %u.%u",
               (unsigned)l->rank, (unsigned)l->subclass, (unsigned)last->rank,
               (unsigned)last->subclass);
  }
}

static void lock_note_released(const struct lock *l) {
  if (!ALM_DEBUG) {
    return;
  }
  unsigned n = lock_thread.count;
  for (unsigned i = n; i > 0; i--) {
    if (lock_thread.held[i - 1] == l) {
      for (; i < n; i++) {
        lock_thread.held[i - 1] = lock_thread.held[i];
      }
      lock_thread.count = n - 1;
      return;
    }
  }
  if (lock_thread.untracked == 0) {
    diag_panic("lock: released rank %u without holding it", (unsigned)l->rank);
  }
  lock_thread.untracked--;
}

static void lock_acquire_slow(struct lock *l) {
  for (int i = 0; i < SPINS_MAX; i++) {
    uint32_t expected = FREE;
    if (atomic_load_relaxed(&l->state) == FREE &&
        atomic_cas_acquire(&l->state, &expected, HELD)) {
      return;
    }
    cpu_relax();
  }
  while (atomic_exchange_acquire(&l->state, HELD_WAITED) != FREE) {
    os_futex_wait(&l->state, HELD_WAITED, 0);
  }
}

void lock_acquire(struct lock *l) {
  uint32_t expected = FREE;
  lock_section_begin();
  lock_check_order(l);
  if (unlikely(!atomic_cas_acquire(&l->state, &expected, HELD))) {
    lock_acquire_slow(l);
  }
  lock_note_acquired(l);
}

bool lock_try(struct lock *l) {
  uint32_t expected = FREE;
  lock_section_begin();
  if (!atomic_cas_acquire(&l->state, &expected, HELD)) {
    lock_section_end();
    return false;
  }
  lock_note_acquired(l);
  return true;
}

bool lock_try_patiently(struct lock *l) {
  for (int i = 0; i < PATIENCE; i++) {
    if (lock_try(l)) {
      return true;
    }
    os_yield();
  }
  return false;
}

void lock_release(struct lock *l) {
  lock_note_released(l);
  if (unlikely(atomic_exchange_release(&l->state, FREE) == HELD_WAITED)) {
    os_futex_wake(&l->state, 1);
  }
  lock_section_end();
}

void lock_reset_after_fork(struct lock *l) {
  lock_note_released(l);
  atomic_store_relaxed(&l->state, FREE);
  lock_section_end();
}

void lock_assert_held(const struct lock *l) {
  if (!ALM_DEBUG) {
    return;
  }
  for (unsigned i = lock_thread.count; i > 0; i--) {
    if (lock_thread.held[i - 1] == l) {
      return;
    }
  }
  if (lock_thread.untracked == 0) {
    diag_panic("lock: rank %u is not held", (unsigned)l->rank);
  }
}
