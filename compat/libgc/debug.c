/* compat/libgc/debug.c -- objects with a header that says where they were made,
 * and checks of pointers.
 *
 * WHAT    GC_debug_*: what GC_MALLOC and the like are with GC_DEBUG defined;
 *         GC_same_obj and its kin.
 * HOW     A debug object has 32 bytes before the client's: two guards, the
 *         place, the size; and a guard behind. The guards are made from the
 *         object's address. Each collection looks at all of them.
 * LOCKS   none; the checks run with the world stopped.
 */
#include "libgc.h"

#include <link.h>
#include <string.h>
#include <wchar.h>

struct gc_debug {
  uintptr_t guard;
  const char *file;
  size_t bytes; /* of the client */
  uint32_t line;
  uint32_t guard2;
};

enum { HEADER = sizeof(struct gc_debug), SMASHED_MAX = 20 };
_Static_assert(HEADER == 32, "GC_get_debug_header_size");

#define GUARD_USED ((uintptr_t)0x5a17ed0bde8ac0de)
#define GUARD_FREED ((uintptr_t)0xf4eedf4eedf4ee0d)

struct gc_debug_closure {
  GC_finalization_proc fn;
  void *data;
};

static struct {
  bool is_used;
  struct gc_debug *smashed[SMASHED_MAX];
  unsigned nsmashed;
} gc_debugging;

size_t GC_debug_header_size = HEADER;

size_t GC_get_debug_header_size(void) {
  return HEADER;
}

/* ---- making and freeing -------------------------------------------------- */

static void *gc_debug_end(const struct gc_debug *d) {
  return (char *)(uintptr_t)d + HEADER + d->bytes;
}

static bool gc_debug_is_whole(const struct gc_debug *d, size_t room) {
  uintptr_t end = 0;
  if (d->bytes > room - HEADER - sizeof end ||
      d->guard2 != (uint32_t)~d->guard) {
    return false;
  }
  memcpy(&end, gc_debug_end(d), sizeof end);
  return end == d->guard;
}

static void *gc_debug_set(void *base, size_t bytes, const char *file,
                          int line) {
  struct gc_debug *d = base;
  if (d == NULL) {
    return NULL;
  }
  if (!gc_debugging.is_used) {
    gc_debugging.is_used = true;
    GC_register_displacement(HEADER);
  }
  d->guard = GUARD_USED ^ (uintptr_t)d;
  d->guard2 = (uint32_t)~d->guard;
  d->file = file;
  d->line = (uint32_t)line;
  d->bytes = bytes;
  memcpy(gc_debug_end(d), &d->guard, sizeof d->guard);
  return (char *)base + HEADER;
}

static size_t gc_debug_bytes(size_t bytes) {
  size_t n;
  return __builtin_add_overflow(bytes, HEADER + sizeof(uintptr_t), &n)
             ? SIZE_MAX - 64
             : n;
}

/* The header of a debug object; NULL: p is none. */
static struct gc_debug *gc_debug_of(const void *p, size_t *room) {
  struct alm_core_object o;
  struct gc_debug *d = (struct gc_debug *)((uintptr_t)p - HEADER);
  if (!gc_find(p, &o) || o.base != (char *)d ||
      o.bytes < HEADER + sizeof(uintptr_t)) {
    return NULL;
  }
  *room = o.bytes;
  return d->guard == (GUARD_USED ^ (uintptr_t)d) ||
                 d->guard == (GUARD_FREED ^ (uintptr_t)d)
             ? d
             : NULL;
}

void *GC_debug_malloc(size_t bytes, GC_EXTRA_PARAMS) {
  return gc_debug_set(gc_alloc(KIND_NORMAL, gc_debug_bytes(bytes)), bytes, s,
                      i);
}

void *GC_debug_malloc_atomic(size_t bytes, GC_EXTRA_PARAMS) {
  return gc_debug_set(gc_alloc(KIND_ATOMIC, gc_debug_bytes(bytes)), bytes, s,
                      i);
}

void *GC_debug_malloc_uncollectable(size_t bytes, GC_EXTRA_PARAMS) {
  return gc_debug_set(GC_malloc_uncollectable(gc_debug_bytes(bytes)), bytes, s,
                      i);
}

