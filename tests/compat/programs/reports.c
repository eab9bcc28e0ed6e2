/* tests/compat/programs/reports.c -- mallinfo, malloc_stats, malloc_info,
 * malloc_trim, mallopt. Writes malloc_info's documents to the files named. */
#define _GNU_SOURCE
#include "check.h"

#include <limits.h>
#include <malloc.h>

enum { MIB = 1 << 20, SMALL = 20000, LARGE = 40 };

/* Reports lag behind by what threads have not handed over yet. */
static const size_t lag = 2 * MIB;

static void *small[SMALL];
static void *large[LARGE];

static size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static void allocate(void) {
  for (int i = 0; i < SMALL; i++) {
    small[i] = malloc(1000);
    REQUIRE(small[i]);
    memset(small[i], 1, 1000);
  }
  for (int i = 0; i < LARGE; i++) {
    large[i] = malloc(MIB);
    REQUIRE(large[i]);
    memset(large[i], 1, MIB);
  }
}

static void release(void) {
  for (int i = 0; i < SMALL; i++) free(small[i]);
  for (int i = 0; i < LARGE; i++) free(large[i]);
}

static void test_mallinfo(void) {
  size_t before = in_use();
  allocate();
  size_t live = in_use();
  size_t ours = (size_t)SMALL * 1000 + (size_t)LARGE * MIB;
  REQUIRE(live + lag >= before + ours);
  REQUIRE(live <= before + ours + ours / 8 + lag);
  struct mallinfo2 wide = mallinfo2();
  REQUIRE(wide.arena >= wide.uordblks);
  REQUIRE(wide.arena == wide.uordblks + wide.fordblks);
  REQUIRE(wide.arena + wide.hblkhd + lag >= ours);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop
  REQUIRE(narrow.arena >= 0 && narrow.uordblks >= 0 && narrow.hblkhd >= 0);
  REQUIRE((size_t)narrow.uordblks + (size_t)narrow.hblkhd + lag >= ours);
  release();
  REQUIRE(in_use() <= before + lag);
}

static void test_info(const char *path) {
  FILE *stream = fopen(path, "w");
  REQUIRE(stream);
  REQUIRE(malloc_info(0, stream) == 0);
  REQUIRE(fclose(stream) == 0);
  REQUIRE(malloc_info(1, stderr) == EINVAL);
  REQUIRE(malloc_info(-1, stderr) == EINVAL);
}

static void test_trim(void) {
  allocate();
  release();
  size_t before = rss_bytes();
  REQUIRE(malloc_trim(0) == 1);
  size_t after = rss_bytes();
  REQUIRE(after < before - 20 * (size_t)MIB || after < 20 * (size_t)MIB);
  void *p = malloc(5 * MIB); /* what was returned can be used again */
  REQUIRE(p);
  memset(p, 7, 5 * MIB);
  free(p);
  malloc_trim(0);
  REQUIRE(malloc_trim((size_t)1 << 40) == 0);
}

static void test_mallopt(void) {
  static const int known[] = {
      M_MXFAST,         M_NLBLKS,  M_GRAIN,          M_KEEP,
      M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX,
      M_CHECK_ACTION,   M_PERTURB, M_ARENA_TEST,     M_ARENA_MAX};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    REQUIRE(mallopt(known[i], 64) == 1);
  REQUIRE(mallopt(12345, 1) == 0);
  REQUIRE(mallopt(INT_MIN, 1) == 0);
  void *p = malloc(100);
  REQUIRE(p);
  free(p);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  test_info(argv[1]);
  test_mallinfo();
  test_trim();
  test_mallopt();
  void *mixed[2000];
  for (size_t i = 0; i < 2000; i++) mixed[i] = malloc(i * 40);
  for (size_t i = 0; i < 2000; i += 3) free(mixed[i]);
  test_info(argv[2]);
  errno = EXDEV;
  malloc_stats();
  REQUIRE(errno == EXDEV);
  puts("reports: all rules hold");
  return 0;
}
