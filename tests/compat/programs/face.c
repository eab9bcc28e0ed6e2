/* tests/compat/programs/face.c -- the rules of every allocation function.
 *
 * Runs preloaded, linked, and static. The functions that not every libc or
 * library has are weak references and are tested where they exist; with
 * almacen (alm_version is there) all of them must. */
#define _GNU_SOURCE
#include "check.h"

#include <malloc.h>

#define WEAK __attribute__((weak))
extern void cfree(void *p) WEAK;
extern void free_sized(void *p, size_t size) WEAK;
extern void free_aligned_sized(void *p, size_t alignment, size_t size) WEAK;
extern const char *alm_version(void) WEAK;

/* Some rules other allocators break; for almacen they all count. */
static int is_strict(void) {
  return alm_version != NULL;
}

enum { MIB = 1 << 20 };

static const size_t sizes[] = {
    0,      1,      7,       8,       9,      15,    16,    17,     24,
    31,     32,     33,      48,      63,     64,    65,    100,    128,
    129,    255,    256,     257,     500,    512,   1000,  1024,   1025,
    2048,   3000,   4095,    4096,    4097,   8191,  8192,  8193,   10000,
    16384,  20000,  32767,   32768,   32769,  40000, 65536, 100000, 131072,
    200000, 262144, 1048576, 1048577, 5000000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static int is_aligned(const void *p, size_t alignment) {
  return ((uintptr_t)p & (alignment - 1)) == 0;
}

static void test_malloc_alignment(void) {
  for (size_t i = 0; i < SIZES; i++) {
    void *p[8];
    for (int k = 0; k < 8; k++) {
      errno = EXDEV;
      p[k] = malloc(sizes[i]);
      REQUIRE(p[k] != NULL);
      REQUIRE(errno == EXDEV);
      REQUIRE(is_aligned(p[k], sizes[i] > 8 ? 16 : 8));
      REQUIRE(malloc_usable_size(p[k]) >= sizes[i]);
      pattern_fill(p[k], sizes[i], (uint64_t)k);
    }
    for (int k = 0; k < 8; k++) {
      REQUIRE(pattern_holds(p[k], sizes[i], (uint64_t)k));
      errno = EXDEV;
      free(p[k]);
      REQUIRE(errno == EXDEV);
    }
  }
  free(NULL);
}

static void test_malloc_zero(void) {
  enum { N = 1000 };
  static uintptr_t p[N];
  for (int i = 0; i < N; i++) {
    p[i] = (uintptr_t)malloc(0);
    REQUIRE(p[i] != 0);
    for (int k = 0; k < i; k++) REQUIRE(p[k] != p[i]);
  }
  for (int i = 0; i < N; i++) free((void *)p[i]);
  void *q = calloc(0, 5);
  void *r = calloc(5, 0);
  REQUIRE(q && r && q != r);
  free(q);
  free(r);
}

#define REQUIRE_ENOMEM(call)                                                   \
  do {                                                                         \
    errno = 0;                                                                 \
    REQUIRE((call) == NULL);                                                   \
    if (is_strict()) REQUIRE(errno == ENOMEM);                                 \
  } while (0)

static void test_too_large(void) {
  static const size_t large[] = {(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1,
                                 SIZE_MAX / 2 + 4096, SIZE_MAX - 8192,
                                 SIZE_MAX - 4096,     SIZE_MAX - 64,
                                 SIZE_MAX - 16,       SIZE_MAX - 15,
                                 SIZE_MAX - 1,        SIZE_MAX};
  char *kept = malloc(100);
  REQUIRE(kept);
  pattern_fill(kept, 100, 3);
  for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
    volatile size_t n = large[i];
    REQUIRE_ENOMEM(malloc(n));
    REQUIRE_ENOMEM(calloc(1, n));
    REQUIRE_ENOMEM(calloc(n, 1));
    REQUIRE_ENOMEM(realloc(NULL, n));
    REQUIRE_ENOMEM(realloc(kept, n));
    REQUIRE_ENOMEM(reallocarray(kept, n, 1));
    if (is_strict()) {
      REQUIRE_ENOMEM(memalign(64, n));
      REQUIRE_ENOMEM(aligned_alloc(64, n));
      REQUIRE_ENOMEM(memalign(MIB, n));
      REQUIRE_ENOMEM(valloc(n));
      REQUIRE_ENOMEM(pvalloc(n));
    }
    void *out = kept;
    errno = EXDEV;
    REQUIRE(posix_memalign(&out, 64, n) == ENOMEM);
    REQUIRE(out == kept);
    if (is_strict()) REQUIRE(errno == EXDEV);
    REQUIRE(pattern_holds(kept, 100, 3));
  }
  free(kept);
}

static void test_overflow(void) {
  char *kept = malloc(33);
  REQUIRE(kept);
  pattern_fill(kept, 33, 9);
  volatile size_t half = SIZE_MAX / 2 + 1, root = (size_t)1 << 32;
  volatile size_t all = SIZE_MAX;
  REQUIRE_ENOMEM(calloc(half, 2));
  REQUIRE_ENOMEM(calloc(2, half));
  REQUIRE_ENOMEM(calloc(root, root));
  REQUIRE_ENOMEM(calloc(root + 1, root));
  REQUIRE_ENOMEM(calloc(all, all));
  REQUIRE_ENOMEM(reallocarray(kept, half, 2));
  REQUIRE_ENOMEM(reallocarray(kept, root + 1, root));
  REQUIRE_ENOMEM(reallocarray(NULL, all, all));
  REQUIRE(pattern_holds(kept, 33, 9));
  kept = reallocarray(kept, 1000, 1000);
  REQUIRE(kept);
  for (size_t b = 0; b < 32; b++) REQUIRE(kept[b] == (char)(9 + b * 7));
  free(kept);
}

static void test_calloc(void) {
  for (size_t i = 0; i < SIZES; i++) {
    for (int round = 0; round < 3; round++) {
      unsigned char *dirty = malloc(sizes[i]);
      REQUIRE(dirty);
      memset(dirty, 0xdb, malloc_usable_size(dirty));
      free(dirty);
      unsigned char *p = calloc(sizes[i], 1);
      REQUIRE(p && is_aligned(p, sizes[i] > 8 ? 16 : 8));
      for (size_t k = 0; k < sizes[i]; k++) REQUIRE(p[k] == 0);
      memset(p, 0xdb, malloc_usable_size(p));
      free(p);
    }
  }
}

static void test_memalign(void) {
  static const size_t few[] = {0, 1, 8, 24, 100, 1000, 5000, 40000, 300000};
  for (size_t alignment = 1; alignment <= MIB; alignment *= 2) {
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++) {
      void *p[4] = {memalign(alignment, few[i]),
                    aligned_alloc(alignment, few[i]), NULL, NULL};
      size_t posix = alignment < sizeof(void *) ? sizeof(void *) : alignment;
      errno = EXDEV;
      REQUIRE(posix_memalign(&p[2], posix, few[i]) == 0);
      REQUIRE(errno == EXDEV);
      p[3] = memalign(alignment, few[i] + 1);
      for (int k = 0; k < 4; k++) {
        REQUIRE(p[k] && is_aligned(p[k], alignment));
        REQUIRE(malloc_usable_size(p[k]) >= few[i]);
        pattern_fill(p[k], malloc_usable_size(p[k]), (uint64_t)k);
      }
      for (int k = 0; k < 4; k++)
        REQUIRE(pattern_holds(p[k], malloc_usable_size(p[k]), (uint64_t)k));
      free(p[0]);
      p[1] = realloc(p[1], few[i] * 2 + 1);
      REQUIRE(p[1]);
      if (few[i] > 1) REQUIRE(*(unsigned char *)p[1] == 1);
      free(p[1]);
      free(p[2]);
      free(p[3]);
    }
  }
}

