/* main.c -- the command: options, files, the REPL; see lisp.h.
 *
 * HOW     The program runs in a thread of its own, because the size of the
 *         first thread's stack is not ours to choose.
 */
#define _POSIX_C_SOURCE 200809L
#include "lisp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lisp [OPTION...] [-e EXPR | FILE] [ARGUMENT...]\n"
    "  --collect-every N  collect at every n-th slow path of allocation\n"
    "  --gc-percent N     allocate so much, in percent of what lives\n"
    "  --markers N        threads that mark\n"
    "  --limit MB         of the heap\n"
    "  --check N          1, 2: check the heap after each collection\n"
    "  --interior         objects are kept by pointers into them as well\n"
    "  --stack MB         of each thread; 64 unless told\n"
    "  --stats            print the heap's account at the end\n";

struct command {
  struct alm_heap_options heap;
  const char *expression;
  const char *file;
  char **args;
  bool has_stats;
  int status;
};

/* ---- running ------------------------------------------------------------- */

static void complain(struct vm *vm, value condition) {
  fflush(stdout);
  fprintf(stderr, "lisp: %s\n",
          string_text(vm, print_condition(vm, condition)));
}

/* Run the text; on an error print it and return false. */
static bool run_text(struct vm *vm, value text, const char *file, value *out) {
  struct catch c;
  catch_push(vm, &c, true, false);
  if (setjmp(c.jump) != 0) {
    vm->out = V_FALSE;
    complain(vm, vm->thrown);
    return false;
  }
  *out = eval_text(vm, text, file_number(vm, file));
  catch_pop(vm, &c);
  return true;
}

static bool run_file(struct vm *vm, const char *path) {
  value text = read_file(vm, path);
  if (text == V_FALSE) {
    fprintf(stderr, "lisp: cannot read %s\n", path);
    return false;
  }
  value v;
  return run_text(vm, text, path, &v);
}

/* ---- the REPL ------------------------------------------------------------ */

/* Does the text end within a form? Other errors are for run_text to find. */
static bool is_incomplete(struct vm *vm, value text) {
  struct catch c;
  struct reader r;
  reader_init(&r, text, 0);
  catch_push(vm, &c, true, false);
  if (setjmp(c.jump) != 0) {
    return r.is_incomplete;
  }
  while (reader_read(vm, &r) != V_EOF) {}
  catch_pop(vm, &c);
  return false;
}

/* Add a line of stdin. False: there is none. */
static bool add_line(struct vm *vm, value text, const char *prompt) {
  char *line = NULL;
  size_t room = 0;
  fputs(prompt, stdout);
  fflush(stdout);
  alm_blocked_begin(vm->m);
  ssize_t n = getline(&line, &room, stdin);
  alm_blocked_end(vm->m);
  if (n > 0) {
    string_add(vm, text, line, (size_t)n);
  }
  free(line);
  return n > 0;
}

static void repl(struct vm *vm) {
  for (;;) {
    value text = make_string(vm, NULL, 0);
    value v = V_VOID;
    bool more = add_line(vm, text, "> ");
    while (more && is_incomplete(vm, text)) more = add_line(vm, text, "  ");
    if (AS(string, text)->length == 0) {
      putchar('\n');
      return;
    }
    if (run_text(vm, text, "stdin", &v) && v != V_VOID) {
      value shown = print_to_string(vm, v, false);
      printf("%s\n", string_text(vm, shown));
    }
  }
}

/* ---- the command --------------------------------------------------------- */

static void print_stats(void) {
  struct alm_heap_stats s;
  alm_heap_stats_read(rt.heap, &s);
  fprintf(stderr,
          "%" PRIu64 " collections, %.1f ms in all, %.2f ms at most; "
          "%.1f MiB allocated, %.1f MiB heap at most\n",
          s.collections, (double)s.pause_ns / 1e6, (double)s.pause_ns_max / 1e6,
          (double)s.alloc_bytes / 1048576, (double)s.heap_bytes_max / 1048576);
}

