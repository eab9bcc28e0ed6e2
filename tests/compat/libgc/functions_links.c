/* tests/compat/libgc/functions_links.c -- disappearing links, short and long,
 * and toggle references. */
#include "check.h"

static void *kept;
static void **cells; /* an atomic object: pointers in it are disguised */

enum { MANY = WATCHED };

static int cleared_cells(void) {
  int n = 0;
  for (int i = 0; i < MANY; i++) n += cells[i] == NULL;
  return n;
}

static void collect(void) {
  wipe_stack();
  GC_gcollect();
  GC_gcollect();
}

static void new_cells(void) {
  kept = cells = GC_malloc_atomic(MANY * sizeof *cells);
  memset(cells, 0, MANY * sizeof *cells);
}

/* ---- short --------------------------------------------------------------- */

static void link_general(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    cells[i] = GC_malloc(24);
    CHECK_THAT(GC_general_register_disappearing_link(&cells[i], cells[i]), ==,
               GC_SUCCESS);
  }
}

TEST("GC_general_register_disappearing_link clears the link to a dead object") {
  new_cells();
  apart(link_general, NULL);
  collect();
  CHECK_THAT(cleared_cells(), >=, MANY * 9 / 10);
}

static void link_kept(void *unused) {
  void **all = GC_malloc(MANY * sizeof *all);
  link_general(unused);
  memcpy(all, cells, MANY * sizeof *all);
  kept = GC_malloc(2 * sizeof *all);
  ((void **)kept)[0] = all;
  ((void **)kept)[1] = cells;
}

TEST("it leaves the link to a living object alone") {
  new_cells();
  apart(link_kept, NULL);
  collect();
  CHECK_THAT(cleared_cells(), ==, 0);
  void **all = *(void **)kept;
  for (int i = 0; i < MANY; i++) CHECK(cells[i] == all[i]);
  all = NULL;
  kept = cells;
  collect();
  CHECK_THAT(cleared_cells(), >=, MANY * 9 / 10);
}

static void link_own(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    void **object = GC_malloc(32);
    watched[i] = GC_HIDE_POINTER(object);
    object[1] = object;
    CHECK_THAT(GC_register_disappearing_link(&object[1]), ==, GC_SUCCESS);
    GC_general_register_disappearing_link((void **)&watched[i], object);
  }
}

TEST("GC_register_disappearing_link goes with the object it is in") {
  apart(link_own, NULL);
  CHECK_WATCHED_GONE();
}

static int cleared_at_call;

static void see_cleared(void *object, void *unused) {
  (void)unused;
  cleared_at_call += ((void **)object)[1] == NULL;
}

static void link_and_finalize(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    void **object = GC_malloc(32);
    object[1] = object;
    CHECK_THAT(GC_register_disappearing_link(&object[1]), ==, GC_SUCCESS);
    GC_register_finalizer(object, see_cleared, NULL, NULL, NULL);
  }
}

TEST("links are cleared before finalizers are called") {
  apart(link_and_finalize, NULL);
  collect();
  GC_invoke_finalizers();
  CHECK_THAT(cleared_at_call, >=, MANY * 9 / 10);
}

TEST("a link that is registered again is a duplicate") {
  void **object = GC_malloc(32), **other = GC_malloc(32);
  static void *link;
  CHECK_THAT(GC_general_register_disappearing_link(&link, object), ==,
             GC_SUCCESS);
  CHECK_THAT(GC_general_register_disappearing_link(&link, other), ==,
             GC_DUPLICATE);
  CHECK_THAT(GC_unregister_disappearing_link(&link), ==, 1);
  CHECK_THAT(GC_unregister_disappearing_link(&link), ==, 0);
  CHECK_THAT(GC_register_disappearing_link(&object[1]), ==, GC_SUCCESS);
  CHECK_THAT(GC_register_disappearing_link(&object[1]), ==, GC_DUPLICATE);
  CHECK_THAT(GC_unregister_disappearing_link(&object[1]), ==, 1);
}

TEST("of two registrations of one link the last object counts") {
  static GC_hidden_pointer link;
  static void *living;
  living = GC_malloc(32);
  link = GC_HIDE_POINTER(living);
  void *dead = GC_malloc(32);
  GC_general_register_disappearing_link((void **)&link, dead);
  dead = NULL;
  CHECK_THAT(GC_general_register_disappearing_link((void **)&link, living), ==,
             GC_DUPLICATE);
  collect();
  CHECK(link == GC_HIDE_POINTER(living));
  CHECK_THAT(GC_unregister_disappearing_link((void **)&link), ==, 1);
}

TEST("an unregistered link is not cleared") {
  new_cells();
  apart(link_general, NULL);
  for (int i = 0; i < MANY; i++)
    CHECK_THAT(GC_unregister_disappearing_link(&cells[i]), ==, 1);
  collect();
  CHECK_THAT(cleared_cells(), ==, 0);
}

