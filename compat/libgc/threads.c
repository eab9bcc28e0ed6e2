/* compat/libgc/threads.c -- threads: registered, adopted, blocked, suspended;
 * their stacks.
 *
 * WHAT    GC_register_my_thread, GC_pthread_*, GC_do_blocking, stack bottoms,
 *         alternative stacks, and an interposed pthread_create.
 * HOW     A thread is a mutator of the core's from its registration, or from
 *         its first call that needs one, until it ends. What a thread is
 *         started with, and what it returns, lies in a *start record* until it
 *         has been joined; the records are roots. So they are for threads that
 *         were created by plain pthread_create, too: such a thread may get an
 *         object as its argument, and return one if it has used the heap.
 *         Start records are claimed and freed by compare-and-swap, because
 *         pthread_create may be called where a lock could not be waited for.
 * LOCKS   gc.lock: the ring of threads.
 * ORDER   gc_start.state: acquire to claim or to look, release to free.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "libgc.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { STARTS_PER_BLOCK = 255 };

/* What a record's state says in its lowest bits. Above it is a number, another
 * one for each thread: by that, who has seen a record and means to change it
 * finds that it has become another thread's. */
enum {
  RECORD_FREE,     /* the number is 0                            */
  RECORD_RUNS,     /* its thread's, or of who is about to free it */
  RECORD_DETACHED, /* likewise, and nobody will join             */
  RECORD_DONE,     /* who joins it frees it                      */
  RECORD_BITS = 2
};

struct gc_start {
  void *(*fn)(void *);
  void *arg;
  void *result;
  pthread_t id;   /* relaxed: others look for it                */
  uint64_t state; /* see RECORD_FREE                            */
  bool is_explicit;
};

struct gc_starts {
  struct gc_start at[STARTS_PER_BLOCK];
  struct gc_starts *next; /* set once, release; never freed */
};

static struct gc_starts gc_starts;
static uint64_t gc_starts_count; /* numbers given; relaxed */

/* ---- registration -------------------------------------------------------- */

static const char *gc_thread_pointer(void) {
  const char *p;
#ifdef __x86_64__
  __asm__("movq %%fs:0, %0" : "=r"(p));
#else
  __asm__("mrs %0, tpidr_el0" : "=r"(p));
#endif
  return p;
}

bool gc_thread_is_main(void) {
  return getpid() == (pid_t)syscall(SYS_gettid);
}

static void gc_thread_insert(struct gc_thread *t) {
  gc_lock();
  t->prev = gc.threads.prev;
  t->next = &gc.threads;
  t->prev->next = t;
  gc.threads.prev = t;
  gc_unlock();
}

bool gc_thread_register(bool is_explicit, void *stack_base) {
  int saved = errno;
  struct gc_thread *t = gc.core->meta_alloc(sizeof *t);
  struct alm_mutator *m = NULL;
  if (t == NULL || gc.core->attach(gc.heap, &m) != ALM_OK) {
    if (t != NULL) {
      gc.core->meta_free(t, sizeof *t);
    }
    errno = saved;
    return false;
  }
  t->mutator = m;
  t->id = pthread_self();
  t->thread_pointer = gc_thread_pointer();
  t->is_explicit = is_explicit;
  t->is_main = gc_thread_is_main();
  if (t->is_main) {
    t->bottom = GC_stackbottom;
    stack_base = stack_base != NULL ? stack_base : GC_stackbottom;
  }
  if (stack_base != NULL) {
    gc.core->set_stack(m, NULL, stack_base);
  }
  if (t->is_main && GC_stackbottom == NULL) {
    void *low, *high;
    gc.core->get_stack(m, &low, &high);
    GC_stackbottom = t->bottom = high;
  }
  gc_thread_insert(t);
  gc_self = t;
  gc_runs = ((struct alm_mutator_head *)(void *)m)->runs;
  errno = saved;
  return true;
}

/* NULL: its registration has not come to an end. */
static struct gc_thread *gc_thread_of_locked(const struct alm_mutator *m) {
  struct gc_thread *t = gc.threads.next;
  while (t != &gc.threads && t->mutator != m) {
    t = t->next;
  }
  return t != &gc.threads ? t : NULL;
}

