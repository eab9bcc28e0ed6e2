/* Mistakes with collected heaps: what is refused, what is reported, and what
 * callbacks may do. */
#include "support.h"

#include "almacen_inline.h"

#include <pthread.h>

struct cell {
  struct cell *next;
  uint64_t id;
};

static const uint64_t mask = 1;

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *cell;
} t;

static const struct alm_type *make_type(const char *name, size_t bytes,
                                        alm_trace trace) {
  const struct alm_type *type;
  struct alm_type_info info = {name, bytes, trace ? NULL : &mask, trace ? 0 : 1,
                               trace};
  REQUIRE(alm_type_create(t.heap, &info, &type) == ALM_OK);
  return type;
}

static void begin(const struct alm_heap_options *options) {
  REQUIRE(alm_heap_create(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  t.cell = make_type("cell", sizeof(struct cell), NULL);
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static struct cell *cell(void) {
  struct cell *c = alm_new(t.m, t.cell);
  REQUIRE(c != NULL);
  return c;
}

/* ---- arguments ------------------------------------------------------------------- */

static void options_outside_their_range_are_refused(void **state) {
  (void)state;
  static const struct alm_heap_options bad[] = {
      {.check = 3}, {.check = UINT32_MAX}, {.gc_percent = 100001}};
  static const struct alm_heap_options good[] = {
      {.check = 2, .gc_percent = 100000, .markers = 1000},
      {.limit_bytes = 1, .first_bytes = 1, .gc_percent = 1},
      {.first_bytes = SIZE_MAX, .collect_every = UINT64_MAX}};
  struct alm_heap *h = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    REQUIRE(alm_heap_create(&bad[i], &h) == ALM_EINVAL && h == NULL);
  }
  REQUIRE(alm_heap_create(&good[0], NULL) == ALM_EINVAL);
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    begin(&good[i]);
    struct cell *c = alm_new(t.m, t.cell);
    REQUIRE((c == NULL) == (good[i].limit_bytes == 1));
    REQUIRE(alm_collect(t.m) == ALM_OK);
    end();
  }
}

static void types_that_make_no_sense_are_refused(void **state) {
  (void)state;
  static const uint64_t all[64] = {UINT64_MAX};
  const struct alm_type *type = NULL;
  const struct alm_type_info bad[] = {
      {"none", 0, NULL, 0, NULL},
      {"large", 32769, NULL, 0, NULL},
      {"huge", SIZE_MAX, all, 64, NULL},
      {"long", 16, all, 3, NULL}, /* the mask is longer than the object */
      {"bytes", 15, all, 2, NULL},
      {"one", 7, all, 1, NULL},
      {"wrap", 16, all, SIZE_MAX, NULL},
      {"mask", 16, NULL, 2, NULL}, /* words, but no mask */
      {"both", 16, all, 2, (alm_trace)(uintptr_t)1},
  };
  begin(NULL);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    REQUIRE(alm_type_create(t.heap, &bad[i], &type) == ALM_EINVAL);
    REQUIRE(type == NULL);
  }
  const struct alm_type_info good = {NULL, 32768, all, 64, NULL};
  REQUIRE(alm_type_create(NULL, &good, &type) == ALM_EINVAL);
  REQUIRE(alm_type_create(t.heap, NULL, &type) == ALM_EINVAL);
  REQUIRE(alm_type_create(t.heap, &good, NULL) == ALM_EINVAL);
  REQUIRE(alm_type_create(t.heap, &good, &type) == ALM_OK);
  REQUIRE(alm_object_bytes(t.heap, alm_new(t.m, type)) == 32768);
  end();
}

static void types_run_out(void **state) {
  (void)state;
  const struct alm_type *type = NULL;
  struct alm_type_info info = {"one of many, with a name that is much too long",
                               24, &mask, 1, NULL};
  enum alm_err err;
  size_t n = 0;
  begin(NULL);
  while ((err = alm_type_create(t.heap, &info, &type)) == ALM_OK) {
    n++;
    if (n % 100 == 0) {
      struct cell *c = alm_new(t.m, type);
      REQUIRE(c != NULL && c->next == NULL);
      c->next = c;
    }
  }
  REQUIRE(err == ALM_ENOMEM && n >= 3800 && n < 4096);
  REQUIRE(alm_new(t.m, type) != NULL); /* the last one works */
  REQUIRE(alm_collect(t.m) == ALM_OK);
  end();
}

