/* gc/heap.c -- see heap.h. */
#include "heap.h"

#include "base/diag.h"
#include "mem/memstat.h"
#include "mem/metaalloc.h"
#include "mem/pageheap.h"
#include "os/conf.h"
#include "os/os.h"

#include <string.h>

static struct {
  struct lock lock;
  struct list_node all; /* struct alm_heap; under the lock */
  uint64_t made;        /* under the lock */
} heaps = {.lock = LOCK_INIT(RANK_HEAPS), .all = {&heaps.all, &heaps.all}};

/* Records by how many words of free bits they have room for. */
#define COLLECTED_RECORD(words)                                                \
  { (sizeof(struct collected) + (words)*8 + 15) / 16 * 16, NULL }
static struct meta_pool heap_span_pools[] = {
    COLLECTED_RECORD(1), COLLECTED_RECORD(3), COLLECTED_RECORD(8),
    COLLECTED_RECORD(16)};
static const size_t heap_span_words[] = {1, 3, 8, 16};

static struct meta_pool heap_pool = {(sizeof(struct alm_heap) + 63) / 64 * 64,
                                     NULL};
static struct meta_pool heap_type_pool = {
    (sizeof(struct alm_type) + 15) / 16 * 16, NULL};

static struct meta_pool *heap_span_pool(unsigned class) {
  size_t words = (sizeclasses[class].nslots + 63u) / 64;
  unsigned i = 0;
  while (heap_span_words[i] < words) {
    i++;
  }
  return &heap_span_pools[i];
}

static void heap_init_layout(const struct alm_heap *h, struct layout *l,
                             unsigned class, enum alm_kind kind,
                             const struct alm_type *type, bool has_header) {
  list_init(&l->all);
  list_init(&l->partial);
  l->sweep = &l->all;
  l->type = type;
  l->slot_bytes = sizeclasses[class].object_bytes;
  l->run_slots =
      (uint32_t)max_size(GC_RUN_BYTES_MAX / max_size(l->slot_bytes, 1), 1);
  l->class = (uint8_t) class;
  l->kind = (uint8_t)kind;
  l->has_header = has_header;
  l->may_be_dirty = h->face != NULL && kind == ALM_NOSCAN;
}

static void heap_init_layouts(struct alm_heap *h) {
  for (unsigned class = 0; class < SIZECLASS_COUNT; class ++) {
    heap_init_layout(h, &h->layouts[LAYOUT_NOSCAN + class], class, ALM_NOSCAN,
                     NULL, false);
    heap_init_layout(h, &h->layouts[LAYOUT_CONSERVATIVE + class], class,
                     ALM_CONSERVATIVE, NULL, false);
    heap_init_layout(h, &h->layouts[LAYOUT_ARRAY + class], class, ALM_TYPED,
                     NULL, true);
  }
  heap_init_layout(h, &h->layouts[LAYOUT_TINY], sizeclass_for(TINY_BLOCK_BYTES),
                   ALM_NOSCAN, NULL, false);
  h->layouts[LAYOUT_TINY].is_packed = true;
  h->nlayouts = LAYOUT_TYPES;
}

enum { FIRST_BYTES = 4 << 20, GC_PERCENT = 75, PERIOD_MS = 120000 };

static const size_t heap_layouts_bytes = LAYOUT_COUNT * sizeof(struct layout);

struct alm_heap *heap_create(const struct alm_heap_options *o,
                             const struct alm_face *face) {
  struct alm_heap *h = meta_take(&heap_pool);
  struct layout *layouts = os_alloc(heap_layouts_bytes, "almacen: layouts");
  if (h == NULL || layouts == NULL || !marks_ready(1)) {
    if (h != NULL) {
      meta_return(&heap_pool, h);
    }
    if (layouts != NULL) {
      os_unreserve(layouts, heap_layouts_bytes);
    }
    return NULL;
  }
  memset(h, 0, sizeof *h);
  h->lock = (struct lock)LOCK_INIT(RANK_HEAP);
  h->layouts = layouts;
  h->sweepgen = 1;
  h->options = *o;
  h->options.gc_percent = o->gc_percent ? o->gc_percent : GC_PERCENT;
  h->options.first_bytes = o->first_bytes ? o->first_bytes : FIRST_BYTES;
  h->limit_bytes = o->limit_bytes;
  h->face = face;
  h->is_base_only = face != NULL && o->base_pointers_only;
  h->stop_signal = o->contract == ALM_UNCOOPERATIVE ? o->stop_signal : 0;
  h->goal = h->options.first_bytes;
  h->displacements[0] = 1; /* the first byte */
  unsigned ms = o->period_ms ? o->period_ms : PERIOD_MS;
  h->period_ns = ms == ALM_NEVER ? 0 : (uint64_t)ms * 1000000;
  h->collected_ns = os_coarse_ns();
  list_init(&h->mutators);
  list_init(&h->large);
  h->large_sweep = &h->large;
  list_init(&h->roots);
  list_init(&h->stacks);
  list_init(&h->handle_blocks);
  heap_init_layouts(h);
  heap_list_acquire();
  h->number = ++heaps.made;
  list_push_back(&heaps.all, &h->heaps);
  heap_list_release();
  memstat_add(&memstat->gc.heaps, 1);
  memstat_add(&memstat->gc.heaps_now, 1);
  return h;
}

