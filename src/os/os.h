/* os/os.h -- the contract with the kernel.
 *
 * WHAT    Memory states, files, time, threads' futexes: everything the
 *         library asks an operating system. One os_<platform>.c implements
 *         the sys_ half; os_mem.c keeps the accounts and injects faults.
 * STATES  None -> Reserved (addresses, no access) -> Ready (readable,
 *         writable, zero until written) -> Released (as Ready, but the
 *         kernel took the contents back and reads give zeros).
 * ERRORS  Every failure is returned; errno is left as the caller had it.
 * LOCKS   none inside.
 * SOURCE  Go mem.go. Differs: Prepared and Ready are one state, because on
 *         Linux the step between them does nothing.
 */
#ifndef ALM_OS_OS_H
#define ALM_OS_OS_H

#include "base/base.h"

/* ---- memory (os_mem.c) ------------------------------------------------ */

/* The calls that a fault test can make fail, one counter each. */
enum os_call {
  OS_RESERVE,
  OS_READY,
  OS_ALLOC,
  OS_RELEASE,
  OS_MOVE,
  OS_HUGE,
  OS_FILE,
  OS_THREAD,
  OS_CALL_COUNT
};

/* Debug and torture builds: let the nth call of this kind from now on fail
 * (1 is the next), and `count` calls from there. nth 0 switches it off.
 * Returns how many calls of the kind were made since the last setting. */
ALM_INTERNAL uint64_t os_fault_set(enum os_call call, uint64_t nth,
                                   uint64_t count);

/* True if this call shall fail. For the os layer itself. */
ALM_INTERNAL bool os_fault_hit(enum os_call call);

/* Bytes of one OS page, 4 to 64 KiB. Constant after os_init. */
ALM_INTERNAL size_t os_page_bytes(void);

/* Read what the machine is; idempotent. */
ALM_INTERNAL void os_init(void);

/* None -> Reserved, at `hint` if that place is free. `name` is what
 * /proc/PID/maps shows, where the kernel can. */
ALM_INTERNAL void *os_reserve(void *hint, size_t bytes, const char *name);
/* Reserved -> None. */
ALM_INTERNAL void os_unreserve(void *p, size_t bytes);
/* Reserved -> Ready; rounded out to OS pages; may be repeated. */
ALM_INTERNAL bool os_ready(void *p, size_t bytes);
/* None -> Ready in one step, anywhere. For the library's own structures. */
ALM_INTERNAL void *os_alloc(size_t bytes, const char *name);
/* Ready -> Released. False: the kernel kept the pages. */
ALM_INTERNAL bool os_release(void *p, size_t bytes);
/* Move the OS pages of `from` to `to` (both Ready, same size, OS page
 * aligned, not overlapping); `from` is Released then. False: nothing moved. */
ALM_INTERNAL bool os_move(void *from, void *to, size_t bytes);

/* One huge page behind [p, p + HUGE_BYTES), which is Ready and as aligned, and
 * of which *touch is about to be written. What was not written reads as zero
 * still. False: nothing has changed, but *touch may be resident. */
ALM_INTERNAL bool os_huge(void *p, void *touch);

/* ---- the platform (os_<platform>.c) ------------------------------------ */

ALM_INTERNAL size_t sys_page_bytes(void);
ALM_INTERNAL void *sys_reserve(void *hint, size_t bytes, const char *name);
ALM_INTERNAL void sys_unreserve(void *p, size_t bytes);
ALM_INTERNAL bool sys_ready(void *p, size_t bytes);
ALM_INTERNAL void *sys_alloc(size_t bytes, const char *name);
ALM_INTERNAL bool sys_release(void *p, size_t bytes);
ALM_INTERNAL bool sys_huge(void *p, void *touch);
ALM_INTERNAL bool sys_move(void *from, void *to, size_t bytes);

/* ---- files ------------------------------------------------------------- */

enum os_file_failure {
  OS_FILE_OK,
  OS_FILE_EXISTS,
  OS_FILE_NO_FOLDER,
  OS_FILE_REFUSED
};

/* Create `path` (which must not exist), `bytes` long, mapped shared; at
 * `fixed` when it is not NULL. NULL on failure, *why tells the reason. */
ALM_INTERNAL void *os_file_map(const char *path, size_t bytes, void *fixed,
                               enum os_file_failure *why);
/* Replace a shared mapping by private zeroes. */
ALM_INTERNAL bool os_file_unmap_to_private(void *p, size_t bytes);
/* Read up to size bytes of a file; returns how many, 0 on failure. */
ALM_INTERNAL size_t os_file_read(const char *path, char *text, size_t size);

/* ---- time, processors, processes --------------------------------------- */

ALM_INTERNAL uint64_t os_now_ns(void); /* monotonic */
/* The same, behind by some ms at most; never a system call nor slow. */
ALM_INTERNAL uint64_t os_coarse_ns(void);
ALM_INTERNAL uint64_t os_wall_ns(void); /* CLOCK_REALTIME */
ALM_INTERNAL uint64_t os_cpu_ns(void);  /* CPU time of the calling thread */
/* The process, or the forked child, begins now. One thread. */
ALM_INTERNAL void os_age_begin(void);
/* Since then, monotonic. */
ALM_INTERNAL uint64_t os_age_ns(void);
ALM_INTERNAL uint64_t os_random(void); /* 64 bits, for addresses */
ALM_INTERNAL unsigned os_pid(void);
ALM_INTERNAL unsigned os_parent_pid(void);
/* The same for every caller in this program image of this process, and
 * another after fork and exec; also when the pid is used again. */
ALM_INTERNAL uint64_t os_image(void);
ALM_INTERNAL void os_yield(void);
ALM_INTERNAL unsigned os_cpus(void); /* that this process may use, >= 1 */

/* The calling thread, as os_thread_signal knows it; another in a child. */
ALM_INTERNAL uint32_t os_thread_id(void);
/* False: there is no such thread any more. */
ALM_INTERNAL bool os_thread_signal(uint32_t id, int signal);
/* Run the handler, all other signals blocked, when a thread gets the signal;
 * system calls are restarted. False: no such signal, or, unless `is_ours`, the
 * program has a handler of its own for it. May be repeated. */
ALM_INTERNAL bool os_signal_claim(int signal, void (*handler)(int signal),
                                  bool is_ours);
/* Let the calling thread get the signal, if it had been blocked. */
ALM_INTERNAL void os_signal_unblock(int signal);

struct os_usage {
  uint64_t user_ns;
  uint64_t system_ns;
  uint64_t rss_max; /* bytes */
};
ALM_INTERNAL struct os_usage os_usage_self(void);

/* The environment as it was given to the process; works before main. NULL
 * in a program that runs with other rights than its caller. */
ALM_INTERNAL const char *os_getenv(const char *name);

/* Sleep while *word == expected, at most timeout_ns (0: for ever). May
 * return early. */
ALM_INTERNAL void os_futex_wait(uint32_t *word, uint32_t expected,
                                uint64_t timeout_ns);
ALM_INTERNAL void os_futex_wake(uint32_t *word, uint32_t count);

#endif
