/* gc/stack.c -- see stack.h. */
#include "stack.h"

#include "base/diag.h"

#include <pthread.h>

bool stack_find(struct alm_stack *s) {
  pthread_attr_t attr;
  void *low;
  size_t bytes;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) {
    return false;
  }
  bool ok = pthread_attr_getstack(&attr, &low, &bytes) == 0;
  pthread_attr_destroy(&attr);
  s->low = (uintptr_t)low;
  s->high = (uintptr_t)low + bytes;
  s->head.pointer = (void *)s->high;
  return ok;
}

/* Reads frames that are not its own, red zones and all. */
__attribute__((noinline, no_sanitize("address", "thread"))) void
stack_copy_frame(struct stack_state *s, const void *top) {
  const uintptr_t *from = (const uintptr_t *)s->pointer;
  size_t n = ((uintptr_t)top - s->pointer) / sizeof *from;
  CHECK(n <= STACK_FRAME_WORDS);
  for (size_t i = 0; i < n; i++) {
    s->frame[i] = ((const volatile uintptr_t *)from)[i];
  }
  s->nframe = n;
  s->pointer = (uintptr_t)top;
}