uint64_t heap_allocated_locked(const struct alm_heap *h) {
  /* pairs: local_account; so nothing is counted twice */
  uint64_t bytes = atomic_load_acquire(&h->allocated);
  for (const struct list_node *n = h->mutators.next; n != &h->mutators;
       n = n->next) {
    bytes += atomic_load_relaxed(
        &LIST_ELEMENT(n, struct alm_mutator, link)->unaccounted);
  }
  return bytes;
}

void heap_publish_locked(struct alm_heap *h) {
  uint64_t now = heap_claimed_locked(h);
  if (now > h->published) { /* else a race in sweep_free_object */
    memstat_add(&memstat->gc.alloc_bytes, now - h->published);
    h->published = now;
  }
}

void heap_publish_all(void) {
  if (!lock_try_patiently(&heaps.lock)) {
    return;
  }
  struct alm_heap *h;
  FOR_EACH_HEAP(h) {
    if (lock_try_patiently(&h->lock)) {
      heap_publish_locked(h);
      lock_release(&h->lock);
    }
  }
  lock_release(&heaps.lock);
}

void heap_clear_marks(struct collected *c) {
  memset(heap_marks(c), 0, heap_marks_bytes(c));
}

void heap_visit_spans(struct alm_heap *h,
                      void (*visit)(struct collected *c, void *arg),
                      void *arg) {
  for (unsigned i = 0; i < h->nlayouts; i++) {
    struct list_node *all = &h->layouts[i].all;
    for (struct list_node *n = all->next; n != all; n = n->next) {
      visit(LIST_ELEMENT(n, struct collected, all), arg);
    }
  }
  for (struct list_node *n = h->large.next; n != &h->large; n = n->next) {
    visit(LIST_ELEMENT(n, struct collected, all), arg);
  }
}

void heap_visit_root_spans(struct alm_heap *h,
                           void (*visit)(struct collected *c, void *arg),
                           void *arg) {
  for (unsigned i = 0; i < h->nlayouts; i++) {
    struct layout *l = &h->layouts[i];
    for (struct list_node *n = l->all.next; l->is_root && n != &l->all;
         n = n->next) {
      visit(LIST_ELEMENT(n, struct collected, all), arg);
    }
  }
  for (struct list_node *n = h->large.next; n != &h->large; n = n->next) {
    struct collected *c = LIST_ELEMENT(n, struct collected, all);
    if (c->is_root) {
      visit(c, arg);
    }
  }
}

static void heap_drop_span(struct collected *c) {
  pageheap_return_collected(&c->span, true);
  meta_return(heap_span_pool(c->span.class), c);
}

static void heap_drop_all(struct list_node *all) {
  while (!list_is_empty(all)) {
    struct collected *c = LIST_ELEMENT(all->next, struct collected, all);
    list_remove(&c->all);
    heap_clear_marks(c); /* for whoever takes the pages next [marks.1] */
    heap_drop_span(c);
  }
}

void heap_unlist(struct alm_heap *h) {
  heap_list_acquire();
  list_remove(&h->heaps);
  heap_list_release();
}

void heap_destroy(struct alm_heap *h) {
  lock_acquire(&h->lock);
  heap_publish_locked(h);
  lock_release(&h->lock);
  memstat_live_change(-h->stats.live_bytes, -h->stats.live_objects);
  memstat_add(&memstat->gc.heaps_now, (uint64_t)-1);
  for (unsigned i = 0; i < h->nlayouts; i++) {
    heap_drop_all(&h->layouts[i].all);
    if (h->layouts[i].type != NULL && !h->layouts[i].shares_type) {
      meta_return(&heap_type_pool, (void *)(uintptr_t)h->layouts[i].type);
    }
  }
  heap_drop_all(&h->large);
  os_unreserve(h->layouts, heap_layouts_bytes);
  meta_return(&heap_pool, h);
}

