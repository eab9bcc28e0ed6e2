/* tools/launch.c -- run one program, from fork to its end.
 *
 * WHAT    Starts a program on almacen's or the system's library, behaves
 *         towards signals as time(1) does, and brings back its status and
 *         what the kernel counted.
 * HOW     The command is a subreaper, so orphans come to it and are waited
 *         for while the program runs; they are counted, and how they ended
 *         is known. Those that outlive the program are left alone.
 * INVARIANTS
 *   [launch.1] The handler signals `child` only while that process is not
 *              reaped: it is set and cleared with the signals blocked.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long descendants may take to end after the program did, before they
 * count as running. Long enough for a pipeline to drain, short enough not
 * to be noticed when a daemon stays. */
#define STRAGGLER_WAIT_NS 100000000
#define STRAGGLER_POLL_NS 2000000

enum disposition { PASS_ON, IGNORE, DEFAULT };

static const struct {
  int signal;
  enum disposition disposition;
} signals[] = {
    {SIGINT, IGNORE},   {SIGQUIT, IGNORE},  {SIGPIPE, IGNORE},
    {SIGTERM, PASS_ON}, {SIGHUP, PASS_ON},  {SIGUSR1, PASS_ON},
    {SIGUSR2, PASS_ON}, {SIGCHLD, DEFAULT},
};

enum { SIGNAL_COUNT = sizeof signals / sizeof signals[0] };

static struct {
  struct sigaction before[SIGNAL_COUNT];
  sigset_t passed_on;           /* blocked to touch `child`                */
  volatile sig_atomic_t child;  /* [launch.1]; 0: none                     */
  volatile sig_atomic_t caught; /* last of TERM and HUP                    */
} state;

static void on_signal(int signal) {
  const int kept = errno;

  if (signal == SIGTERM || signal == SIGHUP) state.caught = signal;
  if (state.child) kill((pid_t)state.child, signal);
  errno = kept;
}

void launch_signals_begin(void) {
  sigemptyset(&state.passed_on);
  for (size_t i = 0; i < SIGNAL_COUNT; i++) {
    struct sigaction action = {.sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    switch (signals[i].disposition) {
    case PASS_ON:
      action.sa_handler = on_signal;
      sigaddset(&state.passed_on, signals[i].signal);
      break;
    case IGNORE:
      action.sa_handler = SIG_IGN;
      break;
    case DEFAULT:
      action.sa_handler = SIG_DFL;
      break;
    }
    sigaction(signals[i].signal, NULL, &state.before[i]);
    if (signals[i].disposition == PASS_ON &&
        state.before[i].sa_handler == SIG_IGN) {
      continue; /* nohup: what was to be ignored stays ignored */
    }
    sigaction(signals[i].signal, &action, NULL);
  }
}

void launch_signals_end(void) {
  for (size_t i = 0; i < SIGNAL_COUNT; i++) {
    /* A report into a closed pipe must not change the exit status. */
    if (signals[i].signal == SIGPIPE) continue;
    sigaction(signals[i].signal, &state.before[i], NULL);
  }
}

int launch_signal_caught(void) {
  return state.caught;
}

void launch_hold_fds(void) {
  for (;;) {
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0) return;
    if (fd > STDERR_FILENO) {
      close(fd);
      return;
    }
  }
}

int launch_exit_code(int status) {
  if (WIFSIGNALED(status)) return TOOL_EXIT_SIGNAL + WTERMSIG(status);
  return WEXITSTATUS(status);
}

static uint64_t clock_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t) {
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

/* Put `value` before (or after) what the variable holds already. */
static void env_join(const char *name, const char *first, const char *second,
                     char separator) {
  const size_t size = strlen(first) + strlen(second) + 2;
  char *joined = tool_grow(NULL, size, 1);

  if (*first && *second) {
    snprintf(joined, size, "%s%c%s", first, separator, second);
  } else {
    snprintf(joined, size, "%s%s", first, second);
  }
  if (setenv(name, joined, 1) != 0) _exit(TOOL_EXIT_FAILED);
  free(joined);
}

/* The system's own is wanted: drop an almacen the user preloads. */
static void env_drop(const char *library) {
  const char *preload = getenv("LD_PRELOAD");
  char *kept = tool_grow(NULL, preload ? strlen(preload) + 1 : 1, 1);

  *kept = '\0';
  if (!preload) preload = "";
  while (*preload) {
    const size_t length = strcspn(preload, ": ");
    const char *entry = preload;

    preload += length;
    preload += strspn(preload, ": ");
    if (memmem(entry, length, library, strlen(library))) continue;
    if (*kept) strcat(kept, ":");
    strncat(kept, entry, length);
  }
  if (*kept) {
    if (setenv("LD_PRELOAD", kept, 1) != 0) _exit(TOOL_EXIT_FAILED);
  } else {
    unsetenv("LD_PRELOAD");
  }
  free(kept);
}

static void child_environment(const struct launch *launch) {
  const char *options = getenv("ALMACEN");
  char record[PATH_MAX + 16];

  if (launch->without) env_drop(launch->without);
  if (launch->library) {
    const char *preload = getenv("LD_PRELOAD");

    env_join("LD_PRELOAD", launch->library, preload ? preload : "", ':');
  }
  if (launch->record_dir) {
    snprintf(record, sizeof record, "record=%s", launch->record_dir);
    env_join("ALMACEN", options ? options : "", record, ',');
  }
}

/* In the child: become the program, or send errno through `report`. */
static _Noreturn void child_main(const struct launch *launch, int report,
                                 const sigset_t *mask) {
  int error = 0;

  child_environment(launch);
  if (launch->stdin_fd >= 0) {
    if (dup2(launch->stdin_fd, STDIN_FILENO) < 0) error = errno;
  }
  if (launch->quiet) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0) {
      error = errno;
    }
  }
  for (size_t i = 0; i < SIGNAL_COUNT; i++) {
    sigaction(signals[i].signal, &state.before[i], NULL);
  }
  sigprocmask(SIG_SETMASK, mask, NULL);
  if (!error) {
    execvp(launch->argv[0], launch->argv);
    error = errno;
  }
  if (write(report, &error, sizeof error) < 0) _exit(TOOL_EXIT_FAILED);
  _exit(TOOL_EXIT_CANNOT);
}

