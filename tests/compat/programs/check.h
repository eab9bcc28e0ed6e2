/* tests/compat/programs/check.h -- what the compat programs share. */
#ifndef COMPAT_CHECK_H
#define COMPAT_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Stop the program with the place and the reason. */
#define REQUIRE(condition)                                                     \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s: required: %s (errno %d)\n", __FILE__,        \
              __LINE__, __func__, #condition, errno);                          \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

/* A small generator: every thread keeps a state of its own. */
static inline uint64_t random_next(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/* Mostly small, sometimes large sizes, up to `max`. */
static inline size_t random_size(uint64_t *state, size_t max) {
  unsigned shift = (unsigned)(random_next(state) % 64);
  size_t limit = max >> (shift % 20);
  return (size_t)(random_next(state) % (limit + 1));
}

/* Fill an object so that a stray write or a second owner shows. */
static inline void pattern_fill(void *p, size_t size, uint64_t key) {
  unsigned char *bytes = (unsigned char *)p;
  for (size_t i = 0; i < size; i += i < 64 ? 1 : 61)
    bytes[i] = (unsigned char)(key + i * 7);
  if (size > 0) bytes[size - 1] = (unsigned char)(key ^ 0x5a);
}

static inline int pattern_holds(const void *p, size_t size, uint64_t key) {
  const unsigned char *bytes = (const unsigned char *)p;
  if (size == 0) return 1;
  for (size_t i = 0; i < size - 1; i += i < 64 ? 1 : 61)
    if (bytes[i] != (unsigned char)(key + i * 7)) return 0;
  return bytes[size - 1] == (unsigned char)(key ^ 0x5a);
}

/* What must have survived a realloc from `size` to `now`. */
static inline int pattern_survived(const void *p, size_t size, size_t now,
                                   uint64_t key) {
  const unsigned char *bytes = (const unsigned char *)p;
  for (size_t i = 0; i + 1 < size && i < now; i += i < 64 ? 1 : 61)
    if (bytes[i] != (unsigned char)(key + i * 7)) return 0;
  return now < size || size == 0 ||
         bytes[size - 1] == (unsigned char)(key ^ 0x5a);
}

static inline double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Read a file of /proc without touching malloc. Returns bytes, or -1. */
static inline ssize_t proc_read(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, size - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  return n;
}

/* Resident bytes of this process, now. */
static inline size_t rss_bytes(void) {
  char text[128];
  unsigned long total = 0, resident = 0;
  if (proc_read("/proc/self/statm", text, sizeof text) <= 0) return 0;
  if (sscanf(text, "%lu %lu", &total, &resident) != 2) return 0;
  return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

static inline void sleep_ms(long ms) {
  struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&pause, &pause) != 0 && errno == EINTR) continue;
}

#endif