void *GC_debug_malloc_atomic_uncollectable(size_t bytes, GC_EXTRA_PARAMS) {
  return gc_debug_set(GC_malloc_atomic_uncollectable(gc_debug_bytes(bytes)),
                      bytes, s, i);
}

void *GC_debug_malloc_ignore_off_page(size_t bytes, GC_EXTRA_PARAMS) {
  return GC_debug_malloc(bytes, s, i);
}

void *GC_debug_malloc_atomic_ignore_off_page(size_t bytes, GC_EXTRA_PARAMS) {
  return GC_debug_malloc_atomic(bytes, s, i);
}

void *GC_debug_malloc_stubborn(size_t bytes, GC_EXTRA_PARAMS) {
  return GC_debug_malloc(bytes, s, i);
}

void *GC_debug_generic_or_special_malloc(size_t bytes, int kind,
                                         GC_EXTRA_PARAMS) {
  return gc_debug_set(GC_generic_or_special_malloc(gc_debug_bytes(bytes), kind),
                      bytes, s, i);
}

void *GC_debug_gcj_malloc(size_t bytes, void *type, GC_EXTRA_PARAMS) {
  void **p = gc_debug_set(gc_alloc(KIND_GCJ_DEBUG, gc_debug_bytes(bytes)),
                          bytes, s, i);
  if (p != NULL) {
    *p = type;
  }
  return p;
}

void *GC_debug_malloc_replacement(size_t bytes) {
  return GC_debug_malloc(bytes, "unknown", 0);
}

