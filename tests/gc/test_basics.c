/* Collected heaps by their public functions: what each kind of object and root
 * keeps, what specials see, what misuse says. Known sequences; random graphs
 * are in test_random_graph.c. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>

struct pair {
  struct pair *left;
  struct pair *right;
  uint64_t id;
};

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *pair;
} t;

static const uint64_t pair_mask = 3;

static void begin(const struct alm_heap_options *options) {
  struct alm_type_info info = {"pair", sizeof(struct pair), &pair_mask, 2,
                               NULL};
  REQUIRE(heap_under_test(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.pair) == ALM_OK);
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  all_memory_is_back();
}

static struct pair *pair(struct pair *left, struct pair *right, uint64_t id) {
  struct pair *p = alm_new_inline(t.m, t.pair);
  REQUIRE(p != NULL && p->left == NULL && p->right == NULL && p->id == 0);
  alm_store_inline(t.m, p, &p->left, left);
  alm_store_inline(t.m, p, &p->right, right);
  p->id = id;
  return p;
}

static uint64_t live(void) {
  static struct alm_heap_stats s; /* not on the stack: it would be scanned */
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
  alm_heap_stats_read(t.heap, &s);
  return s.live_objects;
}

__attribute__((noinline)) static struct pair *tree(int depth) {
  return depth == 0 ? pair(NULL, NULL, 1)
                    : pair(tree(depth - 1), tree(depth - 1), 1);
}

static uint64_t count_here(const struct pair *p) {
  return p == NULL ? 0 : p->id + count_here(p->left) + count_here(p->right);
}

__attribute__((noinline)) static uint64_t count(const struct pair *p) {
  uint64_t n;
  DEEP(n = count_here(p));
  return n;
}

/* ---- roots ------------------------------------------------------------------ */

__attribute__((noinline)) static void fill(struct alm_handle *h, int depth) {
  DEEP(alm_handle_set(h, tree(depth)));
}

static void what_a_handle_holds_lives_and_dies_with_it(void) {
  begin(NULL);
  struct alm_handle *h = alm_handle_create(t.m, NULL);
  fill(h, 9);
  REQUIRE(live() >= 1023);
  REQUIRE(count(alm_handle_get(h)) == 1023);
  alm_handle_set(h, NULL);
  REQUIRE(live() < 20);
  alm_handle_release(t.heap, h);
  end();
}

static struct pair *global[4];

__attribute__((noinline)) static void fill_global(int depth) {
  for (size_t i = 0; i < 4; i++) {
    DEEP(global[i] = tree(depth));
  }
}

static void a_registered_range_is_a_root_until_it_is_removed(void) {
  begin(NULL);
  REQUIRE(alm_root_add(t.heap, NULL, 8) == ALM_EINVAL);
  REQUIRE(alm_root_add(t.heap, (char *)global + 1, 8) == ALM_EINVAL);
  REQUIRE(alm_root_add(t.heap, global, sizeof global) == ALM_OK);
  fill_global(7);
  REQUIRE(live() >= 4 * 255);
  for (size_t i = 0; i < 4; i++) {
    REQUIRE(count(global[i]) == 255);
  }
  REQUIRE(alm_root_remove(t.heap, global) == ALM_OK);
  REQUIRE(alm_root_remove(t.heap, global) == ALM_EINVAL);
  REQUIRE(live() < 20);
  end();
}

static void visit_global(void *arg, struct alm_visitor *v) {
  struct pair *p;
  memcpy(&p, arg, sizeof p);
  alm_visit(v, p);
  alm_visit(v, arg); /* no object: ignored */
}

static void a_root_callback_reports_what_it_likes(void) {
  begin(NULL);
  fill_global(6);
  REQUIRE(alm_root_callback_add(t.heap, visit_global, &global[2]) == ALM_OK);
  REQUIRE(alm_root_callback_add(t.heap, NULL, NULL) == ALM_EINVAL);
  uint64_t n = live();
  REQUIRE(n >= 127 && n < 180);
  REQUIRE(count(global[2]) == 127);
  end();
}

static void a_pointer_in_a_local_variable_keeps_an_object(void) {
  begin(NULL);
  struct pair *volatile p = tree(8);
  REQUIRE(live() >= 511);
  REQUIRE(count(p) == 511);
  p = NULL;
  end();
}

/* ---- kinds ------------------------------------------------------------------- */

