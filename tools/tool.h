/* tools/tool.h -- what the parts of the almacen command share.
 *
 * WHAT    The types that travel from running a program to reporting on it,
 *         and the face of each part: launch (one program, from fork to its
 *         end), record (the files its processes leave), text (numbers and
 *         bars for a terminal), report and json (the two outputs).
 * HOW     run.c drives: launch -> record -> report, json. The tools see the
 *         library through almacen.h only.
 * THREADS One. The command starts no threads, so fork needs no care.
 * ERRORS  What the user can cause gives one line on stderr, beginning with
 *         "almacen: ", and an exit status from enum tool_exit.
 */
#ifndef ALM_TOOL_H
#define ALM_TOOL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, memfd_create, sigabbrev_np, wait4 */
#endif

#include "almacen.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The statuses that env, nohup, timeout and time(1) agree on. */
enum tool_exit {
  TOOL_EXIT_USAGE = 2,       /* the command line is wrong                     */
  TOOL_EXIT_FAILED = 125,    /* the command itself failed, not the program    */
  TOOL_EXIT_CANNOT = 126,    /* the program exists but cannot be run          */
  TOOL_EXIT_NOT_FOUND = 127, /* there is no such program                     */
  TOOL_EXIT_SIGNAL = 128,    /* plus the signal that killed the program       */
};

/* ---- main.c ------------------------------------------------------------- */

