/* compat/libgc/control.c -- collecting on request, parameters, what a
 * collection tells the client, numbers.
 *
 * WHAT    GC_gcollect and its kin, the public variables, all GC_set_* and
 *         GC_get_*, events, statistics, leak detection, dumps.
 * HOW     A parameter that our collector has no use for is kept and given back
 *         (doc/libgc.md lists them). GC_free_space_divisor and the like may be
 *         written as variables, so they are read when a collection begins.
 * LOCKS   gc.lock; a collection holds it.
 */
#include "libgc.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The heap is at least this large for GC_get_heap_size, and collected no
 * sooner: the core's default. */
#define FIRST_BYTES ((uint64_t)4 << 20)
/* What may be allocated between two collections, in percent of what is live,
 * times the divisor: 100 for libgc's default of 3, which is about what libgc
 * comes to with a heap that it has filled. */
enum { PERCENT_TIMES_DIVISOR = 300, LEAKS_MAX = 40, ROWS_MAX = 256 };

static void *GC_CALLBACK gc_return_null(size_t bytes) {
  (void)bytes;
  return NULL;
}

static int GC_CALLBACK gc_never_stop(void) {
  return 0;
}

/* ---- the public variables ------------------------------------------------ */

GC_word GC_gc_no = 0;
int GC_parallel = 0;
GC_oom_func GC_oom_fn = gc_return_null;
GC_on_heap_resize_proc GC_on_heap_resize = 0;
int GC_find_leak = 0;
int GC_all_interior_pointers = 1;
int GC_finalize_on_demand = 0;
int GC_java_finalization = 1;
GC_finalizer_notifier_proc GC_finalizer_notifier = 0;
int GC_dont_gc = 0;
int GC_dont_expand = 0;
int GC_use_entire_heap = 0;
int GC_full_freq = 19;
GC_word GC_non_gc_bytes = 0;
int GC_no_dls = 0;
GC_word GC_free_space_divisor = 3;
GC_word GC_max_retries = 0;
char *GC_stackbottom = NULL;
int GC_dont_precollect = 0;
unsigned long GC_time_limit = GC_TIME_UNLIMITED;
/* Any value may be one of the heap's: GC_mark_and_push looks. */
void *GC_least_plausible_heap_addr = NULL;
void *GC_greatest_plausible_heap_addr = (void *)~(uintptr_t)0;

static struct {
  GC_start_callback_proc start_callback;
  GC_on_collection_event_proc on_collection;
  GC_on_thread_event_proc on_thread;
  GC_stop_func stop;
  uint64_t first_bytes; /* see FIRST_BYTES                     */
  uint64_t max_bytes;   /* 0: none                             */
  uint64_t told_bytes;  /* the size GC_on_heap_resize has seen */
  uint64_t measured_ns; /* pauses before the measurement       */
  int helpers;          /* markers beside who collects         */
  bool is_measured;
  bool prints_stats;
  bool is_incremental;
  bool aborts_on_leak;
  bool dumps;
  unsigned long limit_nsec;
  GC_word bytes_per_finalizer;
  size_t min_bytes;
  int rate;
  int prior_attempts;
  int vdb_allowed;
  int unmaps;     /* GC_set_force_unmap_on_gcollect */
  bool is_manual; /* GC_set_disable_automatic_collection */
  struct {
    void *object;
    size_t bytes;
    unsigned kind;
  } leaks[LEAKS_MAX];
  unsigned nleaks;
} gc_control = {.stop = gc_never_stop,
                .first_bytes = FIRST_BYTES,
                .bytes_per_finalizer = 10000,
                .min_bytes = 1,
                .rate = 10,
                .prior_attempts = 1};

/* The thread has asked for the collection that it makes. */
struct gc_request {
  GC_stop_func stop;
  bool is_made;
};
static __thread struct gc_request gc_request
    __attribute__((tls_model("initial-exec")));

#define GC_PARAMETER(type, name, variable)                                     \
  void GC_set_##name(type value) {                                             \
    gc_lock();                                                                 \
    variable = value;                                                          \
    gc_unlock();                                                               \
  }                                                                            \
  type GC_get_##name(void) {                                                   \
    gc_lock();                                                                 \
    type value = variable;                                                     \
    gc_unlock();                                                               \
    return value;                                                              \
  }

