/* mem/central.c -- see central.h. */
#include "central.h"

#include "base/diag.h"
#include "os/lock.h"
#include "pageheap.h"

enum { SLACK_BYTES = 32768, SLACK_COUNT_MIN = 4, SLACK_COUNT_MAX = 16 };

/* Batches that wait per class: one to take while another is given. */
enum { WAITING_MAX = 2 };

struct central {
  struct lock lock;
  struct list_node partial;          /* [central.1]                       */
  struct batch waiting[WAITING_MAX]; /* oldest first                      */
  uint8_t nwaiting;
  uint16_t batch_count; /* constant                                         */
  uint16_t slack_count; /* constant                                         */
  bool was_taken_from;  /* since the last central_drain                     */
} ALM_CACHE_ALIGNED;
STATIC_CHECK(sizeof(struct central) == 64);

static struct central centrals[SIZECLASS_COUNT];

unsigned central_batch_count(unsigned class) {
  return centrals[class].batch_count;
}

unsigned central_slack_count(unsigned class) {
  return centrals[class].slack_count;
}

void central_init(void) {
  for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
    size_t count = BATCH_BYTES / sizeclasses[i].object_bytes;
    size_t slack = SLACK_BYTES / sizeclasses[i].object_bytes;
    centrals[i].batch_count =
        (uint16_t)max_size(min_size(count, BATCH_COUNT_MAX), 2);
    slack = max_size(min_size(slack, SLACK_COUNT_MAX), SLACK_COUNT_MIN);
    centrals[i].slack_count =
        (uint16_t)max_size(slack, centrals[i].batch_count / 2u);
  }
  for (unsigned i = 0; i < SIZECLASS_COUNT; i++) {
    centrals[i].lock = (struct lock){0, RANK_CENTRAL, (uint16_t)i};
    list_init(&centrals[i].partial);
  }
}

struct batch central_take_batch(unsigned class) {
  struct central *c = &centrals[class];
  struct batch b = {NULL, 0};
  if (atomic_load_relaxed(&c->nwaiting) == 0) {
    return b;
  }
  lock_acquire(&c->lock);
  if (c->nwaiting > 0) {
    uint8_t n = (uint8_t)(c->nwaiting - 1);
    b = c->waiting[n]; /* the newest: warmest in some cache */
    atomic_store_relaxed(&c->nwaiting, n);
    c->was_taken_from = true;
  }
  lock_release(&c->lock);
  return b;
}

/* Slots of one word of one span on their way home. Neighbours in a batch are
 * often neighbours in a span: one change of the word serves them all. */
struct homing {
  struct span *span; /* NULL: none yet */
  unsigned word;
  uint64_t bits;
};

/* Set the gathered bits; an empty span moves to `empty`. */
static void central_home_locked(struct central *c, struct homing *h,
                                struct list_node *empty) {
  struct span *s = h->span;
  uint64_t bits = h->bits;
  h->bits = 0;
  if (bits == 0) {
    return;
  }
  if (s->is_owned) {
    span_return(s, h->word, bits);
    return;
  }
  atomic_store_relaxed(&s->is_fresh, false);
  s->free_bits[h->word] |= bits; /* nobody claims from it */
  unsigned before = s->nfree;
  s->nfree = (uint16_t)(before + bits_count(bits));
  if (s->nfree == s->nslots) {
    list_remove(&s->link);
    list_push_back(empty, &s->link);
  } else if (before == 0) {
    list_push_back(&c->partial, &s->link);
  }
}

/* Gather p; false: it is no object of the class, or free already. */
static bool central_gather_locked(struct central *c, unsigned class, void *p,
                                  struct homing *h, struct list_node *empty) {
  struct span *s = h->span;
  if (s == NULL || (uintptr_t)p - s->base >= s->npages << PAGE_SHIFT) {
    central_home_locked(c, h, empty);
    s = pageheap_span_at(p);
    if (s == NULL || s->class != class) {
      h->span = NULL;
      return false;
    }
    h->span = s;
  }
  uint32_t magic = sizeclasses[class].magic;
  uint64_t product = (uint64_t)((uintptr_t)p - s->base) * magic;
  unsigned slot = (unsigned)(product >> 32);
  if (slot / 64 != h->word) {
    central_home_locked(c, h, empty);
    h->word = slot / 64;
  }
  uint64_t bit = (uint64_t)1 << (slot % 64);
  bool is_object = slot < s->nslots && (uint32_t)product < magic;
  if (unlikely(!is_object) || unlikely(h->bits & bit) ||
      unlikely(atomic_load_relaxed(&s->free_bits[slot / 64]) & bit)) {
    return false;
  }
  h->bits |= bit;
  return true;
}

static void central_return_empty(struct list_node *empty) {
  while (!list_is_empty(empty)) {
    struct span *s = LIST_ELEMENT(empty->next, struct span, link);
    list_remove(&s->link);
    pageheap_return_span(s);
  }
}

