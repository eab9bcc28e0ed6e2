/* tests/compat/libgc/functions_fork.c -- the heap in a forked child, with
 * handlers installed by the library, or called by the program. */
#include "check.h"

static void *list; /* of LENGTH cells, made before each fork */
enum { LENGTH = 20000 };

static void make_list(void) {
  void **cells = NULL;
  for (int i = 0; i < LENGTH; i++) {
    void **cell = GC_malloc(32);
    cell[0] = cells;
    cell[1] = (void *)(intptr_t)i;
    cells = cell;
  }
  list = cells;
}

static int list_is_intact(void) {
  int n = LENGTH;
  for (void **cell = list; cell; cell = cell[0])
    if ((intptr_t)cell[1] != --n) return 0;
  return n == 0;
}

static void *allocate(void *unused) {
  void **cells = NULL;
  for (int i = 0; i < 20000; i++) {
    void **cell = GC_malloc(64);
    cell[0] = i % 50 ? cells : NULL;
    cells = cell;
  }
  return unused;
}

/* What a child does: the heap is as before, and works. */
static void run_child(void) {
  if (!list_is_intact()) _exit(3);
  GC_gcollect();
  allocate(NULL);
  GC_gcollect();
  if (!list_is_intact()) _exit(4);
  if (!GC_thread_is_registered()) _exit(5);
  GC_start_mark_threads();
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    if (GC_pthread_create(&threads[i], NULL, allocate, NULL)) _exit(6);
  GC_gcollect();
  for (int i = 0; i < 3; i++)
    if (GC_pthread_join(threads[i], NULL)) _exit(7);
  GC_gcollect();
  _exit(list_is_intact() ? 0 : 8);
}

static pid_t fork_by_itself(void) {
  return fork();
}

static pid_t fork_by_hand(void) {
  GC_atfork_prepare();
  pid_t child = fork();
  if (child == 0)
    GC_atfork_child();
  else
    GC_atfork_parent();
  return child;
}

static void check_fork(pid_t (*forker)(void)) {
  fflush(NULL);
  pid_t child = forker();
  CHECK_THAT(child, >=, 0);
  if (child == 0) {
    alarm(60);
    run_child();
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  CHECK_THAT(status, ==, 0);
  CHECK(list_is_intact());
  GC_gcollect();
  CHECK(list_is_intact());
}

static volatile int stop;
static volatile long steps;

static void *allocate_on(void *unused) {
  while (!stop) {
    GC_free(GC_malloc(100));
    void **p = GC_malloc(5000);
    *p = p;
    __atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED);
  }
  return unused;
}

static void check_fork_with_threads(pid_t (*forker)(void)) {
  pthread_t threads[3];
  stop = 0;
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_create(&threads[i], NULL, allocate_on, NULL), ==, 0);
  for (int i = 0; i < 10; i++) {
    long before = steps;
    while (steps == before) sleep_ms(1);
    check_fork(forker);
  }
  stop = 1;
  for (int i = 0; i < 3; i++)
    CHECK_THAT(GC_pthread_join(threads[i], NULL), ==, 0);
}

/* ---- by the library ------------------------------------------------------ */

TEST("with GC_set_handle_fork(1) a child has the heap of its parent") {
  make_list();
  for (int i = 0; i < 3; i++) check_fork(fork_by_itself);
}

TEST("it does when other threads allocate at the time of the fork") {
  check_fork_with_threads(fork_by_itself);
}

TEST("GC_atfork_prepare, _parent and _child do nothing then") {
  check_fork(fork_by_hand);
}

/* ---- by the program ------------------------------------------------------ */

static int run_by_hand(void) {
  GC_set_handle_fork(-1);
  GC_INIT();
  make_list();
  for (int i = 0; i < 3; i++) check_fork(fork_by_hand);
  check_fork_with_threads(fork_by_hand);
  return 0;
}

/* Forking without handlers is allowed to who only runs another program. */
static int run_unhandled(void) {
  GC_set_handle_fork(0);
  GC_INIT();
  make_list();
  pid_t child = fork();
  if (child == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(9);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  GC_gcollect();
  return status == 0 && list_is_intact() ? 0 : 1;
}

static void check_part(const char *part) {
  char text[2000];
  int status = run_part(part, text, sizeof text);
  if (status) fputs(text, stderr);
  CHECK_THAT(status, ==, 0);
}

TEST("with GC_set_handle_fork(-1) the program calls GC_atfork_prepare, "
     "GC_atfork_parent and GC_atfork_child") {
  check_part("by hand");
}

TEST("with GC_set_handle_fork(0) a child may run another program") {
  check_part("unhandled");
}

int main(int argc, char **argv) {
  if (argc > 1)
    return strcmp(argv[1], "by hand") == 0 ? run_by_hand() : run_unhandled();
  GC_set_handle_fork(1);
  GC_INIT();
  return run_tests();
}
