/* tools/record.c -- the files that the processes of a run leave.
 *
 * WHAT    Makes and removes the directory, reads the records in it, decides
 *         how each process ended and sums up.
 * HOW     A record is trusted only after its header fits: whoever runs in
 *         the program can write anything into the directory. Every image
 *         keeps a summary; the whole record is 4.7 KB and is kept for the
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

/* ---- one file ----------------------------------------------------------- */

/* NULL when the record can be used, else what is wrong with it. */
static const char *record_fault(const struct alm_record *record, size_t length,
                                uint32_t pid) {
  static const char magic[8] = ALM_RECORD_MAGIC;
  static const char nothing[8];

  if (length < sizeof record->magic) return "truncated";
  if (!memcmp(record->magic, nothing, sizeof nothing)) {
    return "never completed: the process ended while it started";
  }
  if (memcmp(record->magic, magic, sizeof magic) != 0) return "no record";
  if (length < offsetof(struct alm_record, pid)) return "truncated";
  if (record->record_bytes != sizeof *record) {
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
  for (int i = 1; i < ALM_CLASS_COUNT; i++) {
    const struct alm_class_stats *class = &record->stats.classes[i];

    /* 1 MiB: far above every class and span there is or may be. */
    if (class->object_bytes > 1 << 20 || class->span_bytes > 1 << 20) {
      return "corrupt: impossible size class";
    }
  }
  return NULL;
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
}

static struct image image_of(const struct alm_record *record, uint32_t number) {
  struct image image = {
      .pid = record->pid,
      .parent_pid = record->parent_pid,
      .number = number,
      .state =
          record->state == ALM_RECORD_EXITED ? PROCESS_EXITED : PROCESS_ENDED,
      .start_ns = record->start_ns,
      .heap_max = record->stats.heap_inuse_max,
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

/* Images become processes: the same pid, until one of them has exited (the
 * kernel then gave the pid to another process). */
static void group(struct account *account, const struct launch_result *result) {
  struct image *images = account->images;
  struct process *process = NULL;

  account->processes = tool_grow(NULL, account->nimages, sizeof *process);
  for (size_t i = 0; i < account->nimages; i++) {
    struct image *image = &images[i];
    const bool is_next = i > 0 && image[-1].pid == image->pid &&
                         image[-1].state != PROCESS_EXITED;

    if (!is_next) {
      process = &account->processes[account->nprocesses++];
      *process = (struct process){.first = i,
                                  .pid = image->pid,
                                  .parent_pid = image->parent_pid,
                                  .start_ns = image->start_ns};
    } else {
      image[-1].state = PROCESS_EXEC;
    }
    process->nimages++;
    process->alloc_bytes += image->alloc_bytes;
    if (image->weight > process->weight) process->weight = image->weight;
    if (image->heap_max > process->heap_max)
      process->heap_max = image->heap_max;
    if (image->rss_max > process->rss_max) process->rss_max = image->rss_max;
  }
  for (size_t i = 0; i < account->nprocesses; i++) {
    process = &account->processes[i];
    struct image *last = &images[process->first + process->nimages - 1];

    last->state = final_state(last, result);
    process->state = last->state;
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
  closedir(dir);
  if (out->nimages) {
    qsort(out->images, out->nimages, sizeof *out->images, by_pid);
  }
  if (result->nendings) {
    qsort(result->endings, result->nendings, sizeof *result->endings,
          by_ending_pid);
  }
  /* The sort has moved the images. */
  out->biggest = 0;
  for (size_t i = 0; i < out->nimages; i++) {
    const struct image *biggest = &out->images[out->biggest];
    const struct image *image = &out->images[i];

    if (!image->record) continue;
    if (!biggest->record || image->weight > biggest->weight) {
      out->biggest = i;
    }
  }
  group(out, result);
}

void record_fini(struct account *account) {
  for (size_t i = 0; i < account->nimages; i++) free(account->images[i].record);
  free(account->images);
  free(account->processes);
  free(account->skipped);
  *account = (struct account){0};
}
