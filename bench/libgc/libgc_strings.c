/* bench/libgc/libgc_strings.c -- strings that grow, and some that stay.
 *
 * WHAT    Builds `ops` strings of 16 bytes to `max`, every power of two
 *         equally likely, piece by piece with GC_REALLOC, as an interpreter
 *         with string buffers does; a copy of each (GC_STRDUP) replaces one
 *         of `live` strings at random, which is checked before it goes. Every
 *         5,000th string is one of 16 MiB.
 */
#include "../gc/gc_adapter.h"

enum { PIECE_MAX = 64, LONG_EVERY = 5000, LONG_BYTES = 16 << 20 };

struct buffer {
  char *text;
  size_t length, room;
};

static char **kept;       /* `live` strings, collected memory */
static uint64_t *digests; /* of the kept strings, not collected */

static uint64_t digest_of(const char *text) {
  uint64_t digest = UINT64_C(14695981039346656037);
  for (; *text != '\0'; text++) {
    digest = (digest ^ (unsigned char)*text) * UINT64_C(1099511628211);
  }
  return digest;
}

static void append(struct buffer *b, const char *piece, size_t n) {
  if (b->length + n >= b->room) {
    b->room = b->room + b->room / 2 + n + 1;
    b->text = bench_checked(GC_REALLOC(b->text, b->room), b->room);
  }
  memcpy(b->text + b->length, piece, n);
  b->length += n;
  b->text[b->length] = '\0';
}

static struct buffer build(struct bench_rng *r, size_t bytes) {
  struct buffer b = {bench_checked(GC_MALLOC_ATOMIC(16), 16), 0, 16};
  char piece[PIECE_MAX];
  b.text[0] = '\0';
  while (b.length < bytes) {
    size_t n = bench_between(r, 1, PIECE_MAX);
    memset(piece, 'a' + (int)(n % 26), n);
    append(&b, piece, n);
  }
  return b;
}

static void replace(struct bench_rng *r, uint64_t live, const char *text) {
  size_t i = bench_between(r, 0, live - 1);
  if (kept[i] != NULL && digest_of(kept[i]) != digests[i]) {
    bench_broken("contents lost", kept[i], i);
  }
  kept[i] = bench_checked(GC_STRDUP(text), 0);
  digests[i] = digest_of(text);
}

int main(int argc, char **argv) {
  uint64_t ops = 1000000, live = 100000, max = 4096;
  const struct bench_option table[] = {
      {"ops", &ops, "strings built"},
      {"live", &live, "strings that stay"},
      {"max", &max, "bytes of the longest, 16 at least"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  if (live < 1 || max < 16) {
    bench_usage(argv[0], table, sizeof table / sizeof table[0]);
  }
  gc_init();
  struct bench_rng r = bench_seed(5);
  kept = bench_checked(GC_MALLOC(live * sizeof *kept), live);
  digests = bench_checked(calloc(live, sizeof *digests), live);
  double begin = bench_now();
  for (uint64_t i = 1; i <= ops; i++) {
    struct buffer b = build(&r, bench_size_log(&r, 16, max));
    replace(&r, live, b.text);
    if (i % LONG_EVERY == 0) {
      build(&r, LONG_BYTES);
    }
  }
  gc_report("libgc_strings", ops, bench_now() - begin, "%s", "");
  return 0;
}
