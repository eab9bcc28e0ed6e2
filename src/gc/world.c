/* gc/world.c -- see world.h. */
#include "world.h"

#include "local.h"
#include "mem/metaalloc.h"
#include "mem/misuse.h"
#include "os/os.h"
#include "sweep.h"

#include <pthread.h>
#include <string.h>

/* Records are reused and never given back, and the free list leaves their
 * heads alone: a mutator that was detached has empty runs, so its use comes to
 * a slow path and is noticed. */
static struct meta_pool world_pool = {
    (sizeof(struct alm_mutator) + 63) / 64 * 64, NULL};
static struct {
  struct lock lock;
  struct alm_mutator *free; /* by next_of_thread; under the lock */
} world_records = {.lock = LOCK_INIT(RANK_WORK)};

enum { RUNS_BYTES = LAYOUT_COUNT * sizeof(struct alm_run) };
enum { LEASES_BYTES = LAYOUT_COUNT * sizeof(struct lease) };

static ALM_TLS struct alm_mutator *world_mutators; /* of this thread */
static ALM_TLS unsigned world_callbacks;           /* depth          */

/* Between two signals to a thread that has not stopped; doubled each time. */
enum { SIGNAL_AGAIN_NS_MIN = 200000, SIGNAL_AGAIN_NS_MAX = 20000000 };

enum { KEY_NONE, KEY_BUSY, KEY_READY };
static struct {
  uint32_t state; /* release by who made it; acquire */
  pthread_key_t key;
} world_key;

/* While a thread wants to fork no collection begins, and who comes to a slow
 * path waits, so that the thread's own wait ends. Who sleeps in a handler may
 * hold locks of the C library that fork takes after ours: that one does not
 * wait, and fork waits until it has left the handler. */
static struct {
  uint32_t wanted;    /* futex; relaxed: only a hint to wait              */
  uint32_t nhandling; /* raised before the thread rests, so its heap's lock
                         orders that; lowered with release; acquire: fork  */
} world_forks;
static ALM_TLS bool world_is_forking;

static bool world_must_let_fork(void) {
  return unlikely(atomic_load_relaxed(&world_forks.wanted) != 0) &&
         !world_is_forking;
}

const void *world_thread(void) {
  return &world_mutators;
}

struct alm_mutator *world_mutator(const struct alm_heap *h) {
  struct alm_mutator *m = world_mutators;
  while (m != NULL && m->heap != h) {
    m = m->next_of_thread;
  }
  return m;
}

static void world_thread_end(void *unused) {
  (void)unused;
  while (world_mutators != NULL) {
    world_detach(world_mutators);
  }
}

static void world_watch_thread(void) {
  uint32_t expected = KEY_NONE;
  if (atomic_cas_acquire(&world_key.state, &expected, KEY_BUSY)) {
    bool ok = pthread_key_create(&world_key.key, world_thread_end) == 0;
    atomic_store_release(&world_key.state, ok ? KEY_READY : KEY_NONE);
  }
  while ((expected = atomic_load_acquire(&world_key.state)) == KEY_BUSY) {
    os_yield();
  }
  if (expected == KEY_READY) {
    pthread_setspecific(world_key.key, &world_key);
  }
}

bool world_in_callback(void) {
  return world_callbacks > 0;
}

void world_callback_begin(void) {
  world_callbacks++;
}

void world_callback_end(void) {
  world_callbacks--;
}

bool world_owns(const struct alm_mutator *m, const char *call) {
  struct misuse bad = {ALM_MISUSE_MUTATOR, m, 0, 0, 0};
  if (unlikely(world_in_callback())) {
    bad.kind = ALM_MISUSE_CALLBACK;
  } else if (likely(m != NULL && m->thread == world_thread())) {
    return true;
  }
  misuse_report(call, &bad);
  return false;
}

static void world_rest_locked(struct alm_heap *h) {
  atomic_store_relaxed(&h->nrunning, h->nrunning - 1);
  if (h->nrunning == 0 && h->stop_wanted != 0) {
    os_futex_wake(&h->nrunning, UINT32_MAX >> 1);
  }
}

static struct alm_mutator *world_take_record(void) {
  lock_acquire(&world_records.lock);
  struct alm_mutator *m = world_records.free;
  if (m != NULL) {
    world_records.free = m->next_of_thread;
  }
  lock_release(&world_records.lock);
  if (m != NULL || (m = meta_take(&world_pool)) == NULL) {
    return m;
  }
  memset(m, 0, sizeof *m);
  m->leases = os_alloc(LEASES_BYTES + RUNS_BYTES, "almacen: mutator");
  if (m->leases == NULL) {
    meta_return(&world_pool, m);
    return NULL;
  }
  m->head.runs = (struct alm_run *)(void *)((char *)m->leases + LEASES_BYTES);
  return m;
}

