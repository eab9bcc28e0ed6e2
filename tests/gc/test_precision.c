/* What keeps what, to the word and the byte: masks of types, ends of ranges and
 * objects, memory that changes from pointers to bytes. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

enum { WORDS_MAX = 16384, FEW = 8 };

struct cell {
  struct cell *next;
  uint64_t id;
};

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *cell;
  struct alm_handle *root;
} t;

static void begin(const struct alm_heap_options *options) {
  static const uint64_t one = 1;
  struct alm_type_info info = {"cell", sizeof(struct cell), &one, 1, NULL};
  REQUIRE(alm_heap_create(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.cell) == ALM_OK);
  t.root = alm_handle_create(t.m, NULL);
  REQUIRE(t.root != NULL);
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  all_memory_is_back();
}

static void collect(void) {
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
}

/* ---- masks ------------------------------------------------------------------------ */

static struct {
  const struct alm_type *type;
  size_t words; /* of a stride */
  uint64_t mask[64];
  size_t count; /* 0: one object, no array */
} holder;

static struct alm_weak *weak[WORDS_MAX];

static bool is_pointer(size_t word) {
  word %= holder.words;
  return holder.mask[word / 64] >> (word % 64) & 1;
}

/* Each word of the holder refers to an object of its own, whatever the mask
 * says. */
static void make_holder(size_t total) {
  struct cell **words = holder.count == 0
                            ? alm_new(t.m, holder.type)
                            : alm_new_array(t.m, holder.type, holder.count);
  REQUIRE(words != NULL);
  alm_handle_set(t.root, words);
  for (size_t i = 0; i < total; i++) {
    struct cell *c = alm_new(t.m, t.cell);
    REQUIRE(c != NULL && words[i] == NULL);
    c->id = i;
    weak[i] = alm_weak_create(t.m, c, false);
    REQUIRE(weak[i] != NULL);
    alm_store(t.m, words, &words[i], c);
  }
}

static size_t nwrong;

static void compare_holder(size_t total) {
  struct cell **words = alm_handle_get(t.root);
  for (size_t i = 0; i < total; i++) {
    struct cell *c = alm_weak_get(t.m, weak[i]);
    if (is_pointer(i)) {
      REQUIRE(c != NULL && c == words[i] && c->id == i);
    }
    nwrong += !is_pointer(i) && c != NULL; /* stale words may keep a few */
    alm_weak_release(t.m, weak[i]);
  }
}

static void make_mask(struct rng *r, size_t words, size_t density) {
  memset(holder.mask, 0, sizeof holder.mask);
  for (size_t i = 0; i < words; i++) {
    bool bit = density == 0 ? i + 1 == words : rng_below(r, 4) < density;
    holder.mask[i / 64] |= (uint64_t)bit << (i % 64);
  }
  struct alm_type_info info = {"holder", words * 8, holder.mask, words, NULL};
  holder.words = words;
  REQUIRE(alm_type_create(t.heap, &info, &holder.type) == ALM_OK);
}

static void exactly_the_words_of_a_mask_keep(void) {
  static const size_t words[] = {1,  2,   3,   7,   8,    63,   64,
                                 65, 127, 128, 500, 1000, 4095, 4096};
  struct rng r = {seed_take()};
  size_t ntotal = 0;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    for (size_t density = 0; density <= 4; density++) {
      struct alm_heap_options options = {.markers = 1 + density % 3,
                                         .base_pointers_only = density % 2};
      begin(&options);
      make_mask(&r, words[i], density);
      /* an object, and arrays that are small, of many elements, large */
      size_t few = rng_below(&r, 4) + 1;
      size_t counts[] = {0, few, 40, 5000 / words[i] + few};
      for (size_t k = 0; k < 4; k++) {
        size_t total = words[i] * (counts[k] == 0 ? 1 : counts[k]);
        if (total <= rounds(WORDS_MAX)) {
          holder.count = counts[k];
          deep(make_holder, total);
          collect();
          deep(compare_holder, total);
          ntotal += total;
        }
      }
      end();
    }
  }
  REQUIRE(ntotal > 10000);
  REQUIRE(nwrong < ntotal / 500 || UNDER_ASAN);
}

/* ---- ends of objects and ranges ------------------------------------------------------ */

static struct alm_weak *first, *second;
static bool wants_end; /* of the first: the second's first byte */

/* Two neighbours, and a pointer to an end of the first. */
static void make_neighbours(size_t kind) {
  char *x, *y;
  do {
    x = alm_new_bytes(t.m, (enum alm_kind)kind, 320);
    y = alm_new_bytes(t.m, (enum alm_kind)kind, 320);
    REQUIRE(x != NULL && y != NULL);
  } while (x + alm_object_bytes(t.heap, x) != y);
  first = alm_weak_create(t.m, x, false);
  second = alm_weak_create(t.m, y, false);
  alm_handle_set(t.root, wants_end ? y : y - 1);
}

static void a_pointer_to_the_last_byte_keeps_that_object_alone(void) {
  static const enum alm_kind kinds[] = {ALM_NOSCAN, ALM_CONSERVATIVE};
  begin(NULL);
  for (size_t i = 0; i < 4; i++) {
    wants_end = i >= 2; /* which is no byte of the first */
    deep(make_neighbours, kinds[i % 2]);
    collect();
    REQUIRE((alm_weak_get(t.m, first) != NULL) == !wants_end);
    REQUIRE((alm_weak_get(t.m, second) != NULL) == wants_end);
    alm_weak_release(t.m, first);
    alm_weak_release(t.m, second);
  }
  end();
}

