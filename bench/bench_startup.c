/* bench/bench_startup.c -- the floor: what the smallest process costs.
 *
 * WHAT    Allocates a handful of objects, prints its line and ends. The
 *         runner executes it many times and takes the whole time and the
 *         largest peak RSS. What an allocator sets up before main, maps, and
 *         touches in its tables is what differs.
 */
#include "bench.h"

int main(int argc, char **argv) {
  uint64_t ops = 32, seed = 1;
  const struct bench_option table[] = {
      {"ops", &ops, "objects, all small, at most 1024"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  static struct bench_object objects[1024];
  struct bench_rng r = bench_seed(seed);
  double begin = bench_now();
  for (uint64_t i = 0; i < ops && i < 1024; i++) {
    objects[i] = bench_make(bench_between(&r, 16, 512));
  }
  for (uint64_t i = 0; i < ops && i < 1024; i++) {
    bench_drop(&objects[i]);
  }
  bench_report("startup", ops, bench_now() - begin, ",\"rss_end_kib\":%" PRIu64,
               bench_rss_kib());
  return 0;
}
