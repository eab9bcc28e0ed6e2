/* api/collector.h -- what the native functions and the table for faces share.
 *
 * WHAT    The slow halves of allocation, and a collection. See collector.c and
 *         core.c.
 * LOCKS   none held on entry.
 */
#ifndef ALM_API_COLLECTOR_H
#define ALM_API_COLLECTOR_H

#include "gc/cycle.h"

/* A zeroed slot of the layout; NULL: no memory. `call` is named in reports. */
ALM_INTERNAL void *collector_take_of(struct alm_mutator *m, unsigned index,
                                     const char *call);
/* A large object; see local_new_large. */
ALM_INTERNAL void *collector_large_of(struct alm_mutator *m, enum alm_kind kind,
                                      const struct alm_type *type, size_t bytes,
                                      bool is_root, bool is_zero,
                                      const char *call);
/* A collection by the mutator's thread, inside world_enter; and the background
 * thread is told of what there is to sweep then. */
ALM_INTERNAL enum cycle_result collector_collect(struct alm_mutator *m);
/* See alm_heap_create; options are copied. `face` may be NULL. */
ALM_INTERNAL enum alm_err collector_create_heap(
    const struct alm_heap_options *options, const struct alm_face *face,
    struct alm_heap **out);

#endif
