/* What collected heaps tell about themselves: their part of the account of the
 * process and of its record, and the line of gctrace. Each test runs in a
 * process of its own, whose account begins at zero. */
#include "support.h"

#include "almacen_inline.h"

#include <dirent.h>
#include <regex.h>

struct cell {
  struct cell *next;
  uint64_t id;
};

static const uint64_t mask = 1;

struct world {
  struct alm_heap *heap;
  struct alm_mutator *m;
  const struct alm_type *cell;
};

static struct world begin(unsigned markers) {
  struct world w;
  struct alm_heap_options options = {.markers = markers};
  struct alm_type_info info = {"cell", sizeof(struct cell), &mask, 1, NULL};
  REQUIRE(alm_heap_create(&options, &w.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(w.heap, &w.m) == ALM_OK);
  REQUIRE(alm_type_create(w.heap, &info, &w.cell) == ALM_OK);
  return w;
}

static void end(struct world *w) {
  alm_mutator_detach(w->m);
  REQUIRE(alm_heap_destroy(w->heap) == ALM_OK);
}

static struct cell *list(struct world *w, size_t n) {
  struct cell *first = NULL;
  for (size_t i = 0; i < n; i++) {
    struct cell *c = alm_new_inline(w->m, w->cell);
    REQUIRE(c != NULL);
    alm_store_inline(w->m, c, &c->next, first);
    first = c;
  }
  return first;
}

/* A list that lives as long as the heap. */
static void keep_list(struct world *w, size_t n) {
  struct alm_handle *h = alm_handle_create(w->m, list(w, n));
  REQUIRE(h != NULL);
}

/* Not on the stack, where its numbers might be taken for pointers. */
static struct alm_stats s;
static struct alm_heap_stats of_heap;

static const struct alm_gc_stats *account(void) {
  alm_stats_read(&s);
  return &s.gc;
}

static uint64_t pauses(const struct alm_gc_stats *gc) {
  uint64_t n = 0;
  for (size_t i = 0; i < ALM_PAUSE_COUNT; i++) {
    n += gc->pauses[i];
  }
  return n;
}

/* ---- the account ------------------------------------------------------------- */

static void use_one_heap(void *arg) {
  (void)arg;
  struct world w = begin(2);
  REQUIRE(account()->heaps == 1 && account()->heaps_now == 1);
  REQUIRE(account()->collections == 0 && account()->alloc_bytes == 0);
  keep_list(&w, 100000);
  REQUIRE(account()->alloc_bytes >= 100000 * sizeof(struct cell));
  REQUIRE(alm_collect(w.m) == ALM_OK);
  REQUIRE(alm_collect(w.m) == ALM_OK);
  void *large = alm_new_bytes(w.m, ALM_NOSCAN, 1 << 20);
  REQUIRE(large != NULL);
  alm_heap_stats_read(w.heap, &of_heap);
  const struct alm_gc_stats *gc = account();
  REQUIRE(gc->collections == of_heap.collections && gc->collections >= 2);
  REQUIRE(gc->pause_ns == of_heap.pause_ns);
  REQUIRE(gc->pause_ns_max == of_heap.pause_ns_max);
  REQUIRE(pauses(gc) == gc->collections);
  REQUIRE(gc->cpu_ns > 0);
  REQUIRE(gc->alloc_bytes == of_heap.alloc_bytes);
  REQUIRE(gc->live_bytes == of_heap.live_bytes);
  REQUIRE(gc->live_objects == of_heap.live_objects);
  REQUIRE(gc->live_objects >= 100000);
  REQUIRE(gc->live_bytes_max >= gc->live_bytes);
  REQUIRE(gc->heap_bytes == of_heap.heap_bytes);
  REQUIRE(gc->heap_bytes_max == of_heap.heap_bytes_max);
  uint64_t of_classes = 0;
  for (size_t i = 0; i < ALM_CLASS_COUNT; i++) {
    of_classes += gc->classes[i].bytes;
    REQUIRE(gc->classes[i].bytes <= gc->classes[i].bytes_max);
  }
  REQUIRE(of_classes == gc->heap_bytes);
  REQUIRE(gc->classes[0].bytes == 1 << 20 && gc->classes[0].object_bytes == 0);
  REQUIRE(s.heap_inuse >= gc->heap_bytes);
  REQUIRE(s.live_at_max >= gc->heap_bytes_max);
  end(&w);
}

static void the_account_of_the_process_is_that_of_its_heap(void **state) {
  (void)state;
  child_must_pass(use_one_heap, NULL, NULL);
}

static void use_heaps_one_after_the_other(void *arg) {
  (void)arg;
  uint64_t heap_max = 0;
  for (int i = 1; i <= 3; i++) {
    struct world w = begin(1);
    keep_list(&w, 10000);
    REQUIRE(alm_collect(w.m) == ALM_OK);
    keep_list(&w, 10000);
    alm_heap_stats_read(w.heap, &of_heap);
    heap_max =
        of_heap.heap_bytes_max > heap_max ? of_heap.heap_bytes_max : heap_max;
    uint64_t live = account()->live_bytes;
    REQUIRE(live == of_heap.live_bytes); /* not that of dead heaps too */
    end(&w);
    REQUIRE(account()->live_bytes == live);
    REQUIRE(account()->heaps == (uint64_t)i && account()->heaps_now == 0);
  }
  REQUIRE(account()->collections == 3);
  REQUIRE(account()->alloc_bytes >= 3 * 20000 * sizeof(struct cell));
  REQUIRE(account()->heap_bytes == 0);
  REQUIRE(account()->heap_bytes_max == heap_max);
}

static void heaps_that_are_gone_still_count(void **state) {
  (void)state;
  child_must_pass(use_heaps_one_after_the_other, NULL, NULL);
}

/* Its heap is told of many runs at once. */
static void count_each_object(void *arg) {
  (void)arg;
  struct world w = begin(1);
  for (size_t i = 1; i <= 3000; i++) {
    uint64_t before = of_heap.alloc_bytes;
    (void)list(&w, 1);
    alm_heap_stats_read(w.heap, &of_heap);
    REQUIRE(of_heap.alloc_bytes >= i * sizeof(struct cell));
    REQUIRE(of_heap.alloc_bytes >= before);
    REQUIRE(account()->alloc_bytes == of_heap.alloc_bytes);
  }
  uint64_t before = of_heap.alloc_bytes;
  alm_mutator_detach(w.m);
  alm_heap_stats_read(w.heap, &of_heap);
  REQUIRE(before - of_heap.alloc_bytes <= 8192); /* the run it gave back */
  REQUIRE(of_heap.alloc_bytes >= 3000 * sizeof(struct cell));
  REQUIRE(alm_heap_destroy(w.heap) == ALM_OK);
}

static void what_a_thread_takes_is_counted_at_once(void **state) {
  (void)state;
  child_must_pass(count_each_object, NULL, NULL);
}

static void delete_much(void *arg) {
  (void)arg;
  struct world w = begin(1);
  for (int i = 0; i < 1000; i++) {
    void *p = alm_new_bytes(w.m, ALM_NOSCAN, 100000);
    REQUIRE(alm_delete(w.m, p) == ALM_OK);
  }
  for (int i = 0; i < 2; i++) {
    alm_heap_stats_read(w.heap, &of_heap);
    REQUIRE(of_heap.alloc_bytes >= 1000 * 100000);
    REQUIRE(of_heap.collections == (uint64_t)i);
    REQUIRE(account()->alloc_bytes == of_heap.alloc_bytes);
    REQUIRE(alm_collect(w.m) == ALM_OK);
  }
  end(&w);
}

static void what_is_deleted_was_allocated_all_the_same(void **state) {
  (void)state;
  child_must_pass(delete_much, NULL, NULL);
}

static void nothing(void *object, void *arg) {
  (void)object;
  (void)arg;
}

__attribute__((noinline)) static void drop_with_cleanup(struct world *w) {
  char gap[16384];
  __asm__ volatile("" ::"r"(gap) : "memory");
  for (int i = 0; i < 100; i++) {
    REQUIRE(alm_cleanup_add(w->m, list(w, 1), nothing, NULL) == ALM_OK);
  }
}

static void run_finalizers(void *arg) {
  (void)arg;
  struct world w = begin(1);
  drop_with_cleanup(&w);
  REQUIRE(alm_collect(w.m) == ALM_OK);
  REQUIRE(account()->finalizers_queued > 90);
  REQUIRE(account()->finalizers_run == 0);
  REQUIRE(alm_finalizers_run(w.m, 10) == 10);
  REQUIRE(account()->finalizers_queued > 90);
  REQUIRE(account()->finalizers_run == 10);
  end(&w);
  REQUIRE(account()->finalizers_run == 10);
}

static void finalizers_are_counted_when_queued_and_when_run(void **state) {
  (void)state;
  child_must_pass(run_finalizers, NULL, NULL);
}

static void fork_amid_allocation(void *arg) {
  (void)arg;
  struct world w = begin(1);
  keep_list(&w, 50000);
  REQUIRE(alm_collect(w.m) == ALM_OK);
  keep_list(&w, 10000);
  uint64_t heap_bytes = account()->heap_bytes;
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const struct alm_gc_stats *gc = account();
    REQUIRE(gc->collections == 0 && gc->alloc_bytes == 0);
    REQUIRE(gc->pause_ns == 0 && pauses(gc) == 0 && gc->cpu_ns == 0);
    REQUIRE(gc->heaps == 1 && gc->heaps_now == 1);
    REQUIRE(gc->heap_bytes == heap_bytes && gc->heap_bytes_max == heap_bytes);
    keep_list(&w, 10000);
    REQUIRE(alm_collect(w.m) == ALM_OK);
    gc = account();
    REQUIRE(gc->collections == 1 && pauses(gc) == 1);
    REQUIRE(gc->alloc_bytes >= 9000 * sizeof(struct cell));
    REQUIRE(gc->alloc_bytes <= 20000 * sizeof(struct cell));
    end(&w);
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  REQUIRE(account()->alloc_bytes >= 60000 * sizeof(struct cell));
  end(&w);
}

static void a_forked_child_counts_from_zero(void **state) {
  (void)state;
  child_must_pass(fork_amid_allocation, NULL, NULL);
}

/* ---- the record ---------------------------------------------------------------- */

static void exit_amid_allocation(void *arg) {
  struct world w = begin(1);
  keep_list(&w, 20000);
  if (arg != NULL) {
    REQUIRE(alm_collect(w.m) == ALM_OK);
    raise(SIGKILL);
  }
  exit(0); /* without a collection */
}

static struct alm_record record_of(void (*f)(void *), void *arg) {
  char folder[] = "records.XXXXXX", option[64], path[400] = "";
  struct alm_record r;
  assert_non_null(mkdtemp(folder));
  snprintf(option, sizeof option, "record=%s", folder);
  (void)child_run(f, arg, option);
  DIR *d = opendir(folder);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (e->d_name[0] != '.') {
      assert_string_equal(path, ""); /* one */
      snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    }
  }
  closedir(d);
  int fd = open(path, O_RDONLY);
  assert_int_equal(read(fd, &r, sizeof r), sizeof r);
  close(fd);
  unlink(path);
  rmdir(folder);
  return r;
}

