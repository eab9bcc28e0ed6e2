/* tools/report.c -- the report of a run, for a person at a terminal.
 *
 * WHAT    From the general to the particular: how the program ended and what
 *         it cost, the comparison, the processes, then the memory of the
 *         biggest process: totals, size classes, spans, of each copy of the
 *         library in it; then collected heaps, of the process that used them
 *         most.
 * HOW     Everything is laid out in columns for text->width; below 72 one
 *         bar of the two goes, below 56 both.
 */
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
  CLASS_ROWS = 16,   /* of the chart; the rest is summed in one more row     */
  SPAN_ROWS = 5,     /* of the largest span classes                          */
  PROCESS_ROWS = 24, /* of the table; the biggest ones when there are more   */
  COMMAND_MIN = 12,  /* columns a command needs to be told from others       */
};

/* Number and unit right-aligned to `columns`. */
static void put_right(const struct text *text, int columns,
                      struct text_number number) {
  fprintf(text->out, "%*s", columns, number.s);
}

/* As text_time, with more digits where pauses need them. */
static struct text_number short_time(uint64_t ns) {
  struct text_number number;
  const double ms = (double)ns / 1e6;

  if (ms >= 9.995) return text_time(ns);
  snprintf(number.s, sizeof number.s, ms < 0.9995 ? "%.3f ms" : "%.2f ms", ms);
  return number;
}

static void put_dim(const struct text *text, const char *s) {
  text_style(text, TEXT_DIM);
  fputs(s, text->out);
  text_style(text, TEXT_PLAIN);
}

/* The rest of a line of which `used` columns are taken: "   s" if it fits,
 * and the end of the line. */
static void put_remark(const struct text *text, int used, const char *s) {
  if (used + 3 + (int)strlen(s) <= text->width) {
    fputs("   ", text->out);
    put_dim(text, s);
  }
  fputc('\n', text->out);
}

/* ---- the head ----------------------------------------------------------- */

static void print_ending(const struct run *run, const struct text *text) {
  const int status = run->result.status;
  const bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

  fputs("  ", text->out);
  text_style(text, is_good ? TEXT_GOOD : TEXT_BAD);
  if (WIFSIGNALED(status)) {
    fprintf(text->out, "killed by %s%s", text_signal(WTERMSIG(status)).s,
            WCOREDUMP(status) ? ", core dumped" : "");
  } else {
    fprintf(text->out, "exited with status %d", WEXITSTATUS(status));
  }
  text_style(text, TEXT_PLAIN);
  fputc('\n', text->out);
}

/* "  name   value" in one of two columns. */
static void put_fact(const struct text *text, const char *name,
                     struct text_number value) {
  fputs("  ", text->out);
  put_dim(text, name);
  fprintf(text->out, "%*s", 22 - (int)strlen(name), value.s);
}

static void print_head(const struct run *run, const struct text *text) {
  const struct usage *usage = &run->result.usage;
  const struct account *account = &run->account;
  const double cpu = (double)usage->user_ns + (double)usage->system_ns;
  char *command = text_command(run->argv);
  const bool is_one = account->nprocesses == 1;
  const char *gap = text->width < 54 ? "\n" : "    ";

  text_heading(text, "almacen " ALM_VERSION, NULL);
  fputs("  ", text->out);
  text_style(text, TEXT_TITLE);
  text_clean(text, command, text->width - 2);
  text_style(text, TEXT_PLAIN);
  fputc('\n', text->out);
  free(command);
  print_ending(run, text);
  fputc('\n', text->out);
  put_fact(text, "wall time", text_time(usage->wall_ns));
  fputs(gap, text->out);
  put_fact(text, is_one ? "peak RSS" : "largest RSS",
           text_column(usage->rss_max));
  fputc('\n', text->out);
  put_fact(text, "user", text_time(usage->user_ns));
  fputs(gap, text->out);
  put_fact(text, "CPU", text_percent(cpu, (double)usage->wall_ns));
  fputc('\n', text->out);
  put_fact(text, "system", text_time(usage->system_ns));
  /* Threads of malloc; a libgc has none to count. */
  if (account->nprocesses && !(run->is_gc && is_one)) {
    fputs(gap, text->out);
    put_fact(text, is_one ? "threads" : "processes",
             text_count(is_one ? account->processes[0].threads
                               : account->nprocesses));
  }
  fputc('\n', text->out);
}

/* ---- --compare ---------------------------------------------------------- */