GC_PARAMETER(GC_oom_func, oom_fn, GC_oom_fn)
GC_PARAMETER(GC_on_heap_resize_proc, on_heap_resize, GC_on_heap_resize)
GC_PARAMETER(GC_finalizer_notifier_proc, finalizer_notifier,
             GC_finalizer_notifier)
GC_PARAMETER(GC_start_callback_proc, start_callback, gc_control.start_callback)
GC_PARAMETER(GC_on_collection_event_proc, on_collection_event,
             gc_control.on_collection)
GC_PARAMETER(GC_on_thread_event_proc, on_thread_event, gc_control.on_thread)
GC_PARAMETER(GC_stop_func, stop_func, gc_control.stop)
GC_PARAMETER(int, find_leak, GC_find_leak)
GC_PARAMETER(int, finalize_on_demand, GC_finalize_on_demand)
GC_PARAMETER(int, java_finalization, GC_java_finalization)
GC_PARAMETER(int, dont_expand, GC_dont_expand)
GC_PARAMETER(int, full_freq, GC_full_freq)
GC_PARAMETER(GC_word, non_gc_bytes, GC_non_gc_bytes)
GC_PARAMETER(int, no_dls, GC_no_dls)
GC_PARAMETER(GC_word, free_space_divisor, GC_free_space_divisor)
GC_PARAMETER(GC_word, max_retries, GC_max_retries)
GC_PARAMETER(int, dont_precollect, GC_dont_precollect)
GC_PARAMETER(unsigned long, time_limit, GC_time_limit)
GC_PARAMETER(GC_word, allocd_bytes_per_finalizer,
             gc_control.bytes_per_finalizer)
GC_PARAMETER(size_t, min_bytes_allocd, gc_control.min_bytes)
GC_PARAMETER(int, rate, gc_control.rate)
GC_PARAMETER(int, max_prior_attempts, gc_control.prior_attempts)
GC_PARAMETER(int, manual_vdb_allowed, gc_control.vdb_allowed)
GC_PARAMETER(int, force_unmap_on_gcollect, gc_control.unmaps)

/* Objects that exist already have no byte for a pointer to their end. */
void GC_set_all_interior_pointers(int value) {
  gc_lock();
  GC_all_interior_pointers = value != 0;
  if (gc.is_started) {
    gc.extra = value != 0;
    gc.is_base_only = value == 0;
    gc.core->set_base_only(gc.heap, gc.is_base_only);
  }
  gc_unlock();
}

int GC_get_all_interior_pointers(void) {
  return GC_all_interior_pointers;
}

/* No page of ours is ever executable; doc/libgc.md. */
void GC_set_pages_executable(int value) {
  if (value != 0) {
    gc_warn("GC Warning: GC_set_pages_executable(%ld): not provided\n",
            (GC_word)value);
  }
}

int GC_get_pages_executable(void) {
  return 0;
}

void GC_set_disable_automatic_collection(int value) {
  gc_lock();
  gc_control.is_manual = value != 0;
  gc_unlock();
}

int GC_get_disable_automatic_collection(void) {
  gc_lock();
  int value = gc_control.is_manual;
  gc_unlock();
  return value;
}

void GC_set_time_limit_tv(struct GC_timeval_s limit) {
  gc_lock();
  GC_time_limit = limit.tv_ms;
  gc_control.limit_nsec = limit.tv_nsec;
  gc_unlock();
}

struct GC_timeval_s GC_get_time_limit_tv(void) {
  gc_lock();
  struct GC_timeval_s limit;
  limit.tv_ms = GC_time_limit;
  limit.tv_nsec = gc_control.limit_nsec;
  gc_unlock();
  return limit;
}

unsigned GC_get_version(void) {
  return ((GC_VERSION_MAJOR << 16) | (GC_VERSION_MINOR << 8)) |
         GC_VERSION_MICRO;
}

/* The markers' threads are made by the first collection; but a program that
 * has one thread is told that there are none. */
void GC_start_mark_threads(void) {
  gc_start();
  __atomic_store_n(&GC_parallel, gc_control.helpers, __ATOMIC_RELAXED);
}

GC_word GC_get_gc_no(void) {
  return GC_gc_no;
}

int GC_get_parallel(void) {
  return GC_parallel;
}

/* ---- the start, memory --------------------------------------------------- */

