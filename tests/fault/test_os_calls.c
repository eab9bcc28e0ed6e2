/* Every call to the OS fails at its 1st, 2nd, 3rd ... use in a scenario that
 * uses all of the allocator, until the scenario passes without a failure
 * being hit. Each run is a process of its own, because the library's start
 * is part of it. Out of memory is an answer; nothing may be lost. */
#include "faults.h"

#include "almacen.h"
#include "os/os.h"

#include <dirent.h>
#include <pthread.h>

enum { SLOTS = 300, THREADS = 12 };

struct slot {
  char *p;
  size_t size;
  uint64_t tag;
};

static struct slot slots[SLOTS];
static uint64_t next_tag = 1;
static bool must_succeed; /* no fault is set any more */

/* Remember p, which NULL may be while faults are on. */
static void put(struct slot *s, void *p, size_t size) {
  REQUIRE(p != NULL || (errno == ENOMEM && !must_succeed));
  if (p != NULL) {
    *s = (struct slot){p, size, next_tag++};
    stamp_write(p, size, s->tag);
  }
}

static void drop(struct slot *s) {
  if (s->p != NULL) {
    REQUIRE(stamp_holds(s->p, s->size, s->size, s->tag));
    alm_free(s->p);
    s->p = NULL;
  }
}

static void change(struct slot *s, size_t size) {
  if (s->p == NULL) {
    return;
  }
  errno = 0;
  char *q = alm_realloc(s->p, size);
  if (q == NULL) { /* the old one is untouched */
    REQUIRE(errno == ENOMEM && !must_succeed);
    REQUIRE(stamp_holds(s->p, s->size, s->size, s->tag));
    return;
  }
  REQUIRE(stamp_holds(q, s->size, min_size(s->size, size), s->tag));
  put(s, q, size);
}

static void fill_slots(struct rng *r) {
  for (size_t i = 0; i < SLOTS; i++) {
    size_t size = i % 20 ? rng_size(r, 40000) : rng_size(r, 3 << 20);
    drop(&slots[i]);
    errno = 0;
    switch (i % 4) {
    case 0: {
      unsigned char *p = alm_calloc(1, size);
      REQUIRE(p == NULL || size == 0 ||
              (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0));
      put(&slots[i], p, size);
      break;
    }
    case 1:
      put(&slots[i], alm_aligned_alloc((size_t)64 << (i % 10), size), size);
      break;
    default:
      put(&slots[i], alm_malloc(size), size);
      break;
    }
  }
}

static void change_slots(struct rng *r) {
  for (size_t i = 0; i < SLOTS; i += 3) {
    change(&slots[i], 1 + rng_size(r, i % 5 ? 60000 : 4 << 20));
  }
}

/* Growth by moving, onto pages that are not there yet: there is no hole of
 * this size, so that the four lie in a row. */
static void move_pages(void) {
  enum { BYTES = 9 << 17 };
  struct slot row[4] = {{NULL, 0, 0}};
  (void)alm_release_memory(0);
  for (size_t i = 0; i < 4; i++) {
    errno = 0;
    put(&row[i], alm_malloc(BYTES), BYTES);
  }
  for (size_t i = 0; i < 3; i++) {
    change(&row[i], BYTES + (1 << 19));
  }
  for (size_t i = 0; i < 4; i++) {
    drop(&row[i]);
  }
}

/* As many spans as fill a piece of metadata; nothing is written to them. */
static void hold_many_spans(void) {
  static void *held[5000];
  for (size_t i = 0; i < 5000; i++) {
    errno = 0;
    held[i] = alm_malloc(PAGE_BYTES);
    REQUIRE(held[i] != NULL || (errno == ENOMEM && !must_succeed));
  }
  for (size_t i = 0; i < 5000; i++) {
    alm_free(held[i]);
  }
}

static pthread_barrier_t all_here;

/* Threads live together, so that each has a cache of its own. */
static void *work_in_thread(void *arg) {
  struct rng r = {(uintptr_t)arg};
  struct slot mine[40] = {{NULL, 0, 0}};
  for (size_t i = 0; i < 150; i++) {
    struct slot *s = &mine[rng_below(&r, 40)];
    if (s->p != NULL) {
      REQUIRE(stamp_holds(s->p, s->size, s->size, s->tag));
      alm_free(s->p);
      s->p = NULL;
      continue;
    }
    size_t size = rng_size(&r, 40000);
    errno = 0;
    s->p = alm_malloc(size);
    REQUIRE(s->p != NULL || (errno == ENOMEM && !must_succeed));
    if (s->p != NULL) {
      s->size = size;
      s->tag = i;
      stamp_write(s->p, size, i);
    }
  }
  (void)pthread_barrier_wait(&all_here);
  for (size_t i = 0; i < 40; i++) {
    drop(&mine[i]);
  }
  return NULL;
}