/* What the ratio of two medians means, in words. */
static void put_verdict(const struct text *text, struct spread ours,
                        struct spread theirs, size_t nrounds) {
  const double ratio = (double)ours.median / (double)theirs.median;
  const bool overlaps = ours.min <= theirs.max && theirs.min <= ours.max;

  if (ratio > 0.995 && ratio < 1.005) {
    fputs("same", text->out);
  } else if (nrounds > 1 && overlaps) {
    put_dim(text, "within noise");
  } else if (ratio < 1) {
    if (nrounds > 1) text_style(text, TEXT_GOOD);
    fprintf(text->out, "%.0f %% less", 100 * (1 - ratio));
  } else {
    if (nrounds > 1) text_style(text, TEXT_BAD);
    if (ratio < 2) {
      fprintf(text->out, "%.0f %% more", 100 * (ratio - 1));
    } else {
      fprintf(text->out, "%.1f times", ratio);
    }
  }
  text_style(text, TEXT_PLAIN);
}

static struct text_number measured_text(const struct measured *what,
                                        uint64_t value) {
  switch (what->unit) {
  case MEASURED_PAUSE:
    return short_time(value);
  case MEASURED_BYTES:
    return text_bytes(value);
  case MEASURED_NUMBER:
    return text_count(value);
  case MEASURED_TIME:
    break;
  }
  return text_time(value);
}

static void print_measured(const struct run *run, const struct text *text,
                           const struct measured *what) {
  const struct spread ours = run_spread(run, what, false);
  const struct spread theirs = run_spread(run, what, true);

  fprintf(text->out, "  %-11s", what->name);
  put_right(text, 11, measured_text(what, ours.median));
  put_right(text, 11, measured_text(what, theirs.median));
  if (theirs.median > 0) {
    fprintf(text->out, "%9.2f   ", (double)ours.median / (double)theirs.median);
    put_verdict(text, ours, theirs, run->nrounds);
  } else {
    fprintf(text->out, "%9s", "-");
  }
  fputc('\n', text->out);
}

static void print_compare(const struct run *run, const struct text *text) {
  char remark[64];
  size_t differing = 0;

  if (!run->is_compare) return;
  snprintf(remark, sizeof remark,
           run->nrounds == 1 ? "%zu round" : "medians of %zu rounds",
           run->nrounds);
  text_heading(text,
               run->is_gc ? "Compared with the system's libgc"
                          : "Compared with the system's malloc",
               remark);
  if (run->is_cut_short) {
    text_style(text, TEXT_BAD);
    fputs("  a signal ended the comparison early\n", text->out);
    text_style(text, TEXT_PLAIN);
  }
  if (run->is_ours_twice) {
    text_style(text, TEXT_BAD);
    fputs("  the system's side had almacen's libgc, too (LD_LIBRARY_PATH?)\n",
          text->out);
    text_style(text, TEXT_PLAIN);
  }
  if (run->nrounds == 0) return;
  text_style(text, TEXT_DIM);
  fprintf(text->out, "  %-11s%11s%11s%9s\n", "", "almacen", "system", "ratio");
  text_style(text, TEXT_PLAIN);
  for (int i = 0; i < run_measured(run); i++) {
    print_measured(run, text, &measured_table[i]);
  }
  for (size_t i = 0; i < run->nrounds; i++) {
    differing += run->rounds[i].almacen_status != run->result.status;
    differing += run->rounds[i].system_status != run->result.status;
  }
  if (differing) {
    text_style(text, TEXT_BAD);
    fprintf(text->out, "  %zu of %zu runs ended differently from the first\n",
            differing, 2 * run->nrounds);
    text_style(text, TEXT_PLAIN);
  }
}

/* ---- processes ---------------------------------------------------------- */

static int by_size(const void *left, const void *right) {
  const struct process *a = *(const struct process *const *)left;
  const struct process *b = *(const struct process *const *)right;

  if (a->weight != b->weight) return a->weight > b->weight ? -1 : 1;
  if (a->alloc_bytes != b->alloc_bytes) {
    return a->alloc_bytes > b->alloc_bytes ? -1 : 1;
  }
  return a->start_ns < b->start_ns ? -1 : a->start_ns > b->start_ns;
}

/* The processes that get a line, in the order they started. */
struct table {
  const struct account *account;
  bool is_narrow; /* no room for the parent, the RSS                         */
  size_t nshown;
  const struct process *shown[PROCESS_ROWS];
};

static void table_choose(struct table *table) {
  const struct account *account = table->account;
  const size_t n = account->nprocesses;
  const struct process **all = tool_grow(NULL, n, sizeof *all);

  for (size_t i = 0; i < n; i++) all[i] = &account->processes[i];
  qsort(all, n, sizeof *all, by_size);
  table->nshown = n < PROCESS_ROWS ? n : PROCESS_ROWS;
  for (size_t i = 0; i < table->nshown; i++) {
    size_t k = i;

    for (; k > 0 && table->shown[k - 1] > all[i]; k--) {
      table->shown[k] = table->shown[k - 1];
    }
    table->shown[k] = all[i];
  }
  free(all);
}

