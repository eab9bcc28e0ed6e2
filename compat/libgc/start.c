/* compat/libgc/start.c -- the first call, the lock, environment, messages.
 *
 * WHAT    Chooses the core (almacen_core.h), makes the heap with what the
 *         client and the environment have set by then, and registers the
 *         thread; the allocation lock; the log.
 * LOCKS   gc_starting orders the first calls; gc.lock is what it is about.
 */
#include "libgc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct gc_state gc = {.lock = PTHREAD_MUTEX_INITIALIZER,
                      .threads = {.next = &gc.threads, .prev = &gc.threads}};
struct alm_run gc_no_runs[RUNS_MAX];
__thread struct gc_thread *gc_self;
__thread struct alm_run *gc_runs = gc_no_runs;

static struct {
  pthread_mutex_t lock;
  pthread_t by;
  bool is_busy; /* `by` is amid it */
} gc_starting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
  GC_warn_proc warn;
  GC_abort_func fail;
  int log_fd;
  bool logs_all; /* GC_LOG_FILE is set, and not GC_ONLY_LOG_TO_FILE */
  int suspend_signal;
  int restart_signal;
  unsigned markers;
} gc_options = {.log_fd = STDERR_FILENO, .suspend_signal = -1};

/* The core of the malloc face or the library, if one is in the process. */
extern const struct alm_core_table gc_core_linked __asm__("alm_core")
    __attribute__((weak));

/* ---- the lock ------------------------------------------------------------ */

/* The holder may come again: some functions are to be called with the lock and
 * some without, and the collector calls the client while it has it. */
bool gc_is_holder(void) {
  return __atomic_load_n(&gc.is_held, __ATOMIC_ACQUIRE) &&
         pthread_equal(__atomic_load_n(&gc.holder, __ATOMIC_RELAXED),
                       pthread_self());
}

/* Who holds it is not cancelled: callbacks and messages may write, and waits
 * sleep, which are cancellation points. */
static void gc_hold(void) {
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &gc.cancel_state);
  __atomic_store_n(&gc.holder, pthread_self(), __ATOMIC_RELAXED);
  __atomic_store_n(&gc.is_held, true, __ATOMIC_RELEASE);
}

static void gc_let_go(void) {
  int cancel_state = gc.cancel_state;
  __atomic_store_n(&gc.is_held, false, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&gc.lock);
  (void)pthread_setcancelstate(cancel_state, NULL);
}

void gc_lock(void) {
  if (gc_is_holder()) {
    gc.depth++;
    return;
  }
  pthread_mutex_lock(&gc.lock);
  gc_hold();
}

void gc_unlock(void) {
  if (gc.depth > 0) {
    gc.depth--;
  } else {
    gc_let_go();
  }
}

static bool gc_try_lock(void *arg) {
  (void)arg;
  if (!gc_control_may_collect() || gc_is_holder() ||
      pthread_mutex_trylock(&gc.lock) != 0) {
    return false;
  }
  gc_hold();
  __atomic_store_n(&gc.is_collecting, true, __ATOMIC_RELAXED);
  return true;
}

static void gc_end_lock(void *arg) {
  (void)arg;
  __atomic_store_n(&gc.is_collecting, false, __ATOMIC_RELAXED);
  gc_let_go();
}

void GC_alloc_lock(void) {
  gc_start();
  gc_lock();
}

void GC_alloc_unlock(void) {
  gc_unlock();
}

void *GC_call_with_alloc_lock(GC_fn_type fn, void *client_data) {
  gc_start();
  gc_lock();
  void *result = fn(client_data);
  gc_unlock();
  return result;
}

/* ---- messages ------------------------------------------------------------ */

static void gc_write(int fd, const char *format, va_list args) {
  char line[512];
  int n = vsnprintf(line, sizeof line, format, args), cancel_state;
  n = n < (int)sizeof line ? n : (int)sizeof line - 1;
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  for (int done = 0; done < n;) {
    ssize_t one = write(fd, line + done, (size_t)(n - done));
    if (one < 0 && errno != EINTR) {
      break;
    }
    done += one > 0 ? (int)one : 0;
  }
  (void)pthread_setcancelstate(cancel_state, NULL);
}

/* A log file takes everything, unless it is asked not to. */
static int gc_stream(int fd) {
  return gc_options.logs_all ? gc_options.log_fd : fd;
}

void gc_print(const char *format, ...) {
  va_list args;
  va_start(args, format);
  gc_write(gc_stream(STDERR_FILENO), format, args);
  va_end(args);
}

