/* api/core.c: objects that a face deletes, and takes again: by whom, beside what,
 * by how many threads, in a child, without memory. */
#include "faults.h"

#include "face.h"
#include "os/os.h"

/* ---- deletion --------------------------------------------------------------------------- */

static void take_and_delete(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct thing *p = make_thing(m, i % THING_KINDS, 48, NULL);
    REQUIRE(p != NULL);
    delete_thing(m, p, true);
  }
  REQUIRE(stats(NULL).collections == 0);
  REQUIRE(stats(NULL).heap_bytes <= 3 * THING_KINDS * PAGE);
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
}

static void deleted_slots_are_taken_again(void **state) {
  (void)state;
  begin_things((struct alm_heap_options){0});
  by_thread(take_and_delete, rounds(1000000));
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* So that a slot which was handed out twice is noticed at check_thing. */
static void fill(struct alm_mutator *m, size_t bytes) {
  for (size_t i = 0; i < ROOTS / 2; i++) {
    if (t.roots[i] == NULL) {
      struct thing *p = make_thing(m, i % THING_KINDS, bytes, NULL);
      REQUIRE(p != NULL);
      t.roots[i] = p;
    }
  }
}

static void delete_every(struct alm_mutator *m, size_t nth) {
  for (size_t i = 0; i < ROOTS / 2; i += nth) {
    if (t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], true);
      t.roots[i] = NULL;
    }
  }
}

static void delete_beside_collections(struct alm_mutator *m, size_t bytes) {
  for (size_t i = 0; i < 12; i++) {
    fill(m, bytes);
    delete_every(m, 2 + i % 3);
    if (i % 4 != 3) {
      REQUIRE(alm_core.collect(m) == ALM_OK);
    }
    if (i % 3 == 0) {
      delete_every(m, 5); /* what is yet to be swept */
    }
    expect_things();
    require_visited(m, NOTHING_ELSE);
    if (i % 2) {
      alm_core.sweep(m);
    }
    REQUIRE(alm_heap_check(m));
  }
}

static void a_collection_between_two_deletions_loses_nothing(void **state) {
  (void)state;
  for (size_t bytes = 32; bytes <= 2048; bytes *= 8) {
    begin_things((struct alm_heap_options){.first_bytes = 64 * MIB});
    by_thread(delete_beside_collections, bytes);
    by_thread(delete_every, 1);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0);
    end();
  }
}

static void check_none(struct alm_mutator *m, size_t n) {
  (void)n;
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(stats(NULL).heap_bytes == 0);
}

static void who_frees_may_be_another_and_end(void **state) {
  (void)state;
  for (size_t bytes = 32; bytes <= 2048; bytes *= 8) {
    begin_things((struct alm_heap_options){0});
    by_thread(fill, bytes);
    by_thread(delete_every, 3);
    by_thread(fill, bytes);
    by_thread(delete_every, 1);
    by_thread(check_none, 0);
    end();
  }
}

/* ---- heaps with holes -------------------------------------------------------------------- */

enum { HOLE_THREADS = 4, HOLES = 20000 };

static void fill_with_ones(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t *p = take(m, plain(ALM_CONSERVATIVE, false), 48);
    REQUIRE(p != NULL && is_zero(p, 48));
    memset(p, 0xff, 48);
    if (i % 3 == 0 && i / 3 < ROOTS) {
      t.roots[i / 3] = p;
    }
  }
}

/* A list in the holes, each with its number and its thread's. */
static void take_holes(struct alm_mutator *m, size_t thread) {
  uint64_t *list = NULL, n = 0;
  for (size_t i = 0; i < rounds(HOLES * 4); i++) {
    uint64_t *p = take(m, plain(ALM_CONSERVATIVE, false), 48);
    REQUIRE(p != NULL && is_zero(p, 48));
    memset(p, 0xff, 48);
    p[0] = (uintptr_t)list;
    p[1] = thread;
    p[2] = ++n;
    list = n % 5000 != 0 ? p : NULL;
    n = list == NULL ? 0 : n;
    for (uint64_t *c = list, k = n; n % 1000 == 999 && c != NULL;
         c = (uint64_t *)c[0], k--) {
      REQUIRE(c[1] == thread && c[2] == k);
    }
  }
}