/* The nearest ancestor that has a line, or NULL. An ancestor started before:
 * it stands before its child in the account. */
static const struct process *shown_parent(const struct table *table,
                                          const struct process *process) {
  const struct process *first = table->account->processes;
  uint32_t wanted = process->parent_pid;

  for (const struct process *p = process; p-- > first;) {
    if (p->pid != wanted) continue;
    for (size_t i = 0; i < table->nshown; i++) {
      if (table->shown[i] == p) return p;
    }
    wanted = p->parent_pid;
  }
  return NULL;
}

/* A command line without the directory of the program. */
static const char *short_command(const char *command) {
  const size_t length = strcspn(command, " ");
  const char *slash = memrchr(command, '/', length);

  return slash && slash + 1 < command + length ? slash + 1 : command;
}

static void print_process(const struct text *text, const struct table *table,
                          const struct process *process, int depth) {
  const struct image *last =
      &table->account->images[process->first + process->nimages - 1];
  const int indent = 2 * (depth < 6 ? depth : 6);
  const int columns = text->width - (table->is_narrow ? 40 : 58) - indent;

  fprintf(text->out, "%7u", process->pid);
  if (!table->is_narrow) fprintf(text->out, "%7u", process->parent_pid);
  put_right(text, 11, text_column(process->alloc_bytes));
  put_right(text, 11, text_column(process->heap_max));
  if (!table->is_narrow) put_right(text, 11, text_column(process->rss_max));
  fputs("  ", text->out);
  if (process->state == PROCESS_KILLED) text_style(text, TEXT_BAD);
  if (process->state == PROCESS_RUNNING) text_style(text, TEXT_OBJECTS);
  fprintf(text->out, "%-7s", record_state_name(process->state));
  text_style(text, TEXT_PLAIN);
  fprintf(text->out, "  %*s", indent, "");
  text_clean(text, short_command(last->command),
             columns > COMMAND_MIN ? columns : COMMAND_MIN);
  fputc('\n', text->out);
}

/* The lines of those whose nearest shown ancestor is `parent`, each followed
 * by its own descendants. */
static void print_children(const struct text *text, const struct table *table,
                           const struct process *parent, int depth) {
  for (size_t i = 0; i < table->nshown; i++) {
    const struct process *process = table->shown[i];

    if (shown_parent(table, process) != parent) continue;
    print_process(text, table, process, depth);
    print_children(text, table, process, depth + 1);
  }
}

static void print_processes(const struct run *run, const struct text *text) {
  const struct account *account = &run->account;
  struct table table = {.account = account, .is_narrow = text->width < 72};
  uint64_t alloc_bytes = 0;

  if (account->nprocesses < 2) return;
  table_choose(&table);
  text_heading(text, "Processes", NULL);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%7s", "pid");
  if (!table.is_narrow) fprintf(text->out, "%7s", "parent");
  fprintf(text->out, "%11s%11s", "allocated", "heap peak");
  if (!table.is_narrow) fprintf(text->out, "%11s", "peak RSS");
  fprintf(text->out, "  %-7s  %s\n", "state", "command");
  text_style(text, TEXT_PLAIN);
  print_children(text, &table, NULL, 0);
  if (account->nprocesses > table.nshown) {
    text_style(text, TEXT_DIM);
    fprintf(text->out, "%7s and %s smaller ones\n", "...",
            text_count(account->nprocesses - table.nshown).s);
    text_style(text, TEXT_PLAIN);
  }
  for (size_t i = 0; i < account->nprocesses; i++) {
    alloc_bytes += account->processes[i].alloc_bytes;
  }
  text_style(text, TEXT_TITLE);
  fprintf(text->out, "%*s", table.is_narrow ? 7 : 14, "total");
  put_right(text, 11, text_column(alloc_bytes));
  put_right(text, 11, text_column(account->total.heap_inuse_max));
  text_style(text, TEXT_PLAIN);
  put_remark(text, table.is_narrow ? 29 : 46,
             table.is_narrow ? "peaks need not coincide"
                             : "          the peaks need not coincide");
}

/* ---- the memory of one process ------------------------------------------ */

/* Alive now; counters of different threads may be a batch apart. */
static uint64_t alive(uint64_t allocated, uint64_t freed) {
  return allocated > freed ? allocated - freed : 0;
}

static uint64_t live_objects(const struct alm_class_stats *class) {
  return alive(class->inherited + class->allocs, class->frees);
}

static uint64_t live_bytes(const struct alm_class_stats *class) {
  return alive(class->inherited * class->object_bytes + class->alloc_bytes,
               class->free_bytes);
}

