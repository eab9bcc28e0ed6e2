/* bench/bench.h -- what every benchmark program shares.
 *
 * WHAT    Options (name=value), a random generator, a clock, the process's
 *         own RSS, stamped objects, threads, and the JSON line at the end.
 * HOW     A benchmark does a fixed amount of work, so that wall time can be
 *         compared, and uses only the public malloc functions. Every object is
 *         stamped at both ends and touched in between; the stamps are looked
 *         at before the object is freed. An allocator that hands out memory
 *         twice, too short, or loses contents ends the program with exit
 *         code BENCH_BROKEN; a number is printed only by a run that was right.
 * MEMORY  Nothing here calls malloc but the object functions.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  BENCH_BROKEN = 70,          /* exit code: the allocator did something wrong */
  BENCH_USAGE = 64,           /* exit code: unknown option or bad value       */
  BENCH_LINE_BYTES = 64,      /* touched one word per cache line ...          */
  BENCH_PAGE_BYTES = 4096,    /* ... or, in big objects, one per OS page      */
  BENCH_LINES_MAX = 32 << 10, /* bytes; objects above are "big"               */
};

/* End the program: the allocator is at fault. Safe with a broken heap. */
static inline void bench_end(const char *what, uintptr_t at, size_t size) {
  char line[160];
  int n = snprintf(line, sizeof line, "bench: broken: %s: %#jx, %zu bytes\n",
                   what, (uintmax_t)at, size);
  if (n > 0) {
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);
    (void)ignored;
  }
  _exit(BENCH_BROKEN);
}

#define bench_broken(what, p, size) bench_end((what), (uintptr_t)(p), (size))

/* --- options ------------------------------------------------------------ */

struct bench_option {
  const char *name;
  uint64_t *value; /* holds the default before bench_options */
  const char *help;
};

static inline void bench_usage(const char *program,
                               const struct bench_option *options,
                               size_t count) {
  fprintf(stderr, "usage: %s [name=value ...]   (K, M, G: powers of 1024)\n",
          program);
  for (size_t i = 0; i < count; i++) {
    fprintf(stderr, "  %-10s %s (default %" PRIu64 ")\n", options[i].name,
            options[i].help, *options[i].value);
  }
  exit(BENCH_USAGE);
}

static inline bool bench_number(const char *text, uint64_t *value) {
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (end == text || errno != 0) {
    return false;
  }
  unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  if (end[shift != 0] != '\0') {
    return false;
  }
  *value = (uint64_t)n << shift;
  return true;
}

/* Read name=value arguments into the table; anything else prints the table
 * and ends the program. */
static inline void bench_options(int argc, char **argv,
                                 const struct bench_option *options,
                                 size_t count) {
  for (int a = 1; a < argc; a++) {
    const char *eq = strchr(argv[a], '=');
    bool known = false;
    for (size_t i = 0; eq != NULL && i < count; i++) {
      size_t len = strlen(options[i].name);
      if (len == (size_t)(eq - argv[a]) &&
          memcmp(argv[a], options[i].name, len) == 0) {
        known = bench_number(eq + 1, options[i].value);
      }
    }
    if (!known) {
      fprintf(stderr, "%s: bad argument: %s\n", argv[0], argv[a]);
      bench_usage(argv[0], options, count);
    }
  }
}

#define BENCH_OPTIONS(argc, argv, table)                                       \
  bench_options((argc), (argv), (table), sizeof(table) / sizeof((table)[0]))

/* --- random numbers, clock ---------------------------------------------- */

struct bench_rng {
  uint64_t state;
};

static inline struct bench_rng bench_seed(uint64_t seed) {
  struct bench_rng r = {(seed + 1) * UINT64_C(0x9E3779B97F4A7C15)};
  return r;
}

/* xorshift64*: the same numbers for every library, so the same work. */
static inline uint64_t bench_random(struct bench_rng *r) {
  r->state ^= r->state >> 12;
  r->state ^= r->state << 25;
  r->state ^= r->state >> 27;
  return (r->state * UINT64_C(2685821657736338717)) >> 11;
}

/* min..max, both included. */
static inline size_t bench_between(struct bench_rng *r, size_t min,
                                   size_t max) {
  return min + (size_t)(bench_random(r) % (max - min + 1));
}

/* Sizes as programs ask for them: six in ten below 128 bytes, few above
 * 4 KiB, none above 32 KiB; about 480 bytes in the mean. */
static inline size_t bench_size_mixed(struct bench_rng *r) {
  uint64_t k = bench_random(r) & 1023;
  if (k < 600) {
    return bench_between(r, 16, 128);
  }
  if (k < 900) {
    return bench_between(r, 128, 512);
  }
  if (k < 1020) {
    return bench_between(r, 512, 4096);
  }
  return bench_between(r, 4096, 32768);
}

/* Every power of two between min and max is equally likely. */
static inline size_t bench_size_log(struct bench_rng *r, size_t min,
                                    size_t max) {
  unsigned steps = 0;
  while ((min << (steps + 1)) <= max) {
    steps++;
  }
  size_t low = min << bench_between(r, 0, steps > 0 ? steps - 1 : 0);
  size_t high = low * 2 < max ? low * 2 : max;
  return bench_between(r, low, high);
}

static inline double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* CPU seconds of all threads, also of those the allocator started. */
static inline double bench_cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void bench_sleep_until(double when) {
  for (double left; (left = when - bench_now()) > 0;) {
    struct timespec t = {(time_t)left, (long)((left - (long)left) * 1e9)};
    nanosleep(&t, NULL);
  }
}

