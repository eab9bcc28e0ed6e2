/* mem/cache.h -- a thread's own spans, runs and free lists.
 *
 * WHAT    Per size class: a list of freed objects, a run of never-used slots
 *         to bump through, a spare list, the span that runs are claimed
 *         from. Per thread: 64 pages. malloc pops the list, else bumps the
 *         run; free pushes. No lock, no atomic read-modify-write.
 * HOW     The fast half (struct bin) belongs to the thread alone. The slow
 *         half is guarded by the cache's lock, so that the background thread
 *         can empty the caches of sleeping threads. A list that has reached
 *         a batch becomes the spare; a second one goes to the central whole.
 *         Both are chains handed over without touching their objects.
 *         Two counters that only grow, allocs and frees, are the statistics
 *         and, by their difference, the length of the list.
 * INVARIANTS
 *   [cache.1] objects in list + slots left in run
 *               = frees - allocs + inflow.
 *   [cache.2] The empty cache is all zero and never written: its lists and
 *             runs are empty and its magics are 0, so that malloc and free
 *             both take the slow path without a test of their own.
 *   [cache.3] spare, claimed, span, pages, large are touched under the lock
 *             only. A span in large has nfree 1, one in use 0.
 * ORDER   allocs and frees are stored and loaded relaxed (statistics).
 * MEMORY  8.6 KiB per thread, off heap.
 * SOURCE  Go mcache.go (spans, flush), J. Bonwick's magazines (USENIX 2001)
 *         for list and spare.
 */
#ifndef ALM_MEM_CACHE_H
#define ALM_MEM_CACHE_H

#include "central.h"
#include "os/lock.h"

/* The fast half of one size class. */
struct bin {
  void *list;            /* freed objects, newest first                     */
  char *run;             /* next slot of the run                            */
  char *run_end;         /* == run: the run is used up                      */
  uint64_t allocs;       /* objects handed out, ever; read by anyone        */
  uint64_t frees;        /* objects taken back, ever; read by anyone        */
  uint64_t frees_limit;  /* when frees gets there, look at the length       */
  uint32_t magic;        /* of the size class; 0 in the empty cache         */
  uint32_t object_bytes; /* constant                                        */
  bool run_is_zero;      /* the slots of the run read as zero               */
} ALM_CACHE_ALIGNED;
STATIC_CHECK(sizeof(struct bin) == 64);

/* The slow half of one size class. [cache.3] */
struct reserve {
  struct batch spare;
  struct span *span; /* owned; NULL: none                           */
  uint64_t claimed;  /* slots of word claimed_word not yet in a run */
  unsigned claimed_word;
  unsigned next_word;        /* first word of span not yet looked at        */
  uint16_t starts;           /* short runs so far, see START_RUN_BYTES      */
  uint16_t stand_ins;        /* objects lent so far, see cache_stand_in     */
  uint64_t inflow;           /* [cache.1], modulo 2^64                      */
  uint64_t published_allocs; /* what memstat has                            */
  uint64_t published_frees;
};

/* Freed large objects a thread keeps: so many, so many pages together (1 MiB),
 * so that a buffer allocated and freed again and again costs no lock of the
 * page heap and no page fault. */
enum { CACHE_LARGE_MAX = 8, CACHE_LARGE_PAGES_MAX = 128 };

struct cache {
  struct bin bins[SIZECLASS_COUNT];
  struct pagecache pages;
  struct span *large[CACHE_LARGE_MAX]; /* freed large objects, oldest first */
  unsigned nlarge;
  unsigned large_npages; /* in them together                               */
  struct lock lock;
  bool was_active;       /* slow path taken since the last look; lock      */
  bool is_trimmed;       /* and nothing since; lock                        */
  struct list_node link; /* in the registry; its lock                      */
  struct reserve reserves[SIZECLASS_COUNT]; /* last: small classes first, so
                                               that few pages are touched  */
};

/* The cache of a thread that has none (yet, or any more). [cache.2] */
ALM_INTERNAL_DATA const struct cache cache_empty;

/* A registered, empty cache; NULL when memory is out. */
ALM_INTERNAL struct cache *cache_create(void);
/* Everything in it goes back; the record is reused for another thread. */
ALM_INTERNAL void cache_destroy(struct cache *cache, struct misuse *bad);

/* The class to serve a request of `class` from: itself, but for the first few
 * requests a power of two that several classes share. So a thread that asks
 * for few objects of many sizes touches a page per power of two, not one per
 * size. The object's class is that of its page, so free needs no record. */
ALM_INTERNAL unsigned cache_stand_in(struct cache *cache, unsigned class);

/* After it returned true, list or run of the class is not empty. False: no
 * memory. */
ALM_INTERNAL bool cache_refill(struct cache *cache, unsigned class);

/* frees has reached frees_limit: pass on what is too much. */
ALM_INTERNAL void cache_overflow(struct cache *cache, unsigned class,
                                 struct misuse *bad);

/* Give everything back, keep the cache. Its own thread only. */
ALM_INTERNAL void cache_flush(struct cache *cache, struct misuse *bad);

/* Give back all but the fast half of every cache (all), or of those that were
 * not active since the last call. Caches in use at the moment are passed
 * over. Any thread. Returns how many caches there are or were to trim. */
ALM_INTERNAL unsigned cache_trim(bool all, struct misuse *bad);

/* Bring memstat up to date with all caches that are not busy for long. */
ALM_INTERNAL void cache_publish_all(void);

/* A large object of at least npages, kept by the cache or new; see
 * pageheap_take_large. */
ALM_INTERNAL struct span *cache_take_large(struct cache *cache, size_t npages,
                                           size_t align_pages, bool *is_zero);
/* Keep it for reuse, or give it (and older ones) to the page heap. */
ALM_INTERNAL void cache_return_large(struct cache *cache, struct span *s);

/* Stop every thread at its next slow path, and let them go on. */
ALM_INTERNAL void cache_lock_all(void);
ALM_INTERNAL void cache_unlock_all(void);
ALM_INTERNAL bool cache_check(void); /* between those two */

ALM_INTERNAL void cache_fork_prepare(void);
/* In the child every cache but these two (either may be NULL) is forgotten:
 * its thread does not exist, and may have been in the middle of anything. */
ALM_INTERNAL void cache_fork_release(bool in_child, struct cache *mine,
                                     struct cache *shared);

#endif
