/* almacen_all.c -- the library in one translation unit, lowest layer first.
 *
 * The products are built from this file, so that the public functions inline
 * what they call; the tests are built from the modules.
 */
#include "base/diag.c"

#include "os/conf.c"
#include "os/lock.c"
#include "os/os_linux.c"
#include "os/os_mem.c"

#include "mem/arena.c"
#include "mem/cache.c"
#include "mem/central.c"
#include "mem/marks.c"
#include "mem/memstat.c"
#include "mem/metaalloc.c"
#include "mem/misuse.c"
#include "mem/pagealloc.c"
#include "mem/pagebits.c"
#include "mem/pageheap.c"
#include "mem/scavenge.c"
#include "mem/sizeclass.c"
#include "mem/span.c"

#include "gc/cycle.c"
#include "gc/finalizer.c"
#include "gc/heap.c"
#include "gc/idle.c"
#include "gc/local.c"
#include "gc/mark.c"
#include "gc/pacer.c"
#include "gc/roots.c"
#include "gc/special.c"
#include "gc/stack.c"
#include "gc/sweep.c"
#include "gc/trace.c"
#include "gc/work.c"
#include "gc/world.c"

#include "obs/record.c"

#include "api/alloc.c"
#include "api/almacen.c"
#include "api/background.c"
#include "api/collector.c"
#include "api/core.c"
#include "api/process.c"