void gc_thread_detached(void *arg, struct alm_mutator *m) {
  (void)arg;
  struct gc_thread *t = gc_self;
  if (t != NULL && t->mutator == m) {
    gc_self = NULL;
    gc_runs = gc_no_runs;
  } else {
    gc_lock();
    t = gc_thread_of_locked(m);
    gc_unlock();
  }
  if (t == NULL) {
    return;
  }
  /* who wants to suspend it has the lock, and must not wait for it */
  __atomic_store_n(&t->parked, PARKED_GONE, __ATOMIC_RELEASE);
  gc_lock();
  t->prev->next = t->next;
  t->next->prev = t->prev;
  gc_unlock();
  gc.core->meta_free(t, sizeof *t);
}

int GC_register_my_thread(const struct GC_stack_base *base) {
  gc_start();
  struct gc_thread *t = gc_self;
  if (t != NULL && t->is_explicit) {
    return GC_DUPLICATE;
  }
  if (t == NULL) {
    return gc_thread_register(true, base->mem_base) ? GC_SUCCESS : GC_NO_MEMORY;
  }
  t->is_explicit = true;
  gc.core->set_stack(t->mutator, NULL, base->mem_base);
  return GC_SUCCESS;
}

int GC_unregister_my_thread(void) {
  if (gc_self != NULL) {
    gc.core->detach(gc_self->mutator);
  }
  return GC_SUCCESS;
}

int GC_thread_is_registered(void) {
  return gc_self != NULL;
}

/* Threads may register at any time. */
void GC_allow_register_threads(void) {
}

void gc_threads_fork_child(void) {
  struct gc_thread *next;
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = next) {
    next = t->next;
    if (t != gc_self) {
      t->prev->next = t->next;
      t->next->prev = t->prev;
    } else if (!t->is_main) { /* GC_stackbottom is about it from here on */
      void *low, *high;
      gc.core->get_stack(t->mutator, &low, &high);
      GC_stackbottom = t->bottom = high;
      t->is_main = true;
    }
  }
  if (gc_self == NULL && !gc.is_main_forking) {
    GC_stackbottom = NULL; /* that of a thread which does not exist here */
  }
  for (struct gc_starts *b = &gc_starts; b != NULL; b = b->next) {
    for (int i = 0; i < STARTS_PER_BLOCK; i++) {
      if (!pthread_equal(b->at[i].id, pthread_self())) {
        b->at[i] = (struct gc_start){.state = RECORD_FREE};
      }
    }
  }
}

void gc_threads_tell(GC_on_thread_event_proc fn, GC_EventType event) {
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = t->next) {
    if (t != gc_self && !t->is_blocking) {
      fn(event, (void *)t->id);
    }
  }
}

/* ---- stacks -------------------------------------------------------------- */

int GC_get_stack_base(struct GC_stack_base *base) {
  pthread_attr_t attr;
  void *low;
  size_t bytes;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) {
    return GC_UNIMPLEMENTED;
  }
  bool ok = pthread_attr_getstack(&attr, &low, &bytes) == 0;
  pthread_attr_destroy(&attr);
  if (ok) {
    base->mem_base = (char *)low + bytes;
  }
  return ok ? GC_SUCCESS : GC_UNIMPLEMENTED;
}

void *GC_call_with_stack_base(GC_stack_base_func fn, void *arg) {
  struct GC_stack_base base;
  base.mem_base = (char *)__builtin_frame_address(0) + 2 * sizeof(void *);
  void *result = fn(&base, arg);
  __asm__ volatile("" : : "r"(&base) : "memory"); /* no tail call */
  return result;
}

void *GC_get_my_stackbottom(struct GC_stack_base *base) {
  void *low;
  if (!gc_enter()) {
    return NULL;
  }
  gc.core->get_stack(gc_self->mutator, &low, &base->mem_base);
  return gc_self;
}