char *GC_debug_strdup(const char *text, GC_EXTRA_PARAMS) {
  size_t bytes = text != NULL ? strlen(text) + 1 : 0;
  char *copy = text != NULL ? GC_debug_malloc_atomic(bytes, s, i) : NULL;
  return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

char *GC_debug_strndup(const char *text, size_t most, GC_EXTRA_PARAMS) {
  size_t length = strnlen(text, most);
  char *copy = GC_debug_malloc_atomic(length + 1, s, i);
  if (copy != NULL) {
    memcpy(copy, text, length);
    copy[length] = '\0';
  }
  return copy;
}

wchar_t *GC_debug_wcsdup(const wchar_t *text, GC_EXTRA_PARAMS) {
  size_t bytes = (wcslen(text) + 1) * sizeof *text;
  wchar_t *copy = GC_debug_malloc_atomic(bytes, s, i);
  return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

static void gc_debug_say(const char *what, const struct gc_debug *d) {
  gc_print("%s: object at %p, made at %s:%u, %zu bytes\n", what,
           (const void *)((const char *)d + HEADER), d->file ? d->file : "?",
           d->line, d->bytes);
}

void GC_debug_free(void *p) {
  size_t room;
  if (p == NULL) {
    return;
  }
  struct gc_debug *d = gc_debug_of(p, &room);
  if (d == NULL) {
    gc_print("GC_debug_free: %p was not made by a debugging allocator, or has "
             "been freed\n",
             p);
    gc_fail("bad pointer");
  }
  if (!gc_debug_is_whole(d, room)) {
    gc_debug_say("GC_debug_free: smashed", d);
  }
  d->guard = GUARD_FREED ^ (uintptr_t)d;
  GC_free(d);
}

void *GC_debug_realloc(void *p, size_t bytes, GC_EXTRA_PARAMS) {
  size_t room;
  if (p == NULL) {
    return GC_debug_malloc(bytes, s, i);
  }
  if (bytes == 0) {
    GC_debug_free(p);
    return NULL;
  }
  struct gc_debug *d = gc_debug_of(p, &room);
  struct alm_core_object o;
  if (d == NULL || !gc_find(d, &o)) {
    gc_print("GC_debug_realloc: %p was not made by a debugging allocator\n", p);
    return GC_realloc(p, bytes);
  }
  int kind = (int)gc_kind_of(&o);
  void *q = kind == KIND_GCJ_DEBUG
                ? GC_debug_gcj_malloc(bytes, *(void **)p, s, i)
                : GC_debug_generic_or_special_malloc(bytes, kind, s, i);
  if (q != NULL) {
    memcpy(q, p, bytes < d->bytes ? bytes : d->bytes);
    GC_debug_free(p);
  }
  return q;
}

void *GC_debug_realloc_replacement(void *p, size_t bytes) {
  return GC_debug_realloc(p, bytes, "unknown", 0);
}

void GC_debug_change_stubborn(const void *p) {
  (void)p;
}

void GC_debug_end_stubborn_change(const void *p) {
  (void)p;
}

void GC_debug_ptr_store_and_dirty(void *at, const void *value) {
  GC_ptr_store_and_dirty(GC_is_visible(at),
                         GC_is_valid_displacement((void *)(uintptr_t)value));
}

void GC_debug_register_displacement(size_t bytes) {
  GC_register_displacement(bytes);
  GC_register_displacement(bytes + HEADER);
}

/* ---- finalizers ---------------------------------------------------------- */

static void GC_CALLBACK gc_debug_call(void *base, void *data) {
  struct gc_debug_closure *c = data;
  c->fn((char *)base + HEADER, c->data);
}

typedef void (*gc_registrar)(void *object, GC_finalization_proc fn, void *data,
                             GC_finalization_proc *old_fn, void **old_data);

static void gc_debug_register(gc_registrar registrar, void *p,
                              GC_finalization_proc fn, void *data,
                              GC_finalization_proc *old_fn, void **old_data) {
  size_t room;
  struct gc_debug *d = gc_debug_of(p, &room);
  struct gc_debug_closure *c = NULL;
  GC_finalization_proc had_fn = NULL;
  void *had_data = NULL;
  if (d != NULL && fn != NULL) {
    c = GC_malloc(sizeof *c);
    if (c == NULL) {
      return;
    }
    c->fn = fn;
    c->data = data;
  }
  if (d != NULL) {
    registrar(d, fn != NULL ? gc_debug_call : NULL, c, &had_fn, &had_data);
    if (had_fn == gc_debug_call) {
      struct gc_debug_closure *had = had_data;
      had_fn = had->fn;
      had_data = had->data;
    }
  } else if (GC_base(p) != NULL) {
    gc_print("GC_debug_register_finalizer: %p was not made by a debugging "
             "allocator\n",
             p);
  }
  if (old_fn != NULL) {
    *old_fn = had_fn;
  }
  if (old_data != NULL) {
    *old_data = had_data;
  }
}

void GC_debug_register_finalizer(void *p, GC_finalization_proc fn, void *data,
                                 GC_finalization_proc *old_fn,
                                 void **old_data) {
  gc_debug_register(GC_register_finalizer, p, fn, data, old_fn, old_data);
}

void GC_debug_register_finalizer_ignore_self(void *p, GC_finalization_proc fn,
                                             void *data,
                                             GC_finalization_proc *old_fn,
                                             void **old_data) {
  gc_debug_register(GC_register_finalizer_ignore_self, p, fn, data, old_fn,
                    old_data);
}

void GC_debug_register_finalizer_no_order(void *p, GC_finalization_proc fn,
                                          void *data,
                                          GC_finalization_proc *old_fn,
                                          void **old_data) {
  gc_debug_register(GC_register_finalizer_no_order, p, fn, data, old_fn,
                    old_data);
}

void GC_debug_register_finalizer_unreachable(void *p, GC_finalization_proc fn,
                                             void *data,
                                             GC_finalization_proc *old_fn,
                                             void **old_data) {
  gc_debug_register(GC_register_finalizer_unreachable, p, fn, data, old_fn,
                    old_data);
}

/* ---- smashed objects ----------------------------------------------------- */

static void gc_debug_check_one(const struct alm_core_object *o, void *unused) {
  (void)unused;
  struct gc_debug *d = (struct gc_debug *)(void *)o->base;
  if (o->bytes < HEADER + sizeof(uintptr_t) ||
      d->guard != (GUARD_USED ^ (uintptr_t)d) ||
      gc_debug_is_whole(d, o->bytes) || gc_debugging.nsmashed == SMASHED_MAX) {
    return;
  }
  gc_debugging.smashed[gc_debugging.nsmashed++] = d;
}

void gc_debug_check_all(void) {
  if (gc_debugging.is_used) {
    gc.core->world_visit(gc.heap, gc_debug_check_one, NULL);
  }
}

/* An unreachable one may be swept already: its words are read, that is all. */
void gc_debug_report(void) {
  for (unsigned i = 0; i < gc_debugging.nsmashed; i++) {
    gc_debug_say("GC_check_heap: smashed", gc_debugging.smashed[i]);
  }
  gc_debugging.nsmashed = 0;
}

/* The kind in words: the client's own, if it has a function for that. */
static void gc_debug_describe(void *object, unsigned kind,
                              char text[GC_TYPE_DESCR_LEN + 1]) {
  bool is_atomic = kind == KIND_ATOMIC || kind == KIND_ATOMIC_UNCOLLECTABLE;
  memset(text, 0, GC_TYPE_DESCR_LEN + 1);
  if (gc.kinds[kind].describe != NULL) {
    gc.kinds[kind].describe(object, text);
  } else {
    strcpy(text, is_atomic ? "atomic" : "composite");
  }
}

void gc_debug_say_leaked(void *object, size_t bytes, unsigned kind) {
  const struct gc_debug *d = object;
  char text[GC_TYPE_DESCR_LEN + 1];
  gc_debug_describe(object, kind, text);
  if (bytes >= HEADER && d->guard == (GUARD_USED ^ (uintptr_t)d)) {
    gc_print("Leaked %s ", text);
    gc_debug_say("with a header", d);
  } else {
    gc_print("Leaked %s object at %p, %zu bytes\n", text, object, bytes);
  }
}

/* ---- checks of pointers -------------------------------------------------- */

static void GC_CALLBACK gc_same_obj_fail(void *p, void *q) {
  gc_print("GC_same_obj: %p and %p are not in the same object\n", p, q);
  gc_fail("GC_same_obj test failed");
}

static void GC_CALLBACK gc_displacement_fail(void *p) {
  gc_print("GC_is_valid_displacement: %p is no pointer the collector takes\n",
           p);
  gc_fail("GC_is_valid_displacement test failed");
}

static void GC_CALLBACK gc_visible_fail(void *p) {
  gc_print("GC_is_visible: a pointer stored at %p is not found\n", p);
  gc_fail("GC_is_visible test failed");
}

void(GC_CALLBACK *GC_same_obj_print_proc)(void *, void *) = gc_same_obj_fail;
void(GC_CALLBACK *GC_is_valid_displacement_print_proc)(void *) =
    gc_displacement_fail;
void(GC_CALLBACK *GC_is_visible_print_proc)(void *) = gc_visible_fail;

void *GC_same_obj(void *p, void *q) {
  struct alm_core_object a, b;
  bool in_a = gc_find(p, &a), in_b = gc_find(q, &b);
  if (in_a != in_b || (in_a && a.base != b.base)) {
    GC_same_obj_print_proc(p, q);
  }
  return p;
}

void *GC_pre_incr(void **p, ptrdiff_t bytes) {
  char *old = *p;
  *p = GC_same_obj(old + bytes, old);
  return *p;
}

void *GC_post_incr(void **p, ptrdiff_t bytes) {
  char *old = *p;
  *p = GC_same_obj(old + bytes, old);
  return old;
}

void *GC_is_valid_displacement(void *p) {
  struct alm_core_object o;
  if (gc_find(p, &o) && gc.is_base_only &&
      !gc.core->is_displacement(gc.heap, (size_t)((char *)p - o.base))) {
    GC_is_valid_displacement_print_proc(p);
  }
  return p;
}

static int gc_is_in_object(struct dl_phdr_info *object, size_t size, void *p) {
  (void)size;
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *h = &object->dlpi_phdr[i];
    uintptr_t low = object->dlpi_addr + h->p_vaddr;
    if (h->p_type == PT_LOAD && (h->p_flags & PF_W) &&
        (uintptr_t)p - low < h->p_memsz) {
      return 1;
    }
  }
  return 0;
}

void *GC_is_visible(void *p) {
  struct alm_core_object o;
  void *low, *high = NULL;
  if (!gc_enter()) {
    return p;
  }
  gc.core->get_stack(gc_self->mutator, &low, &high);
  bool is_on_stack =
      (char *)p >= (char *)__builtin_frame_address(0) && p < high;
  bool is_heap = gc_find(p, &o);
  bool ok = is_heap ? o.kind != ALM_NOSCAN
                    : is_on_stack || gc_roots_include(p) ||
                          dl_iterate_phdr(gc_is_in_object, p) != 0;
  if (!ok) {
    GC_is_visible_print_proc(p);
  }
  return p;
}
