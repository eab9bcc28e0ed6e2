/* api/process.h -- the library's life: first use, threads, fork, exit.
 *
 * WHAT    Starts everything at the first allocation (before main, in a
 *         constructor, inside the dynamic linker), gives each thread its
 *         cache at its first slow path, takes it back when the thread ends,
 *         keeps locks usable across fork; learns that main begins.
 * HOW     thread_cache points to the empty cache until the thread has one;
 *         see [cache.2]. A thread that allocates after its cache was taken
 *         back (late TLS destructors) or for which there is no memory uses
 *         the shared cache under a lock.
 *         The shared libraries stand before libc where symbols are looked up,
 *         if they are there when the program starts, so libc's entry is
 *         called by way of ours, which gives it a main that says so and calls
 *         the program's. It costs a look-up by name. Loaded by dlopen, main
 *         has begun. An archive's constructor is the last of its program's,
 *         but for those of libraries behind it on the command line.
 * LOCKS   RANK_SHARED for the shared cache.
 */
#ifndef ALM_API_PROCESS_H
#define ALM_API_PROCESS_H

#include "mem/cache.h"

ALM_INTERNAL_DATA ALM_TLS struct cache *thread_cache;

/* True once the library has started; false: no address space at all. */
ALM_INTERNAL bool process_start(void);

/* The thread's own cache, made now if need be; NULL: use the shared one. */
ALM_INTERNAL struct cache *process_thread_attach(void);

/* The shared cache, locked; NULL when there is no memory for it. */
ALM_INTERNAL struct cache *process_shared_acquire(void);
ALM_INTERNAL void process_shared_release(void);
/* Give back what the shared cache holds. */
ALM_INTERNAL void process_shared_flush(struct misuse *bad);

#endif
