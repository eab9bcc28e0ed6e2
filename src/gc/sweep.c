/* gc/sweep.c -- see sweep.h. */
#include "sweep.h"

#include "pacer.h"

#include <string.h>

/* What an object is overwritten with when it is freed, in debug builds or if
 * the heap wants it. */
enum { FREED_BYTE = 0xdb };

/* Live bits of the n <= 64 slots whose first has its mark at bit 0 of *at;
 * 2^halvings marks for each slot. */
static uint64_t sweep_gather(const uint64_t *at, unsigned halvings,
                             unsigned n) {
  uint64_t live = 0;
  for (unsigned i = 0; i < n; i += 64u >> halvings) {
    uint64_t word = *at++;
    for (unsigned k = 0; word != 0 && k < halvings; k++) {
      word = bits_even(word);
    }
    live |= word << i;
  }
  return live;
}

/* Free bits of 64 slots from `first`, from the marks. */
static uint64_t sweep_free_word(const struct collected *c, unsigned first) {
  const struct span *s = &c->span;
  unsigned n = (unsigned)min_size(64, s->nslots - first);
  uint32_t step = c->layout->slot_bytes >> GRANULE_SHIFT;
  size_t at = marks_index(s->base) + (size_t)first * step;
  if (is_power_of_two(step) && step <= 64) {
    unsigned halvings = bits_ctz(step);
    return ~sweep_gather(&marks_words[at / 64], halvings, n) & bits_low(n);
  }
  uint64_t live = 0;
  for (unsigned i = 0; i < n; i++, at += step) {
    live |= ((marks_words[at / 64] >> (at % 64)) & 1) << i;
  }
  return ~live & bits_low(n);
}

static bool sweep_is_filling(const struct alm_heap *h) {
  return ALM_DEBUG || h->options.clobber_free;
}

static void sweep_fill(const struct collected *c, unsigned first,
                       uint64_t freed) {
  if (!sweep_is_filling(c->heap)) {
    return;
  }
  for (; freed != 0; freed &= freed - 1) {
    unsigned slot = first + bits_ctz(freed);
    memset((void *)span_slot_address(&c->span, slot), FREED_BYTE,
           c->layout->slot_bytes);
  }
}

static void sweep_fill_large(const struct collected *c) {
  if (sweep_is_filling(c->heap)) {
    memset((void *)c->span.base, FREED_BYTE, c->span.npages << PAGE_SHIFT);
  }
}

/* The caller has it from a cursor [sweep.1]. */
static void sweep_span(struct collected *c, uint32_t gen) {
  struct span *s = &c->span;
  unsigned nfree = 0;
  for (unsigned i = 0; i < span_nwords(s); i++) {
    uint64_t bits = sweep_free_word(c, i * 64);
    sweep_fill(c, i * 64, bits & ~atomic_load_relaxed(&s->free_bits[i]));
    /* what was free before is without a mark, so this adds only; whoever
     * deletes an object of the span meanwhile adds its own bit. Relaxed: found
     * by way of a pointer, which cannot be to a free slot */
    (void)atomic_or_relaxed(&s->free_bits[i], bits);
    nfree += bits_count(bits);
  }
  heap_clear_marks(c);
  s->nfree = (uint16_t)nfree;
  atomic_store_relaxed(&s->is_fresh, false);
  list_init(&s->link);
  atomic_store_release(&c->sweepgen, gen);
  heap_busy_end(c->heap);
}

/* The next span of the layout to sweep is the caller's. */
static struct collected *sweep_next_locked(struct layout *l, uint32_t gen) {
  /* the taker counts in nbusy until sweep_span has ended */
  while (l->sweep != &l->all) {
    struct collected *c = LIST_ELEMENT(l->sweep, struct collected, all);
    l->sweep = l->sweep->next;
    if (c->sweepgen != gen) {
      c->span.is_owned = true;
      (void)atomic_add_relaxed(&c->heap->nbusy, 1);
      heap_count_swept_locked(c->heap, c->span.npages);
      return c;
    }
  }
  return NULL;
}

void sweep_return_span(struct collected *c) {
  struct alm_heap *h = c->heap;
  struct span *s = &c->span;
  lock_acquire(&h->lock);
  s->is_owned = false;
  s->nfree = (uint16_t)span_count_free(s);
  bool is_empty = s->nfree == s->nslots;
  if (is_empty) {
    heap_forget_span_locked(h, c);
  } else if (s->nfree > 0) {
    list_push_back(&c->layout->partial, &s->link);
  }
  lock_release(&h->lock);
  if (is_empty) {
    heap_return_span(c);
  }
}

struct collected *sweep_take_span(struct alm_heap *h, struct layout *l) {
  for (;;) {
    struct collected *c = NULL;
    lock_acquire(&h->lock);
    if (!list_is_empty(&l->partial)) {
      struct span *s = LIST_ELEMENT(l->partial.next, struct span, link);
      list_remove(&s->link);
      s->is_owned = true;
      lock_release(&h->lock);
      return collected_of(s);
    }
    uint32_t gen = h->sweepgen;
    c = sweep_next_locked(l, gen);
    lock_release(&h->lock);
    if (c == NULL) {
      break;
    }
    sweep_span(c, gen);
    if (c->span.nfree > 0) {
      return c;
    }
    sweep_return_span(c);
  }
  (void)sweep_some(h, SWEEP_BEFORE_GROWTH);
  return heap_take_span(h, l);
}

/* One unswept span of any layout. */
static struct collected *sweep_next_anywhere(struct alm_heap *h) {
  struct collected *c = NULL;
  lock_acquire(&h->lock);
  while (c == NULL && h->sweep_layout < h->nlayouts) {
    c = sweep_next_locked(&h->layouts[h->sweep_layout], h->sweepgen);
    h->sweep_layout += c == NULL;
  }
  lock_release(&h->lock);
  return c;
}

