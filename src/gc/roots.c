/* gc/roots.c -- see roots.h. */
#include "roots.h"

#include "mark.h"
#include "mem/metaalloc.h"
#include "world.h"

#include <string.h>

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

bool roots_remove(struct alm_heap *h, const void *start) {
  struct root *r = NULL;
  lock_acquire(&h->lock);
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
  lock_acquire(&h->lock);
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

/* A part of a stack. */
static void roots_visit_words(struct marker *m, uintptr_t from, uintptr_t end,
                              struct roots_seen *seen) {
  from = align_up(from, sizeof(uintptr_t));
  mark_range(m, (const void *)from, end - from);
  seen->stack_bytes += end - from;
}

/* A stack that nobody runs on. */
static void roots_visit_suspended(struct marker *m, struct alm_stack *s,
                                  struct roots_seen *seen) {
  uintptr_t p = (uintptr_t)s->head.pointer;
  if (p != s->high && !stack_contains(s, p)) {
    seen->bad = (struct misuse){ALM_MISUSE_STACK, (void *)p, s->low,
                                s->high - s->low, 0};
    return;
  }
  roots_visit_words(m, p, s->high, seen);
  mark_range(m, s->registers, sizeof s->registers);
  seen->stack_bytes += sizeof s->registers;
}

static void roots_visit_mutator(struct alm_heap *h, struct marker *m,
                                struct alm_mutator *o,
                                struct roots_seen *seen) {
  struct alm_stack *s = roots_stack_of(h, o);
  mark_range(m, o->saved.registers, sizeof o->saved.registers);
  mark_range(m, o->saved.frame, o->saved.nframe * sizeof o->saved.frame[0]);
  seen->stack_bytes +=
      sizeof o->saved.registers + o->saved.nframe * sizeof o->saved.frame[0];
  if (s == NULL) {
    seen->bad =
        (struct misuse){ALM_MISUSE_STACK, (void *)o->saved.pointer, 0, 0, 0};
    return;
  }
  s->is_running = true;
  roots_visit_words(m, o->saved.pointer, s->high, seen);
  if (s != &o->own) {
    roots_visit_suspended(m, &o->own, seen);
  }
}

static void roots_visit_stacks(struct alm_heap *h, struct marker *m,
                               struct roots_seen *seen) {
  for (struct list_node *n = h->mutators.next; n != &h->mutators; n = n->next) {
    roots_visit_mutator(h, m, LIST_ELEMENT(n, struct alm_mutator, link), seen);
  }
  for (struct list_node *n = h->stacks.next; n != &h->stacks; n = n->next) {
    struct alm_stack *s = LIST_ELEMENT(n, struct alm_stack, link);
    if (!s->is_running) {
      roots_visit_suspended(m, s, seen);
    }
    s->is_running = false;
  }
}

void roots_visit(struct alm_heap *h, struct marker *m,
                 struct roots_seen *seen) {
  lock_acquire(&h->lock); /* threads outside the heap may change roots now */
  seen->stack_bytes = seen->root_bytes = 0;
  roots_visit_stacks(h, m, seen);
  for (struct list_node *n = h->roots.next; n != &h->roots; n = n->next) {
    struct root *r = LIST_ELEMENT(n, struct root, link);
    if (r->trace == NULL) {
      mark_range(m, r->start, r->bytes);
      seen->root_bytes += r->bytes;
      continue;
    }
    world_callback_begin();
    r->trace(r->arg, mark_visitor(m));
    world_callback_end();
  }
  for (struct list_node *n = h->handle_blocks.next; n != &h->handle_blocks;
       n = n->next) {
    struct handle_block *b = LIST_ELEMENT(n, struct handle_block, link);
    mark_range(m, b->handles, sizeof b->handles);
    seen->root_bytes += sizeof b->handles;
  }
  lock_release(&h->lock);
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
