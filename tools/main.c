/* tools/main.c -- the command `almacen`: which part of it is meant.
 *
 * WHAT    Takes the global options and the name of a command, and calls the
 *         command. Holds the help texts and the reporting of usage errors.
 */
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char overview_help[] =
    "Usage: almacen COMMAND [OPTIONS]\n"
    "\n"
    "Run programs on almacen, Go's memory allocator in C, and see what their\n"
    "memory did.\n"
    "\n"
    "Commands:\n"
    "  run [--gc] [--compare] [--report FILE] PROGRAM ARGS...\n"
    "                 run PROGRAM on almacen and report on its memory\n"
    "  options        list the library's run-time options (ALMACEN=...)\n"
    "  help COMMAND   explain a command\n"
    "\n"
    "Options:\n"
    "  --help         print this\n"
    "  --version      print the version\n"
    "\n"
    "The manual page almacen(1) has the rest.\n";

static const char run_help[] =
    "Usage: almacen run [OPTIONS] [--] PROGRAM [ARGS...]\n"
    "\n"
    "Runs PROGRAM, unchanged, on almacen's malloc (with --gc: on its garbage\n"
    "collector, in place of libgc). When it has ended, however it ended,\n"
    "prints on standard error what its memory did: time and peak RSS, what\n"
    "was allocated by size class, fragmentation, memory returned to the OS,\n"
    "collections and their pauses. Processes that PROGRAM starts are each\n"
    "accounted. PROGRAM's own stdin, stdout and stderr are untouched.\n"
    "\n"
    "Options:\n"
    "  --gc           replace PROGRAM's garbage collector, libgc, and not its\n"
    "                 malloc; report collections, pauses and heap\n"
    "  --compare      run PROGRAM on the system's malloc (or libgc) too, in\n"
    "                 turns, and print both side by side. PROGRAM runs 2 x N\n"
    "                 times; the output of the first run is shown, that of\n"
    "                 the others goes to /dev/null. A pipe on standard input\n"
    "                 is read to its end first and each run gets a copy.\n"
    "  --rounds N     how many times --compare runs each (default 3, at most\n"
    "                 1000)\n"
    "  --report FILE  write the report as JSON, too; - is standard output\n"
    "  --help         print this\n"
    "\n"
    "Exit status: PROGRAM's; 128 + the signal when a signal killed it; 127\n"
    "when it was not found, 126 when it could not be run, 125 when almacen\n"
    "itself failed, 2 when the command line is wrong.\n"
    "\n"
    "Environment: ALMACEN sets the library's options (almacen options),\n"
    "NO_COLOR turns colours off, TMPDIR is where the records go meanwhile.\n";

static const char options_help[] =
    "Usage: almacen options [--markdown]\n"
    "\n"
    "Lists the library's run-time options. They are set at start by\n"
    "ALMACEN=name=value,name=value in the environment, or by\n"
    "alm_option_set().\n"
    "\n"
    "Options:\n"
    "  --markdown     print the table as in doc/options.md\n"
    "  --help         print this\n";

static const struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} commands[] = {
    {"run", run_command, run_help},
    {"options", options_command, options_help},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void say(const char *format, va_list arguments) {
  char line[1024];

  vsnprintf(line, sizeof line, format, arguments);
  fprintf(stderr, "almacen: %s\n", line);
}

void tool_say(const char *format, ...) {
  va_list arguments;

  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
}

_Noreturn void tool_die(int status, const char *format, ...) {
  va_list arguments;

  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
  exit(status);
}

void *tool_grow(void *p, size_t count, size_t size) {
  void *grown = reallocarray(p, count ? count : 1, size);

  if (!grown) tool_die(TOOL_EXIT_FAILED, "out of memory");
  return grown;
}

static const struct command *command_find(const char *name) {
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (!strcmp(commands[i].name, name)) return &commands[i];
  }
  return NULL;
}

bool tool_help(FILE *out, const char *command) {
  if (!command) {
    fputs(overview_help, out);
    return true;
  }
  const struct command *found = command_find(command);

  if (found) fputs(found->help, out);
  return found != NULL;
}

_Noreturn void tool_bad_option(const char *command, char **argv, int result) {
  const char *what = result == ':' ? "needs a value" : "is no option here";
  char shorty[] = {'-', (char)optopt, '\0'};
  const char *name = argv[optind - 1];

  /* A short option leaves optopt set, and may stand inside a cluster. */
  if (optopt > 0 && optopt < 256) name = shorty;
  tool_die(TOOL_EXIT_USAGE, "%s%s%s %s; see almacen %s%s",
           command ? command : "", command ? ": " : "", name, what,
           command ? "help " : "--help", command ? command : "");
}

int tool_finish_stdout(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
  tool_say("cannot write to standard output: %s", strerror(errno));
  return TOOL_EXIT_FAILED;
}

static int help_command(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : NULL;

  if (name && !tool_help(stdout, name)) {
    tool_die(TOOL_EXIT_USAGE, "help: no command '%s'; see almacen --help",
             name);
  }
  if (!name) tool_help(stdout, NULL);
  return tool_finish_stdout();
}

int main(int argc, char **argv) {
  static const struct option longs[] = {
      {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'V'},
      {NULL, 0, NULL, 0},
  };
  int got;

  launch_hold_fds();
  opterr = 0;
  while ((got = getopt_long(argc, argv, "+:hV", longs, NULL)) != -1) {
    switch (got) {
    case 'h':
      tool_help(stdout, NULL);
      return tool_finish_stdout();
    case 'V':
      printf("almacen %s\n", ALM_VERSION);
      return tool_finish_stdout();
    default:
      tool_bad_option(NULL, argv, got);
    }
  }
  if (optind == argc) {
    tool_die(TOOL_EXIT_USAGE, "no command given; see almacen --help");
  }
  const char *name = argv[optind];
  const struct command *command = command_find(name);

  argc -= optind;
  argv += optind;
  optind = 0; /* 0 restarts getopt, as glibc and musl document */
  if (command) return command->run(argc, argv);
  if (!strcmp(name, "help")) return help_command(argc, argv);
  tool_die(TOOL_EXIT_USAGE, "no command '%s'; see almacen --help", name);
}
