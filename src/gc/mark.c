/* gc/mark.c -- see mark.h. */
#include "mark.h"

#include "mem/metaalloc.h"
#include "os/os.h"
#include "work.h"
#include "world.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { MARKERS_MAX = 8, RING = 16 };

/* Objects above this are scanned in pieces of it (but for traced ones). */
enum { PIECE_BYTES = ALM_TORTURE ? 64 : 128 << 10 };

/* An item's bit 0: not an object but the start of a further piece of one. Bit
 * 1: a pair: there is nothing to look up for it. */
enum { ITEM_PIECE = 1, ITEM_PAIR = SCAN_PAIR, PAIR_BYTES = 16 };

/* A candidate is an offset in the region, and this bit if only pointers to first
 * bytes and displacements count. */
#define BASE_ONLY ((uintptr_t)1 << 63)
#define NO_CANDIDATE UINTPTR_MAX

struct marker {
  struct alm_heap *heap;
  struct work *work;
  struct work_buffer *buffer; /* NULL: none; its count is not true          */
  uintptr_t *bottom;          /* the buffer's items from here to top; NULL  */
  uintptr_t *top;
  uintptr_t *limit;
  bool is_alone; /* no other marker marks now                               */
  size_t ring_at;
  uintptr_t base_only; /* BASE_ONLY in the object that is scanned now, or 0 */
  uintptr_t base_only_words; /* the same, in conservative objects           */
  uintptr_t base_only_typed; /* the same, in typed and traced ones          */
  uintptr_t low;     /* of the region; all spans of the heap lie in         */
  size_t heap_bytes; /* [low, low + heap_bytes) while the world is stopped  */
  uintptr_t ring[RING]; /* candidates                                       */
  uint64_t bytes;
  uint64_t light_bytes; /* see mark_light_bytes                             */
  uint64_t objects;
  uint64_t cpu_ns; /* of its thread, when it was last done; 0: the
                      collector's                                           */
} ALM_CACHE_ALIGNED;

struct mark_team {
  struct work work;
  struct marker markers[MARKERS_MAX];
  pthread_t threads[MARKERS_MAX]; /* from 1 on                              */
  unsigned nthreads;              /* started; constant then                 */
  mark_source source;             /* constant while marking                 */
  uint32_t go;                    /* futex: counts calls to mark            */
  uint32_t nworking;              /* futex: threads that are not done       */
  uint32_t is_ending;             /* stored before go, release              */
};

/* ---- pushing --------------------------------------------------------------- */

ALM_INLINE size_t mark_count_items(const struct marker *m) {
  return (size_t)(m->top - m->bottom);
}

/* NULL: none. The one that the marker had is the caller's. */
static struct work_buffer *mark_exchange_buffer(struct marker *m,
                                                struct work_buffer *b) {
  struct work_buffer *old = m->buffer;
  if (old != NULL) {
    old->count = mark_count_items(m);
  }
  m->buffer = b;
  m->bottom = b != NULL ? b->items : NULL;
  m->top = b != NULL ? b->items + b->count : NULL;
  m->limit = b != NULL ? b->items + WORK_ITEMS : NULL;
  return old;
}

static void mark_replace_empty(struct marker *m, struct work_buffer *b) {
  struct work_buffer *empty = mark_exchange_buffer(m, b);
  if (empty != NULL) {
    work_return_empty(empty);
  }
}

/* To a new buffer. False: no memory, the overflow flag is set. [work.2] */
static ALM_COLD bool mark_push_slow(struct marker *m, uintptr_t item) {
  struct work_buffer *empty = work_take_empty(m->work);
  if (empty == NULL) {
    return false;
  }
  struct work_buffer *full = mark_exchange_buffer(m, empty);
  if (full != NULL) {
    work_give(m->work, full);
  }
  *m->top++ = item;
  return true;
}

ALM_INLINE bool mark_push(struct marker *m, uintptr_t item) {
  if (unlikely(m->top == m->limit)) {
    return mark_push_slow(m, item);
  }
  *m->top++ = item;
  return true;
}

