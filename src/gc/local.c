/* gc/local.c -- see local.h. */
#include "local.h"

#include "sweep.h"

#include <string.h>

/* So much of a layout stays with the thread that has freed it. */
enum { FREED_BYTES_MAX = 16384 };

/* So much is allocated between two looks at what is due. */
enum { UNACCOUNTED_BYTES_MAX = 4096 };

/* Short runs are too far between for the processor to see what comes. */
static void local_prefetch(const struct span *s, unsigned slot) {
  enum { LINE = 64, BYTES_MAX = 1024 };
  const char *at = (const char *)span_slot_address(s, slot);
  for (const char *end = at + BYTES_MAX; at != end; at += LINE) {
    prefetch_to_write(at);
  }
}

static bool local_claim(struct lease *l) {
  struct span *s = &l->span->span;
  for (; l->next_word < span_nwords(s); l->next_word++) {
    l->claimed = span_claim(s, l->next_word);
    if (l->claimed != 0) {
      local_prefetch(s, l->next_word * 64 + bits_ctz(l->claimed));
      l->claimed_word = l->next_word++;
      return true;
    }
  }
  return false;
}

/* A short run takes fewer steps than the call; slots are granules. */
static ALM_HOT void local_zero(char *run, size_t bytes) {
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

/* Roots would still be taken for such; debug builds find who frees twice. */
static bool local_keeps_freed(const struct alm_heap *h, const struct layout *l,
                              const struct lease *lease) {
  return !ALM_DEBUG && !l->is_root && !h->options.clobber_free &&
         lease->nfreed < max_size(FREED_BYTES_MAX / l->slot_bytes, 1);
}

void local_free(struct alm_mutator *m, const struct found *f) {
  struct layout *l = f->c->layout;
  size_t index = l != NULL ? (size_t)(l - m->heap->layouts) : 0;
  struct lease *lease = &m->leases[index];
  if (l == NULL || !local_keeps_freed(m->heap, l, lease)) {
    sweep_free_object(m->heap, f);
    return;
  }
  m->layouts_used = (uint32_t)max_size(m->layouts_used, index + 1);
  *(void **)f->slot = lease->freed;
  lease->freed = (void *)f->slot;
  lease->nfreed++;
  (void)atomic_add_relaxed(&m->heap->deleted, l->slot_bytes);
}

/* The slot freed last becomes the run. */
static void local_start_freed(struct alm_mutator *m, unsigned index) {
  struct lease *lease = &m->leases[index];
  const struct layout *l = &m->heap->layouts[index];
  char *slot = lease->freed;
  lease->freed = *(void **)slot;
  lease->nfreed--;
  if (!l->may_be_dirty) {
    local_zero(slot, l->slot_bytes); /* [local.1] */
  }
  m->head.runs[index] = (struct alm_run){slot, slot + l->slot_bytes};
}

/* Slots at the end of a word were claimed: as many of the next words as follow,
 * `most` at most. */
static size_t local_extend_run(struct lease *l, size_t most) {
  struct span *s = &l->span->span;
  size_t n = 0;
  unsigned more = 64;
  while (more == 64 && n < most && l->next_word < span_nwords(s)) {
    uint64_t bits = span_claim(s, l->next_word);
    more = (unsigned)min_size(bits_ctz(~bits), most - n);
    l->claimed = bits & ~bits_low(more);
    l->claimed_word = l->next_word++;
    n += more;
  }
  return n;
}

/* Consecutive claimed slots become the run. */
static ALM_HOT void local_start_run(struct alm_mutator *m, unsigned index) {
  struct lease *l = &m->leases[index];
  const struct span *s = &l->span->span;
  const struct layout *layout = l->span->layout;
  size_t most = layout->run_slots, slot_bytes = layout->slot_bytes;
  uint64_t claimed = l->claimed;
  unsigned first = (unsigned)__builtin_ctzll(claimed);
  size_t n = bits_ctz(~(claimed >> first));
  /* adding its lowest bit clears the lowest run of ones, and may set a bit */
  l->claimed = claimed & (claimed + (claimed & -claimed));
  if (unlikely(n > most)) {
    n = most;
    l->claimed = claimed & ~bits_span(first, (unsigned)n);
  }
  char *run = (char *)s->base + (l->claimed_word * 64 + first) * slot_bytes;
  if (unlikely(first + n == 64)) {
    n += local_extend_run(l, most - n);
  }
  size_t bytes = n * slot_bytes;
  atomic_store_relaxed(&m->unaccounted, m->unaccounted + (uint32_t)bytes);
  if (!layout->may_be_dirty && !atomic_load_relaxed(&s->is_fresh)) {
    local_zero(run, bytes); /* [local.1] */
  }
  m->head.runs[index] = (struct alm_run){run, run + bytes};
}

/* Once for many runs: a locked instruction waits for all that was stored before,
 * and runs may be short. */
void local_account(struct alm_mutator *m) {
  uint32_t bytes = m->unaccounted;
  if (bytes != 0) {
    atomic_store_relaxed(&m->unaccounted, 0);
    (void)atomic_add_release(&m->heap->allocated, bytes);
  }
}

ALM_HOT bool local_continue(struct alm_mutator *m, unsigned index) {
  if (m->leases[index].freed != NULL) {
    local_start_freed(m, index);
    return true;
  }
  if (m->unaccounted >= UNACCOUNTED_BYTES_MAX ||
      m->leases[index].claimed == 0 || m->heap->options.collect_every != 0) {
    return false;
  }
  local_start_run(m, index);
  return true;
}

bool local_refill(struct alm_mutator *m, unsigned index) {
  struct lease *l = &m->leases[index];
  m->layouts_used = (uint32_t)max_size(m->layouts_used, index + 1);
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
  *l = (struct lease){.span = NULL};
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

void local_return_freed(struct alm_mutator *m) {
  for (unsigned i = 0; i < m->layouts_used; i++) {
    struct lease *l = &m->leases[i];
    for (struct found f; l->freed != NULL; l->nfreed--) {
      void *slot = l->freed;
      l->freed = *(void **)slot;
      if (heap_find(m->heap, (uintptr_t)slot, &f)) {
        sweep_free_slot(m->heap, &f);
      }
    }
  }
}

void local_flush_stopped(struct alm_mutator *m, bool is_filing) {
  bool keeps_runs = m->heap->stop_signal != 0; /* [local.2] */
  local_account(m);
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
  local_account(m);
  m->tiny_at = m->tiny_end = 0;
  local_return_freed(m);
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
