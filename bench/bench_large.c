/* bench/bench_large.c -- large objects, 32 KiB to 32 MiB.
 *
 * WHAT    Replaces random objects among `live` ones, every power of two
 *         equally likely; one word of every OS page is written. Shows what an
 *         allocator does with pages it gets back: keep them (memory), give
 *         them to the kernel (page faults), or in between.
 */
#include "bench.h"

int main(int argc, char **argv) {
  uint64_t ops = 2000, live = 12, seed = 1, min = 32 << 10, max = 32 << 20;
  const struct bench_option table[] = {
      {"ops", &ops, "allocations"},
      {"live", &live, "objects kept"},
      {"min", &min, "bytes of the smallest object"},
      {"max", &max, "bytes of the largest object"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct bench_rng r = bench_seed(seed);
  struct bench_object *objects = bench_objects(live);
  uint64_t live_bytes = 0, peak_bytes = 0;
  double begin = bench_now();
  for (uint64_t i = 0; i < ops; i++) {
    struct bench_object *o = &objects[bench_random(&r) % live];
    live_bytes -= o->size;
    bench_drop(o);
    *o = bench_make(bench_size_log(&r, min, max));
    live_bytes += o->size;
    peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
  }
  for (uint64_t i = 0; i < live; i++) {
    bench_drop(&objects[i]);
  }
  free(objects);
  bench_report("large", ops, bench_now() - begin, ",\"live_peak_kib\":%" PRIu64,
               peak_bytes >> 10);
  return 0;
}
