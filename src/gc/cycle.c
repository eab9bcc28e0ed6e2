/* gc/cycle.c -- see cycle.h. */
#include "cycle.h"

#include "base/diag.h"
#include "finalizer.h"
#include "local.h"
#include "mark.h"
#include "os/conf.h"
#include "os/os.h"
#include "pacer.h"
#include "roots.h"
#include "special.h"
#include "sweep.h"
#include "world.h"

#include <string.h>

static void cycle_flush_stopped(struct alm_heap *h) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_flush_stopped(LIST_ELEMENT(n, struct alm_mutator, link));
  }
}

static void cycle_mark_roots(struct alm_heap *h, struct marker *m) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    mark_stack(m, &LIST_ELEMENT(n, struct alm_mutator, link)->stack);
  }
  roots_visit(h, m);
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
static void cycle_check_marks(struct alm_heap *h) {
  size_t bytes = h->span_bytes / PAGE_BYTES * MARK_WORDS_PER_PAGE * 8;
  char *copy = bytes == 0 || cycle_is_anyone_blocked(h)
                   ? NULL
                   : os_alloc(bytes, "almacen: check");
  if (copy == NULL) {
    return;
  }
  struct cycle_bits b = {copy, true};
  heap_visit_spans(h, cycle_copy_or_compare, &b);
  cycle_mark_roots(h, mark_begin(h));
  mark_drain(h);
  b = (struct cycle_bits){copy, false};
  heap_visit_spans(h, cycle_copy_or_compare, &b);
  os_unreserve(copy, bytes);
}

static void cycle_account(struct alm_heap *h, uint64_t live, uint64_t objects,
                          uint64_t begin_ns) {
  struct alm_heap_stats *s = &h->stats;
  uint64_t pause = os_now_ns() - begin_ns;
  s->collections++;
  s->pause_ns += pause;
  s->pause_ns_last = pause;
  s->pause_ns_max = pause > s->pause_ns_max ? pause : s->pause_ns_max;
  atomic_store_relaxed(&s->live_bytes, live);
  s->live_objects = objects;
  s->alloc_bytes += atomic_exchange_relaxed(&h->allocated, 0);
  uint64_t goal = pacer_goal(live, h->options.gc_percent,
                             h->options.first_bytes, h->limit_bytes);
  atomic_store_relaxed(&h->goal, goal);
}

static void cycle_trace(const struct alm_heap *h, uint64_t before) {
  if (!conf_number(CONF_gctrace)) {
    return;
  }
  const struct alm_heap_stats *s = &h->stats;
  diag_line("gc %llu: pause %llu us, %llu KiB -> %llu KiB live, goal %llu KiB,"
            " %llu mutators",
            (unsigned long long)s->collections,
            (unsigned long long)s->pause_ns_last / 1000,
            (unsigned long long)before >> 10,
            (unsigned long long)s->live_bytes >> 10,
            (unsigned long long)h->goal >> 10, (unsigned long long)s->mutators);
}

/* The end of the frame of the function that this is used in. */
#define CYCLE_FRAME_TOP                                                        \
  ((char *)__builtin_frame_address(0) + 2 * sizeof(void *))

/* The world is stopped, since begin_ns or a little later. */
static enum cycle_result cycle_run_stopped(struct alm_heap *h,
                                           uint64_t begin_ns) {
  uint64_t live, objects;
  if (!mark_prepare(h)) {
    return CYCLE_NOMEM;
  }
  cycle_flush_stopped(h);
  sweep_finish(h);
  uint64_t before = h->stats.live_bytes + atomic_load_relaxed(&h->allocated);
  struct marker *m = mark_begin(h);
  cycle_mark_roots(h, m);
  mark_drain(h);
  if (h->options.check >= 2) {
    cycle_check_marks(h);
  }
  special_process(h, m, mark_drain);
  mark_end(h, &live, &objects);
  sweep_begin_stopped(h);
  if (h->options.check >= 1) {
    CHECK(heap_check_stopped(h) && special_check(h->specials));
  }
  lock_acquire(&h->lock); /* threads outside the heap may read the account */
  cycle_account(h, live, objects, begin_ns);
  lock_release(&h->lock);
  cycle_trace(h, before);
  atomic_store_relaxed(&h->collected_ns, os_coarse_ns());
  return CYCLE_DONE;
}

static __attribute__((noinline)) enum cycle_result cycle_collect_saved(
    struct alm_mutator *mutator) {
  uint64_t begin_ns = os_now_ns();
  if (!world_stop(mutator)) {
    return CYCLE_OTHER;
  }
  enum cycle_result result = cycle_run_stopped(mutator->heap, begin_ns);
  world_start(mutator);
  finalizer_poke(mutator->heap);
  return result;
}

enum cycle_result cycle_collect_as_guest(struct alm_heap *h) {
  uint64_t begin_ns = os_now_ns();
  if (!world_guest_stop(h)) {
    return CYCLE_OTHER;
  }
  enum cycle_result result = cycle_run_stopped(h, begin_ns);
  world_guest_start(h);
  finalizer_poke(h);
  return result;
}

__attribute__((noinline)) enum cycle_result cycle_collect(
    struct alm_mutator *m) {
  stack_save(&m->stack);
  stack_copy_frame(&m->stack, CYCLE_FRAME_TOP);
  enum cycle_result result = cycle_collect_saved(m);
  m->stack.nframe = 0;
  return result;
}

bool cycle_check(struct alm_mutator *m) {
  struct alm_heap *h = m->heap;
  stack_save(&m->stack);
  while (!world_stop(m)) {}
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    local_flush(LIST_ELEMENT(n, struct alm_mutator, link));
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