TEST("a link in a dead object disappears with it") {
  new_cells();
  apart(link_kept, NULL);
  kept = *(void **)kept; /* the objects live, the cells do not */
  cells = NULL;
  collect();
  for (int i = 0; i < 20000; i++) memset(GC_malloc(MANY * 8), 0x5a, MANY * 8);
  collect();
  for (int i = 0; i < MANY; i++)
    CHECK(GC_base(((void **)kept)[i]) == ((void **)kept)[i]);
  kept = NULL;
  collect();
}

TEST("a cleared link may be registered again") {
  new_cells();
  apart(link_general, NULL);
  collect();
  int cleared = cleared_cells();
  CHECK_THAT(cleared, >=, MANY * 9 / 10);
  for (int i = 0; i < MANY; i++)
    if (!cells[i]) {
      cells[i] = GC_malloc(24);
      CHECK_THAT(GC_general_register_disappearing_link(&cells[i], cells[i]), ==,
                 GC_SUCCESS);
    }
  collect();
  CHECK_THAT(cleared_cells(), >=, MANY * 8 / 10);
}

TEST("GC_move_disappearing_link moves the registration, not the contents") {
  static void *moved[MANY];
  new_cells();
  apart(link_general, NULL);
  for (int i = 0; i < MANY; i++) moved[i] = (void *)1;
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(GC_move_disappearing_link(&cells[i], &moved[i]), ==, GC_SUCCESS);
    CHECK(moved[i] == (void *)1);
    CHECK_THAT(GC_move_disappearing_link(&cells[i], &moved[i]), ==,
               GC_NOT_FOUND);
    CHECK_THAT(GC_move_disappearing_link(&moved[i], &moved[i]), ==, GC_SUCCESS);
  }
  collect();
  CHECK_THAT(cleared_cells(), ==, 0);
  int n = 0;
  for (int i = 0; i < MANY; i++) n += moved[i] == NULL;
  CHECK_THAT(n, >=, MANY * 9 / 10);
}

TEST("GC_move_disappearing_link refuses a place that has a link") {
  static void *a, *b, *c;
  void *object = GC_malloc(16);
  GC_general_register_disappearing_link(&a, object);
  GC_general_register_disappearing_link(&b, object);
  CHECK_THAT(GC_move_disappearing_link(&a, &b), ==, GC_DUPLICATE);
  CHECK_THAT(GC_move_disappearing_link(&c, &c), ==, GC_NOT_FOUND);
  CHECK_THAT(GC_unregister_disappearing_link(&a), ==, 1);
  CHECK_THAT(GC_unregister_disappearing_link(&b), ==, 1);
  GC_reachable_here(object);
}

/* ---- long ---------------------------------------------------------------- */

static void link_long(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    cells[i] = GC_malloc(24);
    CHECK_THAT(GC_register_long_link(&cells[i], cells[i]), ==, GC_SUCCESS);
  }
}

TEST("GC_register_long_link clears the link to a dead object") {
  new_cells();
  apart(link_long, NULL);
  collect();
  CHECK_THAT(cleared_cells(), >=, MANY * 9 / 10);
}

static void *brought_back[MANY];
static int back_count;

static void bring_back(void *object, void *unused) {
  (void)unused;
  brought_back[back_count++] = object;
}

static void link_long_and_finalize(void *unused) {
  link_long(unused);
  for (int i = 0; i < MANY; i++)
    GC_register_finalizer(cells[i], bring_back, NULL, NULL, NULL);
}

TEST("a long link survives the finalizer that brings the object back") {
  new_cells();
  apart(link_long_and_finalize, NULL);
  wipe_stack();
  GC_gcollect();
  CHECK_THAT(cleared_cells(), ==, 0);
  GC_invoke_finalizers();
  CHECK_THAT(back_count, >=, MANY * 9 / 10);
  collect();
  CHECK_THAT(cleared_cells(), ==, 0);
  memset(brought_back, 0, sizeof brought_back);
  collect();
  CHECK_THAT(cleared_cells(), >=, MANY * 8 / 10);
}

static void link_both_and_finalize(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i += 2) {
    cells[i] = cells[i + 1] = GC_malloc(24);
    GC_register_long_link(&cells[i], cells[i]);
    GC_general_register_disappearing_link(&cells[i + 1], cells[i + 1]);
    GC_register_finalizer(cells[i], bring_back, NULL, NULL, NULL);
  }
}

TEST("a short link does not") {
  back_count = 0;
  new_cells();
  apart(link_both_and_finalize, NULL);
  wipe_stack();
  GC_gcollect();
  GC_invoke_finalizers();
  CHECK_THAT(back_count, >=, MANY / 2 * 9 / 10);
  CHECK_THAT(cleared_cells(), >=, MANY / 2 * 9 / 10);
  CHECK_THAT(cleared_cells(), <=, MANY / 2);
  for (int i = 0; i < MANY; i += 2) CHECK(cells[i] != NULL);
  memset(brought_back, 0, sizeof brought_back);
}

TEST("GC_unregister_long_link takes a long link back") {
  new_cells();
  apart(link_long, NULL);
  CHECK_THAT(GC_register_long_link(&cells[0], cells[0]), ==, GC_DUPLICATE);
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(GC_unregister_long_link(&cells[i]), ==, 1);
    CHECK_THAT(GC_unregister_long_link(&cells[i]), ==, 0);
  }
  collect();
  CHECK_THAT(cleared_cells(), ==, 0);
}