void GC_set_stackbottom(void *thread, const struct GC_stack_base *base) {
  struct gc_thread *t = thread;
  if (t == NULL && !gc.is_started) { /* before GC_init: the main thread's */
    GC_stackbottom = base->mem_base;
    return;
  }
  if (t == NULL) {
    if (!gc_enter()) {
      return;
    }
    t = gc_self;
  }
  if (t->is_main) {
    GC_stackbottom = t->bottom = base->mem_base;
  }
  gc.core->set_stack(t->mutator, NULL, base->mem_base);
}

void gc_threads_see_bottom(void) {
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = t->next) {
    if (t->is_main && GC_stackbottom != t->bottom) {
      t->bottom = GC_stackbottom;
      gc.core->set_stack(t->mutator, NULL, t->bottom);
    }
  }
}

void GC_register_altstack(void *stack, GC_word stack_bytes, void *altstack,
                          GC_word altstack_bytes) {
  if (!gc_enter()) {
    return;
  }
  gc_lock();
  gc_self->stack_low = stack;
  gc_self->stack_high = (char *)stack + stack_bytes;
  gc_self->altstack_low = altstack;
  gc_self->altstack_high = (char *)altstack + altstack_bytes;
  gc_unlock();
}

/* The lowest page of [low, high) from which on all are mapped. */
static char *gc_lowest_mapped(char *low, char *high) {
  unsigned char residence;
  uintptr_t at = (uintptr_t)high & ~(uintptr_t)(OS_PAGE - 1);
  while (at - OS_PAGE >= (uintptr_t)low &&
         mincore((void *)(at - OS_PAGE), OS_PAGE, &residence) == 0) {
    at -= OS_PAGE;
  }
  return (char *)at;
}

/* A thread that was stopped on its alternative stack: that one from where it
 * is, and all of the one it has left. */
static void gc_mark_altstack(struct alm_marker *m, const struct gc_thread *t) {
  char *at = gc.core->stopped_at(t->mutator);
  char *low = t->altstack_low, *high = t->altstack_high;
  if (low == NULL || at < low || at >= high) {
    return;
  }
  at = (char *)((uintptr_t)at & ~(uintptr_t)7);
  gc.core->mark_range(m, at, (size_t)(high - at), false);
  char *mapped = gc_lowest_mapped(t->stack_low, t->stack_high);
  gc.core->mark_range(m, mapped, (size_t)((char *)t->stack_high - mapped),
                      false);
}

void gc_threads_mark(struct alm_marker *m) {
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = t->next) {
    gc_mark_altstack(m, t);
  }
  for (struct gc_starts *b = &gc_starts; b != NULL;
       b = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE)) {
    gc.core->mark_range(m, b->at, sizeof b->at, false);
  }
}

/* ---- blocked regions ----------------------------------------------------- */

/* The end of the frame of the function it is used in. */
#define GC_FRAME_TOP ((char *)__builtin_frame_address(0) + 2 * sizeof(void *))

static void gc_thread_block(struct gc_thread *t, const void *top) {
  t->is_blocking = true;
  gc_runs = gc_no_runs; /* so that it comes to gc_enter, should it allocate */
  (void)gc.core->blocked_begin(t->mutator, top);
}

void gc_thread_unblock(void) {
  struct gc_thread *t = gc_self;
  gc.core->blocked_end(t->mutator);
  gc_runs = ((struct alm_mutator_head *)(void *)t->mutator)->runs;
  t->is_blocking = false;
}

__attribute__((noinline)) void *GC_do_blocking(GC_fn_type fn, void *arg) {
  if ((gc_self != NULL && gc_self->is_blocking) || !gc_enter()) {
    return fn(arg);
  }
  gc_thread_block(gc_self, GC_FRAME_TOP);
  void *result = fn(arg);
  gc_thread_unblock();
  return result;
}

/* What lies between the two calls on the stack is scanned as well. */
__attribute__((noinline)) void *GC_call_with_gc_active(GC_fn_type fn,
                                                       void *arg) {
  if (gc_self == NULL || !gc_self->is_blocking) {
    return fn(arg);
  }
  gc_thread_unblock();
  void *result = fn(arg);
  gc_thread_block(gc_self, GC_FRAME_TOP);
  return result;
}

/* ---- stopping threads from outside --------------------------------------- */

