/* tests/compat/libgc/functions_typed.c -- objects with a descriptor. */
#include "check.h"

#include <gc/gc_typed.h>

struct shape {
  GC_word number;
  void *pointer;
  GC_word disguised;
  void *second;
};

static void *kept[WATCHED];
static GC_descr descriptor;
static size_t elements = 1, size, at; /* at: word of the pointer */

static void *typed(void) {
  return GC_malloc_explicitly_typed(size, descriptor);
}

static void *typed_ignoring(void) {
  return GC_malloc_explicitly_typed_ignore_off_page(size, descriptor);
}

static void *typed_array(void) {
  return GC_calloc_explicitly_typed(elements, size, descriptor);
}

static void *(*make)(void);

static void fill_kept(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    void **object = make();
    CHECK(object != NULL);
    CHECK(is_filled(object, 0, elements * size));
    object[at] = GC_malloc(24);
    watch(i, object[at]);
    kept[i] = object;
  }
}

/* Whether word `word` of the objects counts as a pointer. */
static int keeps(size_t word) {
  at = word;
  apart(fill_kept, NULL);
  int gone = watched_gone();
  watch_end();
  memset(kept, 0, sizeof kept);
  CHECK(gone == 0 || gone >= WATCHED * 9 / 10);
  return gone == 0;
}

static void describe_shape(void) {
  GC_word bitmap[GC_BITMAP_SIZE(struct shape)] = {0};
  GC_set_bit(bitmap, GC_WORD_OFFSET(struct shape, pointer));
  GC_set_bit(bitmap, GC_WORD_OFFSET(struct shape, second));
  CHECK_THAT(GC_get_bit(bitmap, 0), ==, 0);
  CHECK_THAT(GC_get_bit(bitmap, 1), ==, 1);
  descriptor = GC_make_descriptor(bitmap, GC_WORD_LEN(struct shape));
}

static void check_shape(void *(*by)(void)) {
  make = by;
  size = sizeof(struct shape);
  elements = 1;
  describe_shape();
  CHECK(!keeps(0));
  CHECK(keeps(1));
  CHECK(!keeps(2));
  CHECK(keeps(3));
}

TEST("GC_malloc_explicitly_typed is scanned where the bitmap has bits") {
  check_shape(typed);
}

TEST("GC_malloc_explicitly_typed_ignore_off_page as well") {
  check_shape(typed_ignoring);
}

TEST("what is beyond the bitmap holds no pointers") {
  make = typed;
  describe_shape();
  size = 200;
  CHECK(keeps(3));
  CHECK(!keeps(4));
  CHECK(!keeps(20));
}

TEST("a bitmap without bits describes pointer-free memory") {
  GC_word none[1] = {0};
  make = typed;
  size = 64;
  descriptor = GC_make_descriptor(none, 8);
  CHECK(!keeps(0));
  CHECK(!keeps(5));
}

TEST("a bitmap full of bits describes all pointers") {
  GC_word all[1] = {0xff};
  make = typed;
  size = 64;
  descriptor = GC_make_descriptor(all, 8);
  CHECK(keeps(0));
  CHECK(keeps(7));
}

TEST("a bitmap may have hundreds of bits") {
  GC_word bitmap[5] = {0};
  make = typed;
  size = 320 * sizeof(GC_word);
  GC_set_bit(bitmap, 3);
  GC_set_bit(bitmap, 100);
  GC_set_bit(bitmap, 300);
  descriptor = GC_make_descriptor(bitmap, 320);
  CHECK(keeps(3));
  CHECK(!keeps(4));
  CHECK(!keeps(99));
  CHECK(keeps(100));
  CHECK(!keeps(299));
  CHECK(keeps(300));
  CHECK(!keeps(301));
}

TEST("GC_calloc_explicitly_typed repeats the descriptor for each element") {
  static const size_t counts[] = {1, 2, 3, 10, 100, 1000};
  make = typed_array;
  size = sizeof(struct shape);
  describe_shape();
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    elements = counts[i];
    size_t last = 4 * (elements - 1), middle = 4 * (elements / 2);
    CHECK(keeps(1));
    CHECK(keeps(last + 1));
    CHECK(keeps(last + 3));
    CHECK(keeps(middle + 1));
    if (elements > 1) CHECK(keeps(last - 1));
  }
  elements = 1;
}

TEST("an array's elements are not scanned where the bitmap has no bits") {
  make = typed_array;
  size = sizeof(struct shape);
  describe_shape();
  for (elements = 2; elements <= 1000; elements *= 4) {
    CHECK(!keeps(0));
    CHECK(!keeps(2));
    CHECK(!keeps(4 * (elements - 1) + 2));
  }
  elements = 1;
}

static volatile size_t impossible = SIZE_MAX / 2;

TEST("an array too large is refused") {
  describe_shape();
  CHECK(GC_calloc_explicitly_typed(impossible, 32, descriptor) == NULL);
  CHECK(GC_calloc_explicitly_typed(32, impossible, descriptor) == NULL);
}

TEST("typed lists stay intact under load") {
  static struct shape *list;
  describe_shape();
  for (int i = 0; i < 100000; i++) {
    struct shape *s = GC_malloc_explicitly_typed(sizeof *s, descriptor);
    s->number = (GC_word)i;
    s->pointer = list;
    s->disguised = (GC_word)s;
    list = s;
  }
  GC_gcollect();
  int n = 100000;
  for (struct shape *s = list; s; s = s->pointer) {
    CHECK_THAT(s->number, ==, --n);
    CHECK(s->disguised == (GC_word)s);
  }
  CHECK_THAT(n, ==, 0);
  list = NULL;
}

int main(void) {
  GC_INIT();
  GC_set_warn_proc(GC_ignore_warn_proc);
  return run_tests();
}
