/* mem/cache.c -- see cache.h. */
#include "cache.h"

#include "base/diag.h"
#include "memstat.h"
#include "metaalloc.h"
#include "os/os.h"
#include "pageheap.h"

#include <string.h>

/* A run is at most this long, because nobody can take it from a thread that
 * sleeps. */
enum { RUN_BYTES_MAX = ALM_TORTURE ? 64 : 8192 };

/* A thread's first runs of a class are short, each twice the last, and leave
 * the rest of the span to others: a thousand threads that allocate a little
 * share spans instead of owning one per class each. */
enum { START_RUN_BYTES = ALM_TORTURE ? 32 : 1024, STARTS = 3 };

/* Stand-ins: so many objects per class and thread, up to this size. Twice as
 * many waste twice as much where the class is used after all; larger objects
 * fill OS pages of their own anyway. */
enum { STAND_INS_MAX = 8, STAND_IN_BYTES_MAX = 1024 };

const struct cache cache_empty;

static struct {
  struct lock lock;
  struct list_node caches;
  struct meta_pool pool;
} registry = {.lock = LOCK_INIT(RANK_REGISTRY),
              .caches = {&registry.caches, &registry.caches},
              .pool = {sizeof(struct cache), NULL}};
STATIC_CHECK(sizeof(struct cache) % 64 == 0);

/* Counters are published in steps of two batches, so that short runs do not
 * cost atomics. */
static uint64_t cache_publish_step(unsigned class) {
  return ALM_TORTURE ? 1 : 2 * central_batch_count(class);
}

static void cache_publish(struct cache *cache, unsigned class, uint64_t step) {
  const struct bin *bin = &cache->bins[class];
  struct reserve *r = &cache->reserves[class];
  uint64_t allocs = atomic_load_relaxed(&bin->allocs);
  uint64_t frees = atomic_load_relaxed(&bin->frees);
  if (allocs - r->published_allocs + frees - r->published_frees >= step) {
    memstat_publish(class, allocs - r->published_allocs,
                    frees - r->published_frees);
    r->published_allocs = allocs;
    r->published_frees = frees;
  }
}

static size_t cache_run_left(const struct bin *bin, unsigned class) {
  return sizeclass_slot(class, (size_t)(bin->run_end - bin->run));
}

static size_t cache_list_length(const struct cache *cache, unsigned class) {
  const struct bin *bin = &cache->bins[class];
  uint64_t held =
      bin->frees - bin->allocs + cache->reserves[class].inflow; /* [cache.1] */
  return (size_t)(held - cache_run_left(bin, class));
}

static void cache_set_limit(struct bin *bin, unsigned class, size_t length) {
  size_t batch = central_batch_count(class);
  size_t slack = central_slack_count(class);
  size_t room = length < batch ? batch - length : 0;
  bin->frees_limit = bin->frees + max_size(room, slack);
}

/* An empty list takes over the batch. */
static void cache_adopt(struct cache *cache, unsigned class, struct batch b) {
  struct bin *bin = &cache->bins[class];
  ASSERT(bin->list == NULL);
  bin->list = b.head;
  cache->reserves[class].inflow += b.count;
  cache_set_limit(bin, class, b.count);
}

/* The list becomes a batch and is empty. */
static struct batch cache_detach(struct cache *cache, unsigned class) {
  struct bin *bin = &cache->bins[class];
  struct batch b = {bin->list, cache_list_length(cache, class)};
  ASSERT((b.head == NULL) == (b.count == 0));
  bin->list = NULL;
  cache->reserves[class].inflow -= b.count;
  cache_set_limit(bin, class, 0);
  return b;
}

static size_t cache_run_bytes(const struct reserve *r) {
  return r->starts < STARTS ? (size_t)START_RUN_BYTES << r->starts
                            : RUN_BYTES_MAX;
}

