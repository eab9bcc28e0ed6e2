/* os/conf.h -- the table of run-time options.
 *
 * WHAT    One row per option: name, type, default, bounds, when it may be
 *         set, help. ALMACEN=name=value,name=value sets them at start,
 *         alm_option_set later.
 * OWNER   conf.c. Values are read with relaxed loads from any thread; "text"
 *         values never change after conf_init.
 * ERRORS  Unknown names and bad values in the environment are reported on
 *         stderr, one line each, and ignored.
 */
#ifndef ALM_OS_CONF_H
#define ALM_OS_CONF_H

#include "almacen.h"
#include "base/base.h"

/* X(name, type, default, min, max, when, help); the type decides how text is
 * read: bool 0/1, count, bytes (K M G T suffixes, powers of 1024), ms. */
#define CONF_OPTIONS(X)                                                        \
  X(background, bool, "1", 0, 1, any,                                          \
    "Return free memory to the OS from a background thread.")                  \
  X(decay_ms, ms, "1400", 0, 3600000, any,                                     \
    "Time constant with which memory kept for reuse decays; 0 keeps none.")    \
  X(fork_handlers, bool, "1", 0, 1, start,                                     \
    "Keep the allocator usable in the child of a threaded process.")           \
  X(gctrace, bool, "0", 0, 1, any,                                             \
    "Print Go's line of times and sizes for each collection of a heap.")       \
  X(huge_pages, bool, "1", 0, 1, any,                                          \
    "Back garbage-collected heaps with huge pages where they are dense.")      \
  X(record, text, "", 0, 0, start,                                             \
    "Directory in which each process leaves its account (almacen run).")       \
  X(reserve, bytes, "16T", 16 * MIB, 16 * TIB, start,                          \
    "Address space to ask for; halved until the OS agrees.")                   \
  X(scavtrace, bool, "0", 0, 1, any,                                           \
    "Print a line whenever the background thread has returned memory.")        \
  X(seed, count, "0", 0, UINT64_MAX, start,                                    \
    "Fix the address of the heap for this number; 0 takes a random one.")

enum conf_id {
#define X(name, type, def, min, max, when, help) CONF_##name,
  CONF_OPTIONS(X)
#undef X
      CONF_COUNT
};

/* Read ALMACEN. Once, before a second thread can allocate. */
ALM_INTERNAL void conf_init(void);

/* The value of a bool, count, bytes or ms option. */
ALM_INTERNAL uint64_t conf_number(enum conf_id id);
/* The value of a text option; "" when not set. */
ALM_INTERNAL const char *conf_text(enum conf_id id);

/* The public functions of the same names, see almacen.h. */
ALM_INTERNAL enum alm_err conf_set(const char *name, const char *value);
ALM_INTERNAL enum alm_err conf_get(const char *name, char *text, size_t size);
ALM_INTERNAL enum alm_err conf_list(size_t index, struct alm_option_info *out);

#endif