/* The next n layouts, if there are so many; 0: no. */
static uint32_t heap_take_layouts_locked(struct alm_heap *h, uint32_t n) {
  uint32_t first = h->nlayouts;
  return first + n <= LAYOUT_COUNT ? first : 0;
}

uint32_t heap_add_layouts(struct alm_heap *h, enum alm_kind kind,
                          alm_core_trace trace, void *arg, bool is_root) {
  struct alm_type *t = trace != NULL ? meta_take(&heap_type_pool) : NULL;
  if (trace != NULL && t == NULL) {
    return 0;
  }
  if (t != NULL) {
    memset(t, 0, sizeof *t);
    t->kind = ALM_TRACED;
    t->core_trace = trace;
    t->core_arg = arg;
    t->heap = h;
  }
  lock_acquire(&h->lock);
  uint32_t first = heap_take_layouts_locked(h, SIZECLASS_COUNT);
  for (unsigned i = 0; first != 0 && i < SIZECLASS_COUNT; i++) {
    struct layout *l = &h->layouts[first + i];
    heap_init_layout(h, l, i, t != NULL ? ALM_TRACED : kind, t, false);
    l->is_root = is_root;
    l->shares_type = i > 0;
  }
  if (first != 0) {
    atomic_store_release(&h->nlayouts, first + SIZECLASS_COUNT);
  }
  lock_release(&h->lock);
  if (first == 0 && t != NULL) {
    meta_return(&heap_type_pool, t);
  }
  return first;
}

struct alm_type *heap_add_type(struct alm_heap *h,
                               const struct alm_type_info *info) {
  struct alm_type *t = meta_take(&heap_type_pool);
  if (t == NULL) {
    return NULL;
  }
  memset(t, 0, sizeof *t);
  t->bytes = (uint32_t)info->bytes;
  t->stride = (uint32_t)align_up(info->bytes, 8);
  t->trace = info->trace;
  t->heap = h;
  for (size_t i = 0; i < (info->words + 63) / 64; i++) {
    uint64_t most = bits_low((unsigned)min_size(info->words - i * 64, 64));
    t->mask[i] = info->pointers[i] & most;
    t->nmask = t->mask[i] != 0 ? (uint32_t)i + 1 : t->nmask;
  }
  t->kind = info->trace ? ALM_TRACED : t->nmask ? ALM_TYPED : ALM_NOSCAN;
  for (size_t i = 0; info->name && info->name[i] && i + 1 < sizeof t->name;
       i++) {
    t->name[i] = info->name[i];
  }
  unsigned class = sizeclass_for(max_size(info->bytes, 16));
  t->head.slot_bytes = sizeclasses[class].object_bytes;
  lock_acquire(&h->lock);
  bool has_room = heap_take_layouts_locked(h, 1) != 0;
  if (has_room) {
    t->head.index = h->nlayouts;
    heap_init_layout(h, &h->layouts[h->nlayouts], class, t->kind, t, false);
    atomic_store_release(&h->nlayouts, h->nlayouts + 1);
  }
  lock_release(&h->lock);
  if (!has_room) {
    meta_return(&heap_type_pool, t);
    return NULL;
  }
  return t;
}

/* A smaller heap would feel the unused rest of a huge page. */
#define HEAP_DENSE_BYTES (4 * MIB)
/* Of a larger object much may never be written. */
#define HEAP_WRITTEN_BYTES (8 * MIB)
/* Of the goal: so much more than it may become resident. */
enum { HEAP_SPARE_SHIFT = 3 };

/* Will the heap fill a huge page around the new span before it collects? */
static bool heap_is_dense_locked(const struct alm_heap *h, size_t bytes) {
  uint64_t goal = atomic_load_relaxed(&h->goal);
  return h->span_bytes >= HEAP_DENSE_BYTES && bytes <= HEAP_WRITTEN_BYTES &&
         h->span_bytes + HUGE_BYTES <= goal + (goal >> HEAP_SPARE_SHIFT);
}

/* Account for a new span of the heap; false: the limit. */
static bool heap_charge(struct alm_heap *h, size_t bytes, bool *is_dense) {
  lock_acquire(&h->lock);
  bool ok = h->limit_bytes == 0 || h->span_bytes + bytes <= h->limit_bytes;
  if (ok) {
    (void)atomic_add_relaxed(&h->nbusy, 1);
    h->span_bytes += bytes;
    *is_dense = heap_is_dense_locked(h, bytes);
    h->stats.heap_bytes_max =
        max_size(h->stats.heap_bytes_max, (size_t)h->span_bytes);
  }
  lock_release(&h->lock);
  return ok;
}