static void a_record_has_what_was_allocated_since_the_last_collection(
    void **state) {
  (void)state;
  struct alm_record r = record_of(exit_amid_allocation, NULL);
  assert_string_equal(r.face, "alm");
  assert_true(r.stats.gc.alloc_bytes >= 20000 * sizeof(struct cell));
  assert_int_equal(r.stats.gc.collections, 0);
}

static void the_record_of_a_killed_process_is_that_of_its_last_collection(
    void **state) {
  (void)state;
  struct alm_record r = record_of(exit_amid_allocation, &s);
  assert_int_equal(r.state, ALM_RECORD_RUNNING);
  assert_int_equal(r.stats.gc.collections, 1);
  assert_true(r.stats.gc.alloc_bytes >= 20000 * sizeof(struct cell));
  assert_true(r.stats.gc.live_objects >= 20000);
  assert_true(r.stats.gc.pause_ns > 0);
}

/* ---- the line of gctrace --------------------------------------------------------- */

#define MS "([0-9]+\\.[0-9]{3}|[0-9]+)"
#define NUMBER "([0-9]+)"
static const char pattern[] =
    "^almacen: gc " NUMBER " @([0-9]+\\.[0-9]{3})s " NUMBER "%: " MS "\\+" MS
    "\\+" MS " ms clock, " MS "\\+" MS "/" MS "/0\\+" MS " ms cpu, " NUMBER
    "->" NUMBER "->" NUMBER " MiB, " NUMBER " MiB goal, " NUMBER
    " MiB stacks, " NUMBER " MiB roots, " NUMBER " P(, heap ([0-9]+))?$";

