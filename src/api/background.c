/* api/background.c -- see background.h. */
#include "background.h"

#include "base/atomic.h"
#include "base/diag.h"
#include "gc/idle.h"
#include "mem/cache.h"
#include "mem/memstat.h"
#include "mem/scavenge.h"
#include "obs/record.h"
#include "os/conf.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Less free memory than this is not worth a thread. */
#define START_BYTES (8 * MIB)
/* So much is worth one at once: a younger process may be short, but one that
 * sleeps from now on would keep the rest for ever. */
#define AT_ONCE_BYTES (32 * MIB)
#define YOUNG_NS ((uint64_t)100000000)
/* A program that does not start by way of libc never says that main begins. It
 * bounds how long a constructor may take, too. */
#define NO_MAIN_NS ((uint64_t)10000000000)
/* Below this the thread goes to sleep: a span or two per class. */
#define REST_BYTES (1 * MIB)
/* Often enough that a spike is gone in seconds; 10 wake-ups a second. */
#define TICK_NS ((uint64_t)100000000)
/* A tenth of one CPU, but for emptying caches. */
#define BUDGET_NS (TICK_NS / 10)
/* A tick that came late, because others had the CPU, does the work of those it
 * stands for, but not of more than these. */
enum { LATE_TICKS_MAX = 5 };
/* A cache without a slow path for this many ticks is idle. */
enum { IDLE_TICKS = 5 };
/* Trace functions of the program run on it, see alm_collect. */
enum { STACK_BYTES = 256 << 10 };

enum { STOPPED, STARTING, RUNNING, STOPPING };
enum { ASLEEP, AWAKE };

static struct {
  uint32_t state;
  uint32_t wake;    /* ASLEEP: set by the thread, cleared by whoever wakes it */
  bool is_in_main;  /* set once, relaxed: a moment late does no harm       */
  uint64_t born_ns; /* when the library started; constant                  */
  pthread_t thread; /* valid while RUNNING or STOPPING                     */
} background;

static bool background_is_stopping(void) {
  return atomic_load_acquire(&background.state) == STOPPING;
}

static bool background_is_wanted(void) {
  return conf_number(CONF_background) != 0;
}

static uint64_t background_free_bytes(void) {
  return atomic_load_relaxed(&memstat->heap_free);
}

static uint64_t background_resident_bytes(void) {
  return atomic_load_relaxed(&memstat->heap_mapped);
}

/* What work may still bring. */
static uint64_t background_work_bytes(void) {
  return background_free_bytes() + idle_unswept_bytes();
}

/* Release what is above `keep` within the budget. In pieces: a fork waits for
 * one. Returns pages. */
static size_t background_release(uint64_t keep, uint64_t budget_ns) {
  size_t released = 0, more = 1;
  while (budget_ns > 0 && more > 0) {
    uint64_t piece_ns = min_size(budget_ns, BUDGET_NS);
    more = scavenge_step((size_t)keep >> PAGE_SHIFT, piece_ns);
    released += more;
    budget_ns -= piece_ns;
  }
  return released;
}

/* One tick: true if there may be more to do. */
static bool background_tick(struct scavenge_goal *goal, uint64_t elapsed_ns,
                            unsigned tick) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  uint64_t nticks = max_size(min_size(elapsed_ns / TICK_NS, LATE_TICKS_MAX), 1);
  uint64_t budget_ns = nticks * BUDGET_NS;
  uint64_t begin = os_cpu_ns();
  bool trimmed = false, swept = idle_sweep(budget_ns);
  uint64_t spent_ns = os_cpu_ns() - begin;
  if (tick % IDLE_TICKS == 0) {
    trimmed = cache_trim(false, &bad) > 0;
    trimmed |= central_drain(false, &bad) > 0;
    record_update();
    trimmed |= idle_collect();
  }
  if (bad.kind != 0) {
    misuse_report("free", &bad);
  }
  uint64_t free_bytes = background_free_bytes();
  uint64_t resident = background_resident_bytes();
  uint64_t used = resident > free_bytes ? resident - free_bytes : 0;
  uint64_t decay_ns = conf_number(CONF_decay_ms) * 1000000u;
  uint64_t keep = scavenge_goal_step(goal, used, elapsed_ns, decay_ns);
  keep = max_size(keep, idle_retained_bytes(os_now_ns(), decay_ns));
  size_t released = 0;
  if (free_bytes > keep && spent_ns < budget_ns) {
    released = background_release(keep, budget_ns - spent_ns);
  }
  if (released > 0 && conf_number(CONF_scavtrace)) {
    diag_line("scavenge: %zu KiB returned, %llu KiB kept, %llu KiB in use",
              released << (PAGE_SHIFT - 10), (unsigned long long)keep >> 10,
              (unsigned long long)used >> 10);
  }
  return trimmed || swept || background_free_bytes() > REST_BYTES;
}

