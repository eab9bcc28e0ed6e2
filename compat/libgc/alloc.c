/* compat/libgc/alloc.c -- objects: making, freeing, asking about them.
 *
 * WHAT    GC_malloc and its kin. The fast path is a bump of the mutator's run
 *         (almacen_inline.h): a table gives class and slot for the size.
 * HOW     With GC_all_interior_pointers each collectable object gets a byte
 *         more than asked for, so that a pointer one past its end is inside.
 * LOCKS   none on the fast path.
 * COST    16 instructions when the run has a slot.
 */
#include "libgc.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>

enum { MANY_BYTES_MAX = 4096 };

/* ---- making -------------------------------------------------------------- */

/* The next slot of the run for n bytes, n <= SMALL_MAX; NULL: it is empty. */
static inline void *gc_bump(uint32_t layouts, size_t n) {
  struct gc_step step = gc_step_of(n);
  struct alm_run *run = &gc_runs[layouts + step.class];
  char *p = run->next;
  if (GC_UNLIKELY(p == run->end)) {
    return NULL;
  }
  run->next = p + (size_t)step.granules * GRANULE;
  return p;
}

static bool gc_is_atomic(unsigned kind) {
  return kind == KIND_ATOMIC || kind == KIND_ATOMIC_UNCOLLECTABLE;
}

static GC_COLD void *gc_alloc_slow(unsigned kind, size_t bytes, size_t extra) {
  size_t n;
  if (!gc_enter() || !gc_kind_ready(kind)) {
    return gc_out_of_memory(bytes);
  }
  if (__builtin_add_overflow(bytes, extra & gc.extra, &n)) {
    return gc_out_of_memory(bytes);
  }
  uint32_t layouts = gc.kinds[kind].layouts;
  struct alm_mutator *m = gc_self->mutator;
  void *p;
  if (n > SMALL_MAX) {
    p = gc.core->take_large(m, layouts, n, !gc_is_atomic(kind));
    gc_control_see_size();
  } else {
    p = gc.core->take(m, layouts + gc_step_of(n).class);
  }
  if (GC_UNLIKELY(gc_finalizers_wait())) {
    gc_finalizers_offer();
  }
  return GC_LIKELY(p != NULL) ? p : gc_out_of_memory(bytes);
}

/* In a heap with holes most runs are short. */
static GC_HOT __attribute__((noinline)) void *gc_alloc_next(unsigned kind,
                                                            size_t bytes,
                                                            size_t extra) {
  const struct gc_thread *t = gc_self;
  uint32_t layouts = gc.kinds[kind].layouts;
  size_t n = bytes + (extra & gc.extra);
  if (GC_LIKELY(t != NULL && !t->is_blocking && layouts != NO_LAYOUTS &&
                n - 1 < SMALL_MAX)) {
    uint32_t index = layouts + gc_step_of(n).class;
    if (GC_LIKELY(gc.core->next_run(t->mutator, index))) {
      return gc_bump(layouts, n);
    }
  }
  return gc_alloc_slow(kind, bytes, extra);
}

static inline void *gc_alloc_fast(unsigned kind, size_t bytes, size_t extra) {
  size_t n = bytes + (extra & gc.extra);
  if (GC_LIKELY(n - 1 < SMALL_MAX)) {
    void *p = gc_bump(gc.kinds[kind].layouts, n);
    if (GC_LIKELY(p != NULL)) {
      return p;
    }
  }
  return gc_alloc_next(kind, bytes, extra);
}

void *gc_alloc(unsigned kind, size_t bytes) {
  return gc_alloc_fast(kind, bytes, 1);
}

GC_HOT void *GC_malloc(size_t bytes) {
  return gc_alloc_fast(KIND_NORMAL, bytes, 1);
}

GC_HOT void *GC_malloc_atomic(size_t bytes) {
  return gc_alloc_fast(KIND_ATOMIC, bytes, 1);
}

/* GC_non_gc_bytes is the sum of what is uncollectable, and what the client says
 * of its own. */
