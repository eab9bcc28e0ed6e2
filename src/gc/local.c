/* gc/local.c -- see local.h. */
#include "local.h"

#include "sweep.h"

#include <string.h>

/* A run is at most this long: what zeroing touches is used soon, from the
 * first cache. */
enum { GC_RUN_BYTES_MAX = ALM_TORTURE ? 64 : 8192 };

/* So much is allocated between two looks at what is due. */
enum { UNCHECKED_BYTES_MAX = 4096 };

static bool local_claim(struct lease *l) {
  struct span *s = &l->span->span;
  for (; l->next_word < span_nwords(s); l->next_word++) {
    l->claimed = span_claim(s, l->next_word);
    if (l->claimed != 0) {
      l->claimed_word = l->next_word++;
      return true;
    }
  }
  return false;
}

/* A short run takes fewer steps than the call; slots are granules. */
static void local_zero(char *run, size_t bytes) {
  enum { SHORT_BYTES = 512 };
  if (bytes > SHORT_BYTES) {
    memset(run, 0, bytes);
    return;
  }
  for (uint64_t *at = (void *)run, *end = (void *)(run + bytes); at != end;
       at += 2) {
    at[0] = 0;
    at[1] = 0;
    __asm__("" : : : "memory"); /* or the compiler calls memset after all */
  }
}

/* Consecutive claimed slots become the run. */
static void local_start_run(struct alm_mutator *m, unsigned index) {
  struct lease *l = &m->leases[index];
  struct collected *c = l->span;
  size_t slot_bytes = c->layout->slot_bytes;
  size_t most = max_size(GC_RUN_BYTES_MAX / slot_bytes, 1);
  unsigned first = bits_ctz(l->claimed);
  size_t n = min_size(bits_ctz(~(l->claimed >> first)), most);
  l->claimed &= ~bits_span(first, (unsigned)n);
  char *run = (char *)span_slot_address(&c->span, l->claimed_word * 64 + first);
  bool to_the_end = first + n == 64;
  while (to_the_end && n < most && l->next_word < span_nwords(&c->span)) {
    uint64_t bits = span_claim(&c->span, l->next_word);
    unsigned more = (unsigned)min_size(bits_ctz(~bits), most - n);
    l->claimed = bits & ~bits_low(more);
    l->claimed_word = l->next_word++;
    n += more;
    to_the_end = more == 64;
  }
  if (!atomic_load_relaxed(&c->span.is_fresh)) {
    local_zero(run, n * slot_bytes); /* [local.1] */
  }
  m->head.runs[index] = (struct alm_run){run, run + n * slot_bytes};
  m->unchecked += (uint32_t)(n * slot_bytes);
  (void)atomic_add_relaxed(&c->heap->allocated, n * slot_bytes);
}

bool local_continue(struct alm_mutator *m, unsigned index) {
  if (m->unchecked >= UNCHECKED_BYTES_MAX || m->leases[index].claimed == 0 ||
      m->heap->options.collect_every != 0) {
    return false;
  }
  local_start_run(m, index);
  return true;
}

bool local_refill(struct alm_mutator *m, unsigned index) {
  struct lease *l = &m->leases[index];
  m->layouts_used = (uint32_t)max_size(m->layouts_used, index + 1);
  m->unchecked = 0;
  sweep_pay(m->heap,
            max_size(GC_RUN_BYTES_MAX, m->heap->layouts[index].slot_bytes));
  while (l->span == NULL || (l->claimed == 0 && !local_claim(l))) {
    if (l->span != NULL) {
      sweep_return_span(l->span);
      l->span = NULL;
    }
    l->span = sweep_take_span(m->heap, &m->heap->layouts[index]);
    l->claimed = 0;
    l->next_word = 0;
    if (l->span == NULL) {
      return false;
    }
  }
  local_start_run(m, index);
  return true;
}

void *local_new_large(struct alm_mutator *m, enum alm_kind kind,
                      const struct alm_type *type, size_t bytes, bool is_root,
                      bool is_zero) {
  (void)sweep_some(m->heap, SWEEP_BEFORE_GROWTH);
  sweep_pay(m->heap, bytes);
  struct collected *c = heap_take_large(m->heap, kind, type, bytes, is_root);
  if (c == NULL) {
    return NULL;
  }
  if (is_zero && !c->span.is_fresh) {
    memset((void *)c->span.base, 0, c->span.npages << PAGE_SHIFT);
  }
  (void)atomic_add_relaxed(&m->heap->allocated, c->span.npages << PAGE_SHIFT);
  return (void *)c->span.base;
}

/* What was claimed and not handed out is free again: slots outside the run may
 * hold what their last objects left, and must not be taken for objects. */
static struct collected *local_unclaim(struct alm_mutator *m, unsigned index) {
  struct lease *l = &m->leases[index];
  struct collected *c = l->span;
  if (c != NULL && l->claimed != 0) {
    span_unclaim(&c->span, l->claimed_word, l->claimed);
  }
  *l = (struct lease){NULL, 0, 0, 0};
  return c;
}

/* The run's span is the lease's. */
static void local_unclaim_run(struct alm_mutator *m, unsigned index) {
  struct alm_run *run = &m->head.runs[index];
  struct collected *c = m->leases[index].span;
  for (; run->next != run->end; run->next += c->layout->slot_bytes) {
    struct span *s = &c->span;
    unsigned slot = sizeclass_slot(s->class, (uintptr_t)run->next - s->base);
    span_unclaim(s, slot / 64, (uint64_t)1 << (slot % 64));
  }
  *run = (struct alm_run){NULL, NULL};
}

/* The run's span may be anybody's. */
static void local_free_run(struct alm_mutator *m, unsigned index) {
  struct alm_run *run = &m->head.runs[index];
  size_t slot_bytes = m->heap->layouts[index].slot_bytes;
  for (struct found f; run->next != run->end; run->next += slot_bytes) {
    if (heap_find(m->heap, (uintptr_t)run->next, &f)) {
      sweep_free_object(m->heap, &f);
    }
  }
  *run = (struct alm_run){NULL, NULL};
}

void local_flush_stopped(struct alm_mutator *m, bool is_filing) {
  bool keeps_runs = m->heap->stop_signal != 0; /* [local.2] */
  if (!keeps_runs) {
    m->tiny_at = m->tiny_end = 0;
  }
  for (unsigned i = 0; i < m->layouts_used; i++) {
    if (!keeps_runs) {
      local_unclaim_run(m, i);
    }
    struct collected *c = local_unclaim(m, i);
    if (c != NULL && is_filing) {
      sweep_return_span(c);
    } else if (c != NULL) {
      c->span.is_owned = false; /* the sweep to come files it */
    }
  }
}

void local_flush(struct alm_mutator *m) {
  m->tiny_at = m->tiny_end = 0;
  for (unsigned i = 0; i < m->layouts_used; i++) {
    struct collected *c = m->leases[i].span;
    if (c != NULL) {
      local_unclaim_run(m, i);
      sweep_return_span(local_unclaim(m, i));
    } else {
      local_free_run(m, i);
    }
  }
}

void local_mark_runs(const struct alm_mutator *m) {
  if (m->tiny_end != 0) {
    (void)marks_set(m->tiny_end - TINY_BLOCK_BYTES, false);
  }
  for (unsigned i = 0; i < m->layouts_used; i++) {
    size_t slot_bytes = m->heap->layouts[i].slot_bytes;
    const struct alm_run *run = &m->head.runs[i];
    for (const char *p = run->next; p != run->end; p += slot_bytes) {
      (void)marks_set((uintptr_t)p, false);
    }
  }
}
