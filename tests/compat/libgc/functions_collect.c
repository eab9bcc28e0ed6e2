/* tests/compat/libgc/functions_collect.c -- collections: asked for, aborted,
 * forbidden, announced. */
#include "check.h"

#include <gc/gc_mark.h>

static void watch_some(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) watch(i, GC_malloc(100));
}

static int count_gone(void) {
  int gone = 0;
  for (int i = 0; i < WATCHED; i++) gone += watched[i] == 0;
  return gone;
}

static void allocate_megabytes(int n) {
  for (int i = 0; i < n * 1024; i++) GC_malloc(1024);
}

TEST("GC_gcollect collects, and GC_get_gc_no counts it") {
  GC_word before = GC_get_gc_no();
  apart(watch_some, NULL);
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), >, before);
  CHECK_THAT(GC_gc_no, ==, GC_get_gc_no());
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

TEST("GC_gcollect_and_unmap collects as well") {
  GC_word before = GC_get_gc_no();
  apart(watch_some, NULL);
  GC_gcollect_and_unmap();
  CHECK_THAT(GC_get_gc_no(), >, before);
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

TEST("allocation alone leads to collections") {
  GC_word before = GC_get_gc_no();
  apart(watch_some, NULL);
  allocate_megabytes(200);
  CHECK_THAT(GC_get_gc_no(), >, before);
  CHECK_THAT(GC_get_heap_size(), <, 150 << 20);
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

/* ---- stopping one -------------------------------------------------------- */

static int asked, stop_now;

static int stop_if_told(void) {
  asked++;
  return stop_now;
}

TEST("GC_try_to_collect collects when it is not stopped") {
  GC_word before = GC_get_gc_no();
  asked = stop_now = 0;
  apart(watch_some, NULL);
  CHECK_THAT(GC_try_to_collect(stop_if_told), ==, 1);
  CHECK_THAT(asked, >=, 1);
  CHECK_THAT(GC_get_gc_no(), >, before);
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

TEST("GC_try_to_collect returns 0 when it is stopped, and nothing is freed") {
  asked = 0;
  stop_now = 1;
  apart(watch_some, NULL);
  CHECK_THAT(GC_try_to_collect(stop_if_told), ==, 0);
  CHECK_THAT(asked, >=, 1);
  CHECK_THAT(count_gone(), ==, 0);
  stop_now = 0;
  CHECK_THAT(GC_try_to_collect(stop_if_told), ==, 1);
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

TEST("GC_set_stop_func stops GC_gcollect, but not GC_gcollect_and_unmap") {
  GC_stop_func before = GC_get_stop_func();
  CHECK(before != NULL);
  CHECK_THAT(before(), ==, 0);
  GC_set_stop_func(stop_if_told);
  CHECK(GC_get_stop_func() == stop_if_told);
  asked = 0;
  stop_now = 1;
  apart(watch_some, NULL);
  GC_gcollect();
  CHECK_THAT(asked, >=, 1);
  CHECK_THAT(count_gone(), ==, 0);
  GC_gcollect_and_unmap();
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  stop_now = 0;
  GC_set_stop_func(before);
  CHECK(GC_get_stop_func() == before);
  watch_end();
}

/* ---- forbidding ---------------------------------------------------------- */

static int never(void) {
  return 0;
}

TEST("after GC_disable nothing collects until GC_enable") {
  CHECK(!GC_is_disabled());
  GC_disable();
  CHECK(GC_is_disabled());
  GC_word before = GC_get_gc_no();
  apart(watch_some, NULL);
  GC_gcollect();
  GC_gcollect_and_unmap();
  CHECK_THAT(GC_try_to_collect(never), ==, 0);
  allocate_megabytes(100);
  CHECK_THAT(GC_get_gc_no(), ==, before);
  CHECK_THAT(count_gone(), ==, 0);
  GC_enable();
  CHECK(!GC_is_disabled());
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), >, before);
  CHECK_THAT(count_gone(), >=, WATCHED * 9 / 10);
  watch_end();
}

TEST("GC_disable and GC_enable nest, and GC_dont_gc is their count") {
  CHECK_THAT(GC_dont_gc, ==, 0);
  for (int i = 0; i < 5; i++) GC_disable();
  CHECK_THAT(GC_dont_gc, ==, 5);
  for (int i = 0; i < 4; i++) GC_enable();
  CHECK(GC_is_disabled());
  GC_word before = GC_get_gc_no();
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), ==, before);
  GC_enable();
  CHECK(!GC_is_disabled());
}

