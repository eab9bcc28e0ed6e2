/* tools/run.c -- `almacen run`: run a program on almacen and report.
 *
 * WHAT    Reads the command line, finds the library, runs the program once
 *         or, with --compare, in rounds on almacen and on the system's
 *         malloc (with --gc: libgc), and has the outcome reported.
 * HOW     Only the first run keeps its stdout and stderr. It is recorded, and
 *         with --gc the others, too, for their pauses; a probe does that for
 *         the system's libgc (gcprobe.c).
 *         For --compare, each run needs the whole of standard input: a file
 *         is opened again at the same offset, a pipe is copied into memory
 *         first, a terminal or other device is simply inherited.
 *         The temporary directory is gone before anything is printed, and
 *         the signals that could leave it behind are held until then.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  ROUNDS_DEFAULT = 3, /* the fewest whose median drops a cold first run      */
  ROUNDS_MAX = 1000,
  STDIN_HINT_MS = 2000, /* of silence before saying what is waited for       */
};

#define MALLOC_LIBRARY "libalmacen-malloc.so"
#define GC_LIBRARY "libalmacen-gc.so"
#define PROBE_LIBRARY "libalmacen-gcprobe.so"

#define COST(member) offsetof(struct costs, member)
const struct measured measured_table[MEASURED_COUNT] = {
    {"wall", "wall_ns", COST(usage.wall_ns), MEASURED_TIME},
    {"user", "user_ns", COST(usage.user_ns), MEASURED_TIME},
    {"system", "system_ns", COST(usage.system_ns), MEASURED_TIME},
    {"peak RSS", "rss_max", COST(usage.rss_max), MEASURED_BYTES},
    {"collections", "collections", COST(gc.collections), MEASURED_NUMBER},
    {"all pauses", "pause_ns", COST(gc.pause_ns), MEASURED_PAUSE},
    {"pause p50", "pause_p50_ns", COST(gc.pause_p50_ns), MEASURED_PAUSE},
    {"pause p99", "pause_p99_ns", COST(gc.pause_p99_ns), MEASURED_PAUSE},
    {"longest", "pause_ns_max", COST(gc.pause_max_ns), MEASURED_PAUSE},
    {"heap peak", "heap_bytes_max", COST(gc.heap_max), MEASURED_BYTES},
};

/* The command line. */
struct options {
  bool gc;
  bool compare;
  size_t rounds;
  const char *report; /* file name, "-", or NULL                             */
  char **argv;        /* PROGRAM ARGS                                        */
};

/* Where the runs of --compare find standard input. */
struct input {
  int fd; /* -1: inherit                                               */
  off_t offset;
  bool is_file; /* the user's own file: the first run gets it itself         */
};

/* ---- the command line --------------------------------------------------- */

static size_t parse_rounds(const char *s) {
  char *end;

  errno = 0;
  const long n = strtol(s, &end, 10);

  if (errno || end == s || *end || n < 1 || n > ROUNDS_MAX) {
    tool_die(TOOL_EXIT_USAGE,
             "run: --rounds needs a number from 1 to %d, "
             "not '%s'",
             ROUNDS_MAX, s);
  }
  return (size_t)n;
}

static struct options parse(int argc, char **argv) {
  enum { GC = 256, COMPARE, ROUNDS, REPORT }; /* above every short option */
  static const struct option longs[] = {
      {"gc", no_argument, NULL, GC},
      {"compare", no_argument, NULL, COMPARE},
      {"rounds", required_argument, NULL, ROUNDS},
      {"report", required_argument, NULL, REPORT},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  struct options options = {0};
  int got;

  while ((got = getopt_long(argc, argv, "+:h", longs, NULL)) != -1) {
    switch (got) {
    case GC:
      options.gc = true;
      break;
    case COMPARE:
      options.compare = true;
      break;
    case ROUNDS:
      options.rounds = parse_rounds(optarg);
      break;
    case REPORT:
      options.report = optarg;
      break;
    case 'h':
      tool_help(stdout, "run");
      exit(tool_finish_stdout());
    default:
      tool_bad_option("run", argv, got);
    }
  }
  if (optind == argc) {
    tool_die(TOOL_EXIT_USAGE, "run: no program given; see almacen help run");
  }
  if (options.rounds && !options.compare) {
    tool_die(TOOL_EXIT_USAGE, "run: --rounds goes with --compare");
  }
  if (!options.rounds) options.rounds = ROUNDS_DEFAULT;
  options.argv = argv + optind;
  return options;
}

/* ---- the library -------------------------------------------------------- */

/* The absolute path of a library of ours: beside the command as it was built
 * or installed, else where the installation put it. */
static void find_library(const char *name, char *path, size_t size) {
  static const char *const beside[] = {"../lib", "../lib64", "."};
  char self[PATH_MAX] = "";
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

  if (length > 0) {
    const char *directory = dirname(self);

    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
      char candidate[PATH_MAX + 64];
      char resolved[PATH_MAX];

      snprintf(candidate, sizeof candidate, "%s/%s/%s", directory, beside[i],
               name);
      if (realpath(candidate, resolved)) {
        snprintf(path, size, "%s", resolved);
        return;
      }
    }
  }
#ifdef ALM_LIBDIR
  snprintf(path, size, "%s/%s", ALM_LIBDIR, name);
  if (access(path, R_OK) == 0) return;
#endif
  tool_die(TOOL_EXIT_FAILED,
           "run: cannot find %s (looked in ../lib beside the command)", name);
}