/* Work until two rounds over the idle caches found nothing. */
static void background_work(void) {
  struct scavenge_goal goal = {background_resident_bytes()};
  uint64_t last = os_now_ns();
  unsigned quiet = 0;
  for (unsigned tick = 1; quiet <= 2 * IDLE_TICKS; tick++) {
    os_futex_wait(&background.state, RUNNING, TICK_NS);
    if (background_is_stopping() || !background_is_wanted()) {
      return;
    }
    uint64_t now = os_now_ns();
    quiet = background_tick(&goal, now - last, tick) ? 0 : quiet + 1;
    last = now;
  }
}

static void *background_main(void *unused) {
  (void)unused;
  (void)pthread_setname_np(pthread_self(), "almacen");
  while (!background_is_stopping()) {
    background_work();
    atomic_store_release(&background.wake, ASLEEP);
    atomic_fence(); /* pairs with that of background_poke_to_sweep */
    bool may_rest =
        background_work_bytes() < START_BYTES || !background_is_wanted();
    if (may_rest && !background_is_stopping()) {
      os_futex_wait(&background.wake, ASLEEP, idle_period_ns());
    }
    atomic_store_release(&background.wake, AWAKE);
  }
  return NULL;
}

static void background_start(void) {
  uint32_t expected = STOPPED;
  if (!atomic_cas_acquire(&background.state, &expected, STARTING)) {
    return;
  }
  int saved = errno;
  pthread_attr_t attr;
  sigset_t all, old;
  atomic_store_relaxed(&background.wake, AWAKE);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  bool ok =
      !os_fault_hit(OS_THREAD) &&
      pthread_create(&background.thread, &attr, background_main, NULL) == 0;
  pthread_attr_destroy(&attr);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  /* the thread may have read STARTING already: it treats both alike */
  atomic_store_release(&background.state, ok ? RUNNING : STOPPED);
  errno = saved;
}

void background_init(void) {
  background.born_ns = os_now_ns();
}

void background_main_begins(void) {
  atomic_store_relaxed(&background.is_in_main, true);
  background_poke(); /* for what constructors have freed */
}

static bool background_may_start(uint64_t work_bytes) {
  uint64_t age_ns = os_now_ns() - background.born_ns;
  return atomic_load_relaxed(&background.is_in_main)
             ? work_bytes >= AT_ONCE_BYTES || age_ns >= YOUNG_NS
             : age_ns >= NO_MAIN_NS;
}

void background_poke(void) {
  background_poke_to_sweep(0);
}

void background_poke_to_sweep(uint64_t unswept_bytes) {
  uint64_t work_bytes = background_free_bytes() + unswept_bytes;
  if (likely(work_bytes < START_BYTES) || !background_is_wanted()) {
    return;
  }
  uint32_t state = atomic_load_relaxed(&background.state);
  if (state == STOPPED) {
    if (background_may_start(work_bytes)) {
      background_start();
    }
  } else if (state == RUNNING) {
    atomic_fence(); /* free bytes were stored before wake is read */
    if (atomic_load_relaxed(&background.wake) == ASLEEP) {
      atomic_store_release(&background.wake, AWAKE);
      os_futex_wake(&background.wake, 1);
    }
  }
}

bool background_stop(void) {
  for (;;) {
    uint32_t expected = RUNNING;
    if (atomic_cas_acquire(&background.state, &expected, STOPPING)) {
      break;
    }
    if (expected == STOPPED) {
      return false;
    }
    os_yield(); /* another thread starts or stops it right now */
  }
  int saved = errno;
  atomic_store_release(&background.wake, AWAKE);
  os_futex_wake(&background.wake, 1);
  os_futex_wake(&background.state, 1);
  pthread_join(background.thread, NULL);
  atomic_store_release(&background.state, STOPPED);
  errno = saved;
  return true;
}

void background_forget_in_child(void) {
  atomic_store_relaxed(&background.state, STOPPED);
}