TEST("short and long links are kept apart") {
  static void *link;
  void *object = GC_malloc(16);
  CHECK_THAT(GC_register_long_link(&link, object), ==, GC_SUCCESS);
  CHECK_THAT(GC_unregister_disappearing_link(&link), ==, 0);
  CHECK_THAT(GC_move_disappearing_link(&link, &link), ==, GC_NOT_FOUND);
  CHECK_THAT(GC_unregister_long_link(&link), ==, 1);
  GC_reachable_here(object);
}

TEST("GC_move_long_link moves a long link") {
  static void *moved[MANY];
  new_cells();
  apart(link_long, NULL);
  for (int i = 0; i < MANY; i++) moved[i] = (void *)1;
  CHECK_THAT(GC_move_long_link(&cells[0], &cells[1]), ==, GC_DUPLICATE);
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(GC_move_long_link(&cells[i], &moved[i]), ==, GC_SUCCESS);
    CHECK_THAT(GC_move_long_link(&cells[i], &moved[i]), ==, GC_NOT_FOUND);
    CHECK_THAT(GC_move_long_link(&moved[i], &moved[i]), ==, GC_SUCCESS);
  }
  collect();
  int n = 0;
  for (int i = 0; i < MANY; i++) n += moved[i] == NULL;
  CHECK_THAT(n, >=, MANY * 9 / 10);
  CHECK_THAT(cleared_cells(), ==, 0);
}

enum { THOUSANDS = 30000 };
static void **thousands;

static void link_thousands(void *unused) {
  (void)unused;
  thousands = GC_malloc_atomic(THOUSANDS * sizeof *thousands);
  void **objects = kept = GC_malloc(THOUSANDS * sizeof *objects);
  for (int i = 0; i < THOUSANDS; i++) {
    thousands[i] = objects[i] = GC_malloc_atomic(8);
    CHECK_THAT(
        GC_general_register_disappearing_link(&thousands[i], thousands[i]), ==,
        GC_SUCCESS);
  }
}

TEST("many thousand links are held") {
  apart(link_thousands, NULL);
  collect();
  for (int i = 0; i < THOUSANDS; i++) CHECK(thousands[i] == ((void **)kept)[i]);
  kept = NULL;
  collect();
  int cleared = 0;
  for (int i = 0; i < THOUSANDS; i++) cleared += thousands[i] == NULL;
  CHECK_THAT(cleared, >=, THOUSANDS * 9 / 10);
}

/* ---- toggle references --------------------------------------------------- */

struct toggled {
  GC_ToggleRefStatus says;
  int number;
};
static int toggle_calls;

static GC_ToggleRefStatus toggle(void *object) {
  toggle_calls++;
  return ((struct toggled *)object)->says;
}

TEST("GC_set_toggleref_func and its getter are a pair") {
  CHECK(GC_get_toggleref_func() == NULL);
  GC_set_toggleref_func(toggle);
  CHECK(GC_get_toggleref_func() == toggle);
}

static int strong_at_first;

static void add_toggled(void *says) {
  for (int i = 0; i < MANY; i++) {
    struct toggled *t = GC_malloc_atomic(sizeof *t);
    t->says = *(GC_ToggleRefStatus *)says;
    watch(i, t);
    CHECK_THAT(GC_toggleref_add(t, strong_at_first), ==, GC_SUCCESS);
  }
}

TEST("an object whose function says strong is kept") {
  for (strong_at_first = 0; strong_at_first <= 1; strong_at_first++) {
    GC_ToggleRefStatus says = GC_TOGGLE_REF_STRONG;
    apart(add_toggled, &says);
    toggle_calls = 0;
    CHECK_THAT(watched_gone(), ==, 0);
    CHECK_THAT(toggle_calls, >=, MANY);
    for (int i = 0; i < MANY; i++)
      ((struct toggled *)GC_REVEAL_POINTER(watched[i]))->says =
          GC_TOGGLE_REF_WEAK;
    CHECK_WATCHED_GONE();
  }
}

TEST("an object whose function says weak is collected") {
  for (strong_at_first = 0; strong_at_first <= 1; strong_at_first++) {
    GC_ToggleRefStatus says = GC_TOGGLE_REF_WEAK;
    apart(add_toggled, &says);
    CHECK_WATCHED_GONE();
  }
}

TEST("an object whose function says drop is asked no more") {
  GC_ToggleRefStatus says = GC_TOGGLE_REF_DROP;
  strong_at_first = 1;
  apart(add_toggled, &says);
  CHECK_WATCHED_GONE();
  toggle_calls = 0;
  collect();
  CHECK_THAT(toggle_calls, <=, MANY / 10);
}

TEST("without a function nothing is registered") {
  GC_set_toggleref_func(NULL);
  CHECK(GC_get_toggleref_func() == NULL);
  GC_ToggleRefStatus says = GC_TOGGLE_REF_STRONG;
  apart(add_toggled, &says);
  CHECK_WATCHED_GONE();
}

int main(void) {
  GC_INIT();
  return run_tests();
}