/* The path to preload: LD_PRELOAD cannot carry every name, a link in the
 * directory of the records can stand for those. */
static void preload_path(const char *name, char *path, size_t size,
                         const char *record_dir) {
  char link[PATH_MAX + 64];

  if (!path[strcspn(path, ": $")]) return;
  snprintf(link, sizeof link, "%s/%s", record_dir, name);
  if (symlink(path, link) == 0) snprintf(path, size, "%s", link);
}

/* ---- standard input ----------------------------------------------------- */

/* Copy standard input to its end into a file in memory. */
static int copy_stdin(void) {
  struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
  const int copy = memfd_create("almacen-stdin", MFD_CLOEXEC);
  char buffer[65536];

  if (copy < 0) {
    tool_die(TOOL_EXIT_FAILED, "run: cannot copy standard input: %s",
             strerror(errno));
  }
  if (poll(&waiting, 1, STDIN_HINT_MS) == 0) {
    tool_say("run: --compare first reads standard input to its end; waiting "
             "(use </dev/null if the program reads none)");
  }
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);

    if (got < 0 && errno == EINTR) continue;
    if (got == 0) return copy;
    if (got < 0 || !text_write(copy, buffer, (size_t)got)) break;
  }
  tool_die(TOOL_EXIT_FAILED, "run: cannot copy standard input: %s",
           strerror(errno));
}

static struct input prepare_input(void) {
  struct input input = {.fd = -1};
  struct stat stat;

  if (fstat(STDIN_FILENO, &stat) != 0) return input;
  if (S_ISREG(stat.st_mode)) {
    const int probe = open("/proc/self/fd/0", O_RDONLY | O_CLOEXEC);

    if (probe >= 0) {
      close(probe);
      input.fd = STDIN_FILENO;
      input.offset = lseek(STDIN_FILENO, 0, SEEK_CUR);
      input.is_file = true;
      return input;
    }
  }
  if (S_ISCHR(stat.st_mode) || S_ISDIR(stat.st_mode)) return input;
  input.fd = copy_stdin();
  return input;
}

/* A fresh descriptor at the start of the input; -1: inherit. */
static int open_input(const struct input *input, bool is_first) {
  char path[64];

  if (input->fd < 0 || (is_first && input->is_file)) return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", input->fd);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || lseek(fd, input->offset, SEEK_SET) < 0) {
    tool_die(TOOL_EXIT_FAILED, "run: cannot open standard input again: %s",
             strerror(errno));
  }
  return fd;
}

/* ---- running ------------------------------------------------------------ */

static int by_value(const void *left, const void *right) {
  const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

  return a < b ? -1 : a > b;
}

struct spread run_spread(const struct run *run, const struct measured *what,
                         bool is_system) {
  const size_t n = run->nrounds;
  uint64_t *values = tool_grow(NULL, n, sizeof *values);

  if (n == 0) {
    free(values);
    return (struct spread){0};
  }
  for (size_t i = 0; i < n; i++) {
    const struct round *round = &run->rounds[i];
    const struct costs *costs = is_system ? &round->system : &round->almacen;

    memcpy(&values[i], (const char *)costs + what->offset, sizeof values[i]);
  }
  qsort(values, n, sizeof *values, by_value);
  const uint64_t upper = values[n / 2], lower = values[(n - 1) / 2];
  const struct spread spread = {
      .median = lower + (upper - lower) / 2,
      .min = values[0],
      .max = values[n - 1],
  };

  free(values);
  return spread;
}

/* Tell the person at the terminal what runs unseen, on a line below what the
 * program printed; NULL erases it. */