static void cache_give_up_span(struct reserve *r) {
  if (r->span == NULL) {
    return;
  }
  if (r->claimed != 0) {
    span_unclaim(r->span, r->claimed_word, r->claimed);
    r->claimed = 0;
  }
  central_return_span(r->span);
  r->span = NULL;
}

/* Bump through the next consecutive claimed slots. */
static void cache_start_run(struct cache *cache, unsigned class) {
  struct bin *bin = &cache->bins[class];
  struct reserve *r = &cache->reserves[class];
  size_t most = max_size(cache_run_bytes(r) / bin->object_bytes, 1);
  unsigned first = bits_ctz(r->claimed);
  size_t n = min_size(bits_ctz(~(r->claimed >> first)), most);
  r->claimed &= ~bits_span(first, (unsigned)n);
  bin->run = (char *)span_slot_address(r->span, r->claimed_word * 64 + first);
  bool to_the_end = first + n == 64;
  while (to_the_end && n < most && r->next_word < span_nwords(r->span)) {
    uint64_t bits = span_claim(r->span, r->next_word);
    unsigned more = (unsigned)min_size(bits_ctz(~bits), most - n);
    r->claimed = bits & ~bits_low(more);
    r->claimed_word = r->next_word++;
    n += more;
    to_the_end = more == 64;
  }
  bin->run_end = bin->run + n * bin->object_bytes;
  bin->run_is_zero = atomic_load_relaxed(&r->span->is_fresh);
  r->inflow += n;
  if (r->starts < STARTS) {
    r->starts++;
    cache_give_up_span(r);
  }
}

/* Slots from the owned span; false: it has none left. */
static bool cache_claim(struct reserve *r) {
  if (r->claimed != 0) {
    return true;
  }
  if (r->span == NULL) {
    return false;
  }
  for (; r->next_word < span_nwords(r->span); r->next_word++) {
    r->claimed = span_claim(r->span, r->next_word);
    if (r->claimed != 0) {
      r->claimed_word = r->next_word++;
      return true;
    }
  }
  return false;
}

unsigned cache_stand_in(struct cache *cache, unsigned class) {
  struct reserve *r = &cache->reserves[class];
  size_t bytes = sizeclasses[class].object_bytes;
  if (bytes > STAND_IN_BYTES_MAX || is_power_of_two(bytes) ||
      r->stand_ins == STAND_INS_MAX) {
    return class;
  }
  r->stand_ins++;
  return sizeclass_for((size_t)2 << log2_floor(bytes));
}

bool cache_refill(struct cache *cache, unsigned class) {
  struct reserve *r = &cache->reserves[class];
  bool ok = true;
  lock_acquire(&cache->lock);
  cache->was_active = true;
  cache_publish(cache, class, cache_publish_step(class));
  if (r->spare.count > 0) {
    struct batch spare = r->spare;
    r->spare = (struct batch){NULL, 0};
    cache_adopt(cache, class, spare);
  } else if (cache_claim(r)) {
    cache_start_run(cache, class);
  } else {
    struct batch b = central_take_batch(class);
    if (b.count > 0) {
      cache_adopt(cache, class, b);
    } else {
      cache_give_up_span(r);
      r->span = central_take_span(class, &cache->pages);
      r->next_word = 0;
      ok = cache_claim(r);
      if (ok) {
        cache_start_run(cache, class);
      }
    }
  }
  lock_release(&cache->lock);
  return ok;
}

void cache_overflow(struct cache *cache, unsigned class, struct misuse *bad) {
  struct reserve *r = &cache->reserves[class];
  lock_acquire(&cache->lock);
  cache->was_active = true;
  cache_publish(cache, class, cache_publish_step(class));
  size_t length = cache_list_length(cache, class);
  if (length < central_batch_count(class)) {
    cache_set_limit(&cache->bins[class], class, length);
  } else {
    struct batch list = cache_detach(cache, class);
    if (list.count >= 2 * central_batch_count(class)) {
      /* It was a spare before: one that grows each time would hoard. */
      central_return_batch(class, list, bad);
    } else {
      struct batch spare = r->spare;
      r->spare = list;
      if (spare.count > 0) {
        central_return_batch(class, spare, bad);
      }
    }
  }
  lock_release(&cache->lock);
}

