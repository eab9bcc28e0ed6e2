/* compat/libgc/kinds.c -- what the collector finds in objects: kinds,
 * descriptors, mark procedures.
 *
 * WHAT    GC_new_kind, GC_new_proc, explicitly typed objects, gcj objects,
 *         objects with a disclaim procedure; the push functions for callbacks.
 * HOW     Every kind but the first four is a set of layouts of the core's whose
 *         objects we are asked to trace, by a descriptor: the kind's own, or
 *         one that lies in the object. Descriptors are words as gc_mark.h
 *         defines them. A bitmap that does not fit in one is put into a table,
 *         and the descriptor is that of a mark procedure of ours with its
 *         index.
 * LOCKS   gc.lock to make kinds, procedures and bitmaps. They are never
 *         removed, so that markers read without it, while the world is stopped.
 */
#include "libgc.h"

#include <string.h>

enum {
  WORD = sizeof(GC_word),
  WORD_BITS = 8 * WORD,
  BITMAP_BITS = WORD_BITS - GC_DS_TAG_BITS,
  PROC_EXTENDED = 1, /* of the reserved indices */
  PROC_SHIFT = GC_DS_TAG_BITS + GC_LOG_MAX_MARK_PROCS,
  BITMAPS_MAX = 4096,
  FREE_LIST_WORDS = 257
};

struct gc_row {  /* the last words of a KIND_TYPED_ROW object */
  GC_word bytes; /* of an element                             */
  GC_word count;
  GC_descr descr;
};

struct gc_bitmap {
  size_t words;
  GC_word bits[];
};

static struct {
  GC_mark_proc procs[MARK_PROCS];
  unsigned nprocs;
  struct gc_bitmap *bitmaps[BITMAPS_MAX];
  size_t nbitmaps;
  unsigned nkinds;
} gc_types = {.nprocs = GC_RESERVED_MARK_PROCS, .nkinds = KINDS_OWN};

static __thread struct alm_marker *gc_marker
    __attribute__((tls_model("initial-exec")));

int GC_gcj_kind = 0;
int GC_gcj_debug_kind = 0;

struct alm_marker *gc_marker_set(struct alm_marker *m) {
  struct alm_marker *old = gc_marker;
  gc_marker = m;
  return old;
}

/* ---- marking by descriptor ----------------------------------------------- */

static void gc_mark_bits(struct alm_marker *m, const GC_word *at,
                         GC_word bits) {
  for (; bits != 0; bits >>= 1, at++) {
    if (bits & 1) {
      gc.core->mark_range(m, at, WORD, gc.is_base_only);
    }
  }
}

static void gc_mark_extended(struct alm_marker *m, const GC_word *at,
                             GC_word index) {
  const struct gc_bitmap *b = gc_types.bitmaps[index];
  for (size_t i = 0; i < b->words; i++) {
    gc_mark_bits(m, at + i * WORD_BITS, b->bits[i]);
  }
}

static void gc_mark_by_proc(struct alm_marker *m, GC_word *object, GC_descr d) {
  unsigned index = (unsigned)(d >> GC_DS_TAG_BITS) & (MARK_PROCS - 1);
  GC_word env = d >> PROC_SHIFT;
  if (index == PROC_EXTENDED) {
    gc_mark_extended(m, object, env);
    return;
  }
  if (gc_types.procs[index] == NULL) {
    return;
  }
  /* GC_mark_and_push is all that a procedure may do with these */
  GC_word entries[2];
  struct GC_ms_entry *stack = (struct GC_ms_entry *)(void *)entries;
  struct alm_marker *old = gc_marker_set(m);
  (void)gc_types.procs[index](object, stack, stack, env);
  (void)gc_marker_set(old);
}

/* The most significant bit is for the first word. */
static void gc_mark_bitmap(struct alm_marker *m, const GC_word *at,
                           GC_descr d) {
  for (d &= ~(GC_descr)GC_DS_TAGS; d != 0; d <<= 1, at++) {
    if (d >> (WORD_BITS - 1)) {
      gc.core->mark_range(m, at, WORD, gc.is_base_only);
    }
  }
}

/* The descriptor that lies in the object, or in what its first word says. */
static GC_descr gc_descr_of(const char *object, GC_descr d) {
  GC_signed_word offset = (GC_signed_word)(d & ~(GC_descr)GC_DS_TAGS);
  if ((GC_signed_word)d >= 0) {
    return *(const GC_word *)(const void *)(object + offset);
  }
  const char *type = *(const char *const *)(const void *)object;
  if (type == NULL) {
    return 0; /* not yet set up */
  }
  return *(const GC_word *)(const void *)(type - offset -
                                          GC_INDIR_PER_OBJ_BIAS);
}

