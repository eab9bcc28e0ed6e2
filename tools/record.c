/* tools/record.c -- the files that the processes of a run leave.
 *
 * WHAT    Makes and removes the directory, reads the records in it, decides
 *         how each process ended and sums up.
 * HOW     A record is trusted only after its header fits: whoever runs in
 *         the program can write anything into the directory. Every image
 *         keeps a summary; the whole record is 8 KB and is kept for the
 *         biggest image only, unless all are wanted.
 */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The longest value the option `record` takes, less the name made below. */
#define RECORD_PARENT_MAX (255 - (sizeof "/almacen-XXXXXX" - 1))

bool record_dir_make(char *path, size_t size) {
  const char *wanted = getenv("TMPDIR");
  char absolute[PATH_MAX];

  if (!wanted || !*wanted || !realpath(wanted, absolute) ||
      absolute[strcspn(absolute, ", :")] ||
      strlen(absolute) > RECORD_PARENT_MAX || access(absolute, W_OK) != 0) {
    strcpy(absolute, "/tmp");
  }
  const int length = snprintf(path, size, "%s/almacen-XXXXXX", absolute);

  if (length < 0 || (size_t)length >= size) {
    errno = ENAMETOOLONG;
    return false;
  }
  return mkdtemp(path) != NULL;
}

void record_dir_remove(const char *path) {
  /* A process that is still running may put a file in between. */
  for (int attempt = 0; attempt < 20; attempt++) {
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) return;
    while ((entry = readdir(dir))) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    if (rmdir(path) == 0 || errno != ENOTEMPTY) return;
  }
}

const char *record_state_name(enum process_state state) {
  static const char *const names[] = {
      [PROCESS_EXITED] = "exited",   [PROCESS_KILLED] = "killed",
      [PROCESS_EXEC] = "exec",       [PROCESS_ENDED] = "ended",
      [PROCESS_RUNNING] = "running",
  };

  return names[state];
}

static const char *const face_names[FACE_COUNT] = {
    [FACE_ALM] = "alm",
    [FACE_MALLOC] = "malloc",
    [FACE_GC] = "gc",
    [FACE_LIBGC] = "libgc",
};

const char *record_face_name(enum face face) {
  return face_names[face];
}

/* FACE_COUNT: there is no such face. */
static enum face face_of(const struct alm_record *record) {
  enum face face = FACE_ALM;

  while (face < FACE_COUNT &&
         strncmp(record->face, face_names[face], sizeof record->face) != 0) {
    face++;
  }
  return face;
}

/* ---- one file ----------------------------------------------------------- */

/* What is wrong with the numbers that all else relies on, or NULL. */
static const char *record_class_fault(const struct alm_stats *stats) {
  /* 1 MiB: far above every class and span there is or may be. */
  enum { MOST = 1 << 20 };

  for (int i = 1; i < ALM_CLASS_COUNT; i++) {
    const struct alm_class_stats *class = &stats->classes[i];

    if (class->object_bytes > MOST || class->span_bytes > MOST ||
        stats->gc.classes[i].object_bytes > MOST) {
      return "corrupt: impossible size class";
    }
  }
  return NULL;
}

/* NULL when the record can be used, else what is wrong with it. */
static const char *record_fault(const struct alm_record *record, size_t length,
                                uint32_t pid) {
  static const char magic[8] = ALM_RECORD_MAGIC;
  static const char nothing[8];
  const size_t without_version = strlen(magic) - 1;

  if (length < sizeof record->magic) return "truncated";
  if (!memcmp(record->magic, nothing, sizeof nothing)) {
    return "never completed: the process ended while it started";
  }
  if (memcmp(record->magic, magic, without_version) != 0) return "no record";
  if (length < offsetof(struct alm_record, pid)) return "truncated";
  if (memcmp(record->magic, magic, sizeof magic) != 0 ||
      record->record_bytes != sizeof *record) {
    return "written by another version of the library";
  }
  if (length < sizeof *record) return "truncated";
  if (record->state != ALM_RECORD_RUNNING &&
      record->state != ALM_RECORD_EXITED) {
    return "corrupt: unknown state";
  }
  if (record->pid != pid) return "corrupt: the pid is not the file's";
  if (!memchr(record->command, 0, sizeof record->command)) {
    return "corrupt: the command does not end";
  }
  if (face_of(record) == FACE_COUNT) return "corrupt: unknown face";
  return record_class_fault(&record->stats);
}

