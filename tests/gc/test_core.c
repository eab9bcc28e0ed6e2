/* api/core.c: the table that a face calls the core by: layouts, marking, large
 * objects, callbacks, threads, settings. */
#include "support.h"

#include "face.h"
#include "gc/idle.h"
#include "os/os.h"

/* ---- root layouts ------------------------------------------------------------------ */

static const size_t sizes[] = {16, 48, 512, 8000, 32768, 100000};
enum { SIZES = sizeof sizes / sizeof sizes[0], OF_EACH = 20 };

/* hidden[i] is a root, and its last word refers to hidden_too[i]. */
static void make_roots(struct alm_mutator *m, size_t kind) {
  uint32_t roots = plain((enum alm_kind)kind, true);
  uint32_t children = plain(ALM_CONSERVATIVE, false);
  REQUIRE(roots != 0);
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    size_t bytes = sizes[i % SIZES];
    void **root = take(m, roots, bytes);
    uint64_t *child = take(m, children, 32);
    REQUIRE(root != NULL && child != NULL);
    child[0] = i;
    root[0] = (void *)(i + 1);
    root[bytes / 8 - 1] = child;
    hidden[i] = root;
    hidden_too[i] = child;
  }
}

static void check_roots(struct alm_mutator *m, size_t kind) {
  (void)m;
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    struct alm_core_object o;
    void **root = hidden[i];
    REQUIRE(alm_core.find(t.heap, root, &o) && o.base == (char *)root);
    REQUIRE(o.is_root && o.is_swept && o.kind == (enum alm_kind)kind);
    REQUIRE(o.bytes >= sizes[i % SIZES] && o.slot_bytes >= o.bytes);
    REQUIRE(root[0] == (void *)(i + 1));
    REQUIRE(root[sizes[i % SIZES] / 8 - 1] == hidden_too[i]);
    if (kind == ALM_CONSERVATIVE) {
      REQUIRE(is_in_use(hidden_too[i]) && *(uint64_t *)hidden_too[i] == i);
    } else {
      REQUIRE(!is_in_use(hidden_too[i]));
    }
  }
}

static void delete_roots(struct alm_mutator *m, size_t with_mutator) {
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    alm_core.del(t.heap, with_mutator ? m : NULL, hidden[i]);
  }
}

static void roots_live_until_they_are_deleted(void **state) {
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    enum alm_kind kind = i < 2 ? ALM_CONSERVATIVE : ALM_NOSCAN;
    begin((struct alm_heap_options){0});
    by_thread(make_roots, kind);
    collected(2);
    by_thread(check_roots, kind);
    by_thread(delete_roots, i % 2);
    collected(1);
    REQUIRE(stats(NULL).heap_bytes == 0 && stats(NULL).live_bytes == 0);
    end();
  }
}

/* ---- trace functions ----------------------------------------------------------------- */

static atomic_size_t ntraced, traced_bytes;

/* The second word is a pointer, and no other. */
static void trace_second(void *arg, void *object, size_t bytes,
                         struct alm_visitor *v) {
  REQUIRE(arg == &trace_arg);
  atomic_fetch_add(&ntraced, 1);
  atomic_fetch_add(&traced_bytes, bytes);
  alm_visit(v, ((void **)object)[1]);
}

static size_t nbytes_made;

static void make_traced(struct alm_mutator *m, size_t is_root) {
  uint32_t traced =
      alm_core.layouts(t.heap, ALM_TRACED, trace_second, &trace_arg, is_root);
  REQUIRE(traced != 0);
  nbytes_made = 0;
  for (size_t i = 0; i < SIZES * OF_EACH; i++) {
    struct alm_core_object o;
    void **object = take(m, traced, sizes[i % SIZES]);
    REQUIRE(object != NULL);
    for (size_t k = 0; k < 2; k++) {
      void *child = take(m, plain(ALM_NOSCAN, false), 24);
      REQUIRE(child != NULL);
      object[k] = child;
      (k == 0 ? hidden : hidden_too)[i] = child;
    }
    REQUIRE(alm_core.find(t.heap, object, &o) && o.arg == &trace_arg);
    REQUIRE(o.kind == ALM_TRACED && o.is_root == is_root);
    nbytes_made += o.bytes;
    if (!is_root) {
      t.roots[i] = object;
    }
  }
}

