/* mem/memstat.h -- the account of the process.
 *
 * WHAT    One struct alm_stats that every layer counts into, and the rules
 *         for counting. Nothing is counted here on malloc's or free's fast
 *         path: caches publish their own counters when they refill or flush.
 * OWNER   The struct lies in static storage until the process record (see
 *         obs/record.h) takes it over before a second thread exists.
 * ORDER   All accesses relaxed: numbers, not synchronisation.
 */
#ifndef ALM_MEM_MEMSTAT_H
#define ALM_MEM_MEMSTAT_H

#include "almacen.h"
#include "base/atomic.h"
#include "base/base.h"

/* Where to count. Constant once a second thread exists. */
ALM_INTERNAL_DATA struct alm_stats *memstat;

ALM_INLINE void memstat_add(uint64_t *counter, uint64_t n) {
  (void)atomic_add_relaxed(counter, n);
}

/* A maximum; of two racing values the lower may be kept for a moment. */
ALM_INLINE void memstat_raise(uint64_t *max, uint64_t now) {
  if (now > atomic_load_relaxed(max)) {
    atomic_store_relaxed(max, now);
  }
}

/* A thread's counts of one class since it last published. */
ALM_INTERNAL void memstat_publish(unsigned size_class, uint64_t allocs,
                                  uint64_t frees);
ALM_INTERNAL void memstat_publish_large(bool is_free, uint64_t bytes);

/* A collection of a heap made its threads stand still for so long. */
ALM_INTERNAL void memstat_pause(uint64_t ns);
/* See alm_pause_quantile_ns. */
ALM_INTERNAL uint64_t memstat_pause_quantile(const struct alm_gc_stats *gc,
                                             unsigned per_mille);
/* What is alive in a heap since its last collection has changed by this much;
 * memstat_live_show afterwards, if that was a collection. */
ALM_INTERNAL void memstat_live_change(uint64_t bytes, uint64_t objects);
ALM_INTERNAL void memstat_live_show(void);

/* Bytes in live objects, as far as published; collected heaps whole. */
ALM_INTERNAL uint64_t memstat_live_bytes(void);

/* heap_inuse has grown to `inuse`, for an object of more_live bytes that is
 * not published yet: keep the maximum and what was live then. */
ALM_INTERNAL void memstat_inuse_grew(uint64_t inuse, uint64_t more_live);
/* Take the sample of what is live at the peak now. */
ALM_INTERNAL void memstat_sample_peak(uint64_t inuse, uint64_t more_live);

/* All numbers as they are now. */
ALM_INTERNAL void memstat_copy(struct alm_stats *out);

/* Count on into `to`, which starts with what is counted so far. */
ALM_INTERNAL void memstat_move(struct alm_stats *to);

/* In a forked child: counters start from zero, gauges stay. */
ALM_INTERNAL void memstat_restart(void);

#endif
