/* tests/compat/libgc/forks.c -- children of a program with threads, which are
 * in the middle of allocations when it forks. */
#include "check.h"

enum { THREADS = 4, LENGTH = 1000 };

struct node {
  struct node *next;
  long value;
};

static volatile int stop;

static APART struct node *build(long first, int length) {
  struct node *head = NULL;
  for (int i = 0; i < length; i++) {
    struct node *n = GC_malloc(i % 50 ? sizeof *n : 4000);
    CHECK(n);
    n->value = first + i;
    n->next = head;
    head = n;
  }
  return head;
}

static APART void verify(const struct node *n, long first, int length) {
  for (int i = length - 1; i >= 0; i--, n = n->next) {
    CHECK(n);
    CHECK_THAT(n->value, ==, first + i);
  }
  CHECK(!n);
}

static struct node *shared;

static int child_work(const struct node *local) {
  for (int i = 0; i < 5; i++) verify(build(i, LENGTH), i, LENGTH);
  GC_gcollect();
  for (int i = 0; i < 5; i++) verify(build(i, LENGTH), i, LENGTH);
  verify(shared, 5, LENGTH);
  verify(local, 6, LENGTH);
  return 0;
}

/* The child's own thread. */
static void *work_in_thread(void *unused) {
  for (int i = 0; i < 5; i++) verify(build(i, LENGTH), i, LENGTH);
  GC_gcollect();
  return unused;
}

static void wait_for_child(pid_t pid) {
  int status = -1;
  CHECK_THAT(pid, >, 0);
  while (waitpid(pid, &status, 0) != pid) CHECK_THAT(errno, ==, EINTR);
  CHECK_THAT(status, ==, 0);
}

static void fork_once(void) {
  struct node *local = build(6, LENGTH);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    _exit(child_work(local));
  }
  wait_for_child(pid);
  verify(local, 6, LENGTH);
}

static void *allocate(void *unused) {
  while (!stop) verify(build(1, LENGTH), 1, LENGTH);
  return unused;
}

static void *fork_often(void *unused) {
  for (int i = 0; i < 10; i++) fork_once();
  return unused;
}

static void with_threads(void (*run)(void)) {
  pthread_t ids[THREADS];
  stop = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK(!GC_pthread_create(&ids[i], NULL, allocate, NULL));
  run();
  stop = 1;
  for (int i = 0; i < THREADS; i++) CHECK(!GC_pthread_join(ids[i], NULL));
}

static void fork_40(void) {
  for (int i = 0; i < 40; i++) fork_once();
}

TEST("40 children of the main thread while four threads allocate") {
  with_threads(fork_40);
}

static void fork_from_thread(void) {
  pthread_t id;
  CHECK(!GC_pthread_create(&id, NULL, fork_often, NULL));
  CHECK(!GC_pthread_join(id, NULL));
}

TEST("10 children of another thread while four threads allocate") {
  with_threads(fork_from_thread);
}

static void fork_threaded(void) {
  for (int i = 0; i < 10; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      pthread_t ids[THREADS];
      alarm(60);
      for (int t = 0; t < THREADS; t++)
        CHECK(!GC_pthread_create(&ids[t], NULL, work_in_thread, NULL));
      for (int t = 0; t < THREADS; t++) CHECK(!GC_pthread_join(ids[t], NULL));
      GC_gcollect();
      verify(shared, 5, LENGTH);
      _exit(0);
    }
    wait_for_child(pid);
  }
}

TEST("a child makes threads of its own") {
  with_threads(fork_threaded);
}

static void fork_grandchild(void) {
  for (int i = 0; i < 5; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      fork_once();
      _exit(0);
    }
    wait_for_child(pid);
  }
}

TEST("a child has children") {
  with_threads(fork_grandchild);
}

int main(void) {
  GC_set_handle_fork(1);
  GC_INIT();
  shared = build(5, LENGTH);
  return run_tests();
}
