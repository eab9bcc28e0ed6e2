/* gc/javaxfc.h -- what a Java machine asks for and few others should.
 *
 * WHAT    Finalizers for everything at the end; threads stopped one by one.
 */
#ifndef GC_JAVAXFC_H
#define GC_JAVAXFC_H

#include "gc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs every finalizer there is, that of reachable objects too, until none is
 * left, those included that finalizers register. Call it from a thread that
 * holds no lock a finalizer might take. */
GC_API void GC_CALL GC_finalize_all(void);

#ifdef GC_THREADS
#ifndef GC_SUSPEND_THREAD_ID
#define GC_SUSPEND_THREAD_ID void *
#endif
/* Stops a registered thread; lets it go on, however often it was stopped;
 * tells whether it is stopped. Each takes the allocation lock; for a thread
 * that is not registered they do nothing and the answer is 0. */
GC_API void GC_CALL GC_suspend_thread(GC_SUSPEND_THREAD_ID);
GC_API void GC_CALL GC_resume_thread(GC_SUSPEND_THREAD_ID);
GC_API int GC_CALL GC_is_thread_suspended(GC_SUSPEND_THREAD_ID);
#endif

#ifdef __cplusplus
}
#endif

#endif