void heap_busy_end(struct alm_heap *h) {
  (void)atomic_add_release(&h->nbusy, (uint32_t)-1); /* pairs: world_fork */
}

static void heap_uncharge(struct alm_heap *h, size_t bytes) {
  lock_acquire(&h->lock);
  h->span_bytes -= bytes;
  lock_release(&h->lock);
  heap_busy_end(h);
}

/* Record, pages and mark bits; not in any list or map yet. */
static struct collected *heap_make_span(struct alm_heap *h, unsigned class,
                                        size_t npages) {
  size_t bytes = npages << PAGE_SHIFT;
  struct collected *c = meta_take(heap_span_pool(class));
  if (c == NULL) {
    return NULL;
  }
  bool is_dense;
  if (!heap_charge(h, bytes, &is_dense)) {
    meta_return(heap_span_pool(class), c);
    return NULL;
  }
  if (pageheap_take_collected(&c->span, class, npages,
                              is_dense && conf_number(CONF_huge_pages))) {
    if (marks_ready(arena_page_of((void *)c->span.base) + npages)) {
      atomic_store_relaxed(&c->heap, h);
      return c;
    }
    pageheap_return_collected(&c->span, false);
  }
  heap_uncharge(h, bytes);
  meta_return(heap_span_pool(class), c);
  return NULL;
}

/* Into the maps and the list, behind the sweep's cursor. */
static void heap_insert_span(struct alm_heap *h, struct collected *c,
                             struct list_node *all) {
  pageheap_publish_collected(&c->span);
  lock_acquire(&h->lock);
  atomic_store_release(&c->sweepgen, h->sweepgen);
  list_push_front(all, &c->all);
  lock_release(&h->lock);
  heap_busy_end(h);
}

static enum scan heap_scan(const struct collected *c) {
  if (c->kind == ALM_NOSCAN) {
    return SCAN_NONE;
  }
  if (c->layout == NULL || c->header_bytes != 0) {
    return SCAN_PARTS;
  }
  if (c->kind == ALM_CONSERVATIVE) {
    return c->object_bytes == 2 * sizeof(uintptr_t) ? SCAN_WORDS | SCAN_PAIR
                                                    : SCAN_WORDS;
  }
  return c->kind == ALM_TYPED ? SCAN_MASK : SCAN_PARTS;
}

struct collected *heap_take_span(struct alm_heap *h, struct layout *layout) {
  unsigned class = layout->class;
  struct collected *c = heap_make_span(h, class, sizeclasses[class].npages);
  if (c == NULL) {
    return NULL;
  }
  c->layout = layout;
  c->type = layout->type;
  c->kind = layout->kind;
  c->header_bytes = layout->has_header ? ARRAY_HEADER_BYTES : 0;
  c->object_bytes = layout->slot_bytes - c->header_bytes;
  c->scan = (uint8_t)heap_scan(c);
  c->is_root = layout->is_root;
  c->span.is_owned = true;
  heap_insert_span(h, c, &layout->all);
  return c;
}

struct collected *heap_take_large(struct alm_heap *h, enum alm_kind kind,
                                  const struct alm_type *type, size_t bytes,
                                  bool is_root) {
  struct collected *c = heap_make_span(h, 0, max_size(pages_for(bytes), 1));
  if (c == NULL) {
    return NULL;
  }
  c->layout = NULL;
  c->type = type;
  c->kind = (uint8_t)kind;
  c->header_bytes = 0;
  c->object_bytes = bytes;
  c->scan = (uint8_t)heap_scan(c);
  c->is_root = is_root;
  heap_insert_span(h, c, &h->large);
  return c;
}

static bool heap_is_swept(struct alm_heap *h, const struct collected *c) {
  lock_acquire(&h->lock);
  bool is_swept = c->sweepgen == h->sweepgen;
  lock_release(&h->lock);
  return is_swept;
}

