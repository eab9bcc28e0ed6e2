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
#include "mem/memstat.c"
#include "mem/metaalloc.c"
#include "mem/misuse.c"
#include "mem/pagealloc.c"
#include "mem/pagebits.c"
#include "mem/pageheap.c"
#include "mem/scavenge.c"
#include "mem/sizeclass.c"
#include "mem/span.c"

#include "obs/record.c"

#include "api/alloc.c"
#include "api/almacen.c"
#include "api/background.c"
#include "api/process.c"
