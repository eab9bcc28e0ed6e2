/* bench/launch.c -- runs a command for run.py and measures it.
 *
 * WHAT    launch RESULT TIMEOUT REPEAT PRELOAD STDIN STDOUT STDERR COMMAND...
 *         runs COMMAND REPEAT times, one after another, with LD_PRELOAD set
 *         to PRELOAD ("-": unset), and writes one JSON object to RESULT: wall
 *         time, user and system CPU of the whole process tree, peak RSS of
 *         its largest process, exit code or signal, whether time ran out. The
 *         first run that fails is the last.
 * WHY     The kernel counts a process's memory before exec in its maximum, so
 *         children of python never seem smaller than python. This program is
 *         linked statically and measures under 1 MiB.
 * HOW     COMMAND leads its own process group, which is killed when TIMEOUT
 *         seconds have passed or the launcher is killed. Descendants that lost
 *         their parent become the launcher's (subreaper), so that they are
 *         counted and none is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARG_COMMAND = 8, EXIT_NOT_STARTED = 127 };

static volatile sig_atomic_t timed_out;
static volatile pid_t running;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static void on_alarm(int sig) {
  timed_out = sig == SIGALRM;
  if (running > 0) {
    kill(-running, SIGKILL);
  }
  if (sig != SIGALRM) {
    _exit(128 + sig);
  }
}

static void redirect(const char *path, int flags, int fd) {
  int opened = open(path, flags, 0666);
  if (opened < 0 || dup2(opened, fd) < 0) {
    _exit(EXIT_NOT_STARTED);
  }
  if (opened != fd) {
    close(opened);
  }
}

static void child(char **argv) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  redirect(argv[5], O_RDONLY, STDIN_FILENO);
  redirect(argv[6], O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
  redirect(argv[7], O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
  unsetenv("LD_PRELOAD");
  if (strcmp(argv[4], "-") != 0) {
    setenv("LD_PRELOAD", argv[4], 1);
  }
  execvp(argv[ARG_COMMAND], argv + ARG_COMMAND);
  _exit(EXIT_NOT_STARTED);
}

/* Wait for the child, then end and collect whatever it left behind. */
static int collect(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  kill(-pid, SIGKILL);
  while (wait(NULL) > 0 || errno == EINTR) {}
  running = 0;
  return status;
}

int main(int argc, char **argv) {
  if (argc <= ARG_COMMAND) {
    fputs("usage: launch RESULT TIMEOUT REPEAT PRELOAD STDIN STDOUT STDERR "
          "COMMAND...\n",
          stderr);
    return 64;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGALRM, on_alarm);
  signal(SIGTERM, on_alarm);
  signal(SIGINT, on_alarm);
  alarm((unsigned)atoi(argv[2]));
  int status = 0;
  double begin = now();
  for (int i = atoi(argv[3]); i > 0 && status == 0 && !timed_out; i--) {
    pid_t pid = fork();
    if (pid == 0) {
      child(argv);
    }
    if (pid < 0) {
      perror("launch: fork");
      return 1;
    }
    setpgid(pid, pid);
    running = pid;
    status = collect(pid);
  }
  double wall = now() - begin;
  alarm(0);
  struct rusage use;
  getrusage(RUSAGE_CHILDREN, &use);
  FILE *out = fopen(argv[1], "w");
  if (out == NULL) {
    perror(argv[1]);
    return 1;
  }
  fprintf(out,
          "{\"wall_s\":%.6f,\"user_s\":%.6f,\"sys_s\":%.6f,"
          "\"peak_rss_kib\":%ld,\"exit\":%d,\"signal\":%d,"
          "\"timed_out\":%s}\n",
          wall, seconds(use.ru_utime), seconds(use.ru_stime), use.ru_maxrss,
          WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          WIFSIGNALED(status) ? WTERMSIG(status) : 0,
          timed_out ? "true" : "false");
  return fclose(out) == 0 ? 0 : 1;
}