static void sizes_that_overflow_give_null(void **state) {
  (void)state;
  static const size_t sizes[] = {
      SIZE_MAX,         SIZE_MAX - 7,    SIZE_MAX - 8191, SIZE_MAX / 2,
      SIZE_MAX / 2 + 1, (size_t)1 << 60, (size_t)1 << 52, PTRDIFF_MAX};
  begin(NULL);
  const struct alm_type *wide = make_type("wide", 32768, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, sizes[i]) == NULL);
    REQUIRE(alm_new_bytes(t.m, ALM_CONSERVATIVE, sizes[i]) == NULL);
    REQUIRE(alm_new_array(t.m, t.cell, sizes[i]) == NULL);
    REQUIRE(alm_new_array(t.m, wide, sizes[i]) == NULL);
    REQUIRE(alm_new_array(t.m, t.cell, sizes[i] / 16 + 1) == NULL);
    REQUIRE(alm_new_array(t.m, wide, sizes[i] / 32768 + 1) == NULL);
  }
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 0) != NULL);
  REQUIRE(alm_new_bytes(t.m, ALM_CONSERVATIVE, 0) != NULL);
  REQUIRE(alm_new_array(t.m, t.cell, 0) != NULL);
  REQUIRE(alm_new_bytes(t.m, ALM_TYPED, 16) == NULL);
  REQUIRE(alm_new_bytes(t.m, ALM_TRACED, 16) == NULL);
  REQUIRE(alm_new_bytes(t.m, (enum alm_kind)0, 16) == NULL);
  REQUIRE(alm_new_bytes(t.m, (enum alm_kind)77, 16) == NULL);
  end();
}

static void no_root(void *arg, struct alm_visitor *v) {
  (void)arg, (void)v;
}

static void null_is_refused_where_it_makes_no_sense(void **state) {
  (void)state;
  struct alm_mutator *m;
  begin(NULL);
  REQUIRE(alm_mutator_attach(NULL, &m) == ALM_EINVAL);
  REQUIRE(alm_mutator_attach(t.heap, NULL) == ALM_EINVAL);
  REQUIRE(alm_root_add(t.heap, NULL, 8) == ALM_EINVAL);
  REQUIRE(alm_root_add(t.heap, (char *)&t + 4, 8) == ALM_EINVAL);
  REQUIRE(alm_root_remove(t.heap, &t) == ALM_EINVAL);
  REQUIRE(alm_root_remove(t.heap, NULL) == ALM_EINVAL);
  REQUIRE(alm_root_callback_add(t.heap, NULL, NULL) == ALM_EINVAL);
  REQUIRE(alm_root_callback_add(t.heap, no_root, NULL) == ALM_OK);
  REQUIRE(alm_object_bytes(t.heap, NULL) == 0);
  REQUIRE(alm_delete(t.m, NULL) == ALM_OK);
  REQUIRE(alm_root_add(t.heap, &t, 0) == ALM_OK); /* of no words */
  REQUIRE(alm_root_add(t.heap, &t, 7) == ALM_OK);
  REQUIRE(alm_collect(t.m) == ALM_OK);
  REQUIRE(alm_root_remove(t.heap, &t) == ALM_OK);
  REQUIRE(alm_root_remove(t.heap, &t) == ALM_OK);
  REQUIRE(alm_root_remove(t.heap, &t) == ALM_EINVAL);
  end();
}

/* ---- pointers that are no objects ---------------------------------------------------- */