static void gc_mark_by(struct alm_marker *m, char *object, size_t bytes,
                       GC_descr d) {
  if ((d & GC_DS_TAGS) == GC_DS_PER_OBJECT) {
    d = gc_descr_of(object, d);
  }
  GC_word *words = (GC_word *)(void *)object;
  switch (d & GC_DS_TAGS) {
  case GC_DS_LENGTH:
    gc.core->mark_range(m, object, d < bytes ? d : bytes, gc.is_base_only);
    break;
  case GC_DS_BITMAP:
    gc_mark_bitmap(m, words, d);
    break;
  case GC_DS_PROC:
    gc_mark_by_proc(m, words, d);
    break;
  default: /* a second one is no descriptor */
    break;
  }
}

static void gc_trace_kind(void *kind, void *object, size_t bytes,
                          struct alm_visitor *v) {
  const struct gc_kind *k = kind;
  GC_descr d = k->descr + (k->adds_size ? bytes : 0);
  gc_mark_by((struct alm_marker *)(void *)v, object, bytes, d);
}

static void gc_trace_typed(void *kind, void *object, size_t bytes,
                           struct alm_visitor *v) {
  (void)kind;
  char *end = (char *)object + bytes;
  gc_mark_by((struct alm_marker *)(void *)v, object, bytes - WORD,
             *(GC_descr *)(void *)(end - WORD));
}

static void gc_trace_row(void *kind, void *object, size_t bytes,
                         struct alm_visitor *v) {
  (void)kind;
  char *at = object;
  struct gc_row row;
  memcpy(&row, at + bytes - sizeof row, sizeof row);
  for (GC_word i = 0; i < row.count; i++, at += row.bytes) {
    gc_mark_by((struct alm_marker *)(void *)v, at, row.bytes, row.descr);
  }
}

/* The first word is the closure, with bit 0 set. */
static void gc_trace_finalized(void *kind, void *object, size_t bytes,
                               struct alm_visitor *v) {
  (void)kind;
  GC_word *words = object;
  struct alm_marker *m = (struct alm_marker *)(void *)v;
  GC_word closure = words[0] & ~(GC_word)1;
  gc.core->mark_range(m, &closure, WORD, false);
  gc.core->mark_range(m, words + 1, bytes - WORD, gc.is_base_only);
}

/* ---- kinds --------------------------------------------------------------- */

static alm_core_trace gc_trace_of(unsigned kind) {
  switch (kind) {
  case KIND_ATOMIC:
  case KIND_NORMAL:
  case KIND_UNCOLLECTABLE:
  case KIND_ATOMIC_UNCOLLECTABLE:
    return NULL;
  case KIND_TYPED:
    return gc_trace_typed;
  case KIND_TYPED_ROW:
    return gc_trace_row;
  case KIND_FINALIZED:
    return gc_trace_finalized;
  default:
    return gc_trace_kind;
  }
}

static GC_COLD bool gc_kind_make(unsigned kind) {
  struct gc_kind *k = &gc.kinds[kind];
  bool is_root =
      kind == KIND_UNCOLLECTABLE || kind == KIND_ATOMIC_UNCOLLECTABLE;
  bool is_noscan = kind == KIND_ATOMIC || kind == KIND_ATOMIC_UNCOLLECTABLE;
  gc_lock();
  if (k->layouts == NO_LAYOUTS) {
    uint32_t made =
        gc.core->layouts(gc.heap, is_noscan ? ALM_NOSCAN : ALM_CONSERVATIVE,
                         gc_trace_of(kind), k, is_root);
    if (made != 0 || kind == KIND_ATOMIC) {
      k->layouts = made;
    }
  }
  gc_unlock();
  return k->layouts != NO_LAYOUTS;
}

bool gc_kind_ready(unsigned kind) {
  return GC_LIKELY(gc.kinds[kind].layouts != NO_LAYOUTS) || gc_kind_make(kind);
}

