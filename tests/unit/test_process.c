/* api/process.c: the library's start, threads' ends, fork. */
#include "support.h"

#include "almacen.h"
#include "api/process.h"
#include "mem/memstat.h"

#include <pthread.h>

static struct alm_stats read_stats(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  return s;
}

static void start_twice(void *arg) {
  (void)arg;
  REQUIRE(thread_cache == &cache_empty);
  errno = 33;
  REQUIRE(process_start() && process_start());
  REQUIRE(errno == 33);
  REQUIRE(thread_cache == &cache_empty);
  struct cache *c = process_thread_attach();
  REQUIRE(c != NULL && c == thread_cache && c == process_thread_attach());
  REQUIRE(read_stats().threads == 1);
}

static void a_thread_has_its_cache_from_its_first_need(void **state) {
  (void)state;
  child_must_pass(start_twice, NULL, NULL);
}

static void *start_by_calling(void *arg) {
  pthread_barrier_wait(arg);
  void *p = alm_malloc(100);
  REQUIRE(p != NULL);
  memset(p, 1, 100);
  return p;
}

static void start_in_many_threads(void *arg) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  pthread_barrier_t barrier;
  void *objects[THREADS];
  (void)arg;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    REQUIRE(!pthread_create(&threads[i], NULL, start_by_calling, &barrier));
  }
  for (int i = 0; i < THREADS; i++) {
    REQUIRE(!pthread_join(threads[i], &objects[i]));
    for (int k = 0; k < i; k++) {
      REQUIRE(objects[i] != objects[k]);
    }
  }
  REQUIRE(read_stats().threads == THREADS);
  REQUIRE(alm_check());
}

static void many_threads_may_start_it_together(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    child_must_pass(start_in_many_threads, NULL, NULL);
  }
}

static void *allocate_and_leave(void *arg) {
  (void)arg;
  for (size_t size = 1; size < 200000; size += size / 3 + 1) {
    void *p = alm_malloc(size);
    REQUIRE(p != NULL);
    alm_free(p);
  }
  return NULL;
}

static void end_threads(void *arg) {
  (void)arg;
  (void)alm_malloc(1);
  alm_thread_flush();
  (void)alm_release_memory(0);
  uint64_t before = read_stats().heap_inuse;
  uint64_t metadata = read_stats().metadata;
  for (int i = 0; i < 50; i++) {
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, allocate_and_leave, NULL) == 0);
    REQUIRE(pthread_join(t, NULL) == 0);
    if (i == 0) {
      metadata = read_stats().metadata; /* one cache, from now on reused */
    }
  }
  (void)alm_release_memory(0);
  struct alm_stats s = read_stats();
  REQUIRE(s.heap_inuse == before);
  REQUIRE(s.metadata <= metadata + 4096);
  REQUIRE(s.threads == 51);
  REQUIRE(alm_check());
}

static void a_thread_that_ends_gives_everything_back(void **state) {
  (void)state;
  child_must_pass(end_threads, NULL, "background=0");
}

static pthread_key_t late_key;

/* Comes again in every round; its cache is gone after the first. */
static void allocate_late(void *arg) {
  uintptr_t round = (uintptr_t)arg;
  void *objects[100];
  for (size_t i = 0; i < 100; i++) {
    objects[i] = alm_malloc(i * 50);
    REQUIRE(objects[i] != NULL);
    stamp_write(objects[i], i * 50, i);
  }
  char *grown = alm_realloc(alm_calloc(10, 100), 5000);
  REQUIRE(grown != NULL && grown[999] == 0);
  void *large = alm_malloc(100000);
  REQUIRE(large != NULL);
  alm_free(large);
  alm_free(grown);
  for (size_t i = 0; i < 100; i++) {
    REQUIRE(stamp_holds(objects[i], i * 50, i * 50, i));
    alm_free(objects[i]);
  }
  if (round < 4) {
    pthread_setspecific(late_key, (void *)(round + 1));
  }
}

static void *end_late(void *arg) {
  pthread_setspecific(late_key, (void *)1);
  if (arg != NULL) {
    alm_free(alm_malloc(10)); /* else its first use is in a destructor */
  }
  return NULL;
}

static void late_destructors(void *arg) {
  (void)arg;
  REQUIRE(pthread_key_create(&late_key, allocate_late) == 0);
  allocate_late((void *)4); /* TSan dies of a first release store that late */
  for (uintptr_t i = 0; i < 20; i++) {
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, end_late, (void *)(i % 2)) == 0);
    REQUIRE(pthread_join(t, NULL) == 0);
    REQUIRE(alm_check());
  }
  (void)alm_release_memory(0);
  struct alm_stats s = read_stats();
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    REQUIRE(s.classes[i].allocs == s.classes[i].frees);
  }
  REQUIRE(s.heap_inuse == 0);
}

static void tls_destructors_may_allocate_in_every_round(void **state) {
  (void)state;
  child_must_pass(late_destructors, NULL, "background=0");
}

/* Free something twice through the shared cache. */
static void free_twice_late(void *arg) {
  alm_free(arg);
  alm_free(arg);
}

static void *end_with_double_free(void *arg) {
  pthread_setspecific(late_key, arg);
  return NULL;
}

static void late_double_free(void *arg) {
  pthread_key_t first;
  pthread_t t;
  (void)arg;
  void *p = alm_malloc(100);
  REQUIRE(pthread_key_create(&first, NULL) == 0);
  REQUIRE(pthread_key_create(&late_key, free_twice_late) == 0);
  REQUIRE(pthread_create(&t, NULL, end_with_double_free, p) == 0);
  pthread_join(t, NULL);
}

static void a_double_free_at_the_end_of_a_thread_is_reported(void **state) {
  (void)state;
  struct child c = child_run(late_double_free, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "pointer is free already (128-byte object)"));
}

static void fork_and_count(void *arg) {
  (void)arg;
  static void *kept[300];
  for (int i = 0; i < 300; i++) {
    kept[i] = alm_malloc(1000);
  }
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  struct alm_stats s = read_stats();
  unsigned class = sizeclass_for(1000);
  if (pid == 0) {
    REQUIRE(s.classes[class].inherited + s.classes[class].allocs -
                s.classes[class].frees ==
            300);
    for (int i = 0; i < 300; i++) {
      alm_free(kept[i]);
    }
    s = read_stats();
    REQUIRE(s.classes[class].inherited + s.classes[class].allocs ==
            s.classes[class].frees);
    (void)alm_release_memory(0);
    REQUIRE(read_stats().classes[class].spans == 0);
    REQUIRE(alm_check());
    _exit(0);
  }
  REQUIRE(s.classes[class].allocs == 300 && s.classes[class].inherited == 0);
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static void a_child_inherits_objects_and_counts_from_zero(void **state) {
  (void)state;
  child_must_pass(fork_and_count, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_thread_has_its_cache_from_its_first_need),
      cmocka_unit_test(many_threads_may_start_it_together),
      cmocka_unit_test(a_thread_that_ends_gives_everything_back),
      cmocka_unit_test(tls_destructors_may_allocate_in_every_round),
      cmocka_unit_test(a_double_free_at_the_end_of_a_thread_is_reported),
      cmocka_unit_test(a_child_inherits_objects_and_counts_from_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
