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
 * 1: a conservative object of two words, which Lisps are full of: there is
 * nothing to look up for it. */
enum { ITEM_PIECE = 1, ITEM_PAIR = 2, PAIR_BYTES = 16 };

struct marker {
  struct alm_heap *heap;
  struct work *work;
  struct work_buffer *buffer; /* NULL: none                                 */
  bool is_alone;              /* no other marker marks now                  */
  bool is_base_only;          /* in the object that is scanned now          */
  unsigned ring_at;
  uintptr_t low;     /* of the region; all spans of the heap lie in         */
  size_t heap_bytes; /* [low, low + heap_bytes) while the world is stopped  */
  struct {
    uintptr_t p; /* 0: empty */
    bool is_base_only;
  } ring[RING];
  uint64_t bytes;
  uint64_t objects;
  uint64_t light_bytes; /* see mark_light_bytes                             */
  uint64_t cpu_ns;      /* of its thread, when it was last done; 0: the
                           collector's                                      */
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

/* A buffer with room. False: no memory, the overflow flag is set. [work.2] */
static ALM_COLD bool mark_next_buffer(struct marker *m) {
  struct work_buffer *empty = work_take_empty(m->work);
  if (empty == NULL) {
    return false;
  }
  if (m->buffer != NULL) {
    work_give(m->work, m->buffer);
  }
  m->buffer = empty;
  return true;
}

ALM_INLINE bool mark_push(struct marker *m, uintptr_t item) {
  struct work_buffer *b = m->buffer;
  if (unlikely(b == NULL || b->count == WORK_ITEMS)) {
    if (!mark_next_buffer(m)) {
      return false;
    }
    b = m->buffer;
  }
  b->items[b->count++] = item;
  return true;
}

/* The object at `at` is in use; mark and push it if it is not marked. */
ALM_INLINE void mark_object(struct marker *m, struct collected *c,
                            struct mark_place at, uintptr_t object) {
  if (!marks_set_at(at, m->is_alone)) {
    return;
  }
  m->objects++;
  if (c->span.class == 0) {
    size_t bytes = c->span.npages << PAGE_SHIFT;
    m->bytes += bytes;
    m->light_bytes += c->kind == ALM_NOSCAN ? bytes : 0;
  } else {
    m->bytes += c->object_bytes + c->header_bytes;
  }
  if (c->kind != ALM_NOSCAN) {
    bool is_pair = c->kind == ALM_CONSERVATIVE && c->object_bytes == PAIR_BYTES;
    (void)mark_push(m, is_pair ? object | ITEM_PAIR : object);
  }
}

/* Test, mark and push what p points into. Most pointers are to the first
 * granule of an object, whose bit is the object's. (Only of a span of the heap
 * are there bits, and nobody else changes them.) */
static void mark_candidate_now(struct marker *m, uintptr_t p,
                               bool is_base_only) {
  struct found f;
  struct collected *c = heap_span_at(m->heap, p);
  if (c == NULL) {
    return;
  }
  struct mark_place at = marks_place(p);
  if ((atomic_load_relaxed(at.word) & at.bit) || !heap_find_in_span(c, p, &f)) {
    return;
  }
  uintptr_t object = found_object(&f);
  if (is_base_only && p != object &&
      !heap_is_displacement(m->heap, p - object)) {
    return;
  }
  if (unlikely(p - f.slot >= (uintptr_t)1 << GRANULE_SHIFT)) {
    at = marks_place(f.slot);
  }
  mark_object(m, c, at, object);
}

void mark_root_span(struct marker *m, struct collected *c) {
  struct span *s = &c->span;
  if (s->class == 0) {
    mark_object(m, c, marks_place(s->base), s->base);
    return;
  }
  for (unsigned i = 0; i < span_nwords(s); i++) {
    unsigned n = (unsigned)min_size(64, s->nslots - i * 64u);
    uint64_t used = ~atomic_load_relaxed(&s->free_bits[i]) & bits_low(n);
    for (; used != 0; used &= used - 1) {
      uintptr_t slot = span_slot_address(s, i * 64 + bits_ctz(used));
      mark_object(m, c, marks_place(slot), slot + c->header_bytes);
    }
  }
}

/* p lies in the region: ring it. */
static void mark_ring(struct marker *m, uintptr_t p) {
  __builtin_prefetch((const void *)p);
  __builtin_prefetch(&marks_words[marks_index(p) / 64]);
  __builtin_prefetch(arena_span(arena_page_of((const void *)p)));
  unsigned at = m->ring_at;
  uintptr_t old = m->ring[at].p;
  bool old_base_only = m->ring[at].is_base_only;
  m->ring[at].p = p;
  m->ring[at].is_base_only = m->is_base_only;
  m->ring_at = (at + 1) % RING;
  if (old != 0) {
    mark_candidate_now(m, old, old_base_only);
  }
}

static bool mark_empty_ring(struct marker *m) {
  bool any = false;
  for (unsigned i = 0; i < RING; i++) {
    unsigned at = (m->ring_at + i) % RING;
    uintptr_t p = m->ring[at].p;
    if (p != 0) {
      m->ring[at].p = 0;
      mark_candidate_now(m, p, m->ring[at].is_base_only);
      any = true;
    }
  }
  return any;
}

ALM_INLINE void mark_word(struct marker *m, uintptr_t p) {
  if (p - m->low < m->heap_bytes) {
    mark_ring(m, p);
  }
}

/* ---- scanning -------------------------------------------------------------- */

/* Stacks and registered memory: other threads' variables, red zones and all. */
__attribute__((no_sanitize("address", "thread"))) static void mark_words(
    struct marker *m, const uintptr_t *from, const uintptr_t *end) {
  uintptr_t low = m->low; /* here, because the compiler cannot know */
  size_t heap_bytes = m->heap_bytes;
  for (; from < end; from++) {
    uintptr_t p = *(const volatile uintptr_t *)from;
    if (p - low < heap_bytes) {
      mark_ring(m, p);
    }
  }
}

void mark_range_of(struct marker *m, const void *start, size_t bytes,
                   bool is_base_only) {
  const uintptr_t *from = start;
  m->is_base_only = is_base_only;
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
    m->is_base_only = m->heap->options.base_pointers_only;
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
    m->is_base_only = m->heap->is_base_only;
    mark_words(m, (const uintptr_t *)from, (const uintptr_t *)end);
  } else if (t->kind == ALM_TYPED) {
    m->is_base_only = m->heap->options.base_pointers_only;
    mark_typed(m, t, from, end);
  }
}

