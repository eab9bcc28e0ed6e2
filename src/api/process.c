/* api/process.c -- see process.h. */
#include "process.h"

#include "background.h"
#include "base/diag.h"
#include "gc/finalizer.h"
#include "gc/world.h"
#include "mem/arena.h"
#include "mem/memstat.h"
#include "mem/metaalloc.h"
#include "mem/pageheap.h"
#include "mem/scavenge.h"
#include "obs/record.h"
#include "os/conf.h"
#include "os/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>

ALM_TLS struct cache *thread_cache = (struct cache *)&cache_empty;

enum { THREAD_NEW, THREAD_ATTACHED, THREAD_ENDED };
static ALM_TLS unsigned char thread_state;

enum { START_NEW, START_BUSY, START_DONE };

typedef int (*process_main_function)(int argc, char **argv, char **envp);
typedef int (*process_libc_function)(process_main_function, int argc,
                                     char **argv, void (*init)(void),
                                     void (*fini)(void), void (*end)(void),
                                     void *stack);

static struct {
  uint32_t start_state; /* CAS by the starter, then release / acquire      */
  pthread_key_t key;    /* its destructor ends the thread's cache          */
  bool has_key;         /* constant once START_DONE                        */
  struct lock shared_lock;
  struct cache *shared; /* under shared_lock                               */
  process_main_function program_main; /* constant once constructors run    */
} process = {.shared_lock = LOCK_INIT(RANK_SHARED)};

static void process_report(const struct misuse *bad) {
  if (bad->kind != 0) {
    misuse_report("free", bad);
  }
}

/* pthread_key destructor. Runs once per round as long as the value is set. */
static void process_thread_end(void *unused) {
  (void)unused;
  struct cache *cache = thread_cache;
  if (cache == &cache_empty) {
    return;
  }
  struct misuse bad = {0, NULL, 0, 0, 0};
  thread_cache = (struct cache *)&cache_empty;
  thread_state = THREAD_ENDED;
  cache_destroy(cache, &bad);
  process_report(&bad);
  background_poke();
}

static void process_fork_prepare(void) {
  world_fork_prepare();
  cache_fork_prepare();
  lock_acquire(&process.shared_lock);
  central_lock_all();
  scavenge_fork_prepare();
  pagealloc_fork_prepare();
  pageheap_fork_prepare();
  marks_fork_prepare();
  meta_fork_prepare();
  record_fork_prepare();
}

static void process_fork_release(bool in_child) {
  meta_fork_release(in_child);
  marks_fork_release(in_child);
  pageheap_fork_release(in_child);
  pagealloc_fork_release(in_child);
  scavenge_fork_release(in_child);
  central_fork_release(in_child);
  if (in_child) {
    lock_reset_after_fork(&process.shared_lock);
  } else {
    lock_release(&process.shared_lock);
  }
  struct cache *mine = thread_cache == &cache_empty ? NULL : thread_cache;
  cache_fork_release(in_child, mine, process.shared);
  world_fork_release(in_child);
}

static void process_fork_parent(void) {
  process_fork_release(false);
}

static void process_fork_child(void) {
  record_reopen_in_child();
  process_fork_release(true);
  background_forget_in_child();
  finalizer_forget_in_child();
  os_age_begin();
  record_restart_in_child();
}

STATIC_CHECK(SIZECLASS_COUNT == ALM_CLASS_COUNT);

/* What may allocate itself, and therefore comes after START_DONE. */
static void process_start_late(void) {
  if (conf_number(CONF_fork_handlers)) {
    pthread_atfork(process_fork_prepare, process_fork_parent,
                   process_fork_child);
  }
}

static bool process_start_slow(void) {
  uint32_t expected = START_NEW;
  if (!atomic_cas_acquire(&process.start_state, &expected, START_BUSY)) {
    while ((expected = atomic_load_acquire(&process.start_state)) ==
           START_BUSY) {
      os_yield();
    }
    return expected == START_DONE;
  }
  int saved = errno;
  os_init();
  os_age_begin();
  conf_init();
  bool ok = arena_init();
  if (ok) {
    pagealloc_init();
    central_init();
    background_init();
    process.has_key = pthread_key_create(&process.key, process_thread_end) == 0;
    record_open();
  }
  /* a refusal may pass: the next call tries again */
  atomic_store_release(&process.start_state, ok ? START_DONE : START_NEW);
  if (ok) {
    process_start_late();
  }
  errno = saved;
  return ok;
}