void gc_kinds_start(void) {
  for (unsigned i = 0; i < KINDS_MAX; i++) {
    gc.kinds[i].layouts = NO_LAYOUTS;
    gc.kinds[i].is_used = i < KINDS_OWN;
  }
  gc.kinds[KIND_ATOMIC].layouts =
      gc.core->layouts(gc.heap, ALM_NOSCAN, NULL, NULL, false);
  gc.kinds[KIND_NORMAL].layouts =
      gc.core->layouts(gc.heap, ALM_CONSERVATIVE, NULL, NULL, false);
}

/* The lists are the client's to keep; ours are the mutators' runs. */
void **GC_new_free_list_inner(void) {
  gc_start();
  return gc.core->meta_alloc(FREE_LIST_WORDS * sizeof(void *));
}

void **GC_new_free_list(void) {
  void **list = GC_new_free_list_inner();
  if (list == NULL) {
    gc_fail("GC_new_free_list: no memory");
  }
  return list;
}

unsigned GC_new_kind_inner(void **list, GC_word descr, int adds_size,
                           int clears) {
  (void)list;
  (void)clears; /* all objects are */
  gc_start();
  unsigned kind = gc_types.nkinds;
  if (kind >= KINDS_MAX) {
    gc_fail("GC_new_kind: too many kinds");
  }
  gc.kinds[kind].descr = descr;
  gc.kinds[kind].adds_size = adds_size != 0;
  gc.kinds[kind].is_used = true;
  gc_types.nkinds = kind + 1;
  return kind;
}

unsigned GC_new_kind(void **list, GC_word descr, int adds_size, int clears) {
  gc_start();
  gc_lock();
  unsigned kind = GC_new_kind_inner(list, descr, adds_size, clears);
  gc_unlock();
  return kind;
}

unsigned GC_new_proc_inner(GC_mark_proc proc) {
  unsigned index = gc_types.nprocs;
  if (index >= MARK_PROCS) {
    gc_fail("GC_new_proc: too many mark procedures");
  }
  gc_types.procs[index] = proc;
  gc_types.nprocs = index + 1;
  return index;
}

unsigned GC_new_proc(GC_mark_proc proc) {
  gc_start();
  gc_lock();
  unsigned index = GC_new_proc_inner(proc);
  gc_unlock();
  return index;
}

void GC_register_describe_type_fn(int kind, GC_describe_type_fn fn) {
  if (kind >= 0 && kind < KINDS_MAX) {
    gc.kinds[kind].describe = fn;
  }
}

/* ---- typed objects ------------------------------------------------------- */

/* An approximation that is always right: all words, when memory is out. */
static GC_descr gc_make_extended(const GC_word *bitmap, size_t words,
                                 size_t nbits) {
  GC_descr all = (GC_descr)nbits * WORD;
  struct gc_bitmap *b =
      gc.core->meta_alloc(sizeof *b + words * sizeof b->bits[0]);
  if (b == NULL) {
    return all;
  }
  b->words = words;
  memcpy(b->bits, bitmap, words * WORD);
  if (nbits % WORD_BITS != 0) {
    b->bits[words - 1] &= ((GC_word)1 << (nbits % WORD_BITS)) - 1;
  }
  gc_lock();
  size_t index = gc_types.nbitmaps;
  if (index < BITMAPS_MAX) {
    gc_types.bitmaps[index] = b;
    gc_types.nbitmaps++;
  }
  gc_unlock();
  return index < BITMAPS_MAX ? GC_MAKE_PROC((GC_word)PROC_EXTENDED, index)
                             : all;
}

static bool gc_bit(const GC_word *bitmap, size_t i) {
  return (bitmap[i / WORD_BITS] >> (i % WORD_BITS)) & 1;
}

GC_descr GC_make_descriptor(const GC_word *bitmap, size_t len) {
  gc_start();
  size_t last = len;
  while (last > 0 && !gc_bit(bitmap, last - 1)) {
    last--;
  }
  size_t ones = 0;
  while (ones < last && gc_bit(bitmap, ones)) {
    ones++;
  }
  if (ones == last) {
    return (GC_descr)last * WORD;
  }
  if (last > BITMAP_BITS) {
    return gc_make_extended(bitmap, (last + WORD_BITS - 1) / WORD_BITS, last);
  }
  GC_descr d = 0;
  for (size_t i = 0; i < last; i++) {
    if (gc_bit(bitmap, i)) {
      d |= (GC_descr)1 << (WORD_BITS - 1 - i);
    }
  }
  return d | GC_DS_BITMAP;
}

