/* compat/malloc_all.c -- library and malloc face as one translation unit, so
 * that alm_malloc is inlined into malloc. See malloc_shim.c. */
#define ALM_MALLOC_FACE 1
#include "../src/almacen_all.c"

#include "malloc_shim.c"
