/* bench/bench_calloc.c -- zeroed memory, 64 bytes to 1 MiB.
 *
 * WHAT    Replaces random objects among `live` ones with calloc, every power
 *         of two equally likely. New objects are read (one word per cache
 *         line must be 0), then written whole, so that an allocator gains
 *         only by knowing which memory is fresh from the kernel.
 */
#include "bench.h"

static void zero_verify(const unsigned char *p, size_t size) {
  uint64_t any = 0, word;
  for (size_t at = 0; at + 8 <= size; at += BENCH_LINE_BYTES) {
    memcpy(&word, p + at, sizeof word);
    any |= word;
  }
  memcpy(&word, p + size - 8, sizeof word);
  if ((any | word) != 0) {
    bench_broken("calloc memory is not zero", p, size);
  }
}

int main(int argc, char **argv) {
  uint64_t ops = 96 << 10, live = 64, seed = 1, min = 64, max = 1 << 20;
  const struct bench_option table[] = {
      {"ops", &ops, "calls of calloc"},
      {"live", &live, "objects kept"},
      {"min", &min, "bytes of the smallest object, at least 8"},
      {"max", &max, "bytes of the largest object"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct bench_rng r = bench_seed(seed);
  struct bench_object *objects = bench_objects(live);
  double begin = bench_now();
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < ops; i++) {
    struct bench_object *o = &objects[bench_random(&r) % live];
    bench_drop(o);
    o->size = (uint32_t)bench_size_log(&r, min, max);
    bytes += o->size;
    o->p = bench_checked(calloc(1, o->size), o->size);
    zero_verify(o->p, o->size);
    memset(o->p, 0xA5, o->size);
    bench_stamp(o);
  }
  for (uint64_t i = 0; i < live; i++) {
    bench_drop(&objects[i]);
  }
  free(objects);
  bench_report("calloc", ops, bench_now() - begin, ",\"bytes\":%" PRIu64,
               bytes);
  return 0;
}