bool heap_grow_large(struct alm_heap *h, struct collected *c, size_t bytes,
                     bool is_zero) {
  struct span *s = &c->span;
  size_t old = s->npages, npages = pages_for(bytes);
  size_t more_bytes = (npages - old) << PAGE_SHIFT;
  bool is_dense, is_zero_already;
  if (npages <= old || !heap_is_swept(h, c) ||
      !marks_ready(arena_page_of((void *)s->base) + npages) ||
      !heap_charge(h, more_bytes, &is_dense)) {
    return false;
  }
  if (!pageheap_extend_collected(s, npages - old, &is_zero_already)) {
    heap_uncharge(h, more_bytes);
    return false;
  }
  if (is_zero && !is_zero_already) {
    memset((void *)(s->base + (old << PAGE_SHIFT)), 0, more_bytes);
  }
  c->object_bytes = npages << PAGE_SHIFT;
  (void)atomic_add_relaxed(&h->allocated, more_bytes);
  heap_busy_end(h);
  return true;
}

void heap_forget_span_locked(struct alm_heap *h, struct collected *c) {
  struct list_node **sweep =
      c->layout != NULL ? &c->layout->sweep : &h->large_sweep;
  if (*sweep == &c->all) {
    *sweep = c->all.next;
  }
  list_remove(&c->all);
  (void)atomic_add_relaxed(&h->nbusy, 1); /* until heap_return_span */
  h->span_bytes -= c->span.npages << PAGE_SHIFT;
  if (c->sweepgen != h->sweepgen) {
    heap_count_swept_locked(h, c->span.npages);
  }
}

void heap_return_span(struct collected *c) {
  struct alm_heap *h = c->heap;
  heap_drop_span(c);
  heap_busy_end(h);
}

/* ---- checks -------------------------------------------------------------- */

static void heap_check_span(struct alm_heap *h, struct collected *c,
                            const struct layout *l) {
  const struct span *s = &c->span;
  CHECK(c->heap == h && c->layout == l && s->is_collected);
  CHECK(c->all.next->prev == &c->all && c->all.prev->next == &c->all);
  CHECK(!s->is_owned); /* [heap.4] */
  CHECK(c->sweepgen == h->sweepgen || c->sweepgen + 1 == h->sweepgen);
  size_t page = arena_page_of((void *)s->base);
  for (size_t i = 0; i < s->npages; i++) {
    CHECK(arena_span(page + i) == s);
    for (unsigned k = 0; k < MARK_WORDS_PER_PAGE; k++) {
      bool is_swept = c->sweepgen == h->sweepgen;
      CHECK(!is_swept || marks_of_page(page + i)[k] == 0); /* [marks.1] */
    }
  }
  if (l != NULL && c->sweepgen == h->sweepgen) {
    CHECK_EQ(s->nfree, span_count_free(s));
    CHECK(s->nfree == 0 || s->link.next != &s->link); /* [heap.3] */
  }
}

static void heap_count_unswept(struct collected *c, void *npages) {
  *(uint64_t *)npages += c->sweepgen != c->heap->sweepgen ? c->span.npages : 0;
}

bool heap_check_stopped(struct alm_heap *h) {
  uint64_t bytes = 0, unswept = 0;
  for (unsigned i = 0; i < h->nlayouts; i++) {
    struct layout *l = &h->layouts[i];
    for (struct list_node *n = l->all.next; n != &l->all; n = n->next) {
      struct collected *c = LIST_ELEMENT(n, struct collected, all);
      heap_check_span(h, c, l);
      bytes += c->span.npages << PAGE_SHIFT;
    }
    for (struct list_node *n = l->partial.next; n != &l->partial; n = n->next) {
      const struct span *s = LIST_ELEMENT(n, struct span, link);
      CHECK(s->class == l->class && s->nfree > 0 && s->is_collected);
    }
  }
  for (struct list_node *n = h->large.next; n != &h->large; n = n->next) {
    struct collected *c = LIST_ELEMENT(n, struct collected, all);
    heap_check_span(h, c, NULL);
    bytes += c->span.npages << PAGE_SHIFT;
  }
  CHECK_EQ(bytes, h->span_bytes);
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    CHECK(h->stop_signal != 0 || /* [heap.4] */
          LIST_ELEMENT(n, struct alm_mutator, link)->tiny_end == 0);
  }
  heap_visit_spans(h, heap_count_unswept, &unswept);
  CHECK_EQ(unswept, h->unswept_pages); /* [sweep.2] */
  return true;
}

struct list_node *heap_list(void) {
  return &heaps.all;
}

void heap_list_acquire(void) {
  lock_acquire(&heaps.lock);
}

void heap_list_release(void) {
  lock_release(&heaps.lock);
}

void heap_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&heaps.lock);
  } else {
    heap_list_release();
  }
}
