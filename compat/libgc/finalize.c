/* compat/libgc/finalize.c -- finalizers.
 *
 * WHAT    One record an object at most, in a hash table; a queue of those that
 *         are to be called.
 * HOW     With the world stopped, after marking from the roots:
 *           1  short links to what is not marked are cleared (links.c)
 *           2  what objects with finalizers refer to is marked: all of it, but
 *              for pointers to themselves (ignore_self), or nothing of it
 *              (no_order)
 *           3  those that are still not marked are queued
 *           4  queued ones are marked with all they refer to; one that asked to
 *              be unreachable and is marked by that goes back to the table
 *           5  objects with a disclaim procedure are asked
 *           6  long links, and links within what is gone, are dropped
 *         The client's data is a root from registration until the call.
 * LOCKS   gc.lock; not while a finalizer runs.
 * SOURCE  The orders are those of bdwgc's gc.h.
 */
#include "libgc.h"

#include <string.h>

enum gc_order {
  ORDER_NORMAL,
  ORDER_IGNORE_SELF,
  ORDER_NONE,
  ORDER_UNREACHABLE
};

struct gc_finalizer {
  struct gc_finalizer *next;
  char *base;
  void *object; /* as registered: any pointer into it */
  size_t bytes;
  bool is_noscan;
  enum gc_order order;
  GC_finalization_proc fn;
  void *data;
};

static struct {
  struct gc_finalizer **buckets;
  size_t nbuckets; /* a power of two */
  size_t count;
  struct gc_finalizer *queue; /* the oldest */
  struct gc_finalizer **queue_end;
  size_t nqueued;   /* read by any, relaxed */
  GC_word notified; /* GC_gc_no when the client was last told */
  GC_await_finalize_proc await;
} gc_final = {.queue_end = &gc_final.queue, .notified = (GC_word)-1};

/* ---- the table ----------------------------------------------------------- */