static void gc_count_uncollectable(size_t bytes) {
  (void)__atomic_fetch_add(&GC_non_gc_bytes, bytes, __ATOMIC_RELAXED);
}

static void *gc_alloc_uncollectable(unsigned kind, size_t bytes) {
  void *p = gc_alloc_fast(kind, bytes, 0);
  if (GC_LIKELY(p != NULL)) {
    gc_count_uncollectable(bytes <= SMALL_MAX
                               ? gc_slot_bytes(bytes)
                               : (bytes + PAGE - 1) / PAGE * PAGE);
  }
  return p;
}

void *GC_malloc_uncollectable(size_t bytes) {
  return gc_alloc_uncollectable(KIND_UNCOLLECTABLE, bytes);
}

void *GC_malloc_atomic_uncollectable(size_t bytes) {
  return gc_alloc_uncollectable(KIND_ATOMIC_UNCOLLECTABLE, bytes);
}

/* A pointer to anywhere in the object keeps it, which is more than asked. */
void *GC_malloc_ignore_off_page(size_t bytes) {
  return gc_alloc_fast(KIND_NORMAL, bytes, 1);
}

void *GC_malloc_atomic_ignore_off_page(size_t bytes) {
  return gc_alloc_fast(KIND_ATOMIC, bytes, 1);
}

void *GC_malloc_stubborn(size_t bytes) {
  return GC_malloc(bytes);
}

/* ---- kinds by number ----------------------------------------------------- */

static unsigned gc_checked_kind(int kind, const char *call) {
  if (kind < 0 || kind >= KINDS_MAX || !gc.kinds[kind].is_used) {
    gc_print("%s: %d is not an object kind\n", call, kind);
    gc_fail("unknown object kind");
  }
  return (unsigned)kind;
}

void *GC_generic_malloc(size_t bytes, int kind) {
  gc_start();
  return gc_alloc(gc_checked_kind(kind, "GC_generic_malloc"), bytes);
}

void *GC_generic_malloc_ignore_off_page(size_t bytes, int kind) {
  return GC_generic_malloc(bytes, kind);
}

void *GC_generic_malloc_uncollectable(size_t bytes, int kind) {
  gc_start();
  unsigned checked = gc_checked_kind(kind, "GC_generic_malloc_uncollectable");
  return gc_alloc_uncollectable(checked, bytes);
}

void *GC_generic_or_special_malloc(size_t bytes, int kind) {
  return kind == KIND_UNCOLLECTABLE || kind == KIND_ATOMIC_UNCOLLECTABLE
             ? GC_generic_malloc_uncollectable(bytes, kind)
             : GC_generic_malloc(bytes, kind);
}

void *GC_malloc_kind(size_t bytes, int kind) {
  return GC_generic_malloc(bytes, kind);
}

void *GC_malloc_kind_global(size_t bytes, int kind) {
  return GC_generic_malloc(bytes, kind);
}

/* Link what the run has, but for `*left` bytes at most, behind the list's last
 * object; the new last one. */
static void *gc_link_run(struct alm_run *run, size_t slot, size_t *left,
                         void *last) {
  char *p = run->next;
  size_t bytes = (size_t)(run->end - p);
  bytes = bytes < *left ? bytes : *left / slot * slot;
  for (char *end = p + bytes; p != end; p += slot) {
    *(void **)last = p;
    last = p;
  }
  run->next = p;
  *left -= bytes;
  return last;
}

/* A list of what is at hand: nothing collects amid it. */
void GC_generic_malloc_many(size_t bytes, int kind, void **result) {
  void *first = GC_generic_malloc(bytes, kind);
  *result = first;
  size_t n = bytes + gc.extra;
  if (first == NULL || n > SMALL_MAX) {
    if (first != NULL) {
      *(void **)first = NULL;
    }
    return;
  }
  size_t slot = gc_slot_bytes(n);
  size_t left = slot < MANY_BYTES_MAX ? MANY_BYTES_MAX - slot : 0;
  uint32_t index = gc.kinds[kind].layouts + gc_step_of(n).class;
  void *last = first;
  gc.core->section_begin();
  do {
    last = gc_link_run(&gc_runs[index], slot, &left, last);
  } while (left >= slot && gc.core->next_run(gc_self->mutator, index));
  *(void **)last = NULL;
  gc.core->section_end(gc_self->mutator);
}