static void check_traced(struct alm_mutator *m, size_t n) {
  (void)m;
  for (size_t i = 0; i < n; i++) {
    REQUIRE(!is_in_use(hidden[i]) && is_in_use(hidden_too[i]));
  }
}

static void a_trace_function_gets_its_argument_and_the_bytes(void **state) {
  (void)state;
  for (size_t is_root = 0; is_root < 2; is_root++) {
    begin((struct alm_heap_options){.first_bytes = 64 * MIB});
    by_thread(make_traced, is_root);
    atomic_store(&ntraced, 0);
    atomic_store(&traced_bytes, 0);
    collected(1);
    size_t times = ntraced / (SIZES * OF_EACH);
    REQUIRE(times == (ALM_TORTURE ? 2 : 1)); /* marked again, to compare */
    REQUIRE(ntraced == times * SIZES * OF_EACH);
    REQUIRE(traced_bytes == times * nbytes_made);
    by_thread(check_traced, SIZES * OF_EACH);
    end();
  }
}

static void fill_layouts(struct alm_mutator *m, size_t n) {
  (void)n;
  unsigned made = 0;
  for (uint32_t first;
       (first = alm_core.layouts(t.heap, ALM_TRACED, trace_second, &trace_arg,
                                 made % 2)) != 0;
       made++) {
    void **object = take(m, first, 64);
    REQUIRE(object != NULL && is_zero(object, 64));
    t.roots[made] = object;
  }
  REQUIRE(made >= 16 && made < ROOTS);
  REQUIRE(plain(ALM_NOSCAN, true) == 0);
  REQUIRE(plain(ALM_CONSERVATIVE, false) != 0);
}

static void too_many_layouts_are_refused(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(fill_layouts, 0);
  collected(1);
  end();
}

/* ---- pointers to first bytes -------------------------------------------------------- */

enum { OFFSETS = 4, REFERENCES = OFFSETS * 50 };
static const size_t offsets[OFFSETS] = {0, 8, 24, 56};

/* Each child of a cell is referred to at one of the offsets: from an object
 * or, `from_roots`, by the face's range. */
static void refer(struct alm_mutator *m, size_t from_roots) {
  void **holder = take(m, plain(ALM_CONSERVATIVE, false), REFERENCES * 8);
  REQUIRE(holder != NULL);
  t.roots[ROOTS - 1] = holder;
  for (size_t i = 0; i < REFERENCES; i++) {
    size_t bytes = i % 10 == 9 ? 50000 : 64;
    char *child = take(m, plain(ALM_NOSCAN, false), bytes);
    REQUIRE(child != NULL);
    hidden[i] = child;
    if (from_roots) {
      t.roots[i] = child + offsets[i % OFFSETS];
    } else {
      holder[i] = child + offsets[i % OFFSETS];
    }
  }
}

static void check_referred(struct alm_mutator *m, size_t alive) {
  (void)m;
  for (size_t i = 0; i < REFERENCES; i++) {
    REQUIRE(is_in_use(hidden[i]) == ((alive >> (i % OFFSETS)) & 1));
  }
}

static void pointers_to_first_bytes_and_displacements_count(void **state) {
  (void)state;
  static const struct {
    bool at_first, then, from_roots, roots_base_only;
    size_t displacement;
    unsigned alive; /* bit i: at offsets[i] */
  } cases[] = {
      {false, false, false, false, 0, 15}, {true, true, false, false, 0, 1},
      {true, false, false, false, 0, 15},  {false, true, false, false, 0, 1},
      {true, true, false, false, 24, 5},   {true, true, true, false, 0, 15},
      {false, false, true, true, 0, 1},    {false, false, true, true, 56, 9},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    begin((struct alm_heap_options){.base_pointers_only = cases[i].at_first});
    by_thread(refer, cases[i].from_roots);
    alm_core.set_base_only(t.heap, cases[i].then);
    t.is_base_only = cases[i].roots_base_only;
    REQUIRE(alm_core.is_displacement(t.heap, 0));
    if (cases[i].displacement != 0) {
      REQUIRE(!alm_core.is_displacement(t.heap, cases[i].displacement));
      alm_core.add_displacement(t.heap, cases[i].displacement);
      REQUIRE(alm_core.is_displacement(t.heap, cases[i].displacement));
    }
    alm_core.add_displacement(t.heap, (size_t)1 << 40); /* too far: ignored */
    REQUIRE(!alm_core.is_displacement(t.heap, (size_t)1 << 40));
    collected(1);
    by_thread(check_referred, cases[i].alive);
    end();
  }
}

