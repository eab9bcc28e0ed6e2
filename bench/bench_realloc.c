/* bench/bench_realloc.c -- growing vectors and strings.
 *
 * WHAT    Four groups of vectors grow side by side: strings by 16 bytes to
 *         4 KiB, small vectors by half to 64 KiB, middle ones by a quarter to
 *         1 MiB, a few by half beyond 16 MiB. Steps of all groups and short
 *         lived small objects alternate, so that growing in place is not
 *         always possible. A vector that is full is freed and starts anew.
 * HOW     After each step the first word, the last word of the old size and
 *         the word at one random page of the vector are verified.
 */
#include "bench.h"

struct group {
  unsigned count;     /* vectors                                   */
  unsigned weight;    /* of 1,024 steps, this many go to the group */
  unsigned numerator; /* new size = old * numerator / 4 ...        */
  unsigned add;       /* ... + add bytes                           */
  size_t max;         /* a vector at or above is freed             */
};

static const struct group groups[] = {
    {64, 720, 4, 16, 4 << 10},
    {32, 276, 6, 0, 64 << 10},
    {8, 27, 5, 0, 1 << 20},
    {4, 1, 6, 0, 17 << 20},
};

enum { GROUPS = 4, VECTORS_MAX = 64, SMALL = 256, FIRST_BYTES = 16 };

struct vector {
  unsigned char *p;
  size_t size;
  uint64_t id;
};

static struct vector vectors[GROUPS][VECTORS_MAX];

static void word_put(struct vector *v, size_t at, uint64_t value) {
  value ^= v->id;
  memcpy(v->p + at, &value, sizeof value);
}

static void word_verify(const struct vector *v, size_t at, uint64_t value) {
  uint64_t found;
  memcpy(&found, v->p + at, sizeof found);
  if ((found ^ v->id) != value) {
    bench_broken("contents lost in realloc", v->p + at, v->size);
  }
}

/* Write the part between `from` and the end; one word per OS page in it. */
static void vector_extend(struct vector *v, size_t from) {
  size_t at = (from + BENCH_PAGE_BYTES - 1) & ~(size_t)(BENCH_PAGE_BYTES - 1);
  for (; at + 8 < v->size; at += BENCH_PAGE_BYTES) {
    word_put(v, at, at);
  }
  word_put(v, v->size - 8, v->size);
}

static void vector_start(struct vector *v, uint64_t id) {
  v->id = id * UINT64_C(0x9E3779B97F4A7C15);
  v->size = FIRST_BYTES;
  v->p = bench_checked(malloc(v->size), v->size);
  vector_extend(v, 0);
}

/* A size is a multiple of 16, so a page word and an end word never meet. */
static void vector_step(struct vector *v, const struct group *g,
                        struct bench_rng *r, uint64_t id) {
  size_t old = v->size;
  size_t size = (old * g->numerator / 4 + g->add + 15) & ~(size_t)15;
  v->p = bench_checked(realloc(v->p, size), size);
  v->size = size;
  word_verify(v, old - 8, old);
  size_t pages = old / BENCH_PAGE_BYTES;
  size_t at = bench_between(r, 0, pages) * BENCH_PAGE_BYTES;
  if (at + 8 < old) {
    word_verify(v, at, at);
  }
  vector_extend(v, old);
  if (size >= g->max) {
    free(v->p);
    vector_start(v, id);
  }
}

static const struct group *group_pick(struct bench_rng *r) {
  unsigned k = bench_random(r) & 1023;
  const struct group *g = groups;
  while (k >= g->weight) {
    k -= g->weight;
    g++;
  }
  return g;
}

int main(int argc, char **argv) {
  uint64_t ops = 4 << 20, seed = 1;
  const struct bench_option table[] = {
      {"ops", &ops, "calls of realloc"},
      {"seed", &seed, "of the random numbers"},
  };
  BENCH_OPTIONS(argc, argv, table);
  struct bench_rng r = bench_seed(seed);
  static struct bench_object small[SMALL];
  double begin = bench_now();
  for (unsigned g = 0; g < GROUPS; g++) {
    for (unsigned i = 0; i < groups[g].count; i++) {
      vector_start(&vectors[g][i], g * VECTORS_MAX + i);
    }
  }
  for (uint64_t i = 0; i < ops; i++) {
    const struct group *g = group_pick(&r);
    vector_step(&vectors[g - groups][bench_random(&r) % g->count], g, &r, i);
    struct bench_object *o = &small[bench_random(&r) % SMALL];
    bench_drop(o);
    *o = bench_make(bench_between(&r, 16, 512));
  }
  for (unsigned g = 0; g < GROUPS; g++) {
    for (unsigned i = 0; i < groups[g].count; i++) {
      free(vectors[g][i].p);
    }
  }
  for (unsigned i = 0; i < SMALL; i++) {
    bench_drop(&small[i]);
  }
  bench_report("realloc", ops, bench_now() - begin, "%s", "");
  return 0;
}