/* Set the bits of every object of b in its span. */
static void central_spill_locked(struct central *c, unsigned class,
                                 struct batch b, struct list_node *empty,
                                 struct misuse *bad) {
  struct homing h = {NULL, 0, 0};
  void *p = b.head;
  for (size_t i = 0; i < b.count; i++, p = *(void **)p) {
    if (unlikely(!central_gather_locked(c, class, p, &h, empty))) {
      /* The chain is damaged from here on: what follows is lost. */
      *bad = pageheap_diagnose(p);
      break;
    }
  }
  central_home_locked(c, &h, empty);
}

void central_return_batch(unsigned class, struct batch b, struct misuse *bad) {
  struct central *c = &centrals[class];
  struct list_node empty;
  list_init(&empty);
  lock_acquire(&c->lock);
  if (c->nwaiting == WAITING_MAX) {
    struct batch oldest = c->waiting[0];
    for (unsigned i = 1; i < WAITING_MAX; i++) {
      c->waiting[i - 1] = c->waiting[i];
    }
    c->waiting[WAITING_MAX - 1] = b;
    central_spill_locked(c, class, oldest, &empty, bad);
  } else {
    c->waiting[c->nwaiting] = b;
    atomic_store_relaxed(&c->nwaiting, (uint8_t)(c->nwaiting + 1));
  }
  lock_release(&c->lock);
  central_return_empty(&empty);
}

void central_return_slots(unsigned class, char *first, size_t count) {
  struct central *c = &centrals[class];
  struct list_node empty;
  list_init(&empty);
  struct homing h = {NULL, 0, 0};
  lock_acquire(&c->lock);
  for (size_t i = 0; i < count; i++) {
    char *p = first + i * sizeclasses[class].object_bytes;
    CHECK(central_gather_locked(c, class, p, &h, &empty));
  }
  central_home_locked(c, &h, &empty);
  lock_release(&c->lock);
  central_return_empty(&empty);
}

struct span *central_take_span(unsigned class, struct pagecache *cache) {
  struct central *c = &centrals[class];
  struct span *s = NULL;
  lock_acquire(&c->lock);
  if (!list_is_empty(&c->partial)) {
    /* The oldest: it has had the longest time to gather free slots. */
    s = LIST_ELEMENT(c->partial.next, struct span, link);
    list_remove(&s->link);
    s->is_owned = true;
  }
  lock_release(&c->lock);
  if (s == NULL) {
    s = pageheap_take_span(class, cache);
    if (s != NULL) {
      s->is_owned = true; /* nobody else knows a slot of it */
    }
  }
  return s;
}

void central_return_span(struct span *s) {
  struct central *c = &centrals[s->class];
  lock_acquire(&c->lock);
  s->is_owned = false;
  s->nfree = (uint16_t)span_count_free(s);
  bool is_empty = s->nfree == s->nslots;
  if (s->nfree > 0 && !is_empty) {
    list_push_back(&c->partial, &s->link);
  }
  lock_release(&c->lock);
  if (is_empty) {
    pageheap_return_span(s);
  }
}

size_t central_drain(bool all, struct misuse *bad) {
  size_t objects = 0;
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    struct central *c = &centrals[class];
    if (atomic_load_relaxed(&c->nwaiting) == 0) {
      continue;
    }
    struct list_node empty;
    list_init(&empty);
    lock_acquire(&c->lock);
    if (all || !c->was_taken_from) {
      for (unsigned i = 0; i < c->nwaiting; i++) {
        objects += c->waiting[i].count;
        central_spill_locked(c, class, c->waiting[i], &empty, bad);
      }
      atomic_store_relaxed(&c->nwaiting, 0);
    }
    c->was_taken_from = false;
    lock_release(&c->lock);
    central_return_empty(&empty);
  }
  return objects;
}

void central_lock_all(void) {
  for (unsigned i = 0; i < SIZECLASS_COUNT; i++) {
    lock_acquire(&centrals[i].lock);
  }
}

void central_unlock_all(void) {
  central_fork_release(false);
}

void central_fork_release(bool in_child) {
  for (unsigned i = SIZECLASS_COUNT; i-- > 0;) {
    if (in_child) {
      lock_reset_after_fork(&centrals[i].lock);
    } else {
      lock_release(&centrals[i].lock);
    }
  }
}

static void central_check_class(unsigned class) {
  struct central *c = &centrals[class];
  lock_assert_held(&c->lock);
  for (struct list_node *n = c->partial.next; n != &c->partial; n = n->next) {
    const struct span *s = LIST_ELEMENT(n, struct span, link);
    CHECK(n->next->prev == n && n->prev->next == n);
    CHECK_EQ(s->class, class);
    CHECK(!s->is_owned && s->nfree > 0); /* [central.1] */
    CHECK(span_check(s));
  }
  CHECK(c->nwaiting <= WAITING_MAX);
  for (unsigned i = 0; i < c->nwaiting; i++) {
    const void *p = c->waiting[i].head;
    for (size_t k = 0; k < c->waiting[i].count; k++) {
      const struct span *s = pageheap_span_at(p);
      CHECK(s != NULL && s->class == class);
      unsigned slot = sizeclass_slot(class, (uintptr_t)p - s->base);
      CHECK(!span_is_free(s, slot));
      p = *(void *const *)p;
    }
  }
}

bool central_check(void) {
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    central_check_class(class);
  }
  return true;
}