/* Count and push an object in a slot. */
ALM_INLINE void mark_grey(struct marker *m, const struct collected *c,
                          uintptr_t object, size_t slot_bytes) {
  m->objects++;
  m->bytes += slot_bytes;
  if (c->scan != SCAN_NONE) {
    (void)mark_push(m, object | (c->scan & ITEM_PAIR));
  }
}

static ALM_COLD void mark_large(struct marker *m, const struct collected *c) {
  const struct span *s = &c->span;
  if (s->nfree == 0 && marks_set(s->base, m->is_alone)) {
    size_t bytes = s->npages << PAGE_SHIFT;
    m->objects++;
    m->bytes += bytes;
    m->light_bytes += c->kind == ALM_NOSCAN ? bytes : 0;
    if (c->scan != SCAN_NONE) {
      (void)mark_push(m, s->base);
    }
  }
}

/* Is a pointer to an object's byte, not the first, one to the object? */
ALM_INLINE bool mark_may_be_inside(const struct marker *m, uintptr_t candidate,
                                   uintptr_t byte) {
  return !(candidate & BASE_ONLY) || heap_is_displacement(m->heap, byte);
}

static ALM_COLD void mark_large_at(struct marker *m, const struct collected *c,
                                   uintptr_t candidate) {
  uintptr_t byte = m->low + (candidate & ~BASE_ONLY) - c->span.base;
  if (byte == 0 || mark_may_be_inside(m, candidate, byte)) {
    mark_large(m, c);
  }
}

/* As mark_slot, where a slot is a granule. */
ALM_INLINE void mark_pair(struct marker *m, const struct span *s,
                          struct mark_place at, uintptr_t candidate,
                          bool is_alone) {
  uintptr_t p = m->low + (candidate & ~BASE_ONLY), byte = p % PAIR_BYTES;
  if (span_is_free(s, (p - s->base) / PAIR_BYTES) ||
      (unlikely(byte != 0) && !mark_may_be_inside(m, candidate, byte)) ||
      !marks_claim_at(at, is_alone)) {
    return;
  }
  m->objects++;
  m->bytes += PAIR_BYTES;
  (void)mark_push(m, (p - byte) | ITEM_PAIR);
}

/* What the candidate points into is not marked, but for objects that begin in
 * another granule than `at`. */
ALM_INLINE void mark_slot(struct marker *m, struct collected *c,
                          struct mark_place at, uintptr_t candidate,
                          bool is_alone) {
  uintptr_t p = m->low + (candidate & ~BASE_ONLY);
  struct found f;
  if (!heap_find_in_span(c, p, &f)) {
    return;
  }
  uintptr_t object = found_object(&f);
  if (unlikely(p != object)) {
    at = marks_place(f.slot);
    if (!mark_may_be_inside(m, candidate, p - object) || marks_test_at(at)) {
      return;
    }
  }
  if (marks_claim_at(at, is_alone)) {
    mark_grey(m, c, object, c->object_bytes + c->header_bytes);
  }
}

/* Test, mark and push what the candidate points into. Most pointers are to the
 * first granule of an object, whose bit is the object's. (Only of a span of the
 * heap are there bits, and nobody else changes them.) */
ALM_INLINE void mark_candidate(struct marker *m, uintptr_t candidate,
                               bool is_alone) {
  size_t offset = candidate & ~BASE_ONLY;
  struct collected *c = heap_span_at(m->heap, offset >> PAGE_SHIFT);
  if (c == NULL) {
    return;
  }
  struct mark_place at = marks_place_at(offset);
  if (marks_test_at(at)) {
    return;
  }
  if (c->scan & SCAN_PAIR) {
    mark_pair(m, &c->span, at, candidate, is_alone);
  } else if (likely(c->span.class != 0)) {
    mark_slot(m, c, at, candidate, is_alone);
  } else {
    mark_large_at(m, c, candidate);
  }
}

void mark_root_span(struct marker *m, struct collected *c) {
  struct span *s = &c->span;
  if (s->class == 0) {
    mark_large(m, c);
    return;
  }
  for (unsigned i = 0; i < span_nwords(s); i++) {
    unsigned n = (unsigned)min_size(64, s->nslots - i * 64u);
    uint64_t used = ~atomic_load_relaxed(&s->free_bits[i]) & bits_low(n);
    for (; used != 0; used &= used - 1) {
      uintptr_t slot = span_slot_address(s, i * 64 + bits_ctz(used));
      if (marks_set(slot, m->is_alone)) {
        mark_grey(m, c, slot + c->header_bytes,
                  sizeclasses[s->class].object_bytes);
      }
    }
  }
}

