/* Refused kernel calls: a scenario in a child for the 1st, 2nd, 3rd ... use of
 * one, until there are no more uses. Debug builds only. */
#ifndef ALM_TESTS_FAULTS_H
#define ALM_TESTS_FAULTS_H

#include "support.h"

#include "os/os.h"

/* The scenario gets it, sets it, and ends its process by fault_end. */
struct fault {
  enum os_call call;
  uint64_t nth;
  uint64_t count;
};

enum { FAULT_NOT_HIT = 96, FAULT_NTH_MAX = 4000 };

static bool fault_is_hit(const struct fault *f) {
  return os_fault_set(f->call, 0, 0) >= f->nth;
}

__attribute__((noreturn)) static void fault_end(bool is_hit) {
  _exit(is_hit ? 0 : FAULT_NOT_HIT);
}

/* The call refused once, or it and all that follow. `after` each child; may be
 * NULL. */
static void fault_each(void (*scenario)(void *fault), enum os_call call,
                       uint64_t count, const char *options,
                       void (*after)(void)) {
  uint64_t nth = 1, step = 1;
  for (;; nth += step) {
    struct fault f = {call, nth, count};
    struct child c = child_run(scenario, &f, options);
    if (after != NULL) {
      after();
    }
    if (child_exited(&c, FAULT_NOT_HIT)) {
      break;
    }
    if (!child_exited(&c, 0)) {
      print_error("fault %d, nth %" PRIu64 ", count %" PRIu64
                  ": status 0x%x, stderr:\n%s\n",
                  (int)call, nth, count, (unsigned)c.status, c.text);
      fail();
    }
    assert_true(nth < FAULT_NTH_MAX);
    step = nth < 20 ? 1 : nth / 4; /* the first ones matter most */
  }
  print_message("%" PRIu64 " uses\n", nth - 1);
  assert_true(nth > 1); /* the scenario does use it */
}

#endif
