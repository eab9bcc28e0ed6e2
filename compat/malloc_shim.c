/* compat/malloc_shim.c -- malloc, new and their kin, on the public header.
 *
 * WHAT    The malloc face: every allocation function of C23, POSIX and glibc
 *         and every form of C++ operator new and delete, for LD_PRELOAD
 *         (libalmacen-malloc.so) and static override (.a). Two wrappers of
 *         system calls, unshare and setns, come along.
 * HOW     Included behind almacen_all.c in one translation unit, so that
 *         alm_malloc is inlined into malloc. Uses nothing but almacen.h.
 *         Each function is a call of its alm_ twin; what is written here is
 *         what has no twin: reports in glibc's format, C++'s failure rules,
 *         and the ending of the background thread before the kernel is asked
 *         for what it refuses to a process with several threads.
 * INVARIANTS
 *   [shim.1] No C++ run-time library is linked. Whatever is needed of one is
 *            a weak reference, looked for again at the time of failure, since
 *            a plugin may have brought the library after start.
 *                                     checked: tests/compat/test_face_symbols
 *   [shim.2] A weak reference is tested before it is called: in a static
 *            program dlopen and dlsym may be absent too.
 * LOCKS   none of its own; nothing is held while calling out (stdio, new
 *         handlers).
 * COST    malloc and free: those of alm_malloc and alm_free.
 * MEMORY  no state.
 * SOURCE  glibc 2.36 malloc(3), malloc_info(3), mallinfo(3), mallopt(3); C++20
 *         [new.delete]; Itanium C++ ABI 5.1 (names, size_t is unsigned long).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../include/almacen.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(size_t) == sizeof(unsigned long),
               "the C++ names below spell size_t as unsigned long (m)");

#define SHIM_WEAK __attribute__((weak))
#define SHIM_NOINLINE __attribute__((noinline, cold))

/* ---- C: allocation ----------------------------------------------------- */

/* Not (or not in every glibc) in the system's headers. */
ALM_API void cfree(void *p);
ALM_API void free_sized(void *p, size_t size);
ALM_API void free_aligned_sized(void *p, size_t alignment, size_t size);

ALM_API void *malloc(size_t size) {
  return alm_malloc(size);
}

ALM_API void free(void *p) {
  alm_free(p);
}

ALM_API void *calloc(size_t count, size_t size) {
  return alm_calloc(count, size);
}

ALM_API void *realloc(void *p, size_t size) {
  return alm_realloc(p, size);
}

ALM_API void *reallocarray(void *p, size_t count, size_t size) {
  return alm_reallocarray(p, count, size);
}

ALM_API void cfree(void *p) {
  alm_free(p);
}

ALM_API void free_sized(void *p, size_t size) {
  alm_free_sized(p, size);
}

ALM_API void free_aligned_sized(void *p, size_t alignment, size_t size) {
  alm_free_aligned_sized(p, alignment, size);
}

ALM_API void *aligned_alloc(size_t alignment, size_t size) {
  return alm_aligned_alloc(alignment, size);
}

ALM_API int posix_memalign(void **out, size_t alignment, size_t size) {
  return alm_posix_memalign(out, alignment, size);
}

ALM_API void *memalign(size_t alignment, size_t size) {
  return alm_memalign(alignment, size);
}

ALM_API void *valloc(size_t size) {
  return alm_valloc(size);
}

ALM_API void *pvalloc(size_t size) {
  return alm_pvalloc(size);
}

ALM_API size_t malloc_usable_size(void *p) {
  return alm_malloc_usable_size(p);
}

/* glibc exports its allocator under these names as well, and programs that
 * wrap malloc call them. Left to glibc they would return memory that our
 * free refuses; in a static program they would pull in a second malloc. */
ALM_API void *__libc_malloc(size_t size);
ALM_API void *__libc_malloc(size_t size) {
  return alm_malloc(size);
}