/* ---- large objects -------------------------------------------------------------------- */

static void take_dirty(struct alm_mutator *m, size_t bytes) {
  uint32_t noscan = plain(ALM_NOSCAN, false);
  for (unsigned i = 0; i < 20; i++) {
    struct alm_core_object o;
    char *p = alm_core.take_large(m, noscan, bytes, i % 2);
    REQUIRE(p != NULL && alm_core.find(t.heap, p + bytes - 1, &o));
    REQUIRE(o.base == p && o.bytes >= bytes && o.bytes % PAGE == 0);
    REQUIRE(o.slot_bytes == o.bytes && o.kind == ALM_NOSCAN);
    REQUIRE(i % 2 == 0 || is_zero(p, o.bytes));
    memset(p, 0xff, o.bytes);
    alm_core.del(t.heap, m, p);
    REQUIRE(!alm_core.find(t.heap, p, &o));
    REQUIRE(stats(NULL).heap_bytes == 0);
  }
  REQUIRE(alm_core.take_large(m, noscan, SIZE_MAX, true) == NULL);
  REQUIRE(alm_core.take_large(m, noscan, PTRDIFF_MAX, true) == NULL);
  REQUIRE(alm_core.take_large(m, noscan, (size_t)1 << 46, true) == NULL);
  REQUIRE(alm_heap_check(m));
}

static void large_objects_are_zeroed_when_that_is_asked_for(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(take_dirty, 40000);
  by_thread(take_dirty, 3 * MIB + 1);
  end();
}

enum { LARGE = 5 * PAGE };

/* Two large objects of which the second begins where the first ends. */
static char *neighbours(struct alm_mutator *m) {
  char *last = NULL;
  for (unsigned i = 0; i < 64; i++) {
    char *p =
        alm_core.take_large(m, plain(ALM_CONSERVATIVE, false), LARGE, true);
    REQUIRE(p != NULL);
    t.roots[i] = p;
    if (last != NULL && last + LARGE == p) {
      stamp_write(last, LARGE, 7);
      memset(p, 0xff, LARGE);
      return last;
    }
    last = p;
  }
  REQUIRE(!"neighbours");
  return NULL;
}

static void grow(struct alm_mutator *m, size_t is_zeroed) {
  struct alm_core_object o;
  struct alm_core_stats before, after;
  char *p = neighbours(m);
  enum { MORE = 3 * PAGE };
  uint64_t bytes = stats(&before).heap_bytes;
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + MORE, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p + PAGE, LARGE + MORE, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p, SIZE_MAX, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, p, (size_t)1 << 46, is_zeroed));
  REQUIRE(!alm_core.grow_large(t.heap, &o, LARGE, is_zeroed));
  REQUIRE(stats(NULL).heap_bytes == bytes && alm_heap_check(m));
  alm_core.del(t.heap, m, p + LARGE);
  bytes = stats(&before).heap_bytes;
  alm_core.set_limit(t.heap, bytes + MORE - 1);
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + MORE, is_zeroed));
  alm_core.set_limit(t.heap, bytes + MORE);
  REQUIRE(alm_core.grow_large(t.heap, p, LARGE + MORE - 100, is_zeroed));
  alm_core.set_limit(t.heap, 0);
  REQUIRE(stats(&after).heap_bytes == bytes + MORE);
  REQUIRE(after.since_bytes == before.since_bytes + MORE);
  REQUIRE(alm_core.find(t.heap, p + LARGE + MORE - 1, &o));
  REQUIRE(o.base == p && o.bytes == LARGE + MORE && o.slot_bytes == o.bytes);
  REQUIRE(stamp_holds(p, LARGE, LARGE, 7));
  REQUIRE(!is_zeroed || is_zero(p + LARGE, MORE));
  memset(p + LARGE, 0xff, MORE);
  REQUIRE(alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK && alm_heap_check(m));
  REQUIRE(stamp_holds(p, LARGE, LARGE, 7) && (unsigned char)p[LARGE] == 0xff);
  alm_core.del(t.heap, m, p);
  REQUIRE(stats(NULL).heap_bytes == bytes - LARGE);
  REQUIRE(alm_heap_check(m));
}

