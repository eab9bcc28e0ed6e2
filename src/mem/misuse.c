/* mem/misuse.c -- see misuse.h. */
#include "misuse.h"

#include "base/atomic.h"
#include "base/diag.h"

#include <stdlib.h>

static alm_misuse_handler misuse_handler; /* any thread; relaxed */

alm_misuse_handler misuse_handler_set(alm_misuse_handler handler) {
  return atomic_exchange_relaxed(&misuse_handler, handler);
}

void misuse_report(const char *call, const struct misuse *m) {
  char text[256];
  size_t n = diag_format(text, sizeof text, "%s(%p): ", call,
                         (void *)(uintptr_t)m->pointer);
  char *rest = text + n;
  size_t room = sizeof text - n;
  void *object = (void *)m->object;
  switch (m->kind) {
  case ALM_MISUSE_FOREIGN:
    diag_format(rest, room, "pointer was never allocated by almacen");
    break;
  case ALM_MISUSE_INTERIOR:
    diag_format(rest, room,
                "pointer is %zu bytes inside a %zu-byte object at %p",
                (uintptr_t)m->pointer - m->object, m->object_bytes, object);
    break;
  case ALM_MISUSE_FREED:
    if (m->object_bytes == 0) {
      diag_format(rest, room, "pointer is free already (in no object now)");
    } else {
      diag_format(rest, room, "pointer is free already (%zu-byte object)",
                  m->object_bytes);
    }
    break;
  case ALM_MISUSE_SIZE:
    diag_format(rest, room, "size %zu cannot be that of a %zu-byte object",
                m->given_bytes, m->object_bytes);
    break;
  case ALM_MISUSE_COLLECTED:
    diag_format(rest, room, "pointer is in a garbage-collected heap");
    break;
  case ALM_MISUSE_MUTATOR:
    diag_format(rest, room, "not a mutator that this thread has attached");
    break;
  case ALM_MISUSE_CALLBACK:
    diag_format(rest, room, "not allowed in a callback of a collection");
    break;
  case ALM_MISUSE_STACK:
    if (m->object_bytes == 0) {
      diag_format(rest, room, "stack pointer of a thread is in no known stack");
    } else {
      diag_format(rest, room,
                  "saved stack pointer is outside of its %zu-byte stack at %p",
                  m->object_bytes, object);
    }
    break;
  case ALM_MISUSE_HEAP:
    diag_format(rest, room, "belongs to another heap");
    break;
  }
  alm_misuse_handler handler = atomic_load_relaxed(&misuse_handler);
  if (handler == NULL) {
    diag_line("%s", text);
    abort();
  }
  struct alm_misuse_info info = {m->kind, call, m->pointer, text};
  handler(&info);
}