static void test_alignment_wrong(void) {
  static const size_t wrong[] = {0, 1, 2, 4, 3, 12, 24, 48, 100, 4095, 4097};
  void *mark = &mark;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    void *out = mark;
    errno = EXDEV;
    REQUIRE(posix_memalign(&out, wrong[i], 64) == EINVAL);
    REQUIRE(out == mark && errno == EXDEV);
  }
  if (!is_strict()) return; /* the others are free to round up */
  volatile size_t alignment = 48;
  errno = 0;
  REQUIRE(aligned_alloc(alignment, 64) == NULL && errno == EINVAL);
  errno = 0;
  REQUIRE(memalign(alignment, 64) == NULL && errno == EINVAL);
}

static void test_pages(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; i < SIZES; i++) {
    void *p = valloc(sizes[i]);
    void *q = pvalloc(sizes[i]);
    REQUIRE(p && is_aligned(p, page));
    REQUIRE(q && is_aligned(q, page));
    size_t whole = (sizes[i] + page - 1) / page * page;
    REQUIRE(malloc_usable_size(p) >= sizes[i]);
    REQUIRE(malloc_usable_size(q) >= whole);
    memset(p, 1, sizes[i]);
    memset(q, 2, whole);
    free(p);
    free(q);
  }
}

/* Every size to every other, contents kept up to the smaller one. */
static void test_realloc(void) {
  for (size_t i = 0; i < SIZES; i++) {
    for (size_t k = 0; k < SIZES; k++) {
      if (sizes[k] == 0) continue;
      unsigned char *p = malloc(sizes[i]);
      REQUIRE(p);
      for (size_t b = 0; b < sizes[i]; b += b < 4096 ? 1 : 509)
        p[b] = (unsigned char)(b * 31 + i);
      errno = EXDEV;
      unsigned char *q = realloc(p, sizes[k]);
      REQUIRE(q && errno == EXDEV);
      REQUIRE(is_aligned(q, sizes[k] > 8 ? 16 : 8));
      REQUIRE(malloc_usable_size(q) >= sizes[k]);
      size_t both = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
      for (size_t b = 0; b < both; b += b < 4096 ? 1 : 509)
        REQUIRE(q[b] == (unsigned char)(b * 31 + i));
      q[0] = 1;
      q[sizes[k] - 1] = 2;
      free(q);
    }
  }
  if (!is_strict()) return;
  void *p = malloc(100);
  errno = EXDEV;
  REQUIRE(realloc(p, 0) == NULL && errno == EXDEV); /* frees, like glibc */
}

