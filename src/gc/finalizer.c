/* gc/finalizer.c -- see finalizer.h. */
#include "finalizer.h"

#include "mem/metaalloc.h"
#include "os/os.h"
#include "special.h"
#include "world.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

enum {
  FINALIZER_STOPPED,
  FINALIZER_STARTING,
  FINALIZER_RUNNING,
  FINALIZER_STOPPING
};
enum { FINALIZER_SLEEPS, FINALIZER_WAKES };

/* Without memory for a mutator, or when a function has detached it. */
#define RETRY_NS ((uint64_t)100000000)

struct finalizer {
  struct alm_heap *heap; /* constant                                      */
  uint32_t state;        /* see STATES; acquire and release               */
  uint32_t wake;         /* futex; see HOW                                */
  const void *thread;    /* see world_thread; NULL: none; the heap's lock */
  pthread_t handle;      /* valid while running or stopping               */
};
static struct meta_pool finalizer_pool = {
    (sizeof(struct finalizer) + 15) / 16 * 16, NULL};

bool finalizer_create(struct alm_heap *h) {
  struct finalizer *f = meta_take(&finalizer_pool);
  if (f != NULL) {
    memset(f, 0, sizeof *f);
    f->heap = h;
    h->finalizer = f;
  }
  return f != NULL;
}

static bool finalizer_is_ending(const struct finalizer *f) {
  uint32_t state = atomic_load_acquire(&f->state);
  return state != FINALIZER_STARTING && state != FINALIZER_RUNNING;
}

static bool finalizer_has_work(struct alm_heap *h) {
  lock_acquire(&h->lock);
  bool any = h->stats.finalizers_queued > 0;
  lock_release(&h->lock);
  return any;
}

static void finalizer_set_thread(struct finalizer *f, const void *thread) {
  lock_acquire(&f->heap->lock);
  f->thread = thread;
  lock_release(&f->heap->lock);
}

/* Not inlined: its frame is gone, with the object, when the next one waits. */
static __attribute__((noinline)) bool finalizer_run_one(struct alm_heap *h) {
  alm_finalizer fn;
  void *object, *arg;
  if (!special_take_queued(h, &fn, &object, &arg)) {
    return false;
  }
  fn(object, arg);
  return true;
}

/* False: something is left, for later. */
static bool finalizer_drain(struct finalizer *f) {
  struct alm_heap *h = f->heap;
  struct alm_mutator *m;
  if (!finalizer_has_work(h)) {
    return true;
  }
  if (world_attach(h, &m) != ALM_OK) {
    return false;
  }
  while (!finalizer_is_ending(f) && finalizer_run_one(h) &&
         (m = world_mutator(h)) != NULL) {
    world_safepoint(m);
  }
  if (m != NULL) {
    world_detach(m);
  }
  return !finalizer_has_work(h);
}

static void *finalizer_main(void *arg) {
  struct finalizer *f = arg;
  (void)pthread_setname_np(pthread_self(), "almacen-final");
  finalizer_set_thread(f, world_thread());
  while (!finalizer_is_ending(f)) {
    atomic_store_release(&f->wake, FINALIZER_SLEEPS);
    atomic_fence(); /* pairs with the one in finalizer_destroy */
    bool is_done = finalizer_drain(f);
    if (!finalizer_is_ending(f)) {
      os_futex_wait(&f->wake, FINALIZER_SLEEPS, is_done ? 0 : RETRY_NS);
    }
  }
  finalizer_set_thread(f, NULL);
  return NULL;
}

static void finalizer_start(struct finalizer *f) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool ok = !os_fault_hit(OS_THREAD) &&
            pthread_create(&f->handle, NULL, finalizer_main, f) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  atomic_store_release(&f->state, ok ? FINALIZER_RUNNING : FINALIZER_STOPPED);
}

void finalizer_poke(struct alm_heap *h) {
  struct finalizer *f = h->finalizer;
  if (f == NULL || !finalizer_has_work(h)) {
    return;
  }
  uint32_t expected = FINALIZER_STOPPED;
  if (atomic_cas_acquire(&f->state, &expected, FINALIZER_STARTING)) {
    finalizer_start(f);
    return;
  }
  atomic_store_release(&f->wake, FINALIZER_WAKES);
  os_futex_wake(&f->wake, 1);
}

void finalizer_destroy(struct alm_heap *h) {
  struct finalizer *f = h->finalizer;
  uint32_t expected = FINALIZER_RUNNING;
  if (f == NULL) {
    return;
  }
  /* nobody starts it any more */
  if (atomic_cas_acquire(&f->state, &expected, FINALIZER_STOPPING)) {
    atomic_fence(); /* state is stored before wake is */
    atomic_store_release(&f->wake, FINALIZER_WAKES);
    os_futex_wake(&f->wake, 1);
    world_join(f->handle);
  }
  h->finalizer = NULL;
  meta_return(&finalizer_pool, f);
}

bool finalizer_is_alone(struct alm_heap *h) {
  bool is_alone = true;
  lock_acquire(&h->lock);
  const void *thread = h->finalizer ? h->finalizer->thread : NULL;
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    const struct alm_mutator *m = LIST_ELEMENT(n, struct alm_mutator, link);
    is_alone &= m->thread == thread && thread != world_thread();
  }
  lock_release(&h->lock);
  return is_alone;
}

void finalizer_forget_in_child(void) {
  struct alm_heap *h;
  FOR_EACH_HEAP(h) {
    struct finalizer *f = h->finalizer;
    if (f != NULL) {
      f->thread = NULL;
      atomic_store_relaxed(&f->state, FINALIZER_STOPPED); /* one thread */
    }
  }
}