ALM_API void *__libc_calloc(size_t count, size_t size);
ALM_API void *__libc_calloc(size_t count, size_t size) {
  return alm_calloc(count, size);
}

ALM_API void *__libc_realloc(void *p, size_t size);
ALM_API void *__libc_realloc(void *p, size_t size) {
  return alm_realloc(p, size);
}

ALM_API void __libc_free(void *p);
ALM_API void __libc_free(void *p) {
  alm_free(p);
}

ALM_API void *__libc_memalign(size_t alignment, size_t size);
ALM_API void *__libc_memalign(size_t alignment, size_t size) {
  return alm_memalign(alignment, size);
}

ALM_API void *__libc_valloc(size_t size);
ALM_API void *__libc_valloc(size_t size) {
  return alm_valloc(size);
}

ALM_API void *__libc_pvalloc(size_t size);
ALM_API void *__libc_pvalloc(size_t size) {
  return alm_pvalloc(size);
}

/* ---- C: reports -------------------------------------------------------- */

/* The account in the words of mallinfo(3). */
struct shim_account {
  size_t system_bytes; /* pages held for small objects, in use and free     */
  size_t system_max;   /* the most that all pages together ever were        */
  size_t live_bytes;   /* small objects in use, slots counted whole         */
  size_t large_bytes;  /* large objects in use                              */
  size_t large_count;  /* how many                                          */
  size_t idle_bytes;   /* free pages not returned: malloc_trim can take it  */
  size_t free_slots;   /* free slots in spans                               */
};

/* a - b of counters read while threads run: never below 0. */
static size_t shim_minus(uint64_t a, uint64_t b) {
  return a > b ? (size_t)(a - b) : 0;
}

/* Free slots of a class: those of its spans less the live objects. */
static size_t shim_free_slots(const struct alm_class_stats *c) {
  if (c->object_bytes == 0) return 0;
  uint64_t slots = c->spans * (c->span_bytes / c->object_bytes);
  return shim_minus(slots, shim_minus(c->inherited + c->allocs, c->frees));
}

static void shim_account_of(const struct alm_stats *s,
                            struct shim_account *out) {
  *out = (struct shim_account){0};
  for (size_t i = 1; i < ALM_CLASS_COUNT; i++) {
    const struct alm_class_stats *c = &s->classes[i];
    out->live_bytes +=
        shim_minus(c->inherited_bytes + c->alloc_bytes, c->free_bytes);
    out->free_slots += shim_free_slots(c);
  }
  const struct alm_class_stats *large = &s->classes[0];
  out->large_bytes = shim_minus(large->inherited_bytes + large->alloc_bytes,
                                large->free_bytes);
  out->large_count = shim_minus(large->inherited + large->allocs, large->frees);
  out->system_bytes = shim_minus(s->heap_mapped, out->large_bytes);
  out->system_max = (size_t)s->heap_mapped_max;
  out->idle_bytes = (size_t)s->heap_free;
  if (out->system_bytes < out->live_bytes) out->system_bytes = out->live_bytes;
}

static void shim_account_read(struct shim_account *out) {
  struct alm_stats stats;
  alm_stats_read(&stats);
  shim_account_of(&stats, out);
}

ALM_API struct mallinfo2 mallinfo2(void) {
  struct shim_account a;
  shim_account_read(&a);
  return (struct mallinfo2){
      .arena = a.system_bytes,
      .ordblks = a.free_slots,
      .hblks = a.large_count,
      .hblkhd = a.large_bytes,
      .uordblks = a.live_bytes,
      .fordblks = a.system_bytes - a.live_bytes,
      .keepcost = a.idle_bytes,
  };
}

static int shim_int(size_t v) {
  return v > INT_MAX ? INT_MAX : (int)v;
}

/* Fields too small for their value hold INT_MAX; glibc's wrap around. */
ALM_API struct mallinfo mallinfo(void) {
  struct mallinfo2 m = mallinfo2();
  return (struct mallinfo){
      .arena = shim_int(m.arena),
      .ordblks = shim_int(m.ordblks),
      .hblks = shim_int(m.hblks),
      .hblkhd = shim_int(m.hblkhd),
      .uordblks = shim_int(m.uordblks),
      .fordblks = shim_int(m.fordblks),
      .keepcost = shim_int(m.keepcost),
  };
}