static void gc_apply_divisor(void) {
  GC_word divisor = GC_free_space_divisor ? GC_free_space_divisor : 1;
  GC_word percent = PERCENT_TIMES_DIVISOR / divisor;
  gc.core->set_percent(gc.heap, percent ? (unsigned)percent : 1);
}

static void gc_exit_check(void) {
  if (GC_find_leak) {
    GC_gcollect();
  }
}

void gc_control_start(void) {
  uint64_t n;
  struct alm_heap_stats stats;
  struct alm_core_stats more;
  gc.core->stats(gc.heap, &stats, &more);
  gc_control.helpers = (int)more.markers - 1;
  if (gc_env_number("GC_FREE_SPACE_DIVISOR", &n) && n > 0) {
    GC_free_space_divisor = n;
  }
  if (gc_env_number("GC_INITIAL_HEAP_SIZE", &n) && n > FIRST_BYTES) {
    gc_control.first_bytes = n;
  }
  if (gc_env_number("GC_MAXIMUM_HEAP_SIZE", &n)) {
    gc_control.max_bytes = n;
  }
  if (gc_env_number("GC_PAUSE_TIME_TARGET", &n) && n > 0) {
    GC_time_limit = n;
  }
  if (gc_env_number("GC_FULL_FREQUENCY", &n)) {
    GC_full_freq = (int)n;
  }
  GC_dont_gc |= gc_env_flag("GC_DONT_GC");
  GC_find_leak |= gc_env_flag("GC_FIND_LEAK");
  GC_use_entire_heap |= gc_env_flag("GC_USE_ENTIRE_HEAP");
  gc_control.unmaps |= gc_env_flag("GC_FORCE_UNMAP_ON_GCOLLECT");
  gc_control.prints_stats =
      gc_env_flag("GC_PRINT_STATS") || gc_env_flag("GC_PRINT_VERBOSE_STATS");
  gc_control.dumps = gc_env_flag("GC_DUMP_REGULARLY");
  gc_control.aborts_on_leak = gc_env_flag("GC_ABORT_ON_LEAK");
  gc_control.is_incremental |= gc_env_flag("GC_ENABLE_INCREMENTAL");
  gc.core->set_first(gc.heap, gc_control.first_bytes);
  gc_control.told_bytes = gc_control.first_bytes;
  gc.core->set_limit(gc.heap, gc_control.max_bytes);
  if (GC_find_leak) {
    (void)atexit(gc_exit_check);
  }
}

void *gc_out_of_memory(size_t bytes) {
  gc_warn("GC Warning: Out of memory: %ld bytes were asked for\n", bytes);
  return GC_oom_fn(bytes);
}

void GC_set_max_heap_size(GC_word bytes) {
  gc_lock();
  gc_control.max_bytes = bytes;
  if (gc.is_started) {
    gc.core->set_limit(gc.heap, bytes);
  }
  gc_unlock();
}

/* gc.lock is held, or this is its holder. */
static void gc_tell_size(uint64_t bytes) {
  if (bytes > gc_control.told_bytes) {
    gc_control.told_bytes = bytes;
    if (GC_on_heap_resize != NULL) {
      GC_on_heap_resize(bytes);
    }
  }
}

void gc_control_see_size(void) {
  struct alm_heap_stats s;
  struct alm_core_stats more;
  if (GC_on_heap_resize == NULL) {
    return;
  }
  gc.core->stats(gc.heap, &s, &more);
  gc_lock();
  gc_tell_size(s.heap_bytes);
  gc_unlock();
}

int GC_expand_hp(size_t bytes) {
  gc_start();
  uint64_t now = GC_get_heap_size(), wanted;
  gc_lock();
  bool ok = !__builtin_add_overflow(now, (uint64_t)bytes, &wanted) &&
            wanted < PTRDIFF_MAX &&
            (gc_control.max_bytes == 0 || wanted <= gc_control.max_bytes);
  if (ok) {
    gc_control.first_bytes = wanted;
    gc.core->set_first(gc.heap, wanted);
    gc_control.told_bytes = 0; /* it was asked for, so it is told */
    gc_tell_size(wanted);
  }
  gc_unlock();
  return ok;
}

