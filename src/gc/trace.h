/* gc/trace.h -- what one collection took, and who is told.
 *
 * WHAT    The clock and the CPU clocks at the borders of a collection's
 *         phases, and the bytes it saw. They go into the account of the
 *         process (memstat.h) and, with gctrace=1, into a line on stderr.
 * HOW     A struct trace is a local variable of the collector. CPU time of
 *         the markers' threads is what they noted down when they were last
 *         done.
 * LOCKS   none. The collector's thread only.
 * COST    Per border a look at the clock; two system calls for the CPU time,
 *         four with gctrace=1.
 * SOURCE  Go mgc.go: the fields of the gctrace line.
 */
#ifndef ALM_GC_TRACE_H
#define ALM_GC_TRACE_H

#include "heap.h"

/* The borders: before the threads are asked to stop; all stand still and the
 * rest of the last collection is swept; all that the roots reach is marked;
 * the end. */
enum trace_border {
  TRACE_BEGIN,
  TRACE_STOPPED,
  TRACE_MARKED,
  TRACE_END,
  TRACE_BORDERS
};

struct trace {
  struct {
    uint64_t now_ns;
    uint64_t own_ns;  /* CPU time of the collector's thread; between
                         the first and the last border only for the line */
    uint64_t team_ns; /* CPU time of the team's threads together    */
  } at[TRACE_BORDERS];
  bool is_printed;      /* gctrace was 1 when it began                     */
  uint64_t start_bytes; /* live at the last collection and allocated since */
  uint64_t end_bytes;   /* the same when marking was over                  */
  uint64_t goal_bytes;  /* what this collection waited for                 */
  uint64_t stack_bytes; /* scanned: stacks and registers                   */
  uint64_t root_bytes;  /* scanned: registered ranges and handles          */
};

/* The collection is at this border. */
ALM_INTERNAL void trace_reach(struct trace *t, enum trace_border border,
                              const struct alm_heap *h);
/* How long the threads stood still. */
ALM_INTERNAL uint64_t trace_pause_ns(const struct trace *t);
/* All borders are reached: count the collection. */
ALM_INTERNAL void trace_account(const struct trace *t);
/* The line, if gctrace was 1. The heap's own statistics are up to date. */
ALM_INTERNAL void trace_print(const struct trace *t, const struct alm_heap *h);

#endif
