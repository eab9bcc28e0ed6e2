/* tests/compat/libgc/functions_base.c -- what an address is: objects, sizes,
 * kinds, checked pointer arithmetic. */
#include "check.h"

#include <gc/gc_mark.h>

static void *kept;
static char in_data[64] = "data";
static const size_t sizes[] = {1,    16,   17,    100,    500,    2000,
                               4096, 5000, 33000, 100000, 3 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

TEST("GC_base finds the start from any byte of the object") {
  for (int i = 0; i < SIZES; i++) {
    char *p = kept = GC_malloc(sizes[i]);
    for (size_t at = 0; at < sizes[i]; at += sizes[i] / 50 + 1)
      CHECK(GC_base(p + at) == p);
    CHECK(GC_base(p + sizes[i] - 1) == p);
    CHECK(GC_base(p + GC_size(p) - 1) == p);
  }
  kept = NULL;
}

TEST("GC_base of what is not in the heap is a null pointer") {
  int local = 0;
  CHECK(GC_base(&local) == NULL);
  CHECK(GC_base(in_data) == NULL);
  CHECK(GC_base(NULL) == NULL);
  CHECK(GC_base((void *)16) == NULL);
  CHECK(GC_base((void *)~(uintptr_t)0xffff) == NULL);
  void *foreign = malloc(100);
  CHECK(GC_base(foreign) == NULL);
  free(foreign);
}

TEST("GC_is_heap_ptr tells the heap from the rest") {
  int local = 0;
  for (int i = 0; i < SIZES; i++) {
    char *p = GC_malloc(sizes[i]);
    CHECK(GC_is_heap_ptr(p));
    CHECK(GC_is_heap_ptr(p + sizes[i] - 1));
  }
  CHECK(GC_is_heap_ptr(GC_malloc_atomic(10)));
  CHECK(!GC_is_heap_ptr(&local));
  CHECK(!GC_is_heap_ptr(in_data));
  CHECK(!GC_is_heap_ptr(NULL));
}

TEST("GC_size is at least what was asked for, and is all usable") {
  for (int i = 0; i < SIZES; i++) {
    char *p = GC_malloc_atomic(sizes[i]), *next = GC_malloc_atomic(sizes[i]);
    size_t size = GC_size(p);
    CHECK_THAT(size, >=, sizes[i]);
    memset(next, 1, sizes[i]);
    memset(p, 2, size);
    CHECK(is_filled(next, 1, sizes[i]));
    CHECK_THAT(GC_size(p), ==, size);
  }
}

TEST("GC_get_kind_and_size tells kinds apart and agrees with GC_size") {
  void *normal = GC_malloc(100), *atomic = GC_malloc_atomic(100);
  void *fixed = GC_malloc_uncollectable(100);
  void *atomic_fixed = GC_malloc_atomic_uncollectable(100);
  size_t size = 0;
  int kind = GC_get_kind_and_size(normal, &size);
  CHECK_THAT(size, ==, GC_size(normal));
  CHECK_THAT(GC_get_kind_and_size(atomic, &size), !=, kind);
  CHECK_THAT(size, ==, GC_size(atomic));
  CHECK_THAT(GC_get_kind_and_size(fixed, NULL), !=, kind);
  CHECK_THAT(GC_get_kind_and_size(fixed, NULL), !=,
             GC_get_kind_and_size(atomic_fixed, NULL));
  CHECK_THAT(GC_get_kind_and_size(GC_malloc(1 << 20), &size), ==, kind);
  CHECK_THAT(size, >=, 1 << 20);
  CHECK_THAT(GC_get_kind_and_size(GC_malloc(1), NULL), ==, kind);
  GC_free(fixed);
  GC_free(atomic_fixed);
}

TEST("GC_get_size_map_at tells what a small size becomes") {
  for (int size = 1; size < 500; size++) {
    size_t becomes = GC_get_size_map_at(size);
    CHECK(becomes == (size_t)-1 || becomes >= (size_t)size);
    if (becomes != (size_t)-1)
      CHECK_THAT(GC_size(GC_malloc_atomic((size_t)size)), >=, size);
  }
  CHECK(GC_get_size_map_at(1) != (size_t)-1);
  CHECK(GC_get_size_map_at(-1) == (size_t)-1);
  CHECK(GC_get_size_map_at(1 << 30) == (size_t)-1);
}

TEST("the plausible addresses enclose every object") {
  for (int i = 0; i < SIZES; i++)
    for (int round = 0; round < 20; round++) {
      char *p = GC_malloc_atomic(sizes[i]);
      CHECK((uintptr_t)p >= (uintptr_t)GC_least_plausible_heap_addr);
      CHECK((uintptr_t)p + sizes[i] - 1 <=
            (uintptr_t)GC_greatest_plausible_heap_addr);
    }
}

/* ---- checked arithmetic -------------------------------------------------- */

static int complaints;
static void *complained[2];

static void count_same_obj(void *p, void *q) {
  complaints++;
  complained[0] = p;
  complained[1] = q;
}

static void count_one(void *p) {
  complaints++;
  complained[0] = p;
}

TEST("the functions that report a bad pointer are set from the start") {
  CHECK(GC_same_obj_print_proc != NULL);
  CHECK(GC_is_valid_displacement_print_proc != NULL);
  CHECK(GC_is_visible_print_proc != NULL);
  GC_same_obj_print_proc = count_same_obj;
  GC_is_valid_displacement_print_proc = count_one;
  GC_is_visible_print_proc = count_one;
}

TEST("GC_same_obj returns its first argument and says nothing of one object") {
  for (int i = 0; i < SIZES; i++) {
    char *p = GC_malloc(sizes[i]);
    CHECK(GC_same_obj(p, p + sizes[i] - 1) == p);
    CHECK(GC_same_obj(p + sizes[i] / 2, p) == p + sizes[i] / 2);
  }
  CHECK(GC_same_obj(in_data, in_data + 3) == in_data);
  CHECK_THAT(complaints, ==, 0);
}

TEST("GC_same_obj reports two objects and where they are") {
  char *p = GC_malloc(100), *q = GC_malloc(40000);
  complaints = 0;
  CHECK(GC_same_obj(p, q) == p);
  CHECK_THAT(complaints, ==, 1);
  CHECK(complained[0] == p && complained[1] == q);
  CHECK(GC_same_obj(p + 2 * GC_size(p) + 8, p) == p + 2 * GC_size(p) + 8);
  CHECK_THAT(complaints, ==, 2);
  CHECK(GC_same_obj(q, in_data) == q);
  CHECK_THAT(complaints, ==, 3);
}

TEST("GC_pre_incr and GC_post_incr step by bytes inside the object") {
  char *start = GC_malloc(100);
  void *p = start;
  complaints = 0;
  CHECK(GC_pre_incr(&p, 24) == start + 24);
  CHECK(p == start + 24);
  CHECK(GC_post_incr(&p, 8) == start + 24);
  CHECK(p == start + 32);
  CHECK(GC_post_incr(&p, -32) == start + 32);
  CHECK(p == start);
  CHECK_THAT(complaints, ==, 0);
}

TEST("GC_pre_incr and GC_post_incr report a step to another object") {
  char *start = GC_malloc(100);
  void *p = start;
  complaints = 0;
  GC_pre_incr(&p, 100000);
  CHECK_THAT(complaints, ==, 1);
  p = start;
  GC_post_incr(&p, 100000);
  CHECK_THAT(complaints, ==, 2);
}

TEST("GC_is_visible accepts data, stack and objects that are scanned") {
  void *local = NULL;
  void **object = GC_malloc(64);
  complaints = 0;
  CHECK(GC_is_visible(&kept) == &kept);
  CHECK(GC_is_visible(&local) == &local);
  CHECK(GC_is_visible(object + 1) == object + 1);
  CHECK_THAT(complaints, ==, 0);
}

/* It may succeed where it should not. */
TEST("GC_is_visible returns its argument even if it is not visible") {
  void **object = GC_malloc_atomic(64);
  complaints = 0;
  CHECK(GC_is_visible(object + 1) == object + 1);
  CHECK_THAT(complaints, <=, 1);
}

TEST("GC_is_valid_displacement accepts every byte with interior pointers on") {
  CHECK(GC_get_all_interior_pointers());
  char *object = GC_malloc(100), *large = GC_malloc(100000);
  complaints = 0;
  for (int i = 0; i < 100; i += 8)
    CHECK(GC_is_valid_displacement(object + i) == object + i);
  CHECK(GC_is_valid_displacement(large + 50000) == large + 50000);
  CHECK(GC_is_valid_displacement(in_data) == in_data);
  CHECK_THAT(complaints, ==, 0);
}

/* ---- what the reports do by themselves ----------------------------------- */

static void check_report(const char *part) {
  char text[2000];
  int status = run_part(part, text, sizeof text);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  CHECK_THAT(strlen(text), >, 0);
}

static int run_report(const char *part) {
  char *object = GC_malloc(100);
  if (strcmp(part, "same_obj") == 0) GC_same_obj(object, object + 100000);
  if (strcmp(part, "displacement") == 0)
    GC_is_valid_displacement_print_proc(object);
  if (strcmp(part, "visible") == 0) GC_is_visible_print_proc(object);
  return 0;
}

TEST("GC_same_obj ends the program with a message, if nobody else reports") {
  check_report("same_obj");
}

TEST("GC_is_valid_displacement_print_proc does so, too") {
  check_report("displacement");
}

TEST("GC_is_visible_print_proc does so, too") {
  check_report("visible");
}

int main(int argc, char **argv) {
  GC_INIT();
  return argc > 1 ? run_report(argv[1]) : run_tests();
}
