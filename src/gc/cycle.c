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

static void cycle_flush_stopped(struct alm_heap *h, bool is_filing) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_flush_stopped(LIST_ELEMENT(n, struct alm_mutator, link), is_filing);
  }
}

static void cycle_mark_root_span(struct collected *c, void *m) {
  mark_root_span(m, c);
}

/* What only heaps with a face have: objects that are roots, and the face's. */
static void cycle_mark_face(struct alm_heap *h, struct marker *m) {
  if (h->face != NULL) {
    heap_visit_root_spans(h, cycle_mark_root_span, m);
    h->face->mark_roots(h->face->arg, mark_for_face(m));
  }
}

/* All that is reachable. */
static struct marker *cycle_mark_all(struct alm_heap *h,
                                     struct roots_seen *seen) {
  struct marker *m = mark_begin(h, roots_mark_next);
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_mark_runs(LIST_ELEMENT(n, struct alm_mutator, link));
  }
  roots_begin(h, seen);
  special_visit_roots(h, m);
  cycle_mark_face(h, m);
  mark_drain(h);
  return m;
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
static void cycle_mark_again(struct alm_heap *h, struct roots_seen *seen) {
  size_t bytes = h->span_bytes / PAGE_BYTES * MARK_WORDS_PER_PAGE * 8;
  char *copy = bytes == 0 || cycle_is_anyone_blocked(h)
                   ? NULL
                   : os_alloc(bytes, "almacen: check");
  if (copy == NULL) {
    return;
  }
  struct cycle_bits b = {copy, true};
  heap_visit_spans(h, cycle_copy_or_compare, &b);
  (void)cycle_mark_all(h, seen);
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

/* ---- the steps --------------------------------------------------------------- */

enum cycle_phase {
  PHASE_CLAIM,
  PHASE_PREPARE,
  PHASE_STOP,
  PHASE_END_SWEEP,
  PHASE_MARK,
  PHASE_CHECK_MARKS,
  PHASE_SPECIALS,
  PHASE_END_MARK,
  PHASE_START,
  PHASE_AFTER,
  PHASE_OFF
};

struct cycle {
  enum cycle_phase phase; /* to come */
  struct alm_heap *heap;
  struct alm_mutator *mutator; /* whose thread collects; NULL: a guest */
  enum cycle_result result;
  bool can_mark;
  struct trace trace;
  struct roots_seen seen;
  struct marker *marker;
};

static bool cycle_claim(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  trace_reach(&c->trace, TRACE_BEGIN, c->heap);
  if (face != NULL && !face->try_lock(face->arg)) {
    if (c->mutator != NULL) {
      world_safepoint(c->mutator); /* it may be a collector's */
    }
    return false;
  }
  bool ok =
      c->mutator != NULL ? world_claim(c->mutator) : world_guest_claim(c->heap);
  if (!ok && face != NULL) {
    face->unlock(face->arg);
  }
  return ok;
}

/* The team first, see mark_prepare. */
static bool cycle_prepare(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  c->can_mark = mark_prepare(c->heap);
  if (face != NULL) {
    face->before_stop(face->arg);
  }
  return true;
}

static bool cycle_stop(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  if (c->mutator != NULL) {
    world_stop(c->mutator);
  } else {
    world_guest_stop(c->heap);
  }
  if (face != NULL) {
    face->stopped(face->arg);
  }
  c->result = c->can_mark ? CYCLE_DONE : CYCLE_NOMEM;
  return c->can_mark;
}

static bool cycle_end_sweep(struct cycle *c) {
  struct alm_heap *h = c->heap;
  cycle_flush_stopped(h, false);
  sweep_finish(h);
  c->trace.start_bytes = cycle_heap_bytes(h);
  c->trace.goal_bytes = atomic_load_relaxed(&h->goal);
  trace_reach(&c->trace, TRACE_STOPPED, h);
  return true;
}

static bool cycle_mark(struct cycle *c) {
  c->marker = cycle_mark_all(c->heap, &c->seen);
  trace_reach(&c->trace, TRACE_MARKED, c->heap);
  c->trace.stack_bytes = c->seen.stack_bytes;
  c->trace.root_bytes = c->seen.root_bytes;
  return true;
}

static bool cycle_check_marks(struct cycle *c) {
  if (c->heap->options.check >= 2) {
    cycle_mark_again(c->heap, &c->seen);
  }
  return true;
}

static bool cycle_specials(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  special_process(c->heap, c->marker, mark_drain);
  if (face != NULL) {
    face->decide(face->arg, mark_for_face(c->marker));
  }
  return true;
}

static bool cycle_end_mark(struct cycle *c) {
  struct alm_heap *h = c->heap;
  uint64_t live, objects;
  if (h->face != NULL) {
    h->face->marked(h->face->arg);
  }
  mark_end(h, &live, &objects);
  sweep_begin_stopped(h);
  if (h->options.check >= 1) {
    CHECK(heap_check_stopped(h) && special_check(h->specials));
  }
  c->trace.end_bytes = cycle_heap_bytes(h);
  trace_reach(&c->trace, TRACE_END, h);
  cycle_account(h, live, objects, &c->trace);
  trace_print(&c->trace, h);
  atomic_store_relaxed(&h->collected_ns, os_coarse_ns());
  return true;
}

static bool cycle_start(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  if (face != NULL) {
    face->before_start(face->arg);
  }
  if (c->mutator != NULL) {
    world_start(c->mutator);
  } else {
    world_guest_start(c->heap);
  }
  return true;
}

/* What may call the program, or start a thread. */
static bool cycle_after(struct cycle *c) {
  const struct alm_face *face = c->heap->face;
  if (face != NULL) {
    face->started(face->arg);
    face->unlock(face->arg);
  }
  finalizer_poke(c->heap);
  if (c->seen.bad.kind != 0) {
    misuse_report("collection", &c->seen.bad);
  }
  return true;
}

enum cycle_world { WORLD_RUNS, WORLD_STOPPED };

/* From each phase to the next; to `otherwise` when it says false. */
static const struct cycle_step {
  bool (*run)(struct cycle *c);
  enum cycle_world world; /* when it begins; nothing else stops or starts it */
  enum cycle_phase next;
  enum cycle_phase otherwise;
} cycle_steps[PHASE_OFF] = {
    [PHASE_CLAIM] = {cycle_claim, WORLD_RUNS, PHASE_PREPARE, PHASE_OFF},
    [PHASE_PREPARE] = {cycle_prepare, WORLD_RUNS, PHASE_STOP, PHASE_OFF},
    [PHASE_STOP] = {cycle_stop, WORLD_RUNS, PHASE_END_SWEEP, PHASE_START},
    [PHASE_END_SWEEP] = {cycle_end_sweep, WORLD_STOPPED, PHASE_MARK, PHASE_OFF},
    [PHASE_MARK] = {cycle_mark, WORLD_STOPPED, PHASE_CHECK_MARKS, PHASE_OFF},
    [PHASE_CHECK_MARKS] = {cycle_check_marks, WORLD_STOPPED, PHASE_SPECIALS,
                           PHASE_OFF},
    [PHASE_SPECIALS] = {cycle_specials, WORLD_STOPPED, PHASE_END_MARK,
                        PHASE_OFF},
    [PHASE_END_MARK] = {cycle_end_mark, WORLD_STOPPED, PHASE_START, PHASE_OFF},
    [PHASE_START] = {cycle_start, WORLD_STOPPED, PHASE_AFTER, PHASE_OFF},
    [PHASE_AFTER] = {cycle_after, WORLD_RUNS, PHASE_OFF, PHASE_OFF},
};

/* On to one of the phases `until` or off. */
static void cycle_walk(struct cycle *c, enum cycle_phase until) {
  while (c->phase != until && c->phase != PHASE_OFF) {
    const struct cycle_step *step = &cycle_steps[c->phase];
    if (ALM_DEBUG && step->world == WORLD_STOPPED) {
      CHECK(c->heap->stop_wanted != 0 &&
            c->heap->nrunning == 0); /* [world.1] */
    }
    c->phase = step->run(c) ? step->next : step->otherwise;
  }
}

static void cycle_walk_stopped(void *c) {
  cycle_walk(c, PHASE_AFTER);
}

static __attribute__((noinline)) enum cycle_result cycle_run(
    struct alm_heap *h, struct alm_mutator *m) {
  struct cycle c = {
      .heap = h, .mutator = m, .result = CYCLE_OTHER, .phase = PHASE_CLAIM};
  if (h->face != NULL) {
    cycle_walk(&c, PHASE_STOP);
    if (c.phase == PHASE_STOP) {
      h->face->hold_objects(h->face->arg, cycle_walk_stopped, &c);
    }
  }
  cycle_walk(&c, PHASE_OFF);
  return c.result;
}

enum cycle_result cycle_collect_as_guest(struct alm_heap *h) {
  return cycle_run(h, NULL);
}

/* The end of the frame of the function that this is used in. */
#define CYCLE_FRAME_TOP                                                        \
  ((char *)__builtin_frame_address(0) + 2 * sizeof(void *))

__attribute__((noinline)) enum cycle_result cycle_collect(
    struct alm_mutator *m) {
  stack_save(&m->saved);
  stack_copy_frame(&m->saved, CYCLE_FRAME_TOP);
  enum cycle_result result = cycle_run(m->heap, m);
  m->saved.nframe = 0;
  return result;
}

bool cycle_stop_world(struct alm_mutator *m) {
  stack_save(&m->saved);
  if (!world_claim(m)) {
    return false;
  }
  world_stop(m);
  cycle_flush_stopped(m->heap, true);
  return true;
}

bool cycle_check(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  while (!cycle_stop_world(m)) {}
  bool ok = heap_check_stopped(h) && special_check(h->specials);
  world_start(m);
  return ok;
}

struct alm_heap *cycle_open(const struct alm_heap_options *o,
                            const struct alm_face *face) {
  struct alm_heap *h = heap_create(o, face);
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
