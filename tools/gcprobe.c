/* tools/gcprobe.c -- watches the libgc that a program has.
 *
 * WHAT    libalmacen-gcprobe.so, preloaded by `almacen run --gc --compare`
 *         into the runs on the system's libgc: leaves a record (struct
 *         alm_record, its face "libgc") of collections and of how long each
 *         made the world stand still, as a process on almacen does.
 * HOW     libgc tells of the steps of a collection. A program that wants to
 *         be told, too, is: the functions of libgc for that are here, and
 *         pass on. The record is a file mapping, so it is whole however the
 *         process ends; a forked child makes its own when it first collects.
 * LOCKS   None of its own. Steps are told under libgc's lock, some with the
 *         world stopped, so there are only system calls here, no malloc.
 * ERRORS  Without a libgc, or a directory, nothing is watched, and nothing
 *         is said: stdout and stderr are the program's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif

#include "almacen.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Program images one process may run before it is not watched. */
enum { IMAGES_MAX = 1000 };

/* Of libgc's steps those that matter here. */
enum step { STEP_BEFORE_STOP = 6, STEP_AFTER_START = 9 };

typedef void (*on_step)(enum step step);

/* libgc's functions that are here in its place. */
__attribute__((visibility("default"))) void GC_set_on_collection_event(
    on_step wanted);
__attribute__((visibility("default"))) on_step GC_get_on_collection_event(void);

static struct {
  void (*set_on_step)(on_step); /* libgc's own; NULL: there is none          */
  size_t (*heap_bytes)(void);
  size_t (*total_bytes)(void);
  on_step wanted;            /* what the program wants told; NULL: nothing.
                                Relaxed: libgc's setter locks, too           */
  uint64_t stop_ns;          /* the world is being stopped since             */
  struct alm_record *record; /* NULL: none could be made                     */
  char folder[256];
} probe;

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;

  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t) {
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

/* ---- the record --------------------------------------------------------- */

/* The directory: the last record= in ALMACEN. False: there is none. */
static bool find_folder(void) {
  const char *options = getenv("ALMACEN");
  bool is_found = false;

  while (options && *options) {
    const size_t length = strcspn(options, ",");

    if (!strncmp(options, "record=", 7) && length - 7 < sizeof probe.folder) {
      memcpy(probe.folder, options + 7, length - 7);
      probe.folder[length - 7] = '\0';
      is_found = length > 7;
    }
    options += length + (options[length] == ',');
  }
  return is_found;
}

static void read_command(char *text, size_t size) {
  const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
  size_t n = got > 0 ? (size_t)got : 0;

  if (fd >= 0) close(fd);
  while (n > 0 && text[n - 1] == '\0') n--;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\0') text[i] = ' ';
  }
  text[n] = '\0';
}

static struct alm_record *map_record(void) {
  struct alm_record *record = MAP_FAILED;
  char path[sizeof probe.folder + 40];
  int fd = -1;

  for (unsigned n = 0; n < IMAGES_MAX; n++) {
    snprintf(path, sizeof path, "%s/%d-%u.almrec", probe.folder, (int)getpid(),
             n);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EEXIST) break;
  }
  if (fd < 0) return NULL;
  if (ftruncate(fd, sizeof *record) == 0) {
    record =
        mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  close(fd);
  return record == MAP_FAILED ? NULL : record;
}

static void begin_record(void) {
  struct alm_record *record = probe.record = map_record();

  if (!record) return;
  record->record_bytes = sizeof *record;
  record->state = ALM_RECORD_RUNNING;
  record->pid = (uint32_t)getpid();
  record->parent_pid = (uint32_t)getppid();
  strcpy(record->face, "libgc");
  record->start_ns = clock_ns(CLOCK_REALTIME);
  record->image = record->start_ns;
  record->stats.threads = 1;
  record->stats.gc.heaps = record->stats.gc.heaps_now = 1;
  read_command(record->command, sizeof record->command);
  __atomic_thread_fence(__ATOMIC_RELEASE); /* with the magic comes the rest */
  memcpy(record->magic, ALM_RECORD_MAGIC, sizeof record->magic);
}

/* The record of this process, which may be a forked child of the one that
 * made it. */
static struct alm_record *own_record(void) {
  if (probe.record && probe.record->pid != (uint32_t)getpid()) {
    munmap(probe.record, sizeof *probe.record);
    begin_record();
  }
  return probe.record;
}

static void update_record(struct alm_record *record) {
  struct alm_stats *stats = &record->stats;
  struct rusage usage;

  getrusage(RUSAGE_SELF, &usage);
  record->user_ns = timeval_ns(usage.ru_utime);
  record->system_ns = timeval_ns(usage.ru_stime);
  record->rss_max = (uint64_t)usage.ru_maxrss * 1024;
  if (probe.total_bytes) stats->gc.alloc_bytes = probe.total_bytes();
  if (!probe.heap_bytes) return;
  stats->gc.heap_bytes = stats->heap_inuse = probe.heap_bytes();
  if (stats->gc.heap_bytes > stats->gc.heap_bytes_max) {
    stats->gc.heap_bytes_max = stats->gc.heap_bytes;
    stats->heap_inuse_max = stats->heap_inuse;
  }
}

static void add_pause(struct alm_gc_stats *gc, uint64_t ns) {
  unsigned i = 0;

  while (i < ALM_PAUSE_COUNT - 1 && ns >= alm_pause_below_ns(i)) i++;
  gc->pauses[i]++;
  gc->pause_ns += ns;
  if (ns > gc->pause_ns_max) gc->pause_ns_max = ns;
  gc->collections++;
}

/* ---- libgc -------------------------------------------------------------- */

static void on_any_step(enum step step) {
  const on_step wanted = __atomic_load_n(&probe.wanted, __ATOMIC_RELAXED);
  const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  const int kept = errno;

  if (wanted) wanted(step);
  if (step == STEP_BEFORE_STOP) {
    probe.stop_ns = now_ns;
  } else if (step == STEP_AFTER_START && probe.stop_ns) {
    struct alm_record *record = own_record();

    if (record) {
      add_pause(&record->stats.gc, now_ns - probe.stop_ns);
      update_record(record);
    }
    probe.stop_ns = 0;
  }
  errno = kept;
}

void GC_set_on_collection_event(on_step wanted) {
  __atomic_store_n(&probe.wanted, wanted, __ATOMIC_RELAXED);
}

on_step GC_get_on_collection_event(void) {
  return __atomic_load_n(&probe.wanted, __ATOMIC_RELAXED);
}

/* A function of libgc, or NULL. POSIX has data and function pointers alike. */
#define FIND(function, name)                                                   \
  (*(void **)(void *)&(function) = dlsym(RTLD_NEXT, (name)))

__attribute__((constructor)) static void begin(void) {
  FIND(probe.set_on_step, "GC_set_on_collection_event");
  FIND(probe.heap_bytes, "GC_get_heap_size");
  FIND(probe.total_bytes, "GC_get_total_bytes");
  if (!probe.set_on_step || !find_folder()) return;
  begin_record();
  probe.set_on_step(on_any_step);
}

__attribute__((destructor)) static void end(void) {
  struct alm_record *record = probe.record;

  if (!record || record->pid != (uint32_t)getpid()) return;
  update_record(record);
  record->end_ns = clock_ns(CLOCK_REALTIME);
  record->state = ALM_RECORD_EXITED;
}
