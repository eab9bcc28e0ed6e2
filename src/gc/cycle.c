/* gc/cycle.c -- see cycle.h. */
#include "cycle.h"

#include "base/diag.h"
#include "finalizer.h"
#include "local.h"
#include "mark.h"
#include "mem/memstat.h"
#include "os/os.h"
#include "pacer.h"
#include "roots.h"
#include "special.h"
#include "sweep.h"
#include "trace.h"
#include "world.h"

#include <string.h>

static void cycle_flush_stopped(struct alm_heap *h) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_flush_stopped(LIST_ELEMENT(n, struct alm_mutator, link));
  }
}

static void cycle_mark_roots(struct alm_heap *h, struct marker *m,
                             struct roots_seen *seen) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_mark_runs(LIST_ELEMENT(n, struct alm_mutator, link));
  }
  roots_visit(h, m, seen);
  special_visit_roots(h, m);
}

/* Between two markings: the bits of one, in order of the spans. */
struct cycle_bits {
  char *at;
  bool is_copying;
};

static void cycle_copy_or_compare(struct collected *c, void *arg) {
  struct cycle_bits *b = arg;
  size_t bytes = heap_marks_bytes(c);
  if (b->is_copying) {
    memcpy(b->at, heap_marks(c), bytes);
    heap_clear_marks(c);
  } else {
    CHECK(memcmp(b->at, heap_marks(c), bytes) == 0);
  }
  b->at += bytes;
}

static bool cycle_is_anyone_blocked(const struct alm_heap *h) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    if (LIST_ELEMENT(n, struct alm_mutator, link)->state == MUTATOR_BLOCKED) {
      return true;
    }
  }
  return false;
}

/* Mark from the roots once more into clean bits, and compare. Threads in
 * blocked regions may change their stacks meanwhile: then not. Without memory
 * for a copy neither. */
static void cycle_check_marks(struct alm_heap *h, struct roots_seen *seen) {
  size_t bytes = h->span_bytes / PAGE_BYTES * MARK_WORDS_PER_PAGE * 8;
  char *copy = bytes == 0 || cycle_is_anyone_blocked(h)
                   ? NULL
                   : os_alloc(bytes, "almacen: check");
  if (copy == NULL) {
    return;
  }
  struct cycle_bits b = {copy, true};
  heap_visit_spans(h, cycle_copy_or_compare, &b);
  cycle_mark_roots(h, mark_begin(h), seen);
  mark_drain(h);
  b = (struct cycle_bits){copy, false};
  heap_visit_spans(h, cycle_copy_or_compare, &b);
  os_unreserve(copy, bytes);
}

/* Live and allocated since. */
static uint64_t cycle_heap_bytes(const struct alm_heap *h) {
  return h->stats.live_bytes + atomic_load_relaxed(&h->allocated);
}

/* Others may read the statistics now, and publish. */
static void cycle_account(struct alm_heap *h, uint64_t live, uint64_t objects,
                          const struct trace *t) {
  struct alm_heap_stats *s = &h->stats;
  uint64_t awaited = atomic_exchange_relaxed(&h->awaited, 0);
  uint64_t held = t->start_bytes + t->start_bytes / 8;
  struct pacer_facts facts = {
      .live = live + awaited,
      .live_before = s->live_bytes,
      .light = mark_light_bytes(h) + awaited, /* nobody had to mark it */
      .held = min_size(atomic_load_relaxed(&h->goal), held),
      .first_bytes = h->options.first_bytes,
      .limit = h->limit_bytes,
      .percent = h->options.gc_percent};
  uint64_t pause = trace_pause_ns(t);
  lock_acquire(&h->lock);
  s->collections++;
  s->pause_ns += pause;
  s->pause_ns_last = pause;
  s->pause_ns_max = pause > s->pause_ns_max ? pause : s->pause_ns_max;
  memstat_live_change(live - s->live_bytes, objects - s->live_objects);
  atomic_store_relaxed(&s->live_bytes, live);
  s->live_objects = objects;
  heap_publish_locked(h);
  s->alloc_bytes += atomic_exchange_relaxed(&h->allocated, 0);
  s->alloc_bytes += atomic_exchange_relaxed(&h->deleted, 0);
  h->published = 0;
  atomic_store_relaxed(&h->goal, pacer_goal(&facts));
  lock_release(&h->lock);
  memstat_live_show();
  trace_account(t);
}

