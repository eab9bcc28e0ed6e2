/* compat/libgc/roots.c -- where marking starts: static data, TLS, what the
 * client has registered.
 *
 * WHAT    GC_add_roots and its kin, the data segments of the program and of
 *         every object it has loaded, thread-local storage.
 * HOW     The segments are listed anew for each collection. The collector stops
 *         and marks inside a callback of dl_iterate_phdr, so that the dynamic
 *         linker's list of objects is locked by it until the world runs: no
 *         thread is stopped while it holds that lock, and nothing is unmapped
 *         that was listed. What became read-only after relocation (RELRO) has
 *         no pointers to the heap.
 *         Static TLS of a thread lies in its stack's mapping, above its first
 *         frame, and is scanned with it. The rest is found by way of the
 *         thread's vector of modules (dtv), as debuggers do.
 * LOCKS   gc.lock.
 * SOURCE  U. Drepper, "ELF handling for thread-local storage", 2005.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "libgc.h"

#include <link.h>
#include <sys/mman.h>

struct gc_range {
  uintptr_t low;
  uintptr_t high;
};

/* See gc_grown. */
struct gc_ranges {
  struct gc_range *at;
  size_t count;
  size_t room;
};

/* A loaded object's PT_TLS. */
struct gc_tls_module {
  size_t id;
  size_t bytes;
  uintptr_t own; /* the collector's block; 0: none */
};

enum { TLS_MODULES_MAX = 256 };

static struct {
  struct gc_ranges added;
  struct gc_ranges excluded;
  struct gc_ranges segments; /* of this collection */
  struct gc_tls_module modules[TLS_MODULES_MAX];
  size_t nmodules;
  bool was_unloaded;         /* an object, ever */
  bool is_incomplete;        /* the lists: no memory, or too many modules */
  struct alm_marker *marker; /* what is found is marked, not listed */
  GC_has_static_roots_func filter;
} gc_roots;

/* ---- ranges -------------------------------------------------------------- */

static bool gc_ranges_add(struct gc_ranges *r, uintptr_t low, uintptr_t high) {
  if (r->count == r->room) {
    struct gc_range *at = gc_grown(r->at, &r->room, sizeof *r->at);
    if (at == NULL) {
      return false;
    }
    r->at = at;
  }
  r->at[r->count++] = (struct gc_range){low, high};
  return true;
}

static bool gc_ranges_hold(const struct gc_ranges *r, uintptr_t low,
                           uintptr_t high) {
  for (size_t i = 0; i < r->count; i++) {
    if (r->at[i].low <= low && high <= r->at[i].high) {
      return true;
    }
  }
  return false;
}

/* All that lie within it. */
static void gc_ranges_remove(struct gc_ranges *r, uintptr_t low,
                             uintptr_t high) {
  size_t kept = 0;
  for (size_t i = 0; i < r->count; i++) {
    if (r->at[i].low < low || r->at[i].high > high) {
      r->at[kept++] = r->at[i];
    }
  }
  r->count = kept;
}

void GC_add_roots(void *low, void *high) {
  uintptr_t from = ((uintptr_t)low + 7) & ~(uintptr_t)7;
  uintptr_t end = (uintptr_t)high & ~(uintptr_t)7;
  gc_start();
  gc_lock();
  bool ok = from >= end || gc_ranges_hold(&gc_roots.added, from, end) ||
            gc_ranges_add(&gc_roots.added, from, end);
  gc_unlock();
  if (!ok) {
    gc_fail("GC_add_roots: no memory");
  }
}

void GC_remove_roots(void *low, void *high) {
  gc_start();
  gc_lock();
  gc_ranges_remove(&gc_roots.added, ((uintptr_t)low + 7) & ~(uintptr_t)7,
                   (uintptr_t)high);
  gc_unlock();
}

void GC_clear_roots(void) {
  gc_start();
  gc_lock();
  gc_roots.added.count = 0;
  gc_unlock();
}

void GC_exclude_static_roots(void *low, void *high) {
  gc_start();
  gc_lock();
  bool ok = gc_ranges_add(&gc_roots.excluded, (uintptr_t)low, (uintptr_t)high);
  gc_unlock();
  if (!ok) {
    gc_fail("GC_exclude_static_roots: no memory");
  }
}

void GC_clear_exclusion_table(void) {
  gc_lock();
  gc_roots.excluded.count = 0;
  gc_unlock();
}

void GC_register_has_static_roots_callback(GC_has_static_roots_func filter) {
  gc_lock();
  gc_roots.filter = filter;
  gc_unlock();
}

/* Clients call what they replace. */
static void GC_CALLBACK gc_push_nothing(void) {
}