/* Read file `name` into *record; NULL or what is wrong. */
static const char *record_read(int dir, const char *name, uint32_t pid,
                               struct alm_record *record) {
  const int fd =
      openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat stat;
  size_t length = 0;

  if (fd < 0) return "cannot be opened";
  if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
    close(fd);
    return "not a regular file";
  }
  memset(record, 0, sizeof *record);
  while (length < sizeof *record) {
    const ssize_t got =
        read(fd, (char *)record + length, sizeof *record - length);

    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    length += (size_t)got;
  }
  close(fd);
  return record_fault(record, length, pid);
}

/* The PID and N of a file name of the form PID-N.almrec. */
static bool name_parse(const char *name, uint32_t *pid, uint32_t *number) {
  int end = 0;

  if (name[0] < '0' || name[0] > '9') return false;
  if (sscanf(name, "%9u-%9u.almrec%n", pid, number, &end) != 2) return false;
  return end > 0 && name[end] == '\0';
}

/* ---- sums --------------------------------------------------------------- */

static void add_class(struct alm_class_stats *sum,
                      const struct alm_class_stats *one) {
  if (one->object_bytes) sum->object_bytes = one->object_bytes;
  if (one->span_bytes) sum->span_bytes = one->span_bytes;
  sum->allocs += one->allocs;
  sum->frees += one->frees;
  sum->alloc_bytes += one->alloc_bytes;
  sum->free_bytes += one->free_bytes;
  sum->spans += one->spans;
  sum->spans_max += one->spans_max;
  sum->inherited += one->inherited;
}

static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static void add_gc(struct alm_gc_stats *sum, const struct alm_gc_stats *one) {
  sum->heaps += one->heaps;
  sum->heaps_now += one->heaps_now;
  sum->collections += one->collections;
  sum->pause_ns += one->pause_ns;
  sum->pause_ns_max = larger(sum->pause_ns_max, one->pause_ns_max);
  sum->cpu_ns += one->cpu_ns;
  sum->alloc_bytes += one->alloc_bytes;
  sum->heap_bytes += one->heap_bytes;
  sum->heap_bytes_max += one->heap_bytes_max;
  sum->live_bytes += one->live_bytes;
  sum->live_objects += one->live_objects;
  sum->live_bytes_max += one->live_bytes_max;
  sum->finalizers_queued += one->finalizers_queued;
  sum->finalizers_run += one->finalizers_run;
  for (int i = 0; i < ALM_PAUSE_COUNT; i++) sum->pauses[i] += one->pauses[i];
  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    sum->classes[i].object_bytes =
        larger(sum->classes[i].object_bytes, one->classes[i].object_bytes);
    sum->classes[i].bytes += one->classes[i].bytes;
    sum->classes[i].bytes_max += one->classes[i].bytes_max;
  }
}

static void add_stats(struct alm_stats *sum, const struct alm_stats *one) {
  sum->heap_inuse += one->heap_inuse;
  sum->heap_inuse_max += one->heap_inuse_max;
  sum->live_at_max += one->live_at_max;
  sum->heap_free += one->heap_free;
  sum->heap_mapped += one->heap_mapped;
  sum->heap_mapped_max += one->heap_mapped_max;
  sum->released += one->released;
  sum->metadata += one->metadata;
  sum->reserved += one->reserved;
  sum->threads += one->threads;
  sum->realloc_inplace += one->realloc_inplace;
  sum->realloc_moved += one->realloc_moved;
  sum->realloc_remapped += one->realloc_remapped;
  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    add_class(&sum->classes[i], &one->classes[i]);
  }
  add_gc(&sum->gc, &one->gc);
}

static struct image image_of(const struct alm_record *record, uint32_t number) {
  struct image image = {
      .pid = record->pid,
      .parent_pid = record->parent_pid,
      .number = number,
      .id = record->image,
      .face = face_of(record),
      .state =
          record->state == ALM_RECORD_EXITED ? PROCESS_EXITED : PROCESS_ENDED,
      .start_ns = record->start_ns,
      .wall_ns = record->end_ns > record->start_ns
                     ? record->end_ns - record->start_ns
                     : 0,
      .cpu_ns = record->user_ns + record->system_ns,
      .alloc_bytes = record->stats.gc.alloc_bytes,
      .heap_max = record->stats.heap_inuse_max,
      .threads = record->stats.threads,
      .rss_max = record->rss_max,
  };