void *GC_malloc_explicitly_typed(size_t bytes, GC_descr d) {
  size_t n;
  if (__builtin_add_overflow(bytes, (size_t)WORD, &n)) {
    return gc_out_of_memory(bytes);
  }
  char *p = gc_alloc(KIND_TYPED, n);
  struct alm_core_object o;
  if (p != NULL && n + gc.extra <= SMALL_MAX) {
    *(GC_descr *)(void *)(p + gc_slot_bytes(n + gc.extra) - WORD) = d;
  } else if (p != NULL && gc_find(p, &o) && o.base == p) {
    *(GC_descr *)(void *)(p + o.bytes - WORD) = d;
  }
  return p;
}

void *GC_malloc_explicitly_typed_ignore_off_page(size_t bytes, GC_descr d) {
  return GC_malloc_explicitly_typed(bytes, d);
}

void *GC_calloc_explicitly_typed(size_t count, size_t bytes, GC_descr d) {
  size_t n;
  struct gc_row row = {bytes, count, d};
  if (__builtin_mul_overflow(count, bytes, &n) ||
      __builtin_add_overflow(n, sizeof row, &n)) {
    return gc_out_of_memory((size_t)-1);
  }
  char *p = gc_alloc(KIND_TYPED_ROW, n);
  struct alm_core_object o;
  if (p != NULL && gc_find(p, &o) && o.base == p) {
    memcpy(p + o.bytes - sizeof row, &row, sizeof row);
  }
  return p;
}

/* ---- gcj ----------------------------------------------------------------- */

void GC_init_gcj_malloc(int index, void *proc) {
  gc_start();
  gc_lock();
  if (GC_gcj_kind == 0 && index >= 0 && index < (int)MARK_PROCS) {
    if (gc_types.procs[index] == NULL) {
      gc_types.procs[index] = (GC_mark_proc)proc;
    }
    /* the word after the first of what the object's first word points to */
    gc.kinds[KIND_GCJ].descr =
        ((GC_word)(-(GC_signed_word)WORD - GC_INDIR_PER_OBJ_BIAS) &
         ~(GC_word)GC_DS_TAGS) |
        GC_DS_PER_OBJECT;
    gc.kinds[KIND_GCJ_DEBUG].descr = GC_MAKE_PROC((GC_word)index, (GC_word)1);
    GC_gcj_debug_kind = KIND_GCJ_DEBUG;
    GC_gcj_kind = KIND_GCJ;
  }
  gc_unlock();
}

void *GC_gcj_malloc(size_t bytes, void *type) {
  void **p = gc_alloc(KIND_GCJ, bytes);
  if (p != NULL) {
    *p = type;
  }
  return p;
}

void *GC_gcj_malloc_ignore_off_page(size_t bytes, void *type) {
  return GC_gcj_malloc(bytes, type);
}

/* ---- disclaim ------------------------------------------------------------ */

void GC_register_disclaim_proc(int kind, GC_disclaim_proc proc,
                               int marks_from_all) {
  gc_start();
  if (kind < 0 || kind >= KINDS_MAX || !gc.kinds[kind].is_used ||
      GC_find_leak) {
    return;
  }
  gc_lock();
  gc.kinds[kind].disclaim = proc;
  gc.kinds[kind].disclaim_marks = marks_from_all != 0;
  gc_unlock();
}

static int GC_CALLBACK gc_disclaim_finalized(void *object) {
  GC_word *words = object;
  if (words[0] & 1) {
    const struct GC_finalizer_closure *c =
        (const struct GC_finalizer_closure *)(words[0] & ~(GC_word)1);
    words[0] = 0;
    c->proc(words + 1, c->cd);
  }
  return 0;
}

void GC_init_finalized_malloc(void) {
  gc_start();
  GC_register_displacement(WORD);
  GC_register_disclaim_proc(KIND_FINALIZED, gc_disclaim_finalized, 1);
}

void *GC_finalized_malloc(size_t bytes,
                          const struct GC_finalizer_closure *closure) {
  size_t n;
  if (__builtin_add_overflow(bytes, (size_t)WORD, &n)) {
    return gc_out_of_memory(bytes);
  }
  GC_word *p = gc_alloc(KIND_FINALIZED, n);
  if (p == NULL) {
    return NULL;
  }
  p[0] = (GC_word)closure | 1;
  return p + 1;
}

/* NULL: not of a kind with a procedure. */
static const struct gc_kind *gc_disclaiming(const struct alm_core_object *o) {
  const struct gc_kind *k = o->arg != NULL ? o->arg : &gc.kinds[gc_kind_of(o)];
  return k->disclaim != NULL && !o->is_root ? k : NULL;
}