static struct span *cache_remove_large(struct cache *cache, unsigned i) {
  struct span *s = cache->large[i];
  cache->nlarge--;
  cache->large_npages -= (unsigned)s->npages;
  for (; i < cache->nlarge; i++) {
    cache->large[i] = cache->large[i + 1];
  }
  return s;
}

/* A kept span that fits with at most an eighth to spare, or NULL. */
static struct span *cache_find_large(struct cache *cache, size_t npages) {
  for (unsigned i = cache->nlarge; i-- > 0;) {
    size_t have = cache->large[i]->npages;
    if (have >= npages && have - npages <= npages / 8) {
      return cache_remove_large(cache, i);
    }
  }
  return NULL;
}

struct span *cache_take_large(struct cache *cache, size_t npages,
                              size_t align_pages, bool *is_zero) {
  struct span *s = NULL;
  lock_acquire(&cache->lock);
  cache->was_active = true;
  if (align_pages == 1) {
    s = cache_find_large(cache, npages);
    *is_zero = false;
  }
  if (s == NULL) {
    s = pageheap_take_large(npages, align_pages, &cache->pages, is_zero);
  }
  if (s != NULL) {
    s->nfree = 0;
  }
  lock_release(&cache->lock);
  return s;
}

void cache_return_large(struct cache *cache, struct span *s) {
  lock_acquire(&cache->lock);
  cache->was_active = true;
  if (s->npages > CACHE_LARGE_PAGES_MAX) {
    pageheap_return_span(s);
  } else {
    while (cache->nlarge == CACHE_LARGE_MAX ||
           cache->large_npages + s->npages > CACHE_LARGE_PAGES_MAX) {
      pageheap_return_span(cache_remove_large(cache, 0));
    }
    s->nfree = 1;
    cache->large[cache->nlarge++] = s;
    cache->large_npages += (unsigned)s->npages;
  }
  lock_release(&cache->lock);
}

/* The slow half goes back. Any thread that holds the cache's lock. */
static void cache_trim_locked(struct cache *cache, struct misuse *bad) {
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    struct reserve *r = &cache->reserves[class];
    if (r->spare.count > 0) {
      struct batch spare = r->spare;
      r->spare = (struct batch){NULL, 0};
      central_return_batch(class, spare, bad);
    }
    cache_give_up_span(r);
    cache_publish(cache, class, 1);
  }
  while (cache->nlarge > 0) {
    pageheap_return_span(cache_remove_large(cache, 0));
  }
  pagecache_flush(&cache->pages);
  cache->is_trimmed = true;
  cache->was_active = false;
}

static void cache_flush_locked(struct cache *cache, struct misuse *bad) {
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    struct bin *bin = &cache->bins[class];
    struct reserve *r = &cache->reserves[class];
    if (bin->list != NULL) {
      central_return_batch(class, cache_detach(cache, class), bad);
    }
    size_t left = cache_run_left(bin, class);
    if (left > 0) {
      central_return_slots(class, bin->run, left);
      bin->run = bin->run_end;
      r->inflow -= left;
    }
  }
  cache_trim_locked(cache, bad);
}

void cache_flush(struct cache *cache, struct misuse *bad) {
  lock_acquire(&cache->lock);
  cache_flush_locked(cache, bad);
  lock_release(&cache->lock);
}

struct cache *cache_create(void) {
  struct cache *cache = meta_take(&registry.pool);
  if (cache == NULL) {
    return NULL;
  }
  if (cache->bins[1].magic != 0) { /* used before; a fresh record is zero, and
                                      most of it stays untouched */
    memset(cache, 0, sizeof *cache);
  }
  cache->lock = (struct lock)LOCK_INIT(RANK_CACHE);
  for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
    struct bin *bin = &cache->bins[class];
    bin->object_bytes = sizeclasses[class].object_bytes;
    bin->magic = sizeclasses[class].magic;
    cache_set_limit(bin, class, 0);
  }
  lock_acquire(&registry.lock);
  list_push_back(&registry.caches, &cache->link);
  lock_release(&registry.lock);
  return cache;
}