/* Over all classes. */
struct sums {
  uint64_t allocs;
  uint64_t alloc_bytes;
  uint64_t live;
  uint64_t live_bytes;
};

static struct sums sums_of(const struct alm_stats *stats) {
  struct sums sums = {0};

  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    sums.allocs += stats->classes[i].allocs;
    sums.alloc_bytes += stats->classes[i].alloc_bytes;
    sums.live += live_objects(&stats->classes[i]);
    sums.live_bytes += live_bytes(&stats->classes[i]);
  }
  return sums;
}

/* The library raises its maximum in steps and may be one behind. */
static uint64_t heap_peak(const struct alm_stats *stats) {
  return stats->heap_inuse > stats->heap_inuse_max ? stats->heap_inuse
                                                   : stats->heap_inuse_max;
}

static void put_name(const struct text *text, const char *name) {
  fputs("  ", text->out);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%-18s", name);
  text_style(text, TEXT_PLAIN);
}

/* "  name   12.3 MiB   in 45 objects" */
static void put_amount(const struct text *text, const char *name,
                       uint64_t bytes, uint64_t objects) {
  char remark[64];

  put_name(text, name);
  put_right(text, 10, text_column(bytes));
  snprintf(remark, sizeof remark, "in %s object%s", text_count(objects).s,
           objects == 1 ? "" : "s");
  put_remark(text, 30, remark);
}

/* "  name   12.3 MiB   7.8 MiB of it live"; without `of_it` only the first. */
static void put_bytes(const struct text *text, const char *name, uint64_t bytes,
                      uint64_t part, const char *of_it) {
  char remark[64] = "";

  put_name(text, name);
  put_right(text, 10, text_column(bytes));
  if (of_it) {
    snprintf(remark, sizeof remark, "%s %s", text_bytes(part).s, of_it);
  }
  put_remark(text, 30, remark);
}

static void put_fragmentation(const struct text *text,
                              const struct alm_stats *stats) {
  const double peak = (double)stats->heap_inuse_max;
  const double dead = (double)alive(stats->heap_inuse_max, stats->live_at_max);

  if (!stats->live_at_max) return; /* too small a heap to be looked at */
  put_name(text, "fragmentation");
  fprintf(text->out, "%8s  ", text_percent(dead, peak).s);
  put_remark(text, 30,
             text->width < 72 ? "of the peak was not live"
                              : "of the heap peak held no live object");
}

static void put_realloc(const struct text *text,
                        const struct alm_stats *stats) {
  const uint64_t calls =
      stats->realloc_inplace + stats->realloc_moved + stats->realloc_remapped;
  char remark[192];

  if (!calls) return;
  put_name(text, "realloc");
  fprintf(text->out, "%6s    ", text_count(calls).s);
  snprintf(remark, sizeof remark, "%s in place, %s copied, %s remapped",
           text_count(stats->realloc_inplace).s,
           text_count(stats->realloc_moved).s,
           text_count(stats->realloc_remapped).s);
  put_remark(text, 30, remark);
}

/* Fill `remark` when there are several processes, or several copies of the
 * library in the process, and one must be named. */
static void name_copy(const struct run *run, const struct image *image,
                      char *remark, size_t size) {
  const struct account *account = &run->account;
  static const char *const own[] = {[FACE_ALM] = "own almacen",
                                    [FACE_MALLOC] = "malloc",
                                    [FACE_GC] = "libgc",
                                    [FACE_LIBGC] = "libgc"};
  const char *copy =
      image->face == FACE_ALM ? "almacen linked into it" : own[image->face];
  size_t end;
  const size_t first =
      record_copies(account, (size_t)(image - account->images), &end);
  const bool is_alone = end == first + 1;

  *remark = '\0';
  if (account->nprocesses < 2) {
    if (!is_alone)
      snprintf(remark, size, "of the program's %s", own[image->face]);
  } else {
    snprintf(remark, size, "of the biggest process, %u%s%s", image->pid,
             is_alone ? "" : ": ", is_alone ? "" : copy);
  }
}

/* The rows that tell of malloc's objects. */
static void put_objects(const struct text *text,
                        const struct alm_stats *stats) {
  const struct sums sums = sums_of(stats);

  put_amount(text, "allocated", sums.alloc_bytes, sums.allocs);
  put_amount(text, "live at the end", sums.live_bytes, sums.live);
}

