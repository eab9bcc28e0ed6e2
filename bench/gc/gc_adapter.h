/* bench/gc/gc_adapter.h -- one program, several collectors.
 *
 * WHAT    What a benchmark of a garbage collector asks from it, chosen by
 *         -DGC_ALMACEN or -DGC_BOEHM when the program is compiled: typed and
 *         pointer-free allocation, the pointer store, roots, threads, a full
 *         collection, and what the collector says about its pauses.
 * HOW     A thread that allocates has a struct gc_thread on its stack, between
 *         gc_thread_begin and gc_thread_end. Static memory with pointers is
 *         declared by gc_root. `tuned=1` asks for the setting that knows more
 *         of the program: pointers into objects keep them alive only if they
 *         are to the first byte, and the heap starts with `heap` bytes.
 */
#ifndef GC_ADAPTER_H
#define GC_ADAPTER_H

#ifdef GC_BOEHM
#define GC_THREADS /* before bench.h: pthread_create becomes libgc's */
#include <gc/gc.h>
#include <gc/gc_typed.h>
#endif
#include "../bench.h"

static struct gc_options { uint64_t tuned, heap, typed; } gc_options;

#define GC_OPTIONS                                                             \
  {"tuned", &gc_options.tuned, "1: base pointers only, `heap`"},               \
      {"heap", &gc_options.heap, "tuned: bytes to start with; 0: default"}, {  \
    "typed", &gc_options.typed, "libgc: GC_malloc_explicitly_typed"            \
  }

/* As the collector tells it, since the program began. */
struct gc_pauses {
  uint64_t count;
  double total_ms, max_ms;
};

enum { GC_WORD_BYTES = 8, GC_TYPES_MAX = 32 };

#if defined(GC_ALMACEN)
#include "gc_almacen.h"
#elif defined(GC_BOEHM)
#include "gc_boehm.h"
#else
#error "which collector?"
#endif

/* The JSON line: bench_report with the collector's account. */
__attribute__((format(printf, 4, 5))) static inline void gc_report(
    const char *name, uint64_t ops, double seconds, const char *more, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, more);
  vsnprintf(text, sizeof text, more, ap);
  va_end(ap);
  struct gc_pauses p = gc_pauses_read();
  bench_report(name, ops, seconds,
               "%s,\"collections\":%" PRIu64
               ",\"pause_total_ms\":%.3f,\"pause_max_ms\":%.3f",
               text, p.count, p.total_ms, p.max_ms);
}

#endif