void *GC_malloc_many(size_t bytes) {
  void *list;
  GC_generic_malloc_many(bytes, KIND_NORMAL, &list);
  return list;
}

/* ---- finding ------------------------------------------------------------- */

bool gc_find(const void *p, struct alm_core_object *out) {
  return gc.heap != NULL && gc.core->find(gc.heap, p, out);
}

unsigned gc_kind_of(const struct alm_core_object *o) {
  if (o->arg != NULL) {
    return (unsigned)((struct gc_kind *)o->arg - gc.kinds);
  }
  if (o->kind == ALM_NOSCAN) {
    return o->is_root ? KIND_ATOMIC_UNCOLLECTABLE : KIND_ATOMIC;
  }
  return o->is_root ? KIND_UNCOLLECTABLE : KIND_NORMAL;
}

void *GC_base(void *p) {
  struct alm_core_object o;
  return gc_find(p, &o) ? o.base : NULL;
}

int GC_is_heap_ptr(const void *p) {
  struct alm_core_object o;
  return gc_find(p, &o);
}

size_t GC_size(const void *p) {
  struct alm_core_object o;
  return gc_find(p, &o) ? o.bytes : 0;
}

int GC_get_kind_and_size(const void *p, size_t *bytes) {
  struct alm_core_object o;
  if (!gc_find(p, &o)) {
    gc_print("GC_get_kind_and_size: %p is no object of the heap\n", p);
    gc_fail("no object of the heap");
  }
  if (bytes != NULL) {
    *bytes = o.bytes;
  }
  return (int)gc_kind_of(&o);
}

size_t GC_get_size_map_at(int bytes) {
  gc_start();
  return bytes >= 0 && (size_t)bytes + gc.extra <= SMALL_MAX
             ? gc_slot_bytes((size_t)bytes + gc.extra)
             : (size_t)-1;
}

/* ---- freeing ------------------------------------------------------------- */

/* GC_memalign may have returned a page of a larger object. */
static bool gc_is_aligned_inside(const struct alm_core_object *o,
                                 const void *p) {
  return o->bytes > SMALL_MAX &&
         ((uintptr_t)p - (uintptr_t)o->base) % PAGE == 0;
}

/* The object that the client means by p; anything else ends the program. */
static void gc_find_start(const void *p, const char *call,
                          struct alm_core_object *o) {
  if (!gc_find(p, o)) {
    gc_print("%s: %p is not an object of the heap in use\n", call, p);
    gc_fail("bad pointer");
  }
  if (o->base != p && !gc_is_aligned_inside(o, p)) {
    gc_print("%s: %p lies %zu bytes inside an object of %zu\n", call, p,
             (size_t)((const char *)p - o->base), o->bytes);
    gc_fail("bad pointer");
  }
}

void GC_free(void *p) {
  struct alm_core_object o;
  if (p == NULL) {
    return;
  }
  gc_find_start(p, "GC_free", &o);
  gc_finalizers_forget(o.base);
  if (o.is_root) {
    gc_count_uncollectable(-o.slot_bytes);
  }
  bool has_mutator = gc_self != NULL && gc_enter();
  gc.core->del(gc.heap, has_mutator ? gc_self->mutator : NULL, o.base);
}