/* Write a whole text to stderr; what cannot be written is dropped. */
static void shim_stderr(const char *text, size_t size) {
  while (size > 0) {
    ssize_t n = write(STDERR_FILENO, text, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text += n;
    size -= (size_t)n;
  }
}

/* The lines of glibc, for programs that read them. Nothing is allocated. */
ALM_API void malloc_stats(void) {
  int saved = errno;
  struct shim_account a;
  shim_account_read(&a);
  char text[512];
  int n = snprintf(text, sizeof text,
                   "Arena 0:\n"
                   "system bytes     = %10zu\n"
                   "in use bytes     = %10zu\n"
                   "Total (incl. mmap):\n"
                   "system bytes     = %10zu\n"
                   "in use bytes     = %10zu\n"
                   "max system bytes = %10zu\n"
                   "large objects    = %10zu\n"
                   "large bytes      = %10zu\n",
                   a.system_bytes, a.live_bytes, a.system_bytes + a.large_bytes,
                   a.live_bytes + a.large_bytes, a.system_max, a.large_count,
                   a.large_bytes);
  if (n > 0) shim_stderr(text, (size_t)n);
  errno = saved;
}

/* The free slots by size, as glibc lists its free chunks. */
static void shim_info_sizes(FILE *stream, const struct alm_stats *s) {
  fputs("  <sizes>\n", stream);
  uint64_t from = 1;
  for (size_t i = 1; i < ALM_CLASS_COUNT; i++) {
    const struct alm_class_stats *c = &s->classes[i];
    if (c->object_bytes == 0) continue;
    size_t slots = shim_free_slots(c);
    if (slots > 0)
      fprintf(stream,
              "    <size from=\"%zu\" to=\"%zu\" total=\"%zu\" "
              "count=\"%zu\"/>\n",
              (size_t)from, (size_t)c->object_bytes,
              slots * (size_t)c->object_bytes, slots);
    from = c->object_bytes + 1;
  }
  fputs("  </sizes>\n", stream);
}

/* The six lines that close a heap and the document. */
static void shim_info_totals(FILE *stream, const char *indent,
                             const struct shim_account *a, bool is_document) {
  size_t more = is_document ? a->large_bytes : 0;
  size_t rest = a->system_bytes - a->live_bytes;
  fprintf(stream,
          "%s<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
          "%s<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
          indent, indent, a->free_slots, rest);
  if (is_document)
    fprintf(stream, "%s<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n",
            indent, a->large_count, a->large_bytes);
  fprintf(stream,
          "%s<system type=\"current\" size=\"%zu\"/>\n"
          "%s<system type=\"max\" size=\"%zu\"/>\n"
          "%s<aspace type=\"total\" size=\"%zu\"/>\n"
          "%s<aspace type=\"mprotect\" size=\"%zu\"/>\n",
          indent, a->system_bytes + more, indent, a->system_max, indent,
          a->system_bytes + more, indent, a->system_bytes + more);
}

/* glibc's document (version 1) with one heap. Returns 0 or, for unknown
 * options, EINVAL; like glibc's, it does not report errors of the stream. */
ALM_API int malloc_info(int options, FILE *stream) {
  if (options != 0) return EINVAL;
  struct alm_stats stats; /* read once: fprintf allocates, too */
  alm_stats_read(&stats);
  struct shim_account a;
  shim_account_of(&stats, &a);
  fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n", stream);
  shim_info_sizes(stream, &stats);
  shim_info_totals(stream, "  ", &a, false);
  fputs("</heap>\n", stream);
  shim_info_totals(stream, "", &a, true);
  fputs("</malloc>\n", stream);
  return 0;
}

ALM_API int malloc_trim(size_t pad) {
  return alm_release_memory(pad) > 0;
}

/* None of glibc's parameters has a meaning here. The known ones are accepted
 * whatever their value, so that programs which tune glibc go on: M_MXFAST,
 * M_NLBLKS, M_GRAIN, M_KEEP, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD,
 * M_MMAP_MAX, M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST, M_ARENA_MAX. Any other
 * is refused with 0. What can be tuned is in the options table. */
ALM_API int mallopt(int parameter, int value) {
  (void)value;
  switch (parameter) {
  case M_MXFAST:
  case M_NLBLKS:
  case M_GRAIN:
  case M_KEEP:
  case M_TRIM_THRESHOLD:
  case M_TOP_PAD:
  case M_MMAP_THRESHOLD:
  case M_MMAP_MAX:
  case M_CHECK_ACTION:
  case M_PERTURB:
  case M_ARENA_TEST:
  case M_ARENA_MAX:
    return 1;
  default:
    return 0;
  }
}

/* ---- C++: failure ------------------------------------------------------ */

struct shim_nothrow; /* std::nothrow_t, only ever passed on */

typedef void (*shim_new_handler)(void);
typedef shim_new_handler (*shim_handler_getter)(void);
typedef void (*shim_thrower)(void);
typedef void *(*shim_new_nothrow)(size_t, const struct shim_nothrow *);
typedef void *(*shim_new_align_nothrow)(size_t, size_t,
                                        const struct shim_nothrow *);

/* std::get_new_handler and std::__throw_bad_alloc, of libstdc++ and libc++
 * alike. Weak, like the two of libdl: [shim.1], [shim.2]. */
extern shim_new_handler _ZSt15get_new_handlerv(void) SHIM_WEAK;
extern void _ZSt17__throw_bad_allocv(void) SHIM_WEAK;
extern void *dlsym(void *restrict handle, const char *restrict name) SHIM_WEAK;
extern void *dlopen(const char *file, int mode) SHIM_WEAK;

/* Find a C++ library's function when the weak reference was not bound: a
 * plugin may have loaded libstdc++ or libc++abi, out of the global scope. */
static SHIM_NOINLINE void *shim_cxx_find(const char *name) {
  static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1",
                                          "libc++abi.so.1"};
  if (!dlopen || !dlsym) return NULL;
  for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
    void *handle = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
    void *function = handle ? dlsym(handle, name) : NULL;
    if (function) return function;
  }
  return NULL;
}