/* Ring the candidate; mark the one that leaves. */
ALM_INLINE void mark_ring_as(struct marker *m, size_t offset,
                             uintptr_t base_only, bool is_alone) {
  __builtin_prefetch((const void *)(m->low + offset));
  prefetch_to_write(marks_place_at(offset).word);
  __builtin_prefetch(arena_span(offset >> PAGE_SHIFT));
  size_t at = m->ring_at;
  uintptr_t old = m->ring[at];
  m->ring[at] = offset | base_only;
  m->ring_at = (at + 1) % RING;
  if (likely(old != NO_CANDIDATE)) {
    mark_candidate(m, old, is_alone);
  }
}

static __attribute__((noinline)) void mark_ring(struct marker *m,
                                                size_t offset) {
  mark_ring_as(m, offset, m->base_only, m->is_alone);
}

static bool mark_empty_ring(struct marker *m) {
  bool any = false;
  for (unsigned i = 0; i < RING; i++) {
    unsigned at = (m->ring_at + i) % RING;
    uintptr_t candidate = m->ring[at];
    if (candidate != NO_CANDIDATE) {
      m->ring[at] = NO_CANDIDATE;
      mark_candidate(m, candidate, m->is_alone);
      any = true;
    }
  }
  return any;
}

ALM_INLINE void mark_word(struct marker *m, uintptr_t p) {
  if (p - m->low < m->heap_bytes) {
    mark_ring(m, p - m->low);
  }
}

/* ---- scanning -------------------------------------------------------------- */

/* Stacks and registered memory: other threads' variables, red zones and all. */
__attribute__((no_sanitize("address", "thread"))) static void mark_words(
    struct marker *m, const uintptr_t *from, const uintptr_t *end) {
  uintptr_t low = m->low; /* here, because the compiler cannot know */
  size_t heap_bytes = m->heap_bytes;
  for (; from < end; from++) {
    size_t offset = *(const volatile uintptr_t *)from - low;
    if (offset < heap_bytes) {
      mark_ring(m, offset);
    }
  }
}

void mark_range_of(struct marker *m, const void *start, size_t bytes,
                   bool is_base_only) {
  const uintptr_t *from = start;
  m->base_only = is_base_only ? BASE_ONLY : 0;
  mark_words(m, from, from + bytes / sizeof *from);
}

void mark_range(struct marker *m, const void *start, size_t bytes) {
  mark_range_of(m, start, bytes, false);
}

static void mark_typed_one(struct marker *m, const struct alm_type *t,
                           const uintptr_t *words) {
  for (unsigned i = 0; i < t->nmask; i++, words += 64) {
    for (uint64_t left = t->mask[i]; left != 0; left &= left - 1) {
      mark_word(m, words[bits_ctz(left)]);
    }
  }
}

static bool mark_is_all_pointers(const struct alm_type *t) {
  size_t words = t->stride / sizeof(uintptr_t);
  return words <= 64 && t->mask[0] == bits_low((unsigned)words);
}

static void mark_typed(struct marker *m, const struct alm_type *t,
                       uintptr_t from, uintptr_t end) {
  if (mark_is_all_pointers(t)) {
    mark_words(m, (const uintptr_t *)from, (const uintptr_t *)end);
    return;
  }
  for (; from + t->stride <= end; from += t->stride) {
    mark_typed_one(m, t, (const uintptr_t *)from);
  }
}

/* What an array, a large or a traced object holds, from its first byte or,
 * `is_piece`, from `from` on. */
