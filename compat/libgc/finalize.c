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

enum gc_order {
  ORDER_NORMAL,
  ORDER_IGNORE_SELF,
  ORDER_NONE,
  ORDER_UNREACHABLE
};

struct gc_finalizer {
  struct gc_entry entry; /* by the object's base */
  void *object;          /* as registered: any pointer into it */
  size_t bytes;
  bool is_noscan;
  enum gc_order order;
  GC_finalization_proc fn;
  void *data;
};

static struct {
  struct gc_table table;
  struct gc_entry *queue; /* the oldest */
  struct gc_entry **queue_end;
  size_t nqueued;   /* read by any, relaxed */
  GC_word notified; /* GC_gc_no when the client was last told */
  GC_await_finalize_proc await;
} gc_final = {.queue_end = &gc_final.queue, .notified = (GC_word)-1};

/* ---- the table ----------------------------------------------------------- */

static struct gc_finalizer *gc_final_of(struct gc_entry *e) {
  return (struct gc_finalizer *)(void *)e;
}

/* As gc_table_find; `object` NULL: any of the base's. */
static struct gc_entry **gc_final_find(const void *base, const void *object) {
  struct gc_entry **at = gc_table_find(&gc_final.table, base);
  while (at != NULL && *at != NULL && object != NULL &&
         gc_final_of(*at)->object != object) {
    at = gc_chain_find(&(*at)->next, base);
  }
  return at;
}

/* From the table to the end of the queue. */
static void gc_final_queue(struct gc_entry **at) {
  struct gc_entry *e = gc_table_take(&gc_final.table, at);
  e->next = NULL;
  *gc_final.queue_end = e;
  gc_final.queue_end = &e->next;
}

/* ---- registration -------------------------------------------------------- */

/* Set, replace or (fn NULL) remove. False: no memory; nothing has changed. */
static bool gc_final_set_locked(const struct alm_core_object *o,
                                struct gc_finalizer set,
                                GC_finalization_proc *old_fn, void **old_data) {
  struct gc_entry **at = gc_final_find(o->base, set.object);
  struct gc_finalizer *f = at != NULL ? gc_final_of(*at) : NULL;
  GC_finalization_proc had_fn = f ? f->fn : NULL;
  void *had_data = f ? f->data : NULL;
  if (f == NULL && set.fn != NULL) {
    f = gc_table_has_room(&gc_final.table) ? gc.core->meta_alloc(sizeof *f)
                                           : NULL;
    if (f == NULL) {
      return false;
    }
    *f = set;
    f->entry.key = o->base;
    gc_table_insert(&gc_final.table, &f->entry);
  } else if (f != NULL && set.fn != NULL) {
    f->fn = set.fn;
    f->data = set.data;
    f->order = set.order;
  } else if (f != NULL) {
    gc.core->meta_free(gc_table_take(&gc_final.table, at), sizeof *f);
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
  if (__atomic_load_n(&gc_final.table.count, __ATOMIC_RELAXED) == 0) {
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
  for (size_t i = 0; i < gc_final.table.nchains; i++) {
    for (struct gc_entry *e = gc_final.table.chains[i]; e; e = e->next) {
      gc_mark_pointer(m, &gc_final_of(e)->data);
    }
  }
  for (struct gc_entry *e = gc_final.queue; e != NULL; e = e->next) {
    gc_mark_pointer(m, &gc_final_of(e)->data);
    gc_mark_pointer(m, &e->key);
  }
}

/* Every word but those that point into the object itself. */
static void gc_mark_but_self(struct alm_marker *m,
                             const struct gc_finalizer *f) {
  const uintptr_t *words = f->entry.key;
  for (size_t i = 0; i < f->bytes / sizeof *words && !f->is_noscan; i++) {
    if (words[i] - (uintptr_t)words >= f->bytes) {
      gc.core->mark_range(m, &words[i], sizeof *words, gc.is_base_only);
    }
  }
}

/* Step 2. */
static void gc_final_mark_contents(struct alm_marker *m) {
  for (size_t i = 0; i < gc_final.table.nchains; i++) {
    for (struct gc_entry *e = gc_final.table.chains[i]; e; e = e->next) {
      const struct gc_finalizer *f = gc_final_of(e);
      if (gc.core->is_marked(e->key)) {
        continue;
      }
      if (f->order == ORDER_IGNORE_SELF) {
        gc_mark_but_self(m, f);
      } else if (f->order != ORDER_NONE) {
        gc.core->mark_contents(m, e->key);
      }
    }
  }
  gc.core->mark_drain(m);
}

/* Step 3: they go to the end of the queue; returns the first of them. */
static struct gc_entry **gc_final_queue_dead(void) {
  struct gc_entry **first = gc_final.queue_end;
  for (size_t i = 0; i < gc_final.table.nchains; i++) {
    for (struct gc_entry **at = &gc_final.table.chains[i]; *at != NULL;) {
      if (gc.core->is_marked((*at)->key)) {
        at = &(*at)->next;
      } else {
        gc_final_queue(at);
      }
    }
  }
  return first;
}

/* Step 4. */
static void gc_final_keep_queued(struct alm_marker *m,
                                 struct gc_entry **first) {
  for (struct gc_entry *e = *first; e != NULL; e = e->next) {
    if (gc_final_of(e)->order != ORDER_UNREACHABLE) {
      gc_mark_pointer(m, &e->key);
    }
  }
  gc.core->mark_drain(m);
  for (struct gc_entry **at = first; *at != NULL;) {
    struct gc_entry *e = *at;
    const struct gc_finalizer *f = gc_final_of(e);
    if (f->order == ORDER_UNREACHABLE && gc.core->is_marked(e->key)) {
      *at = e->next;
      gc_table_insert(&gc_final.table, e);
      continue;
    }
    if (f->order == ORDER_UNREACHABLE) {
      gc_mark_pointer(m, &e->key);
    }
    if (gc_final.await != NULL) {
      gc_final.await(f->object);
    }
    __atomic_store_n(&gc_final.nqueued, gc_final.nqueued + 1, __ATOMIC_RELAXED);
    at = &e->next;
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
  if (gc_final.table.count > 0) {
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
  struct gc_entry *e = gc_final.queue;
  if (e != NULL) {
    *out = *gc_final_of(e);
    gc_final.queue = e->next;
    if (e->next == NULL) {
      gc_final.queue_end = &gc_final.queue;
    }
    __atomic_store_n(&gc_final.nqueued, gc_final.nqueued - 1, __ATOMIC_RELAXED);
  }
  gc_unlock();
  if (e != NULL) {
    gc.core->meta_free(e, sizeof *out);
  }
  return e != NULL;
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
    for (size_t i = 0; i < gc_final.table.nchains; i++) {
      while (gc_final.table.chains[i] != NULL) {
        gc_final_queue(&gc_final.table.chains[i]);
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
  gc_show("%zu finalizers registered, %zu queued\n", gc_final.table.count,
          gc_final.nqueued);
  for (size_t i = 0; i < gc_final.table.nchains; i++) {
    for (struct gc_entry *e = gc_final.table.chains[i]; e; e = e->next) {
      const struct gc_finalizer *f = gc_final_of(e);
      gc_show("  object %p of %zu bytes, data %p\n", e->key, f->bytes, f->data);
    }
  }
  gc_links_show();
  gc_unlock();
}
