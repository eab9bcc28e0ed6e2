/* tests/compat/libgc/check.h -- the frame of the programs that run on two
 * libraries, Debian's libgc and ours, and must say the same on both.
 *
 * A program is a list of TESTs, run in the order of the file by run_tests().
 * Each prints one line, `ok` and its sentence; the first failure says where
 * and with which values on standard error and ends the program with 1.
 *
 * A conservative collector may keep anything for a while. So what shall die is
 * made by apart(), far down the stack, is watched through hidden pointers, and
 * a tenth of it may survive. */
#ifndef LIBGC_CHECK_H
#define LIBGC_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef GC_THREADS
#define GC_THREADS
#endif
/* The functions of both worlds are called by their own names. */
#define GC_NO_THREAD_REDIRECTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gc/gc.h>

/* Names the documentation calls old are part of what is tested. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define APART __attribute__((noinline, unused))

/* ---- failing ------------------------------------------------------------- */

#define FAILED(...)                                                            \
  do {                                                                         \
    fflush(stdout);                                                            \
    fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, test_now);              \
    fprintf(stderr, __VA_ARGS__);                                              \
    fputc('\n', stderr);                                                       \
    _exit(1);                                                                  \
  } while (0)

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) FAILED("%s does not hold", #condition);                  \
  } while (0)

/* Whole numbers or pointers: CHECK_THAT(size, >=, 100). */
#define CHECK_THAT(left, is, right)                                            \
  do {                                                                         \
    long long left_ = (long long)(left), right_ = (long long)(right);          \
    if (!(left_ is right_))                                                    \
      FAILED("%s %s %s does not hold: %lld, %lld", #left, #is, #right, left_,  \
             right_);                                                          \
  } while (0)

#define CHECK_TEXT(left, right)                                                \
  do {                                                                         \
    const char *left_ = (left), *right_ = (right);                             \
    if (!left_ || strcmp(left_, right_) != 0)                                  \
      FAILED("%s is \"%s\", not \"%s\"", #left, left_, right_);                \
  } while (0)

/* ---- tests --------------------------------------------------------------- */

enum { TESTS_MAX = 100 };

static struct test {
  const char *sentence;
  void (*run)(void);
} test_list[TESTS_MAX];
static int test_count;
static const char *test_now = "before the first test";

#define TEST(sentence) TEST_NUMBERED(sentence, __COUNTER__)
#define TEST_NUMBERED(sentence, number) TEST_NAMED(sentence, number)
#define TEST_NAMED(sentence, number)                                           \
  static void test_##number(void);                                             \
  __attribute__((constructor)) static void test_list_##number(void) {          \
    test_list[test_count++] = (struct test){sentence, test_##number};          \
  }                                                                            \
  APART static void test_##number(void)

__attribute__((unused)) static int run_tests(void) {
  for (int i = 0; i < test_count; i++) {
    test_now = test_list[i].sentence;
    test_list[i].run();
    printf("ok %s\n", test_now);
    fflush(stdout);
  }
  return 0;
}

/* ---- garbage ------------------------------------------------------------- */

/* Zeros where frames of returned functions were. */
APART static void wipe_stack(void) {
  volatile char room[48 * 1024];
  for (size_t i = 0; i < sizeof room; i++) room[i] = 0;
}

APART static void apart_below(int frames, void (*make)(void *), void *with) {
  volatile char room[1024];
  room[0] = (char)frames;
  if (frames > 0)
    apart_below(frames - 1, make, with);
  else
    make(with);
  room[1] = room[0];
}

/* Calls make(with) where nothing it leaves behind is found again. */
__attribute__((unused)) static void apart(void (*make)(void *), void *with) {
  wipe_stack();
  apart_below(16, make, with);
  wipe_stack();
}

/* Objects are watched through links that hold no visible pointer. */
enum { WATCHED = 100 };
static GC_hidden_pointer watched[WATCHED];

__attribute__((unused)) static void watch(int i, void *object) {
  watched[i] = GC_HIDE_POINTER(object);
  int result =
      GC_general_register_disappearing_link((void **)&watched[i], object);
  CHECK_THAT(result, ==, GC_SUCCESS);
}

/* How many of the watched are gone. Collects before it counts. */
__attribute__((unused)) static int watched_gone(void) {
  int gone = 0;
  wipe_stack();
  GC_gcollect();
  GC_gcollect();
  for (int i = 0; i < WATCHED; i++) gone += watched[i] == 0;
  return gone;
}

__attribute__((unused)) static void watch_end(void) {
  for (int i = 0; i < WATCHED; i++) {
    if (watched[i]) GC_unregister_disappearing_link((void **)&watched[i]);
    watched[i] = 0;
  }
}

/* All WATCHED are watched; what a tenth of them does is left open. */
#define CHECK_WATCHED_GONE()                                                   \
  do {                                                                         \
    CHECK_THAT(watched_gone(), >=, WATCHED * 9 / 10);                          \
    watch_end();                                                               \
  } while (0)

#define CHECK_WATCHED_KEPT()                                                   \
  do {                                                                         \
    CHECK_THAT(watched_gone(), ==, 0);                                         \
    watch_end();                                                               \
  } while (0)

/* ---- contents ------------------------------------------------------------ */

__attribute__((unused)) static int is_filled(const void *p, int byte,
                                             size_t size) {
  const unsigned char *bytes = (const unsigned char *)p;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != byte) return 0;
  return 1;
}

__attribute__((unused)) static int is_aligned(const void *p, size_t to) {
  return (uintptr_t)p % to == 0;
}

__attribute__((unused)) static void sleep_ms(long ms) {
  struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&pause, &pause) != 0 && errno == EINTR) continue;
}

/* ---- output of the library ----------------------------------------------- */

static int capture_file = -1, capture_saved = -1, capture_of = -1;

/* What is written to `fd` from now on goes to a file. */
__attribute__((unused)) static void capture_begin(int fd) {
  fflush(NULL);
  capture_of = fd;
  capture_file = memfd_create("capture", MFD_CLOEXEC);
  capture_saved = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  CHECK_THAT(capture_file, >=, 0);
  CHECK_THAT(capture_saved, >=, 0);
  CHECK_THAT(dup2(capture_file, fd), ==, fd);
}

/* The fd as it was; returns the number of bytes written meanwhile, of which
 * `text` gets the first ones. */
__attribute__((unused)) static size_t capture_end(char *text, size_t size) {
  fflush(NULL);
  CHECK_THAT(dup2(capture_saved, capture_of), ==, capture_of);
  close(capture_saved);
  off_t written = lseek(capture_file, 0, SEEK_END);
  ssize_t n = pread(capture_file, text, size - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  close(capture_file);
  return (size_t)written;
}

/* Runs this program again with the argument `part`; what it writes to standard
 * error comes back in `text`. Returns the status of waitpid. */
__attribute__((unused)) static int run_part(const char *part, char *text,
                                            size_t size) {
  int ends[2];
  CHECK_THAT(pipe(ends), ==, 0);
  fflush(NULL);
  pid_t child = fork();
  CHECK_THAT(child, >=, 0);
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", "part", part, (char *)NULL);
    _exit(99);
  }
  close(ends[1]);
  size_t length = 0;
  char rest[512];
  for (;;) {
    char *to = length < size - 1 ? text + length : rest;
    size_t room = length < size - 1 ? size - 1 - length : sizeof rest;
    ssize_t n = read(ends[0], to, room);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (to != rest) length += (size_t)n;
  }
  text[length] = '\0';
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

#endif