static void trace_words(void *object, size_t bytes, struct alm_visitor *v) {
  for (size_t i = 0; i < bytes / 8; i++) {
    alm_visit(v, ((void **)object)[i]);
  }
}

/* A holder of each kind with a tree in its last word. */
__attribute__((noinline)) static void hold_here(struct alm_handle *h,
                                                void *(*make)(size_t bytes),
                                                size_t bytes) {
  char *holder = make(bytes);
  REQUIRE(holder != NULL);
  for (size_t i = 0; i < bytes; i++) {
    REQUIRE(holder[i] == 0);
  }
  size_t last = (bytes / 8 - 1) * 8;
  alm_store_inline(t.m, holder, holder + last, tree(5));
  alm_handle_set(h, holder);
}

__attribute__((noinline)) static void hold(struct alm_handle *h,
                                           void *(*make)(size_t bytes),
                                           size_t bytes) {
  DEEP(hold_here(h, make, bytes));
}

static void *make_conservative(size_t bytes) {
  return alm_new_bytes(t.m, ALM_CONSERVATIVE, bytes);
}

static void *make_noscan(size_t bytes) {
  return alm_new_bytes(t.m, ALM_NOSCAN, bytes);
}

static const struct alm_type *word, *traced;

static void *make_array(size_t bytes) {
  return alm_new_array(t.m, word, bytes / 8);
}

static void *make_traced(size_t bytes) {
  return alm_new_array(t.m, traced, bytes / 8);
}

/* In a frame of its own, which is gone when the next holder is looked at. */
__attribute__((noinline)) static void require_held(struct alm_handle *h,
                                                   size_t bytes) {
  char *holder = alm_handle_get(h);
  struct pair *p;
  REQUIRE(alm_object_bytes(t.heap, holder) >= bytes);
  memcpy(&p, holder + bytes - sizeof p, sizeof p);
  REQUIRE(count(p) == 63);
}

static void each_kind_of_object_is_scanned_as_it_says(void) {
  static const uint64_t one = 1;
  static const size_t sizes[] = {16, 64, 504, 520, 4096, 32768, 40000, 3000000};
  struct alm_heap_options options = {.check = 1};
  begin(&options);
  struct alm_type_info info = {"word", 8, &one, 1, NULL};
  REQUIRE(alm_type_create(t.heap, &info, &word) == ALM_OK);
  info = (struct alm_type_info){"traced", 8, NULL, 0, trace_words};
  REQUIRE(alm_type_create(t.heap, &info, &traced) == ALM_OK);
  struct alm_handle *h = alm_handle_create(t.m, NULL);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    static void *(*const makers[])(size_t) = {make_conservative, make_array,
                                              make_traced, make_noscan};
    for (size_t k = 0; k < 4; k++) {
      hold(h, makers[k], sizes[i] / 8 * 8);
      uint64_t n = live();
      if (makers[k] == make_noscan) {
        REQUIRE(n < 40 || UNDER_ASAN); /* its frames have gaps */
      } else {
        REQUIRE(n >= 64);
        require_held(h, sizes[i] / 8 * 8);
      }
    }
  }
  end();
}

/* The barrier is the library's to switch on: the inline store asks. */
static void the_inline_store_goes_where_the_library_wants_it(void) {
  begin(NULL);
  struct alm_mutator_head *head = (struct alm_mutator_head *)(void *)t.m;
  struct pair *a = pair(NULL, NULL, 1), *b = pair(NULL, NULL, 2);
  REQUIRE(head->store_wanted == 0);
  alm_store_inline(t.m, a, (void *)&a->left, b);
  REQUIRE(a->left == b && a->right == NULL);
  head->store_wanted = 1;
  alm_store_inline(t.m, a, (void *)&a->right, b);
  REQUIRE(a->left == b && a->right == b);
  head->store_wanted = 0;
  end();
}

__attribute__((noinline)) static void fill_interior_here(struct alm_handle *h) {
  struct pair *outer = pair(NULL, NULL, 1);
  alm_store_inline(t.m, outer, (void *)&outer->left, (char *)tree(4) + 16);
  alm_handle_set(h, outer);
}

__attribute__((noinline)) static void fill_interior(struct alm_handle *h) {
  DEEP(fill_interior_here(h));
}

