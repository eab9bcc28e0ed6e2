/* tests/compat/libgc/functions_disclaim.c -- procedures that are asked before
 * an object is reclaimed. */
#include "check.h"

#include <gc/gc_disclaim.h>
#include <gc/gc_mark.h>

enum { MANY = WATCHED, MAGIC = 0x600d };

struct object {
  void *inner;
  long magic; /* 0 in a free object, for which procedures are called, too */
  int number;
  int test; /* what an earlier test left behind does not count in a later */
};

static struct object *kept[MANY];
static int called[MANY], calls, test_number;

/* Reclaiming may be left to later allocations and collections. */
static void collect_and_reclaim(size_t size) {
  wipe_stack();
  for (int round = 0; round < 4; round++) {
    GC_gcollect();
    for (int i = 0; i < 2000; i++) GC_malloc(size);
  }
}

/* ---- finalized allocation ------------------------------------------------ */

static int closure_data;

static void finalize(void *object, void *data) {
  struct object *o = object;
  CHECK_THAT(o->magic, ==, MAGIC);
  CHECK(data == &closure_data);
  if (o->inner) CHECK_TEXT(o->inner, "inner");
  if (o->test != test_number) return;
  called[o->number]++;
  calls++;
}

static const struct GC_finalizer_closure closure = {finalize, &closure_data};

static struct object *new_finalized(int number) {
  struct object *o = GC_finalized_malloc(sizeof *o, &closure);
  CHECK(o != NULL);
  CHECK(is_filled(o, 0, sizeof *o));
  o->magic = MAGIC;
  o->number = number;
  o->test = test_number;
  o->inner = GC_strdup("inner");
  return o;
}

static void drop_finalized(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) new_finalized(i);
}

static int most_called(void) {
  int most = 0;
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(called[i], <=, 1);
    most += called[i];
  }
  return most >= MANY * 9 / 10;
}

static void forget(void) {
  test_number++;
  calls = 0;
  memset(called, 0, sizeof called);
}

TEST("GC_init_finalized_malloc may be called twice") {
  GC_init_finalized_malloc();
  GC_init_finalized_malloc();
}

TEST("GC_finalized_malloc calls the closure once for a dead object") {
  apart(drop_finalized, NULL);
  collect_and_reclaim(sizeof(struct object) + 8);
  CHECK(most_called());
  collect_and_reclaim(sizeof(struct object) + 8);
  CHECK(most_called());
}

static void keep_finalized(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) kept[i] = new_finalized(i);
}

TEST("the closure is not called while the object is reachable") {
  forget();
  apart(keep_finalized, NULL);
  collect_and_reclaim(sizeof(struct object) + 8);
  CHECK_THAT(calls, ==, 0);
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(kept[i]->number, ==, i);
    CHECK_TEXT(kept[i]->inner, "inner");
  }
  memset(kept, 0, sizeof kept);
  collect_and_reclaim(sizeof(struct object) + 8);
  CHECK(most_called());
}

TEST("a finalized object begins a word into its block") {
  struct object *o = new_finalized(0);
  CHECK(GC_base(o) == (char *)o - sizeof(GC_word));
  CHECK_THAT(GC_size(GC_base(o)), >=, sizeof *o + sizeof(GC_word));
  forget();
}

TEST("large objects have closures as well") {
  forget();
  for (int i = 0; i < 20; i++) {
    struct object *o = GC_finalized_malloc(100000, &closure);
    o->magic = MAGIC;
    o->number = i;
    o->test = test_number;
  }
  wipe_stack();
  for (int i = 0; i < 4; i++) {
    GC_gcollect();
    GC_malloc(200000);
  }
  CHECK_THAT(calls, >=, 15);
}

/* ---- kinds with a procedure ---------------------------------------------- */

static int keep_on, asked;
static unsigned kind;

static int disclaim(void *object) {
  struct object *o = object;
  if (o->magic != MAGIC) return 0;
  if (o->test != test_number) return 0;
  asked++;
  if (keep_on) return 1;
  if (o->inner) CHECK_TEXT(o->inner, "inner");
  called[o->number]++;
  calls++;
  o->magic = 0;
  return 0;
}

static struct object *new_disclaimed(int number) {
  struct object *o = GC_generic_malloc(sizeof *o, (int)kind);
  CHECK(o != NULL);
  o->magic = MAGIC;
  o->number = number;
  o->test = test_number;
  o->inner = GC_strdup("inner");
  return o;
}

static void drop_disclaimed(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) new_disclaimed(i);
}

static void collect_kind(void) {
  wipe_stack();
  for (int round = 0; round < 4; round++) {
    GC_gcollect();
    for (int i = 0; i < 2000; i++)
      GC_generic_malloc(sizeof(struct object), (int)kind);
  }
}

TEST("GC_register_disclaim_proc is asked for each dead object of the kind") {
  kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
  GC_register_disclaim_proc((int)kind, disclaim, 1);
  forget();
  apart(drop_disclaimed, NULL);
  collect_kind();
  CHECK(most_called());
}

TEST("an object whose procedure says so is not reclaimed this time") {
  forget();
  keep_on = 1;
  asked = 0;
  apart(drop_disclaimed, NULL);
  collect_kind();
  CHECK_THAT(calls, ==, 0);
  CHECK_THAT(asked, >=, MANY * 9 / 10);
  keep_on = 0;
  collect_kind();
  CHECK(most_called());
}

TEST("GC_free does not ask") {
  forget();
  asked = 0;
  for (int i = 0; i < MANY; i++) {
    struct object *o = new_disclaimed(i);
    o->inner = NULL;
    GC_free(o);
  }
  CHECK_THAT(asked, ==, 0);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