static shim_new_handler shim_handler_get(void) {
  shim_handler_getter get = _ZSt15get_new_handlerv;
  if (!get) {
    void *found = shim_cxx_find("_ZSt15get_new_handlerv");
    memcpy(&get, &found, sizeof get);
  }
  return get ? get() : NULL;
}

/* Throw std::bad_alloc; without a C++ library, say so and abort. */
static _Noreturn SHIM_NOINLINE void shim_throw(void) {
  shim_thrower throw_bad_alloc = _ZSt17__throw_bad_allocv;
  if (!throw_bad_alloc) {
    void *found = shim_cxx_find("_ZSt17__throw_bad_allocv");
    memcpy(&throw_bad_alloc, &found, sizeof throw_bad_alloc);
  }
  if (throw_bad_alloc) throw_bad_alloc();
  static const char message[] =
      "almacen: operator new: out of memory, and no C++ library is loaded "
      "to throw std::bad_alloc\n";
  shim_stderr(message, sizeof message - 1);
  abort();
}

/* alignment 0 stands for the forms without one. An alignment of C++ is a
 * power of two by the language's rules. */
static inline void *shim_new_try(size_t size, size_t alignment) {
  return alignment == 0 ? alm_malloc(size) : alm_aligned_alloc(alignment, size);
}

/* [new.delete.single]: call the new handler and try again until either gives
 * up; the handler may end the loop by throwing through this frame. */