void GC_stop_world_external(void) {
  if (!gc_enter()) {
    return;
  }
  gc_lock();
  while (!gc.core->world_stop(gc_self->mutator)) {}
}

void GC_start_world_external(void) {
  gc.core->world_start(gc_self->mutator);
  gc_unlock();
}

static void gc_futex(uint32_t *word, int operation, uint32_t value) {
  (void)syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL,
                NULL, 0);
}

/* In the thread that is to be suspended. Amid a section the signal comes
 * again. */
static void gc_suspend_handler(int signal) {
  (void)signal;
  struct gc_thread *t = gc_self;
  int saved = errno;
  if (t == NULL || gc.core->in_section() ||
      !__atomic_load_n(&t->is_suspended, __ATOMIC_RELAXED)) {
    return;
  }
  bool was_running = gc.core->blocked_begin(t->mutator, GC_FRAME_TOP);
  __atomic_store_n(&t->parked, PARKED, __ATOMIC_RELEASE);
  while (__atomic_load_n(&t->is_suspended, __ATOMIC_RELAXED)) {
    gc_futex(&t->parked, FUTEX_WAIT, PARKED);
  }
  __atomic_store_n(&t->parked, PARKED_NOT, __ATOMIC_RELEASE);
  if (was_running) {
    gc.core->blocked_end(t->mutator);
  }
  errno = saved;
}

static struct gc_thread *gc_thread_find_locked(pthread_t id) {
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = t->next) {
    if (pthread_equal(t->id, id)) {
      return t;
    }
  }
  return NULL;
}

void GC_suspend_thread(GC_SUSPEND_THREAD_ID id) {
  struct sigaction action = {.sa_handler = gc_suspend_handler,
                             .sa_flags = SA_RESTART};
  struct timespec pause = {0, 100000};
  gc_start();
  gc_lock();
  struct gc_thread *t = gc_thread_find_locked((pthread_t)id);
  if (t != NULL && t != gc_self && !t->is_suspended) {
    sigfillset(&action.sa_mask);
    (void)sigaction(GC_get_thr_restart_signal(), &action, NULL);
    __atomic_store_n(&t->is_suspended, true, __ATOMIC_RELAXED);
    uint32_t parked;
    while ((parked = __atomic_load_n(&t->parked, __ATOMIC_ACQUIRE)) ==
           PARKED_NOT) {
      (void)pthread_kill(t->id, GC_get_thr_restart_signal());
      nanosleep(&pause, NULL);
    }
    if (parked == PARKED_GONE) {
      __atomic_store_n(&t->is_suspended, false, __ATOMIC_RELAXED);
    }
  }
  gc_unlock();
}

void GC_resume_thread(GC_SUSPEND_THREAD_ID id) {
  gc_start();
  gc_lock();
  struct gc_thread *t = gc_thread_find_locked((pthread_t)id);
  if (t != NULL && t->is_suspended) {
    uint32_t parked = PARKED;
    __atomic_store_n(&t->is_suspended, false, __ATOMIC_RELAXED);
    /* unless it has seen that already */
    (void)__atomic_compare_exchange_n(&t->parked, &parked, PARKED_CALLED, false,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    gc_futex(&t->parked, FUTEX_WAKE, 1);
    while (__atomic_load_n(&t->parked, __ATOMIC_ACQUIRE) != PARKED_NOT) {
      sched_yield();
    }
  }
  gc_unlock();
}

int GC_is_thread_suspended(GC_SUSPEND_THREAD_ID id) {
  gc_start();
  gc_lock();
  struct gc_thread *t = gc_thread_find_locked((pthread_t)id);
  bool is = t != NULL && t->is_suspended;
  gc_unlock();
  return is;
}

/* ---- starting threads ---------------------------------------------------- */

typedef int (*gc_create_function)(pthread_t *id, const pthread_attr_t *attr,
                                  void *(*fn)(void *), void *arg);
typedef int (*gc_join_function)(pthread_t id, void **result);
typedef int (*gc_detach_function)(pthread_t id);

/* libc's, behind our own; or before it, where ours is not in the way. `known`
 * is what was found before, relaxed. */
static void *gc_next_symbol(void **known, const char *name) {
  void *p = __atomic_load_n(known, __ATOMIC_RELAXED);
  if (p != NULL) {
    return p;
  }
  p = dlsym(RTLD_NEXT, name);
  p = p != NULL ? p : dlsym(RTLD_DEFAULT, name);
  if (p == NULL) {
    gc_fail("the C library has no threads");
  }
  __atomic_store_n(known, p, __ATOMIC_RELAXED);
  return p;
}

static int gc_real_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*fn)(void *), void *arg) {
  static void *known;
  gc_create_function f =
      (gc_create_function)gc_next_symbol(&known, "pthread_create");
  return f(id, attr, fn, arg);
}

