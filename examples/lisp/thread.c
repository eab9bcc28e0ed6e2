/* thread.c -- threads and mutexes of the language; see lisp.h.
 *
 * HOW     Each thread attaches a mutator of its own. What pthreads need lies
 *         outside the heap and is freed by a cleanup of the object in front
 *         of it. Whoever waits is between alm_blocked_begin and
 *         alm_blocked_end, so that the others can collect meanwhile.
 */
#define _POSIX_C_SOURCE 200809L
#include "lisp.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Belongs to the thread and to its object; freed by the last. */
struct thread {
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t ended;
  int owners;
  bool is_done;
  bool has_failed;           /* the object's value is what was raised */
  struct alm_handle *object; /* until the thread has it; then NULL */
};

struct monitor {
  pthread_mutex_t lock;
  pthread_cond_t changed;
};

/* ---- threads ------------------------------------------------------------- */

static void thread_release(struct thread *t) {
  pthread_mutex_lock(&t->lock);
  bool is_last = --t->owners == 0;
  pthread_mutex_unlock(&t->lock);
  if (is_last) {
    pthread_cond_destroy(&t->ended);
    pthread_mutex_destroy(&t->lock);
    free(t);
  }
}

static void thread_cleanup(void *object, void *arg) {
  (void)object;
  thread_release(arg);
}

static void thread_end(struct thread *t, bool has_failed) {
  pthread_mutex_lock(&t->lock);
  t->is_done = true;
  t->has_failed = has_failed;
  pthread_cond_broadcast(&t->ended);
  pthread_mutex_unlock(&t->lock);
  thread_release(t);
}

/* The thunk is the object's value; its result takes the place. */
static bool thread_run(struct vm *vm, struct extern_object *o) {
  struct catch c;
  catch_push(vm, &c, true, false);
  if (setjmp(c.jump) != 0) {
    put(vm, o, &o->value, vm->thrown);
    return false;
  }
  value v = vm_apply(vm, o->value, 0, NULL);
  catch_pop(vm, &c);
  put(vm, o, &o->value, v);
  return true;
}

static void *thread_main(void *arg) {
  struct thread *t = arg;
  struct vm vm;
  bool has_failed = true;
  if (vm_attach(&vm)) {
    struct extern_object *o = alm_handle_get(t->object);
    alm_handle_release(rt.heap, t->object);
    has_failed = !thread_run(&vm, o);
    vm_detach(&vm);
  }
  __atomic_sub_fetch(&rt.nthreads, 1, __ATOMIC_RELEASE);
  thread_end(t, has_failed);
  return NULL;
}

BUILTIN(b_thread_start) {
  struct thread *t = calloc(1, sizeof *t);
  if (t == NULL) {
    vm_raise(vm, rt.known.no_memory);
  }
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->ended, NULL);
  t->owners = 2;
  value v = make_extern(vm, T_THREAD, t, thread_cleanup);
  put(vm, object_of(v), &AS(extern_object, v)->value, argv[0]);
  t->object = alm_handle_create(vm->m, object_of(v));
  pthread_t thread;
  __atomic_add_fetch(&rt.nthreads, 1, __ATOMIC_RELAXED);
  if (t->object == NULL || !thread_create(&thread, thread_main, t)) {
    __atomic_sub_fetch(&rt.nthreads, 1, __ATOMIC_RELAXED);
    if (t->object != NULL) {
      alm_handle_release(rt.heap, t->object);
    }
    thread_release(t);
    fail_in(vm, "the system refuses a thread", argv[0]);
  }
  pthread_detach(thread);
  return v;
}

/* (thread-join thread): the value of the thunk; raises what it raised. */
BUILTIN(b_thread_join) {
  need(vm, argv[0], T_THREAD, "a thread");
  struct thread *t = AS(extern_object, argv[0])->outside;
  alm_blocked_begin(vm->m);
  pthread_mutex_lock(&t->lock);
  while (!t->is_done) pthread_cond_wait(&t->ended, &t->lock);
  bool has_failed = t->has_failed;
  pthread_mutex_unlock(&t->lock);
  alm_blocked_end(vm->m);
  value v = AS(extern_object, argv[0])->value;
  if (has_failed) {
    vm_raise(vm, v);
  }
  return v;
}

BUILTIN(b_thread_sleep) {
  int64_t ms = (int64_t)need_index(vm, argv[0], INT32_MAX);
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  alm_blocked_begin(vm->m);
  nanosleep(&t, NULL);
  alm_blocked_end(vm->m);
  return V_VOID;
}

/* ---- mutexes, each with a condition to wait for -------------------------- */

static void monitor_cleanup(void *object, void *arg) {
  (void)object;
  struct monitor *m = arg;
  pthread_cond_destroy(&m->changed);
  pthread_mutex_destroy(&m->lock);
  free(m);
}

BUILTIN(b_make_mutex) {
  struct monitor *m = calloc(1, sizeof *m);
  if (m != NULL) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_cond_init(&m->changed, NULL);
  }
  return make_extern(vm, T_MUTEX, m, monitor_cleanup);
}

static struct monitor *need_mutex(struct vm *vm, value v) {
  need(vm, v, T_MUTEX, "a mutex");
  return AS(extern_object, v)->outside;
}

BUILTIN(b_mutex_lock) {
  struct monitor *m = need_mutex(vm, argv[0]);
  int error = pthread_mutex_trylock(&m->lock);
  if (error != 0) {
    alm_blocked_begin(vm->m);
    error = pthread_mutex_lock(&m->lock);
    alm_blocked_end(vm->m);
  }
  if (error != 0) {
    fail_in(vm, "this thread has it already", argv[0]);
  }
  return V_VOID;
}

BUILTIN(b_mutex_unlock) {
  if (pthread_mutex_unlock(&need_mutex(vm, argv[0])->lock) != 0) {
    fail_in(vm, "this thread does not have it", argv[0]);
  }
  return V_VOID;
}

/* Unlock, wait for mutex-notify!, lock again. */
BUILTIN(b_mutex_wait) {
  struct monitor *m = need_mutex(vm, argv[0]);
  alm_blocked_begin(vm->m);
  int error = pthread_cond_wait(&m->changed, &m->lock);
  alm_blocked_end(vm->m);
  if (error != 0) {
    fail_in(vm, "this thread does not have it", argv[0]);
  }
  return V_VOID;
}

BUILTIN(b_mutex_notify) {
  pthread_cond_broadcast(&need_mutex(vm, argv[0])->changed);
  return V_VOID;
}

static const struct builtin_info table_thread[] = {
    {"thread-start", 1, 1, 0, b_thread_start},
    {"thread-join", 1, 1, 0, b_thread_join},
    {"thread-sleep", 1, 1, 0, b_thread_sleep},
    {"make-mutex", 0, 0, 0, b_make_mutex},
    {"mutex-lock!", 1, 1, 0, b_mutex_lock},
    {"mutex-unlock!", 1, 1, 0, b_mutex_unlock},
    {"mutex-wait!", 1, 1, 0, b_mutex_wait},
    {"mutex-notify!", 1, 1, 0, b_mutex_notify},
};

void builtins_thread(struct vm *vm) {
  builtin_define(vm, table_thread, COUNT(table_thread));
}
