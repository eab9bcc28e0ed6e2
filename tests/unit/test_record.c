/* obs/record.c: the account in a file. */
#include "support.h"

#include "almacen.h"
#include "obs/record.h"

#include <dirent.h>

static char folder[] = "records.XXXXXX";
static char option[64];

static int start(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) {
    return -1;
  }
  snprintf(option, sizeof option, "record=%s", folder);
  return 0;
}

static int finish(void **state) {
  (void)state;
  return rmdir(folder);
}

/* Reads all records, removes them, returns how many; [0] is the oldest. */
static size_t collect(struct alm_record *out, size_t most) {
  DIR *d = opendir(folder);
  size_t n = 0;
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (e->d_name[0] == '.') {
      continue;
    }
    assert_true(n < most);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, &out[n], sizeof out[n]), sizeof out[n]);
    close(fd);
    unlink(path);
    assert_non_null(strstr(e->d_name, ".almrec"));
    assert_memory_equal(out[n].magic, ALM_RECORD_MAGIC, 8);
    assert_int_equal(out[n].record_bytes, sizeof out[n]);
    assert_int_equal(strtoul(e->d_name, NULL, 10), out[n].pid);
    n++;
    if (n == 2 && out[1].pid == out[0].parent_pid) {
      struct alm_record swap = out[0];
      out[0] = out[1];
      out[1] = swap;
    }
  }
  closedir(d);
  return n;
}

static struct alm_record records[4];

static void allocate(void *arg) {
  void *kept = alm_malloc(1000);
  for (int i = 0; i < 10; i++) {
    alm_free(alm_malloc(100000));
  }
  REQUIRE(kept != NULL);
  if (arg != NULL) {
    exit(3);
  }
  raise(SIGKILL);
}

static void a_process_that_exits_leaves_its_account(void **state) {
  (void)state;
  struct child c = child_run(allocate, records, option);
  assert_true(child_exited(&c, 3));
  assert_int_equal(collect(records, 1), 1);
  const struct alm_record *r = &records[0];
  assert_int_equal(r->state, ALM_RECORD_EXITED);
  assert_int_equal(r->parent_pid, getpid());
  assert_true(r->start_ns > 0 && r->end_ns >= r->start_ns);
  assert_true(r->rss_max > 100 * KIB);
  assert_non_null(strstr(r->command, "test_record"));
  assert_int_equal(r->stats.classes[0].allocs, 10);
  assert_int_equal(r->stats.classes[0].frees, 10);
  assert_true(r->stats.heap_inuse_max >= 100000);
}

static void a_killed_process_leaves_its_account_too(void **state) {
  (void)state;
  struct child c = child_run(allocate, NULL, option);
  assert_true(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGKILL);
  assert_int_equal(collect(records, 1), 1);
  assert_int_equal(records[0].state, ALM_RECORD_RUNNING);
  assert_int_equal(records[0].end_ns, 0);
  assert_int_equal(records[0].stats.classes[0].allocs, 10);
}

static void allocate_and_fork(void *arg) {
  (void)arg;
  for (int i = 0; i < 5; i++) {
    REQUIRE(alm_malloc(100000) != NULL);
  }
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    REQUIRE(alm_malloc(200000) != NULL);
    exit(0);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
  REQUIRE(alm_malloc(300000) != NULL);
  exit(0);
}

static void a_forked_child_counts_in_a_file_of_its_own(void **state) {
  (void)state;
  struct child c = child_run(allocate_and_fork, NULL, option);
  assert_true(child_exited(&c, 0));
  assert_int_equal(collect(records, 2), 2);
  assert_int_equal(records[1].parent_pid, records[0].pid);
  assert_int_equal(records[0].stats.classes[0].allocs, 6);
  assert_int_equal(records[1].stats.classes[0].allocs, 1);
  assert_int_equal(records[1].stats.classes[0].inherited, 5);
  assert_int_equal(records[1].state, ALM_RECORD_EXITED);
}

static void nothing_is_recorded_unasked(void **state) {
  (void)state;
  struct child c = child_run(allocate, records, NULL);
  assert_true(child_exited(&c, 3));
  assert_int_equal(collect(records, 1), 0);
  assert_string_equal(c.text, "");
}

static void a_folder_that_cannot_be_written_is_reported_once(void **state) {
  (void)state;
  struct child c = child_run(allocate, records, "record=/dev/null");
  assert_true(child_exited(&c, 3));
  assert_non_null(strstr(c.text, "almacen: option \"record\""));
  assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
}

/* `almacen run` is over and has removed it; the program it started is not. */
static void a_folder_that_is_gone_is_no_news(void **state) {
  (void)state;
  struct child c = child_run(allocate, records, "record=/no/such/folder");
  assert_true(child_exited(&c, 3));
  assert_string_equal(c.text, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_process_that_exits_leaves_its_account),
      cmocka_unit_test(a_killed_process_leaves_its_account_too),
      cmocka_unit_test(a_forked_child_counts_in_a_file_of_its_own),
      cmocka_unit_test(nothing_is_recorded_unasked),
      cmocka_unit_test(a_folder_that_cannot_be_written_is_reported_once),
      cmocka_unit_test(a_folder_that_is_gone_is_no_news),
  };
  return cmocka_run_group_tests(tests, start, finish);
}
