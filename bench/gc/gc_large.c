/* bench/gc/gc_large.c -- large objects.
 *
 * WHAT    A ring of `live` objects of `min` to `max` bytes, every power of
 *         two equally likely; each in turn is replaced. One in two is an array
 *         of pointers (one to itself per OS page), the others hold none. One
 *         word per page is written and later checked.
 */
#include "gc_adapter.h"

struct large {
  uint64_t bytes, stamp;
};

static void **ring;

static size_t word_at(size_t page) {
  return page * (BENCH_PAGE_BYTES / GC_WORD_BYTES) + 2;
}

static void *large_make(struct gc_thread *t, size_t bytes, bool has_pointers) {
  void **p =
      has_pointers ? gc_array(t, bytes / GC_WORD_BYTES) : gc_noscan(t, bytes);
  for (size_t page = 0; page < bytes / BENCH_PAGE_BYTES; page++) {
    gc_store(t, p, &p[word_at(page)], p);
  }
  struct large *head = (struct large *)(void *)p;
  head->bytes = bytes;
  head->stamp = bytes * 7;
  return p;
}

static void large_check(void **p) {
  struct large *head = (struct large *)(void *)p;
  if (head->stamp != head->bytes * 7) {
    bench_broken("contents lost", p, head->bytes);
  }
  for (size_t page = 0; page < head->bytes / BENCH_PAGE_BYTES; page++) {
    if (p[word_at(page)] != p) {
      bench_broken("contents lost", p, page);
    }
  }
}

int main(int argc, char **argv) {
  uint64_t live = 64, ops = 8000, min = 32 << 10, max = 4 << 20;
  const struct bench_option table[] = {{"live", &live, "objects"},
                                       {"ops", &ops, "replacements"},
                                       {"min", &min, "bytes"},
                                       {"max", &max, "bytes"},
                                       GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  gc_init();
  gc_root(&ring, sizeof ring);
  struct gc_thread t;
  gc_thread_begin(&t);
  double begin = bench_now();
  struct bench_rng r = bench_seed(5);
  ring = gc_array(&t, live);
  for (uint64_t n = 0; n < ops; n++) {
    void **slot = &ring[n % live];
    if (*slot != NULL) {
      large_check(*slot);
    }
    size_t bytes = bench_size_log(&r, min, max) / GC_WORD_BYTES * GC_WORD_BYTES;
    gc_store(&t, ring, slot, large_make(&t, bytes, n % 2 == 0));
  }
  double seconds = bench_now() - begin;
  gc_thread_end(&t);
  gc_report("gc_large", ops, seconds, "%s", "");
  return 0;
}