static void require_no_object(void *p) {
  REQUIRE(alm_delete(t.m, p) == ALM_EINVAL);
  REQUIRE(alm_object_bytes(t.heap, p) == 0);
  REQUIRE(alm_weak_create(t.m, p, false) == NULL);
  REQUIRE(alm_ephemeron_create(t.m, p, NULL) == NULL);
  REQUIRE(alm_finalizer_set(t.m, p, NULL, NULL) == ALM_EINVAL);
}

static void what_is_no_object_of_the_heap_is_refused(void **state) {
  (void)state;
  struct alm_heap *other;
  struct alm_mutator *m;
  begin(NULL);
  REQUIRE(alm_heap_create(NULL, &other) == ALM_OK);
  REQUIRE(alm_mutator_attach(other, &m) == ALM_OK);
  char *small = (char *)cell();
  char *array = alm_new_array(t.m, t.cell, 10);
  char *large = alm_new_bytes(t.m, ALM_NOSCAN, 100000);
  char *piece = alm_malloc(64), *pages = alm_malloc(1 << 20);
  REQUIRE(array != NULL && large != NULL && piece != NULL && pages != NULL);
  void *foreign = alm_new_bytes(m, ALM_NOSCAN, 64);
  int local = 0;
  void *const wrong[] = {small + 1, small + 8,  array - 8,     array + 16,
                         large + 8, large - 16, large + 99999, piece,
                         pages,     pages + 8,  foreign,       &local,
                         &t,        (void *)1,  (void *)-1,    (void *)-4096};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    require_no_object(wrong[i]);
  }
  REQUIRE(alm_object_bytes(other, foreign) >= 64);
  REQUIRE(alm_object_bytes(other, small) == 0);
  REQUIRE(alm_object_bytes(t.heap, array) >= 160);
  REQUIRE(alm_delete(t.m, small) == ALM_OK);
  REQUIRE(alm_delete(t.m, array) == ALM_OK);
  REQUIRE(alm_delete(t.m, large) == ALM_OK);
  require_no_object(small); /* once more */
  require_no_object(array);
  require_no_object(large);
  alm_free(piece);
  alm_free(pages);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(other) == ALM_OK);
  end();
}

/* Freed between a collection and the sweep, and once more. */
static void an_object_is_deleted_once_at_any_time(void **state) {
  (void)state;
  static struct cell *all[1000];
  begin(NULL);
  REQUIRE(alm_root_add(t.heap, all, sizeof all) == ALM_OK);
  for (int round = 0; round < 10; round++) {
    for (size_t i = 0; i < 1000; i++) {
      all[i] = cell();
      all[i]->id = i;
    }
    REQUIRE(alm_collect(t.m) == ALM_OK);
    if (round % 2) {
      REQUIRE(alm_sweep(t.m) == ALM_OK);
    }
    for (size_t i = 0; i < 1000; i++) {
      if (i % 3) {
        REQUIRE(all[i]->id == i && alm_delete(t.m, all[i]) == ALM_OK);
      }
    }
    REQUIRE(alm_heap_check(t.m));
    for (size_t i = 0; i < 1000; i++) {
      REQUIRE(i % 3 ? all[i] != NULL : all[i]->id == i);
      all[i] = i % 3 ? NULL : all[i];
    }
  }
  REQUIRE(alm_root_remove(t.heap, all) == ALM_OK);
  end();
}

/* ---- reports --------------------------------------------------------------------------- */

static void require_report(void (*f)(void *), void *arg, const char *call,
                           const char *what) {
  struct child c = child_run(f, arg, NULL);
  if (!child_aborted(&c) || !strstr(c.text, call) || !strstr(c.text, what)) {
    print_error("status 0x%x, stderr:\n%s\n", (unsigned)c.status, c.text);
  }
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, call));
  assert_non_null(strstr(c.text, what));
}