enum field {
  GC = 1,
  AT,
  PERCENT,
  STOP,
  MARK,
  REST,
  STOP_CPU,
  OWN_CPU,
  TEAM_CPU,
  REST_CPU,
  START_MIB,
  END_MIB,
  LIVE_MIB,
  GOAL_MIB,
  STACKS_MIB,
  ROOTS_MIB,
  MARKERS,
  HAS_HEAP,
  HEAP,
  FIELDS
};

/* The numbers of each line; returns how many lines there are. */
static size_t read_lines(char *text, double (*out)[FIELDS], size_t most) {
  regex_t regex;
  size_t n = 0;
  assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED), 0);
  for (char *line; (line = strsep(&text, "\n")) != NULL && *line != '\0';) {
    regmatch_t match[FIELDS];
    if (n == most || regexec(&regex, line, FIELDS, match, 0) != 0) {
      print_error("not a line of gctrace, or one too many: %s\n", line);
      fail();
    }
    for (size_t i = 1; i < FIELDS; i++) {
      out[n][i] = match[i].rm_so < 0 ? 0 : strtod(line + match[i].rm_so, NULL);
    }
    n++;
  }
  regfree(&regex);
  return n;
}

static char *roots[1 << 17]; /* 1 MiB */

static void collect_four_times(void *arg) {
  (void)arg;
  struct world w = begin(2);
  REQUIRE(alm_root_add(w.heap, roots, sizeof roots) == ALM_OK);
  roots[0] = alm_new_bytes(w.m, ALM_NOSCAN, 3 << 20);
  REQUIRE(alm_collect(w.m) == ALM_OK); /* 3 -> 3 -> 3 */
  roots[1] = alm_new_bytes(w.m, ALM_NOSCAN, 2 << 20);
  REQUIRE(alm_collect(w.m) == ALM_OK); /* 5 -> 5 -> 5 */
  roots[0] = NULL;
  REQUIRE(alm_collect(w.m) == ALM_OK); /* 5 -> 5 -> 2 */
  struct world other = begin(1);
  REQUIRE(alm_collect(other.m) == ALM_OK);
  end(&other);
  end(&w);
}