  /* The library raises its maximum in steps and may be one behind. */
  if (record->stats.heap_inuse > image.heap_max) {
    image.heap_max = record->stats.heap_inuse;
  }
  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    image.alloc_bytes += record->stats.classes[i].alloc_bytes;
  }
  image.weight =
      image.heap_max < image.alloc_bytes ? image.heap_max : image.alloc_bytes;
  memcpy(image.command, record->command, sizeof image.command);
  if (record->stats.gc.heaps) {
    image.gc = tool_grow(NULL, 1, sizeof *image.gc);
    *image.gc = record->stats.gc;
  }
  return image;
}

static void add_skipped(struct account *account, const char *name,
                        const char *why) {
  account->skipped = tool_grow(account->skipped, account->nskipped + 1,
                               sizeof *account->skipped);
  struct skipped *skipped = &account->skipped[account->nskipped++];

  snprintf(skipped->file, sizeof skipped->file, "%s", name);
  skipped->why = why;
}

/* ---- images and processes ----------------------------------------------- */

static int by_pid(const void *left, const void *right) {
  const struct image *a = left, *b = right;

  if (a->pid != b->pid) return a->pid < b->pid ? -1 : 1;
  return a->number < b->number ? -1 : a->number > b->number;
}

static int by_start(const void *left, const void *right) {
  const struct process *a = left, *b = right;

  if (a->start_ns != b->start_ns) return a->start_ns < b->start_ns ? -1 : 1;
  return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static int by_ending_pid(const void *left, const void *right) {
  const struct ending *a = left, *b = right;

  return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* How the last image of a process ended. */
static enum process_state final_state(const struct image *image,
                                      const struct launch_result *result) {
  const struct ending key = {.pid = (pid_t)image->pid};
  const struct ending *ending =
      result->nendings ? bsearch(&key, result->endings, result->nendings,
                                 sizeof key, by_ending_pid)
                       : NULL;

  if (ending) {
    return WIFSIGNALED(ending->status) ? PROCESS_KILLED : PROCESS_EXITED;
  }
  if (image->state == PROCESS_EXITED) return PROCESS_EXITED;
  return launch_is_running((pid_t)image->pid) ? PROCESS_RUNNING : PROCESS_ENDED;
}

size_t record_copies(const struct account *account, size_t i, size_t *end) {
  size_t first = i;

  while (account->images[first].is_copy) first--;
  *end = i + 1;
  while (*end < account->nimages && account->images[*end].is_copy) ++*end;
  return first;
}

/* Find the copies: the same process and image. They get one state: an image
 * has exited when all its copies say so; one that a plugin had, which was
 * closed, says it too early. */
static void find_copies(struct account *account) {
  for (size_t i = 1; i < account->nimages; i++) {
    struct image *image = &account->images[i];

    image->is_copy = image[-1].pid == image->pid && image[-1].id == image->id;
  }
  for (size_t i = 0, end; i < account->nimages; i = end) {
    enum process_state state = PROCESS_EXITED;
    struct image *images = account->images;

    record_copies(account, i, &end);
    for (size_t k = i; k < end; k++) {
      if (images[k].state != PROCESS_EXITED) state = images[k].state;
    }
    for (size_t k = i; k < end; k++) images[k].state = state;
  }
}

/* The image whose copies are images[first .. end) is the process's next. */
static void add_image(struct process *process, struct image *images,
                      size_t first, size_t end, uint32_t index) {
  uint64_t heap_max = 0, threads = 0;

  for (size_t k = first; k < end; k++) {
    struct image *image = &images[k];

    image->index = index;
    heap_max += image->heap_max;
    threads = larger(threads, image->threads);
    process->alloc_bytes += image->alloc_bytes;
    process->weight = larger(process->weight, image->weight);
    process->rss_max = larger(process->rss_max, image->rss_max);
  }
  process->nimages += end - first;
  process->heap_max = larger(process->heap_max, heap_max);
  process->threads += threads;
}

static void set_state(struct account *account, size_t last,
                      enum process_state state) {
  size_t end;

  for (size_t k = record_copies(account, last, &end); k < end; k++) {
    account->images[k].state = state;
  }
}

/* Images become processes: the same pid, until one of them has exited (the
 * kernel then gave the pid to another process). */
static void group(struct account *account, const struct launch_result *result) {
  struct image *images = account->images;
  struct process *process = NULL;
  uint32_t index = 0;

  account->processes = tool_grow(NULL, account->nimages, sizeof *process);
  for (size_t i = 0, end; i < account->nimages; i = end) {
    struct image *image = &images[i];
    const bool is_next = i > 0 && image[-1].pid == image->pid &&
                         image[-1].state != PROCESS_EXITED;

    record_copies(account, i, &end);
    if (is_next) {
      set_state(account, i - 1, PROCESS_EXEC);
      index++;
    } else {
      process = &account->processes[account->nprocesses++];
      *process = (struct process){.first = i,
                                  .pid = image->pid,
                                  .parent_pid = image->parent_pid,
                                  .start_ns = image->start_ns};
      index = 0;
    }
    add_image(process, images, i, end, index);
  }
  for (size_t i = 0; i < account->nprocesses; i++) {
    process = &account->processes[i];
    const size_t last = process->first + process->nimages - 1;

    process->state = final_state(&images[last], result);
    set_state(account, last, process->state);
  }
  if (account->nprocesses) {
    qsort(account->processes, account->nprocesses, sizeof *process, by_start);
  }
}

/* Add the record to the account; `record` is taken over or freed. */
static void add_record(struct account *account, struct alm_record *record,
                       uint32_t number, bool keep_all) {
  const size_t n = account->nimages;

  if ((n & (n - 1)) == 0) {
    account->images =
        tool_grow(account->images, n ? n * 2 : 1, sizeof *account->images);
  }
  struct image *image = &account->images[n];

  account->nimages++;
  add_stats(&account->total, &record->stats);
  *image = image_of(record, number);
  image->record = record;
  struct image *biggest = &account->images[account->biggest];

  if (n == 0 || keep_all) return;
  if (image->weight > biggest->weight) {
    account->biggest = n;
    image = biggest;
  }
  free(image->record);
  image->record = NULL;
}

/* After the sort: where the images are that the report is about. */
static void find_biggest(struct account *account) {
  account->biggest = account->collector = 0;
  for (size_t i = 0; i < account->nimages; i++) {
    const struct image *biggest = &account->images[account->biggest];
    const struct image *collector = &account->images[account->collector];
    const struct image *image = &account->images[i];

    if (image->record &&
        (!biggest->record || image->weight > biggest->weight)) {
      account->biggest = i;
    }
    if (!image->gc) continue;
    if (!collector->gc || image->gc->alloc_bytes > collector->gc->alloc_bytes) {
      account->collector = i;
    }
    account->ncollectors++;
  }
}

/* The biggest image is reported on with all its copies. Their records were
 * read before; who has taken them away since does without. */
static void keep_copies(struct account *account, int dir) {
  size_t end;

  for (size_t k = record_copies(account, account->biggest, &end); k < end;
       k++) {
    struct image *image = &account->images[k];
    char name[64];

    if (image->record) continue;
    snprintf(name, sizeof name, "%u-%u.almrec", image->pid, image->number);
    image->record = tool_grow(NULL, 1, sizeof *image->record);
    if (record_read(dir, name, image->pid, image->record)) {
      free(image->record);
      image->record = NULL;
    }
  }
}

void record_read_all(const char *path, bool keep_all,
                     const struct launch_result *result, struct account *out) {
  DIR *dir = opendir(path);
  struct dirent *entry;

  *out = (struct account){0};
  if (!dir) return;
  while ((entry = readdir(dir))) {
    struct alm_record *record;
    uint32_t pid, number;

    if (!name_parse(entry->d_name, &pid, &number)) continue;
    record = tool_grow(NULL, 1, sizeof *record);
    const char *why = record_read(dirfd(dir), entry->d_name, pid, record);

    if (why) {
      add_skipped(out, entry->d_name, why);
      free(record);
    } else {
      add_record(out, record, number, keep_all);
    }
  }
  if (out->nimages) {
    qsort(out->images, out->nimages, sizeof *out->images, by_pid);
    find_copies(out);
    find_biggest(out);
    keep_copies(out, dirfd(dir));
  }
  closedir(dir);
  if (result->nendings) {
    qsort(result->endings, result->nendings, sizeof *result->endings,
          by_ending_pid);
  }
  group(out, result);
}

void record_fini(struct account *account) {
  for (size_t i = 0; i < account->nimages; i++) {
    free(account->images[i].record);
    free(account->images[i].gc);
  }
  free(account->images);
  free(account->processes);
  free(account->skipped);
  *account = (struct account){0};
}