TEST("writing GC_dont_gc forbids collections as well") {
  GC_dont_gc = 1;
  CHECK(GC_is_disabled());
  GC_word before = GC_get_gc_no();
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), ==, before);
  GC_dont_gc = 0;
  CHECK(!GC_is_disabled());
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), >, before);
}

TEST("GC_set_disable_automatic_collection leaves those that are asked for") {
  CHECK_THAT(GC_get_disable_automatic_collection(), ==, 0);
  GC_set_disable_automatic_collection(1);
  CHECK_THAT(GC_get_disable_automatic_collection(), !=, 0);
  GC_word before = GC_get_gc_no();
  allocate_megabytes(20);
  CHECK_THAT(GC_get_gc_no(), ==, before);
  GC_gcollect();
  CHECK_THAT(GC_get_gc_no(), >, before);
  GC_set_disable_automatic_collection(0);
  CHECK_THAT(GC_get_disable_automatic_collection(), ==, 0);
  before = GC_get_gc_no();
  allocate_megabytes(200);
  CHECK_THAT(GC_get_gc_no(), >, before);
}

/* ---- announcements ------------------------------------------------------- */

enum { EVENTS_MAX = 1000 };
static GC_EventType events[EVENTS_MAX];
static int event_count;

static void on_event(GC_EventType event) {
  if (event_count < EVENTS_MAX) events[event_count++] = event;
}

static int first_of(GC_EventType event) {
  for (int i = 0; i < event_count; i++)
    if (events[i] == event) return i;
  return -1;
}

TEST("GC_set_on_collection_event is told of the phases in their order") {
  CHECK(GC_get_on_collection_event() == NULL);
  GC_set_on_collection_event(on_event);
  CHECK(GC_get_on_collection_event() == on_event);
  GC_gcollect();
  GC_set_on_collection_event(NULL);
  CHECK(GC_get_on_collection_event() == NULL);
  int start = first_of(GC_EVENT_START), end = first_of(GC_EVENT_END);
  int mark = first_of(GC_EVENT_MARK_START),
      marked = first_of(GC_EVENT_MARK_END);
  int stop = first_of(GC_EVENT_PRE_STOP_WORLD);
  int stopped = first_of(GC_EVENT_POST_STOP_WORLD);
  int run = first_of(GC_EVENT_PRE_START_WORLD);
  int running = first_of(GC_EVENT_POST_START_WORLD);
  int reclaim = first_of(GC_EVENT_RECLAIM_START);
  int reclaimed = first_of(GC_EVENT_RECLAIM_END);
  CHECK_THAT(start, >=, 0);
  CHECK_THAT(mark, >, start);
  CHECK_THAT(marked, >, mark);
  CHECK_THAT(stop, >, start);
  CHECK_THAT(stopped, >, stop);
  CHECK_THAT(run, >, stopped);
  CHECK_THAT(running, >, run);
  CHECK_THAT(reclaim, >, marked);
  CHECK_THAT(reclaimed, >, reclaim);
  CHECK_THAT(end, >, marked);
  CHECK_THAT(end, ==, event_count - 1);
  GC_gcollect();
  CHECK_THAT(end, ==, event_count - 1);
}

static int starts;

static void on_start(void) {
  starts++;
}

TEST("GC_set_start_callback is called at the start of each full collection") {
  CHECK(GC_get_start_callback() == NULL);
  GC_set_start_callback(on_start);
  CHECK(GC_get_start_callback() == on_start);
  for (int i = 1; i <= 5; i++) {
    GC_gcollect();
    CHECK_THAT(starts, ==, i);
  }
  GC_set_start_callback(NULL);
  CHECK(GC_get_start_callback() == NULL);
  GC_gcollect();
  CHECK_THAT(starts, ==, 5);
}

