/* tests/support.h -- what the test programs share.
 *
 * WHAT    REQUIRE, which may fail in any thread and in a child process (where
 *         cmocka's assertions must not); random numbers with a printed seed;
 *         child processes with what they wrote to stderr; stamped memory.
 * HOW     Include it first. ALM_TEST_SEED (or ALM_SEED) repeats a run;
 *         ALM_SOAK_SECONDS lengthens it; ALM_SLOW shortens it.
 */
#ifndef ALM_TESTS_SUPPORT_H
#define ALM_TESTS_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "almacen.h"
#include "base/base.h"
#include "os/os.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { UNDER_TSAN = 1 };
#else
enum { UNDER_TSAN = 0 };
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { UNDER_ASAN = 1 };
#else
enum { UNDER_ASAN = 0 };
#endif

/* Read by TSan: a forked child may start its own background thread. */
const char *__tsan_default_options(void);
__attribute__((used)) const char *__tsan_default_options(void) {
  return "die_after_fork=0";
}

enum { SKIPPED = 77 };

/* Exit codes of children beside their own. */
enum { CHILD_REQUIRE_FAILED = 97, CHILD_TIMED_OUT = 98 };

static uint64_t support_seed; /* printed when something fails */
static bool support_in_child;

__attribute__((unused, noreturn, noinline)) static void support_failed(
    const char *expression, const char *file, int line) {
  char text[300];
  int n =
      snprintf(text, sizeof text, "%s:%d: required: %s (seed %" PRIu64 ")\n",
               file, line, expression, support_seed);
  ssize_t wrote = write(STDERR_FILENO, text, (size_t)n);
  (void)wrote;
  if (support_in_child) {
    _exit(CHILD_REQUIRE_FAILED);
  }
  abort();
}