static void world_return_record(struct alm_mutator *m) {
  m->thread = NULL;
  m->heap = NULL;
  lock_acquire(&world_records.lock);
  m->next_of_thread = world_records.free;
  world_records.free = m;
  lock_release(&world_records.lock);
}

static void world_rest(struct alm_mutator *m) {
  lock_acquire(&m->heap->lock);
  m->state = MUTATOR_RESTING;
  world_rest_locked(m->heap);
  lock_release(&m->heap->lock);
}

/* While a thread sleeps for one heap, the collectors of its other heaps must
 * not wait for it. Inlined, because the frame that the stacks are saved in
 * has to live until world_resume. */
ALM_INLINE void world_others_rest(const struct alm_mutator *m,
                                  bool in_handler) {
  for (struct alm_mutator *o = world_mutators; o; o = o->next_of_thread) {
    if (o != m && o->state == MUTATOR_RUNNING &&
        (!in_handler || o->heap->stop_signal != 0)) {
      stack_save(&o->saved);
      world_rest(o);
    }
  }
}

/* Let every resting mutator of this thread run; or none, and the heap that
 * wants to stop. */
static struct alm_heap *world_resume_try(bool in_handler) {
  struct alm_heap *stopping = NULL;
  for (struct alm_mutator *o = world_mutators; o && !stopping;
       o = o->next_of_thread) {
    struct alm_heap *h = o->heap;
    if (o->state != MUTATOR_RESTING) {
      continue;
    }
    lock_acquire(&h->lock);
    if (h->stop_wanted != 0) {
      stopping = h;
    } else {
      o->state = MUTATOR_RUNNING;
      atomic_store_relaxed(&h->nrunning, h->nrunning + 1);
    }
    lock_release(&h->lock);
  }
  for (struct alm_mutator *o = world_mutators; stopping && o;
       o = o->next_of_thread) {
    if (o->state == MUTATOR_RUNNING &&
        (!in_handler || o->heap->stop_signal != 0)) {
      world_rest(o); /* with the stack saved as before */
    }
  }
  return stopping;
}

/* Wait until all of the thread's resting mutators may run. None of its
 * mutators runs when this is called, so nobody waits for it meanwhile. */
static void world_resume(bool in_handler) {
  struct alm_heap *h;
  while (!in_handler && world_must_let_fork()) {
    uint32_t wanted = atomic_load_relaxed(&world_forks.wanted);
    if (wanted != 0) {
      os_futex_wait(&world_forks.wanted, wanted, 0);
    }
  }
  while ((h = world_resume_try(in_handler)) != NULL) {
    while (atomic_load_relaxed(&h->stop_wanted) != 0) {
      os_futex_wait(&h->stop_wanted, 1, 0);
    }
  }
  for (struct alm_mutator *o = world_mutators; o; o = o->next_of_thread) {
    if (o->state == MUTATOR_RUNNING) {
      o->saved.nframe = 0;
    }
  }
}

/* Not while the collector walks the list. */
static void world_insert(struct alm_heap *h, struct alm_mutator *m) {
  lock_acquire(&h->lock);
  while (h->stop_wanted != 0) {
    lock_release(&h->lock);
    os_futex_wait(&h->stop_wanted, 1, 0);
    lock_acquire(&h->lock);
  }
  m->state = MUTATOR_RESTING;
  list_push_back(&h->mutators, &m->link);
  h->stats.mutators++;
  lock_release(&h->lock);
}

enum alm_err world_attach(struct alm_heap *h, struct alm_mutator **out) {
  struct alm_stack own;
  memset(&own, 0, sizeof own);
  if (world_mutator(h) != NULL) {
    return ALM_EBUSY;
  }
  struct alm_mutator *m = stack_find(&own) ? world_take_record() : NULL;
  if (m == NULL) {
    return ALM_ENOMEM;
  }
  world_watch_thread();
  if (h->stop_signal != 0) {
    os_signal_unblock(h->stop_signal);
  }
  lock_section_begin();
  m->heap = h;
  m->thread_id = os_thread_id();
  m->is_signalled = false;
  m->thread = world_thread();
  m->head.stop_wanted = 0;
  m->head.store_wanted = 0;
  m->layouts_used = 0;
  m->refills = 0;
  m->unaccounted = 0;
  m->own = own;
  m->own.heap = h;
  m->head.stack = &m->own;
  m->is_packing = !h->options.base_pointers_only;
  m->next_of_thread = world_mutators;
  world_others_rest(m, false);
  stack_save(&m->saved);
  world_insert(h, m);
  world_mutators = m;
  world_resume(false);
  lock_section_end();
  *out = m;
  return ALM_OK;
}

