/* tests/compat/programs/unshare.c -- unshare and setns of a user namespace,
 * which the kernel refuses to processes with several threads, after enough
 * was freed that the allocator's background thread has work.
 *
 * usage: unshare unshare|setns|errors; 77: this system does not allow it. */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, CHUNKS = 1024 };

static int thread_count(void) {
  struct stat status;
  return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : -1;
}

/* Allocate and free 1 GiB, and wait for a second thread to show up. */
static void spike(void) {
  static char *chunks[CHUNKS];
  for (int i = 0; i < CHUNKS; i++) {
    chunks[i] = malloc(MIB);
    REQUIRE(chunks[i]);
    memset(chunks[i], 1, MIB);
  }
  for (int i = 0; i < CHUNKS; i++) free(chunks[i]);
  double end = seconds_now() + 3;
  while (thread_count() == 1 && seconds_now() < end) sleep_ms(2);
  printf("threads before the call: %d\n", thread_count());
}

/* The heap works after the call, and can be spiked again. */
static void go_on(void) {
  uint64_t state = 5;
  for (int i = 0; i < 20000; i++) free(malloc(random_size(&state, 100000)));
  spike();
}

static int test_unshare(void) {
  pid_t pid = fork(); /* does this system allow it at all? */
  if (pid == 0) _exit(syscall(SYS_unshare, CLONE_NEWUSER) == 0 ? 0 : 77);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  if (status != 0) return 77;
  spike();
  errno = EXDEV;
  REQUIRE(unshare(CLONE_NEWUSER) == 0);
  REQUIRE(errno == EXDEV);
  REQUIRE(thread_count() == 1);
  go_on();
  REQUIRE(unshare(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) == 0);
  go_on();
  return 0;
}

/* Join the user and mount namespaces of a child. */
static int test_setns(void) {
  int to_child[2], to_parent[2];
  char byte = 0;
  REQUIRE(pipe(to_child) == 0 && pipe(to_parent) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    byte = syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) == 0;
    if (write(to_parent[1], &byte, 1) != 1) _exit(1);
    close(to_child[1]);
    if (read(to_child[0], &byte, 1) < 0) _exit(1); /* until the parent ends */
    _exit(0);
  }
  close(to_child[0]);
  REQUIRE(read(to_parent[0], &byte, 1) == 1);
  if (!byte) return 77;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
  int user = open(path, O_RDONLY | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)pid);
  int mount = open(path, O_RDONLY | O_CLOEXEC);
  REQUIRE(user >= 0 && mount >= 0);
  spike();
  errno = EXDEV;
  REQUIRE(setns(user, CLONE_NEWUSER) == 0);
  REQUIRE(errno == EXDEV);
  spike();
  REQUIRE(setns(mount, 0) == 0);
  go_on();
  return 0;
}

static int test_errors(void) {
  errno = 0;
  REQUIRE(setns(-1, 0) == -1 && errno == EBADF);
  int null = open("/dev/null", O_RDONLY);
  errno = 0;
  REQUIRE(setns(null, 0) == -1 && errno == EINVAL);
  errno = 0;
  REQUIRE(unshare(1) == -1 && errno == EINVAL);
  errno = EXDEV;
  REQUIRE(unshare(CLONE_FS) == 0 && errno == EXDEV);
  REQUIRE(unshare(CLONE_FILES) == 0);
  spike();
  double begin = seconds_now(); /* refused for another reason: not slow */
  errno = 0;
  REQUIRE(setns(null, 0) == -1 && errno == EINVAL);
  errno = 0;
  REQUIRE(unshare(1) == -1 && errno == EINVAL);
  REQUIRE(seconds_now() - begin < 1.0);
  return 0;
}

int main(int argc, char **argv) {
  REQUIRE(argc == 2);
  int result = 1;
  if (strcmp(argv[1], "unshare") == 0) result = test_unshare();
  if (strcmp(argv[1], "setns") == 0) result = test_setns();
  if (strcmp(argv[1], "errors") == 0) result = test_errors();
  return result;
}
