/* compat/libgc_all.c -- library and libgc face as one translation unit. See
 * libgc/libgc.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define ALM_LIBGC_FACE 1
#include <pthread.h>

/* The library's own threads are not what the interposed functions are for
 * (libgc/threads.c), nor is its table the one other faces look for. */
static int libgc_real_create(pthread_t *id, const pthread_attr_t *attr,
                             void *(*fn)(void *), void *arg);
static int libgc_real_join(pthread_t id, void **result);
#define pthread_create libgc_real_create
#define pthread_join libgc_real_join
#define alm_core gc_own_core
#include "../src/almacen_all.c"
#undef pthread_create
#undef pthread_join
#undef alm_core

#include "libgc/alloc.c"
#include "libgc/control.c"
#include "libgc/debug.c"
#include "libgc/finalize.c"
#include "libgc/kinds.c"
#include "libgc/links.c"
#include "libgc/roots.c"
#include "libgc/start.c"
#include "libgc/table.c"
#include "libgc/threads.c"

/* What the face knows of the core without being able to include it. */
STATIC_CHECK((int)RUNS_MAX == (int)LAYOUT_COUNT);
STATIC_CHECK(NO_LAYOUTS + SIZECLASS_COUNT <= RUNS_MAX);
STATIC_CHECK((int)LAYOUT_TYPES + KINDS_MAX * SIZECLASS_COUNT <= NO_LAYOUTS);
STATIC_CHECK((int)SMALL_MAX == (int)SMALL_BYTES_MAX);
STATIC_CHECK(PAGE == PAGE_BYTES);
STATIC_CHECK(DISPLACEMENT_MAX == DISPLACEMENTS - 1);

static int libgc_real_create(pthread_t *id, const pthread_attr_t *attr,
                             void *(*fn)(void *), void *arg) {
  return gc_real_create(id, attr, fn, arg);
}

static int libgc_real_join(pthread_t id, void **result) {
  return gc_real_join(id, result);
}