static void use_mutator(struct alm_mutator *m, int how) {
  void *p = NULL;
  switch (how) {
  case 0:
    p = alm_new(m, t.cell);
    break;
  case 1:
    p = alm_new_bytes(m, ALM_NOSCAN, 100);
    break;
  case 2:
    p = alm_new_bytes(m, ALM_NOSCAN, 100000);
    break;
  case 3:
    p = alm_new_array(m, t.cell, 5);
    break;
  case 4:
    (void)alm_collect(m);
    break;
  case 5:
    (void)alm_sweep(m);
    break;
  case 6:
    p = alm_handle_create(m, NULL);
    break;
  case 7:
    alm_blocked_begin(m);
    break;
  case 8:
    (void)alm_finalizers_run(m, 0);
    break;
  case 9:
    alm_mutator_detach(m);
    break;
  case 10:
    (void)alm_heap_check(m);
    break;
  default:
    p = alm_new_inline(m, t.cell);
  }
  REQUIRE(p == NULL); /* never reached */
}

static const char *const calls[] = {"alm_new(",
                                    "alm_new_bytes(",
                                    "alm_new_bytes(",
                                    "alm_new_array(",
                                    "alm_collect(",
                                    "alm_sweep(",
                                    "alm_handle_create(",
                                    "alm_blocked_begin(",
                                    "alm_finalizers_run(",
                                    "alm_mutator_detach(",
                                    "alm_heap_check(",
                                    "alm_new("};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void use_detached(void *how) {
  begin(NULL);
  (void)cell();
  alm_mutator_detach(t.m);
  use_mutator(t.m, (int)(intptr_t)how);
}

static void use_of_a_detached_mutator_is_reported(void **state) {
  (void)state;
  for (intptr_t i = 0; i < CALLS; i++) {
    require_report(use_detached, (void *)i, calls[i], "not a mutator");
  }
}

static void *use_it(void *how) {
  use_mutator(t.m, (int)(intptr_t)how);
  return NULL;
}

static void use_from_other_thread(void *how) {
  pthread_t thread;
  begin(NULL);
  REQUIRE(pthread_create(&thread, NULL, use_it, how) == 0);
  (void)pthread_join(thread, NULL);
}

static void use_of_another_threads_mutator_is_reported(void **state) {
  (void)state;
  for (intptr_t i = 0; i < CALLS; i++) {
    require_report(use_from_other_thread, (void *)i, calls[i], "not a mutator");
  }
}

static void use_type_of_another_heap(void *how) {
  struct alm_heap *other;
  const struct alm_type *foreign;
  struct alm_type_info info = {.name = "foreign", .bytes = 48};
  begin(NULL);
  REQUIRE(alm_heap_create(NULL, &other) == ALM_OK);
  REQUIRE(alm_type_create(other, &info, &foreign) == ALM_OK);
  switch ((intptr_t)how) {
  case 0:
    (void)alm_new(t.m, foreign);
    break;
  case 1:
    (void)alm_new_inline(t.m, foreign);
    break;
  default:
    (void)alm_new_array(t.m, foreign, 3);
  }
}

static void use_of_a_type_of_another_heap_is_reported(void **state) {
  (void)state;
  static const char *const names[] = {"alm_new(", "alm_new(", "alm_new_array("};
  for (intptr_t i = 0; i < 3; i++) {
    require_report(use_type_of_another_heap, (void *)i, names[i],
                   "belongs to another heap");
  }
}

static void free_collected(void *how) {
  begin(NULL);
  char *p = how ? alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20) : (char *)cell();
  switch ((intptr_t)how) {
  case 0:
  case 1:
    alm_free(p);
    break;
  case 2:
    alm_free(p + 64);
    break;
  case 3:
    (void)alm_realloc(p, 10);
    break;
  default:
    (void)alm_malloc_usable_size(p);
  }
}

static void free_of_a_collected_object_is_reported(void **state) {
  (void)state;
  static const char *const names[] = {"free(", "free(", "free(", "realloc(",
                                      "usable_size("};
  for (intptr_t i = 0; i < 5; i++) {
    require_report(free_collected, (void *)i, names[i],
                   "garbage-collected heap");
  }
}

/* ---- callbacks -------------------------------------------------------------------------- */

static unsigned ntraced;
static intptr_t to_call;