static void interior_pointers_keep_objects_unless_asked_not_to(void) {
  for (int base_only = 0; base_only < 2; base_only++) {
    struct alm_heap_options options = {.base_pointers_only = base_only};
    begin(&options);
    struct alm_handle *h = alm_handle_create(t.m, NULL);
    fill_interior(h);
    uint64_t n = live();
    if (base_only) {
      REQUIRE(n < 20);
    } else {
      REQUIRE(n >= 32);
    }
    end();
  }
}

/* Targets of each shape: an object, arrays with a header, of pages, bytes. */
enum { TARGETS = 5 };

static char *make_target(size_t i) {
  switch (i) {
  case 0:
    return (char *)pair(NULL, NULL, 1);
  case 1:
    return alm_new_array(t.m, word, 10);
  case 2:
    return alm_new_array(t.m, word, 10000);
  case 3:
    return alm_new_bytes(t.m, ALM_CONSERVATIVE, 40);
  default:
    return alm_new_bytes(t.m, ALM_NOSCAN, 9000);
  }
}

static struct alm_weak *target_weak[TARGETS];

/* Holders, typed or traced, whose words point `by` bytes behind (before) the
 * targets' first bytes. */
static void hold_displaced_here(struct alm_handle *h, bool is_traced,
                                ptrdiff_t by) {
  char **holder = alm_new_array(t.m, is_traced ? traced : word, TARGETS);
  for (size_t i = 0; i < TARGETS; i++) {
    char *target = make_target(i);
    REQUIRE(holder != NULL && target != NULL);
    target_weak[i] = alm_weak_create(t.m, target, false);
    REQUIRE(target_weak[i] != NULL);
    alm_store_inline(t.m, holder, &holder[i], target + by);
  }
  alm_handle_set(h, holder);
}

__attribute__((noinline)) static void hold_displaced(struct alm_handle *h,
                                                     bool is_traced,
                                                     ptrdiff_t by) {
  DEEP(hold_displaced_here(h, is_traced, by));
}

/* How many of the targets a collection leaves. */
static size_t keep_displaced(struct alm_handle *h, bool is_traced,
                             ptrdiff_t by) {
  size_t n = 0;
  hold_displaced(h, is_traced, by);
  (void)live();
  for (size_t i = 0; i < TARGETS; i++) {
    n += alm_weak_get(t.m, target_weak[i]) != NULL;
    alm_weak_release(t.m, target_weak[i]);
  }
  return n;
}

static void make_word_types(void) {
  static const uint64_t one = 1;
  struct alm_type_info info = {"word", 8, &one, 1, NULL};
  REQUIRE(alm_type_create(t.heap, &info, &word) == ALM_OK);
  info = (struct alm_type_info){"traced", 8, NULL, 0, trace_words};
  REQUIRE(alm_type_create(t.heap, &info, &traced) == ALM_OK);
}

static void registered_displacements_count_as_base_pointers(void) {
  static const ptrdiff_t others[] = {-16, -8, -1, 1, 2, 4, 8, 15, 17, 20};
  struct alm_heap_options options = {.base_pointers_only = true, .check = 2};
  begin(&options);
  make_word_types();
  struct alm_handle *h = alm_handle_create(t.m, NULL);
  REQUIRE(alm_displacement_add(t.heap, 4096) == ALM_EINVAL);
  REQUIRE(alm_displacement_add(t.heap, SIZE_MAX) == ALM_EINVAL);
  for (int is_traced = 0; is_traced < 2; is_traced++) {
    ptrdiff_t by = is_traced ? 5 : 16;
    REQUIRE(keep_displaced(h, is_traced, 0) == TARGETS);
    REQUIRE(keep_displaced(h, is_traced, by) == 0);
    REQUIRE(alm_displacement_add(t.heap, (size_t)by) == ALM_OK);
    REQUIRE(alm_displacement_add(t.heap, (size_t)by) == ALM_OK); /* again */
    REQUIRE(keep_displaced(h, is_traced, by) == TARGETS);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
      REQUIRE(keep_displaced(h, is_traced, others[i]) == 0);
    }
  }
  REQUIRE(keep_displaced(h, true, 16) == TARGETS); /* the first holds on */
  REQUIRE(alm_displacement_add(t.heap, 4095) == ALM_OK);
  REQUIRE(keep_displaced(h, true, 4095) == 2); /* those that are so long */
  REQUIRE(keep_displaced(h, false, 4094) == 0);
  end();
}