void GC_register_displacement(size_t bytes) {
  gc_start();
  if (bytes > DISPLACEMENT_MAX) {
    gc_fail("GC_register_displacement: above 4095");
  }
  gc.core->add_displacement(gc.heap, bytes);
}

/* ---- collecting ---------------------------------------------------------- */

bool gc_control_may_collect(void) {
  GC_stop_func stop = gc_request.is_made ? gc_request.stop : gc_control.stop;
  return GC_dont_gc == 0 && (gc_request.is_made || !gc_control.is_manual) &&
         stop() == 0;
}

static bool gc_collect_now(GC_stop_func stop) {
  enum alm_err err = ALM_EBUSY;
  if (!gc_enter() || gc_is_holder()) { /* a collection needs the lock itself */
    return false;
  }
  gc_request = (struct gc_request){stop, true};
  while (gc_control_may_collect() &&
         (err = gc.core->collect(gc_self->mutator)) == ALM_EBUSY) {
    (void)sched_yield(); /* that one may have begun too early for us */
  }
  gc_request.is_made = false;
  if (err == ALM_OK) {
    gc_finalizers_offer();
  }
  return err == ALM_OK;
}

void GC_gcollect(void) {
  if (gc_collect_now(gc_control.stop) && gc_control.unmaps) {
    gc.core->sweep(gc_self->mutator);
    (void)gc.core->release(0);
  }
}

/* What GC_expand_hp has asked for goes, too. */
void GC_gcollect_and_unmap(void) {
  if (gc_collect_now(gc_never_stop)) {
    gc_lock();
    gc_control.first_bytes = FIRST_BYTES;
    gc.core->set_first(gc.heap, FIRST_BYTES);
    gc_unlock();
    gc.core->sweep(gc_self->mutator);
    (void)gc.core->release(0);
  }
}

int GC_try_to_collect(GC_stop_func stop) {
  return gc_collect_now(stop);
}

/* Nothing is left over between collections. */
int GC_collect_a_little(void) {
  if (gc_enter()) {
    gc_finalizers_offer();
  }
  return 0;
}

void GC_start_incremental_collection(void) {
}

void GC_enable_incremental(void) {
  GC_init();
  gc_control.is_incremental = !gc_env_flag("GC_DISABLE_INCREMENTAL");
}

int GC_is_incremental_mode(void) {
  return gc_control.is_incremental;
}

/* No page is ever protected. */
int GC_incremental_protection_needs(void) {
  return GC_PROTECTS_NONE;
}

void GC_disable(void) {
  gc_lock();
  GC_dont_gc++;
  gc_unlock();
}

void GC_enable(void) {
  gc_lock();
  GC_dont_gc--;
  gc_unlock();
}

int GC_is_disabled(void) {
  return GC_dont_gc != 0;
}

/* ---- what a collection tells --------------------------------------------- */

static void gc_tell(GC_EventType event) {
  if (gc_control.on_collection != NULL) {
    gc_control.on_collection(event);
  }
}

void gc_control_before_stop(void *arg) {
  (void)arg;
  GC_gc_no++;
  gc_apply_divisor();
  gc_tell(GC_EVENT_START);
  gc_toggles_before();
  if (gc_control.start_callback != NULL) {
    gc_control.start_callback();
  }
  gc_tell(GC_EVENT_PRE_STOP_WORLD);
}

void gc_control_stopped(void *arg) {
  (void)arg;
  gc_threads_see_bottom();
  gc_tell(GC_EVENT_POST_STOP_WORLD);
  if (gc_control.on_thread != NULL) {
    gc_threads_tell(gc_control.on_thread, GC_EVENT_THREAD_SUSPENDED);
  }
  gc_tell(GC_EVENT_MARK_START);
}

void gc_control_marked(void *arg) {
  (void)arg;
  gc_tell(GC_EVENT_MARK_END);
}

void gc_control_before_start(void *arg) {
  (void)arg;
  if (gc_control.on_thread != NULL) {
    gc_threads_tell(gc_control.on_thread, GC_EVENT_THREAD_UNSUSPENDED);
  }
  gc_tell(GC_EVENT_PRE_START_WORLD);
}

static void gc_report_leaks(void) {
  unsigned n = gc_control.nleaks;
  gc_control.nleaks = 0;
  for (unsigned i = 0; i < n; i++) {
    gc_debug_say_leaked(gc_control.leaks[i].object, gc_control.leaks[i].bytes,
                        gc_control.leaks[i].kind);
    gc.core->del(gc.heap, NULL, gc_control.leaks[i].object);
  }
  if (n > 0 && gc_control.aborts_on_leak) {
    gc_fail("leaked objects were found");
  }
}