static void a_large_object_grows_where_there_is_room(void **state) {
  (void)state;
  for (size_t is_zeroed = 0; is_zeroed < 2; is_zeroed++) {
    begin((struct alm_heap_options){0});
    by_thread(grow, is_zeroed);
    end();
  }
}

static void grow_unswept(struct alm_mutator *m, size_t n) {
  (void)n;
  struct alm_core_object o;
  char *p = neighbours(m);
  alm_core.del(t.heap, m, p + LARGE);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  REQUIRE(alm_core.find(t.heap, p, &o) && !o.is_swept);
  REQUIRE(!alm_core.grow_large(t.heap, p, LARGE + PAGE, true));
  REQUIRE(alm_heap_check(m));
  alm_core.sweep(m);
  REQUIRE(alm_core.find(t.heap, p, &o) && o.is_swept);
  REQUIRE(alm_core.grow_large(t.heap, p, LARGE + PAGE, true));
  REQUIRE(is_zero(p + LARGE, PAGE) && stamp_holds(p, LARGE, LARGE, 7));
  REQUIRE(alm_heap_check(m));
}

static void grow_unswept_in_child(void *arg) {
  (void)arg;
  begin((struct alm_heap_options){.markers = 1});
  by_thread(grow_unswept, 0);
  collected(1);
  end();
}

static void a_large_object_that_is_to_be_swept_does_not_grow(void **state) {
  (void)state;
  child_must_pass(grow_unswept_in_child, NULL, "background=0");
}

/* ---- callbacks ---------------------------------------------------------------------------- */

enum { KEPT = 4096, KEPT_BYTES = 1024 };

static void keep_some(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < n; i++) {
    t.roots[i] = take(m, plain(ALM_NOSCAN, false), KEPT_BYTES);
    REQUIRE(t.roots[i] != NULL);
  }
}

static void a_collection_calls_the_face_in_order(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(keep_some, 100);
  t.nevents = 0;
  collected(2);
  t.events[t.nevents] = '\0';
  assert_string_equal(t.events, ALM_TORTURE ? "LB(SRRDMb)sULB(SRRDMb)sU"
                                            : "LB(SRDMb)sULB(SRDMb)sU");
  end();
}

static void collect_as_guest(void *arg) {
  (void)arg;
  bool is_done = false;
  begin((struct alm_heap_options){.period_ms = 20, .markers = 1});
  uint64_t give_up = now_ns() + 20000000000u;
  while (!is_done && now_ns() < give_up) {
    by_thread(keep_some, 100); /* may collect itself */
    sleep_ms(25);
    t.nevents = 0;
    is_done = idle_collect();
  }
  t.events[t.nevents] = '\0';
  REQUIRE(strcmp(t.events, ALM_TORTURE ? "LB(SRRDMb)sU" : "LB(SRDMb)sU") == 0);
  end();
}

static void a_guest_calls_the_face_in_the_same_order(void **state) {
  (void)state;
  child_must_pass(collect_as_guest, NULL, "background=0");
}

static void collect_without_memory(struct alm_mutator *m, size_t n) {
  keep_some(m, n);
  t.nevents = 0;
  (void)os_fault_set(OS_ALLOC, 1, 1); /* for the markers */
  REQUIRE(alm_core.collect(m) == ALM_ENOMEM);
  REQUIRE(os_fault_set(OS_ALLOC, 0, 0) == 1);
  t.events[t.nevents] = '\0';
  REQUIRE(strcmp(t.events, "LB(Sb)sU") == 0);
  REQUIRE(stats(NULL).collections == 0 && alm_heap_check(m));
  REQUIRE(alm_core.collect(m) == ALM_OK && stats(NULL).collections == 1);
  REQUIRE(stats(NULL).live_objects >= n);
}

static void without_memory_the_world_stops_and_starts(void **state) {
  (void)state;
  if (!ALM_DEBUG) {
    print_message("release builds have no fault injection\n");
    skip();
  }
  begin((struct alm_heap_options){0});
  by_thread(collect_without_memory, 100);
  end();
}