/* A buffer that grows by doubling and by steps, next to others that do. */
static void test_realloc_growth(void) {
  unsigned char *p[4] = {NULL, NULL, NULL, NULL};
  size_t size = 0;
  for (int step = 0; size < 24 * (size_t)MIB; step++) {
    size_t next = step % 3 == 0 ? size + 17 : size + size / 4 + 1;
    for (int k = 0; k < 4; k++) {
      p[k] = realloc(p[k], next);
      REQUIRE(p[k]);
      for (size_t b = size; b < next; b += b < 8192 ? 1 : 4093)
        p[k][b] = (unsigned char)(b % 251 + (size_t)k);
      if (size > 0) REQUIRE(p[k][0] == k);
      if (size > 8192)
        REQUIRE(p[k][8191] == (unsigned char)(8191 % 251 + (size_t)k));
    }
    size = next;
  }
  while (size > 100) {
    size /= 2;
    for (int k = 0; k < 4; k++) {
      p[k] = realloc(p[k], size);
      REQUIRE(p[k] && p[k][0] == k);
      REQUIRE(p[k][99 < size ? 99 : 0] ==
              (unsigned char)((99 < size ? 99 : 0) + k));
    }
  }
  for (int k = 0; k < 4; k++) free(p[k]);
}

static void test_usable_size(void) {
  REQUIRE(malloc_usable_size(NULL) == 0);
  for (size_t n = 0; n < 40000; n += n < 2000 ? 1 : 97) {
    unsigned char *p = malloc(n);
    unsigned char *q = malloc(n);
    REQUIRE(p && q);
    size_t usable = malloc_usable_size(p);
    REQUIRE(usable >= n);
    memset(q, 0x11, malloc_usable_size(q));
    memset(p, 0x22, usable);
    for (size_t b = 0; b < malloc_usable_size(q); b++) REQUIRE(q[b] == 0x11);
    REQUIRE(malloc_usable_size(p) == usable);
    free(p);
    free(q);
  }
}