void gc_control_started(void *arg) {
  (void)arg;
  gc_tell(GC_EVENT_POST_START_WORLD);
  gc_tell(GC_EVENT_RECLAIM_START);
  gc_tell(GC_EVENT_RECLAIM_END);
  struct alm_heap_stats s;
  struct alm_core_stats more;
  gc.core->stats(gc.heap, &s, &more);
  gc_tell_size(s.heap_bytes);
  gc_debug_report();
  gc_report_leaks();
  if (gc_control.prints_stats) {
    gc_log("Collection %lu: %llu KiB live in %llu KiB, pause %llu us\n",
           (unsigned long)GC_gc_no, (unsigned long long)s.live_bytes >> 10,
           (unsigned long long)s.heap_bytes >> 10,
           (unsigned long long)s.pause_ns_last / 1000);
  }
  if (gc_control.dumps) {
    GC_dump();
  }
  gc_tell(GC_EVENT_END);
}

/* A leaked object is kept until it has been told of. */
static void gc_find_leak(const struct alm_core_object *o, void *m) {
  if (o->is_root || gc.core->is_marked(o->base) ||
      gc_control.nleaks == LEAKS_MAX) {
    return;
  }
  unsigned i = gc_control.nleaks++;
  gc_control.leaks[i].object = o->base;
  gc_control.leaks[i].bytes = o->bytes;
  gc_control.leaks[i].kind = gc_kind_of(o);
  gc.core->mark_range(m, &o->base, sizeof o->base, false);
}

void gc_control_find_leaks(struct alm_marker *m) {
  gc_debug_check_all();
  if (GC_find_leak) {
    gc.core->world_visit(gc.heap, gc_find_leak, m);
    gc.core->mark_drain(m);
  }
}

/* ---- numbers ------------------------------------------------------------- */

struct gc_numbers {
  struct alm_heap_stats heap;
  struct alm_core_stats more;
  uint64_t size; /* as GC_get_heap_size */
  uint64_t used; /* live, and allocated since */
};

static struct gc_numbers gc_numbers(void) {
  struct gc_numbers n;
  memset(&n, 0, sizeof n);
  gc_start();
  gc.core->stats(gc.heap, &n.heap, &n.more);
  n.used = n.heap.live_bytes + n.more.since_bytes;
  n.size = n.heap.heap_bytes > gc_control.first_bytes ? n.heap.heap_bytes
                                                      : gc_control.first_bytes;
  n.used = n.used < n.size ? n.used : n.size;
  return n;
}

size_t GC_get_heap_size(void) {
  return gc_numbers().size;
}

size_t GC_get_free_bytes(void) {
  struct gc_numbers n = gc_numbers();
  return n.size - n.used;
}

/* Pages that went back to the OS are no part of the heap's size. */
size_t GC_get_unmapped_bytes(void) {
  return 0;
}

size_t GC_get_bytes_since_gc(void) {
  return gc_numbers().more.since_bytes;
}

size_t GC_get_expl_freed_bytes_since_gc(void) {
  return gc_numbers().more.deleted_bytes;
}

size_t GC_get_total_bytes(void) {
  return gc_numbers().heap.alloc_bytes;
}

/* The most there was: it never falls. */
static uint64_t gc_obtained_bytes(const struct gc_numbers *n) {
  uint64_t most = n->more.mapped_bytes_max;
  most = most > gc_control.told_bytes ? most : gc_control.told_bytes;
  return most > n->size ? most : n->size;
}

size_t GC_get_obtained_from_os_bytes(void) {
  struct gc_numbers n = gc_numbers();
  return gc_obtained_bytes(&n);
}

size_t GC_get_memory_use(void) {
  return gc_numbers().used;
}

void GC_get_heap_usage_safe(GC_word *size, GC_word *free_bytes,
                            GC_word *unmapped, GC_word *since, GC_word *total) {
  struct gc_numbers n = gc_numbers();
  if (size != NULL) {
    *size = n.size;
  }
  if (free_bytes != NULL) {
    *free_bytes = n.size - n.used;
  }
  if (unmapped != NULL) {
    *unmapped = 0;
  }
  if (since != NULL) {
    *since = n.more.since_bytes;
  }
  if (total != NULL) {
    *total = n.heap.alloc_bytes;
  }
}