static SHIM_NOINLINE void *shim_new_failed(size_t size, size_t alignment) {
  for (;;) {
    shim_new_handler handler = shim_handler_get();
    if (!handler) shim_throw();
    handler();
    void *p = shim_new_try(size, alignment);
    if (p) return p;
  }
}

/* The nothrow forms must turn what the new handler throws into NULL. C cannot
 * catch, so with a handler set the C++ library's own form is called: it calls
 * operator new (ours) inside a try block. Where there is none to be found (a
 * static program), the handler is called here and must not throw. */
static SHIM_NOINLINE void *shim_new_failed_nothrow(
    size_t size, size_t alignment, const struct shim_nothrow *tag) {
  if (!shim_handler_get()) return NULL;
  const char *name = alignment == 0 ? "_ZnwmRKSt9nothrow_t"
                                    : "_ZnwmSt11align_val_tRKSt9nothrow_t";
  void *found = dlsym ? dlsym(RTLD_NEXT, name) : NULL;
  if (!found) found = shim_cxx_find(name);
  if (found && alignment == 0) {
    shim_new_nothrow new_nothrow;
    memcpy(&new_nothrow, &found, sizeof new_nothrow);
    return new_nothrow(size, tag);
  }
  if (found) {
    shim_new_align_nothrow new_nothrow;
    memcpy(&new_nothrow, &found, sizeof new_nothrow);
    return new_nothrow(size, alignment, tag);
  }
  for (;;) {
    shim_new_handler handler = shim_handler_get();
    if (!handler) return NULL;
    handler();
    void *p = shim_new_try(size, alignment);
    if (p) return p;
  }
}

static inline void *shim_new(size_t size, size_t alignment) {
  void *p = shim_new_try(size, alignment);
  return __builtin_expect(p != NULL, 1) ? p : shim_new_failed(size, alignment);
}

static inline void *shim_new_nothrow_of(size_t size, size_t alignment,
                                        const struct shim_nothrow *tag) {
  void *p = shim_new_try(size, alignment);
  if (__builtin_expect(p != NULL, 1)) return p;
  return shim_new_failed_nothrow(size, alignment, tag);
}

/* ---- C++: operators ---------------------------------------------------- */

/* Each operator by its mangled name: nw new, na new[], dl delete, da
 * delete[]; m size_t, St11align_val_t alignment, RKSt9nothrow_t nothrow. */
#define SHIM_NEW_FORMS(op)                                                     \
  ALM_API void *_Z##op##m(size_t size);                                        \
  ALM_API void *_Z##op##m(size_t size) {                                       \
    return shim_new(size, 0);                                                  \
  }                                                                            \
  ALM_API void *_Z##op##mRKSt9nothrow_t(size_t size,                           \
                                        const struct shim_nothrow *tag);       \
  ALM_API void *_Z##op##mRKSt9nothrow_t(size_t size,                           \
                                        const struct shim_nothrow *tag) {      \
    return shim_new_nothrow_of(size, 0, tag);                                  \
  }                                                                            \
  ALM_API void *_Z##op##mSt11align_val_t(size_t size, size_t alignment);       \
  ALM_API void *_Z##op##mSt11align_val_t(size_t size, size_t alignment) {      \
    return shim_new(size, alignment);                                          \
  }                                                                            \
  ALM_API void *_Z##op##mSt11align_val_tRKSt9nothrow_t(                        \
      size_t size, size_t alignment, const struct shim_nothrow *tag);          \
  ALM_API void *_Z##op##mSt11align_val_tRKSt9nothrow_t(                        \
      size_t size, size_t alignment, const struct shim_nothrow *tag) {         \
    return shim_new_nothrow_of(size, alignment, tag);                          \
  }

