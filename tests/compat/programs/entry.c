/* tests/compat/programs/entry.c -- a program with an entry of its own, which
 * gives libc another main than the one called main. Ends with 43.
 *
 * usage: entry one two; link with -nostartfiles */
#define _GNU_SOURCE
#include "check.h"

static int first(int argc, char **argv, char **envp) {
  REQUIRE(argc == 3 && strcmp(argv[1], "one") == 0 && argv[3] == NULL);
  REQUIRE(envp == environ && envp == argv + 4);
  free(malloc(100));
  return 43;
}

int __libc_start_main(int (*)(int, char **, char **), int, char **,
                      void (*)(void), void (*)(void), void (*)(void), void *);

/* From the kernel: argc at the top of the stack, argv behind it. */
__attribute__((noreturn, used)) static void begin(long *stack,
                                                  void (*end)(void)) {
  __libc_start_main(first, (int)stack[0], (char **)(stack + 1), NULL, NULL, end,
                    stack);
  __builtin_trap();
}

#ifdef __x86_64__
__asm__(".globl _start\n_start:\n\txorl %ebp, %ebp\n\tmovq %rsp, %rdi\n\t"
        "movq %rdx, %rsi\n\tandq $-16, %rsp\n\tcall begin");
#else
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x1, x0\n\tmov x0, sp\n\t"
        "bl begin");
#endif