static void gc_disclaim_mark_one(const struct alm_core_object *o, void *m) {
  const struct gc_kind *k = gc_disclaiming(o);
  if (k != NULL && k->disclaim_marks && !gc.core->is_marked(o->base)) {
    gc.core->mark_contents(m, o->base);
  }
}

static void gc_disclaim_one(const struct alm_core_object *o, void *m) {
  const struct gc_kind *k = gc_disclaiming(o);
  if (k != NULL && !gc.core->is_marked(o->base) && k->disclaim(o->base) != 0) {
    gc.core->mark_range(m, &o->base, sizeof o->base, false);
  }
}

void gc_kinds_disclaim(struct alm_marker *m) {
  bool any = false, is_marking = false;
  for (unsigned i = 0; i < gc_types.nkinds; i++) {
    any |= gc.kinds[i].disclaim != NULL;
    is_marking |= gc.kinds[i].disclaim != NULL && gc.kinds[i].disclaim_marks;
  }
  if (is_marking) {
    gc.core->world_visit(gc.heap, gc_disclaim_mark_one, m);
    gc.core->mark_drain(m);
  }
  if (any) {
    gc.core->world_visit(gc.heap, gc_disclaim_one, m);
    gc.core->mark_drain(m);
  }
}

/* ---- for callbacks ------------------------------------------------------- */

struct GC_ms_entry *GC_mark_and_push(void *p, struct GC_ms_entry *stack,
                                     struct GC_ms_entry *limit, void **from) {
  (void)limit;
  (void)from;
  if (gc_marker != NULL) {
    gc.core->mark_range(gc_marker, &p, sizeof p, gc.is_base_only);
  }
  return stack;
}

static void gc_push(void *low, void *high, bool is_base_only) {
  uintptr_t from = ((uintptr_t)low + WORD - 1) & ~(uintptr_t)(WORD - 1);
  uintptr_t end = (uintptr_t)high & ~(uintptr_t)(WORD - 1);
  if (gc_marker != NULL && from < end) {
    gc.core->mark_range(gc_marker, (void *)from, end - from, is_base_only);
  }
}

void GC_push_all(void *low, void *high) {
  gc_push(low, high, gc.is_base_only);
}

/* Stacks are pushed by it: any byte of an object counts. */
void GC_push_all_eager(void *low, void *high) {
  gc_push(low, high, false);
}

void GC_push_conditional(void *low, void *high, int all) {
  (void)all;
  GC_push_all(low, high);
}

/* Outside of a collection a mark says what the last one has found. */
int GC_is_marked(const void *p) {
  struct alm_core_object o;
  if (!gc_find(p, &o)) {
    return 0;
  }
  if (gc.core->is_marked(o.base)) {
    return 1;
  }
  /* once more: it may have been swept between the two looks */
  return gc_find(p, &o) && o.is_swept &&
         !__atomic_load_n(&gc.is_collecting, __ATOMIC_RELAXED);
}

static void gc_set_mark(const void *p, bool is_marked) {
  struct alm_core_object o;
  if (gc_marker != NULL && gc_find(p, &o)) {
    gc.core->set_mark(o.base, is_marked);
  }
}

void GC_set_mark_bit(const void *p) {
  gc_set_mark(p, true);
}

void GC_clear_mark_bit(const void *p) {
  gc_set_mark(p, false);
}

/* A use that the compiler cannot see through: gc.h asks for it where it has no
 * other way. */
__attribute__((visibility("default"))) void GC_noop1(GC_word word);
void GC_noop1(GC_word word) {
  __asm__ volatile("" : : "r"(word) : "memory");
}

void *GC_clear_stack(void *p) {
  return p;
}

/* ---- reachable objects --------------------------------------------------- */

struct gc_enumeration {
  GC_reachable_object_proc proc;
  void *arg;
};

static void gc_enumerate_one(const struct alm_core_object *o, void *arg) {
  struct gc_enumeration *e = arg;
  e->proc(o->base, o->bytes, e->arg);
}

void GC_enumerate_reachable_objects_inner(GC_reachable_object_proc proc,
                                          void *arg) {
  struct gc_enumeration e = {proc, arg};
  if (!gc_enter()) {
    return;
  }
  while (!gc.core->world_stop(gc_self->mutator)) {}
  gc.core->world_visit(gc.heap, gc_enumerate_one, &e);
  gc.core->world_start(gc_self->mutator);
}