static void world_unlink_own(struct alm_mutator *m) {
  struct alm_mutator **at = &world_mutators;
  while (*at != m) {
    at = &(*at)->next_of_thread;
  }
  *at = m->next_of_thread;
}

/* A system call's return is where a signal that was sent arrives. */
static void world_await_signal(bool is_signalled) {
  if (is_signalled) {
    os_yield();
  }
}

/* No longer in its thread's list, if there still is one. */
static void world_end_record(struct alm_heap *h, struct alm_mutator *m) {
  if (h->face != NULL) {
    h->face->detached(h->face->arg, m);
  }
  world_return_record(m);
}

void world_detach(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  lock_section_begin();
  if (m->state == MUTATOR_BLOCKED) {
    world_blocked_end(m);
  }
  local_flush(m);
  lock_acquire(&h->lock);
  list_remove(&m->link);
  m->state = MUTATOR_DETACHED;
  h->stats.mutators--;
  world_rest_locked(h);
  bool is_signalled = m->is_signalled;
  lock_release(&h->lock);
  world_await_signal(is_signalled);
  world_unlink_own(m);
  world_end_record(h, m);
  lock_section_end();
}

/* To alm_safepoint, or no longer. */
static void world_call_mutators_locked(struct alm_heap *h, uint32_t wanted) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    atomic_store_relaxed(&m->head.stop_wanted, wanted);
  }
}

static void world_want_stop_locked(struct alm_heap *h, uint32_t wanted) {
  atomic_store_relaxed(&h->stop_wanted, wanted);
  world_call_mutators_locked(h, wanted);
}

bool world_claim(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  for (struct alm_mutator *o = world_mutators; o; o = o->next_of_thread) {
    if (o != m && o->state == MUTATOR_RUNNING) {
      o->saved = m->saved; /* the caller's frame lives until world_start */
      world_rest(o);
    }
  }
  lock_acquire(&h->lock);
  if (h->is_collecting || world_must_let_fork()) {
    m->state = MUTATOR_RESTING;
    world_rest_locked(h);
    lock_release(&h->lock);
    world_resume(false);
    return false;
  }
  h->is_collecting = true;
  lock_release(&h->lock);
  return true;
}

static void world_signal_locked(struct alm_heap *h) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    if (m->state != MUTATOR_RUNNING) {
      continue;
    }
    m->is_signalled = true;
    if (!os_thread_signal(m->thread_id, h->stop_signal)) {
      m->state = MUTATOR_LOST;
      world_rest_locked(h);
    }
  }
}

/* The lock is given up while this waits. */
static void world_await_stopped_locked(struct alm_heap *h) {
  uint64_t patience_ns = 0, again_ns = 0;
  uint32_t n;
  while ((n = h->nrunning) != 0) {
    if (h->stop_signal != 0 && os_now_ns() >= again_ns) {
      world_signal_locked(h);
      patience_ns = patience_ns == 0 ? SIGNAL_AGAIN_NS_MIN : patience_ns * 2;
      patience_ns = min_size(patience_ns, SIGNAL_AGAIN_NS_MAX);
      again_ns = os_now_ns() + patience_ns;
    }
    lock_release(&h->lock);
    os_futex_wait(&h->nrunning, n, patience_ns);
    lock_acquire(&h->lock);
  }
}

static struct alm_mutator *world_next_lost(struct alm_heap *h) {
  struct alm_mutator *lost = NULL;
  lock_acquire(&h->lock);
  for (struct list_node *n = h->mutators.next; n != &h->mutators && !lost;
       n = n->next) {
    struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    lost = m->state == MUTATOR_LOST ? m : NULL;
  }
  if (lost != NULL) {
    list_remove(&lost->link);
    lost->state = MUTATOR_DETACHED;
    h->stats.mutators--;
  }
  lock_release(&h->lock);
  return lost;
}

/* The world is stopped. */
static void world_detach_lost(struct alm_heap *h) {
  struct alm_mutator *m;
  while ((m = world_next_lost(h)) != NULL) {
    local_flush(m);
    world_end_record(h, m);
  }
}