static void print_memory(const struct run *run, const struct text *text,
                         const struct image *image) {
  const struct alm_stats *stats = &image->record->stats;
  const struct alm_gc_stats *gc = image->gc;
  const bool has_objects = !gc || sums_of(stats).allocs;
  char remark[96];

  name_copy(run, image, remark, sizeof remark);
  text_heading(text, "Memory", remark);
  if (run->account.nprocesses > 1) {
    fputs("  ", text->out);
    text_clean(text, image->command, text->width - 2);
    fputs("\n", text->out);
  }
  if (has_objects) put_objects(text, stats);
  put_bytes(text, "heap peak", heap_peak(stats),
            gc ? gc->heap_bytes_max : stats->live_at_max,
            gc                   ? "in collected heaps at most"
            : stats->live_at_max ? "of it live"
                                 : NULL);
  if (has_objects) put_fragmentation(text, stats);
  put_bytes(text, "returned to OS", stats->released, stats->heap_free,
            "free and kept at the end");
  put_name(text, "own structures");
  put_right(text, 10, text_column(stats->metadata));
  fputc('\n', text->out);
  put_realloc(text, stats);
  if (run->account.nprocesses > 1 && has_objects) {
    put_name(text, "threads");
    fprintf(text->out, "%6s\n", text_count(stats->threads).s);
  }
}

/* ---- size classes ------------------------------------------------------- */

/* One line of the chart. */
struct row {
  char name[64];
  uint64_t bytes;
  uint64_t objects;
  size_t class;
};

/* "48 B", "> 32 KiB" for class 0, which holds the rest. */
static void class_name(char *name, size_t size, const struct alm_stats *stats,
                       size_t class) {
  if (class != 0) {
    const uint64_t object = stats->classes[class].object_bytes;

    snprintf(name, size, "%s B", text_count(object).s);
    return;
  }
  const uint64_t largest = stats->classes[ALM_CLASS_COUNT - 1].object_bytes;

  snprintf(name, size, "> %" PRIu64 " KiB", largest ? largest / 1024 : 32);
}

/* The larger of a row's two shares. */
static double share_of(const struct row *row, const struct sums *sums) {
  const double bytes = (double)row->bytes / ((double)sums->alloc_bytes + 1);
  const double objects = (double)row->objects / ((double)sums->allocs + 1);

  return bytes > objects ? bytes : objects;
}

/* Fill `rows` by ascending object size; the least telling classes are summed
 * in the last row. Returns the number of rows. */
static size_t choose_rows(const struct alm_stats *stats, struct row *rows) {
  const struct sums sums = sums_of(stats);
  struct row rest = {.name = ""};
  size_t nrows = 0, nrest = 0;

  for (size_t i = 1; i <= ALM_CLASS_COUNT; i++) {
    const size_t class = i % ALM_CLASS_COUNT; /* 0, the large ones, last */
    const struct alm_class_stats *one = &stats->classes[class];

    if (!one->allocs) continue;
    struct row *row = &rows[nrows++];

    *row = (struct row){
        .bytes = one->alloc_bytes, .objects = one->allocs, .class = class};
    class_name(row->name, sizeof row->name, stats, class);
    if (nrows <= CLASS_ROWS) continue;
    size_t least = 0;

    for (size_t k = 1; k < nrows; k++) {
      if (share_of(&rows[k], &sums) < share_of(&rows[least], &sums)) least = k;
    }
    rest.bytes += rows[least].bytes;
    rest.objects += rows[least].objects;
    nrest++;
    nrows--;
    memmove(&rows[least], &rows[least + 1], (nrows - least) * sizeof *rows);
  }
  if (nrest) {
    snprintf(rest.name, sizeof rest.name, "%zu others", nrest);
    rows[nrows++] = rest;
  }
  return nrows;
}

static void print_classes(const struct run *run, const struct text *text,
                          const struct image *image) {
  const struct alm_stats *stats = &image->record->stats;
  struct row rows[CLASS_ROWS + 2];
  const size_t nrows = choose_rows(stats, rows);
  const int bars = text->width < 56 ? 0 : text->width < 72 ? 1 : 2;
  const int columns = bars ? (text->width - 39) / bars - 2 : 0;
  uint64_t most_bytes = 0, most_objects = 0;
  char remark[96];

  if (nrows == 0) return;
  for (size_t i = 0; i < nrows; i++) {
    if (rows[i].bytes > most_bytes) most_bytes = rows[i].bytes;
    if (rows[i].objects > most_objects) most_objects = rows[i].objects;
  }
  name_copy(run, image, remark, sizeof remark);
  text_heading(text, "Allocated by size class", remark);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%11s%12s%*s%15s\n", "object", "bytes",
          bars ? columns + 2 : 0, "", "objects");
  text_style(text, TEXT_PLAIN);
  for (size_t i = 0; i < nrows; i++) {
    fprintf(text->out, "%11s", rows[i].name);
    put_right(text, 12, text_column(rows[i].bytes));
    if (bars) {
      fputs("  ", text->out);
      text_style(text, TEXT_BYTES);
      text_bar(text, rows[i].bytes, most_bytes, columns);
      text_style(text, TEXT_PLAIN);
    }
    put_right(text, 15, text_count(rows[i].objects));
    if (bars == 2) {
      fputs("  ", text->out);
      text_style(text, TEXT_OBJECTS);
      text_bar(text, rows[i].objects, most_objects, columns);
      text_style(text, TEXT_PLAIN);
    }
    fputc('\n', text->out);
  }
}

