/* os/os_mem.c -- the memory states, the process's age, and faults for tests.
 * See os.h. */
#include "os.h"

#include "base/atomic.h"
#include "base/diag.h"

#include <errno.h>

enum { TORTURE_FAULT_EVERY = 7 };

struct fault {
  uint64_t calls; /* since the last setting; any thread, relaxed */
  uint64_t nth;   /* 0: off. Written by the test between runs     */
  uint64_t count;
};

static struct {
  size_t page_bytes;
  uint64_t born_ns; /* see os_age_begin; relaxed */
  struct fault faults[OS_CALL_COUNT];
} os_mem;

uint64_t os_fault_set(enum os_call call, uint64_t nth, uint64_t count) {
  struct fault *f = &os_mem.faults[call];
  uint64_t calls = atomic_exchange_relaxed(&f->calls, 0);
  atomic_store_relaxed(&f->count, count);
  atomic_store_relaxed(&f->nth, nth);
  return calls;
}

bool os_fault_hit(enum os_call call) {
  if (!ALM_DEBUG) {
    return false;
  }
  struct fault *f = &os_mem.faults[call];
  uint64_t now = atomic_add_relaxed(&f->calls, 1) + 1;
  uint64_t nth = atomic_load_relaxed(&f->nth);
  if (nth == 0) {
    /* Torture: refuse now and then what every caller must do without. */
    bool is_optional = call >= OS_RELEASE && call <= OS_HUGE;
    return ALM_TORTURE && is_optional && now % TORTURE_FAULT_EVERY == 0;
  }
  return now >= nth && now - nth < atomic_load_relaxed(&f->count);
}

void os_init(void) {
  if (atomic_load_relaxed(&os_mem.page_bytes) == 0) {
    atomic_store_relaxed(&os_mem.page_bytes, sys_page_bytes());
  }
}

void os_age_begin(void) {
  atomic_store_relaxed(&os_mem.born_ns, os_now_ns());
}

uint64_t os_age_ns(void) {
  return os_now_ns() - atomic_load_relaxed(&os_mem.born_ns);
}

size_t os_page_bytes(void) {
  return atomic_load_relaxed(&os_mem.page_bytes);
}

void *os_reserve(void *hint, size_t bytes, const char *name) {
  int saved = errno;
  void *p = os_fault_hit(OS_RESERVE) ? NULL : sys_reserve(hint, bytes, name);
  errno = saved;
  return p;
}

void os_unreserve(void *p, size_t bytes) {
  int saved = errno;
  sys_unreserve(p, bytes);
  errno = saved;
}

bool os_ready(void *p, size_t bytes) {
  int saved = errno;
  uintptr_t first = align_down((uintptr_t)p, os_mem.page_bytes);
  uintptr_t end = align_up((uintptr_t)p + bytes, os_mem.page_bytes);
  bool ok = !os_fault_hit(OS_READY) && sys_ready((void *)first, end - first);
  errno = saved;
  return ok;
}

void *os_alloc(size_t bytes, const char *name) {
  int saved = errno;
  void *p = os_fault_hit(OS_ALLOC) ? NULL : sys_alloc(bytes, name);
  errno = saved;
  return p;
}

bool os_release(void *p, size_t bytes) {
  ASSERT((uintptr_t)p % os_mem.page_bytes == 0);
  ASSERT(bytes % os_mem.page_bytes == 0);
  int saved = errno;
  bool ok = !os_fault_hit(OS_RELEASE) && sys_release(p, bytes);
  errno = saved;
  return ok;
}

bool os_huge(void *p, void *touch) {
  ASSERT((uintptr_t)p % HUGE_BYTES == 0);
  int saved = errno;
  bool ok = !os_fault_hit(OS_HUGE) && sys_huge(p, touch);
  errno = saved;
  return ok;
}

bool os_move(void *from, void *to, size_t bytes) {
  int saved = errno;
  bool ok = !os_fault_hit(OS_MOVE) && sys_move(from, to, bytes);
  errno = saved;
  return ok;
}