static __attribute__((noinline)) void mark_scan_part(struct marker *m,
                                                     struct collected *c,
                                                     uintptr_t from,
                                                     bool is_piece) {
  uintptr_t object = from;
  if (is_piece) {
    struct found f;
    if (!heap_find(m->heap, from, &f)) {
      return; /* cannot be */
    }
    object = found_object(&f);
  }
  const struct alm_type *t = c->type;
  if (c->header_bytes != 0) {
    t = *(const struct alm_type **)(object - c->header_bytes);
  }
  if (t == NULL && c->kind != ALM_CONSERVATIVE) {
    return; /* no pointers: mark_contents of such an object */
  }
  if (t != NULL && t->kind == ALM_TRACED) {
    m->base_only = m->base_only_typed;
    world_callback_begin();
    if (t->core_trace != NULL) {
      t->core_trace(t->core_arg, (void *)object, c->object_bytes,
                    mark_visitor(m));
    } else {
      t->trace((void *)object, c->object_bytes, mark_visitor(m));
    }
    world_callback_end();
    return;
  }
  size_t stride = t != NULL ? t->stride : sizeof(uintptr_t);
  uintptr_t end = object + c->object_bytes;
  if (end - from > PIECE_BYTES) {
    size_t piece = max_size(PIECE_BYTES / stride, 1) * stride;
    if (end - from > piece && mark_push(m, (from + piece) | ITEM_PIECE)) {
      end = from + piece; /* where an element begins */
    }
  }
  if (t == NULL) {
    m->base_only = m->base_only_words;
    mark_words(m, (const uintptr_t *)from, (const uintptr_t *)end);
  } else if (t->kind == ALM_TYPED) {
    m->base_only = m->base_only_typed;
    mark_typed(m, t, from, end);
  }
}

/* Scan the item, an object or a piece of one; or leave the words from its start
 * to the end returned to the caller. */
static const uintptr_t *mark_scan_other(struct marker *m, uintptr_t item) {
  uintptr_t from = item & ~(uintptr_t)ITEM_PIECE;
  /* found once already, when it was marked */
  struct collected *c = collected_of(arena_span(arena_page_of((void *)from)));
  if (likely(c->scan == SCAN_WORDS || c->scan == (SCAN_WORDS | SCAN_PAIR))) {
    return (const uintptr_t *)(from + c->object_bytes);
  }
  if (c->scan == SCAN_MASK) {
    m->base_only = m->base_only_typed;
    mark_typed_one(m, c->type, (const uintptr_t *)from);
  } else if (c->scan == SCAN_PARTS) {
    mark_scan_part(m, c, from, item & ITEM_PIECE);
  }
  return NULL;
}

static void mark_scan(struct marker *m, uintptr_t item) {
  const uintptr_t *from = (const uintptr_t *)(item & ~(uintptr_t)ITEM_PAIR);
  const uintptr_t *end = item & ITEM_PAIR ? from + 2 : mark_scan_other(m, item);
  if (end != NULL) {
    m->base_only = m->base_only_words;
    mark_words(m, from, end);
  }
}

void mark_contents(struct marker *m, void *object) {
  mark_scan(m, (uintptr_t)object);
}

struct alm_visitor *mark_root_visitor(struct marker *m) {
  m->base_only = 0;
  return mark_visitor(m);
}

struct alm_heap *mark_heap(const struct marker *m) {
  return m->heap;
}

void mark_visit(struct alm_visitor *v, const void *p) {
  mark_word((struct marker *)(void *)v, (uintptr_t)p);
}

/* ---- draining -------------------------------------------------------------- */

/* Half of what a marker has goes to those that wait: the older half, from which
 * more is to be found. */
static void mark_share(struct marker *m) {
  struct work_buffer *half = work_take_empty(m->work);
  if (half == NULL) {
    return;
  }
  size_t n = mark_count_items(m);
  half->count = n / 2;
  memcpy(half->items, m->bottom, half->count * sizeof *m->bottom);
  memmove(m->bottom, m->bottom + half->count,
          (n - half->count) * sizeof *m->bottom);
  m->top -= half->count;
  work_give(m->work, half);
}

/* Scan what is in the buffer and what follows, `*left` objects at most. False:
 * there are more. Most objects are scanned right here. */
