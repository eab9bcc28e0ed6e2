/* os/os_linux.c -- Linux. See os.h.
 *
 * Memory is advised, not unmapped: the reservation stays ours from the first
 * allocation to the end of the process.
 */
#include "os.h"

#include "base/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
size_t sys_page_bytes(void) {
  size_t bytes = getauxval(AT_PAGESZ);
  return is_power_of_two(bytes) ? bytes : 4096;
}

static void *linux_map(void *hint, size_t bytes, int prot, int flags) {
  void *p = mmap(hint, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* Set once the kernel has said that it cannot; any thread, relaxed. */
static bool linux_cannot_name;

/* Kernels without the config option refuse; the name is a courtesy. */
static void linux_name(void *p, size_t bytes, const char *name) {
  if (!atomic_load_relaxed(&linux_cannot_name) &&
      prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, (uintptr_t)p, bytes,
            (uintptr_t)name) != 0) {
    atomic_store_relaxed(&linux_cannot_name, true);
  }
}

/* The kernel takes the hint if that place is free, else any other. Core dumps
 * leave out what was never touched, so nothing is said about them here. */
void *sys_reserve(void *hint, size_t bytes, const char *name) {
  void *p = linux_map(hint, bytes, PROT_NONE, MAP_NORESERVE);
  if (p != NULL) {
    linux_name(p, bytes, name); /* parts that become ready inherit it */
  }
  return p;
}

void sys_unreserve(void *p, size_t bytes) {
  (void)munmap(p, bytes);
}

bool sys_ready(void *p, size_t bytes) {
  return mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0;
}

void *sys_alloc(size_t bytes, const char *name) {
  void *p = linux_map(NULL, bytes, PROT_READ | PROT_WRITE, 0);
  if (p != NULL) {
    linux_name(p, bytes, name);
  }
  return p;
}

/* Emulators of user programs may accept a call and do nothing, or half of it.
 * So each of two capabilities is tried once, on memory that came the way heap
 * pages come. Any thread, relaxed. */
enum linux_answer { NOT_ASKED, WORKS, FAILS };
static uint32_t linux_dontneed_answer;
static uint32_t linux_move_answer;

static bool linux_move(void *from, void *to, size_t bytes) {
  int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  return mremap(from, bytes, bytes, flags, to) == to;
}

static bool linux_dontneed_zeroes(volatile char *p, size_t bytes) {
  *p = 1;
  return madvise((void *)(uintptr_t)p, bytes, MADV_DONTNEED) == 0 && *p == 0;
}

/* The old place must be zero, and still one that can be released. */
static bool linux_move_leaves_zeroes(volatile char *p, size_t bytes) {
  volatile char *to = p + bytes;
  *p = 1;
  return linux_move((void *)(uintptr_t)p, (void *)(uintptr_t)to, bytes) &&
         *to == 1 && *p == 0 && linux_dontneed_zeroes(p, bytes);
}

static bool linux_can(uint32_t *answer, bool (*try)(volatile char *, size_t)) {
  uint32_t known = atomic_load_relaxed(answer);
  if (known == NOT_ASKED) {
    size_t bytes = sys_page_bytes();
    char *p = linux_map(NULL, 2 * bytes, PROT_NONE, 0);
    if (p == NULL) {
      return false;
    }
    known = sys_ready(p, 2 * bytes) && try(p, bytes) ? WORKS : FAILS;
    munmap(p, 2 * bytes);
    atomic_store_relaxed(answer, known);
  }
  return known == WORKS;
}

bool sys_release(void *p, size_t bytes) {
  if (linux_can(&linux_dontneed_answer, linux_dontneed_zeroes)) {
    return madvise(p, bytes, MADV_DONTNEED) == 0;
  }
  /* a new mapping in the old one's place */
  return linux_map(p, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) == p;
}

/* MADV_COLLAPSE (Linux 6.1) leaves no advice behind: what is released later
 * comes back in small pages. It does not heed the machine's setting "never"
 * itself. */
static uint32_t linux_huge_answer;

static bool linux_may_huge(void) {
  char text[64] = "";
  (void)os_file_read("/sys/kernel/mm/transparent_hugepage/enabled", text,
                     sizeof text - 1);
  return strstr(text, "[always]") != NULL || strstr(text, "[madvise]") != NULL;
}

bool sys_huge(void *p, void *touch) {
  uint32_t known = atomic_load_relaxed(&linux_huge_answer);
  if (known == NOT_ASKED) {
    known = linux_may_huge() ? WORKS : FAILS;
    atomic_store_relaxed(&linux_huge_answer, known);
  }
  if (known == FAILS) {
    return false;
  }
  *(volatile char *)touch = 0; /* to where nothing is the kernel says no */
  if (madvise(p, HUGE_BYTES, MADV_COLLAPSE) == 0) {
    return true;
  }
  if (errno == EINVAL) { /* an old kernel, other sizes, or forbidden to us */
    atomic_store_relaxed(&linux_huge_answer, FAILS);
  }
  return false; /* no huge page to be had now */
}

bool sys_move(void *from, void *to, size_t bytes) {
  return linux_can(&linux_move_answer, linux_move_leaves_zeroes) &&
         linux_move(from, to, bytes);
}

static enum os_file_failure linux_file_failure(int error) {
  return error == EEXIST   ? OS_FILE_EXISTS
         : error == ENOENT ? OS_FILE_NO_FOLDER
                           : OS_FILE_REFUSED;
}

void *os_file_map(const char *path, size_t bytes, void *fixed,
                  enum os_file_failure *why) {
  int saved = errno;
  void *p = NULL;
  *why = OS_FILE_REFUSED;
  int fd = -1;
  if (!os_fault_hit(OS_FILE)) {
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *why = fd < 0 ? linux_file_failure(errno) : OS_FILE_REFUSED;
  }
  if (fd >= 0) {
    if (ftruncate(fd, (off_t)bytes) == 0) {
      p = mmap(fixed, bytes, PROT_READ | PROT_WRITE,
               MAP_SHARED | (fixed ? MAP_FIXED : 0), fd, 0);
      p = p == MAP_FAILED ? NULL : p;
      *why = p == NULL ? OS_FILE_REFUSED : OS_FILE_OK;
    }
    close(fd);
  }
  errno = saved;
  return p;
}

bool os_file_unmap_to_private(void *p, size_t bytes) {
  int saved = errno;
  bool ok = linux_map(p, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) == p;
  errno = saved;
  return ok;
}

size_t os_file_read(const char *path, char *text, size_t size) {
  int saved = errno;
  size_t used = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  while (fd >= 0 && used < size) {
    ssize_t n = read(fd, text + used, size - used);
    if (n <= 0) {
      break;
    }
    used += (size_t)n;
  }
  if (fd >= 0) {
    close(fd);
  }
  errno = saved;
  return used;
}

static uint64_t linux_clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_now_ns(void) {
  return linux_clock_ns(CLOCK_MONOTONIC);
}

uint64_t os_coarse_ns(void) {
  return linux_clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t os_wall_ns(void) {
  return linux_clock_ns(CLOCK_REALTIME);
}

uint64_t os_cpu_ns(void) {
  return linux_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t os_random(void) {
  int saved = errno;
  uint64_t n;
  if (getrandom(&n, sizeof n, GRND_NONBLOCK) != (ssize_t)sizeof n) {
    /* early boot: the clock and the stack's own randomness must do */
    n = (os_now_ns() ^ (uintptr_t)&n) * 0x9e3779b97f4a7c15u;
  }
  errno = saved;
  return n;
}

unsigned os_pid(void) {
  return (unsigned)getpid();
}

unsigned os_parent_pid(void) {
  return (unsigned)getppid();
}

/* Field 22 of /proc/self/stat, in ticks since boot: another in a process that
 * has the pid of one that ended. The name in field 2 may hold anything but
 * ends at the last parenthesis. 0: there is no /proc. */
static uint64_t linux_start_ticks(void) {
  enum { FIELDS_BETWEEN = 20 };
  char text[512];
  size_t n = os_file_read("/proc/self/stat", text, sizeof text - 1);
  text[n] = '\0';
  const char *at = strrchr(text, ')');
  for (int i = 0; at != NULL && i < FIELDS_BETWEEN; i++) {
    at = strchr(at + 1, ' ');
  }
  return at != NULL ? strtoull(at, NULL, 10) : 0;
}

/* The kernel gives each image 16 random bytes, which a forked child keeps. */
uint64_t os_image(void) {
  int saved = errno;
  uint64_t words[2] = {0, 0};
  const void *random = (const void *)getauxval(AT_RANDOM);
  if (random != NULL) {
    memcpy(words, random, sizeof words);
  }
  uint64_t process = linux_start_ticks() ^ (uint64_t)os_pid() << 32;
  uint64_t mixed = (words[0] ^ process) * 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 29) ^ words[1]) * 0xbf58476d1ce4e5b9u;
  errno = saved;
  return mixed ^ (mixed >> 32);
}

void os_yield(void) {
  (void)sched_yield();
}

unsigned os_cpus(void) {
  cpu_set_t set;
  int saved = errno;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  errno = saved;
  return n > 0 ? (unsigned)n : 1;
}

uint32_t os_thread_id(void) {
  return (uint32_t)syscall(SYS_gettid);
}

bool os_thread_signal(uint32_t id, int signal) {
  int saved = errno;
  bool is_gone =
      syscall(SYS_tgkill, getpid(), id, signal) != 0 && errno == ESRCH;
  errno = saved;
  return !is_gone;
}

bool os_signal_claim(int signal, void (*handler)(int signal), bool is_ours) {
  int saved = errno;
  struct sigaction old, new = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigfillset(&new.sa_mask);
  bool ok = sigaction(signal, NULL, &old) == 0 &&
            (is_ours || old.sa_handler == SIG_DFL ||
             old.sa_handler == SIG_IGN || old.sa_handler == handler) &&
            sigaction(signal, &new, NULL) == 0;
  errno = saved;
  return ok;
}

void os_signal_unblock(int signal) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  (void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

static uint64_t linux_timeval_ns(struct timeval t) {
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

struct os_usage os_usage_self(void) {
  struct rusage u;
  struct os_usage out = {0, 0, 0};
  if (getrusage(RUSAGE_SELF, &u) == 0) {
    out.user_ns = linux_timeval_ns(u.ru_utime);
    out.system_ns = linux_timeval_ns(u.ru_stime);
    out.rss_max = (uint64_t)u.ru_maxrss * 1024u;
  }
  return out;
}

const char *os_getenv(const char *name) {
  return environ == NULL ? NULL : secure_getenv(name);
}

void os_futex_wait(uint32_t *word, uint32_t expected, uint64_t timeout_ns) {
  int saved = errno;
  struct timespec t = {(time_t)(timeout_ns / 1000000000u),
                       (long)(timeout_ns % 1000000000u)};
  (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                timeout_ns ? &t : NULL, NULL, 0);
  errno = saved;
}

void os_futex_wake(uint32_t *word, uint32_t count) {
  int saved = errno;
  (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
  errno = saved;
}
