/* The account of a heap against what the program knows of it. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>

enum { CELLS = 20000, RUN_BYTES = 8192, FEW = 60 };

struct cell {
  struct cell *next;
  uint64_t id;
  uint64_t more[2];
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
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static void make_list(size_t n) {
  struct cell *list = NULL;
  for (size_t i = 0; i < n; i++) {
    struct cell *c = alm_new(t.m, t.cell);
    REQUIRE(c != NULL);
    alm_store(t.m, c, &c->next, list);
    list = c;
  }
  alm_handle_set(t.root, list);
}

static struct alm_heap_stats now, before; /* not on the stack: it is scanned */

/* Read the account; what must hold of it at any time. */
static void take_account(void) {
  before = now;
  alm_heap_stats_read(t.heap, &now);
  REQUIRE(now.collections >= before.collections);
  REQUIRE(now.pause_ns >= before.pause_ns);
  REQUIRE(now.pause_ns_max >= before.pause_ns_max);
  REQUIRE(now.alloc_bytes >= before.alloc_bytes);
  REQUIRE(now.heap_bytes_max >= before.heap_bytes_max);
  REQUIRE(now.pause_ns >= now.pause_ns_max);
  REQUIRE(now.pause_ns_max >= now.pause_ns_last);
  REQUIRE((now.collections == 0) == (now.pause_ns == 0));
  REQUIRE(now.live_bytes <= now.heap_bytes_max);
  REQUIRE(now.live_objects * 16 <= now.live_bytes);
  REQUIRE(now.heap_bytes <= now.heap_bytes_max);
  REQUIRE(now.heap_bytes % 8192 == 0);
}

static void a_new_heap_has_an_empty_account(void) {
  memset(&now, 0, sizeof now);
  begin(NULL);
  take_account();
  REQUIRE(now.collections == 0 && now.live_bytes == 0 && now.alloc_bytes == 0);
  REQUIRE(now.heap_bytes == 0 && now.heap_bytes_max == 0);
  REQUIRE(now.mutators == 1 && now.finalizers_queued == 0);
  REQUIRE(now.goal_bytes == 4 << 20);
  end();
}

/* What was allocated, within a run; what is alive, within a few stale words. */
static void numbers_follow_what_is_allocated_and_kept(void) {
  static const uint64_t bytes = sizeof(struct cell);
  struct alm_heap_options options = {.first_bytes = 256 << 20};
  memset(&now, 0, sizeof now);
  begin(&options);
  for (uint64_t round = 1; round <= 5; round++) {
    take_account();
    deep(make_list, CELLS);
    take_account();
    uint64_t more = now.alloc_bytes - before.alloc_bytes;
    REQUIRE(more + RUN_BYTES >= CELLS * bytes);
    REQUIRE(more <= CELLS * bytes + RUN_BYTES);
    REQUIRE(now.heap_bytes >= CELLS * bytes);
    REQUIRE(now.collections == round - 1);
    scrub();
    uint64_t begin_ns = now_ns();
    REQUIRE(alm_collect(t.m) == ALM_OK);
    uint64_t took = now_ns() - begin_ns;
    take_account();
    REQUIRE(now.collections == round && now.pause_ns > before.pause_ns);
    REQUIRE(now.pause_ns - before.pause_ns == now.pause_ns_last);
    REQUIRE(now.pause_ns_last <= took);
    REQUIRE(now.live_objects >= CELLS && now.live_objects <= CELLS + FEW);
    REQUIRE(now.live_bytes >= CELLS * bytes);
    REQUIRE(now.live_bytes <= (CELLS + FEW) * bytes);
    REQUIRE(now.alloc_bytes == before.alloc_bytes);
    REQUIRE(alm_sweep(t.m) == ALM_OK);
    take_account();
    REQUIRE(now.heap_bytes <= CELLS * bytes + (1 << 20));
  }
  end();
}

/* The heap's spans are the process's, when there is nothing else. */
static void the_heaps_together_are_the_process(void) {
  struct alm_stats before_all, all;
  struct alm_heap *heaps[3];
  alm_thread_flush();
  alm_stats_read(&before_all);
  uint64_t sum = 0;
  for (size_t i = 0; i < 3; i++) {
    begin(NULL);
    deep(make_list, CELLS * (i + 1));
    alm_heap_stats_read(t.heap, &now);
    sum += now.heap_bytes;
    heaps[i] = t.heap;
    alm_mutator_detach(t.m);
    alm_heap_stats_read(t.heap, &now);
    REQUIRE(now.mutators == 0);
  }
  alm_stats_read(&all);
  REQUIRE(all.heap_inuse - before_all.heap_inuse <= sum);
  REQUIRE(all.heap_inuse - before_all.heap_inuse + (64 << 10) >= sum);
  for (size_t i = 0; i < 3; i++) {
    REQUIRE(alm_heap_destroy(heaps[i]) == ALM_OK);
  }
  alm_thread_flush();
  alm_stats_read(&all);
  REQUIRE(all.heap_inuse == before_all.heap_inuse);
}

static void the_goal_follows_what_is_alive(void) {
  static const unsigned percents[] = {0, 50, 100, 400};
  for (size_t i = 0; i < 4; i++) {
    struct alm_heap_options options = {.gc_percent = percents[i],
                                       .first_bytes = 1 << 20};
    memset(&now, 0, sizeof now);
    begin(&options);
    for (size_t n = 1000; n <= 128000; n *= 2) {
      deep(make_list, n);
      REQUIRE(alm_collect(t.m) == ALM_OK);
      take_account();
      uint64_t percent = percents[i] ? percents[i] : 75;
      uint64_t more = now.live_bytes * percent / 100;
      uint64_t least = now.live_bytes + more, most = now.live_bytes + 3 * more;
      most = before.goal_bytes < most ? before.goal_bytes : most; /* held */
      most = most > least ? most : least;
      REQUIRE(now.goal_bytes + 1 >= least || now.goal_bytes >= 1 << 20);
      REQUIRE(now.goal_bytes <= most + (1 << 20));
    }
    end();
  }
}

/* Others may read it while the heap changes. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static bool is_over;

static void *read_on(void *unused) {
  struct alm_heap_stats last = {.collections = 0}, s;
  (void)unused;
  for (;;) {
    pthread_mutex_lock(&turn);
    bool over = is_over;
    pthread_mutex_unlock(&turn);
    if (over) {
      return NULL;
    }
    alm_heap_stats_read(t.heap, &s);
    REQUIRE(s.collections >= last.collections && s.pause_ns >= last.pause_ns);
    REQUIRE(s.pause_ns >= s.pause_ns_max && s.mutators == 1);
    REQUIRE(s.heap_bytes <= s.heap_bytes_max);
    last = s;
  }
}

static void others_may_read_the_account(void) {
  pthread_t reader;
  struct alm_heap_options options = {.first_bytes = 256 << 10};
  begin(&options);
  is_over = false;
  REQUIRE(pthread_create(&reader, NULL, read_on, NULL) == 0);
  for (size_t i = 0; i < rounds(100); i++) {
    deep(make_list, CELLS);
  }
  pthread_mutex_lock(&turn);
  is_over = true;
  pthread_mutex_unlock(&turn);
  REQUIRE(pthread_join(reader, NULL) == 0);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(a_new_heap_has_an_empty_account),
      ON_ITS_OWN_STACK(numbers_follow_what_is_allocated_and_kept),
      ON_ITS_OWN_STACK(the_heaps_together_are_the_process),
      ON_ITS_OWN_STACK(the_goal_follows_what_is_alive),
      ON_ITS_OWN_STACK(others_may_read_the_account),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