ALM_INLINE bool mark_drain_buffer(struct marker *m, bool is_alone,
                                  size_t *left) {
  enum { SHARE_MIN = 4 };
  for (; m->top != m->bottom; --*left) {
    if (*left == 0) {
      return false;
    }
    uintptr_t item = *--m->top;
    const uintptr_t *from = (const uintptr_t *)(item & ~(uintptr_t)ITEM_PAIR);
    const uintptr_t *end = from + 2;
    if (!(item & ITEM_PAIR)) {
      end = mark_scan_other(m, item);
    }
    for (; from < end; from++) {
      size_t offset = *from - m->low;
      if (offset < m->heap_bytes) {
        mark_ring_as(m, offset, m->base_only_words, is_alone);
      }
    }
    if (!is_alone && work_is_wanted(m->work) &&
        mark_count_items(m) >= SHARE_MIN) {
      mark_share(m);
    }
  }
  return true;
}

static void mark_drain_own(struct marker *m) {
  do {
    size_t no_end = SIZE_MAX;
    (void)(m->is_alone ? mark_drain_buffer(m, true, &no_end)
                       : mark_drain_buffer(m, false, &no_end));
  } while (mark_empty_ring(m));
}

static void mark_run(struct marker *m) {
  mark_source source = m->heap->team->source;
  while (source(m->heap, m)) {
    mark_drain_own(m);
  }
  for (;;) {
    mark_drain_own(m);
    struct work_buffer *b = work_take(m->work);
    if (b == NULL) {
      return;
    }
    mark_replace_empty(m, b);
  }
}

static void *mark_thread(void *arg) {
  struct marker *m = arg;
  struct mark_team *team = m->heap->team;
  (void)pthread_setname_np(pthread_self(), "almacen-mark");
  for (uint32_t seen = 0;; seen++) {
    while (atomic_load_acquire(&team->go) == seen) { /* pairs: mark_call */
      os_futex_wait(&team->go, seen, 0);
    }
    if (atomic_load_acquire(&team->is_ending)) {
      return NULL;
    }
    mark_run(m);
    m->cpu_ns = os_cpu_ns();
    if (atomic_add_release(&team->nworking, (uint32_t)-1) == 1) {
      os_futex_wake(&team->nworking, 1);
    }
  }
}

static void mark_call(struct mark_team *team) {
  atomic_store_relaxed(&team->nworking, team->nthreads);
  (void)atomic_add_release(&team->go, 1);
  os_futex_wake(&team->go, UINT32_MAX >> 1);
}

static void mark_wait(struct mark_team *team) {
  uint32_t n;
  while ((n = atomic_load_acquire(&team->nworking)) != 0) {
    os_futex_wait(&team->nworking, n, 0);
  }
}

/* What was marked and found no buffer: scan every marked object again. */
static void mark_again(struct collected *c, void *arg) {
  struct marker *m = arg;
  size_t step = c->layout != NULL ? c->layout->slot_bytes : 0;
  for (unsigned i = 0; c->kind != ALM_NOSCAN && i < c->span.nslots; i++) {
    uintptr_t slot = c->span.base + i * step;
    if (marks_test(slot)) {
      mark_scan(m, slot + c->header_bytes);
      mark_drain_own(m);
    }
  }
}

/* Scan so many objects at most, while nobody else marks: to wake the others
 * takes longer. False: there are more. */
static bool mark_run_alone(struct marker *m) {
  size_t left = ALM_TORTURE ? 64 : 16384;
  mark_source source = m->heap->team->source;
  struct work_buffer *b;
  do {
    do {
      if (!mark_drain_buffer(m, true, &left)) {
        return false;
      }
    } while (mark_empty_ring(m) || source(m->heap, m));
    b = work_take(m->work); /* of one marker: does not wait */
    if (b != NULL) {
      mark_replace_empty(m, b);
    }
  } while (b != NULL);
  return true;
}

static void mark_run_together(struct mark_team *team) {
  for (unsigned i = 0; i <= team->nthreads; i++) {
    team->markers[i].is_alone = false;
  }
  work_begin(&team->work, team->nthreads + 1);
  mark_call(team);
  mark_run(&team->markers[0]);
  mark_wait(team);
}