static void progress(const char *side, size_t round, size_t rounds) {
  static bool is_shown;
  const char *term = getenv("TERM");

  if (!isatty(STDERR_FILENO) || !term || !strcmp(term, "dumb")) return;
  if (side) {
    fprintf(stderr, "%s\r\033[K[almacen: round %zu of %zu, %s]",
            is_shown ? "" : "\n", round, rounds, side);
    is_shown = true;
  } else if (is_shown) {
    fputs("\r\033[K\033[A", stderr);
    is_shown = false;
  }
  fflush(stderr);
}

/* Did somebody ask the whole thing to stop, and not just this program? */
static bool is_stopped(int status) {
  if (launch_signal_caught()) return true;
  if (!WIFSIGNALED(status)) return false;
  switch (WTERMSIG(status)) {
  case SIGINT:
  case SIGQUIT:
  case SIGTERM:
  case SIGHUP:
    return true;
  default:
    return false;
  }
}

static struct collected collected_of(const struct account *account) {
  const struct alm_gc_stats *gc = &account->total.gc;
  struct collected collected = {
      .images = account->ncollectors,
      .collections = gc->collections,
      .pause_ns = gc->pause_ns,
      .pause_p50_ns = alm_pause_quantile_ns(gc, 500),
      .pause_p99_ns = alm_pause_quantile_ns(gc, 990),
      .pause_max_ns = gc->pause_ns_max,
  };

  for (size_t i = 0; i < account->nimages; i++) {
    gc = account->images[i].gc;
    if (gc && gc->heap_bytes_max > collected.heap_max) {
      collected.heap_max = gc->heap_bytes_max;
    }
  }
  return collected;
}

static bool has_face(const struct account *account, enum face face) {
  for (size_t i = 0; i < account->nimages; i++) {
    if (account->images[i].face == face) return true;
  }
  return false;
}

static void make_record_dir(char *path, size_t size) {
  if (record_dir_make(path, size)) return;
  tool_die(TOOL_EXIT_FAILED, "run: cannot make a temporary directory: %s",
           strerror(errno));
}

/* One run of --compare that nobody sees. */
static void run_unseen(struct run *run, struct launch launch,
                       const struct input *input, struct costs *costs,
                       int *status) {
  struct launch_result result;
  char record_dir[PATH_MAX];

  launch.quiet = true;
  launch.record_dir = NULL;
  if (run->is_gc) {
    make_record_dir(record_dir, sizeof record_dir);
    launch.record_dir = record_dir;
  }
  launch.stdin_fd = open_input(input, false);
  launch_run(&launch, &result);
  if (launch.stdin_fd >= 0) close(launch.stdin_fd);
  costs->usage = result.usage;
  *status = result.exec_errno ? TOOL_EXIT_CANNOT << 8 : result.status;
  if (run->is_gc) {
    struct account account;

    record_read_all(record_dir, false, &result, &account);
    costs->gc = collected_of(&account);
    if (launch.without && has_face(&account, FACE_GC)) {
      run->is_ours_twice = true;
    }
    record_fini(&account);
    record_dir_remove(record_dir);
  }
  launch_result_fini(&result);
}

/* The rest of --compare, the first run on almacen being done. */
static void run_rounds(struct run *run, const struct launch *ours,
                       const struct launch *theirs, const struct input *input,
                       size_t rounds) {
  const char *other = run->is_gc ? "system libgc" : "system malloc";

  run->rounds = tool_grow(NULL, rounds, sizeof *run->rounds);
  for (size_t i = 0; i < rounds; i++) {
    struct round round = {
        .almacen = {run->result.usage, collected_of(&run->account)},
        .almacen_status = run->result.status,
    };

    if (i > 0) {
      progress("almacen", i + 1, rounds);
      run_unseen(run, *ours, input, &round.almacen, &round.almacen_status);
    }
    run->is_cut_short = is_stopped(round.almacen_status);
    if (run->is_cut_short) break;
    progress(other, i + 1, rounds);
    run_unseen(run, *theirs, input, &round.system, &round.system_status);
    run->is_cut_short = is_stopped(round.system_status);
    if (run->is_cut_short) break;
    run->rounds[run->nrounds++] = round;
  }
  progress(NULL, 0, 0);
}

int run_measured(const struct run *run) {
  if (!run->is_gc) return MEASURED_USAGE;
  for (size_t i = 0; i < run->nrounds; i++) {
    const struct round *round = &run->rounds[i];

    if (!round->almacen.gc.images || !round->system.gc.images) {
      return MEASURED_USAGE;
    }
  }
  return MEASURED_COUNT;
}