void cache_destroy(struct cache *cache, struct misuse *bad) {
  lock_acquire(&registry.lock);
  list_remove(&cache->link);
  lock_release(&registry.lock);
  cache_flush(cache, bad);
  meta_return(&registry.pool, cache);
}

#define FOR_EACH_CACHE(cache)                                                  \
  for (struct list_node *fec = registry.caches.next;                           \
       fec != &registry.caches &&                                              \
       (cache = LIST_ELEMENT(fec, struct cache, link), true);                  \
       fec = fec->next)

unsigned cache_trim(bool all, struct misuse *bad) {
  unsigned trimmed = 0;
  struct cache *cache;
  lock_acquire(&registry.lock);
  FOR_EACH_CACHE(cache) {
    if (!lock_try(&cache->lock)) {
      continue; /* busy, so not idle */
    }
    if (all) {
      cache_trim_locked(cache, bad);
      trimmed++;
    } else if (cache->was_active) {
      cache->was_active = false;
      cache->is_trimmed = false;
      trimmed++;
    } else if (!cache->is_trimmed) {
      cache_trim_locked(cache, bad);
      trimmed++;
    }
    lock_release(&cache->lock);
  }
  lock_release(&registry.lock);
  return trimmed;
}

void cache_publish_all(void) {
  struct cache *cache;
  if (!lock_try_patiently(&registry.lock)) {
    return;
  }
  FOR_EACH_CACHE(cache) {
    if (!lock_try_patiently(&cache->lock)) {
      continue;
    }
    for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
      cache_publish(cache, class, 1);
    }
    lock_release(&cache->lock);
  }
  lock_release(&registry.lock);
}

void cache_lock_all(void) {
  struct cache *cache;
  lock_acquire(&registry.lock);
  FOR_EACH_CACHE(cache) {
    while (!lock_try(&cache->lock)) { /* caches have no order: never wait */
      os_yield();
    }
  }
}

void cache_unlock_all(void) {
  struct cache *cache;
  FOR_EACH_CACHE(cache) {
    lock_release(&cache->lock);
  }
  lock_release(&registry.lock);
}

bool cache_check(void) {
  struct cache *cache;
  FOR_EACH_CACHE(cache) {
    for (unsigned class = 1; class < SIZECLASS_COUNT; class ++) {
      const struct bin *bin = &cache->bins[class];
      const struct reserve *r = &cache->reserves[class];
      CHECK_EQ(bin->magic, sizeclasses[class].magic);
      CHECK(r->span == NULL || (r->span->is_owned && r->span->class == class));
      CHECK(r->claimed == 0 || r->span != NULL);
      CHECK((r->spare.head == NULL) == (r->spare.count == 0));
      CHECK(r->published_allocs <= atomic_load_relaxed(&bin->allocs));
      CHECK(r->published_frees <= atomic_load_relaxed(&bin->frees));
    }
  }
  for (unsigned i = 0; i < sizeof cache_empty / 8; i++) {
    CHECK_EQ(((const uint64_t *)(const void *)&cache_empty)[i], 0);
  }
  return true;
}

void cache_fork_prepare(void) {
  lock_acquire(&registry.lock);
}

void cache_fork_release(bool in_child, struct cache *mine,
                        struct cache *shared) {
  if (!in_child) {
    lock_release(&registry.lock);
    return;
  }
  list_init(&registry.caches);
  if (mine != NULL) {
    list_push_back(&registry.caches, &mine->link);
  }
  if (shared != NULL) {
    list_push_back(&registry.caches, &shared->link);
  }
  lock_reset_after_fork(&registry.lock);
}
