/* gc/roots.c -- see roots.h. */
#include "roots.h"

#include "mark.h"
#include "mem/metaalloc.h"
#include "os/os.h"
#include "world.h"

#include <string.h>

/* A range of roots is scanned in pieces of so much. */
enum { ROOT_SHARD_BYTES = ALM_TORTURE ? 64 : 256 << 10 };

/* A range, or a callback (trace is not NULL). Constant while registered. */
struct root {
  struct list_node link;
  const void *start;
  size_t bytes;
  alm_root_trace trace;
  void *arg;
};
static struct meta_pool roots_pool = {sizeof(struct root), NULL};
STATIC_CHECK(sizeof(struct root) % 16 == 0);

enum { HANDLES_PER_BLOCK = 126 };
struct handle_block {
  struct list_node link;
  struct alm_handle handles[HANDLES_PER_BLOCK];
};
static struct meta_pool roots_handle_pool = {sizeof(struct handle_block), NULL};
STATIC_CHECK(sizeof(struct handle_block) % 16 == 0);

static struct meta_pool roots_stack_pool = {
    (sizeof(struct alm_stack) + 15) / 16 * 16, NULL};

static bool roots_insert(struct alm_heap *h, struct root root) {
  struct root *r = meta_take(&roots_pool);
  if (r == NULL) {
    return false;
  }
  *r = root;
  lock_acquire(&h->lock);
  list_push_back(&h->roots, &r->link);
  lock_release(&h->lock);
  return true;
}

bool roots_add(struct alm_heap *h, const void *start, size_t bytes) {
  return roots_insert(h, (struct root){.start = start, .bytes = bytes});
}

bool roots_add_callback(struct alm_heap *h, alm_root_trace trace, void *arg) {
  return roots_insert(h, (struct root){.trace = trace, .arg = arg});
}

/* With the lock, and not while a shard may be in a marker's hands: a mutator
 * does not run then, so it is not one who is waited for that waits here. */
static void roots_lock_to_remove(struct alm_heap *h) {
  lock_acquire(&h->lock);
  while (h->stop_wanted != 0 && h->nrunning == 0) {
    lock_release(&h->lock);
    os_futex_wait(&h->stop_wanted, 1, 0);
    lock_acquire(&h->lock);
  }
}

bool roots_remove(struct alm_heap *h, const void *start) {
  struct root *r = NULL;
  roots_lock_to_remove(h);
  for (struct list_node *n = h->roots.next; n != &h->roots; n = n->next) {
    struct root *one = LIST_ELEMENT(n, struct root, link);
    if (one->trace == NULL && one->start == start) {
      r = one;
      list_remove(&r->link);
      break;
    }
  }
  lock_release(&h->lock);
  if (r != NULL) {
    meta_return(&roots_pool, r);
  }
  return r != NULL;
}

static void roots_free_handle_locked(struct alm_heap *h, struct alm_handle *x) {
  x->word = (uintptr_t)h->free_handles | 1;
  h->free_handles = x;
}

struct alm_handle *roots_take_handle(struct alm_heap *h, void *object) {
  struct handle_block *made = NULL;
  lock_acquire(&h->lock);
  if (h->free_handles == NULL) {
    made = meta_take(&roots_handle_pool); /* RANK_META is above */
    for (int i = HANDLES_PER_BLOCK; made != NULL && i-- > 0;) {
      roots_free_handle_locked(h, &made->handles[i]);
    }
    if (made != NULL) {
      list_push_back(&h->handle_blocks, &made->link);
    }
  }
  struct alm_handle *x = h->free_handles;
  if (x != NULL) {
    h->free_handles = (struct alm_handle *)(x->word - 1);
    x->word = (uintptr_t)object;
  }
  lock_release(&h->lock);
  return x;
}

void roots_return_handle(struct alm_heap *h, struct alm_handle *handle) {
  lock_acquire(&h->lock);
  roots_free_handle_locked(h, handle);
  lock_release(&h->lock);
}

struct alm_stack *roots_add_stack(struct alm_heap *h, const void *low,
                                  size_t bytes) {
  struct alm_stack *s = meta_take(&roots_stack_pool);
  if (s == NULL) {
    return NULL;
  }
  memset(s, 0, sizeof *s);
  s->low = (uintptr_t)low;
  s->high = s->low + bytes;
  s->head.pointer = (void *)s->high;
  s->heap = h;
  lock_acquire(&h->lock);
  list_push_back(&h->stacks, &s->link);
  lock_release(&h->lock);
  return s;
}