/* Print "almacen: " and the message on stderr, as one line. */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* tool_say, then leave with `status`. */
_Noreturn void tool_die(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* realloc that dies instead of failing. */
void *tool_grow(void *p, size_t count, size_t size);

/* Print the help of a command (NULL: the overview) on `out`. False when
 * there is no such command. */
bool tool_help(FILE *out, const char *command);

/* Report the option getopt_long stopped at and leave with
 * TOOL_EXIT_USAGE. `result` is what getopt_long returned. */
_Noreturn void tool_bad_option(const char *command, char **argv, int result);

/* Flush stdout; the status to leave with. */
int tool_finish_stdout(void);

/* ---- options.c, run.c: the commands ------------------------------------- */

int options_command(int argc, char **argv);
int run_command(int argc, char **argv);

/* ---- launch.c: one program, from fork to its end ------------------------ */

/* What the kernel counted for the program and the descendants waited for. */
struct usage {
  uint64_t wall_ns; /* fork to the program's end                           */
  uint64_t user_ns;
  uint64_t system_ns;
  uint64_t rss_max; /* bytes; of the largest single process                */
};

/* How one process ended, as told by the kernel. */
struct ending {
  pid_t pid;
  int status; /* as from wait()                                              */
};

struct launch {
  char **argv;            /* the program and its arguments, NULL-terminated  */
  const char *library;    /* to preload; NULL: none                          */
  const char *without;    /* name of a library not to preload, whatever
                             LD_PRELOAD says; NULL: none                     */
  const char *record_dir; /* NULL: leave no records                          */
  int stdin_fd;           /* standard input; -1: ours                        */
  bool quiet;             /* stdout and stderr go to /dev/null               */
};

struct launch_result {
  int exec_errno; /* not 0: the program never ran, the rest is void          */
  int status;     /* as from wait()                                          */
  pid_t pid;
  struct usage usage;
  struct ending *endings; /* the program, and orphans that ended meanwhile   */
  size_t nendings;
};

/* Take over the signals until launch_signals_end: INT and QUIT are ignored
 * (the terminal sends them to the program as well), TERM, HUP, USR1 and USR2
 * are passed on to the program, PIPE is ignored. What the caller of the
 * command ignored stays ignored. Children get the original settings. */
void launch_signals_begin(void);

/* Give the signals back. */
void launch_signals_end(void);

/* The last of TERM and HUP that came since launch_signals_begin, or 0. */
int launch_signal_caught(void);

/* Run a program and wait for its end; then up to 0.1 s for descendants it
 * left behind, which go on undisturbed. */
void launch_run(const struct launch *launch, struct launch_result *result);

/* Free what a result holds. */
void launch_result_fini(struct launch_result *result);

/* The exit status a shell would give. */
int launch_exit_code(int status);

/* Is the process alive and a descendant of this one? */
bool launch_is_running(pid_t pid);

/* Put a closed-on-exec placeholder where stdin, stdout or stderr is closed,
 * so that files of ours do not take the number and programs still find it
 * closed. */
void launch_hold_fds(void);

/* ---- record.c: the files processes leave -------------------------------- */

enum process_state {
  PROCESS_EXITED,  /* ended by exit() or _exit()                             */
  PROCESS_KILLED,  /* ended by a signal                                      */
  PROCESS_EXEC,    /* this image was replaced by another with a record       */
  PROCESS_ENDED,   /* ended, nobody saw how: _exit(), a signal, or an exec
                      of a program without the library                       */
  PROCESS_RUNNING, /* outlived the program                                   */
};

/* What a copy of the library is to its program. */
enum face {
  FACE_ALM,    /* the functions with the prefix only                         */
  FACE_MALLOC, /* malloc                                                     */
  FACE_GC,     /* libgc                                                      */
  FACE_LIBGC,  /* none of ours: the system's libgc, seen by the probe        */
  FACE_COUNT
};

/* The part of a record that is kept for every copy of the library in every
 * program image; there is one copy, nearly always. */
struct image {
  uint32_t pid;
  uint32_t parent_pid;
  uint32_t number; /* N of PID-N.almrec                                      */
  uint32_t index;  /* of the program image in its process: 0, 1 ...          */
  uint64_t id;     /* the same in the copies of one image                    */
  bool is_copy;    /* stands right behind another copy of the same image     */
  enum face face;
  enum process_state state;
  uint64_t start_ns;
  uint64_t wall_ns;     /* 0: not known, it did not exit                     */
  uint64_t cpu_ns;      /* user and system, at the last update               */
  uint64_t alloc_bytes; /* over all classes, and in collected heaps          */
  uint64_t heap_max;
  uint64_t threads;
  uint64_t weight; /* heap_max as far as the image allocated it itself: a
                      forked child has its parent's heap without doing       */
  uint64_t rss_max;
  struct alm_record *record; /* whole; NULL unless wanted (see account)      */
  struct alm_gc_stats *gc;   /* NULL: it never had a collected heap          */
  char command[256];
};

/* Consecutive images of one process: images[first .. first + nimages). */
struct process {
  size_t first;
  size_t nimages;
  uint32_t pid;
  uint32_t parent_pid;
  uint64_t start_ns;
  uint64_t alloc_bytes; /* sum over images                                   */
  uint64_t heap_max;    /* largest image's, its copies together              */
  uint64_t weight;      /* largest image's                                   */
  uint64_t rss_max;     /* largest image's                                   */
  uint64_t threads;     /* sum over images, of copies the largest            */
  enum process_state state; /* the last image's                              */
};

/* A file that is no usable record, and why. */
struct skipped {
  char file[256];
  const char *why;
};

/* Everything the records say. */
struct account {
  struct image *images; /* by pid and number                                 */
  size_t nimages;
  struct process *processes; /* by start time                                */
  size_t nprocesses;
  struct skipped *skipped;
  size_t nskipped;
  size_t biggest;         /* index of the image with the largest weight; its
                             record is always whole, those of its other
                             copies if they can be read                      */
  size_t collector;       /* index of the image that allocated most in
                             collected heaps; valid if ncollectors           */
  size_t ncollectors;     /* images with collected heaps                     */
  struct alm_stats total; /* sums over images, gauges and peaks included;
                             the longest pause is the longest of all         */
};

/* Make a private directory; its path is absolute and free of the characters
 * that lists in environment variables use. False: errno says why. */
bool record_dir_make(char *path, size_t size);

/* Remove the directory and the files in it. */
void record_dir_remove(const char *path);

/* Read every record in `dir`. `keep_all` keeps all of them whole. */
void record_read_all(const char *dir, bool keep_all,
                     const struct launch_result *result, struct account *out);

/* The image at index i and its other copies are images[first .. end). */
size_t record_copies(const struct account *account, size_t i, size_t *end);

/* Free what an account holds. */
void record_fini(struct account *account);

/* The name of the face in records. */
const char *record_face_name(enum face face);

/* "exited", "killed", ... */
const char *record_state_name(enum process_state state);

/* ---- text.c: numbers and bars for a terminal ---------------------------- */

enum text_style {
  TEXT_PLAIN,
  TEXT_TITLE,
  TEXT_DIM,
  TEXT_BYTES,   /* bars of bytes                                             */
  TEXT_OBJECTS, /* bars of objects                                           */
  TEXT_GOOD,
  TEXT_BAD,
};

/* Where text goes and what the place can show. */
struct text {
  FILE *out;
  int width; /* columns                                                      */
  bool is_utf8;
  bool has_colour;
};

/* A number as text, by value so that calls can stand among printf's
 * arguments. */
struct text_number {
  char s[40];
};

/* Learn what the terminal behind `fd` can show; text is written to `out`. */
void text_init(struct text *text, FILE *out, int fd);

struct text_number text_count(uint64_t n);      /* 1,234,567                 */
struct text_number text_bytes(uint64_t bytes);  /* 1.5 MiB                   */
struct text_number text_column(uint64_t bytes); /* 1.5 MiB, 12 B__: aligned  */
struct text_number text_time(uint64_t ns);      /* 12.3 ms, 4.56 s, 3:04 min */
struct text_number text_percent(double part, double whole);
struct text_number text_signal(int signal); /* SIGKILL (9)                   */

/* Switch the style; TEXT_PLAIN ends it. */
void text_style(const struct text *text, enum text_style style);

/* A heading over the full width. */
void text_heading(const struct text *text, const char *title,
                  const char *remark);

/* A bar of `part` / `whole` of `columns`, padded to `columns`. Anything
 * above zero shows. */
void text_bar(const struct text *text, uint64_t part, uint64_t whole,
              int columns);

/* Untrusted text on at most `columns`, control characters replaced; returns
 * the columns used. */
int text_clean(const struct text *text, const char *s, int columns);

/* The command line, quoted where a shell would need it; to be freed. */
char *text_command(char **argv);

/* A copy of `s` that is valid UTF-8, replacing what is not; to be freed. */
char *text_valid_utf8(const char *s);

/* Write all of it to `fd`. False: errno says why. */
bool text_write(int fd, const char *bytes, size_t size);

/* Either string, by what the terminal can show. */
const char *text_pick(const struct text *text, const char *utf8,
                      const char *ascii);

/* ---- the whole of a run, and its two outputs ---------------------------- */

/* What the records say of a run's collections, over all its processes. */
struct collected {
  uint64_t images; /* with collected heaps; 0: the rest is void              */
  uint64_t collections;
  uint64_t pause_ns; /* all of them                                          */
  uint64_t pause_p50_ns;
  uint64_t pause_p99_ns;
  uint64_t pause_max_ns;
  uint64_t heap_max; /* bytes; of the largest single process                 */
};

/* What a run took. */
struct costs {
  struct usage usage;
  struct collected gc; /* with --gc                                          */
};

/* The first ones are the kernel's, the rest is of --gc. */
enum { MEASURED_USAGE = 4, MEASURED_COUNT = 10 };

enum measured_unit {
  MEASURED_TIME,
  MEASURED_PAUSE, /* a short time                                            */
  MEASURED_BYTES,
  MEASURED_NUMBER,
};

/* One of the quantities --compare sets side by side. */
struct measured {
  const char *name; /* "wall", "user", "system", "peak RSS" ...              */
  const char *key;  /* its name in JSON                                      */
  size_t offset;    /* in struct costs                                       */
  enum measured_unit unit;
};
extern const struct measured measured_table[MEASURED_COUNT];

/* One round of --compare. */
struct round {
  struct costs almacen;
  struct costs system;
  int almacen_status; /* as from wait()                                      */
  int system_status;
};

/* Median and range over rounds. */
struct spread {
  uint64_t median;
  uint64_t min;
  uint64_t max;
};

/* What there is to report. */
struct run {
  char **argv;
  struct launch_result result; /* the first run on almacen                   */
  struct account account;
  struct round *rounds; /* complete ones; empty without --compare            */
  size_t nrounds;
  bool is_gc; /* --gc: it is libgc that was replaced, not malloc      */
  bool is_compare;
  bool is_cut_short;  /* a signal ended --compare before its last round       */
  bool is_ours_twice; /* --gc: the system's side had our libgc as well       */
};

/* How many of measured_table the run has. */
int run_measured(const struct run *run);

/* One quantity over all rounds, of either side. */
struct spread run_spread(const struct run *run, const struct measured *what,
                         bool is_system);

/* Print the report for a person. */
void report_print(const struct run *run, const struct text *text);

/* Write the report as JSON. False: errno says why. */
bool json_write(const struct run *run, int fd);

#endif
