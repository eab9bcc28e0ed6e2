/* api/almacen.c: the public functions' contracts. */
#include "support.h"

#include "almacen.h"
#include "base/base.h"

/* ---- sizes and errno --------------------------------------------------- */

static void check_first(void *arg) {
  (void)arg;
  REQUIRE(alm_check());
  REQUIRE(alm_release_memory(0) == 0);
  alm_thread_flush();
  alm_free(NULL);
  REQUIRE(alm_malloc_usable_size(NULL) == 0);
  REQUIRE(!alm_background_stop());
  struct alm_stats s;
  alm_stats_read(&s);
  REQUIRE(s.heap_inuse == 0 && s.threads == 0 && s.reserved > 0);
  REQUIRE(alm_malloc(1) != NULL);
}

static void everything_may_be_called_before_the_first_allocation(void **state) {
  (void)state;
  child_must_pass(check_first, NULL, NULL);
}

#define EXPECT_ERRNO(expected, expression)                                     \
  do {                                                                         \
    errno = 0;                                                                 \
    assert_true(expression);                                                   \
    assert_int_equal(errno, expected);                                         \
  } while (0)

/* The compiler must not reason about sizes it knows. */
static volatile size_t too_much = (size_t)PTRDIFF_MAX + 1;
static volatile size_t most = PTRDIFF_MAX;
static volatile size_t max = SIZE_MAX;

static void impossible_sizes_give_enomem(void **state) {
  (void)state;
  char *p = alm_malloc(100);
  memset(p, 5, 100);
  EXPECT_ERRNO(ENOMEM, alm_malloc(too_much) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_malloc(most) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_malloc(max) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_calloc(too_much, 1) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_calloc(max / 2, 3) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_calloc((size_t)1 << 32, (size_t)1 << 32) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_realloc(p, too_much) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_realloc(p, most) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_reallocarray(p, max / 2, 3) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_reallocarray(NULL, max, max) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_aligned_alloc(16, max) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_aligned_alloc(16, max - 15) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_aligned_alloc((size_t)1 << 63, 1) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_aligned_alloc((size_t)1 << 62, most) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_valloc(max) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_pvalloc(max) == NULL);
  EXPECT_ERRNO(ENOMEM, alm_pvalloc(most) == NULL);
  void *out = p;
  EXPECT_ERRNO(0, alm_posix_memalign(&out, 16, max) == ENOMEM);
  assert_ptr_equal(out, p);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(p[i], 5);
  }
  alm_free(p);
}

static void wrong_alignments_give_einval(void **state) {
  (void)state;
  static const size_t wrong[] = {0, 3, 24, 48, 100, SIZE_MAX};
  void *out = (void *)7;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    EXPECT_ERRNO(EINVAL, alm_aligned_alloc(wrong[i], 10) == NULL);
    EXPECT_ERRNO(EINVAL, alm_memalign(wrong[i], 10) == NULL);
    EXPECT_ERRNO(0, alm_posix_memalign(&out, wrong[i], 10) == EINVAL);
  }
  for (size_t align = 1; align < sizeof(void *); align *= 2) {
    EXPECT_ERRNO(0, alm_posix_memalign(&out, align, 10) == EINVAL);
    void *p = alm_aligned_alloc(align, 10);
    assert_non_null(p);
    alm_free(p);
  }
  assert_ptr_equal(out, (void *)7);
}

static void errno_is_untouched_on_success(void **state) {
  (void)state;
  errno = 33;
  for (size_t size = 1; size < 50 << 20; size = size * 3 + 1) {
    char *p = alm_malloc(size);
    p = alm_realloc(p, size * 2);
    alm_free(p);
    alm_free(alm_calloc(size, 2));
    alm_free(alm_aligned_alloc(4096, size));
  }
  alm_thread_flush();
  (void)alm_release_memory(0);
  (void)alm_check();
  assert_int_equal(errno, 33);
}

static void alignments_hold_for_all_sizes(void **state) {
  (void)state;
  static const size_t sizes[] = {0,    1,    15,    16,    17,    100,
                                 1000, 4096, 10000, 32768, 32769, 100000};
  for (size_t align = 8; align <= (size_t)64 << 20; align *= 2) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      void *p = NULL;
      assert_int_equal(alm_posix_memalign(&p, align, sizes[i]), 0);
      assert_int_equal((uintptr_t)p % align, 0);
      assert_true(alm_malloc_usable_size(p) >= sizes[i]);
      memset(p, 1, sizes[i]);
      void *q = alm_memalign(align, sizes[i]);
      assert_true(q != p && (uintptr_t)q % align == 0);
      alm_free(p);
      alm_free_aligned_sized(q, align, sizes[i]);
    }
  }
  assert_true(alm_check());
}