void mark_drain(struct alm_heap *h) {
  struct mark_team *team = h->team;
  struct marker *m = &team->markers[0];
  m->is_alone = true;
  work_begin(&team->work, 1);
  if (team->nthreads == 0) {
    mark_run(m);
  } else if (!mark_run_alone(m)) {
    mark_run_together(team);
  }
  m->is_alone = true;
  while (atomic_load_relaxed(&team->work.has_overflowed)) {
    atomic_store_relaxed(&team->work.has_overflowed, false);
    work_begin(&team->work, 1);
    heap_visit_spans(h, mark_again, m);
    mark_run(m);
  }
}

uint64_t mark_count(const struct marker *m) {
  const struct mark_team *team = m->heap->team;
  uint64_t n = 0;
  for (unsigned i = 0; i <= team->nthreads; i++) {
    n += team->markers[i].objects;
  }
  return n;
}

/* ---- the team --------------------------------------------------------------- */

static const size_t mark_team_bytes = sizeof(struct mark_team);

static void mark_team_start_threads(struct alm_heap *h, unsigned n) {
  struct mark_team *team = h->team;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  for (unsigned i = 1; i < n; i++) {
    if (os_fault_hit(OS_THREAD) ||
        pthread_create(&team->threads[i], NULL, mark_thread,
                       &team->markers[i]) != 0) {
      break;
    }
    team->nthreads = i;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool mark_prepare(struct alm_heap *h) {
  if (h->team != NULL) {
    return true;
  }
  h->team = os_alloc(mark_team_bytes, "almacen: markers");
  if (h->team == NULL) {
    return false;
  }
  h->team->work.lock = (struct lock)LOCK_INIT(RANK_WORK);
  unsigned n = h->options.markers ? h->options.markers : os_cpus();
  n = (unsigned)min_size(n, MARKERS_MAX);
  for (unsigned i = 0; i < MARKERS_MAX; i++) {
    h->team->markers[i].heap = h;
    h->team->markers[i].work = &h->team->work;
  }
  mark_team_start_threads(h, n);
  return true;
}

struct marker *mark_begin(struct alm_heap *h, mark_source source) {
  h->team->source = source;
  for (unsigned i = 0; i <= h->team->nthreads; i++) {
    struct marker *m = &h->team->markers[i];
    m->is_alone = i == 0; /* until it calls the others */
    m->low = heap_map.base;
    m->heap_bytes = atomic_load_relaxed(&heap_map.npages) << PAGE_SHIFT;
    m->base_only_words = h->is_base_only ? BASE_ONLY : 0;
    m->base_only_typed = h->options.base_pointers_only ? BASE_ONLY : 0;
    m->bytes = m->objects = m->light_bytes = 0;
    for (unsigned at = 0; at < RING; at++) {
      m->ring[at] = NO_CANDIDATE;
    }
  }
  return &h->team->markers[0];
}

void mark_end(struct alm_heap *h, uint64_t *bytes, uint64_t *objects) {
  *bytes = *objects = 0;
  for (unsigned i = 0; i <= h->team->nthreads; i++) {
    struct marker *m = &h->team->markers[i];
    *bytes += m->bytes;
    *objects += m->objects;
    mark_replace_empty(m, NULL);
  }
}

uint64_t mark_team_cpu_ns(const struct alm_heap *h) {
  const struct mark_team *team = h->team;
  uint64_t sum = 0;
  for (unsigned i = 1; team != NULL && i <= team->nthreads; i++) {
    sum += team->markers[i].cpu_ns;
  }
  return sum;
}

unsigned mark_team_size(const struct alm_heap *h) {
  return h->team->nthreads + 1;
}

uint64_t mark_light_bytes(const struct alm_heap *h) {
  uint64_t bytes = 0;
  for (unsigned i = 0; i <= h->team->nthreads; i++) {
    bytes += h->team->markers[i].light_bytes;
  }
  return bytes;
}

void mark_team_end(struct alm_heap *h) {
  struct mark_team *team = h->team;
  if (team == NULL) {
    return;
  }
  atomic_store_release(&team->is_ending, 1);
  mark_call(team);
  for (unsigned i = 1; i <= team->nthreads; i++) {
    pthread_join(team->threads[i], NULL);
  }
  os_unreserve(team, mark_team_bytes);
  h->team = NULL;
}