/* Fork and exec; the pid, and *exec_errno when the program did not start. */
static pid_t start(const struct launch *launch, int *exec_errno) {
  int report[2];
  sigset_t mask;

  if (pipe2(report, O_CLOEXEC) != 0) {
    tool_die(TOOL_EXIT_FAILED, "run: cannot make a pipe: %s", strerror(errno));
  }
  sigprocmask(SIG_BLOCK, &state.passed_on, &mask);
  const pid_t pid = fork();
  const int fork_errno = errno;

  if (pid == 0) child_main(launch, report[1], &mask);
  state.child = pid > 0 ? pid : 0;                      /* [launch.1] */
  if (pid > 0 && state.caught) kill(pid, state.caught); /* came too early */
  sigprocmask(SIG_SETMASK, &mask, NULL);
  close(report[1]);
  *exec_errno = 0;
  if (pid < 0) {
    *exec_errno = fork_errno;
  } else {
    ssize_t got;

    do {
      got = read(report[0], exec_errno, sizeof *exec_errno);
    } while (got < 0 && errno == EINTR);
    if (got != sizeof *exec_errno) *exec_errno = 0;
  }
  close(report[0]);
  return pid;
}

/* Book a process that has just been reaped. */
static void account_ending(struct launch_result *result, pid_t pid, int status,
                           const struct rusage *rusage) {
  const size_t n = result->nendings;
  struct usage *usage = &result->usage;
  const uint64_t rss = (uint64_t)rusage->ru_maxrss * 1024;

  if ((n & (n - 1)) == 0) {
    result->endings =
        tool_grow(result->endings, n ? n * 2 : 1, sizeof *result->endings);
  }
  result->endings[n] = (struct ending){.pid = pid, .status = status};
  result->nendings++;
  usage->user_ns += timeval_ns(rusage->ru_utime);
  usage->system_ns += timeval_ns(rusage->ru_stime);
  if (rss > usage->rss_max) usage->rss_max = rss;
}

/* Reap one process that has ended; when it is the program, end [launch.1]. */
static void reap(struct launch_result *result, pid_t pid) {
  struct rusage rusage = {0};
  sigset_t mask;
  int status = 0;

  sigprocmask(SIG_BLOCK, &state.passed_on, &mask);
  if (wait4(pid, &status, 0, &rusage) == pid) {
    account_ending(result, pid, status, &rusage);
    if (pid == result->pid) {
      result->status = status;
      state.child = 0;
    }
  }
  sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Give descendants that are about to end the time to do so. */
static void wait_for_stragglers(struct launch_result *result) {
  const uint64_t until = clock_ns() + STRAGGLER_WAIT_NS;
  const struct timespec pause = {.tv_nsec = STRAGGLER_POLL_NS};

  for (;;) {
    siginfo_t info = {0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
    if (info.si_pid != 0) {
      reap(result, info.si_pid);
      continue;
    }
    if (clock_ns() >= until) return;
    nanosleep(&pause, NULL);
  }
}

void launch_run(const struct launch *launch, struct launch_result *result) {
  const uint64_t begin = clock_ns();

  *result = (struct launch_result){0};
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  result->pid = start(launch, &result->exec_errno);
  if (result->pid < 0) return;
  for (;;) {
    siginfo_t info = {0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0) {
      if (errno == EINTR) continue;
      tool_die(TOOL_EXIT_FAILED, "run: cannot wait: %s", strerror(errno));
    }
    if (info.si_pid == result->pid) result->usage.wall_ns = clock_ns() - begin;
    reap(result, info.si_pid);
    if (info.si_pid == result->pid) break;
  }
  wait_for_stragglers(result);
}

void launch_result_fini(struct launch_result *result) {
  free(result->endings);
  result->endings = NULL;
  result->nendings = 0;
}

/* The parent of a live process; 0 when there is none or it is a zombie. */
static pid_t parent_of(pid_t pid) {
  char path[64], line[512];
  char process_state;
  int parent = 0;

  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *stat = fopen(path, "re");

  if (!stat) return 0;
  const size_t length = fread(line, 1, sizeof line - 1, stat);

  fclose(stat);
  line[length] = '\0';
  /* The command stands in parentheses and may hold any character. */
  const char *rest = strrchr(line, ')');

  if (!rest || sscanf(rest + 1, " %c %d", &process_state, &parent) != 2 ||
      process_state == 'Z' || process_state == 'X') {
    return 0;
  }
  return parent;
}

bool launch_is_running(pid_t pid) {
  const pid_t self = getpid();

  /* Bounded: the chain may change while it is followed. */
  for (int i = 0; i < 1000 && pid > 1; i++) {
    pid = parent_of(pid);
    if (pid == self) return true;
  }
  return false;
}