static void malloc_aligns_to_sixteen_and_tiny_to_eight(void **state) {
  (void)state;
  void *objects[2000];
  for (size_t i = 0; i < 2000; i++) {
    size_t size = i < 1500 ? i : i * 100;
    objects[i] = alm_malloc(size);
    assert_int_equal((uintptr_t)objects[i] % (size <= 8 ? 8 : 16), 0);
    assert_true(alm_malloc_usable_size(objects[i]) >= size);
  }
  for (size_t i = 0; i < 2000; i++) {
    alm_free(objects[i]);
  }
}

static void page_functions_round_to_os_pages(void **state) {
  (void)state;
  size_t os_page = (size_t)sysconf(_SC_PAGESIZE);
  char *a = alm_valloc(10), *b = alm_pvalloc(os_page + 1), *c = alm_pvalloc(0);
  assert_int_equal((uintptr_t)a % os_page, 0);
  assert_int_equal((uintptr_t)b % os_page, 0);
  assert_true(alm_malloc_usable_size(b) >= 2 * os_page);
  assert_true(alm_malloc_usable_size(c) >= os_page);
  alm_free(a);
  alm_free(b);
  alm_free(c);
}

static void realloc_of_null_and_to_zero(void **state) {
  (void)state;
  char *p = alm_realloc(NULL, 10);
  assert_non_null(p);
  EXPECT_ERRNO(0, alm_realloc(p, 0) == NULL);
  assert_ptr_equal(alm_malloc(10), p); /* it was freed */
  assert_non_null(p = alm_reallocarray(p, 100, 10));
  assert_true(alm_malloc_usable_size(p) >= 1000);
  alm_free_sized(p, 1000);
  p = alm_realloc(NULL, 0);
  assert_non_null(p);
  alm_free(p);
}

/* ---- misuse ------------------------------------------------------------ */

static struct alm_misuse_info seen;
static char message[300];
static unsigned reports;

static void note(const struct alm_misuse_info *info) {
  seen = *info;
  snprintf(message, sizeof message, "%s", info->message);
  reports++;
  alm_free(alm_malloc(10)); /* it may call anything */
}

static void expect_report(enum alm_misuse kind, const char *call, const void *p,
                          const char *text) {
  assert_int_equal(reports, 1);
  reports = 0;
  assert_int_equal(seen.kind, kind);
  assert_string_equal(seen.call, call);
  assert_ptr_equal(seen.pointer, p);
  assert_non_null(strstr(message, text));
}

static int with_handler(void **state) {
  (void)state;
  reports = 0;
  return alm_misuse_handler_set(note) == NULL ? 0 : -1;
}

static int without_handler(void **state) {
  (void)state;
  assert_int_equal(reports, 0);
  assert_true(alm_check());
  return alm_misuse_handler_set(NULL) == note ? 0 : -1;
}

static void free_of_foreign_pointer_is_reported(void **state) {
  (void)state;
  char local[16];
  char *volatile p = local;
  alm_free(p);
  expect_report(ALM_MISUSE_FOREIGN, "free", p, "never allocated by almacen");
  alm_free((void *)8);
  expect_report(ALM_MISUSE_FOREIGN, "free", (void *)8, "free(0x8)");
  alm_free((void *)0xdeadbeefcafebabe);
  expect_report(ALM_MISUSE_FOREIGN, "free", (void *)0xdeadbeefcafebabe, "");
  assert_null(alm_realloc(p, 20));
  expect_report(ALM_MISUSE_FOREIGN, "realloc", p, "realloc(0x");
  assert_int_equal(alm_malloc_usable_size(p), 0);
  expect_report(ALM_MISUSE_FOREIGN, "malloc_usable_size", p, "");
}

static void free_of_interior_pointer_is_reported(void **state) {
  (void)state;
  char *p = alm_malloc(48), *large = alm_malloc(100000);
  for (size_t i = 1; i < 48; i++) {
    alm_free(p + i);
    expect_report(ALM_MISUSE_INTERIOR, "free", p + i,
                  "bytes inside a 48-byte object at 0x");
  }
  alm_free(large + 1);
  expect_report(ALM_MISUSE_INTERIOR, "free", large + 1,
                "1 bytes inside a 106496-byte object");
  alm_free(large + 50000);
  expect_report(ALM_MISUSE_INTERIOR, "free", large + 50000, "50000 bytes");
  assert_null(alm_realloc(p + 16, 20));
  expect_report(ALM_MISUSE_INTERIOR, "realloc", p + 16, "16 bytes inside");
  assert_int_equal(alm_malloc_usable_size(large + 16), 0);
  expect_report(ALM_MISUSE_INTERIOR, "malloc_usable_size", large + 16, "");
  alm_free(p);
  alm_free(large);
  assert_int_equal(reports, 0);
}

