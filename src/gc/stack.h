/* gc/stack.h -- the part of a stack that may hold pointers.
 *
 * WHAT    Stacks: a thread's own, and those of coroutines, which threads take
 *         turns on; saving of the registers that a callee keeps, and of the
 *         stack pointer.
 * HOW     A stopped thread is inside a call of ours, so what its callers know
 *         lies in its stack above our frame, or in callee-saved registers. A
 *         signal handler is such a call, too: the kernel has put all registers
 *         above its frame.
 *         A stack on which no thread runs is scanned from the pointer that was
 *         stored when it was left. For one on which a thread runs that pointer
 *         is old, and the thread's is taken. Which one a thread runs on is
 *         decided by its stack pointer; alm_mutator_head.stack is where it is
 *         looked for first.
 * SOURCE  System V ABI (x86-64), AAPCS64.
 */
#ifndef ALM_GC_STACK_H
#define ALM_GC_STACK_H

#include "almacen_inline.h"
#include "base/base.h"
#include "base/list.h"

enum { STACK_REGISTERS = 12, STACK_FRAME_WORDS = 256 };

struct alm_stack {
  struct alm_stack_head head; /* pointer: used from here up while nobody runs
                                 on it; whoever leaves it                   */
  uintptr_t registers[STACK_REGISTERS]; /* see alm_stack_switch; likewise   */
  uintptr_t low;                        /* lowest address; constant         */
  uintptr_t high;                       /* end; constant                    */
  struct list_node link; /* in the heap, but for threads' own; its lock     */
  const struct alm_heap *heap; /* constant                                  */
  bool is_running;             /* the collector's, while it marks stacks    */
};
STATIC_CHECK(offsetof(struct alm_stack, head) == 0);

ALM_INLINE bool stack_contains(const struct alm_stack *s, uintptr_t p) {
  return p - s->low < s->high - s->low;
}

/* Where a thread has stopped. */
struct stack_state {
  uintptr_t pointer;                    /* scan from here up                */
  uintptr_t registers[STACK_REGISTERS]; /* callee-saved ones                */
  uintptr_t frame[STACK_FRAME_WORDS];   /* see stack_copy_frame             */
  size_t nframe;
};

/* The calling thread's own stack, not in any list. False: its bounds cannot be
 * found. May allocate; no lock held. */
ALM_INTERNAL bool stack_find(struct alm_stack *s);

/* Scan from `top` up, where the frame of a function of ours ends, and in the
 * place of what lies below a copy as it is now: the caller's registers may
 * have been saved there. For a thread that leaves the function and goes on
 * while others scan its stack, and for the collector, whose frames change
 * between two markings. After stack_save. */
ALM_INTERNAL void stack_copy_frame(struct stack_state *s, const void *top);

/* Save registers; returns the stack pointer. */
ALM_INLINE uintptr_t stack_save_registers(uintptr_t *registers) {
#ifdef __x86_64__
  __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\t"
                   "movq %%r12, 16(%0)\n\tmovq %%r13, 24(%0)\n\t"
                   "movq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)\n\t"
                   "movq %%rsp, 48(%0)"
                   :
                   : "r"(registers)
                   : "memory");
  return registers[6];
#else
  __asm__ volatile("stp x19, x20, [%0]\n\tstp x21, x22, [%0, 16]\n\t"
                   "stp x23, x24, [%0, 32]\n\tstp x25, x26, [%0, 48]\n\t"
                   "stp x27, x28, [%0, 64]\n\tmov x9, sp\n\t"
                   "stp x29, x9, [%0, 80]"
                   :
                   : "r"(registers)
                   : "memory", "x9");
  return registers[11];
#endif
}

/* Save the calling thread's state; valid while the frame of the caller of the
 * function this is inlined into lives. */
ALM_INLINE void stack_save(struct stack_state *s) {
  s->pointer = stack_save_registers(s->registers);
}

#endif