bool process_start(void) {
  return likely(atomic_load_acquire(&process.start_state) == START_DONE) ||
         process_start_slow();
}

struct cache *process_thread_attach(void) {
  if (thread_cache != &cache_empty) {
    return thread_cache;
  }
  if (thread_state == THREAD_ENDED || !process_start()) {
    return NULL;
  }
  struct cache *cache = cache_create();
  if (cache == NULL) {
    return NULL;
  }
  memstat_add(&memstat->threads, 1);
  thread_cache = cache;
  thread_state = THREAD_ATTACHED;
  if (process.has_key) {
    /* may allocate, through the cache that is in place now */
    pthread_setspecific(process.key, cache);
  }
  return cache;
}

struct cache *process_shared_acquire(void) {
  if (!process_start()) {
    return NULL;
  }
  lock_acquire(&process.shared_lock);
  if (process.shared == NULL) {
    lock_release(&process.shared_lock);
    struct cache *made = cache_create(); /* takes the registry's lock */
    lock_acquire(&process.shared_lock);
    if (process.shared == NULL) {
      process.shared = made;
    } else if (made != NULL) {
      lock_release(&process.shared_lock);
      struct misuse bad = {0, NULL, 0, 0, 0};
      cache_destroy(made, &bad);
      lock_acquire(&process.shared_lock);
    }
  }
  struct cache *shared = process.shared;
  if (shared == NULL) {
    lock_release(&process.shared_lock);
  }
  return shared;
}

void process_shared_release(void) {
  lock_release(&process.shared_lock);
}

void process_shared_flush(struct misuse *bad) {
  lock_acquire(&process.shared_lock);
  if (process.shared != NULL) {
    cache_flush(process.shared, bad);
  }
  lock_release(&process.shared_lock);
}

/* ---- main begins ----------------------------------------------------------- */

static int process_main(int argc, char **argv, char **envp) {
  background_main_begins();
  return process.program_main(argc, argv, envp);
}

/* libc's before 2.34 and static programs may lack it. */
extern void *dlsym(void *restrict handle, const char *restrict name)
    __attribute__((weak));

/* libc calls the program's constructors, then main. Archives keep this to
 * themselves (CMakeLists.txt), so that libc's is the only one. */
ALM_API int __libc_start_main(process_main_function, int argc, char **argv,
                              void (*init)(void), void (*fini)(void),
                              void (*end)(void), void *stack);
ALM_API int __libc_start_main(process_main_function program_main, int argc,
                              char **argv, void (*init)(void),
                              void (*fini)(void), void (*end)(void),
                              void *stack) {
  void *next = dlsym ? dlsym(RTLD_NEXT, "__libc_start_main") : NULL;
  CHECK(next != NULL);
  process.program_main = program_main;
  return ((process_libc_function)next)(process_main, argc, argv, init, fini,
                                       end, stack);
}

/* The definition above; whichever the dynamic linker has found first, in a
 * word that it fills in, because compilers take the two for the same; and the
 * header of the file that this is in, from the linker. */
static __typeof__(__libc_start_main) process_own_entry
    __attribute__((alias("__libc_start_main")));
extern const uintptr_t process_first_entry
    __attribute__((visibility("hidden")));
__asm__(".pushsection .data.rel.ro, \"aw\"\n\t.balign 8\n"
        "process_first_entry:\n\t.quad __libc_start_main\n\t.popsection");
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool process_is_in_program(void) {
  return getauxval(AT_PHDR) == (uintptr_t)&__ehdr_start + __ehdr_start.e_phoff;
}

static __attribute__((constructor)) void process_constructed(void) {
  bool is_entered_here = process_first_entry == (uintptr_t)&process_own_entry;
  if (!is_entered_here || process_is_in_program()) {
    background_main_begins();
  }
}

static __attribute__((destructor)) void process_end(void) {
  if (atomic_load_acquire(&process.start_state) == START_DONE) {
    cache_publish_all();
    record_close();
  }
}