/* The end of the frame of the function that this is used in. */
#define CYCLE_FRAME_TOP                                                        \
  ((char *)__builtin_frame_address(0) + 2 * sizeof(void *))

/* The world is stopped, and t knows when that began. */
static enum cycle_result cycle_run_stopped(struct alm_heap *h, struct trace *t,
                                           struct roots_seen *seen) {
  uint64_t live, objects;
  if (h->team == NULL) {
    return CYCLE_NOMEM;
  }
  cycle_flush_stopped(h);
  sweep_finish(h);
  t->start_bytes = cycle_heap_bytes(h);
  t->goal_bytes = atomic_load_relaxed(&h->goal);
  trace_reach(t, TRACE_STOPPED, h);
  struct marker *m = mark_begin(h);
  cycle_mark_roots(h, m, seen);
  mark_drain(h);
  trace_reach(t, TRACE_MARKED, h);
  t->stack_bytes = seen->stack_bytes;
  t->root_bytes = seen->root_bytes;
  if (h->options.check >= 2) {
    cycle_check_marks(h, seen);
  }
  special_process(h, m, mark_drain);
  mark_end(h, &live, &objects);
  sweep_begin_stopped(h);
  if (h->options.check >= 1) {
    CHECK(heap_check_stopped(h) && special_check(h->specials));
  }
  t->end_bytes = cycle_heap_bytes(h);
  trace_reach(t, TRACE_END, h);
  cycle_account(h, live, objects, t);
  trace_print(t, h);
  atomic_store_relaxed(&h->collected_ns, os_coarse_ns());
  return CYCLE_DONE;
}

static const struct roots_seen nothing_seen;

/* The world runs again: what may call the program or start threads. */
static void cycle_after(struct alm_heap *h, const struct roots_seen *seen) {
  finalizer_poke(h);
  if (seen->bad.kind != 0) {
    misuse_report("collection", &seen->bad);
  }
}

static __attribute__((noinline)) enum cycle_result cycle_collect_saved(
    struct alm_mutator *mutator) {
  struct alm_heap *h = mutator->heap;
  struct roots_seen seen = nothing_seen;
  struct trace t;
  trace_reach(&t, TRACE_BEGIN, h);
  if (!world_claim(mutator)) {
    return CYCLE_OTHER;
  }
  (void)mark_prepare(h);
  world_stop(mutator);
  enum cycle_result result = cycle_run_stopped(h, &t, &seen);
  world_start(mutator);
  cycle_after(h, &seen);
  return result;
}

enum cycle_result cycle_collect_as_guest(struct alm_heap *h) {
  struct roots_seen seen = nothing_seen;
  struct trace t;
  trace_reach(&t, TRACE_BEGIN, h);
  if (!world_guest_claim(h)) {
    return CYCLE_OTHER;
  }
  (void)mark_prepare(h);
  world_guest_stop(h);
  enum cycle_result result = cycle_run_stopped(h, &t, &seen);
  world_guest_start(h);
  cycle_after(h, &seen);
  return result;
}

__attribute__((noinline)) enum cycle_result cycle_collect(
    struct alm_mutator *m) {
  stack_save(&m->saved);
  stack_copy_frame(&m->saved, CYCLE_FRAME_TOP);
  enum cycle_result result = cycle_collect_saved(m);
  m->saved.nframe = 0;
  return result;
}

bool cycle_check(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  stack_save(&m->saved);
  while (!world_claim(m)) {}
  world_stop(m);
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_flush_for_check(LIST_ELEMENT(n, struct alm_mutator, link));
  }
  bool ok = heap_check_stopped(h) && special_check(h->specials);
  world_start(m);
  return ok;
}

struct alm_heap *cycle_open(const struct alm_heap_options *o) {
  struct alm_heap *h = heap_create(o);
  if (h == NULL) {
    return NULL;
  }
  h->specials = special_create();
  if (h->specials == NULL || (o->finalizer_thread && !finalizer_create(h))) {
    cycle_close(h);
    return NULL;
  }
  return h;
}

void cycle_close(struct alm_heap *h) {
  heap_unlist(h);
  world_guests_wait(h);
  finalizer_destroy(h); /* only guests and mutators poke it */
  mark_team_end(h);
  roots_drop(h);
  special_destroy(h->specials);
  heap_destroy(h);
}