/* ---- mark bits ----------------------------------------------------------- */

static GC_push_other_roots_proc push_before;
static GC_hidden_pointer hidden_objects[3];
static int agreed, used;

/* While marking: between collections the bits are the collector's own. */
static void use_mark_bits(void) {
  for (int i = 0; i < 3; i++) {
    void *object = GC_REVEAL_POINTER(hidden_objects[i]);
    GC_clear_mark_bit(object);
    int first = GC_is_marked(object);
    GC_set_mark_bit(object);
    int second = GC_is_marked(object);
    agreed += first == 0 && second == 1;
    used++;
  }
  push_before();
}

TEST("GC_set_mark_bit, GC_clear_mark_bit and GC_is_marked agree") {
  static void *objects[3];
  objects[0] = GC_malloc(40);
  objects[1] = GC_malloc_atomic(3000);
  objects[2] = GC_malloc(100000);
  for (int i = 0; i < 3; i++) {
    hidden_objects[i] = GC_HIDE_POINTER(objects[i]);
    memset(objects[i], 1, 40);
  }
  push_before = GC_get_push_other_roots();
  GC_set_push_other_roots(use_mark_bits);
  GC_gcollect();
  GC_set_push_other_roots(push_before);
  CHECK_THAT(used, >=, 3);
  CHECK_THAT(agreed, ==, used);
  GC_gcollect();
  for (int i = 0; i < 3; i++) CHECK(is_filled(objects[i], 1, 40));
}

static void *is_marked(void *object) {
  return (void *)(intptr_t)GC_is_marked(object);
}

TEST("after a collection a reachable object is marked") {
  static void *kept;
  kept = GC_malloc(40);
  GC_gcollect();
  CHECK(GC_call_with_alloc_lock(is_marked, kept) != NULL);
}

static void *collect_locked(void *object) {
  GC_gcollect();
  return memset(GC_malloc(40), 2, 40) == NULL ? NULL : object;
}

TEST("GC_gcollect and GC_malloc return to who holds the lock") {
  static int object;
  CHECK(GC_call_with_alloc_lock(collect_locked, &object) == &object);
  GC_gcollect();
}

/* ---- enumeration --------------------------------------------------------- */

static void *listed_kept[WATCHED];
static int listed[WATCHED];
static size_t objects_listed, bytes_listed, small_listed;

static void list_object(void *object, size_t bytes, void *data) {
  CHECK(data == &objects_listed);
  objects_listed++;
  bytes_listed += bytes;
  for (int i = 0; i < WATCHED; i++)
    if (listed_kept[i] == object) {
      listed[i]++;
      if (bytes < (size_t)(i + 1) * 50) small_listed++;
    }
}

static void *list_all(void *unused) {
  GC_enumerate_reachable_objects_inner(list_object, &objects_listed);
  return unused;
}

TEST("GC_enumerate_reachable_objects_inner visits each reachable object once") {
  for (int i = 0; i < WATCHED; i++)
    listed_kept[i] = i % 2 ? GC_malloc((size_t)(i + 1) * 50)
                           : GC_malloc_atomic((size_t)(i + 1) * 50);
  GC_gcollect();
  GC_call_with_alloc_lock(list_all, NULL);
  for (int i = 0; i < WATCHED; i++) CHECK_THAT(listed[i], ==, 1);
  CHECK_THAT(small_listed, ==, 0);
  CHECK_THAT(objects_listed, >=, WATCHED);
  CHECK_THAT(bytes_listed, <=, GC_get_heap_size());
  memset(listed_kept, 0, sizeof listed_kept);
}

/* ---- the end ------------------------------------------------------------- */

TEST("GC_deinit may be called at the end, and again") {
  GC_deinit();
  GC_deinit();
}

int main(void) {
  GC_INIT();
  return run_tests();
}