/* All that can raise outside the program itself: memory is out. */
static bool run(struct vm *vm, struct command *c) {
  struct catch last;
  catch_push(vm, &last, true, false);
  if (setjmp(last.jump) != 0) {
    complain(vm, vm->thrown);
    return false;
  }
  runtime_fill(vm);
  size_t n = 0;
  while (c->args[n] != NULL) n++;
  for (; n > 0; n--) {
    value arg = make_string(vm, c->args[n - 1], strlen(c->args[n - 1]));
    rt.known.args = cons(vm, arg, rt.known.args);
  }
  bool good = true;
  value v;
  if (c->expression != NULL) {
    const char *text = c->expression;
    good = run_text(vm, make_string(vm, text, strlen(text)), "-e", &v);
    if (good && v != V_VOID) {
      printf("%s\n", string_text(vm, print_to_string(vm, v, false)));
    }
  } else if (c->file != NULL) {
    good = run_file(vm, c->file);
  } else if (isatty(STDIN_FILENO)) {
    repl(vm);
  } else {
    good = run_file(vm, "/dev/stdin");
  }
  catch_pop(vm, &last);
  return good;
}

static void *run_thread(void *arg) {
  struct command *c = arg;
  struct vm vm;
  if (!vm_attach(&vm)) {
    fputs("lisp: no memory\n", stderr);
    return NULL;
  }
  c->status = run(&vm, c) ? 0 : 1;
  if (c->has_stats) {
    print_stats();
  }
  vm_detach(&vm);
  return NULL;
}

/* The number behind the option argv[*i]; ends the program if there is none. */
static unsigned long number(char **argv, int *i) {
  char *end = NULL;
  const char *text = argv[*i + 1];
  unsigned long n = text != NULL ? strtoul(text, &end, 10) : 0;
  if (text == NULL || *text == '\0' || *end != '\0') {
    fprintf(stderr, "lisp: %s needs a number\n", argv[*i]);
    exit(1);
  }
  ++*i;
  return n;
}

static void parse(int argc, char **argv, struct command *c) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && c->expression == NULL; i++) {
    const char *o = argv[i];
    if (strcmp(o, "--collect-every") == 0) {
      c->heap.collect_every = number(argv, &i);
    } else if (strcmp(o, "--gc-percent") == 0) {
      c->heap.gc_percent = (unsigned)number(argv, &i);
    } else if (strcmp(o, "--markers") == 0) {
      c->heap.markers = (unsigned)number(argv, &i);
    } else if (strcmp(o, "--limit") == 0) {
      c->heap.limit_bytes = number(argv, &i) << 20;
    } else if (strcmp(o, "--check") == 0) {
      c->heap.check = (unsigned)number(argv, &i);
    } else if (strcmp(o, "--stack") == 0) {
      rt.stack_bytes = number(argv, &i) << 20;
    } else if (strcmp(o, "--interior") == 0) {
      c->heap.base_pointers_only = false;
    } else if (strcmp(o, "--stats") == 0) {
      c->has_stats = true;
    } else if (strcmp(o, "-e") == 0 && i + 1 < argc) {
      c->expression = argv[++i];
    } else {
      fputs(usage, stderr);
      exit(strcmp(o, "--help") == 0 ? 0 : 1);
    }
  }
  if (c->expression == NULL && i < argc) {
    c->file = argv[i++];
  }
  c->args = argv + i;
}

int main(int argc, char **argv) {
  struct command c = {.status = 1};
  c.heap.base_pointers_only = true;
  rt.stack_bytes = (size_t)64 << 20;
  parse(argc, argv, &c);
  pthread_t thread;
  if (!runtime_init(&c.heap) || !thread_create(&thread, run_thread, &c)) {
    fputs("lisp: cannot start: bad options or no memory\n", stderr);
    return 1;
  }
  pthread_join(thread, NULL);
  fflush(stdout);
  if (__atomic_load_n(&rt.nthreads, __ATOMIC_ACQUIRE) == 0) {
    alm_heap_destroy(rt.heap);
  }
  return c.status;
}