static void call_in_trace(void) {
  struct alm_mutator *m = NULL;
  if (ntraced++ > 0) {
    return;
  }
  switch (to_call) {
  case 0:
    (void)alm_new(t.m, t.cell);
    break;
  case 1:
    (void)alm_new_inline(t.m, t.cell);
    break;
  case 2:
    (void)alm_new_bytes(t.m, ALM_NOSCAN, 100000);
    break;
  case 3:
    (void)alm_new_array(t.m, t.cell, 3);
    break;
  default: /* what is refused, not reported */
    REQUIRE(alm_collect(t.m) == ALM_ESTATE);
    REQUIRE(alm_sweep(t.m) == ALM_ESTATE);
    REQUIRE(alm_heap_destroy(t.heap) == ALM_ESTATE);
    REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_ESTATE && m == NULL);
  }
}

static void bad_trace(void *object, size_t bytes, struct alm_visitor *v) {
  (void)object, (void)bytes, (void)v;
  call_in_trace();
}

static void bad_root(void *arg, struct alm_visitor *v) {
  REQUIRE(arg == &ntraced && v != NULL);
  call_in_trace();
}

static void collect_with(intptr_t what, bool is_root) {
  struct alm_heap_options options = {.markers = 1};
  begin(&options);
  ntraced = 0;
  to_call = what;
  if (is_root) {
    REQUIRE(alm_root_callback_add(t.heap, bad_root, &ntraced) == ALM_OK);
  } else {
    REQUIRE(
        alm_handle_create(t.m, alm_new(t.m, make_type("bad", 64, bad_trace))));
  }
  REQUIRE(alm_collect(t.m) == ALM_OK);
  REQUIRE(ntraced > 0);
  REQUIRE(alm_new(t.m, t.cell) != NULL); /* outside again */
  end();
}

static void collect_bad_trace(void *what) {
  collect_with((intptr_t)what, false);
}

static void collect_bad_root(void *what) {
  collect_with((intptr_t)what, true);
}

static void allocation_in_a_trace_function_is_reported(void **state) {
  (void)state;
  static const char *const names[] = {"alm_new(", "alm_new(", "alm_new_bytes(",
                                      "alm_new_array("};
  for (intptr_t i = 0; i < 4; i++) {
    require_report(collect_bad_trace, (void *)i, names[i], "callback");
    require_report(collect_bad_root, (void *)i, names[i], "callback");
  }
}

static void a_collection_in_a_trace_function_is_refused(void **state) {
  (void)state;
  child_must_pass(collect_bad_trace, (void *)4, NULL);
  child_must_pass(collect_bad_root, (void *)4, NULL);
}

static unsigned nreports;
static enum alm_misuse kind;

static void count_report(const struct alm_misuse_info *info) {
  nreports++;
  kind = info->kind;
}

/* A handler that returns: the calls do nothing. */
static void go_on_after_reports(void *unused) {
  (void)unused;
  begin(NULL);
  REQUIRE(alm_misuse_handler_set(count_report) == NULL);
  struct cell *c = cell();
  alm_free(c);
  REQUIRE(nreports == 1 && kind == ALM_MISUSE_COLLECTED);
  REQUIRE(alm_realloc(c, 100) == NULL && nreports == 2);
  alm_mutator_detach(t.m);
  for (int how = 0; how < CALLS; how++) {
    use_mutator(t.m, how);
    REQUIRE(nreports == 3 + (unsigned)how && kind == ALM_MISUSE_MUTATOR);
  }
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  end();
  nreports = 0;
  collect_with(0, false);
  REQUIRE(nreports == 1 && kind == ALM_MISUSE_CALLBACK);
}

static void a_handler_that_returns_lets_the_program_go_on(void **state) {
  (void)state;
  child_must_pass(go_on_after_reports, NULL, NULL);
}

/* ---- heaps and mutators -------------------------------------------------------------------- */