static void double_free_is_reported(void **state) {
  (void)state;
  char *p = alm_malloc(48), *large = alm_malloc(100000),
       *huge = alm_malloc(5 << 20);
  alm_free(p);
  alm_free(p);
  expect_report(ALM_MISUSE_FREED, "free", p, "free already (48-byte object)");
  alm_free(large);
  alm_free(large);
  expect_report(ALM_MISUSE_FREED, "free", large, "free already");
  assert_null(alm_realloc(large, 5));
  expect_report(ALM_MISUSE_FREED, "realloc", large, "free already");
  alm_free(huge);
  alm_free(huge);
  expect_report(ALM_MISUSE_FREED, "free", huge, "free already");
  assert_ptr_not_equal(alm_malloc(48), alm_malloc(48));
}

static void late_double_free_is_reported_when_the_list_goes_home(void **state) {
  (void)state;
  enum { MANY = 3000 };
  static void *objects[MANY];
  for (int i = 0; i < MANY; i++) {
    objects[i] = alm_malloc(200);
  }
  alm_free(objects[0]);
  alm_free(objects[1]);
  alm_free(objects[0]); /* not the newest: nobody notices at once */
  alm_thread_flush();
  (void)alm_release_memory(0);
  expect_report(ALM_MISUSE_FREED, "free", objects[0], "208-byte object");
  for (int i = 2; i < MANY; i++) {
    alm_free(objects[i]);
  }
  (void)alm_release_memory(0);
}

static void wrong_sizes_are_reported_in_debug_builds(void **state) {
  (void)state;
  char *p = alm_malloc(100);
  if (!ALM_DEBUG) {
    alm_free_sized(p, 100);
    skip();
  }
  alm_free_sized(p, 113);
  expect_report(ALM_MISUSE_SIZE, "free_sized", p,
                "size 113 cannot be that of a 112-byte object");
  memset(p, 1, 112); /* it is still an object: the call did nothing */
  assert_ptr_not_equal(alm_malloc(100), p);
  alm_free_sized(p, 100);
  assert_int_equal(reports, 0);
  p = alm_aligned_alloc(64, 64);
  while ((uintptr_t)p % 4096 == 0) {
    p = alm_aligned_alloc(64, 64);
  }
  alm_free_aligned_sized(p, 4096, 64);
  expect_report(ALM_MISUSE_SIZE, "free_aligned_sized", p, "");
  alm_free_sized(NULL, 5);
  alm_free_aligned_sized(NULL, 16, 5);
}

static void double_free_in_child(void *arg) {
  alm_free(arg);
  alm_free(arg);
}

static void without_a_handler_the_report_aborts(void **state) {
  (void)state;
  void *p = alm_malloc(20);
  struct child c = child_run(double_free_in_child, p, NULL);
  char expected[100];
  snprintf(expected, sizeof expected,
           "almacen: free(%p): pointer is free already (32-byte object)\n", p);
  assert_true(child_aborted(&c));
  assert_string_equal(c.text, expected);
  alm_free(p);
}

/* ---- options, statistics, words ---------------------------------------- */

static void options_can_be_read_and_set(void **state) {
  (void)state;
  char text[32];
  assert_int_equal(alm_option_get("decay_ms", text, sizeof text), ALM_OK);
  assert_string_equal(text, "1400");
  assert_int_equal(alm_option_set("decay_ms", "99"), ALM_OK);
  assert_int_equal(alm_option_get("decay_ms", text, sizeof text), ALM_OK);
  assert_string_equal(text, "99");
  assert_int_equal(alm_option_set("decay_ms", "1400"), ALM_OK);
  assert_int_equal(alm_option_set("decay_ms", "x"), ALM_EVALUE);
  assert_int_equal(alm_option_set("seed", "1"), ALM_ELATE);
  assert_int_equal(alm_option_set("sede", "1"), ALM_ENAME);
}

static void every_error_has_a_sentence(void **state) {
  (void)state;
  for (int e = ALM_OK; e <= ALM_EPACKED; e++) {
    assert_true(strlen(alm_strerror((enum alm_err)e)) > 3);
    assert_string_not_equal(alm_strerror((enum alm_err)e),
                            alm_strerror((enum alm_err)1000));
  }
  assert_non_null(alm_strerror((enum alm_err) - 1));
  assert_string_equal(alm_version(), ALM_VERSION);
}