static void displacements_change_nothing_where_every_byte_counts(void) {
  begin(NULL);
  make_word_types();
  struct alm_handle *h = alm_handle_create(t.m, NULL);
  REQUIRE(keep_displaced(h, false, 17) == TARGETS);
  REQUIRE(alm_displacement_add(t.heap, 8) == ALM_OK);
  REQUIRE(keep_displaced(h, true, 17) == TARGETS);
  end();
}

/* ---- explicit free ------------------------------------------------------------ */

static void deleted_objects_are_reused_and_zero(void) {
  begin(NULL);
  for (int round = 0; round < 1000; round++) {
    struct pair *p[100];
    for (int i = 0; i < 100; i++) {
      p[i] = pair(NULL, NULL, 7);
    }
    for (int i = 0; i < 100; i++) {
      REQUIRE(alm_delete(t.m, p[i]) == ALM_OK);
    }
    void *large = alm_new_bytes(t.m, ALM_NOSCAN, 100000);
    REQUIRE(alm_delete(t.m, large) == ALM_OK);
  }
  struct alm_heap_stats s;
  alm_heap_stats_read(t.heap, &s);
  REQUIRE(s.collections == 0); /* nothing was left to collect */
  REQUIRE(s.heap_bytes < 1 << 20);
  REQUIRE(alm_delete(t.m, NULL) == ALM_OK);
  end();
}

static void what_is_no_object_cannot_be_deleted(void) {
  begin(NULL);
  struct pair *p = pair(NULL, NULL, 1);
  void *foreign = alm_malloc(100);
  REQUIRE(alm_delete(t.m, (char *)p + 8) == ALM_EINVAL);
  REQUIRE(alm_delete(t.m, foreign) == ALM_EINVAL);
  REQUIRE(alm_delete(t.m, &t) == ALM_EINVAL);
  struct alm_weak *w = alm_weak_create(t.m, p, false);
  REQUIRE(alm_delete(t.m, p) == ALM_ESPECIAL);
  alm_weak_release(t.m, w);
  REQUIRE(alm_delete(t.m, p) == ALM_OK);
  REQUIRE(alm_delete(t.m, p) == ALM_EINVAL); /* twice */
  alm_free(foreign);
  end();
}

/* ---- memory comes back, and runs out ------------------------------------------- */

static void an_empty_heap_holds_no_spans(void) {
  begin(NULL);
  for (int i = 0; i < 20; i++) {
    (void)tree(12);
    (void)alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20);
  }
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
  REQUIRE(alm_sweep(t.m) == ALM_OK);
  struct alm_heap_stats s;
  alm_heap_stats_read(t.heap, &s);
  REQUIRE(s.heap_bytes < 200 << 10);
  REQUIRE(s.heap_bytes_max > 1 << 20);
  end();
}

static struct alm_handle *reserve_handle;
static unsigned asked;

/* Does not read the handle: its pointer would lie on the stack. */
static bool give_reserve_up(struct alm_heap *heap, size_t bytes, void *arg) {
  (void)heap, (void)bytes;
  bool has_some = asked++ == 0;
  alm_handle_set(reserve_handle, NULL);
  REQUIRE(arg == &asked);
  return has_some;
}

__attribute__((noinline)) static uint64_t fill_up_here(void) {
  struct pair *list = NULL, *p;
  uint64_t n = 0;
  while ((p = alm_new(t.m, t.pair)) != NULL) {
    alm_store_inline(t.m, p, &p->left, list);
    list = p;
    n++;
  }
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20) == NULL);
  REQUIRE(list->id == 0);
  return n;
}

__attribute__((noinline)) static uint64_t fill_up(void) {
  uint64_t n;
  DEEP(n = fill_up_here());
  return n;
}

__attribute__((noinline)) static void make_reserve(void) {
  DEEP(reserve_handle =
           alm_handle_create(t.m, alm_new_bytes(t.m, ALM_NOSCAN, 4 << 20)));
}