static void a_heap_in_use_is_not_destroyed(void **state) {
  (void)state;
  struct alm_mutator *m = NULL;
  begin(NULL);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_EBUSY);
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_EBUSY && m == NULL);
  alm_blocked_begin(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_EBUSY);
  alm_blocked_end(t.m);
  REQUIRE(alm_new(t.m, t.cell) != NULL);
  alm_mutator_detach(t.m);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK); /* and again */
  REQUIRE(alm_new(t.m, t.cell) != NULL);
  end();
}

static void blocked_regions_do_not_nest_and_are_ended_by_detach(void **state) {
  (void)state;
  begin(NULL);
  alm_blocked_end(t.m); /* without a begin: nothing */
  REQUIRE(alm_new(t.m, t.cell) != NULL);
  alm_blocked_begin(t.m);
  alm_blocked_begin(t.m);
  alm_blocked_end(t.m); /* ends it */
  REQUIRE(alm_collect(t.m) == ALM_OK);
  alm_blocked_begin(t.m);
  alm_mutator_detach(t.m);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  end();
}

/* ---- what finalizers may do ------------------------------------------------------------------ */

static struct alm_heap *made;
static unsigned ncalled;

static void do_everything(void *object, void *arg) {
  struct alm_mutator *m;
  REQUIRE((object == NULL) == (arg == &ncalled));
  ncalled++;
  REQUIRE(alm_new(t.m, t.cell) != NULL);
  REQUIRE(alm_new_bytes(t.m, ALM_CONSERVATIVE, 200000) != NULL);
  REQUIRE(alm_new_array(t.m, make_type("fresh", 40, NULL), 9) != NULL);
  REQUIRE(alm_collect(t.m) == ALM_OK && alm_sweep(t.m) == ALM_OK);
  REQUIRE(alm_heap_check(t.m));
  REQUIRE(alm_heap_destroy(t.heap) == ALM_EBUSY);
  REQUIRE(alm_heap_create(NULL, &made) == ALM_OK);
  REQUIRE(alm_mutator_attach(made, &m) == ALM_OK);
  REQUIRE(alm_new_bytes(m, ALM_NOSCAN, 10) != NULL && alm_collect(m) == ALM_OK);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(made) == ALM_OK);
  void *p = alm_malloc(1000);
  REQUIRE(p != NULL);
  alm_free(p);
}

__attribute__((noinline)) static void make_dying(size_t n) {
  for (size_t i = 0; i < n; i++) {
    REQUIRE(alm_cleanup_add(t.m, cell(), do_everything, &ncalled) == ALM_OK);
    REQUIRE(alm_finalizer_set(t.m, cell(), do_everything, NULL) == ALM_OK);
  }
}

static void finalizers_may_call_everything(void **state) {
  (void)state;
  begin(NULL);
  ncalled = 0;
  make_dying(20);
  REQUIRE(alm_collect(t.m) == ALM_OK);
  size_t n = alm_finalizers_run(t.m, 0);
  REQUIRE(n >= 36 && n == ncalled); /* a few may be on the stack still */
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_outside_their_range_are_refused),
      cmocka_unit_test(types_that_make_no_sense_are_refused),
      cmocka_unit_test(types_run_out),
      cmocka_unit_test(sizes_that_overflow_give_null),
      cmocka_unit_test(null_is_refused_where_it_makes_no_sense),
      cmocka_unit_test(what_is_no_object_of_the_heap_is_refused),
      cmocka_unit_test(an_object_is_deleted_once_at_any_time),
      cmocka_unit_test(use_of_a_detached_mutator_is_reported),
      cmocka_unit_test(use_of_another_threads_mutator_is_reported),
      cmocka_unit_test(use_of_a_type_of_another_heap_is_reported),
      cmocka_unit_test(free_of_a_collected_object_is_reported),
      cmocka_unit_test(allocation_in_a_trace_function_is_reported),
      cmocka_unit_test(a_collection_in_a_trace_function_is_refused),
      cmocka_unit_test(a_handler_that_returns_lets_the_program_go_on),
      cmocka_unit_test(a_heap_in_use_is_not_destroyed),
      cmocka_unit_test(blocked_regions_do_not_nest_and_are_ended_by_detach),
      cmocka_unit_test(finalizers_may_call_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