/* ---- span classes ------------------------------------------------------- */

/* Bytes of the spans of a class at its peak. A large object's span is as
 * large as the object, so for class 0 only what is live now is known. */
static uint64_t span_peak(const struct alm_class_stats *class) {
  return class->spans_max * class->span_bytes;
}

static void print_span_class(const struct text *text,
                             const struct alm_stats *stats, size_t class) {
  const struct alm_class_stats *one = &stats->classes[class];
  char name[64];

  class_name(name, sizeof name, stats, class);
  fprintf(text->out, "%11s", name);
  put_right(text, 12, text_column(span_peak(one)));
  put_right(text, 10, text_count(one->spans_max));
  fprintf(text->out, " x ");
  fprintf(text->out, "%-8s", text_bytes(one->span_bytes).s);
  put_right(text, 12, text_column(one->spans * one->span_bytes));
  if (text->width >= 72) {
    put_right(text, 12, text_column(live_bytes(one)));
  }
  fputc('\n', text->out);
}

static void print_spans(const struct run *run, const struct text *text,
                        const struct image *image) {
  const struct alm_stats *stats = &image->record->stats;
  char remark[96];
  size_t best[SPAN_ROWS];
  size_t nbest = 0;

  for (size_t class = 1; class < ALM_CLASS_COUNT; class ++) {
    const uint64_t peak = span_peak(&stats->classes[class]);
    size_t k = nbest;

    if (!peak) continue;
    if (nbest < SPAN_ROWS) nbest++;
    for (; k > 0 && span_peak(&stats->classes[best[k - 1]]) < peak; k--) {
      if (k < SPAN_ROWS) best[k] = best[k - 1];
    }
    if (k < SPAN_ROWS) best[k] = class;
  }
  if (nbest == 0) return;
  name_copy(run, image, remark, sizeof remark);
  text_heading(text, "Largest span classes", remark);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%11s%12s%10s   %-8s%12s%s\n", "object", "at peak",
          "spans", "of", "at the end", text->width < 72 ? "" : "  of it live");
  text_style(text, TEXT_PLAIN);
  for (size_t i = 0; i < nbest; i++) print_span_class(text, stats, best[i]);
}

/* ---- collected heaps ---------------------------------------------------- */

/* "  name   12.3 ms    remark" */
static void put_time(const struct text *text, const char *name, uint64_t ns,
                     const char *remark) {
  put_name(text, name);
  put_right(text, 10, short_time(ns));
  put_remark(text, 30, remark);
}

/* "  name   123        remark" */
static void put_number(const struct text *text, const char *name, uint64_t n,
                       const char *remark) {
  put_name(text, name);
  fprintf(text->out, "%6s    ", text_count(n).s);
  put_remark(text, 30, remark);
}

/* How often, how long: of the time the program image ran. */
static void put_collections(const struct text *text, const struct image *image,
                            uint64_t wall_ns) {
  const struct alm_gc_stats *gc = image->gc;
  char remark[128] = "";

  if (gc->collections) {
    snprintf(remark, sizeof remark, "every %s",
             text_time(wall_ns / gc->collections).s);
  }
  put_number(text, "collections", gc->collections, remark);
  if (!gc->collections) return;
  snprintf(remark, sizeof remark, "%s of the wall time",
           text_percent((double)gc->pause_ns, (double)wall_ns).s);
  put_time(text, "all pauses", gc->pause_ns, remark);
  snprintf(remark, sizeof remark, "p50 %s, p99 %s",
           short_time(alm_pause_quantile_ns(gc, 500)).s,
           short_time(alm_pause_quantile_ns(gc, 990)).s);
  put_time(text, "longest pause", gc->pause_ns_max, remark);
  *remark = '\0';
  if (image->cpu_ns >= gc->cpu_ns) {
    snprintf(remark, sizeof remark, "%s of all CPU time",
             text_percent((double)gc->cpu_ns, (double)image->cpu_ns).s);
  }
  put_time(text, "CPU", gc->cpu_ns, remark);
}