/* --- the process's own memory ------------------------------------------- */

/* KiB resident now, counted page by page (smaps_rollup: the kernel's cheap
 * counters may be hundreds of KiB behind). 0 if the kernel does not tell. */
static inline uint64_t bench_rss_kib(void) {
  static char text[2048];
  int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return 0;
  }
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) {
    return 0;
  }
  text[n] = '\0';
  const char *line = strstr(text, "\nRss:");
  return line != NULL ? strtoull(line + 5, NULL, 10) : 0;
}

/* --- stamped objects ---------------------------------------------------- */

struct bench_object {
  unsigned char *p;
  uint32_t size; /* bytes                                               */
  uint32_t tag;  /* differs between objects that live at the same time,
                    so that memory handed out twice is noticed          */
};

static inline uint32_t bench_tag(void) {
  static _Thread_local uint32_t count;
  return ++count ^ (uint32_t)((uintptr_t)&count >> 6 << 16);
}

static inline uint64_t bench_key(const void *p, size_t size, uint32_t tag) {
  uint64_t mix = (uint64_t)(uintptr_t)p ^ size ^ (uint64_t)tag << 32;
  return mix * UINT64_C(0x9E3779B97F4A7C15);
}

/* Use the memory as a program would: a word in every cache line, in big
 * objects in every OS page, and the key at both ends last. */
static inline void bench_write(unsigned char *p, size_t size, uint64_t key) {
  if (size < sizeof key) {
    memset(p, (int)(key >> 56), size);
    return;
  }
  size_t step = size <= BENCH_LINES_MAX ? BENCH_LINE_BYTES : BENCH_PAGE_BYTES;
  for (size_t at = step; at + sizeof key <= size; at += step) {
    memcpy(p + at, &at, sizeof at);
  }
  memcpy(p + size - sizeof key, &key, sizeof key);
  memcpy(p, &key, sizeof key);
}

static inline void bench_stamp(struct bench_object *o) {
  o->tag = bench_tag();
  bench_write(o->p, o->size, bench_key(o->p, o->size, o->tag));
}

static inline void bench_verify(const struct bench_object *o) {
  uint64_t key = bench_key(o->p, o->size, o->tag), first, last;
  if (o->size < sizeof key) {
    if (o->size > 0 &&
        (o->p[0] != key >> 56 || o->p[o->size - 1] != key >> 56)) {
      bench_broken("contents lost", o->p, o->size);
    }
    return;
  }
  memcpy(&first, o->p, sizeof first);
  memcpy(&last, o->p + o->size - sizeof last, sizeof last);
  if (first != key || (last != key && o->size >= 2 * sizeof key)) {
    bench_broken("contents lost", o->p, o->size);
  }
}

/* The pointer is there and aligned for what fits in it. */
static inline void *bench_checked(void *p, size_t size) {
  if (p == NULL) {
    bench_broken("out of memory", p, size);
  }
  if (((uintptr_t)p & (size >= 16 ? 15 : 7)) != 0) {
    bench_broken("misaligned", p, size);
  }
  return p;
}

static inline struct bench_object bench_make(size_t size) {
  struct bench_object o = {bench_checked(malloc(size), size), (uint32_t)size,
                           0};
  bench_stamp(&o);
  return o;
}

/* Free an object made by bench_make, or by anything that stamps it. */
static inline void bench_drop(struct bench_object *o) {
  if (o->p != NULL) {
    bench_verify(o);
    free(o->p);
    o->p = NULL;
  }
}

/* An array of objects, all empty. */
static inline struct bench_object *bench_objects(size_t count) {
  struct bench_object *a = calloc(count, sizeof *a);
  return bench_checked(a, count * sizeof *a);
}

/* --- threads ------------------------------------------------------------ */

enum { BENCH_THREADS_MAX = 256 };

static inline pthread_t bench_thread(void *(*fn)(void *), void *arg) {
  pthread_t id;
  if (pthread_create(&id, NULL, fn, arg) != 0) {
    bench_broken("pthread_create failed", arg, 0);
  }
  return id;
}

/* fn(args + i * stride) on `count` threads at once; returns when all ended.
 * One thread means the calling one, so that the process stays single. */
static inline void bench_parallel(size_t count, void *(*fn)(void *), void *args,
                                  size_t stride) {
  pthread_t ids[BENCH_THREADS_MAX];
  if (count > BENCH_THREADS_MAX) {
    bench_broken("too many threads", NULL, count);
  }
  if (count == 1) {
    fn(args);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    ids[i] = bench_thread(fn, (char *)args + i * stride);
  }
  for (size_t i = 0; i < count; i++) {
    pthread_join(ids[i], NULL);
  }
}

/* --- the result --------------------------------------------------------- */

/* One JSON line on stdout. `more` is a printf format for further members,
 * e.g. ",\"live_kib\":%zu"; "" for none. */
__attribute__((format(printf, 4, 5))) static inline void bench_report(
    const char *name, uint64_t ops, double seconds, const char *more, ...) {
  printf("{\"bench\":\"%s\",\"ops\":%" PRIu64 ",\"seconds\":%.6f", name, ops,
         seconds);
  va_list ap;
  va_start(ap, more);
  vprintf(more, ap);
  va_end(ap);
  puts("}");
  fflush(stdout);
}

#endif