void world_stop(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  lock_acquire(&h->lock);
  world_want_stop_locked(h, 1);
  m->state = MUTATOR_RESTING;
  world_rest_locked(h);
  world_await_stopped_locked(h);
  lock_release(&h->lock);
  world_detach_lost(h);
}

void world_start(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  lock_acquire(&h->lock);
  h->is_collecting = false;
  world_want_stop_locked(h, 0);
  lock_release(&h->lock);
  os_futex_wake(&h->stop_wanted, UINT32_MAX >> 1);
  world_resume(false);
}

/* Inlined as world_others_rest is. */
ALM_INLINE void world_sleep(struct alm_mutator *m, bool in_handler) {
  world_others_rest(m, in_handler);
  stack_save(&m->saved);
  world_rest(m);
  world_resume(in_handler);
}

bool world_is_wanted(const struct alm_mutator *m) {
  return atomic_load_relaxed(&m->head.stop_wanted) != 0 ||
         world_must_let_fork();
}

void world_safepoint(struct alm_mutator *m) {
  lock_section_begin();
  if (atomic_load_relaxed(&m->heap->stop_wanted) != 0 ||
      world_must_let_fork()) {
    world_sleep(m, false);
  }
  lock_section_end();
}

/* In any thread, anywhere. */
static void world_signal_handler(int signal) {
  if (lock_nesting != 0) {
    return; /* at the end of its section, or with the next signal */
  }
  for (struct alm_mutator *m = world_mutators; m; m = m->next_of_thread) {
    if (m->state == MUTATOR_RUNNING && m->heap->stop_signal == signal &&
        atomic_load_relaxed(&m->heap->stop_wanted) != 0) {
      lock_section_begin();
      (void)atomic_add_relaxed(&world_forks.nhandling, 1);
      world_sleep(m, true);
      (void)atomic_add_release(&world_forks.nhandling, (uint32_t)-1);
      lock_section_end();
      return;
    }
  }
}

bool world_use_signal(int signal, bool is_ours) {
  return os_signal_claim(signal, world_signal_handler, is_ours);
}

void world_blocked_begin(struct alm_mutator *m, const void *top) {
  struct alm_heap *h = m->heap;
  lock_section_begin();
  stack_save(&m->saved);
  stack_copy_frame(&m->saved, top);
  lock_acquire(&h->lock);
  m->state = MUTATOR_BLOCKED;
  world_rest_locked(h);
  bool is_signalled = m->is_signalled;
  m->is_signalled = false;
  lock_release(&h->lock);
  world_await_signal(is_signalled);
  lock_section_end();
}

void world_blocked_end(struct alm_mutator *m) {
  lock_section_begin();
  world_others_rest(m, false);
  lock_acquire(&m->heap->lock);
  m->state = MUTATOR_RESTING; /* its stack stays saved as it was */
  lock_release(&m->heap->lock);
  world_resume(false);
  lock_section_end();
}

/* Not inlined: the stacks are saved in its frame. */
__attribute__((noinline)) void world_join(pthread_t thread) {
  lock_section_begin();
  world_others_rest(NULL, false);
  pthread_join(thread, NULL);
  world_resume(false);
  lock_section_end();
}

/* ---- guests ---------------------------------------------------------------- */

bool world_guest_begin(struct alm_heap *h) {
  lock_acquire(&h->lock);
  bool ok = h->stop_wanted == 0 && !world_must_let_fork();
  if (ok) {
    atomic_store_relaxed(&h->nrunning, h->nrunning + 1);
    atomic_store_relaxed(&h->nguests, h->nguests + 1);
  }
  lock_release(&h->lock);
  return ok;
}

void world_guest_end(struct alm_heap *h) {
  lock_acquire(&h->lock);
  world_rest_locked(h);
  atomic_store_relaxed(&h->nguests, h->nguests - 1);
  if (h->nguests == 0) {
    os_futex_wake(&h->nguests, UINT32_MAX >> 1);
  }
  lock_release(&h->lock); /* the heap may be gone from here on */
}

static void world_guest_stop_locked(struct alm_heap *h) {
  world_want_stop_locked(h, 1);
  world_rest_locked(h);
}

bool world_guest_claim(struct alm_heap *h) {
  lock_acquire(&h->lock);
  bool is_others = h->is_collecting || h->stop_wanted != 0;
  bool ok = !is_others && (h->nrunning == 1 || h->stop_signal != 0);
  if (ok) {
    h->is_collecting = true;
    if (h->stop_signal == 0) { /* nobody who begins to run can be waited for */
      world_guest_stop_locked(h);
    }
  } else if (!is_others) {
    world_call_mutators_locked(h, 1);
  }
  lock_release(&h->lock);
  return ok;
}