static struct gc_finalizer **gc_final_bucket(const void *object) {
  uint64_t mixed = ((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15u;
  return &gc_final.buckets[(mixed >> 32) & (gc_final.nbuckets - 1)];
}

/* `object` NULL: any of the base's. */
static struct gc_finalizer **gc_final_find(const void *base,
                                           const void *object) {
  struct gc_finalizer **at = gc_final_bucket(base);
  while (*at != NULL &&
         ((*at)->base != base || (object != NULL && (*at)->object != object))) {
    at = &(*at)->next;
  }
  return at;
}

/* Without memory for a larger one the chains get longer; false: there is no
 * table at all. */
static bool gc_final_grow(void) {
  size_t nold = gc_final.nbuckets, n = nold ? 2 * nold : 256;
  struct gc_finalizer **old = gc_final.buckets;
  struct gc_finalizer **made = gc.core->meta_alloc(n * sizeof(void *));
  if (made == NULL) {
    return old != NULL;
  }
  gc_final.buckets = made;
  gc_final.nbuckets = n;
  for (size_t i = 0; i < nold; i++) {
    while (old[i] != NULL) {
      struct gc_finalizer *f = old[i];
      old[i] = f->next;
      struct gc_finalizer **at = gc_final_bucket(f->base);
      f->next = *at;
      *at = f;
    }
  }
  if (old != NULL) {
    gc.core->meta_free(old, nold * sizeof(void *));
  }
  return true;
}

static void gc_final_insert(struct gc_finalizer *f) {
  struct gc_finalizer **at = gc_final_bucket(f->base);
  f->next = *at;
  *at = f;
  gc_final.count++;
}

/* ---- registration -------------------------------------------------------- */

/* Set, replace or (fn NULL) remove. False: no memory; nothing has changed. */
static bool gc_final_set_locked(const struct alm_core_object *o,
                                struct gc_finalizer set,
                                GC_finalization_proc *old_fn, void **old_data) {
  struct gc_finalizer **at =
      gc_final.buckets ? gc_final_find(o->base, set.object) : NULL;
  struct gc_finalizer *f = at ? *at : NULL;
  GC_finalization_proc had_fn = f ? f->fn : NULL;
  void *had_data = f ? f->data : NULL;
  if (f == NULL && set.fn != NULL) {
    f = gc_final.count < 2 * gc_final.nbuckets || gc_final_grow()
            ? gc.core->meta_alloc(sizeof *f)
            : NULL;
    if (f == NULL) {
      return false;
    }
    *f = set;
    f->base = o->base;
    gc_final_insert(f);
  } else if (f != NULL && set.fn != NULL) {
    f->fn = set.fn;
    f->data = set.data;
    f->order = set.order;
  } else if (f != NULL) {
    *at = f->next;
    gc_final.count--;
    gc.core->meta_free(f, sizeof *f);
  }
  if (old_fn != NULL) {
    *old_fn = had_fn;
  }
  if (old_data != NULL) {
    *old_data = had_data;
  }
  return true;
}

static void gc_final_register(void *object, GC_finalization_proc fn, void *data,
                              GC_finalization_proc *old_fn, void **old_data,
                              enum gc_order order) {
  struct alm_core_object o;
  gc_start();
  if (GC_find_leak) {
    return;
  }
  if (!gc_find(object, &o)) {
    if (old_fn != NULL) {
      *old_fn = NULL;
    }
    if (old_data != NULL) {
      *old_data = NULL;
    }
    return;
  }
  struct gc_finalizer set = {.object = object,
                             .bytes = o.bytes,
                             .is_noscan = o.kind == ALM_NOSCAN,
                             .order = order,
                             .fn = fn,
                             .data = data};
  for (;;) {
    gc_lock();
    bool ok = gc_final_set_locked(&o, set, old_fn, old_data);
    gc_unlock();
    if (ok || gc_out_of_memory(sizeof set) == NULL) {
      return;
    }
  }
}

void GC_register_finalizer(void *object, GC_finalization_proc fn, void *data,
                           GC_finalization_proc *old_fn, void **old_data) {
  gc_final_register(object, fn, data, old_fn, old_data, ORDER_NORMAL);
}

void GC_register_finalizer_ignore_self(void *object, GC_finalization_proc fn,
                                       void *data, GC_finalization_proc *old_fn,
                                       void **old_data) {
  gc_final_register(object, fn, data, old_fn, old_data, ORDER_IGNORE_SELF);
}

void GC_register_finalizer_no_order(void *object, GC_finalization_proc fn,
                                    void *data, GC_finalization_proc *old_fn,
                                    void **old_data) {
  gc_final_register(object, fn, data, old_fn, old_data, ORDER_NONE);
}

void GC_register_finalizer_unreachable(void *object, GC_finalization_proc fn,
                                       void *data, GC_finalization_proc *old_fn,
                                       void **old_data) {
  gc_final_register(object, fn, data, old_fn, old_data, ORDER_UNREACHABLE);
}

void gc_finalizers_forget(void *object) {
  struct alm_core_object o = {.base = object};
  struct gc_finalizer none = {.fn = NULL};
  if (__atomic_load_n(&gc_final.count, __ATOMIC_RELAXED) == 0) {
    return;
  }
  gc_lock();
  while (*gc_final_find(object, NULL) != NULL) {
    (void)gc_final_set_locked(&o, none, NULL, NULL);
  }
  gc_unlock();
}

/* ---- deciding, with the world stopped ------------------------------------ */

static void gc_mark_pointer(struct alm_marker *m, void *const *at) {
  gc.core->mark_range(m, at, sizeof *at, false);
}

void gc_finalizers_mark(struct alm_marker *m) {
  for (size_t i = 0; i < gc_final.nbuckets; i++) {
    for (struct gc_finalizer *f = gc_final.buckets[i]; f; f = f->next) {
      gc_mark_pointer(m, &f->data);
    }
  }
  for (struct gc_finalizer *f = gc_final.queue; f != NULL; f = f->next) {
    gc_mark_pointer(m, &f->data);
    gc_mark_pointer(m, (void *const *)(const void *)&f->base);
  }
}

/* Every word but those that point into the object itself. */
static void gc_mark_but_self(struct alm_marker *m,
                             const struct gc_finalizer *f) {
  for (size_t i = 0; i + sizeof(uintptr_t) <= f->bytes && !f->is_noscan;
       i += sizeof(uintptr_t)) {
    uintptr_t word = *(uintptr_t *)(void *)(f->base + i);
    if (word - (uintptr_t)f->base >= f->bytes) {
      gc.core->mark_range(m, f->base + i, sizeof word, gc.is_base_only);
    }
  }
}

/* Step 2. */
static void gc_final_mark_contents(struct alm_marker *m) {
  for (size_t i = 0; i < gc_final.nbuckets; i++) {
    for (struct gc_finalizer *f = gc_final.buckets[i]; f; f = f->next) {
      if (gc.core->is_marked(f->base)) {
        continue;
      }
      if (f->order == ORDER_IGNORE_SELF) {
        gc_mark_but_self(m, f);
      } else if (f->order != ORDER_NONE) {
        gc.core->mark_contents(m, f->base);
      }
    }
  }
  gc.core->mark_drain(m);
}

/* Step 3: they go to the end of the queue; returns the first of them. */
static struct gc_finalizer **gc_final_queue_dead(void) {
  struct gc_finalizer **first = gc_final.queue_end;
  for (size_t i = 0; i < gc_final.nbuckets; i++) {
    struct gc_finalizer **at = &gc_final.buckets[i];
    while (*at != NULL) {
      struct gc_finalizer *f = *at;
      if (gc.core->is_marked(f->base)) {
        at = &f->next;
        continue;
      }
      *at = f->next;
      f->next = NULL;
      gc_final.count--;
      *gc_final.queue_end = f;
      gc_final.queue_end = &f->next;
    }
  }
  return first;
}

/* Step 4. */
static void gc_final_keep_queued(struct alm_marker *m,
                                 struct gc_finalizer **first) {
  for (struct gc_finalizer *f = *first; f != NULL; f = f->next) {
    if (f->order != ORDER_UNREACHABLE) {
      gc_mark_pointer(m, (void *const *)(const void *)&f->base);
    }
  }
  gc.core->mark_drain(m);
  for (struct gc_finalizer **at = first; *at != NULL;) {
    struct gc_finalizer *f = *at;
    if (f->order == ORDER_UNREACHABLE && gc.core->is_marked(f->base)) {
      *at = f->next;
      gc_final_insert(f);
      continue;
    }
    if (f->order == ORDER_UNREACHABLE) {
      gc_mark_pointer(m, (void *const *)(const void *)&f->base);
    }
    if (gc_final.await != NULL) {
      gc_final.await(f->object);
    }
    __atomic_store_n(&gc_final.nqueued, gc_final.nqueued + 1, __ATOMIC_RELAXED);
    at = &f->next;
    gc_final.queue_end = at;
  }
  if (*first == NULL) {
    gc_final.queue_end = first;
  }
  gc.core->mark_drain(m);
}

void gc_finalizers_report(void *arg, struct alm_marker *m) {
  (void)arg;
  struct alm_marker *old = gc_marker_set(m);
  gc_links_clear(false); /* 1 */
  if (gc_final.count > 0) {
    gc_final_mark_contents(m);                      /* 2 */
    gc_final_keep_queued(m, gc_final_queue_dead()); /* 3, 4 */
  }
  gc_kinds_disclaim(m); /* 5 */
  gc_control_find_leaks(m);
  gc_links_clear(true); /* 6 */
  gc_toggles_clear();
  (void)gc_marker_set(old);
}

/* They are marked in any case. */
void GC_push_finalizer_structures(void) {
}

/* ---- calling ------------------------------------------------------------- */

/* The oldest of the queue, into the caller's frame: from when the lock is free
 * nothing else keeps the object and the data. False: the queue is empty. */
static bool gc_final_take(struct gc_finalizer *out) {
  gc_lock();
  struct gc_finalizer *f = gc_final.queue;
  if (f != NULL) {
    *out = *f;
    gc_final.queue = f->next;
    if (f->next == NULL) {
      gc_final.queue_end = &gc_final.queue;
    }
    __atomic_store_n(&gc_final.nqueued, gc_final.nqueued - 1, __ATOMIC_RELAXED);
  }
  gc_unlock();
  if (f != NULL) {
    gc.core->meta_free(f, sizeof *f);
  }
  return f != NULL;
}

/* Not inlined: its frame, with the object, is gone before the next. */
static __attribute__((noinline)) bool gc_final_call_one(void) {
  struct gc_finalizer call;
  if (!gc_final_take(&call)) {
    return false;
  }
  call.fn(call.object, call.data);
  return true;
}

int GC_invoke_finalizers(void) {
  int n = 0;
  if (__atomic_load_n(&gc_final.nqueued, __ATOMIC_RELAXED) == 0 ||
      !gc_enter()) {
    return 0;
  }
  while (gc_final_call_one()) {
    n++;
  }
  return n;
}

int GC_should_invoke_finalizers(void) {
  return __atomic_load_n(&gc_final.nqueued, __ATOMIC_RELAXED) != 0;
}

bool gc_finalizers_wait(void) {
  return __atomic_load_n(&gc_final.nqueued, __ATOMIC_RELAXED) != 0 &&
         (!GC_finalize_on_demand || gc_final.notified != GC_gc_no);
}

/* Within a finalizer the queue waits; not for ever, because the finalizer may
 * have been left by longjmp. */
static bool gc_final_may_begin(struct gc_thread *t) {
  enum { POSTPONED_MAX = 8, NESTED_MAX = 16 };
  uint32_t most = (uint32_t)POSTPONED_MAX << t->finalizing;
  if (t->finalizing > 0 && ++t->postponed < most) {
    return false;
  }
  t->postponed = 0;
  t->finalizing += t->finalizing < NESTED_MAX ? 1 : 0;
  return true;
}

void gc_finalizers_offer(void) {
  struct gc_thread *t = gc_self;
  if (t == NULL || !gc_finalizers_wait()) {
    return;
  }
  if (!GC_finalize_on_demand) {
    if (gc_final_may_begin(t)) {
      (void)GC_invoke_finalizers();
      if (gc_self == t) {
        t->finalizing = 0; /* whatever was left amid it */
      }
    }
    return;
  }
  gc_lock();
  bool is_first = gc_final.notified != GC_gc_no;
  gc_final.notified = GC_gc_no;
  gc_unlock();
  GC_finalizer_notifier_proc notify = GC_finalizer_notifier;
  if (is_first && notify != NULL) {
    notify();
  }
}

/* All that are registered, reachable or not. */
void GC_finalize_all(void) {
  gc_start();
  for (;;) {
    gc_lock();
    for (size_t i = 0; i < gc_final.nbuckets; i++) {
      while (gc_final.buckets[i] != NULL) {
        struct gc_finalizer *f = gc_final.buckets[i];
        gc_final.buckets[i] = f->next;
        f->next = NULL;
        gc_final.count--;
        *gc_final.queue_end = f;
        gc_final.queue_end = &f->next;
        __atomic_store_n(&gc_final.nqueued, gc_final.nqueued + 1,
                         __ATOMIC_RELAXED);
      }
    }
    gc_unlock();
    if (GC_invoke_finalizers() == 0) {
      return;
    }
  }
}

void GC_set_await_finalize_proc(GC_await_finalize_proc proc) {
  gc_lock();
  gc_final.await = proc;
  gc_unlock();
}

GC_await_finalize_proc GC_get_await_finalize_proc(void) {
  gc_lock();
  GC_await_finalize_proc proc = gc_final.await;
  gc_unlock();
  return proc;
}

void GC_dump_finalization(void) {
  gc_lock();
  gc_show("%zu finalizers registered, %zu queued\n", gc_final.count,
          gc_final.nqueued);
  for (size_t i = 0; i < gc_final.nbuckets; i++) {
    for (struct gc_finalizer *f = gc_final.buckets[i]; f; f = f->next) {
      gc_show("  object %p of %zu bytes, data %p\n", (void *)f->base, f->bytes,
              f->data);
    }
  }
  gc_links_show();
  gc_unlock();
}