static void *take_holes_of(void *arg) {
  call_on_thread((struct call){take_holes, (uintptr_t)arg, true});
  return NULL;
}

static void short_runs_are_zero_and_handed_out_once(void **state) {
  (void)state;
  pthread_t threads[HOLE_THREADS];
  begin((struct alm_heap_options){.first_bytes = 1 * MIB});
  alm_core.set_percent(t.heap, 50);
  by_thread(fill_with_ones, HOLES);
  collected(1);
  for (uintptr_t i = 0; i < HOLE_THREADS; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, take_holes_of, (void *)i) == 0);
  }
  for (size_t i = 0; i < HOLE_THREADS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  REQUIRE(stats(NULL).collections > 1);
  for (size_t i = 0; i < ROOTS && t.roots[i] != NULL; i++) {
    const char *p = t.roots[i];
    REQUIRE(p[0] == (char)0xff && memcmp(p, p + 1, 47) == 0);
  }
  collected(1);
  end();
}

/* ---- everything at once ------------------------------------------------------------------------ */

enum { ACTORS = 4 };

static size_t thing_size(struct rng *r) {
  return rng_below(r, 100) == 0 ? 33000 + rng_below(r, 200000)
                                : rng_size(r, rng_below(r, 8) ? 300 : 32768);
}

/* Slots are exchanged, so a thing is in one thread's hands. */
static void act_once(struct alm_mutator *m, struct rng *r) {
  size_t i = rng_below(r, ROOTS);
  struct thing *p = atomic_exchange(&t.roots[i], NULL);
  if (p != NULL) {
    check_thing(p);
  }
  if (p != NULL && rng_below(r, 2)) {
    delete_thing(m, p, rng_below(r, 4) != 0);
    p = NULL;
  } else if (p == NULL) {
    struct thing *next = make_thing(m, NOSCAN, thing_size(r), NULL);
    REQUIRE(next != NULL);
    enum thing_kind kind = rng_below(r, THING_KINDS);
    p = make_thing(m, kind, thing_size(r), next);
    REQUIRE(p != NULL);
    if (p->next == NULL) {
      alm_core.del(t.heap, m, next);
    }
  } else if (p->bytes > 32768) {
    size_t bytes = p->bytes + rng_below(r, 4) * PAGE;
    if (alm_core.grow_large(t.heap, p, bytes, false)) {
      p->bytes = bytes;
      p->check = ((uint64_t *)p)[bytes / 8 - 1] = thing_check(p);
    }
  }
  if (p != NULL && (p = atomic_exchange(&t.roots[i], p)) != NULL) {
    delete_thing(m, p, true);
  }
}

static void count_one(const struct alm_core_object *o, void *n) {
  struct alm_core_object same;
  REQUIRE(alm_core.find(t.heap, o->base + o->bytes - 1, &same));
  REQUIRE(same.base == o->base && same.bytes == o->bytes);
  ++*(size_t *)n;
}

/* What the others have in hand is not known. */
static void visit_beside_others(struct alm_mutator *m) {
  size_t slots = 0, visited = 0;
  if (!alm_core.world_stop(m)) {
    return;
  }
  for (size_t i = 0; i < ROOTS; i++) {
    slots += t.roots[i] != NULL;
    REQUIRE(t.roots[i] == NULL || is_in_use(t.roots[i]));
  }
  alm_core.world_visit(t.heap, count_one, &visited);
  REQUIRE(visited >= slots);
  alm_core.world_start(m);
}

static void act(struct alm_mutator *m, size_t seed) {
  struct rng r = {seed};
  for (size_t i = 0; i < 3000; i++) {
    act_once(m, &r);
    switch (rng_below(&r, 600)) {
    case 0:
      (void)alm_core.collect(m);
      break;
    case 1:
      alm_core.sweep(m);
      break;
    case 2:
      REQUIRE(alm_heap_check(m));
      break;
    case 3:
      visit_beside_others(m);
      break;
    case 4: /* for now nothing is collected, or again */
      atomic_store(&t.is_shut, !atomic_load(&t.is_shut));
      break;
    default:
      break;
    }
  }
}

