/* bench/gc/gc_alloc.c -- allocation of objects that are dropped at once.
 *
 * WHAT    Each thread makes `ops` objects of `size` bytes whose first word is
 *         a pointer, and writes it. Nothing stays alive. With noscan=1 they
 *         hold no pointers, may have 8 bytes, and the last `keep` of each
 *         thread stay alive.
 */
#include "gc_adapter.h"

struct worker {
  uint64_t ops, size, keep;
};

static struct gc_type type;

static void *allocate(void *arg) {
  struct worker *w = arg;
  struct gc_thread t;
  gc_thread_begin(&t);
  for (uint64_t i = 0; i < w->ops; i++) {
    void **p = gc_new(&t, &type);
    if (p[1] != NULL) {
      bench_broken("not zeroed", p, 0);
    }
    gc_store(&t, p, p, p);
    __asm__ volatile("" : : "r"(p) : "memory");
  }
  gc_thread_end(&t);
  return NULL;
}

static void *allocate_noscan(void *arg) {
  struct worker *w = arg;
  struct gc_thread t;
  gc_thread_begin(&t);
  void **kept = gc_array(&t, w->keep);
  for (uint64_t i = 0, at = 0; i < w->ops; i++) {
    uint64_t *p = gc_noscan(&t, w->size);
    *p = i; /* libgc does not clear it */
    if (kept[at] != NULL && *(uint64_t *)kept[at] != i - w->keep) {
      bench_broken("contents lost", kept[at], at);
    }
    gc_store(&t, kept, &kept[at], p);
    at = at + 1 == w->keep ? 0 : at + 1;
  }
  gc_thread_end(&t);
  return NULL;
}

int main(int argc, char **argv) {
  uint64_t threads = 1, size = 64, ops = 16 << 20, noscan = 0, keep = 1;
  const struct bench_option table[] = {
      {"threads", &threads, "threads"},
      {"size", &size, "bytes of an object, 16 to 512"},
      {"ops", &ops, "objects of each thread"},
      {"noscan", &noscan, "1: objects hold no pointers; 8 bytes are allowed"},
      {"keep", &keep, "noscan: objects of each thread that stay alive"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  if (size < (noscan ? 8 : 16) || keep < 1) {
    bench_usage(argv[0], table, sizeof table / sizeof table[0]);
  }
  gc_init();
  if (!noscan) {
    type = gc_type_make(size, 1);
  }
  static struct worker workers[BENCH_THREADS_MAX];
  threads = threads < BENCH_THREADS_MAX ? threads : BENCH_THREADS_MAX;
  for (uint64_t i = 0; i < threads; i++) {
    workers[i] = (struct worker){ops, size, keep};
  }
  double begin = bench_now();
  bench_parallel(threads, noscan ? allocate_noscan : allocate, workers,
                 sizeof workers[0]);
  double seconds = bench_now() - begin;
  gc_report("gc_alloc", ops * threads, seconds,
            ",\"threads\":%" PRIu64 ",\"ns_object\":%.3f", threads,
            seconds * 1e9 / (double)ops);
  return 0;
}