/* A large object costs one bit. False: there is none to sweep. */
static bool sweep_large(struct alm_heap *h) {
  struct collected *c = NULL;
  bool is_dead = false;
  lock_acquire(&h->lock);
  if (h->large_sweep != &h->large) {
    c = LIST_ELEMENT(h->large_sweep, struct collected, all);
    h->large_sweep = h->large_sweep->next;
    is_dead = !marks_test(c->span.base);
    marks_clear(c->span.base);
    if (is_dead) { /* never swept: core.c's find would take it for alive */
      heap_forget_span_locked(h, c);
    } else {
      heap_count_swept_locked(h, c->span.npages);
      atomic_store_release(&c->sweepgen, h->sweepgen);
    }
  }
  lock_release(&h->lock);
  if (is_dead) {
    sweep_fill_large(c);
    heap_return_span(c);
  }
  return c != NULL;
}

bool sweep_one(struct alm_heap *h) {
  struct collected *c = sweep_next_anywhere(h);
  if (c == NULL) {
    return sweep_large(h);
  }
  sweep_span(c, h->sweepgen);
  sweep_return_span(c);
  return true;
}

void sweep_pay(struct alm_heap *h, uint64_t bytes) {
  uint64_t unswept;
  while ((unswept = atomic_load_relaxed(&h->unswept_pages)) > 0) {
    uint64_t live = atomic_load_relaxed(&h->stats.live_bytes);
    uint64_t goal = atomic_load_relaxed(&h->goal);
    uint64_t due =
        pacer_sweep_due(h->sweep_pages, goal > live ? goal - live : 0,
                        atomic_load_relaxed(&h->allocated) + bytes);
    if (h->sweep_pages - unswept >= due || !sweep_one(h)) {
      return;
    }
  }
}

bool sweep_some(struct alm_heap *h, unsigned most) {
  bool any = false;
  while (sweep_large(h)) {
    any = true;
  }
  for (unsigned i = 0; i < most; i++) {
    struct collected *c = sweep_next_anywhere(h);
    if (c == NULL) {
      return any;
    }
    any = true;
    sweep_span(c, h->sweepgen);
    sweep_return_span(c);
  }
  return any;
}

void sweep_finish(struct alm_heap *h) {
  while (sweep_some(h, 64)) {}
}

void sweep_begin_stopped(struct alm_heap *h) {
  for (unsigned i = 0; i < h->nlayouts; i++) {
    struct layout *l = &h->layouts[i];
    list_init(&l->partial); /* sweep_span renews each link */
    l->sweep = l->all.next;
  }
  h->large_sweep = h->large.next;
  h->sweep_layout = 0;
  atomic_store_relaxed(&h->sweepgen, h->sweepgen + 1);
  h->sweep_pages = h->span_bytes >> PAGE_SHIFT;
  atomic_store_relaxed(&h->unswept_pages, h->sweep_pages);
}

static void sweep_disown_span_locked(struct alm_heap *h, struct collected *c) {
  struct span *s = &c->span;
  if (!s->is_owned) {
    return;
  }
  s->is_owned = false;
  s->nfree = (uint16_t)span_count_free(s);
  if (c->sweepgen == h->sweepgen && s->nfree > 0) {
    list_push_back(&c->layout->partial, &s->link);
  }
}

void sweep_own_again_locked(struct collected *c) {
  c->span.is_owned = true;
  list_remove(&c->span.link); /* a no-op for one in no list */
}

void sweep_disown_locked(struct alm_heap *h) {
  for (unsigned i = 0; i < h->nlayouts; i++) {
    struct layout *l = &h->layouts[i];
    l->sweep = l->all.next;
    for (struct list_node *n = l->all.next; n != &l->all; n = n->next) {
      sweep_disown_span_locked(h, LIST_ELEMENT(n, struct collected, all));
    }
  }
  h->sweep_layout = 0;
}

void sweep_free_slot(struct alm_heap *h, const struct found *f) {
  struct collected *c = f->c;
  struct span *s = &c->span;
  lock_acquire(&h->lock);
  if (!s->is_owned && c->sweepgen != h->sweepgen) {
    marks_clear(f->slot); /* the sweep to come frees it */
    lock_release(&h->lock);
    return;
  }
  span_return(s, f->index / 64, (uint64_t)1 << (f->index % 64));
  bool is_empty = false;
  if (!s->is_owned) {
    if (s->nfree++ == 0) {
      list_push_back(&c->layout->partial, &s->link);
    }
    is_empty = s->nfree == s->nslots;
    if (is_empty) {
      list_remove(&s->link);
      heap_forget_span_locked(h, c);
    }
  }
  lock_release(&h->lock);
  if (is_empty) {
    heap_return_span(c);
  }
}

void sweep_free_object(struct alm_heap *h, const struct found *f) {
  struct collected *c = f->c;
  uint64_t bytes =
      c->layout ? c->layout->slot_bytes : c->span.npages << PAGE_SHIFT;
  uint64_t allocated = atomic_load_relaxed(&h->allocated);
  if (allocated >= bytes) { /* a race only makes the next cycle earlier */
    atomic_store_relaxed(&h->allocated, allocated - bytes);
    (void)atomic_add_relaxed(&h->deleted, bytes);
  }
  if (c->layout != NULL) {
    sweep_fill(c, f->index, 1);
    sweep_free_slot(h, f);
    return;
  }
  lock_acquire(&h->lock);
  marks_clear(c->span.base);
  heap_forget_span_locked(h, c);
  lock_release(&h->lock);
  sweep_fill_large(c);
  heap_return_span(c);
}
