/* gc/stack.h -- the part of a thread's stack that may hold pointers.
 *
 * WHAT    Bounds of the calling thread's stack; saving of the registers that
 *         a callee keeps, and of the stack pointer.
 * HOW     A stopped thread is inside a call of ours, so what its callers know
 *         lies in its stack above our frame, or in callee-saved registers.
 * SOURCE  System V ABI (x86-64), AAPCS64.
 */
#ifndef ALM_GC_STACK_H
#define ALM_GC_STACK_H

#include "base/base.h"

enum { STACK_REGISTERS = 12, STACK_FRAME_WORDS = 256 };

struct stack {
  uintptr_t low;                        /* lowest address; constant         */
  uintptr_t high;                       /* end; constant                    */
  uintptr_t pointer;                    /* scan from here up; own thread    */
  uintptr_t registers[STACK_REGISTERS]; /* callee-saved ones; own thread    */
  uintptr_t frame[STACK_FRAME_WORDS];   /* see stack_copy_frame; own thread */
  size_t nframe;
};

/* The bounds of the calling thread's stack. False: they cannot be found. May
 * allocate; no lock held. */
ALM_INTERNAL bool stack_find(struct stack *s);

/* Scan from `top` up, where the frame of a function of ours ends, and in the
 * place of what lies below a copy as it is now: the caller's registers may
 * have been saved there. For a thread that leaves the function and goes on
 * while others scan its stack, and for the collector, whose frames change
 * between two markings. After stack_save. */
ALM_INTERNAL void stack_copy_frame(struct stack *s, const void *top);

/* Save the calling thread's state; valid while the frame of the caller of the
 * function this is inlined into lives. */
ALM_INLINE void stack_save(struct stack *s) {
#ifdef __x86_64__
  __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\t"
                   "movq %%r12, 16(%0)\n\tmovq %%r13, 24(%0)\n\t"
                   "movq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)\n\t"
                   "movq %%rsp, 48(%0)"
                   :
                   : "r"(s->registers)
                   : "memory");
  s->pointer = s->registers[6];
#else
  __asm__ volatile("stp x19, x20, [%0]\n\tstp x21, x22, [%0, 16]\n\t"
                   "stp x23, x24, [%0, 32]\n\tstp x25, x26, [%0, 48]\n\t"
                   "stp x27, x28, [%0, 64]\n\tmov x9, sp\n\t"
                   "stp x29, x9, [%0, 80]"
                   :
                   : "r"(s->registers)
                   : "memory", "x9");
  s->pointer = s->registers[11];
#endif
}

#endif
