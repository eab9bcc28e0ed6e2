/* mem/misuse.h -- the caller made a mistake: say what it was.
 *
 * WHAT    Composes the report for a wrong pointer or size and gives it to
 *         the handler; the default handler prints it and aborts.
 * LOCKS   Called with none held, because the handler may call anything.
 */
#ifndef ALM_MEM_MISUSE_H
#define ALM_MEM_MISUSE_H

#include "almacen.h"
#include "base/base.h"

/* What is known about the address. */
struct misuse {
  enum alm_misuse kind;
  const void *pointer;
  uintptr_t object;    /* start of the object concerned, if any     */
  size_t object_bytes; /* its size                                  */
  size_t given_bytes;  /* ALM_MISUSE_SIZE: what the caller said     */
};

ALM_INTERNAL void misuse_report(const char *call, const struct misuse *m);

/* See alm_misuse_handler_set. */
ALM_INTERNAL alm_misuse_handler misuse_handler_set(alm_misuse_handler handler);

#endif