static unsigned gc_start_kind(uint64_t state) {
  return state & ((1u << RECORD_BITS) - 1);
}

static uint64_t gc_start_state(const struct gc_start *s) {
  return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

/* From a state that was seen to another kind. False: it has changed. */
static bool gc_start_turn(struct gc_start *s, uint64_t seen, unsigned kind) {
  uint64_t to = seen - gc_start_kind(seen) + kind;
  return __atomic_compare_exchange_n(&s->state, &seen, to, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static struct gc_start *gc_start_claim(unsigned kind) {
  uint64_t number = __atomic_add_fetch(&gc_starts_count, 1, __ATOMIC_RELAXED);
  for (struct gc_starts *b = &gc_starts;;) {
    for (int i = 0; i < STARTS_PER_BLOCK; i++) {
      uint64_t expected = RECORD_FREE;
      if (__atomic_compare_exchange_n(&b->at[i].state, &expected,
                                      number << RECORD_BITS | kind, false,
                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return &b->at[i];
      }
    }
    struct gc_starts *next = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE);
    if (next == NULL) {
      struct gc_starts *made = gc.core->meta_alloc(sizeof *made);
      if (made == NULL) {
        return NULL;
      }
      if (!__atomic_compare_exchange_n(&b->next, &next, made, false,
                                       __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
        gc.core->meta_free(made, sizeof *made);
      } else {
        next = made;
      }
    }
    b = next;
  }
}

/* The caller's own, see RECORD_RUNS. */
static void gc_start_free(struct gc_start *s) {
  s->arg = s->result = NULL;
  __atomic_store_n(&s->id, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&s->state, RECORD_FREE, __ATOMIC_RELEASE);
}

/* The next record of the thread after `s`, or the first one (NULL). */
static struct gc_start *gc_start_next(const struct gc_start *s, pthread_t id) {
  bool is_after = s == NULL;
  for (struct gc_starts *b = &gc_starts; b != NULL;
       b = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE)) {
    for (int i = 0; i < STARTS_PER_BLOCK; i++) {
      struct gc_start *at = &b->at[i];
      if (is_after && gc_start_kind(gc_start_state(at)) != RECORD_FREE &&
          pthread_equal(__atomic_load_n(&at->id, __ATOMIC_RELAXED), id)) {
        return at;
      }
      is_after |= at == s;
    }
  }
  return NULL;
}

/* The thread of that id was joined, and had no higher number than `most`: one
 * that came after it may have the same id. */
static void gc_start_joined(pthread_t id, uint64_t most) {
  struct gc_start *s = NULL;
  while ((s = gc_start_next(s, id)) != NULL) {
    uint64_t state = gc_start_state(s);
    if (gc_start_kind(state) == RECORD_DONE && state >> RECORD_BITS <= most &&
        gc_start_turn(s, state, RECORD_RUNS)) {
      gc_start_free(s);
    }
  }
}

/* The thread returns, exits, or is cancelled. */
static void gc_thread_over(void *arg) {
  struct gc_start *s = arg;
  s->arg = NULL;
  uint64_t state = gc_start_state(s);
  if (gc_self == NULL || gc_start_kind(state) == RECORD_DETACHED ||
      !gc_start_turn(s, state, RECORD_DONE)) {
    gc_start_free(s);
  }
}

static void *gc_thread_main(void *arg) {
  struct gc_start *s = arg;
  void *result;
  /* who had the id before may have been joined by another function than ours */
  gc_start_joined(pthread_self(), gc_start_state(s) >> RECORD_BITS);
  __atomic_store_n(&s->id, pthread_self(), __ATOMIC_RELAXED);
  if (s->is_explicit && !gc_thread_register(true, NULL)) {
    gc_warn("GC Warning: a thread could not be registered: %ld\n", ENOMEM);
  }
  pthread_cleanup_push(gc_thread_over, s);
  result = s->fn(s->arg);
  s->result = result;
  pthread_cleanup_pop(1);
  return result;
}

static int gc_thread_create(pthread_t *id, const pthread_attr_t *attr,
                            void *(*fn)(void *), void *arg, bool is_explicit) {
  int detached = PTHREAD_CREATE_JOINABLE;
  if (attr != NULL) {
    (void)pthread_attr_getdetachstate(attr, &detached);
  }
  struct gc_start *s = gc_start_claim(
      detached == PTHREAD_CREATE_DETACHED ? RECORD_DETACHED : RECORD_RUNS);
  if (s == NULL) {
    return is_explicit ? EAGAIN : gc_real_create(id, attr, fn, arg);
  }
  GC_start_mark_threads();
  s->fn = fn;
  s->arg = arg;
  s->is_explicit = is_explicit;
  int error = gc_real_create(id, attr, gc_thread_main, s);
  if (error != 0) {
    gc_start_free(s);
  }
  return error;
}

static int gc_real_join(pthread_t id, void **result) {
  static void *known;
  gc_join_function f = (gc_join_function)gc_next_symbol(&known, "pthread_join");
  return f(id, result);
}

static int gc_thread_join(pthread_t id, void **result) {
  uint64_t most = __atomic_load_n(&gc_starts_count, __ATOMIC_RELAXED);
  int error = gc_real_join(id, result);
  if (error == 0) {
    gc_start_joined(id, most);
  }
  return error;
}

static int gc_thread_detach(pthread_t id) {
  static void *known;
  gc_detach_function f =
      (gc_detach_function)gc_next_symbol(&known, "pthread_detach");
  struct gc_start *s = NULL;
  while ((s = gc_start_next(s, id)) != NULL) {
    uint64_t state = gc_start_state(s);
    if (gc_start_kind(state) == RECORD_RUNS) {
      (void)gc_start_turn(s, state, RECORD_DETACHED); /* or it is done now */
    }
  }
  gc_start_joined(id, UINT64_MAX);
  return f(id);
}

int GC_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                      void *(*fn)(void *), void *arg) {
  gc_start();
  return gc_thread_create(id, attr, fn, arg, true);
}

int GC_pthread_join(pthread_t id, void **result) {
  return gc_thread_join(id, result);
}

int GC_pthread_detach(pthread_t id) {
  return gc_thread_detach(id);
}

int GC_pthread_cancel(pthread_t id) {
  return pthread_cancel(id);
}

void GC_pthread_exit(void *result) {
  struct gc_start *s = gc_start_next(NULL, pthread_self());
  if (s != NULL) {
    s->result = result;
  }
  pthread_exit(result);
}

/* The suspend signal stays open. */
int GC_pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
  sigset_t own;
  if (set != NULL && how != SIG_UNBLOCK) {
    own = *set;
    sigdelset(&own, GC_get_suspend_signal());
    set = &own;
  }
  return pthread_sigmask(how, set, old);
}

void *GC_dlopen(const char *path, int mode) {
  return dlopen(path, mode);
}

/* Plain threads; see HOW. The names are libc's: the program's calls come here,
 * the library's own do not (compat/libgc_all.c). */
#define GC_INTERPOSED __attribute__((visibility("default")))

GC_INTERPOSED int pthread_create(pthread_t *restrict id,
                                 const pthread_attr_t *restrict attr,
                                 void *(*fn)(void *), void *restrict arg) {
  return gc.is_started ? gc_thread_create(id, attr, fn, arg, false)
                       : gc_real_create(id, attr, fn, arg);
}

GC_INTERPOSED int pthread_join(pthread_t id, void **result) {
  return gc_thread_join(id, result);
}

GC_INTERPOSED int pthread_detach(pthread_t id) {
  return gc_thread_detach(id);
}