bool roots_remove_stack(struct alm_heap *h, struct alm_stack *s) {
  bool is_used = false;
  roots_lock_to_remove(h);
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    is_used |= atomic_load_relaxed(
                   &LIST_ELEMENT(n, struct alm_mutator, link)->head.stack) == s;
  }
  if (!is_used) {
    list_remove(&s->link);
  }
  lock_release(&h->lock);
  if (!is_used) {
    meta_return(&roots_stack_pool, s);
  }
  return !is_used;
}

/* The stack the stopped mutator runs on; NULL: none that is known. */
static struct alm_stack *roots_stack_of(struct alm_heap *h,
                                        struct alm_mutator *o) {
  uintptr_t p = o->saved.pointer;
  if (likely(stack_contains(o->head.stack, p))) {
    return o->head.stack;
  }
  if (stack_contains(&o->own, p)) {
    return &o->own;
  }
  for (struct list_node *n = h->stacks.next; n != &h->stacks; n = n->next) {
    struct alm_stack *s = LIST_ELEMENT(n, struct alm_stack, link);
    if (stack_contains(s, p)) {
      return s;
    }
  }
  return NULL;
}

/* A piece of the roots for one marker, empty but for what is set. */
struct shard {
  uintptr_t from; /* words to `end` */
  uintptr_t end;
  const struct stack_state *state;   /* of a stopped thread */
  const struct alm_stack *suspended; /* its registers       */
  alm_root_trace trace;
  void *arg;
};

/* A stack that nobody runs on. False: nothing to visit. */
static bool roots_take_suspended_locked(struct roots_seen *seen,
                                        const struct alm_stack *s,
                                        struct shard *out) {
  uintptr_t p = (uintptr_t)atomic_load_relaxed(&s->head.pointer);
  if (p != s->high && !stack_contains(s, p)) {
    seen->bad = (struct misuse){ALM_MISUSE_STACK, (void *)p, s->low,
                                s->high - s->low, 0};
    return false;
  }
  out->from = p;
  out->end = s->high;
  out->suspended = s;
  seen->stack_bytes += out->end - out->from + sizeof s->registers;
  return true;
}

/* A mutator that runs on a coroutine's stack makes two shards: that one, and
 * the thread's own, which is suspended; `second` says which. */
static bool roots_take_mutator_locked(struct alm_heap *h, struct alm_mutator *o,
                                      bool second, struct shard *out) {
  struct roots_seen *seen = h->root_cursor.seen;
  if (second) {
    return !o->own.is_running &&
           roots_take_suspended_locked(seen, &o->own, out);
  }
  struct alm_stack *s = roots_stack_of(h, o);
  out->state = &o->saved;
  seen->stack_bytes +=
      sizeof o->saved.registers + o->saved.nframe * sizeof o->saved.frame[0];
  o->own.is_running = s == &o->own;
  if (s == NULL && h->face != NULL) {
    return true; /* the face reports such stacks */
  }
  if (s == NULL) {
    seen->bad =
        (struct misuse){ALM_MISUSE_STACK, (void *)o->saved.pointer, 0, 0, 0};
    return true;
  }
  s->is_running = true;
  out->from = o->saved.pointer;
  out->end = s->high;
  seen->stack_bytes += out->end - out->from;
  return true;
}

static bool roots_take_stack_locked(struct alm_heap *h, struct alm_stack *s,
                                    struct shard *out) {
  bool was_running = s->is_running;
  s->is_running = false;
  return !was_running &&
         roots_take_suspended_locked(h->root_cursor.seen, s, out);
}

/* Piece number n of the root. True in *last: there is no other. */
static bool roots_take_root_locked(struct alm_heap *h, const struct root *r,
                                   size_t n, bool *last, struct shard *out) {
  if (r->trace != NULL) {
    out->trace = r->trace;
    out->arg = r->arg;
    return true;
  }
  size_t at = n * ROOT_SHARD_BYTES;
  size_t bytes = min_size(r->bytes - at, ROOT_SHARD_BYTES);
  out->from = (uintptr_t)r->start + at;
  out->end = out->from + bytes;
  *last = at + bytes == r->bytes;
  h->root_cursor.seen->root_bytes += bytes;
  return true;
}

