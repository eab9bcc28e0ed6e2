/* bench/libgc/libgc_spike.c -- does memory come back after a spike?
 *
 * WHAT    Makes a list of `size` bytes, of objects of mixed sizes, drops it,
 *         has `collects` full collections made, and goes to sleep. Nobody
 *         allocates any more; RSS is read after 1, 2, 5 and 10 seconds. A
 *         list of `live` bytes, made before, stays.
 * HOW     As bench_spike.c does for malloc: `seconds` is without the sleep,
 *         idle_cpu_ms what the process used meanwhile.
 */
#include "../gc/gc_adapter.h"

struct node {
  struct node *next;
  size_t bytes;
};

enum { SAMPLES = 4, STACK_BYTES = 4096 };
static const unsigned sample_seconds[SAMPLES] = {1, 2, 5, 10};

static struct node *volatile spike, *volatile kept;
static uint64_t objects;

static __attribute__((noinline)) void grow(struct node *volatile *list,
                                           uint64_t bytes) {
  struct bench_rng r = bench_seed(bytes);
  while (bytes > 0) {
    size_t size = bench_size_mixed(&r);
    size = size < 32 ? 32 : size;
    struct node *n = bench_checked(GC_MALLOC(size), size);
    n->next = *list;
    n->bytes = size;
    *list = n;
    objects++;
    bytes -= size < bytes ? size : bytes;
  }
}

/* What is left of pointers to the list in frames that have gone. */
static __attribute__((noinline)) void clear_stack(void) {
  char volatile frame[STACK_BYTES];
  for (size_t i = 0; i < sizeof frame; i++) {
    frame[i] = 0;
  }
}

static uint64_t bytes_of(const struct node *n) {
  uint64_t bytes = 0;
  for (; n != NULL; n = n->next) {
    bytes += n->bytes;
  }
  return bytes;
}

int main(int argc, char **argv) {
  uint64_t size = 512 << 20, live = 16 << 20, collects = 2, sleep_s = 10;
  const struct bench_option table[] = {
      {"size", &size, "bytes of the list that is dropped"},
      {"live", &live, "bytes of the list that stays"},
      {"collects", &collects, "full collections after that"},
      {"sleep", &sleep_s, "seconds to watch RSS afterwards, 0 to 10"},
      GC_OPTIONS};
  BENCH_OPTIONS(argc, argv, table);
  gc_init();
  double begin = bench_now();
  grow(&kept, live);
  grow(&spike, size);
  uint64_t rss_full = bench_rss_kib();
  spike = NULL;
  clear_stack();
  for (uint64_t i = 0; i < collects; i++) {
    GC_gcollect();
  }
  double end = bench_now(), idle = 0;
  uint64_t rss[SAMPLES + 1] = {bench_rss_kib()};
  unsigned taken = 0;
  for (; taken < SAMPLES && sample_seconds[taken] <= sleep_s; taken++) {
    double cpu = bench_cpu();
    bench_sleep_until(end + sample_seconds[taken]);
    idle += bench_cpu() - cpu;
    rss[taken + 1] = bench_rss_kib();
  }
  uint64_t left = bytes_of(kept);
  if (left < live) {
    bench_broken("objects lost", kept, left);
  }
  char more[256];
  int n = snprintf(more, sizeof more,
                   ",\"live_kib\":%" PRIu64 ",\"rss_full_kib\":%" PRIu64
                   ",\"rss_0s_kib\":%" PRIu64,
                   left >> 10, rss_full, rss[0]);
  for (unsigned i = 0; i < taken; i++) {
    n += snprintf(more + n, sizeof more - (size_t)n,
                  ",\"rss_%us_kib\":%" PRIu64, sample_seconds[i], rss[i + 1]);
  }
  gc_report("libgc_spike", objects, end - begin, "%s,\"idle_cpu_ms\":%.1f",
            more, idle * 1e3);
  return 0;
}