static void a_full_heap_asks_its_handler_and_goes_on(void) {
  struct alm_heap_options options = {.limit_bytes = 8 << 20,
                                     .out_of_memory = give_reserve_up,
                                     .out_of_memory_arg = &asked};
  begin(&options);
  make_reserve();
  scrub();
  asked = 0;
  uint64_t n = fill_up();
  REQUIRE(asked == 3);
  REQUIRE(n > (7 << 20) / sizeof(struct pair) * 7 / 10 || UNDER_ASAN);
  scrub();
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 1 << 20) != NULL); /* again */
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, SIZE_MAX / 2) == NULL);
  REQUIRE(alm_new_array(t.m, t.pair, SIZE_MAX / 2) == NULL);
  end();
}

/* ---- mistakes ------------------------------------------------------------------ */

static void wrong_arguments_are_refused(void) {
  struct alm_heap *h = NULL;
  struct alm_mutator *m;
  const struct alm_type *type;
  struct alm_heap_options bad = {.check = 3};
  REQUIRE(heap_under_test(&bad, &h) == ALM_EINVAL);
  REQUIRE(heap_under_test(NULL, NULL) == ALM_EINVAL);
  begin(NULL);
  struct alm_type_info wide = {"wide", 16, &pair_mask, 3, NULL};
  REQUIRE(alm_type_create(t.heap, &wide, &type) == ALM_EINVAL);
  struct alm_type_info none = {"none", 0, NULL, 0, NULL};
  REQUIRE(alm_type_create(t.heap, &none, &type) == ALM_EINVAL);
  struct alm_type_info both = {"both", 16, &pair_mask, 2, trace_words};
  REQUIRE(alm_type_create(t.heap, &both, &type) == ALM_EINVAL);
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_EBUSY);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_EBUSY);
  REQUIRE(alm_new_bytes(t.m, ALM_TYPED, 10) == NULL);
  end();
}

static void use_detached(void *arg) {
  (void)arg;
  begin(NULL);
  (void)pair(NULL, NULL, 1);
  alm_mutator_detach(t.m);
  (void)alm_new_inline(t.m, t.pair);
}

static void free_collected(void *arg) {
  (void)arg;
  begin(NULL);
  alm_free(pair(NULL, NULL, 1));
}

static void trace_and_allocate(void *object, size_t bytes,
                               struct alm_visitor *v) {
  (void)object, (void)bytes, (void)v;
  if (alm_collect(t.m) != ALM_ESTATE) {
    _exit(1);
  }
  (void)alm_new(t.m, t.pair);
}

static void allocate_in_trace(void *arg) {
  (void)arg;
  struct alm_heap_options options = {.markers = 1};
  begin(&options);
  struct alm_type_info info = {"bad", 64, NULL, 0, trace_and_allocate};
  const struct alm_type *type;
  REQUIRE(alm_type_create(t.heap, &info, &type) == ALM_OK);
  void *volatile p = alm_new(t.m, type);
  (void)p;
  (void)alm_collect(t.m);
}

static void mistakes_are_reported_with_the_call(void **state) {
  (void)state;
  struct child c = child_run(use_detached, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "alm_new("));
  assert_non_null(strstr(c.text, "not a mutator"));
  c = child_run(free_collected, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "free("));
  assert_non_null(strstr(c.text, "garbage-collected heap"));
  c = child_run(allocate_in_trace, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "callback"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(what_a_handle_holds_lives_and_dies_with_it),
      ON_ITS_OWN_STACK(a_registered_range_is_a_root_until_it_is_removed),
      ON_ITS_OWN_STACK(a_root_callback_reports_what_it_likes),
      ON_ITS_OWN_STACK(a_pointer_in_a_local_variable_keeps_an_object),
      ON_ITS_OWN_STACK(each_kind_of_object_is_scanned_as_it_says),
      ON_ITS_OWN_STACK(the_inline_store_goes_where_the_library_wants_it),
      ON_ITS_OWN_STACK(interior_pointers_keep_objects_unless_asked_not_to),
      ON_ITS_OWN_STACK(registered_displacements_count_as_base_pointers),
      ON_ITS_OWN_STACK(displacements_change_nothing_where_every_byte_counts),
      ON_ITS_OWN_STACK(deleted_objects_are_reused_and_zero),
      ON_ITS_OWN_STACK(what_is_no_object_cannot_be_deleted),
      ON_ITS_OWN_STACK(an_empty_heap_holds_no_spans),
      ON_ITS_OWN_STACK(a_full_heap_asks_its_handler_and_goes_on),
      ON_ITS_OWN_STACK(wrong_arguments_are_refused),
      cmocka_unit_test(mistakes_are_reported_with_the_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
