/* mem/metaalloc.c: storage of records. */
#include "support.h"

#include "mem/memstat.h"
#include "mem/metaalloc.h"
#include "os/os.h"

#include <pthread.h>

static bool is_zero(const unsigned char *p, size_t n) {
  return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static void fresh_records_are_zero_aligned_and_apart(void **state) {
  (void)state;
  struct meta_pool small = {48, NULL}, lined = {192, NULL};
  char *last = NULL;
  for (int i = 0; i < 3000; i++) {
    char *a = meta_take(&small), *b = meta_take(&lined);
    assert_true(a != NULL && b != NULL);
    assert_int_equal((uintptr_t)a % 16, 0);
    assert_int_equal((uintptr_t)b % 64, 0);
    assert_true(is_zero((void *)a, 48) && is_zero((void *)b, 192));
    assert_true(a + 48 <= b || b + 192 <= a);
    memset(a, 1, 48);
    memset(b, 2, 192);
    assert_true(last == NULL || last[47] == 1);
    last = a;
  }
}

static void returned_records_are_reused_by_their_own_pool(void **state) {
  (void)state;
  struct meta_pool one = {64, NULL}, other = {64, NULL};
  char *a = meta_take(&one), *b = meta_take(&one);
  a[63] = 'a';
  meta_return(&one, a);
  meta_return(&one, b);
  uint64_t before = memstat->metadata;
  assert_ptr_not_equal(meta_take(&other), a);
  assert_ptr_equal(meta_take(&one), b);
  assert_ptr_equal(meta_take(&one), a);
  assert_int_equal(a[63], 'a'); /* stays readable, stays the same */
  assert_int_equal(memstat->metadata, before + 64);
}

static void records_larger_than_a_chunk_are_possible(void **state) {
  (void)state;
  struct meta_pool big = {1 << 20, NULL};
  char *p = meta_take(&big);
  assert_non_null(p);
  p[(1 << 20) - 1] = 1;
}

static void a_refusal_gives_null_and_the_next_call_works(void **state) {
  (void)state;
  struct meta_pool big = {1 << 20, NULL};
  if (!ALM_DEBUG) {
    skip();
  }
  (void)os_fault_set(OS_ALLOC, 1, 1);
  assert_null(meta_take(&big));
  assert_non_null(meta_take(&big));
  (void)os_fault_set(OS_ALLOC, 0, 0);
}

static struct meta_pool shared = {32, NULL};

static void *take_and_return(void *arg) {
  uint64_t *mine[16] = {NULL};
  for (size_t i = 0; i < rounds(40000); i++) {
    uint64_t **at = &mine[i * 7 % 16];
    if (*at == NULL) {
      *at = meta_take(&shared);
      (*at)[1] = (uintptr_t)arg;
      (*at)[2] = i;
    } else {
      REQUIRE((*at)[1] == (uintptr_t)arg);
      meta_return(&shared, *at);
      *at = NULL;
    }
  }
  return NULL;
}

static void threads_never_share_a_record(void **state) {
  (void)state;
  pthread_t t[4];
  for (uintptr_t i = 0; i < 4; i++) {
    pthread_create(&t[i], NULL, take_and_return, (void *)(i + 1));
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(t[i], NULL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fresh_records_are_zero_aligned_and_apart),
      cmocka_unit_test(returned_records_are_reused_by_their_own_pool),
      cmocka_unit_test(records_larger_than_a_chunk_are_possible),
      cmocka_unit_test(a_refusal_gives_null_and_the_next_call_works),
      cmocka_unit_test(threads_never_share_a_record),
  };
  os_init();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