static void put_collected_bytes(const struct text *text,
                                const struct alm_gc_stats *gc,
                                uint64_t wall_ns) {
  char remark[128] = "";

  if (wall_ns) {
    const double rate = (double)gc->alloc_bytes * 1e9 / (double)wall_ns;

    snprintf(remark, sizeof remark, "%s a second",
             text_bytes((uint64_t)rate).s);
  }
  put_name(text, "allocated");
  put_right(text, 10, text_column(gc->alloc_bytes));
  put_remark(text, 30, remark);
  put_bytes(text, "heap peak", gc->heap_bytes_max, gc->heap_bytes,
            "at the end");
  if (!gc->collections) return;
  snprintf(remark, sizeof remark, "in %s objects, at the last collection",
           text_count(gc->live_objects).s);
  put_name(text, "live");
  put_right(text, 10, text_column(gc->live_bytes));
  put_remark(text, 30, remark);
  put_name(text, "live, at most");
  put_right(text, 10, text_column(gc->live_bytes_max));
  fputc('\n', text->out);
}

/* "256 us", "4 ms", "2.1 s": less than 2^octave us. */
static struct text_number pause_name(int octave) {
  struct text_number number;
  const double us = (double)((uint64_t)1 << octave);

  if (us < 1e3) {
    snprintf(number.s, sizeof number.s, "%.0f us", us);
  } else if (us < 1e6) {
    snprintf(number.s, sizeof number.s, "%.0f ms", us / 1e3);
  } else {
    snprintf(number.s, sizeof number.s, "%.1f s", us / 1e6);
  }
  return number;
}

/* Pauses of less than 2^i us that are in no element before; the last one has
 * all longer ones. A quarter of the elements that the account has. */
enum { OCTAVE_LAST = (ALM_PAUSE_COUNT + 2) / 4 };

struct octaves {
  uint64_t pauses[OCTAVE_LAST + 1];
};

static struct octaves octaves_of(const struct alm_gc_stats *gc) {
  struct octaves octaves = {0};

  for (int i = 0; i < ALM_PAUSE_COUNT; i++) {
    octaves.pauses[(i + 3) / 4] += gc->pauses[i];
  }
  return octaves;
}

/* How many pauses were how long: from the first length that occurred to the
 * last. */
static void print_pauses(const struct text *text,
                         const struct alm_gc_stats *gc) {
  const int columns = text->width < 48 ? 0 : text->width - 38;
  const struct octaves octaves = octaves_of(gc);
  int first = 0, last = -1;
  uint64_t most = 0, all = 0, so_far = 0;

  for (int i = 0; i <= OCTAVE_LAST; i++) {
    if (!octaves.pauses[i]) continue;
    if (last < 0) first = i;
    last = i;
    if (octaves.pauses[i] > most) most = octaves.pauses[i];
    all += octaves.pauses[i];
  }
  if (first == last || last < 0) return;
  text_heading(text, "Pauses by length", NULL);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%11s%12s  %*s%10s\n", "less than", "pauses", columns, "",
          "up to here");
  text_style(text, TEXT_PLAIN);
  for (int i = first; i <= last; i++) {
    const bool is_open = i == OCTAVE_LAST;

    so_far += octaves.pauses[i];
    put_right(text, 11,
              is_open ? (struct text_number){"longer"} : pause_name(i));
    put_right(text, 12, text_count(octaves.pauses[i]));
    fputs("  ", text->out);
    text_style(text, TEXT_OBJECTS);
    text_bar(text, octaves.pauses[i], most, columns);
    text_style(text, TEXT_PLAIN);
    put_right(text, 10, text_percent((double)so_far, (double)all));
    fputc('\n', text->out);
  }
}

static const struct alm_gc_class_stats *gc_class(const struct alm_gc_stats *gc,
                                                 size_t row) {
  return &gc->classes[row % ALM_CLASS_COUNT]; /* 0, the large ones, last */
}

/* The size classes with the largest spans, by object size. */
static void print_collected_classes(const struct text *text,
                                    const struct alm_gc_stats *gc) {
  const int columns = text->width < 56 ? 0 : text->width - 39;
  uint64_t most = 0, least = 0;
  size_t nshown = 0;

  for (size_t i = 1; i <= ALM_CLASS_COUNT; i++) {
    if (gc_class(gc, i)->bytes_max > most) most = gc_class(gc, i)->bytes_max;
  }
  least = most / 200 + 1; /* what the bar would hardly show */
  text_heading(text, "Collected heaps by size class", NULL);
  text_style(text, TEXT_DIM);
  fprintf(text->out, "%11s%12s  %*s%12s\n", "object", "at peak", columns, "",
          "at the end");
  text_style(text, TEXT_PLAIN);
  for (size_t i = 1; i <= ALM_CLASS_COUNT; i++) {
    const struct alm_gc_class_stats *one = gc_class(gc, i);
    char name[64] = "> 32 KiB";

    if (one->bytes_max < least) continue;
    nshown++;
    if (i != ALM_CLASS_COUNT) {
      snprintf(name, sizeof name, "%s B", text_count(one->object_bytes).s);
    }
    fprintf(text->out, "%11s", name);
    put_right(text, 12, text_column(one->bytes_max));
    fputs("  ", text->out);
    text_style(text, TEXT_BYTES);
    text_bar(text, one->bytes_max, most, columns);
    text_style(text, TEXT_PLAIN);
    put_right(text, 12, text_column(one->bytes));
    fputc('\n', text->out);
  }
}