static void a_line_tells_what_a_collection_did(void **state) {
  (void)state;
  static double n[4][FIELDS];
  uint64_t before = now_ns();
  struct child c = child_run(collect_four_times, NULL, "gctrace=1");
  double whole_s = (double)(now_ns() - before) / 1e9;
  assert_true(child_exited(&c, 0));
  assert_int_equal(read_lines(c.text, n, 4), 4);
  static const double heap[3][3] = {{3, 3, 3}, {5, 5, 5}, {5, 5, 2}};
  static const double goal[3] = {4, 4, 5}; /* no pointers: a 16th counts */
  for (size_t i = 0; i < 3; i++) {
    assert_true(n[i][GC] == (double)i + 1 && n[i][HEAP] == 0);
    for (size_t k = 0; k < 3; k++) {
      assert_true(n[i][START_MIB + k] == heap[i][k]);
    }
    assert_true(n[i][GOAL_MIB] == goal[i]);
    assert_true(n[i][ROOTS_MIB] == 1 && n[i][STACKS_MIB] < 9);
    assert_true(n[i][MARKERS] == 2);
  }
  assert_true(n[3][GC] == 1 && n[3][HEAP] == 2 && n[3][MARKERS] == 1);
  assert_true(n[3][TEAM_CPU] == 0);
  for (size_t i = 0; i < 4; i++) {
    double wall_ms = n[i][STOP] + n[i][MARK] + n[i][REST];
    assert_true(n[i][AT] >= (i > 0 ? n[i - 1][AT] : 0));
    assert_true(n[i][AT] <= whole_s + 0.001 && n[i][PERCENT] <= 100);
    assert_true(wall_ms > 0 && wall_ms <= whole_s * 1000 + 3);
    /* one thread has at most the wall time; +2: whole milliseconds */
    assert_true(n[i][STOP_CPU] <= n[i][STOP] + 2);
    assert_true(n[i][OWN_CPU] <= n[i][MARK] + 2);
    assert_true(n[i][OWN_CPU] + n[i][TEAM_CPU] > 0);
  }
}

static void there_is_no_line_unasked(void **state) {
  (void)state;
  struct child c = child_run(collect_four_times, NULL, NULL);
  assert_true(child_exited(&c, 0));
  assert_string_equal(c.text, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_account_of_the_process_is_that_of_its_heap),
      cmocka_unit_test(heaps_that_are_gone_still_count),
      cmocka_unit_test(what_a_thread_takes_is_counted_at_once),
      cmocka_unit_test(what_is_deleted_was_allocated_all_the_same),
      cmocka_unit_test(finalizers_are_counted_when_queued_and_when_run),
      cmocka_unit_test(a_forked_child_counts_from_zero),
      cmocka_unit_test(
          a_record_has_what_was_allocated_since_the_last_collection),
      cmocka_unit_test(
          the_record_of_a_killed_process_is_that_of_its_last_collection),
      cmocka_unit_test(a_line_tells_what_a_collection_did),
      cmocka_unit_test(there_is_no_line_unasked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