void gc_show(const char *format, ...) {
  va_list args;
  va_start(args, format);
  gc_write(gc_stream(STDOUT_FILENO), format, args);
  va_end(args);
}

void gc_log(const char *format, ...) {
  va_list args;
  va_start(args, format);
  gc_write(gc_options.log_fd, format, args);
  va_end(args);
}

static void GC_CALLBACK gc_warn_default(char *message, GC_word arg) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  gc_print(message, arg); /* a format with one word, as libgc's */
#pragma GCC diagnostic pop
}

void gc_warn(const char *format, GC_word arg) {
  GC_warn_proc proc = gc_options.warn ? gc_options.warn : gc_warn_default;
  proc((char *)(uintptr_t)format, arg);
}

void GC_set_warn_proc(GC_warn_proc proc) {
  gc_lock();
  gc_options.warn = proc;
  gc_unlock();
}

GC_warn_proc GC_get_warn_proc(void) {
  gc_lock();
  GC_warn_proc proc = gc_options.warn ? gc_options.warn : gc_warn_default;
  gc_unlock();
  return proc;
}

void GC_CALLBACK GC_ignore_warn_proc(char *message, GC_word arg) {
  (void)message;
  (void)arg;
}

static void GC_CALLBACK gc_abort_default(const char *message) {
  if (message != NULL) {
    gc_print("%s\n", message);
  }
  while (gc_env_flag("GC_LOOP_ON_ABORT")) {
    pause();
  }
}

void gc_fail(const char *message) {
  GC_get_abort_func()(message);
  abort();
}

void GC_set_abort_func(GC_abort_func fn) {
  gc_lock();
  gc_options.fail = fn;
  gc_unlock();
}

GC_abort_func GC_get_abort_func(void) {
  GC_abort_func fn = __atomic_load_n(&gc_options.fail, __ATOMIC_RELAXED);
  return fn ? fn : gc_abort_default;
}

void GC_abort_on_oom(void) {
  gc_print("Insufficient memory for the allocation\n");
  GC_get_abort_func()(NULL);
  exit(EXIT_FAILURE);
}

void GC_set_log_fd(int fd) {
  gc_options.log_fd = fd;
}

/* ---- the environment ----------------------------------------------------- */

bool gc_env_number(const char *name, uint64_t *out) {
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') {
    return false;
  }
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (end == text) {
    return false;
  }
  switch (*end) {
  case 'g':
  case 'G':
    value <<= 10; /* fall through */
  case 'm':
  case 'M':
    value <<= 10; /* fall through */
  case 'k':
  case 'K':
    value <<= 10;
    break;
  default:
    break;
  }
  *out = value;
  return true;
}

bool gc_env_flag(const char *name) {
  return getenv(name) != NULL;
}

static void gc_open_log(void) {
  const char *path = getenv("GC_LOG_FILE");
  if (path == NULL) {
    return;
  }
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    gc_print("Failed to open %s as the log file\n", path);
    return;
  }
  gc_options.log_fd = fd;
  gc_options.logs_all = !gc_env_flag("GC_ONLY_LOG_TO_FILE");
}

/* See GC_PRINT_ADDRESS_MAP. */
static void gc_print_address_map(void) {
  char text[4096];
  ssize_t n;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  while (fd >= 0 && (n = read(fd, text, sizeof text)) > 0) {
    if (write(gc_stream(STDERR_FILENO), text, (size_t)n) != n) {
      break;
    }
  }
  if (fd >= 0) {
    close(fd);
  }
}

/* ---- fork ---------------------------------------------------------------- */

static void gc_fork_prepare(void) {
  gc_lock(); /* before the core's, see LOCKS */
  gc.is_main_forking = gc_thread_is_main();
}

static void gc_fork_parent(void) {
  gc_unlock();
}

static void gc_fork_child(void) {
  gc_threads_fork_child();
  gc_unlock(); /* by the same thread, though it has another number now */
}

/* The handlers are always there, so these have nothing left to do. */
void GC_set_handle_fork(int value) {
  (void)value;
}
void GC_atfork_prepare(void) {
}
void GC_atfork_parent(void) {
}
void GC_atfork_child(void) {
}

/* ---- signals and markers, which the heap is made with -------------------- */

void GC_set_suspend_signal(int signal) {
  if (!gc.is_started) {
    gc_options.suspend_signal = signal;
  }
}

void GC_set_thr_restart_signal(int signal) {
  if (!gc.is_started) {
    gc_options.restart_signal = signal;
  }
}

