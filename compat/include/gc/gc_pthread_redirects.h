/* gc/gc_pthread_redirects.h -- the system's thread calls as the library's.
 *
 * WHAT    With GC_THREADS, pthread_create and others become GC_ functions of
 *         the same meaning, which also register the threads.
 * HOW     Included at the end of gc.h. Before it, a client may define
 *         GC_NO_THREAD_REDIRECTS       declare, do not redirect
 *         GC_PTHREAD_REDIRECTS_ONLY    redirect, do not declare
 *         GC_NO_DLOPEN, GC_NO_PTHREAD_SIGMASK, GC_NO_PTHREAD_CANCEL
 *                                      leave that one alone
 *         GC_PTHREAD_SIGMASK_NEEDED    declare GC_pthread_sigmask whatever the
 *                                      version of POSIX asked for
 * THREADS A thread that was created without these is adopted at its first call
 *         of a GC_ function; GC_register_my_thread does it at a time of choice.
 */
#ifndef GC_PTHREAD_REDIRECTS_H
#define GC_PTHREAD_REDIRECTS_H

#if defined(GC_H) && defined(GC_PTHREADS)

#ifndef GC_PTHREAD_REDIRECTS_ONLY
#include <pthread.h>
#ifndef GC_NO_DLOPEN
#include <dlfcn.h>
#endif
#ifndef GC_NO_PTHREAD_SIGMASK
#include <signal.h>
#endif

/* How javaxfc.h names a thread. */
#ifndef GC_SUSPEND_THREAD_ID
#define GC_SUSPEND_THREAD_ID pthread_t
#endif
#ifndef GC_PTHREAD_CREATE_CONST
#define GC_PTHREAD_CREATE_CONST const
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* As pthread_create(3); the new thread is registered before it runs. */
GC_API int GC_pthread_create(pthread_t *,
                             GC_PTHREAD_CREATE_CONST pthread_attr_t *,
                             void *(*)(void *), void *);
/* As pthread_join(3); the thread's result is kept until then. */
GC_API int GC_pthread_join(pthread_t, void **);
/* As pthread_detach(3). */
GC_API int GC_pthread_detach(pthread_t);
#ifndef GC_NO_PTHREAD_CANCEL
/* As pthread_cancel(3). */
GC_API int GC_pthread_cancel(pthread_t);
#endif
#if defined(GC_HAVE_PTHREAD_EXIT) && !defined(GC_PTHREAD_EXIT_DECLARED)
#define GC_PTHREAD_EXIT_DECLARED
/* As pthread_exit(3). */
GC_API void GC_pthread_exit(void *) GC_PTHREAD_EXIT_ATTRIBUTE;
#endif
#ifndef GC_NO_DLOPEN
/* As dlopen(3), with no collection meanwhile; the object's data are roots. */
GC_API void *GC_dlopen(const char *, int);
#endif
#if !defined(GC_NO_PTHREAD_SIGMASK) &&                                         \
    (defined(GC_PTHREAD_SIGMASK_NEEDED) || defined(_BSD_SOURCE) ||             \
     defined(_GNU_SOURCE) ||                                                   \
     (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199506L) ||               \
     (defined(_XOPEN_SOURCE) && _XOPEN_SOURCE >= 500))
/* As pthread_sigmask(3); the signal that stops threads is never blocked. */
GC_API int GC_pthread_sigmask(int, const sigset_t *, sigset_t *);
#endif

#ifdef __cplusplus
}
#endif
#endif

#if !defined(GC_NO_THREAD_REDIRECTS) && !defined(GC_USE_LD_WRAP)
#undef pthread_create
#define pthread_create GC_pthread_create
#undef pthread_join
#define pthread_join GC_pthread_join
#undef pthread_detach
#define pthread_detach GC_pthread_detach
#ifndef GC_NO_PTHREAD_CANCEL
#undef pthread_cancel
#define pthread_cancel GC_pthread_cancel
#endif
#ifdef GC_HAVE_PTHREAD_EXIT
#undef pthread_exit
#define pthread_exit GC_pthread_exit
#endif
#ifndef GC_NO_DLOPEN
#undef dlopen
#define dlopen GC_dlopen
#endif
#ifndef GC_NO_PTHREAD_SIGMASK
#undef pthread_sigmask
#define pthread_sigmask GC_pthread_sigmask
#endif
#endif

#endif

#endif