/* The item is an object or a piece of one. */
static void mark_scan(struct marker *m, uintptr_t item) {
  if (item & ITEM_PAIR) {
    const uintptr_t *pair = (const uintptr_t *)(item - ITEM_PAIR);
    m->is_base_only = m->heap->is_base_only;
    mark_word(m, pair[0]);
    mark_word(m, pair[1]);
    return;
  }
  uintptr_t from = item & ~(uintptr_t)ITEM_PIECE;
  /* found once already, when it was marked */
  struct collected *c = collected_of(arena_span(arena_page_of((void *)from)));
  if (c->kind == ALM_CONSERVATIVE && c->layout != NULL) {
    m->is_base_only = m->heap->is_base_only;
    mark_words(m, (const uintptr_t *)from,
               (const uintptr_t *)(from + c->object_bytes));
  } else if (c->kind == ALM_TYPED && c->type != NULL && c->layout != NULL) {
    m->is_base_only = m->heap->options.base_pointers_only;
    mark_typed_one(m, c->type, (const uintptr_t *)from);
  } else {
    mark_scan_part(m, c, from, item & ITEM_PIECE);
  }
}

void mark_contents(struct marker *m, void *object) {
  mark_scan(m, (uintptr_t)object);
}

struct alm_visitor *mark_root_visitor(struct marker *m) {
  m->is_base_only = false;
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
  struct work_buffer *b = m->buffer;
  struct work_buffer *half = work_take_empty(m->work);
  if (half == NULL) {
    return;
  }
  half->count = b->count / 2;
  b->count -= half->count;
  memcpy(half->items, b->items, half->count * sizeof b->items[0]);
  memmove(b->items, b->items + half->count, b->count * sizeof b->items[0]);
  work_give(m->work, half);
}

static void mark_drain_own(struct marker *m) {
  enum { SHARE_MIN = 4 };
  do {
    while (m->buffer != NULL && m->buffer->count > 0) {
      mark_scan(m, m->buffer->items[--m->buffer->count]);
      if (!m->is_alone && m->buffer->count >= SHARE_MIN &&
          work_is_wanted(m->work)) {
        mark_share(m);
      }
    }
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
    if (m->buffer != NULL) {
      work_return_empty(m->buffer);
    }
    m->buffer = b;
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
  unsigned left = ALM_TORTURE ? 64 : 16384;
  mark_source source = m->heap->team->source;
  struct work_buffer *b;
  do {
    do {
      while (m->buffer != NULL && m->buffer->count > 0) {
        if (left-- == 0) {
          return false;
        }
        mark_scan(m, m->buffer->items[--m->buffer->count]);
      }
    } while (mark_empty_ring(m) || source(m->heap, m));
    b = work_take(m->work); /* of one marker: does not wait */
    if (b != NULL && m->buffer != NULL) {
      work_return_empty(m->buffer);
    }
    m->buffer = b != NULL ? b : m->buffer;
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
    m->bytes = m->objects = m->light_bytes = 0;
  }
  return &h->team->markers[0];
}

void mark_end(struct alm_heap *h, uint64_t *bytes, uint64_t *objects) {
  *bytes = *objects = 0;
  for (unsigned i = 0; i <= h->team->nthreads; i++) {
    struct marker *m = &h->team->markers[i];
    *bytes += m->bytes;
    *objects += m->objects;
    if (m->buffer != NULL) {
      work_return_empty(m->buffer);
      m->buffer = NULL;
    }
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
