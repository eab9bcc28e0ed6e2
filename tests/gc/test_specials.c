/* Weak references, cleanups, finalizers, ephemerons in known sequences. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>

struct pair {
  struct pair *left;
  struct pair *right;
};

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *pair;
} t;

static struct alm_weak *weak[8], *long_weak[8];
static struct alm_handle *handle;
static struct pair *brought_back;
static int order[16];
static size_t norder;

static void begin(void) {
  static const uint64_t mask = 3;
  struct alm_heap_options options = {.check = 1, .markers = 1};
  struct alm_type_info info = {"pair", sizeof(struct pair), &mask, 2, NULL};
  REQUIRE(heap_under_test(&options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.pair) == ALM_OK);
  handle = alm_handle_create(t.m, NULL);
  norder = 0;
  brought_back = NULL;
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

__attribute__((noinline)) static void deep_do(void (*f)(void)) {
  DEEP(f());
}

static void collect(void) {
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
}

static struct pair *pair(struct pair *left) {
  struct pair *p = alm_new_inline(t.m, t.pair);
  REQUIRE(p != NULL);
  alm_store_inline(t.m, p, &p->left, left);
  return p;
}

static void note(void *object, void *arg) {
  (void)object;
  order[norder++] = (int)(uintptr_t)arg;
}

static void note_cleanup(void *object, void *arg) {
  REQUIRE(object == NULL);
  note(object, arg);
}

static void note_finalizer(void *object, void *arg) {
  REQUIRE(object != NULL);
  note(object, arg);
}

static void bring_back(void *object, void *arg) {
  note(object, arg);
  brought_back = object;
  alm_handle_set(handle, object);
}

static void watch(int i, struct pair *p) {
  weak[i] = alm_weak_create(t.m, p, false);
  long_weak[i] = alm_weak_create(t.m, p, true);
  REQUIRE(weak[i] != NULL && long_weak[i] != NULL);
}

static struct alm_weak *asked;
static bool is_there;
static size_t most, ran;

static void ask(void) {
  is_there = alm_weak_get(t.m, asked) != NULL;
}

static bool is_weak(int i) {
  asked = weak[i];
  deep_do(ask);
  return is_there;
}

static bool is_long(int i) {
  asked = long_weak[i];
  deep_do(ask);
  return is_there;
}

static void run_here(void) {
  ran = alm_finalizers_run(t.m, most);
}

static size_t run(size_t n) {
  most = n;
  deep_do(run_here);
  return ran;
}

/* ---- cleanups ----------------------------------------------------------------- */

static void make_cleaned(void) {
  struct pair *p = pair(NULL);
  watch(0, p);
  REQUIRE(alm_cleanup_add(t.m, p, note_cleanup, (void *)1) == ALM_OK);
  REQUIRE(alm_cleanup_add(t.m, p, note_cleanup, (void *)3) == ALM_OK);
  REQUIRE(alm_cleanup_add(t.m, p, NULL, NULL) == ALM_EINVAL);
  REQUIRE(alm_cleanup_add(t.m, (char *)p + 8, note, NULL) == ALM_EINVAL);
  alm_handle_set(handle, p);
}

static void cleanups_run_once_after_the_object_is_gone(void) {
  begin();
  deep_do(make_cleaned);
  collect();
  REQUIRE(run(0) == 0 && is_weak(0) && is_long(0));
  alm_handle_set(handle, NULL);
  collect();
  REQUIRE(!is_weak(0) && !is_long(0) && norder == 0);
  REQUIRE(run(1) == 1);
  REQUIRE(run(0) == 1);
  REQUIRE(norder == 2 && order[0] == 1 && order[1] == 3);
  collect();
  REQUIRE(run(0) == 0);
  end();
}

static void make_self_kept(void) {
  struct pair *p = pair(NULL);
  watch(0, p);
  REQUIRE(alm_cleanup_add(t.m, p, note_cleanup, p) == ALM_OK);
}

static void a_cleanup_whose_argument_reaches_the_object_keeps_it(void) {
  begin();
  deep_do(make_self_kept);
  collect();
  collect();
  REQUIRE(is_weak(0) && run(0) == 0);
  end();
}

/* ---- finalizers --------------------------------------------------------------- */

static void make_chain(void) {
  struct pair *last = pair(NULL), *first = pair(last);
  watch(0, first);
  watch(1, last);
  REQUIRE(alm_finalizer_set(t.m, first, note_finalizer, (void *)1) == ALM_OK);
  REQUIRE(alm_finalizer_set(t.m, last, note_finalizer, (void *)2) == ALM_OK);
}

static void of_a_chain_the_first_is_finalized_first(void) {
  begin();
  deep_do(make_chain);
  collect();
  REQUIRE(!is_weak(0) && !is_weak(1)); /* short: before finalizers */
  REQUIRE(is_long(0) && is_long(1));
  REQUIRE(run(0) == 1 && order[0] == 1);
  collect();
  REQUIRE(!is_long(0) && is_long(1));
  REQUIRE(run(0) == 1 && order[1] == 2);
  collect();
  REQUIRE(!is_long(1) && run(0) == 0);
  end();
}

static void make_cycle(void) {
  struct pair *a = pair(NULL), *b = pair(a);
  alm_store_inline(t.m, a, &a->left, b);
  watch(0, a);
  REQUIRE(alm_finalizer_set(t.m, a, note_finalizer, (void *)1) == ALM_OK);
  REQUIRE(alm_finalizer_set(t.m, b, note_finalizer, (void *)2) == ALM_OK);
}