/* In no header, but some clients declare and write it themselves. */
extern GC_push_other_roots_proc GC_push_other_roots
    __attribute__((visibility("default")));
GC_push_other_roots_proc GC_push_other_roots = gc_push_nothing;

void GC_set_push_other_roots(GC_push_other_roots_proc proc) {
  gc_lock();
  GC_push_other_roots = proc;
  gc_unlock();
}

GC_push_other_roots_proc GC_get_push_other_roots(void) {
  gc_lock();
  GC_push_other_roots_proc proc = GC_push_other_roots;
  gc_unlock();
  return proc;
}

/* ---- marking ------------------------------------------------------------- */

/* The next excluded range at or after `from`; {end, end}: none before end. */
static struct gc_range gc_next_excluded(uintptr_t from, uintptr_t end) {
  struct gc_range next = {end, end};
  for (size_t i = 0; i < gc_roots.excluded.count; i++) {
    const struct gc_range *r = &gc_roots.excluded.at[i];
    if (r->high > from && r->low < next.low) {
      next = *r;
    }
  }
  return next;
}

static void gc_mark_static(struct alm_marker *m, const struct gc_range *r) {
  uintptr_t from = r->low;
  while (from < r->high) {
    struct gc_range x = gc_next_excluded(from, r->high);
    if (from < x.low) {
      gc.core->mark_range(m, (void *)from, x.low - from, gc.is_base_only);
    }
    from = x.high;
  }
}

static bool gc_is_mapped(uintptr_t at, size_t bytes) {
  enum { PAGES = 256 };
  unsigned char residence[PAGES];
  uintptr_t from = at & ~(uintptr_t)(OS_PAGE - 1), end = at + bytes;
  for (; from < end; from += PAGES * OS_PAGE) {
    size_t n = end - from < PAGES * OS_PAGE ? end - from : PAGES * OS_PAGE;
    if (mincore((void *)from, n, residence) != 0) {
      return false;
    }
  }
  return true;
}

/* The thread's block of a module, by its dtv; 0: it has none. A thread that has
 * not come to the dynamic linker since an object was unloaded has that one's
 * block still, perhaps a shorter one, though the number is another's now. */
static uintptr_t gc_tls_block(const char *thread_pointer,
                              const struct gc_tls_module *module) {
  size_t id = module->id;
#ifdef __x86_64__
  void *const *dtv = *(void *const *const *)(thread_pointer + sizeof(void *));
#else
  void *const *dtv = *(void *const *const *)thread_pointer;
#endif
  /* pairs of words: length before it, generation, then for each a block and
   * what is to be freed with it */
  if (dtv == NULL || id > (uintptr_t)dtv[-2] || dtv[2 * id] == (void *)-1) {
    return 0;
  }
  uintptr_t at = (uintptr_t)dtv[2 * id];
  bool is_sure = !gc_roots.was_unloaded || dtv[2 * id + 1] == NULL;
  return is_sure || gc_is_mapped(at, module->bytes) ? at : 0;
}

static void gc_mark_tls(struct alm_marker *m,
                        const struct gc_tls_module *module) {
  for (struct gc_thread *t = gc.threads.next; t != &gc.threads; t = t->next) {
    uintptr_t at =
        t == gc_self ? module->own : gc_tls_block(t->thread_pointer, module);
    uintptr_t from = (at + 7) & ~(uintptr_t)7;
    uintptr_t end = (at + module->bytes) & ~(uintptr_t)7;
    if (at != 0 && from < end) {
      gc.core->mark_range(m, (void *)from, end - from, gc.is_base_only);
    }
  }
}

/* ---- loaded objects ------------------------------------------------------ */

static bool gc_is_ours(uintptr_t low, uintptr_t high) {
  uintptr_t state = (uintptr_t)&gc, core = (uintptr_t)gc.core;
  return (low <= state && state < high) || (low <= core && core < high);
}

/* The tables of the core and our own state are no roots. */
static bool gc_object_is_ours(const struct dl_phdr_info *object) {
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    uintptr_t low = object->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_LOAD && gc_is_ours(low, low + p->p_memsz)) {
      return true;
    }
  }
  return false;
}

static void gc_found_segment(uintptr_t from, uintptr_t end) {
  struct gc_range range = {from, end};
  if (gc_roots.marker != NULL) {
    gc_mark_static(gc_roots.marker, &range);
  } else if (!gc_ranges_add(&gc_roots.segments, from, end)) {
    gc_roots.is_incomplete = true;
  }
}