static void print_collected(const struct run *run, const struct text *text) {
  const struct account *account = &run->account;
  const struct image *image = &account->images[account->collector];
  const struct alm_gc_stats *gc = image->gc;
  const uint64_t wall_ns =
      image->wall_ns ? image->wall_ns : run->result.usage.wall_ns;
  char remark[128] = "";

  if (account->nprocesses > 1) {
    snprintf(remark, sizeof remark, "of process %u", image->pid);
  }
  text_heading(text, "Collected heaps", remark);
  if (account->nprocesses > 1) {
    fputs("  ", text->out);
    text_clean(text, image->command, text->width - 2);
    fputc('\n', text->out);
  }
  put_collections(text, image, wall_ns);
  put_collected_bytes(text, gc, wall_ns);
  if (gc->finalizers_queued) {
    snprintf(remark, sizeof remark, "queued, %s of them run",
             text_count(gc->finalizers_run).s);
    put_number(text, "finalizers", gc->finalizers_queued, remark);
  }
  snprintf(remark, sizeof remark, "%s at the end", text_count(gc->heaps_now).s);
  put_number(text, "heaps", gc->heaps, remark);
  if (account->ncollectors > 1) {
    snprintf(remark, sizeof remark, "with %s collections, %s of pauses",
             text_count(account->total.gc.collections).s,
             text_time(account->total.gc.pause_ns).s);
    put_number(text, "all such processes", account->ncollectors, remark);
  }
  print_pauses(text, gc);
  print_collected_classes(text, gc);
}

/* ---- the whole ---------------------------------------------------------- */

static void print_trouble(const struct run *run, const struct text *text) {
  const struct account *account = &run->account;

  if (run->is_gc && !account->ncollectors) {
    fputs("\n  No process left a record of collections: the program has no\n"
          "  libgc, or brings its own in itself (statically linked), or is\n"
          "  set-user-ID, or cannot write to the temporary directory.\n",
          text->out);
  } else if (!account->nimages) {
    fputs("\n  No process left a record: the program allocated nothing, or\n"
          "  loads no libraries from LD_PRELOAD (statically linked without\n"
          "  almacen, set-user-ID), or cannot write to the temporary\n"
          "  directory.\n",
          text->out);
  }
  if (!account->nskipped) return;
  text_heading(text, "Records that could not be used", NULL);
  for (size_t i = 0; i < account->nskipped; i++) {
    const struct skipped *skipped = &account->skipped[i];

    if (i == SPAN_ROWS && account->nskipped > SPAN_ROWS + 1) {
      fprintf(text->out, "  ... and %s more\n",
              text_count(account->nskipped - i).s);
      return;
    }
    fprintf(text->out, "  %s: %s\n", skipped->file, skipped->why);
  }
}

static bool is_collector(const struct run *run, const struct image *image) {
  return run->account.ncollectors &&
         image == &run->account.images[run->account.collector];
}

static void print_image(const struct run *run, const struct text *text,
                        const struct image *image) {
  print_memory(run, text, image);
  if (!run->is_gc && is_collector(run, image)) print_collected(run, text);
  print_classes(run, text, image);
  print_spans(run, text, image);
}

/* The biggest image, its largest copy first; then the collected heaps, if
 * they are another's. With --gc these come first: they are what is asked. */
static void print_images(const struct run *run, const struct text *text) {
  const struct account *account = &run->account;
  const struct image *biggest = &account->images[account->biggest];
  bool has_collector = run->is_gc || is_collector(run, biggest);
  size_t end;

  if (run->is_gc && account->ncollectors) print_collected(run, text);
  print_image(run, text, biggest);
  for (size_t k = record_copies(account, account->biggest, &end); k < end;
       k++) {
    const struct image *copy = &account->images[k];

    if (copy == biggest || !copy->record) continue;
    print_image(run, text, copy);
    has_collector = has_collector || is_collector(run, copy);
  }
  if (account->ncollectors && !has_collector) print_collected(run, text);
}

void report_print(const struct run *run, const struct text *text) {
  print_head(run, text);
  print_compare(run, text);
  print_processes(run, text);
  if (run->account.nimages) {
    print_images(run, text);
  }
  print_trouble(run, text);
  fputc('\n', text->out);
}
