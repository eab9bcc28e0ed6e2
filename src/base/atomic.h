/* base/atomic.h -- atomic accesses with the order in the name.
 *
 * WHAT    Thin names over the compiler's __atomic builtins. They work on
 *         plain integers and pointers, so that structures shared with the
 *         public C/C++ header need no _Atomic.
 * HOW     Each use says in a comment what it pairs with. There is no
 *         sequentially consistent access here: a protocol that needs one
 *         says so with atomic_fence().
 */
#ifndef ALM_BASE_ATOMIC_H
#define ALM_BASE_ATOMIC_H

#include "base.h"

#define atomic_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define atomic_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define atomic_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define atomic_add_release(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELEASE)
#define atomic_or_release(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELEASE)
#define atomic_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define atomic_and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
#define atomic_exchange_acquire(p, v)                                          \
  __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define atomic_exchange_release(p, v)                                          \
  __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define atomic_exchange_relaxed(p, v)                                          \
  __atomic_exchange_n((p), (v), __ATOMIC_RELAXED)
/* Strong compare and swap; `expected` is a pointer and is updated. */
#define atomic_cas_acquire(p, expected, desired)                               \
  __atomic_compare_exchange_n((p), (expected), (desired), false,               \
                              __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)

/* Full fence: orders everything before against everything after. */
ALM_INLINE void atomic_fence(void) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Orders accesses against those of a signal handler in the same thread. */
ALM_INLINE void atomic_signal_order(void) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The line will be written soon, and other cores write it too: fetch it for
 * this one alone. (The compiler's builtin does not on the baseline x86-64.) */
ALM_INLINE void prefetch_to_write(const void *p) {
#ifdef __x86_64__
  __asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
  __builtin_prefetch(p, 1);
#endif
}

/* A hint to the core that this is a spin loop. */
ALM_INLINE void cpu_relax(void) {
#ifdef __x86_64__
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