static uint64_t act_until;

static void *act_by_threads(void *seed) {
  for (size_t i = 0; now_ns() < act_until; i++) {
    by_thread(act, (uintptr_t)seed + i);
  }
  return NULL;
}

static void visit_all(struct alm_mutator *m, size_t visit) {
  expect_things();
  require_visited(m, (enum visit)visit);
}

static void delete_all(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < ROOTS; i++) {
    if (t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], (i + n) % 2);
      t.roots[i] = NULL;
    }
  }
}

static void threads_take_grow_and_delete_each_others_objects(void **state) {
  (void)state;
  pthread_t threads[ACTORS];
  uint64_t seed = seed_take();
  begin_things((struct alm_heap_options){.first_bytes = 2 * MIB});
  act_until = soak_end_ns(UNDER_TSAN || UNDER_ASAN ? 4000 : 2000);
  for (uintptr_t i = 0; i < ACTORS; i++) {
    void *arg = (void *)(seed * 1000 + i * 100000);
    REQUIRE(pthread_create(&threads[i], NULL, act_by_threads, arg) == 0);
  }
  for (size_t i = 0; i < ACTORS; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  atomic_store(&t.is_shut, false);
  by_thread(visit_all, NOTHING_ELSE);
  collected(1);
  by_thread(visit_all, NOTHING_ELSE);
  by_thread(delete_all, 0);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* ---- fork ------------------------------------------------------------------------------------------ */

static atomic_bool is_ready, is_over;

/* With half-used runs of all layouts, and objects that it has freed. */
static void stay(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    t.roots[i] = make_thing(m, i % THING_KINDS, 48, NULL);
    REQUIRE(t.roots[i] != NULL);
  }
  for (size_t i = 0; i < n; i += 7) {
    delete_thing(m, t.roots[i], true);
    t.roots[i] = NULL;
  }
  atomic_store(&is_ready, true);
  while (!atomic_load(&is_over)) {
    sleep_ms(1);
  }
}

static void *stay_until_told(void *arg) {
  by_thread(stay, (uintptr_t)arg);
  return NULL;
}

static void live_in_child(struct alm_mutator *m) {
  visit_all(m, ANYTHING);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  visit_all(m, ROOTS_TOO);
  fill(m, 200);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.sweep(m);
  visit_all(m, ROOTS_TOO);
  delete_all(m, 0);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.sweep(m);
  REQUIRE(alm_heap_check(m));
  visit_all(m, ROOTS_TOO);
  alm_core.detach(m);
  REQUIRE(stats(NULL).heap_bytes <= 2 * PAGE); /* of the two root layouts */
}

/* The other has collected, so that it has runs in spans of nobody, or not. */
static void fork_beside_another(struct alm_mutator *m, size_t collects) {
  pthread_t thread;
  int status;
  atomic_store(&is_ready, false);
  atomic_store(&is_over, false);
  REQUIRE(pthread_create(&thread, NULL, stay_until_told, (void *)500) == 0);
  while (!atomic_load(&is_ready)) {
    sleep_ms(1);
  }
  if (collects) {
    REQUIRE(alm_core.collect(m) == ALM_OK);
    if (collects > 1) {
      alm_core.sweep(m);
    }
  }
  t.roots[ROOTS - 1] = make_thing(m, PLAIN, 64, NULL);
  REQUIRE(t.roots[ROOTS - 1] != NULL);
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    support_in_child = true;
    alarm(60);
    live_in_child(m);
    _exit(0);
  }
  alm_blocked_begin(m);
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  atomic_store(&is_over, true);
  REQUIRE(pthread_join(thread, NULL) == 0);
  alm_blocked_end(m);
  delete_all(m, 0);
}

static void a_child_has_the_heap_and_no_other_thread(void **state) {
  (void)state;
  for (size_t collects = 0; collects < 3; collects++) {
    begin_things((struct alm_heap_options){.markers = 1});
    by_thread(fork_beside_another, collects);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0);
    end();
  }
}

