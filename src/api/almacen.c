/* api/almacen.c -- every public function: check, convert, call.
 *
 * The only file that sets errno. See include/almacen.h for the contracts.
 */
#include "almacen.h"

#include "alloc.h"
#include "background.h"
#include "gc/heap.h"
#include "mem/memstat.h"
#include "mem/pageheap.h"
#include "mem/scavenge.h"
#include "os/conf.h"
#include "os/os.h"

#include <errno.h>

const char *alm_strerror(enum alm_err err) {
  switch (err) {
  case ALM_OK:
    return "success";
  case ALM_ENOMEM:
    return "the operating system refused memory";
  case ALM_EINVAL:
    return "an argument is outside its documented range";
  case ALM_ENAME:
    return "there is no option of that name";
  case ALM_EVALUE:
    return "the value does not fit the option";
  case ALM_ELATE:
    return "the option can only be set at start (ALMACEN=name=value)";
  case ALM_EBUSY:
    return "others still use it";
  case ALM_ESTATE:
    return "not allowed in a callback of a collection";
  case ALM_ESPECIAL:
    return "the object has weak references, finalizers or ephemerons";
  case ALM_EPACKED:
    return "the object shares its block with other tiny objects";
  }
  return "unknown error code";
}

const char *alm_version(void) {
  return ALM_VERSION;
}

ALM_COLD static void *almacen_nomem(void) {
  errno = ENOMEM;
  return NULL;
}

/* The three hot ones are `inline` so that the malloc face, compiled in the
 * same unit, holds their code instead of jumping to it. The declarations in
 * the public header make these the external definitions too. */
inline void *alm_malloc(size_t size) {
  void *p = alloc_malloc(size);
  return likely(p != NULL) ? p : almacen_nomem();
}

inline void *alm_calloc(size_t count, size_t size) {
  size_t bytes;
  if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
    return almacen_nomem();
  }
  void *p = alloc_calloc(bytes);
  return likely(p != NULL) ? p : almacen_nomem();
}

inline void alm_free(void *p) {
  alloc_free(p, "free");
}

ALM_INLINE void *almacen_realloc(void *p, size_t size, const char *call) {
  if (p == NULL) {
    return alm_malloc(size);
  }
  if (size == 0) {
    alloc_free(p, call);
    return NULL;
  }
  void *to = alloc_realloc(p, size, call);
  return likely(to != NULL) ? to : almacen_nomem();
}

void *alm_realloc(void *p, size_t size) {
  return almacen_realloc(p, size, "realloc");
}

void *alm_reallocarray(void *p, size_t count, size_t size) {
  size_t bytes;
  if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
    return almacen_nomem();
  }
  return almacen_realloc(p, bytes, "reallocarray");
}

/* Debug builds: could an object at p have been asked for with `size`? False:
 * no, and it was reported. */
static bool almacen_size_fits(void *p, size_t align, size_t size,
                              const char *call) {
  if (!ALM_DEBUG || p == NULL) {
    return true;
  }
  size_t usable = alloc_usable_size(p, call);
  bool fits = size <= usable && (uintptr_t)p % align == 0;
  if (usable != 0 && !fits) {
    struct misuse m = {ALM_MISUSE_SIZE, p, (uintptr_t)p, usable, size};
    misuse_report(call, &m);
  }
  return usable != 0 && fits;
}

void alm_free_sized(void *p, size_t size) {
  if (almacen_size_fits(p, 1, size, "free_sized")) {
    alloc_free(p, "free_sized");
  }
}

void alm_free_aligned_sized(void *p, size_t alignment, size_t size) {
  size_t align = max_size(alignment, 1);
  if (almacen_size_fits(p, align, size, "free_aligned_sized")) {
    alloc_free(p, "free_aligned_sized");
  }
}

void *alm_aligned_alloc(size_t alignment, size_t size) {
  if (unlikely(!is_power_of_two(alignment))) {
    errno = EINVAL;
    return NULL;
  }
  void *p = alloc_aligned(alignment, size);
  return likely(p != NULL) ? p : almacen_nomem();
}

int alm_posix_memalign(void **out, size_t alignment, size_t size) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
    return EINVAL;
  }
  void *p = alloc_aligned(alignment, size);
  if (p == NULL) {
    return ENOMEM;
  }
  *out = p;
  return 0;
}

void *alm_memalign(size_t alignment, size_t size) {
  return alm_aligned_alloc(alignment, size);
}

void *alm_valloc(size_t size) {
  process_start();
  return alm_aligned_alloc(max_size(os_page_bytes(), 1), size);
}

void *alm_pvalloc(size_t size) {
  process_start();
  size_t os_page = max_size(os_page_bytes(), 1);
  if (size > PTRDIFF_MAX - os_page) {
    return almacen_nomem();
  }
  return alm_aligned_alloc(os_page, align_up(max_size(size, 1), os_page));
}

size_t alm_malloc_usable_size(const void *p) {
  return p == NULL ? 0 : alloc_usable_size(p, "malloc_usable_size");
}

void alm_thread_flush(void) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  if (thread_cache != &cache_empty) {
    cache_flush(thread_cache, &bad);
  }
  if (bad.kind != 0) {
    misuse_report("free", &bad);
  }
}

size_t alm_release_memory(size_t keep) {
  struct misuse bad = {0, NULL, 0, 0, 0};
  if (!process_start()) {
    return 0;
  }
  alm_thread_flush();
  process_shared_flush(&bad);
  cache_trim(true, &bad);
  central_drain(true, &bad);
  if (bad.kind != 0) {
    misuse_report("free", &bad);
  }
  return scavenge_step(keep >> PAGE_SHIFT, 0) << PAGE_SHIFT;
}

bool alm_background_stop(void) {
  return background_stop();
}

enum alm_err alm_option_set(const char *name, const char *value) {
  process_start();
  return conf_set(name, value);
}

enum alm_err alm_option_get(const char *name, char *text, size_t size) {
  process_start();
  return conf_get(name, text, size);
}

enum alm_err alm_option_list(size_t index, struct alm_option_info *out) {
  return conf_list(index, out);
}

alm_misuse_handler alm_misuse_handler_set(alm_misuse_handler handler) {
  return misuse_handler_set(handler);
}

bool alm_check(void) {
  if (!process_start()) {
    return true;
  }
  cache_lock_all();
  central_lock_all();
  bool ok = cache_check() && central_check() && pageheap_check();
  central_unlock_all();
  cache_unlock_all();
  return ok && pagealloc_check();
}

void alm_stats_read(struct alm_stats *out) {
  process_start();
  cache_publish_all();
  heap_publish_all();
  memstat_copy(out);
}

uint64_t alm_pause_quantile_ns(const struct alm_gc_stats *gc,
                               unsigned per_mille) {
  return memstat_pause_quantile(gc, per_mille);
}
