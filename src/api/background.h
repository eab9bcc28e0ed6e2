/* api/background.h -- the thread that returns memory while nobody allocates,
 * and sweeps collected heaps.
 *
 * WHAT    Starts when a few MiB of free pages lie unused, empties caches of
 *         threads that sleep, sweeps what collections have left (idle.h),
 *         releases pages as scavenge.h's goal decays, and sleeps without a
 *         timeout when nothing is left to do. A tenth of one CPU at most goes
 *         to sweeping and releasing together.
 * WHEN    Never before main begins, never below 8 MiB of free pages and of
 *         what a collection of one heap has left to sweep. In the
 *         first 0.1 s of a process from 32 MiB on, for whoever frees that and
 *         then sleeps will not call again; later from 8 MiB on.
 * STATES  stopped -> starting -> running -> stopping -> stopped. The first
 *         and third arrow are a CAS, so that one thread takes them; it alone
 *         takes the next arrow, by a store.
 * ORDER   state: acquire and release; `wake` is a futex word, stored with
 *         release before the wake-up.
 * SOURCE  Go mgcscavenge.go bgscavenge (CPU share), jemalloc's decay.
 */
#ifndef ALM_API_BACKGROUND_H
#define ALM_API_BACKGROUND_H

#include "base/base.h"

/* The library starts; no thread yet. */
ALM_INTERNAL void background_init(void);

/* The program's constructors have run. */
ALM_INTERNAL void background_main_begins(void);

/* Pages were returned: start or wake the thread if it is worth it. Call with
 * no lock held. The second: and so many bytes of a heap are to be swept. */
ALM_INTERNAL void background_poke(void);
ALM_INTERNAL void background_poke_to_sweep(uint64_t unswept_bytes);

/* See alm_background_stop. */
ALM_INTERNAL bool background_stop(void);

/* In a forked child the thread does not exist. */
ALM_INTERNAL void background_forget_in_child(void);

#endif