static void a_cycle_with_finalizers_is_never_finalized(void) {
  begin();
  deep_do(make_cycle);
  collect();
  collect();
  REQUIRE(is_long(0) && run(0) == 0);
  end();
}

static void make_phoenix(void) {
  struct pair *p = pair(pair(NULL));
  watch(0, p);
  REQUIRE(alm_finalizer_set(t.m, p, note_finalizer, (void *)9) == ALM_OK);
  REQUIRE(alm_finalizer_set(t.m, p, bring_back, (void *)1) == ALM_OK);
  REQUIRE(alm_cleanup_add(t.m, p, note_cleanup, (void *)5) == ALM_OK);
}

static void a_finalizer_may_bring_its_object_back_once(void) {
  begin();
  deep_do(make_phoenix);
  collect();
  REQUIRE(run(0) == 1 && order[0] == 1);
  brought_back = NULL;
  collect();
  REQUIRE(is_long(0) && run(0) == 0);
  REQUIRE(((struct pair *)alm_handle_get(handle))->left != NULL);
  alm_handle_set(handle, NULL);
  collect();
  REQUIRE(!is_long(0));
  REQUIRE(run(0) == 1 && order[1] == 5); /* the cleanup */
  end();
}

static void make_without(void) {
  struct pair *p = pair(NULL);
  watch(0, p);
  REQUIRE(alm_finalizer_set(t.m, p, note_finalizer, (void *)1) == ALM_OK);
  REQUIRE(alm_finalizer_set(t.m, p, NULL, NULL) == ALM_OK);
  REQUIRE(alm_finalizer_set(t.m, p, NULL, NULL) == ALM_OK);
}

static void a_removed_finalizer_does_not_run(void) {
  begin();
  deep_do(make_without);
  collect();
  REQUIRE(!is_long(0) && run(0) == 0);
  end();
}

/* ---- ephemerons --------------------------------------------------------------- */

static struct alm_ephemeron *chain[4];

/* handle -> key 0; value i is key i + 1. */
static void make_ephemerons(void) {
  struct pair *key = pair(NULL);
  alm_handle_set(handle, key);
  for (int i = 0; i < 4; i++) {
    struct pair *value = pair(NULL);
    watch(i, value);
    chain[i] = alm_ephemeron_create(t.m, key, value);
    REQUIRE(chain[i] != NULL);
    key = value;
  }
}

static void values_live_as_long_as_their_keys(void) {
  begin();
  deep_do(make_ephemerons);
  collect();
  for (int i = 0; i < 4; i++) {
    REQUIRE(is_weak(i) && alm_ephemeron_get(t.m, chain[i]) != NULL);
  }
  alm_ephemeron_release(t.m, chain[2]); /* what hangs below it goes */
  collect();
  REQUIRE(is_weak(0) && is_weak(1) && !is_weak(2) && !is_weak(3));
  REQUIRE(alm_ephemeron_get(t.m, chain[3]) == NULL);
  alm_handle_set(handle, NULL);
  collect();
  REQUIRE(!is_weak(0) && !is_weak(1));
  REQUIRE(alm_ephemeron_get(t.m, chain[0]) == NULL);
  end();
}

static void make_own_value(void) {
  struct pair *key = pair(NULL);
  watch(0, key);
  chain[0] = alm_ephemeron_create(t.m, key, key);
  REQUIRE(alm_ephemeron_create(t.m, (char *)key + 1, key) == NULL);
}

static void an_ephemeron_does_not_keep_its_key(void) {
  begin();
  deep_do(make_own_value);
  collect();
  REQUIRE(!is_weak(0) && alm_ephemeron_get(t.m, chain[0]) == NULL);
  end();
}

/* ---- many ----------------------------------------------------------------------- */

static void make_many(void) {
  for (uintptr_t i = 0; i < 50000; i++) {
    struct pair *p = pair(NULL);
    struct alm_weak *w = alm_weak_create(t.m, p, i % 2);
    REQUIRE(w != NULL && alm_weak_get(t.m, w) == p);
    if (i % 3 == 0) {
      alm_weak_release(t.m, w);
    }
  }
}

static void tens_of_thousands_of_weak_references_are_no_trouble(void) {
  begin();
  deep_do(make_many);
  collect();
  end();
}

static void run_without_sanitizer(void **state) {
  if (UNDER_ASAN || UNDER_TSAN) {
    skip(); /* their frames keep old words in their gaps */
  }
  run_on_own_stack(state);
}

#define WITHOUT_SANITIZER(test)                                                \
  { #test, run_without_sanitizer, NULL, NULL, (void *)(uintptr_t)(test) }

int main(void) {
  const struct CMUnitTest tests[] = {
      WITHOUT_SANITIZER(cleanups_run_once_after_the_object_is_gone),
      WITHOUT_SANITIZER(a_cleanup_whose_argument_reaches_the_object_keeps_it),
      WITHOUT_SANITIZER(of_a_chain_the_first_is_finalized_first),
      WITHOUT_SANITIZER(a_cycle_with_finalizers_is_never_finalized),
      WITHOUT_SANITIZER(a_finalizer_may_bring_its_object_back_once),
      WITHOUT_SANITIZER(a_removed_finalizer_does_not_run),
      WITHOUT_SANITIZER(values_live_as_long_as_their_keys),
      WITHOUT_SANITIZER(an_ephemeron_does_not_keep_its_key),
      WITHOUT_SANITIZER(tens_of_thousands_of_weak_references_are_no_trouble),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