static void test_frees(void) {
  if (is_strict()) REQUIRE(cfree && free_sized && free_aligned_sized);
  for (size_t i = 0; i < SIZES; i++) {
    if (cfree) {
      cfree(malloc(sizes[i]));
      cfree(NULL);
    }
    if (free_sized) {
      free_sized(malloc(sizes[i]), sizes[i]);
      free_sized(calloc(1, sizes[i]), sizes[i]);
      free_sized(realloc(malloc(50), sizes[i] + 1), sizes[i] + 1);
      free_sized(NULL, sizes[i]);
    }
    for (size_t alignment = 16; alignment <= 65536; alignment *= 16) {
      if (!free_aligned_sized) continue;
      void *p = aligned_alloc(alignment, sizes[i]);
      REQUIRE(p);
      free_aligned_sized(p, alignment, sizes[i]);
      free_aligned_sized(NULL, alignment, sizes[i]);
    }
  }
}

/* Anything at all, at random, with every object's contents followed. */
static void test_random(uint64_t seed) {
  enum { OBJECTS = 4096, STEPS = 400000 };
  static struct {
    void *p;
    size_t size;
    uint64_t key;
  } table[OBJECTS];
  uint64_t state = seed;
  for (int step = 0; step < STEPS; step++) {
    size_t i = random_next(&state) % OBJECTS;
    if (table[i].p)
      REQUIRE(pattern_holds(table[i].p, table[i].size, table[i].key));
    size_t size = random_size(&state, step % 100 == 0 ? 2 * MIB : 20000);
    unsigned kind = (unsigned)(random_next(&state) % 8);
    if (table[i].p && kind < 2 && size > 0) {
      table[i].p = realloc(table[i].p, size);
      REQUIRE(table[i].p);
      REQUIRE(pattern_survived(table[i].p, table[i].size, size, table[i].key));
    } else {
      free(table[i].p);
      if (kind == 2)
        table[i].p = calloc(1, size);
      else if (kind == 3)
        table[i].p = memalign((size_t)16 << random_next(&state) % 12, size);
      else if (kind == 4)
        table[i].p = NULL;
      else
        table[i].p = malloc(size);
      REQUIRE(table[i].p || kind == 4);
      if (kind == 2 && size > 0)
        REQUIRE(*(unsigned char *)table[i].p == 0 &&
                ((unsigned char *)table[i].p)[size - 1] == 0);
    }
    table[i].size = size;
    table[i].key = random_next(&state);
    if (table[i].p) pattern_fill(table[i].p, size, table[i].key);
  }
  for (size_t i = 0; i < OBJECTS; i++) {
    if (table[i].p)
      REQUIRE(pattern_holds(table[i].p, table[i].size, table[i].key));
    free(table[i].p);
  }
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0)
                           : (uint64_t)time(NULL) * 2654435761u + 1;
  printf("seed %llu\n", (unsigned long long)seed);
  test_malloc_alignment();
  test_malloc_zero();
  test_too_large();
  test_overflow();
  test_calloc();
  test_memalign();
  test_alignment_wrong();
  test_pages();
  test_realloc();
  test_realloc_growth();
  test_usable_size();
  test_frees();
  test_random(seed);
  printf("face: all rules hold\n");
  return 0;
}