static void allocate_past_the_goal(struct alm_mutator *m, size_t is_shut) {
  atomic_store(&t.is_shut, is_shut);
  atomic_store(&t.nrefused, 0);
  uint64_t before = stats(NULL).collections;
  for (size_t i = 0; i < 600; i++) {
    char *p = take(m, plain(ALM_NOSCAN, false), i % 2 ? 8192 : 40000);
    REQUIRE(p != NULL);
  }
  REQUIRE(is_shut ? stats(NULL).collections == before && t.nrefused > 0
                  : stats(NULL).collections > before && t.nrefused == 0);
  REQUIRE(alm_core.collect(m) == (is_shut ? ALM_EBUSY : ALM_OK));
  REQUIRE(alm_heap_check(m));
}

static void without_the_lock_nothing_is_collected(void **state) {
  (void)state;
  begin((struct alm_heap_options){.first_bytes = 1 * MIB});
  by_thread(allocate_past_the_goal, true);
  REQUIRE(t.nevents == 0 && stats(NULL).heap_bytes > 8 * MIB);
  by_thread(allocate_past_the_goal, false);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes < 1 * MIB);
  end();
}

static void collect_is_busy(struct alm_mutator *m, size_t n) {
  (void)n;
  REQUIRE(alm_core.collect(m) == ALM_EBUSY);
  REQUIRE(stats(NULL).collections == 0);
}

static void who_collects_while_another_has_the_lock_is_told(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  REQUIRE(pthread_mutex_lock(&t.lock) == 0);
  by_thread(collect_is_busy, 0);
  REQUIRE(pthread_mutex_unlock(&t.lock) == 0);
  collected(1);
  end();
}

/* ---- decide --------------------------------------------------------------------------------- */

/* Of four lists the first is kept by its first cell, the second by what that
 * refers to, the third by mark bits alone; the fourth not. */
enum { LISTS = 4, LIST_LENGTH = 100 };

static void make_lists(struct alm_mutator *m, size_t n) {
  for (size_t i = 0; i < LISTS * n; i++) {
    void **cell = take(m, plain(ALM_CONSERVATIVE, false), 32);
    REQUIRE(cell != NULL);
    cell[0] = i < LISTS ? NULL : hidden[i - LISTS];
    hidden[i] = cell;
  }
}

static void decide_lists(struct alm_marker *m) {
  void **last = &hidden[LISTS * (LIST_LENGTH - 1)];
  for (size_t i = 0; i < LISTS * LIST_LENGTH; i++) {
    REQUIRE(!alm_core.is_marked(hidden[i]));
  }
  alm_core.mark_range(m, &last[0], sizeof last[0], true);
  alm_core.mark_contents(m, last[1]);
  alm_core.mark_drain(m);
  for (size_t i = 0; i < LIST_LENGTH; i++) {
    REQUIRE(alm_core.is_marked(hidden[i * LISTS]));
    REQUIRE(alm_core.is_marked(hidden[i * LISTS + 1]) == (i < LIST_LENGTH - 1));
    REQUIRE(!alm_core.is_marked(hidden[i * LISTS + 2]));
    alm_core.set_mark(hidden[i * LISTS + 2], true);
    alm_core.set_mark(hidden[i * LISTS + 3], true);
    REQUIRE(alm_core.is_marked(hidden[i * LISTS + 3]));
    alm_core.set_mark(hidden[i * LISTS + 3], false);
    REQUIRE(!alm_core.is_marked(hidden[i * LISTS + 3]));
  }
}

static void check_lists(struct alm_mutator *m, size_t n) {
  (void)m;
  for (size_t i = 0; i < n; i++) {
    REQUIRE(is_in_use(hidden[i * LISTS]) && is_in_use(hidden[i * LISTS + 2]));
    REQUIRE(is_in_use(hidden[i * LISTS + 1]) == (i < n - 1));
    REQUIRE(!is_in_use(hidden[i * LISTS + 3]));
  }
}