void world_guest_stop(struct alm_heap *h) {
  lock_acquire(&h->lock);
  if (h->stop_signal != 0) {
    world_guest_stop_locked(h);
    world_await_stopped_locked(h);
  }
  lock_release(&h->lock);
  world_detach_lost(h);
}

void world_guest_start(struct alm_heap *h) {
  lock_acquire(&h->lock);
  h->is_collecting = false;
  world_want_stop_locked(h, 0);
  atomic_store_relaxed(&h->nrunning, h->nrunning + 1);
  lock_release(&h->lock);
  os_futex_wake(&h->stop_wanted, UINT32_MAX >> 1);
}

void world_guests_wait(struct alm_heap *h) {
  uint32_t n;
  lock_acquire(&h->lock);
  while ((n = h->nguests) != 0) {
    lock_release(&h->lock);
    os_futex_wait(&h->nguests, n, 0);
    lock_acquire(&h->lock);
  }
  lock_release(&h->lock);
}

/* ---- fork ------------------------------------------------------------------ */

static struct alm_mutator *world_own(const struct alm_heap *h) {
  struct alm_mutator *own = world_mutator(h);
  return own != NULL && own->state == MUTATOR_RUNNING ? own : NULL;
}

/* All heaps' locks, with no collection under way; or none of them, and the
 * first heap that collects. */
static struct alm_heap *world_lock_all_try(void) {
  struct alm_heap *h, *busy = NULL;
  uint16_t order = 1;
  FOR_EACH_HEAP(h) {
    h->lock.subclass = order++;
    lock_acquire(&h->lock);
    if (h->is_collecting || atomic_load_acquire(&h->nbusy) != 0 ||
        atomic_load_acquire(&world_forks.nhandling) != 0) {
      busy = h;
      break;
    }
  }
  if (busy == NULL) {
    return NULL;
  }
  FOR_EACH_HEAP(h) {
    lock_release(&h->lock);
    if (h == busy) {
      break;
    }
  }
  return busy;
}

/* Nothing is held while waiting: whoever is waited for may want to make a heap
 * or be in one that this thread has to stop for. */
void world_fork_prepare(void) {
  world_is_forking = true;
  (void)atomic_add_relaxed(&world_forks.wanted, 1);
  for (;;) {
    heap_list_acquire();
    struct alm_heap *busy = world_lock_all_try();
    if (busy == NULL) {
      lock_acquire(&world_records.lock);
      return;
    }
    struct alm_mutator *own = world_own(busy);
    heap_list_release();
    if (own != NULL) {
      world_safepoint(own);
    }
    os_yield();
  }
}

/* Other threads do not exist in the child. What they owned belongs to nobody,
 * and what they were sweeping is swept again. */
static void world_forget_others(struct alm_heap *h) {
  h->nrunning = 0;
  h->nguests = 0;
  h->stats.mutators = 0;
  sweep_disown_locked(h);
  for (struct list_node *n = h->mutators.next; n != &h->mutators;) {
    struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    n = n->next;
    if (m->thread != world_thread()) {
      list_remove(&m->link);
      m->thread = NULL;
      continue;
    }
    h->stats.mutators++;
    m->thread_id = os_thread_id();
    h->nrunning += m->state == MUTATOR_RUNNING;
    for (unsigned i = 0; i < m->layouts_used; i++) {
      if (m->leases[i].span != NULL) {
        sweep_own_again_locked(m->leases[i].span);
      }
    }
  }
}

void world_fork_release(bool in_child) {
  struct alm_heap *h;
  if (in_child) {
    lock_reset_after_fork(&world_records.lock);
  } else {
    lock_release(&world_records.lock);
  }
  FOR_EACH_HEAP(h) {
    if (in_child) {
      world_forget_others(h);
      h->team = NULL;
      lock_reset_after_fork(&h->lock);
    } else {
      lock_release(&h->lock);
    }
  }
  heap_fork_release(in_child);
  world_is_forking = false;
  if (in_child) {
    atomic_store_relaxed(&world_forks.wanted, 0);
    atomic_store_relaxed(&world_forks.nhandling, 0);
  } else if (atomic_add_relaxed(&world_forks.wanted, (uint32_t)-1) == 1) {
    os_futex_wake(&world_forks.wanted, UINT32_MAX >> 1);
  }
}