int GC_get_suspend_signal(void) {
  return gc_options.suspend_signal > 0 ? gc_options.suspend_signal : SIGPWR;
}

int GC_get_thr_restart_signal(void) {
  return gc_options.restart_signal > 0 ? gc_options.restart_signal : SIGXCPU;
}

void GC_set_markers_count(unsigned markers) {
  gc_options.markers = markers;
}

/* ---- the start ----------------------------------------------------------- */

static const struct alm_face gc_face = {
    .try_lock = gc_try_lock,
    .unlock = gc_end_lock,
    .hold_objects = gc_roots_hold,
    .before_stop = gc_control_before_stop,
    .stopped = gc_control_stopped,
    .before_start = gc_control_before_start,
    .started = gc_control_started,
    .mark_roots = gc_roots_report,
    .decide = gc_finalizers_report,
    .marked = gc_control_marked,
    .detached = gc_thread_detached,
};

static const struct alm_core_table *gc_choose_core(void) {
  const struct alm_core_table *linked = &gc_core_linked;
  if (linked != NULL && linked->bytes == sizeof *linked &&
      strcmp(linked->version, ALM_VERSION) == 0) {
    return linked;
  }
  return &gc_own_core;
}

static void gc_make_steps(void) {
  for (unsigned i = 0; i < STEPS; i++) {
    uint32_t slot_bytes;
    unsigned class = gc.core->size_class((size_t)i * GRANULE, &slot_bytes);
    gc.steps[i].class = (uint16_t) class;
    gc.steps[i].granules = (uint16_t)(slot_bytes / GRANULE);
  }
}

static void gc_make_heap(void) {
  uint64_t number;
  if (gc_env_number("GC_MARKERS", &number) ||
      gc_env_number("GC_NPROCS", &number)) {
    gc_options.markers = number < 64 ? (unsigned)number : 64;
  }
  struct alm_heap_options o = {
      .markers = gc_options.markers,
      .stop_signal = GC_get_suspend_signal(),
      .base_pointers_only = gc.is_base_only,
      .period_ms = ALM_NEVER,
  };
  enum alm_err err = gc.core->heap_create(&o, &gc_face, &gc.heap);
  if (err != ALM_OK) {
    gc_print("GC_init: %s\n", err == ALM_EBUSY ? "no such suspend signal"
                                               : "no memory for the heap");
    gc_fail("GC_init failed");
  }
}

static void gc_start_once(void) {
  gc_open_log();
  if (gc_env_flag("GC_ALL_INTERIOR_POINTERS")) {
    GC_all_interior_pointers = 1;
  }
  gc.extra = GC_all_interior_pointers != 0;
  gc.is_base_only = GC_all_interior_pointers == 0;
  gc.core = gc_choose_core();
  gc_make_steps();
  gc_make_heap();
  gc_kinds_start();
  gc_control_start();
  if (gc_env_flag("GC_PRINT_ADDRESS_MAP")) {
    gc_print_address_map();
  }
  pthread_atfork(gc_fork_prepare, gc_fork_parent, gc_fork_child);
}

void gc_start(void) {
  if (GC_LIKELY(__atomic_load_n(&gc.is_started, __ATOMIC_ACQUIRE))) {
    return;
  }
  if (gc_starting.is_busy && pthread_equal(gc_starting.by, pthread_self())) {
    return; /* a callback of the client's, amid the start */
  }
  int cancel_state; /* files are read and written here */
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  pthread_mutex_lock(&gc_starting.lock);
  if (!gc.is_started) {
    gc_starting.by = pthread_self();
    gc_starting.is_busy = true;
    gc_start_once();
    gc_starting.is_busy = false;
    __atomic_store_n(&gc.is_started, true, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&gc_starting.lock);
  (void)pthread_setcancelstate(cancel_state, NULL);
}

bool gc_enter(void) {
  if (GC_LIKELY(gc_self != NULL)) {
    if (GC_UNLIKELY(gc_self->is_blocking)) {
      gc_thread_unblock();
    }
    return true;
  }
  gc_start();
  return gc_thread_register(false, NULL);
}

void GC_init(void) {
  int saved = errno;
  if (!gc_enter()) {
    gc_fail("GC_init: no memory for the thread's record");
  }
  errno = saved;
}

int GC_is_init_called(void) {
  return gc.is_started;
}

/* The heap stays: threads and destructors may still use it. */
void GC_deinit(void) {
}