static bool roots_take_handles_locked(struct alm_heap *h,
                                      const struct handle_block *b,
                                      struct shard *out) {
  out->from = (uintptr_t)b->handles;
  out->end = out->from + sizeof b->handles;
  h->root_cursor.seen->root_bytes += sizeof b->handles;
  return true;
}

static struct list_node *roots_list(struct alm_heap *h, enum root_phase phase) {
  struct list_node *const lists[ROOTS_DONE] = {&h->mutators, &h->stacks,
                                               &h->roots, &h->handle_blocks};
  return lists[phase];
}

/* What lies at the cursor, which goes on. False: it had nothing to visit. */
static bool roots_take_locked(struct alm_heap *h, struct shard *out) {
  struct root_cursor *c = &h->root_cursor;
  struct list_node *n = c->at;
  size_t nth = c->nth++;
  bool last = true, any = false;
  switch (c->phase) {
  case ROOTS_MUTATORS:
    last = nth == 1;
    any = roots_take_mutator_locked(
        h, LIST_ELEMENT(n, struct alm_mutator, link), last, out);
    break;
  case ROOTS_STACKS:
    any = roots_take_stack_locked(h, LIST_ELEMENT(n, struct alm_stack, link),
                                  out);
    break;
  case ROOTS_RANGES:
    any = roots_take_root_locked(h, LIST_ELEMENT(n, struct root, link), nth,
                                 &last, out);
    break;
  default:
    any = roots_take_handles_locked(
        h, LIST_ELEMENT(n, struct handle_block, link), out);
  }
  if (last) {
    c->at = n->next;
    c->nth = 0;
  }
  return any;
}

void roots_begin(struct alm_heap *h, struct roots_seen *seen) {
  lock_acquire(&h->lock);
  seen->stack_bytes = seen->root_bytes = 0;
  h->root_cursor =
      (struct root_cursor){ROOTS_MUTATORS, h->mutators.next, 0, seen};
  lock_release(&h->lock);
}

static bool roots_take(struct alm_heap *h, struct shard *out) {
  struct root_cursor *c = &h->root_cursor;
  bool any = false;
  lock_acquire(&h->lock);
  while (!any && c->phase != ROOTS_DONE) {
    if (c->at != roots_list(h, c->phase)) {
      any = roots_take_locked(h, out);
      continue;
    }
    atomic_store_relaxed(&c->phase, c->phase + 1);
    c->at = c->phase == ROOTS_DONE ? NULL : roots_list(h, c->phase)->next;
  }
  lock_release(&h->lock);
  return any;
}

bool roots_mark_next(struct alm_heap *h, struct marker *m) {
  struct shard s = {0, 0, NULL, NULL, NULL, NULL};
  if (atomic_load_relaxed(&h->root_cursor.phase) == ROOTS_DONE ||
      !roots_take(h, &s)) {
    return false;
  }
  if (s.trace != NULL) {
    world_callback_begin();
    s.trace(s.arg, mark_root_visitor(m));
    world_callback_end();
    return true;
  }
  if (s.state != NULL) {
    mark_range(m, s.state->registers, sizeof s.state->registers);
    mark_range(m, s.state->frame, s.state->nframe * sizeof s.state->frame[0]);
  }
  if (s.suspended != NULL) {
    mark_range(m, s.suspended->registers, sizeof s.suspended->registers);
  }
  uintptr_t from = min_size(align_up(s.from, sizeof(uintptr_t)), s.end);
  mark_range(m, (const void *)from, s.end - from);
  return true;
}

void roots_drop(struct alm_heap *h) {
  while (!list_is_empty(&h->roots)) {
    struct root *r = LIST_ELEMENT(h->roots.next, struct root, link);
    list_remove(&r->link);
    meta_return(&roots_pool, r);
  }
  while (!list_is_empty(&h->stacks)) {
    struct alm_stack *s = LIST_ELEMENT(h->stacks.next, struct alm_stack, link);
    list_remove(&s->link);
    meta_return(&roots_stack_pool, s);
  }
  while (!list_is_empty(&h->handle_blocks)) {
    struct handle_block *b =
        LIST_ELEMENT(h->handle_blocks.next, struct handle_block, link);
    list_remove(&b->link);
    meta_return(&roots_handle_pool, b);
  }
}
