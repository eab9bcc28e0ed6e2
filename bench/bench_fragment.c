/* bench/bench_fragment.c -- sizes that shift over time, with survivors.
 *
 * WHAT    A program that lives through phases. In each phase objects come
 *         from another size range; about `live` bytes are kept and replaced
 *         at random until `turnover` bytes were allocated. At the end of a
 *         phase all go except one object in `keep`, which stays to the end
 *         of the program. The memory between the survivors is what the next
 *         phase, with other sizes, has to live in.
 * HOW     Reports live bytes and RSS at the end, when only the survivors are
 *         left, and RSS in the middle of the last phase.
 */
#include "bench.h"

struct range {
  size_t min, max;
};

static const struct range phases[] = {
    {16, 64},  {256, 512},  {24, 200},     {2048, 8192},
    {64, 128}, {512, 3000}, {8192, 65536}, {32, 1024},
};

enum { PHASES = 8 };

struct state {
  struct bench_rng rng;
  struct bench_object *objects, *survivors;
  size_t count, survivors_count, survivors_max;
  uint64_t live_bytes, ops;
};

static void phase_run(struct state *s, struct range sizes, uint64_t live,
                      uint64_t turnover) {
  size_t mean = (sizes.min + sizes.max) / 2;
  s->count = live / mean;
  for (uint64_t left = turnover / mean; left > 0; left--) {
    struct bench_object *o = &s->objects[bench_random(&s->rng) % s->count];
    s->live_bytes -= o->p != NULL ? o->size : 0;
    bench_drop(o);
    *o = bench_make(bench_between(&s->rng, sizes.min, sizes.max));
    s->live_bytes += o->size;
    s->ops++;
  }
}

static void phase_end(struct state *s, uint64_t keep) {
  for (size_t i = 0; i < s->count; i++) {
    struct bench_object *o = &s->objects[i];
    if (o->p == NULL) {
      continue;
    }
    if (bench_random(&s->rng) % keep == 0 &&
        s->survivors_count < s->survivors_max) {
      s->survivors[s->survivors_count++] = *o;
      o->p = NULL;
    } else {
      s->live_bytes -= o->size;
      bench_drop(o);
    }
  }
}

int main(int argc, char **argv) {
  uint64_t live = 32 << 20, turnover = 128 << 20, keep = 20, seed = 1;
  const struct bench_option table[] = {
      {"live", &live, "bytes kept within a phase"},
      {"turnover", &turnover, "bytes allocated in each of the 8 phases"},
      {"keep", &keep, "one object in so many outlives its phase"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct state s = {.rng = bench_seed(seed)};
  s.survivors_max = live / 40 * 8 / keep + PHASES;
  s.objects = bench_objects(live / 40 + 1);
  s.survivors = bench_objects(s.survivors_max);
  double begin = bench_now();
  uint64_t rss_busy = 0, live_busy = 0;
  for (int p = 0; p < PHASES; p++) {
    phase_run(&s, phases[p], live, turnover);
    if (p == PHASES - 1) {
      rss_busy = bench_rss_kib();
      live_busy = s.live_bytes >> 10;
    }
    phase_end(&s, keep);
  }
  double seconds = bench_now() - begin;
  uint64_t rss = bench_rss_kib(), live_end = s.live_bytes >> 10;
  for (size_t i = 0; i < s.survivors_count; i++) {
    bench_drop(&s.survivors[i]);
  }
  free(s.survivors);
  free(s.objects);
  bench_report("fragment", s.ops, seconds,
               ",\"live_busy_kib\":%" PRIu64 ",\"rss_busy_kib\":%" PRIu64
               ",\"live_end_kib\":%" PRIu64 ",\"rss_end_kib\":%" PRIu64,
               live_busy, rss_busy, live_end, rss);
  return 0;
}
