/* bench/bench_batch.c -- allocate many, then free them all.
 *
 * WHAT    Allocates `count` objects, frees them; again, `rounds` times. The
 *         order of freeing goes round: as allocated, reversed, random. So the
 *         lists an allocator keeps overflow, and the memory they refill from
 *         is alternately in order and shuffled.
 */
#include "bench.h"

static void shuffle(struct bench_object *a, uint64_t count,
                    struct bench_rng *r) {
  for (uint64_t i = count - 1; i > 0; i--) {
    uint64_t k = bench_random(r) % (i + 1);
    struct bench_object t = a[i];
    a[i] = a[k];
    a[k] = t;
  }
}

int main(int argc, char **argv) {
  uint64_t count = 100000, rounds = 240, min = 16, max = 256, seed = 1;
  const struct bench_option table[] = {
      {"count", &count, "objects in a batch"},
      {"rounds", &rounds, "batches"},
      {"min", &min, "bytes of the smallest object"},
      {"max", &max, "bytes of the largest object"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct bench_rng r = bench_seed(seed);
  struct bench_object *a = bench_objects(count);
  double begin = bench_now();
  for (uint64_t n = 0; n < rounds; n++) {
    for (uint64_t i = 0; i < count; i++) {
      a[i] = bench_make(bench_between(&r, min, max));
    }
    if (n % 3 == 2) {
      shuffle(a, count, &r);
    }
    for (uint64_t i = 0; i < count; i++) {
      bench_drop(&a[n % 3 == 1 ? count - 1 - i : i]);
    }
  }
  free(a);
  bench_report("batch", count * rounds, bench_now() - begin, "%s", "");
  return 0;
}
