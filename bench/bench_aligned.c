/* bench/bench_aligned.c -- memory with more than natural alignment.
 *
 * WHAT    Replaces random objects among `live` ones: half plain malloc, half
 *         aligned_alloc with 16 to 4,096 bytes (mostly cache lines and
 *         vectors), one in 512 with 64 KiB to 2 MiB. Alignment is verified.
 *         Left out: objects of at most 1 KiB aligned to 256, 512 or 1,024
 *         bytes, which mimalloc 2.0.9 misaligns (its issue 700, fixed later).
 */
#include "bench.h"

static size_t alignment_pick(struct bench_rng *r) {
  uint64_t k = bench_random(r) & 511;
  if (k == 0) {
    return (size_t)65536 << bench_between(r, 0, 5);
  }
  if (k < 384) {
    return (size_t)16 << bench_between(r, 0, 3);
  }
  return (size_t)128 << bench_between(r, 0, 5);
}

static struct bench_object aligned_make(struct bench_rng *r) {
  size_t align = alignment_pick(r);
  size_t units = bench_size_mixed(r) / 2 / align + 1;
  if (align >= 256 && align <= 1024) {
    units += 1024 / align; /* Debian's mimalloc 2.0.9 gets smaller ones wrong */
  }
  size_t size = units * align;
  struct bench_object o = {aligned_alloc(align, size), (uint32_t)size, 0};
  bench_checked(o.p, o.size);
  if (((uintptr_t)o.p & (align - 1)) != 0) {
    bench_broken("aligned_alloc is not aligned", o.p, align);
  }
  bench_stamp(&o);
  return o;
}

int main(int argc, char **argv) {
  uint64_t ops = 6 << 20, live = 4096, seed = 1;
  const struct bench_option table[] = {
      {"ops", &ops, "allocations"},
      {"live", &live, "objects kept"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct bench_rng r = bench_seed(seed);
  struct bench_object *objects = bench_objects(live);
  double begin = bench_now();
  for (uint64_t i = 0; i < ops; i++) {
    struct bench_object *o = &objects[bench_random(&r) % live];
    bench_drop(o);
    *o = (i & 1) != 0 ? aligned_make(&r) : bench_make(bench_size_mixed(&r));
  }
  for (uint64_t i = 0; i < live; i++) {
    bench_drop(&objects[i]);
  }
  free(objects);
  bench_report("aligned", ops, bench_now() - begin, "%s", "");
  return 0;
}