#define SHIM_DELETE_FORMS(op)                                                  \
  ALM_API void _Z##op##Pv(void *p);                                            \
  ALM_API void _Z##op##Pv(void *p) {                                           \
    alm_free(p);                                                               \
  }                                                                            \
  ALM_API void _Z##op##Pvm(void *p, size_t size);                              \
  ALM_API void _Z##op##Pvm(void *p, size_t size) {                             \
    alm_free_sized(p, size);                                                   \
  }                                                                            \
  ALM_API void _Z##op##PvRKSt9nothrow_t(void *p,                               \
                                        const struct shim_nothrow *tag);       \
  ALM_API void _Z##op##PvRKSt9nothrow_t(void *p,                               \
                                        const struct shim_nothrow *tag) {      \
    (void)tag;                                                                 \
    alm_free(p);                                                               \
  }                                                                            \
  ALM_API void _Z##op##PvSt11align_val_t(void *p, size_t alignment);           \
  ALM_API void _Z##op##PvSt11align_val_t(void *p, size_t alignment) {          \
    (void)alignment;                                                           \
    alm_free(p);                                                               \
  }                                                                            \
  ALM_API void _Z##op##PvmSt11align_val_t(void *p, size_t size,                \
                                          size_t alignment);                   \
  ALM_API void _Z##op##PvmSt11align_val_t(void *p, size_t size,                \
                                          size_t alignment) {                  \
    alm_free_aligned_sized(p, alignment, size);                                \
  }                                                                            \
  ALM_API void _Z##op##PvSt11align_val_tRKSt9nothrow_t(                        \
      void *p, size_t alignment, const struct shim_nothrow *tag);              \
  ALM_API void _Z##op##PvSt11align_val_tRKSt9nothrow_t(                        \
      void *p, size_t alignment, const struct shim_nothrow *tag) {             \
    (void)alignment;                                                           \
    (void)tag;                                                                 \
    alm_free(p);                                                               \
  }

SHIM_NEW_FORMS(nw)
SHIM_NEW_FORMS(na)
SHIM_DELETE_FORMS(dl)
SHIM_DELETE_FORMS(da)

/* ---- Linux: what only a process with one thread may do ----------------- */

/* Declared in sched.h for _GNU_SOURCE only. */
extern int unshare(int flags);
extern int setns(int fd, int type);

enum {
  /* After the join the kernel may still count our thread for a moment; it
   * is gone within microseconds of CPU time, so 50 ms is ample on a loaded
   * machine and not felt where the refusal has another cause. */
  SHIM_RETRY_NS = 50 * 1000 * 1000,
  SHIM_RETRY_PAUSE_NS = 200 * 1000,
};

static int64_t shim_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* True if a call that failed just now may succeed a little later: our thread
 * ran, and the error is one of those that several threads cause. */
static bool shim_retry_wait(bool was_running, int64_t deadline_ns) {
  if (!was_running || (errno != EINVAL && errno != EUSERS)) return false;
  int refused = errno;
  bool is_time_left = shim_now_ns() < deadline_ns;
  struct timespec pause = {0, SHIM_RETRY_PAUSE_NS};
  if (is_time_left) nanosleep(&pause, NULL);
  errno = refused;
  return is_time_left;
}

ALM_API int unshare(int flags) {
  const int alone = CLONE_NEWUSER | CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  bool was_running = (flags & alone) != 0 && alm_background_stop();
  int64_t deadline_ns = was_running ? shim_now_ns() + SHIM_RETRY_NS : 0;
  int saved = errno;
  long result;
  do result = syscall(SYS_unshare, flags);
  while (result != 0 && shim_retry_wait(was_running, deadline_ns));
  if (result == 0) errno = saved;
  return (int)result;
}

/* Always alone: whether fd is a user, mount or time namespace, which are the
 * ones that ask for it, only the kernel knows when type is 0. */
ALM_API int setns(int fd, int type) {
  bool was_running = alm_background_stop();
  int64_t deadline_ns = was_running ? shim_now_ns() + SHIM_RETRY_NS : 0;
  int saved = errno;
  long result;
  do result = syscall(SYS_setns, fd, type);
  while (result != 0 && shim_retry_wait(was_running, deadline_ns));
  if (result == 0) errno = saved;
  return (int)result;
}