void *GC_realloc(void *p, size_t bytes) {
  struct alm_core_object o;
  if (p == NULL) {
    return GC_malloc(bytes);
  }
  if (bytes == 0) {
    GC_free(p);
    return NULL;
  }
  if (!gc_enter()) {
    return gc_out_of_memory(bytes);
  }
  gc_find_start(p, "GC_realloc", &o);
  unsigned kind = gc_kind_of(&o);
  size_t had = o.bytes - (size_t)((char *)p - o.base);
  size_t most = o.is_root ? had : had - gc.extra;
  if (bytes <= most && bytes >= had / 2) {
    if (!gc_is_atomic(kind)) { /* no pointers beyond the end */
      memset((char *)p + bytes, 0, had - bytes);
    }
    return p;
  }
  size_t n;
  if (bytes > had && had > SMALL_MAX && o.base == p &&
      !__builtin_add_overflow(bytes, o.is_root ? 0 : gc.extra, &n) &&
      gc.core->grow_large(gc.heap, p, n, !gc_is_atomic(kind))) {
    if (o.is_root && gc_find(p, &o)) {
      gc_count_uncollectable(o.bytes - had);
    }
    return p;
  }
  void *q =
      o.is_root ? gc_alloc_uncollectable(kind, bytes) : gc_alloc(kind, bytes);
  if (q == NULL) {
    return NULL;
  }
  memcpy(q, p, bytes < had ? bytes : had);
  GC_free(p);
  return q;
}

/* ---- strings and alignment ----------------------------------------------- */

char *GC_strdup(const char *s) {
  size_t bytes = s != NULL ? strlen(s) + 1 : 0;
  char *copy = s != NULL ? GC_malloc_atomic(bytes) : NULL;
  return copy != NULL ? memcpy(copy, s, bytes) : NULL;
}

char *GC_strndup(const char *s, size_t most) {
  size_t length = strnlen(s, most);
  char *copy = GC_malloc_atomic(length + 1);
  if (copy != NULL) {
    memcpy(copy, s, length);
    copy[length] = '\0';
  }
  return copy;
}

wchar_t *GC_wcsdup(const wchar_t *s) {
  size_t bytes = (wcslen(s) + 1) * sizeof *s;
  wchar_t *copy = GC_malloc_atomic(bytes);
  return copy != NULL ? memcpy(copy, s, bytes) : NULL;
}

/* Slots lie at multiples of their size in spans that begin at a page. */
static size_t gc_bytes_for_aligned(size_t align, size_t bytes) {
  size_t n = bytes + gc.extra;
  for (; n <= SMALL_MAX; n += GRANULE) {
    size_t slot = gc_slot_bytes(n);
    if (slot % align == 0) {
      return slot - gc.extra;
    }
  }
  return bytes > SMALL_MAX ? bytes : SMALL_MAX + 1;
}

void *GC_memalign(size_t align, size_t bytes) {
  if (align == 0 || (align & (align - 1)) != 0 || align > PTRDIFF_MAX / 2 ||
      bytes > PTRDIFF_MAX / 2) {
    return gc_out_of_memory(bytes);
  }
  gc_start();
  if (align <= GRANULE) {
    return GC_malloc(bytes);
  }
  if (align <= PAGE) {
    return GC_malloc(gc_bytes_for_aligned(align, bytes));
  }
  if (gc.is_base_only) { /* the pointer would be to a page within the object */
    return gc_out_of_memory(bytes);
  }
  char *p = GC_malloc((bytes > SMALL_MAX ? bytes : SMALL_MAX + 1) + align);
  return p != NULL ? p + (-(uintptr_t)p & (align - 1)) : NULL;
}

int GC_posix_memalign(void **out, size_t align, size_t bytes) {
  if (align < sizeof(void *) || (align & (align - 1)) != 0) {
    return EINVAL;
  }
  void *p = GC_memalign(align, bytes);
  if (p == NULL) {
    return ENOMEM;
  }
  *out = p;
  return 0;
}

/* Every store is seen at the next collection, which stops the world. */
void GC_change_stubborn(const void *p) {
  (void)p;
}

void GC_end_stubborn_change(const void *p) {
  (void)p;
}

void GC_ptr_store_and_dirty(void *at, const void *value) {
  *(const void **)at = value;
}
