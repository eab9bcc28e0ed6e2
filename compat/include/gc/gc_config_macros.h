/* gc/gc_config_macros.h -- what gc.h asks of the compiler and the client.
 *
 * WHAT    Linkage and attribute macros, each replaceable by defining it before
 *         gc.h; and what follows from the client's choice of threads.
 * HOW     Included by gc.h. The client may define, before the first include:
 *         GC_THREADS               threads will use the heap; declares what is
 *                                  for them and redirects pthread_create ...
 *                                  (GC_LINUX_THREADS, LINUX_THREADS: the same)
 *         GC_NO_THREAD_REDIRECTS   declares, but does not redirect
 *         GC_DEBUG                 GC_MALLOC ... become the checking variants
 *         GC_OOM_FUNC_RETURNS_ALIAS  a GC_oom_func may return memory in use
 *         GC_BUILD                 compiling the library itself
 */
#ifndef GC_CONFIG_MACROS_H
#define GC_CONFIG_MACROS_H

#include <stddef.h>

#if defined(__GNUC__) && defined(__GNUC_MINOR__)
#define GC_GNUC_PREREQ(major, minor)                                           \
  ((__GNUC__ << 16) + __GNUC_MINOR__ >= ((major) << 16) + (minor))
#else
#define GC_GNUC_PREREQ(major, minor) 0
#endif

/* ---- threads ----------------------------------------------------------- */

#if defined(LINUX_THREADS) && !defined(GC_LINUX_THREADS)
#define GC_LINUX_THREADS
#endif
#if defined(GC_LINUX_THREADS) && !defined(GC_THREADS)
#define GC_THREADS
#endif
#if defined(GC_THREADS) && defined(__linux__) && !defined(GC_LINUX_THREADS)
#define GC_LINUX_THREADS
#endif
#if defined(USE_LD_WRAP) && !defined(GC_USE_LD_WRAP)
#define GC_USE_LD_WRAP
#endif

#undef GC_PTHREADS
#ifdef GC_THREADS
#define GC_PTHREADS
#ifndef _REENTRANT
#define _REENTRANT 1
#endif
#ifndef GC_HAVE_PTHREAD_EXIT
#define GC_HAVE_PTHREAD_EXIT
#if GC_GNUC_PREREQ(2, 7)
#define GC_PTHREAD_EXIT_ATTRIBUTE __attribute__((__noreturn__))
#else
#define GC_PTHREAD_EXIT_ATTRIBUTE
#endif
#endif
#endif

/* Says to other headers that a collector is about. */
#define __GC

/* ---- linkage ----------------------------------------------------------- */

#ifndef GC_API
#if defined(GC_BUILD) && GC_GNUC_PREREQ(4, 0)
#define GC_API extern __attribute__((__visibility__("default")))
#else
#define GC_API extern
#endif
#endif
#ifndef GC_CALL
#define GC_CALL
#endif
#ifndef GC_CALLBACK
#define GC_CALLBACK GC_CALL
#endif

/* ---- attributes -------------------------------------------------------- */

#ifndef GC_ATTR_MALLOC
#if GC_GNUC_PREREQ(3, 1) && !defined(GC_OOM_FUNC_RETURNS_ALIAS)
#define GC_ATTR_MALLOC __attribute__((__malloc__))
#else
#define GC_ATTR_MALLOC
#endif
#endif

/* gcc learnt alloc_size in 4.3; clang, which calls itself 4.2, has it. */
#ifndef GC_ATTR_ALLOC_SIZE
#undef GC_ATTR_CALLOC_SIZE
#if defined(__clang__) || GC_GNUC_PREREQ(4, 3)
#define GC_ATTR_ALLOC_SIZE(argnum) __attribute__((__alloc_size__(argnum)))
#define GC_ATTR_CALLOC_SIZE(n, s) __attribute__((__alloc_size__(n, s)))
#else
#define GC_ATTR_ALLOC_SIZE(argnum)
#endif
#endif
#ifndef GC_ATTR_CALLOC_SIZE
#define GC_ATTR_CALLOC_SIZE(n, s)
#endif

#ifndef GC_ATTR_NONNULL
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_NONNULL(argnum) __attribute__((__nonnull__(argnum)))
#else
#define GC_ATTR_NONNULL(argnum)
#endif
#endif

#ifndef GC_ATTR_CONST
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_CONST __attribute__((__const__))
#else
#define GC_ATTR_CONST
#endif
#endif

#ifdef GC_BUILD
#undef GC_ATTR_DEPRECATED
#define GC_ATTR_DEPRECATED
#elif !defined(GC_ATTR_DEPRECATED)
#if GC_GNUC_PREREQ(4, 0)
#define GC_ATTR_DEPRECATED __attribute__((__deprecated__))
#else
#define GC_ATTR_DEPRECATED
#endif
#endif

/* ---- call stacks ------------------------------------------------------- */

/* The reports of the checking variants can show call stacks. */
#if defined(__linux__) || defined(__GLIBC__)
#include <features.h>
#endif
#if defined(__GLIBC__) && !defined(GC_MISSING_EXECINFO_H)
#ifndef GC_HAVE_BUILTIN_BACKTRACE
#define GC_HAVE_BUILTIN_BACKTRACE
#endif
#endif
#ifndef GC_CAN_SAVE_CALL_STACKS
#define GC_CAN_SAVE_CALL_STACKS
#endif

/* ---- C++ --------------------------------------------------------------- */

#ifdef __cplusplus
/* clang's library copies allocators in ways that explicit would forbid. */
#ifndef GC_ATTR_EXPLICIT
#if __cplusplus >= 201103L && !defined(__clang__)
#define GC_ATTR_EXPLICIT explicit
#else
#define GC_ATTR_EXPLICIT
#endif
#endif
#ifndef GC_NOEXCEPT
#if __cplusplus >= 201103L
#define GC_NOEXCEPT noexcept
#else
#define GC_NOEXCEPT throw()
#endif
#endif
/* Without exceptions the only way to tell of no memory is to end. */
#if !defined(__EXCEPTIONS) && !defined(__cpp_exceptions)
#ifndef GC_NEW_ABORTS_ON_OOM
#define GC_NEW_ABORTS_ON_OOM
#endif
#endif
#endif

#endif