size_t GC_get_prof_stats(struct GC_prof_stats_s *out, size_t bytes) {
  struct gc_numbers n = gc_numbers();
  struct GC_prof_stats_s s;
  memset(&s, 0, sizeof s);
  s.heapsize_full = n.size;
  s.free_bytes_full = n.size - n.used;
  s.bytes_allocd_since_gc = n.more.since_bytes;
  s.allocd_bytes_before_gc = n.heap.alloc_bytes - n.more.since_bytes;
  s.non_gc_bytes = GC_non_gc_bytes;
  s.gc_no = GC_gc_no;
  s.markers_m1 = (GC_word)GC_parallel;
  s.expl_freed_bytes_since_gc = n.more.deleted_bytes;
  s.reclaimed_bytes_before_gc =
      s.allocd_bytes_before_gc > n.heap.live_bytes
          ? s.allocd_bytes_before_gc - n.heap.live_bytes
          : 0;
  s.obtained_from_os_bytes = gc_obtained_bytes(&n);
  size_t copied = bytes < sizeof s ? bytes : sizeof s;
  memcpy(out, &s, copied);
  if (bytes > copied) {
    memset((char *)out + copied, 0xff, bytes - copied);
  }
  return copied;
}

size_t GC_get_prof_stats_unsafe(struct GC_prof_stats_s *out, size_t bytes) {
  return GC_get_prof_stats(out, bytes);
}

void GC_start_performance_measurement(void) {
  gc_control.measured_ns = gc_numbers().heap.pause_ns;
  gc_control.is_measured = true;
}

unsigned long GC_get_full_gc_total_time(void) {
  return gc_control.is_measured
             ? (gc_numbers().heap.pause_ns - gc_control.measured_ns) / 1000000
             : 0;
}

/* ---- dumps --------------------------------------------------------------- */

struct gc_row_count {
  unsigned kind;
  size_t slot_bytes;
  size_t objects;
};

struct gc_count {
  struct gc_row_count rows[ROWS_MAX];
  size_t nrows;
  size_t others; /* did not find a row */
};

static void gc_count_one(const struct alm_core_object *o, void *arg) {
  struct gc_count *c = arg;
  unsigned kind = gc_kind_of(o);
  for (size_t i = 0; i < c->nrows; i++) {
    if (c->rows[i].kind == kind && c->rows[i].slot_bytes == o->slot_bytes) {
      c->rows[i].objects++;
      return;
    }
  }
  if (c->nrows < ROWS_MAX) {
    c->rows[c->nrows++] = (struct gc_row_count){kind, o->slot_bytes, 1};
  } else {
    c->others++;
  }
}

void GC_dump_named(const char *name) {
  static struct gc_count count;
  struct gc_numbers n = gc_numbers();
  if (!gc_enter()) {
    return;
  }
  GC_stop_world_external();
  count.nrows = count.others = 0;
  gc.core->world_visit(gc.heap, gc_count_one, &count);
  GC_start_world_external();
  gc_show("*** GC dump%s%s, collection %lu\n", name ? " " : "",
          name ? name : "", (unsigned long)GC_gc_no);
  gc_show("heap %llu KiB, live after the last collection %llu KiB, "
          "allocated since %llu KiB\n",
          (unsigned long long)n.heap.heap_bytes >> 10,
          (unsigned long long)n.heap.live_bytes >> 10,
          (unsigned long long)n.more.since_bytes >> 10);
  gc_show("*** Static roots:\n");
  GC_dump_regions();
  gc_show("*** Objects (kind, bytes, count):\n");
  for (size_t i = 0; i < count.nrows; i++) {
    gc_show("%u %zu %zu\n", count.rows[i].kind, count.rows[i].slot_bytes,
            count.rows[i].objects);
  }
  GC_dump_finalization();
}

/* Free slots are bits, not lists; a run is what a mutator has of them. */
void GC_print_free_list(int kind, size_t granules) {
  gc_show("kind %d, %zu granules: no free list\n", kind, granules);
}

void GC_dump(void) {
  GC_dump_named(NULL);
}
