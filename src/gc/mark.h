/* gc/mark.h -- find what is alive: mark, scan, drain; the markers' threads.
 *
 * WHAT    Marking from words, ranges and objects; draining in parallel.
 * HOW     A candidate (a word whose value lies in the heap) is not looked at
 *         at once: what the look will read is prefetched and the candidate
 *         goes into a ring; the one that leaves the ring is tested and
 *         marked, and if it may hold pointers, pushed. So loads of some 16
 *         candidates are under way at a time. Its mark word is fetched to
 *         be written: markers take the same lines from each other, and a
 *         locked instruction on a line that is elsewhere stops everything.
 *         Objects of which all words count are scanned where they are
 *         popped, in one loop; it is compiled twice, for a marker alone
 *         and for several (decisions/010). Objects above 128 KiB are scanned
 *         in pieces that others can take.
 *         A team of threads belongs to each heap, made at its first
 *         collection; they sleep between collections. The collector is the
 *         first of them.
 * INVARIANTS
 *   [mark.1] A marked object that may hold pointers has been scanned, or is in
 *            a buffer, or work.has_overflowed.
 * LOCKS   none but work.h's. World stopped.
 * SOURCE  Go mgcmark.go (pieces: oblets); prefetching before the mark test: C.
 *         Cher et al., "Software prefetching for mark-sweep garbage
 *         collection", ASPLOS 2004.
 */
#ifndef ALM_GC_MARK_H
#define ALM_GC_MARK_H

#include "heap.h"

struct marker;

/* Reports some roots to a marker; false: none is left. */
typedef bool (*mark_source)(struct alm_heap *h, struct marker *m);
/* Start marking from no counts; markers ask the source until it has no more.
 * The marker is the collector's. */
ALM_INTERNAL struct marker *mark_begin(struct alm_heap *h, mark_source source);
/* The team exists; false: no memory. By whoever has claimed the world, before
 * a signal stops a thread: that one may hold locks of the C library. */
ALM_INTERNAL bool mark_prepare(struct alm_heap *h);
/* Mark everything that follows from what was found; all markers. */
ALM_INTERNAL void mark_drain(struct alm_heap *h);
/* Bytes and objects marked. */
ALM_INTERNAL void mark_end(struct alm_heap *h, uint64_t *bytes,
                           uint64_t *objects);
/* CPU time that the team's threads have used so far. No marking is under
 * way. */
ALM_INTERNAL uint64_t mark_team_cpu_ns(const struct alm_heap *h);
/* How many mark, the collector among them. After mark_prepare. */
ALM_INTERNAL unsigned mark_team_size(const struct alm_heap *h);
/* Of these bytes: in large objects without pointers. */
ALM_INTERNAL uint64_t mark_light_bytes(const struct alm_heap *h);
/* End the threads; no collection is under way. */
ALM_INTERNAL void mark_team_end(struct alm_heap *h);

/* Every aligned word of the memory may be a pointer. */
ALM_INTERNAL void mark_range(struct marker *m, const void *start, size_t bytes);
/* The same; `is_base_only`: a pointer has to be to an object's first byte, or
 * to a displacement. */
ALM_INTERNAL void mark_range_of(struct marker *m, const void *start,
                                size_t bytes, bool is_base_only);
/* Mark all objects in use of the span or large object, which are roots. */
ALM_INTERNAL void mark_root_span(struct marker *m, struct collected *c);
/* What the object refers to, without marking the object. */
ALM_INTERNAL void mark_contents(struct marker *m, void *object);
/* Objects the collector's marker and its team have marked so far; grows while
 * there is progress. After mark_drain. */
ALM_INTERNAL uint64_t mark_count(const struct marker *m);

/* See alm_visit. */
ALM_INTERNAL void mark_visit(struct alm_visitor *v, const void *p);

/* For a callback that reports roots: pointers to any byte of an object. */
ALM_INTERNAL struct alm_visitor *mark_root_visitor(struct marker *m);

/* As a face knows it. */
ALM_INLINE struct marker *mark_of_face(struct alm_marker *m) {
  return (struct marker *)(void *)m;
}
ALM_INLINE struct alm_marker *mark_for_face(struct marker *m) {
  return (struct alm_marker *)(void *)m;
}
/* The heap that it marks. */
ALM_INTERNAL struct alm_heap *mark_heap(const struct marker *m);

ALM_INLINE struct alm_visitor *mark_visitor(struct marker *m) {
  return (struct alm_visitor *)(void *)m;
}

#endif