static void decide_may_mark_and_drain(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(make_lists, LIST_LENGTH);
  t.decide = decide_lists;
  collected(1);
  t.decide = NULL;
  by_thread(check_lists, LIST_LENGTH);
  collected(1);
  REQUIRE(stats(NULL).heap_bytes == 0);
  end();
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *attach_and_leave(void *arg) {
  struct alm_mutator **m = arg;
  REQUIRE(alm_core.attach(t.heap, m) == ALM_OK);
  REQUIRE(alm_core.attach(t.heap, m) == ALM_EBUSY);
  REQUIRE(take(*m, plain(ALM_CONSERVATIVE, false), 100) != NULL);
  return NULL;
}

static void the_end_of_a_thread_is_told(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  for (unsigned i = 1; i <= 3; i++) {
    pthread_t thread;
    struct alm_mutator *m;
    REQUIRE(pthread_create(&thread, NULL, attach_and_leave, &m) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(t.ndetached == i && t.gone == m && stats(NULL).mutators == 0);
  }
  collected(1);
  end();
}

enum { LOCALS = 64 };

/* References in this frame, and a stack that is said to end below it, or not;
 * false: where it is said to be nobody runs. */
static __attribute__((noinline)) void collect_below(struct alm_mutator *m,
                                                    size_t how) {
  void *low, *high, *local[LOCALS];
  char elsewhere[256];
  for (size_t i = 0; i < LOCALS; i++) {
    local[i] = hidden[i] = take(m, plain(ALM_CONSERVATIVE, false), 64);
    REQUIRE(local[i] != NULL);
  }
  __asm__ volatile("" : : "r"(local), "r"(elsewhere) : "memory");
  alm_core.get_stack(m, &low, &high);
  REQUIRE((uintptr_t)low < (uintptr_t)local && (void *)local < high);
  switch (how) {
  case 0:
    alm_core.set_stack(m, NULL, high);
    break;
  case 1:
    alm_core.set_stack(m, hidden, hidden + ROOTS);
    break;
  default:
    break;
  }
  void *set_low, *set_high;
  alm_core.get_stack(m, &set_low, &set_high);
  REQUIRE(set_low == (how == 0 ? NULL : how == 1 ? (void *)hidden : low));
  REQUIRE(set_high == (how == 1 ? (void *)(hidden + ROOTS) : high));
  REQUIRE(alm_core.collect(m) == ALM_OK);
  alm_core.set_stack(m, low, high);
  alm_core.sweep(m);
  __asm__ volatile("" : : "r"(local) : "memory");
  size_t alive = 0;
  for (size_t i = 0; i < LOCALS; i++) {
    alive += is_in_use(hidden[i]);
  }
  /* registers, and the frame of the collection, are looked at anyway */
  REQUIRE(how == 1 ? alive < LOCALS / 2 : alive == LOCALS);
}

static void the_stack_is_where_it_is_said_to_be(void **state) {
  (void)state;
  for (size_t how = 0; how < 3; how++) {
    begin((struct alm_heap_options){0});
    by_thread(collect_below, how);
    end();
  }
}

static void *collect_thrice(void *arg) {
  (void)arg;
  collected(3);
  return NULL;
}

static __attribute__((noinline)) void begin_blocked(struct alm_mutator *m) {
  alm_core.blocked_begin(m, (char *)__builtin_frame_address(0) +
                                2 * sizeof(void *));
}

static struct alm_mutator *sleeper;
static atomic_size_t nsleeper;

/* Where the sleeper has stopped is in its stack. */
static void look_at_sleeper(struct alm_marker *m) {
  (void)m;
  void *low, *high;
  alm_core.get_stack(sleeper, &low, &high);
  const char *sp = alm_core.stopped_at(sleeper);
  REQUIRE(sp >= (char *)low && sp < (char *)high);
  nsleeper++;
}

/* While it is blocked others collect; what its frame holds is alive. */
static void block(struct alm_mutator *m, size_t n) {
  uint64_t *volatile kept = take(m, plain(ALM_CONSERVATIVE, false), 64);
  REQUIRE(kept != NULL);
  sleeper = m;
  t.decide = look_at_sleeper;
  for (size_t i = 0; i < n; i++) {
    pthread_t thread;
    uint64_t before = stats(NULL).collections;
    alm_core.blocked_end(m); /* is not: nothing happens */
    kept[1] = i;
    begin_blocked(m);
    begin_blocked(m);
    REQUIRE(pthread_create(&thread, NULL, collect_thrice, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(stats(NULL).collections == before + 3);
    alm_core.blocked_end(m);
    alm_core.blocked_end(m);
    REQUIRE(kept[1] == i && is_in_use(kept));
    REQUIRE(alm_core.collect(m) == ALM_OK);
  }
  t.decide = NULL;
  REQUIRE(nsleeper == 4 * n);
}

static void blocked_regions_begin_and_end_once(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  by_thread(block, 20);
  end();
}

static atomic_bool is_asking;

static void *ask_for_collection(void *arg) {
  (void)arg;
  atomic_store(&is_asking, true);
  collected(1);
  return NULL;
}

static void stay_in_section(struct alm_mutator *m, size_t depth) {
  pthread_t thread;
  atomic_store(&is_asking, false);
  REQUIRE(!alm_core.in_section());
  for (size_t i = 0; i < depth; i++) {
    alm_core.section_begin();
  }
  REQUIRE(pthread_create(&thread, NULL, ask_for_collection, NULL) == 0);
  while (!atomic_load(&is_asking)) {
    sleep_ms(1);
  }
  unsigned before = t.nstopped;
  for (size_t i = 0; i < depth; i++) {
    sleep_ms(10);
    REQUIRE(alm_core.in_section() && t.nstopped == before);
    alm_core.section_end(i + 1 < depth ? NULL : m);
  }
  REQUIRE(!alm_core.in_section());
  alm_blocked_begin(m);
  REQUIRE(pthread_join(thread, NULL) == 0);
  alm_blocked_end(m);
  REQUIRE(t.nstopped == before + 1);
}

static void who_is_in_a_section_is_not_stopped(void **state) {
  (void)state;
  begin((struct alm_heap_options){0});
  for (size_t depth = 1; depth <= 3; depth++) {
    by_thread(stay_in_section, depth);
  }
  alm_core.section_begin(); /* a thread without a mutator */
  REQUIRE(alm_core.in_section());
  alm_core.section_end(NULL);
  REQUIRE(!alm_core.in_section());
  end();
}

/* ---- settings -------------------------------------------------------------------------------- */

static void percent_and_first_bytes_move_the_goal(void **state) {
  (void)state;
  begin((struct alm_heap_options){.first_bytes = 1 * MIB, .gc_percent = 20});
  REQUIRE(stats(NULL).goal_bytes == 1 * MIB);
  alm_core.set_first(t.heap, 2 * MIB);
  REQUIRE(stats(NULL).goal_bytes == 2 * MIB);
  alm_core.set_first(t.heap, 1 * MIB); /* from the next collection on */
  REQUIRE(stats(NULL).goal_bytes == 2 * MIB);
  by_thread(keep_some, KEPT);
  uint64_t live = KEPT * KEPT_BYTES, last = 0;
  for (unsigned percent = 25; percent <= 400; percent *= 2) {
    alm_core.set_percent(t.heap, percent);
    collected(1);
    struct alm_heap_stats s = stats(NULL);
    REQUIRE(s.live_bytes == live);
    REQUIRE(s.goal_bytes >= live + live * percent / 100);
    REQUIRE(s.goal_bytes > last);
    last = s.goal_bytes;
  }
  REQUIRE(last <= live + live * 401 / 100);
  alm_core.set_first(t.heap, 64 * MIB);
  REQUIRE(stats(NULL).goal_bytes == 64 * MIB);
  collected(1);
  REQUIRE(stats(NULL).goal_bytes == 64 * MIB);
  end();
}

static void allocate_to_the_limit(struct alm_mutator *m, size_t limit) {
  struct thing *p;
  size_t n = 0;
  alm_core.set_limit(t.heap, limit);
  while (n < ROOTS &&
         (p = make_thing(m, n % THING_KINDS, 2000, NULL)) != NULL) {
    t.roots[n++] = p;
  }
  REQUIRE(n > 100 && n < ROOTS && stats(NULL).heap_bytes <= limit);
  REQUIRE(alm_core.take_large(m, thing_layouts[PLAIN], limit, true) == NULL);
  REQUIRE(alm_core.collect(m) == ALM_OK);
  expect_things();
  require_visited(m, NOTHING_ELSE);
  REQUIRE(alm_heap_check(m));
  alm_core.set_limit(t.heap, 0);
  for (unsigned i = 0; i < 100; i++) {
    struct thing *large = make_thing(m, PLAIN, 40000, t.roots[n]);
    REQUIRE(large != NULL);
    t.roots[n] = large;
  }
}

static void at_the_limit_objects_are_refused_and_none_is_lost(void **state) {
  (void)state;
  begin_things((struct alm_heap_options){0});
  by_thread(allocate_to_the_limit, 1 * MIB);
  collected(1);
  end();
}

static void release_down_to(struct alm_mutator *m, size_t keep) {
  struct alm_core_stats more;
  struct alm_stats process;
  void *p = take(m, plain(ALM_NOSCAN, false), 3 * MIB);
  REQUIRE(p != NULL);
  memset(p, 1, 3 * MIB);
  (void)stats(&more);
  REQUIRE(more.since_bytes >= 3 * MIB && more.deleted_bytes == 0);
  REQUIRE(more.markers >= 1 && more.mapped_bytes_max >= 3 * MIB);
  alm_core.del(t.heap, m, p);
  (void)stats(&more);
  REQUIRE(more.deleted_bytes == 3 * MIB && more.since_bytes < 3 * MIB);
  (void)alm_core.release(keep);
  alm_stats_read(&process);
  REQUIRE(process.heap_free <= keep);
}

static void free_pages_are_released_down_to_what_is_kept(void **state) {
  (void)state;
  for (size_t keep = 0; keep <= 2 * MIB; keep += 1 * MIB) {
    begin((struct alm_heap_options){0});
    by_thread(release_down_to, keep);
    end();
  }
}

/* ---- records --------------------------------------------------------------------------------- */

static void records_of_all_sizes_are_zero(void **state) {
  (void)state;
  static const size_t bytes[] = {1,    16,   17,   32,   33,    64,     100,
                                 255,  256,  257,  1000, 1024,  1025,   2047,
                                 2048, 2049, 5000, 8192, 65536, 1 << 20};
  enum { SORTS = sizeof bytes / sizeof bytes[0], EACH = 10 };
  char *p[SORTS][EACH];
  REQUIRE(alm_core.bytes == sizeof(struct alm_core_table));
  REQUIRE(strcmp(alm_core.version, ALM_VERSION) == 0);
  for (unsigned again = 0; again < 3; again++) {
    for (size_t i = 0; i < SORTS * EACH; i++) {
      size_t n = bytes[i / EACH];
      char *one = p[i / EACH][i % EACH] = alm_core.meta_alloc(n);
      REQUIRE(one != NULL && (uintptr_t)one % 16 == 0 && is_zero(one, n));
      memset(one, (int)i | 1, n);
    }
    for (size_t i = 0; i < SORTS * EACH; i++) {
      const char *one = p[i / EACH][i % EACH];
      REQUIRE(one[0] == (char)(i | 1));
      REQUIRE(memcmp(one, one + 1, bytes[i / EACH] - 1) == 0);
    }
    for (size_t i = 0; i < SORTS * EACH; i++) {
      alm_core.meta_free(p[i / EACH][i % EACH], bytes[i / EACH]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_large_object_that_is_to_be_swept_does_not_grow),
      cmocka_unit_test(roots_live_until_they_are_deleted),
      cmocka_unit_test(a_trace_function_gets_its_argument_and_the_bytes),
      cmocka_unit_test(too_many_layouts_are_refused),
      cmocka_unit_test(pointers_to_first_bytes_and_displacements_count),
      cmocka_unit_test(large_objects_are_zeroed_when_that_is_asked_for),
      cmocka_unit_test(a_large_object_grows_where_there_is_room),
      cmocka_unit_test(a_collection_calls_the_face_in_order),
      cmocka_unit_test(a_guest_calls_the_face_in_the_same_order),
      cmocka_unit_test(without_memory_the_world_stops_and_starts),
      cmocka_unit_test(without_the_lock_nothing_is_collected),
      cmocka_unit_test(who_collects_while_another_has_the_lock_is_told),
      cmocka_unit_test(decide_may_mark_and_drain),
      cmocka_unit_test(the_end_of_a_thread_is_told),
      cmocka_unit_test(the_stack_is_where_it_is_said_to_be),
      cmocka_unit_test(blocked_regions_begin_and_end_once),
      cmocka_unit_test(who_is_in_a_section_is_not_stopped),
      cmocka_unit_test(percent_and_first_bytes_move_the_goal),
      cmocka_unit_test(at_the_limit_objects_are_refused_and_none_is_lost),
      cmocka_unit_test(free_pages_are_released_down_to_what_is_kept),
      cmocka_unit_test(records_of_all_sizes_are_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