static void use_threads(void) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&all_here, NULL, THREADS);
  for (uintptr_t i = 0; i < THREADS; i++) {
    REQUIRE(!pthread_create(&threads[i], NULL, work_in_thread, (void *)i));
  }
  for (size_t i = 0; i < THREADS; i++) {
    REQUIRE(!pthread_join(threads[i], NULL));
  }
}

static struct fault fault;

/* Returns whether the fault was hit in the child. */
static bool use_fork(void) {
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    for (size_t i = 0; i < SLOTS; i++) {
      drop(&slots[i]);
    }
    REQUIRE(alm_check());
    fault_end(fault_is_hit(&fault));
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_NOT_HIT);
  return WEXITSTATUS(status) == 0;
}

static bool use_everything(struct rng *r) {
  fill_slots(r);
  REQUIRE(alm_check());
  change_slots(r);
  move_pages();
  (void)alm_release_memory(4 << 20);
  hold_many_spans();
  use_threads();
  bool is_hit = use_fork();
  fill_slots(r);
  REQUIRE(alm_check());
  return is_hit;
}

static void free_everything(void) {
  for (size_t i = 0; i < SLOTS; i++) {
    drop(&slots[i]);
  }
  alm_thread_flush();
  (void)alm_release_memory(0);
  REQUIRE(alm_check());
}

static void nothing_may_be_left(void) {
  struct alm_stats s;
  alm_stats_read(&s);
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    REQUIRE(s.classes[i].allocs == s.classes[i].frees);
    REQUIRE(s.classes[i].alloc_bytes == s.classes[i].free_bytes);
  }
  REQUIRE(s.heap_inuse == 0);
}

static void scenario(void *arg) {
  const struct fault *f = arg;
  fault = *f;
  struct rng r = {1};
  (void)os_fault_set(f->call, f->nth, f->count);
  if (f->call == OS_THREAD) {
    alm_free(alm_malloc(1));
    sleep_ms(120); /* younger processes start none */
  }
  bool is_hit = use_everything(&r);
  free_everything();
  is_hit |= fault_is_hit(&fault);
  must_succeed = true; /* the allocator goes on */
  (void)use_everything(&r);
  free_everything();
  (void)alm_background_stop();
  nothing_may_be_left();
  fault_end(is_hit);
}

static char folder[] = "records.XXXXXX";

static void remove_records(void) {
  DIR *d = opendir(folder);
  for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    unlink(path);
  }
  closedir(d);
}

static void fail_each(enum os_call call, uint64_t count) {
  if (!ALM_DEBUG) {
    skip();
  }
  char options[64];
  snprintf(options, sizeof options, "background=%d,record=%s",
           call == OS_THREAD, folder);
  fault_each(scenario, call, count, options, remove_records);
}

#define TESTS_OF(call, name)                                                   \
  static void one_failure_to_##name(void **state) {                            \
    (void)state;                                                               \
    fail_each(call, 1);                                                        \
  }                                                                            \
  static void lasting_failure_to_##name(void **state) {                        \
    (void)state;                                                               \
    fail_each(call, UINT64_MAX);                                               \
  }

TESTS_OF(OS_RESERVE, reserve_addresses)
TESTS_OF(OS_READY, make_pages_ready)
TESTS_OF(OS_ALLOC, get_metadata)
TESTS_OF(OS_RELEASE, release_pages)
TESTS_OF(OS_MOVE, move_pages)
TESTS_OF(OS_FILE, make_the_record)
TESTS_OF(OS_THREAD, start_the_background_thread)

static int start(void **state) {
  (void)state;
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int finish(void **state) {
  (void)state;
  return rmdir(folder);
}

#define BOTH(name)                                                             \
  cmocka_unit_test(one_failure_to_##name),                                     \
      cmocka_unit_test(lasting_failure_to_##name)

int main(void) {
  const struct CMUnitTest tests[] = {
      BOTH(reserve_addresses),
      BOTH(make_pages_ready),
      BOTH(get_metadata),
      BOTH(release_pages),
      BOTH(move_pages),
      BOTH(make_the_record),
      BOTH(start_the_background_thread),
  };
  if (!ALM_DEBUG) {
    print_message("release builds have no fault injection\n");
    return SKIPPED;
  }
  if (UNDER_TSAN) {
    print_message("its runtime forbids threads in children, and takes a\n"
                  "second for each refused reservation\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, start, finish);
}