/* ---- no memory --------------------------------------------------------------------------------------- */

static void use_while_refused(struct alm_mutator *m) {
  for (size_t i = 0; i < 600; i++) {
    enum thing_kind kind = i % THING_KINDS;
    bool is_made = thing_layouts[kind] != 0 || kind == NOSCAN;
    size_t bytes = i % 50 == 0 ? 40000 : i % 10 == 0 ? 9000 : 48;
    t.roots[i] = is_made ? make_thing(m, kind, bytes, NULL) : NULL;
    if (bytes == 40000 && t.roots[i] != NULL) {
      (void)alm_core.grow_large(t.heap, t.roots[i], 20 * bytes, true);
    }
    if (i % 30 == 7 && t.roots[i] != NULL) {
      delete_thing(m, t.roots[i], i % 2);
      t.roots[i] = NULL;
    }
    if (i % 200 == 150) {
      enum alm_err err = alm_core.collect(m);
      REQUIRE(err == ALM_OK || err == ALM_ENOMEM);
    }
    size_t record = (size_t)16 << (i % 16);
    char *p = alm_core.meta_alloc(record);
    REQUIRE(p == NULL || is_zero(p, record));
    if (p != NULL) {
      memset(p, 1, record);
      alm_core.meta_free(p, record);
    }
  }
}

static void use_again(struct alm_mutator *m) {
  visit_all(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  visit_all(m, NOTHING_ELSE);
  REQUIRE(alm_core.layouts(t.heap, ALM_TRACED, trace_thing, &trace_arg, true) !=
          0);
  REQUIRE(take(m, plain(ALM_NOSCAN, false), 100000) != NULL);
  delete_all(m, 0);
  REQUIRE(alm_heap_check(m));
}

static void use_with_fault(void *arg) {
  const struct fault *f = arg;
  struct alm_heap_options options = {.period_ms = ALM_NEVER};
  struct alm_mutator *m = NULL;
  alm_free(alm_malloc(1)); /* the start has tests of its own */
  (void)os_fault_set(f->call, f->nth, f->count);
  enum alm_err err = alm_core.heap_create(&options, &face, &t.heap);
  REQUIRE(err == ALM_OK || err == ALM_ENOMEM);
  if (err == ALM_OK) {
    err = alm_core.attach(t.heap, &m);
    REQUIRE(err == ALM_OK || (err == ALM_ENOMEM && m == NULL));
    set_thing_layouts();
    if (m != NULL) {
      use_while_refused(m);
    }
  }
  bool is_hit = fault_is_hit(f);
  if (t.heap == NULL) {
    begin_things(options);
  }
  REQUIRE(m != NULL || alm_core.attach(t.heap, &m) == ALM_OK);
  use_again(m);
  alm_core.detach(m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK && alm_check());
  fault_end(is_hit);
}

static void refuse_each(enum os_call call, uint64_t count) {
  fault_each(use_with_fault, call, count, "background=0,reserve=1G", NULL);
}

static void without_memory_calls_fail_and_nothing_is_lost(void **state) {
  (void)state;
  if (!ALM_DEBUG || UNDER_TSAN) {
    print_message("release builds have no fault injection, and TSan forbids\n"
                  "threads in children\n");
    skip();
  }
  static const enum os_call calls[] = {OS_RESERVE, OS_READY, OS_ALLOC,
                                       OS_THREAD};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    refuse_each(calls[i], 1);
    refuse_each(calls[i], UINT64_MAX);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_memory_calls_fail_and_nothing_is_lost),
      cmocka_unit_test(deleted_slots_are_taken_again),
      cmocka_unit_test(a_collection_between_two_deletions_loses_nothing),
      cmocka_unit_test(who_frees_may_be_another_and_end),
      cmocka_unit_test(short_runs_are_zero_and_handed_out_once),
      cmocka_unit_test(threads_take_grow_and_delete_each_others_objects),
      cmocka_unit_test(a_child_has_the_heap_and_no_other_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