static void gc_list_segment(const struct dl_phdr_info *object, uintptr_t low,
                            uintptr_t high, const struct gc_range *relro) {
  bool is_cut =
      low <= relro->low && relro->high <= high && relro->low < relro->high;
  struct gc_range parts[2] = {{low, is_cut ? relro->low : high},
                              {is_cut ? relro->high : high, high}};
  for (int i = 0; i < 2; i++) {
    uintptr_t from = (parts[i].low + 7) & ~(uintptr_t)7;
    uintptr_t end = parts[i].high & ~(uintptr_t)7;
    if (from < end &&
        (gc_roots.filter == NULL ||
         gc_roots.filter(object->dlpi_name, (void *)from, end - from))) {
      gc_found_segment(from, end);
    }
  }
}

static void gc_list_tls(const struct dl_phdr_info *object, size_t bytes) {
  struct gc_tls_module module = {object->dlpi_tls_modid, bytes,
                                 (uintptr_t)object->dlpi_tls_data};
  if (module.id == 0) {
    return;
  }
  if (gc_roots.marker != NULL) {
    gc_mark_tls(gc_roots.marker, &module);
  } else if (gc_roots.nmodules < TLS_MODULES_MAX) {
    gc_roots.modules[gc_roots.nmodules++] = module;
  } else {
    gc_roots.is_incomplete = true;
  }
}

static int gc_list_object(struct dl_phdr_info *object, size_t size, void *arg) {
  (void)size;
  (void)arg;
  struct gc_range relro = {0, 0};
  gc_roots.was_unloaded = object->dlpi_subs != 0;
  if (gc_object_is_ours(object)) {
    return 0;
  }
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    uintptr_t low = object->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_GNU_RELRO) {
      relro = (struct gc_range){low, low + p->p_memsz};
    } else if (p->p_type == PT_TLS) {
      gc_list_tls(object, p->p_memsz);
    }
  }
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    uintptr_t low = object->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_LOAD && (p->p_flags & PF_W)) {
      gc_list_segment(object, low, low + p->p_memsz, &relro);
    }
  }
  return 0;
}

struct gc_held {
  void (*run)(void *what);
  void *what;
};

static int gc_run_held(struct dl_phdr_info *object, size_t size, void *arg) {
  (void)object;
  (void)size;
  const struct gc_held *h = arg;
  if (!GC_no_dls) {
    (void)dl_iterate_phdr(gc_list_object, NULL);
  }
  h->run(h->what);
  return 1;
}

void gc_roots_hold(void *arg, void (*run)(void *what), void *what) {
  (void)arg;
  struct gc_held h = {run, what};
  gc_roots.segments.count = 0;
  gc_roots.nmodules = 0;
  gc_roots.is_incomplete = false;
  (void)dl_iterate_phdr(gc_run_held, &h);
}

void gc_roots_report(void *arg, struct alm_marker *m) {
  (void)arg;
  struct alm_marker *old = gc_marker_set(m);
  for (size_t i = 0; i < gc_roots.segments.count; i++) {
    gc_mark_static(m, &gc_roots.segments.at[i]);
  }
  for (size_t i = 0; i < gc_roots.added.count; i++) {
    gc_mark_static(m, &gc_roots.added.at[i]);
  }
  for (size_t i = 0; i < gc_roots.nmodules; i++) {
    gc_mark_tls(m, &gc_roots.modules[i]);
  }
  if (gc_roots.is_incomplete && !GC_no_dls) { /* as gc_run_held, once more */
    gc_roots.marker = m;
    (void)dl_iterate_phdr(gc_list_object, NULL);
    gc_roots.marker = NULL;
  }
  gc_threads_mark(m);
  gc_toggles_mark(m);
  gc_finalizers_mark(m);
  if (GC_push_other_roots != NULL) {
    GC_push_other_roots();
  }
  (void)gc_marker_set(old);
}

/* ---- questions ----------------------------------------------------------- */

bool gc_roots_include(const void *p) {
  gc_lock();
  bool found = gc_ranges_hold(&gc_roots.added, (uintptr_t)p, (uintptr_t)p + 1);
  gc_unlock();
  return found;
}

int GC_is_tmp_root(void *p) {
  uintptr_t at = (uintptr_t)p;
  gc_lock();
  bool found = gc_ranges_hold(&gc_roots.segments, at, at + 1);
  gc_unlock();
  return found;
}

void GC_dump_regions(void) {
  gc_lock();
  for (size_t i = 0; i < gc_roots.segments.count; i++) {
    gc_show("segment %p-%p\n", (void *)gc_roots.segments.at[i].low,
            (void *)gc_roots.segments.at[i].high);
  }
  for (size_t i = 0; i < gc_roots.added.count; i++) {
    gc_show("roots %p-%p\n", (void *)gc_roots.added.at[i].low,
            (void *)gc_roots.added.at[i].high);
  }
  gc_unlock();
}