/* All runs and the reading of the records. Leaves the command when the
 * program cannot be run. */
static void perform(const struct options *options, struct run *run) {
  const char *name = options->gc ? GC_LIBRARY : MALLOC_LIBRARY;
  const bool has_probe = options->gc && options->compare;
  char library[PATH_MAX + 64], probe[PATH_MAX + 64];
  char record_dir[PATH_MAX];
  struct input input = {.fd = -1};

  find_library(name, library, sizeof library);
  if (has_probe) find_library(PROBE_LIBRARY, probe, sizeof probe);
  if (options->compare) input = prepare_input();
  launch_signals_begin();
  make_record_dir(record_dir, sizeof record_dir);
  preload_path(name, library, sizeof library, record_dir);
  if (has_probe) preload_path(PROBE_LIBRARY, probe, sizeof probe, record_dir);
  struct launch launch = {
      .argv = options->argv,
      .library = library,
      .record_dir = record_dir,
      .stdin_fd = open_input(&input, true),
  };

  launch_run(&launch, &run->result);
  if (launch.stdin_fd >= 0) close(launch.stdin_fd);
  if (!run->result.exec_errno) {
    struct launch theirs = launch;

    theirs.without = name;
    theirs.library = has_probe ? probe : NULL;
    record_read_all(record_dir, options->report != NULL, &run->result,
                    &run->account);
    if (options->compare) {
      run_rounds(run, &launch, &theirs, &input, options->rounds);
    }
  }
  record_dir_remove(record_dir);
  launch_signals_end();
}

/* ---- the outputs -------------------------------------------------------- */

/* Open the report file before the program runs: a name that cannot be
 * written should not cost the user a run. -1: none. */
static int open_report(const char *name, bool *is_new) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;

  *is_new = false;
  if (!name) return -1;
  if (!strcmp(name, "-")) return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  int fd = open(name, flags | O_EXCL, 0666);

  *is_new = fd >= 0;
  if (fd < 0) fd = open(name, flags, 0666);
  if (fd < 0) {
    tool_die(TOOL_EXIT_FAILED, "run: cannot write '%s': %s", name,
             strerror(errno));
  }
  return fd;
}

static bool write_report(const struct run *run, const char *name, int fd) {
  struct stat stat;

  if (strcmp(name, "-") != 0 && fstat(fd, &stat) == 0 &&
      S_ISREG(stat.st_mode) && ftruncate(fd, 0) != 0) {
    tool_say("run: cannot write '%s': %s", name, strerror(errno));
    return false;
  }
  if (json_write(run, fd)) return true;
  tool_say("run: cannot write '%s': %s", name, strerror(errno));
  return false;
}

/* Print the report in one piece, so that what is still running cannot write
 * into it. */
static void print_report(const struct run *run) {
  char *page = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&page, &size);
  struct text text;

  if (!out) tool_die(TOOL_EXIT_FAILED, "out of memory");
  text_init(&text, out, STDERR_FILENO);
  report_print(run, &text);
  if (fclose(out) != 0) tool_die(TOOL_EXIT_FAILED, "out of memory");
  /* When nobody reads stderr there is nowhere to complain. */
  text_write(STDERR_FILENO, page, size);
  free(page);
}

/* Say why the program did not run; the status to leave with. */
static int cannot_run(const struct run *run) {
  const int error = run->result.exec_errno;

  if (run->result.pid < 0) {
    tool_say("run: cannot start a process: %s", strerror(error));
    return TOOL_EXIT_FAILED;
  }
  tool_say("run: cannot run '%s': %s", run->argv[0], strerror(error));
  return error == ENOENT ? TOOL_EXIT_NOT_FOUND : TOOL_EXIT_CANNOT;
}

int run_command(int argc, char **argv) {
  const struct options options = parse(argc, argv);
  struct run run = {
      .argv = options.argv, .is_gc = options.gc, .is_compare = options.compare};
  bool is_new, is_written = true;
  const int report = open_report(options.report, &is_new);

  perform(&options, &run);
  int status = launch_exit_code(run.result.status);

  if (run.result.exec_errno) {
    status = cannot_run(&run);
    if (is_new) unlink(options.report);
  } else {
    print_report(&run);
    if (options.report) is_written = write_report(&run, options.report, report);
    if (!is_written && status == 0) status = TOOL_EXIT_FAILED;
  }
  launch_result_fini(&run.result);
  record_fini(&run.account);
  free(run.rounds);
  return status;
}