static void statistics_count_calls_by_class(void **state) {
  (void)state;
  struct alm_stats a, b;
  alm_stats_read(&a);
  void *p[100];
  for (int i = 0; i < 100; i++) {
    p[i] = alm_malloc(3000);
  }
  for (int i = 0; i < 60; i++) {
    alm_free(p[i]);
  }
  alm_stats_read(&b);
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    uint64_t allocs = b.classes[i].allocs - a.classes[i].allocs;
    uint64_t frees = b.classes[i].frees - a.classes[i].frees;
    bool is_it = b.classes[i].object_bytes == 3072;
    assert_int_equal(allocs, is_it ? 100 : 0);
    assert_int_equal(frees, is_it ? 60 : 0);
  }
  assert_true(b.heap_inuse_max >= b.heap_inuse);
  assert_true(b.heap_mapped >= b.heap_inuse);
  for (int i = 60; i < 100; i++) {
    alm_free(p[i]);
  }
}

static void release_memory_returns_all_but_what_is_to_be_kept(void **state) {
  (void)state;
  struct alm_stats s;
  char *p = alm_malloc(64 << 20);
  memset(p, 1, 64 << 20);
  alm_free(p);
  alm_stats_read(&s);
  assert_true(s.heap_free >= 64 << 20);
  assert_true(alm_release_memory(16 << 20) >= 48 << 20);
  alm_stats_read(&s);
  assert_true(s.heap_free <= 16 << 20);
  assert_true(s.heap_free >= (16 << 20) - (256 << 10));
  (void)alm_release_memory(0);
  alm_stats_read(&s);
  assert_int_equal(s.heap_free, 0);
  assert_int_equal(s.heap_mapped, s.heap_inuse);
  assert_true(s.released >= 64 << 20);
}

static size_t resident_bytes(void) {
  unsigned long size = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
  fclose(f);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Every second of many objects goes, and a large one comes: what is free beside
 * it is not kept. */
static void holes_between_objects_are_returned(void **state) {
  (void)state;
  enum { N = 1000, HOLE = 72 << 10, LARGE = 16 << 20 };
  static char *p[N];
  struct alm_stats s;
  (void)alm_release_memory(0);
  size_t before = resident_bytes();
  for (size_t i = 0; i < N; i++) {
    p[i] = alm_malloc(HOLE);
    assert_non_null(p[i]);
    memset(p[i], (int)i, HOLE);
  }
  for (size_t i = 0; i < N; i += 2) {
    alm_free(p[i]);
  }
  (void)alm_release_memory(0);
  char *large = alm_malloc(LARGE);
  assert_non_null(large);
  memset(large, 1, LARGE);
  size_t used = (size_t)N / 2 * HOLE + LARGE;
  alm_stats_read(&s);
  assert_true(s.heap_inuse >= used);
  assert_true(s.heap_mapped <= used + used / 10);
  if (!UNDER_ASAN && !UNDER_TSAN) { /* their shadow is resident as well */
    assert_true(resident_bytes() - before <= used + used / 10);
  }
  for (size_t i = 1; i < N; i += 2) {
    assert_int_equal(p[i][HOLE - 1], (char)i);
    alm_free(p[i]);
  }
  alm_free(large);
}

#define WITH_HANDLER(f)                                                        \
  cmocka_unit_test_setup_teardown(f, with_handler, without_handler)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_may_be_called_before_the_first_allocation),
      cmocka_unit_test(impossible_sizes_give_enomem),
      cmocka_unit_test(wrong_alignments_give_einval),
      cmocka_unit_test(errno_is_untouched_on_success),
      cmocka_unit_test(alignments_hold_for_all_sizes),
      cmocka_unit_test(malloc_aligns_to_sixteen_and_tiny_to_eight),
      cmocka_unit_test(page_functions_round_to_os_pages),
      cmocka_unit_test(realloc_of_null_and_to_zero),
      WITH_HANDLER(free_of_foreign_pointer_is_reported),
      WITH_HANDLER(free_of_interior_pointer_is_reported),
      WITH_HANDLER(double_free_is_reported),
      WITH_HANDLER(late_double_free_is_reported_when_the_list_goes_home),
      WITH_HANDLER(wrong_sizes_are_reported_in_debug_builds),
      cmocka_unit_test(without_a_handler_the_report_aborts),
      cmocka_unit_test(options_can_be_read_and_set),
      cmocka_unit_test(every_error_has_a_sentence),
      cmocka_unit_test(statistics_count_calls_by_class),
      cmocka_unit_test(release_memory_returns_all_but_what_is_to_be_kept),
      cmocka_unit_test(holes_between_objects_are_returned),
  };
  setenv("ALMACEN", "background=0", 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
