/* tests/gc/frames.h -- what lies on the stack that the collector scans.
 *
 * WHAT    Clearing what earlier calls left there; calling functions that hold
 *         objects where it is cleared; a stack of its own for each test.
 * HOW     Include it after support.h. A function that holds objects in its
 *         frame is called by `deep`, DEEP_BYTES below its caller: so no frame
 *         of a collection leaves gaps over its frames, and scrub clears them.
 */
#ifndef ALM_TESTS_GC_FRAMES_H
#define ALM_TESTS_GC_FRAMES_H

#include "support.h"

#include <pthread.h>

enum { DEEP_BYTES = 32768 };

/* Overwrite what earlier calls left on the stack. */
__attribute__((unused, noinline)) static void scrub(void) {
  char area[3 * DEEP_BYTES];
  memset(area, 0, sizeof area);
  __asm__ volatile("" ::"r"(area) : "memory"); /* else there is no need to */
}

/* Make the call far down: a statement for a function that is not inlined. The
 * second scrub is for registers: clang aligns a frame by pushing whatever the
 * last call has left in one. */
#define DEEP(call)                                                             \
  do {                                                                         \
    char gap[DEEP_BYTES];                                                      \
    __asm__ volatile("" ::"r"(gap) : "memory");                                \
    scrub();                                                                   \
    call;                                                                      \
    scrub();                                                                   \
    __asm__ volatile("" ::"r"(gap) : "memory");                                \
  } while (0)

/* Call f(n) far down. */
__attribute__((unused, noinline)) static void deep(void (*f)(size_t n),
                                                   size_t n) {
  DEEP(f(n));
}

static void *frames_call(void *test) {
  ((void (*)(void))(uintptr_t)test)();
  return NULL;
}

/* A stack that no earlier test has left words on. */
__attribute__((unused)) static void run_on_own_stack(void **state) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, frames_call, *state), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

#define ON_ITS_OWN_STACK(test)                                                 \
  { #test, run_on_own_stack, NULL, NULL, (void *)(uintptr_t)(test) }

#endif