static struct cell **range;

static void fill_range(size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct cell *c = alm_new(t.m, t.cell);
    REQUIRE(c != NULL);
    weak[i] = alm_weak_create(t.m, c, false);
    range[i] = c;
  }
}

/* Behind the range there is nothing to be read. */
static void a_root_ends_where_it_says(void) {
  enum { PAGE = 65536, N = 16 };
  char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  REQUIRE(mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
  range = (struct cell **)(void *)(pages + PAGE - N * sizeof *range);
  begin(NULL);
  for (size_t bytes = 0; bytes <= N * sizeof *range; bytes++) {
    REQUIRE(alm_root_add(t.heap, range, bytes) == ALM_OK);
    deep(fill_range, N);
    collect();
    for (size_t i = 0; i < N; i++) {
      bool is_inside = (i + 1) * sizeof *range <= bytes;
      REQUIRE((alm_weak_get(t.m, weak[i]) != NULL) == is_inside);
      alm_weak_release(t.m, weak[i]);
    }
    REQUIRE(alm_root_remove(t.heap, range) == ALM_OK);
  }
  end();
  REQUIRE(munmap(pages, 2 * PAGE) == 0);
}

/* ---- memory changes hands ------------------------------------------------------------- */

enum { REUSED = 3000, REUSED_BYTES = 96 };

static void make_target(size_t unused) {
  (void)unused;
  void *target = alm_new(t.m, t.cell);
  REQUIRE(target != NULL);
  first = alm_weak_create(t.m, target, false);
  REQUIRE(first != NULL);
  alm_handle_set(t.root, target);
}

static struct alm_handle *holders;

static void hold_target(size_t unused) {
  (void)unused;
  void *target = alm_weak_get(t.m, first);
  REQUIRE(target != NULL); /* by the holders */
  alm_handle_set(t.root, target);
}

/* Objects that are full of the target's address. */
static void fill_memory(size_t kind) {
  void **all = alm_new_bytes(t.m, ALM_CONSERVATIVE, REUSED * sizeof *all);
  REQUIRE(all != NULL);
  alm_handle_set(holders, all);
  for (size_t i = 0; i < REUSED; i++) {
    void **words = alm_new_bytes(t.m, (enum alm_kind)kind, REUSED_BYTES);
    REQUIRE(words != NULL);
    alm_store(t.m, all, &all[i], words);
    for (size_t k = 0; k < REUSED_BYTES / sizeof *words; k++) {
      REQUIRE(words[k] == NULL);
      alm_store(t.m, words, &words[k], alm_weak_get(t.m, first));
    }
  }
}

static void memory_that_held_pointers_serves_as_bytes(void) {
  begin(NULL);
  holders = alm_handle_create(t.m, NULL);
  for (int round = 0; round < 4; round++) {
    deep(make_target, 0);
    deep(fill_memory, ALM_CONSERVATIVE);
    alm_handle_set(t.root, NULL);
    collect();
    deep(hold_target, 0);
    alm_handle_set(holders, NULL);
    collect();
    REQUIRE(alm_sweep(t.m) == ALM_OK); /* their pages are free */
    deep(fill_memory, ALM_NOSCAN);
    alm_handle_set(t.root, NULL);
    collect();
    REQUIRE(alm_weak_get(t.m, first) == NULL);
    alm_weak_release(t.m, first);
    alm_handle_set(holders, NULL);
    collect();
    REQUIRE(alm_sweep(t.m) == ALM_OK);
  }
  end();
}

/* ---- objects of no bytes ------------------------------------------------------------------ */

static unsigned nfinalized, ncleaned;

static void finalized(void *object, void *arg) {
  REQUIRE(object != NULL && arg == &nfinalized);
  nfinalized++;
}

static void cleaned(void *object, void *arg) {
  REQUIRE(object == NULL && arg == &ncleaned);
  ncleaned++;
}

static void watch(void *object) {
  REQUIRE(object != NULL);
  REQUIRE(alm_finalizer_set(t.m, object, finalized, &nfinalized) == ALM_OK);
  REQUIRE(alm_cleanup_add(t.m, object, cleaned, &ncleaned) == ALM_OK);
}

static void watch_empty_ones(size_t n) {
  for (size_t i = 0; i < n; i++) {
    watch(alm_new_bytes(t.m, ALM_CONSERVATIVE, 0));
    watch(alm_new_array(t.m, t.cell, 0));
  }
}

static void objects_of_no_bytes_may_have_specials(void) {
  begin(NULL);
  nfinalized = ncleaned = 0;
  deep(watch_empty_ones, 100);
  collect();
  REQUIRE(alm_finalizers_run(t.m, 0) == nfinalized && ncleaned == 0);
  REQUIRE(nfinalized >= 200 - FEW && nfinalized <= 200);
  collect();
  collect();
  (void)alm_finalizers_run(t.m, 0);
  REQUIRE(ncleaned >= 200 - FEW && ncleaned <= 200);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(exactly_the_words_of_a_mask_keep),
      ON_ITS_OWN_STACK(a_pointer_to_the_last_byte_keeps_that_object_alone),
      ON_ITS_OWN_STACK(a_root_ends_where_it_says),
      ON_ITS_OWN_STACK(memory_that_held_pointers_serves_as_bytes),
      ON_ITS_OWN_STACK(objects_of_no_bytes_may_have_specials),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