/* As assert_true, but in any thread or child, and cheap when it holds. */
#define REQUIRE(c)                                                             \
  (__builtin_expect(!!(c), 1) ? (void)0                                        \
                              : support_failed(#c, __FILE__, __LINE__))

/* ---- numbers ----------------------------------------------------------- */

__attribute__((unused)) static uint64_t support_number(const char *name,
                                                       uint64_t otherwise) {
  const char *text = getenv(name);
  return text != NULL && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* How often to do something: less where code runs many times slower. */
__attribute__((unused)) static size_t rounds(size_t n) {
  n = support_number("ALM_SLOW", 0) || UNDER_TSAN || UNDER_ASAN ? n / 8 : n;
  return n > 0 ? n : 1;
}

__attribute__((unused)) static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((unused)) static void sleep_ms(unsigned ms) {
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

/* The moment at which a stress test stops: after ALM_SOAK_SECONDS, else
 * after `ms`. */
__attribute__((unused)) static uint64_t soak_end_ns(unsigned ms) {
  uint64_t soak = support_number("ALM_SOAK_SECONDS", 0);
  return now_ns() + (soak ? soak * 1000000000u : (uint64_t)ms * 1000000u);
}

struct rng {
  uint64_t state;
};

__attribute__((unused)) static uint64_t rng_next(struct rng *r) {
  uint64_t z = r->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* In [0, n). */
__attribute__((unused)) static size_t rng_below(struct rng *r, size_t n) {
  return (size_t)(((unsigned __int128)rng_next(r) * n) >> 64);
}

/* A size, each power of two up to `most` as likely as the other. */
__attribute__((unused)) static size_t rng_size(struct rng *r, size_t most) {
  size_t bits = 64u - (size_t)__builtin_clzll(most | 1);
  size_t n = (size_t)rng_next(r) & (((size_t)1 << rng_below(r, bits + 1)) - 1);
  return n < most ? n : most;
}

/* The run's seed: given, or chosen and printed. */
__attribute__((unused)) static uint64_t seed_take(void) {
  if (support_seed != 0) {
    return support_seed;
  }
  uint64_t seed = support_number("ALM_TEST_SEED", 0);
  seed = seed ? seed : support_number("ALM_SEED", 0);
  if (seed == 0) {
    seed = (now_ns() ^ ((uint64_t)getpid() << 32)) % 1000000007u;
  }
  printf("seed %" PRIu64 " (ALM_TEST_SEED repeats it)\n", seed);
  fflush(stdout);
  support_seed = seed;
  return seed;
}

/* ---- the library and its heaps ------------------------------------------ */

/* alm_heap_create, under the contract that ALM_TEST_CONTRACT names. */
__attribute__((unused)) static enum alm_err heap_under_test(
    const struct alm_heap_options *options, struct alm_heap **out) {
  const char *contract = getenv("ALM_TEST_CONTRACT");
  struct alm_heap_options own = {0};
  if (options != NULL) {
    own = *options;
  }
  if (contract != NULL && strcmp(contract, "uncooperative") == 0) {
    own.contract = ALM_UNCOOPERATIVE;
  }
  return alm_heap_create(&own, out);
}

/* Nothing is in use by malloc or any heap, and all structures are whole. */
__attribute__((unused)) static void all_memory_is_back(void) {
  struct alm_stats s;
  alm_thread_flush();
  (void)alm_release_memory(0);
  alm_stats_read(&s);
  REQUIRE(s.heap_inuse == 0);
  REQUIRE(alm_check());
}

/* The library's; its name tells it from threads of ours and of sanitizers. */
__attribute__((unused)) static bool background_thread_runs(void) {
  DIR *d = opendir("/proc/self/task");
  bool runs = false;
  REQUIRE(d != NULL);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    char path[300], name[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
    runs |= os_file_read(path, name, sizeof name - 1) > 0 &&
            strcmp(name, "almacen\n") == 0;
  }
  closedir(d);
  return runs;
}

/* ---- child processes --------------------------------------------------- */

struct child {
  int status;      /* as from waitpid                     */
  char text[4096]; /* what it wrote to stderr, cut, ended */
};

__attribute__((unused)) static bool child_exited(const struct child *c,
                                                 int code) {
  return WIFEXITED(c->status) && WEXITSTATUS(c->status) == code;
}

__attribute__((unused)) static bool child_aborted(const struct child *c) {
  return WIFSIGNALED(c->status) && WTERMSIG(c->status) == SIGABRT;
}

/* ALMACEN for a child. ALM_TEST_RESERVE is for emulators, to which 16 TiB of
 * address space cost memory. */
__attribute__((unused)) static void support_set_options(const char *options) {
  const char *reserve = getenv("ALM_TEST_RESERVE");
  char text[512];
  if (reserve != NULL && (options == NULL || !strstr(options, "reserve="))) {
    snprintf(text, sizeof text, "reserve=%s,%s", reserve,
             options ? options : "");
    options = text;
  }
  if (options != NULL) {
    setenv("ALMACEN", options, 1);
  } else {
    unsetenv("ALMACEN");
  }
}

/* Run f(arg) in a child; it ends with 0 when f returns, and is killed by
 * SIGALRM after a minute. `options` is its ALMACEN, NULL for none. */
__attribute__((unused)) static struct child child_run(void (*f)(void *),
                                                      void *arg,
                                                      const char *options) {
  struct child c = {0, ""};
  int ends[2];
  fflush(NULL);
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    support_in_child = true;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (int i = 1; i < 32; i++) {
      signal(i, SIG_DFL);
    }
    alarm(60);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    support_set_options(options);
    f(arg);
    _exit(0);
  }
  close(ends[1]);
  size_t used = 0;
  for (;;) {
    char dropped[256];
    size_t room = sizeof c.text - 1 - used;
    ssize_t n = room > 0 ? read(ends[0], c.text + used, room)
                         : read(ends[0], dropped, sizeof dropped);
    if (n <= 0) {
      break;
    }
    used += room > 0 ? (size_t)n : 0;
  }
  c.text[used] = '\0';
  close(ends[0]);
  while (waitpid(pid, &c.status, 0) < 0 && errno == EINTR) {}
  return c;
}

/* Fails with what the child said unless it ended with 0. */
__attribute__((unused)) static void child_must_pass(void (*f)(void *),
                                                    void *arg,
                                                    const char *options) {
  struct child c = child_run(f, arg, options);
  if (!child_exited(&c, 0)) {
    print_error("child: status 0x%x, stderr:\n%s\n", (unsigned)c.status,
                c.text);
  }
  assert_true(child_exited(&c, 0));
}

/* ---- stamped memory ---------------------------------------------------- */

/* Bytes [0, edge) and the last `edge` ones, and a word per 4 KiB between. */
enum { STAMP_EDGE = 64, STAMP_STEP = 4096 };

__attribute__((unused)) static uint64_t stamp_word(uint64_t tag, size_t at) {
  return (tag + 1) * 0x9e3779b97f4a7c15u ^ ((at + 1) * 0xff51afd7ed558ccdu);
}

__attribute__((unused)) static unsigned char stamp_byte(uint64_t tag,
                                                        size_t at) {
  return (unsigned char)(stamp_word(tag, at / 8) >> (at % 8 * 8));
}

__attribute__((unused)) static void stamp_write(void *p, size_t size,
                                                uint64_t tag) {
  unsigned char *b = p;
  size_t head = size < STAMP_EDGE ? size : STAMP_EDGE;
  for (size_t i = 0; i < head; i++) {
    b[i] = stamp_byte(tag, i);
  }
  for (size_t i = STAMP_STEP; i + 8 <= size; i += STAMP_STEP) {
    uint64_t w = stamp_word(tag, i);
    memcpy(b + i, &w, 8);
  }
  for (size_t i = size - head; i < size; i++) {
    b[i] = (unsigned char)(stamp_byte(tag, 0) + (size - i)); /* from the end */
  }
}

/* The stamp of an object that had `size` bytes when it was written and of
 * which the first `kept` must still be there. */
__attribute__((unused)) static bool stamp_holds(const void *p, size_t size,
                                                size_t kept, uint64_t tag) {
  const unsigned char *b = p;
  size_t head = size < STAMP_EDGE ? size : STAMP_EDGE;
  size_t tail = size - head;
  for (size_t i = 0; i < head && i < kept && i < tail; i++) {
    if (b[i] != stamp_byte(tag, i)) {
      return false;
    }
  }
  for (size_t i = STAMP_STEP; i + 8 <= tail && i + 8 <= kept; i += STAMP_STEP) {
    uint64_t w = stamp_word(tag, i);
    if (memcmp(b + i, &w, 8) != 0) {
      return false;
    }
  }
  for (size_t i = tail; i < size && i < kept; i++) {
    if (b[i] != (unsigned char)(stamp_byte(tag, 0) + (size - i))) {
      return false;
    }
  }
  return true;
}

#endif
