/* tests/compat/libgc/one_core.c -- whose pages collected objects lie in: the
 * malloc face's, when it is in the process.
 *
 *   one_core alone | together
 */
#define _GNU_SOURCE
#include "check.h"

#include <almacen.h>
#include <dlfcn.h>
#include <stdlib.h>

enum { KEPT_BYTES = 16 << 20 };

static char *kept;
static int is_together;

typedef void (*stats_reader)(struct alm_stats *out);

/* Not on the stack, where it would have room for old pointers. */
static struct alm_stats s;

static void read_stats(void) {
  stats_reader read = (stats_reader)dlsym(RTLD_DEFAULT, "alm_stats_read");
  CHECK((read != NULL) == is_together);
  if (read != NULL) read(&s);
}

TEST("collected and malloc'ed objects have one account") {
  kept = GC_malloc(KEPT_BYTES);
  CHECK(kept != NULL);
  read_stats();
  CHECK_THAT(s.gc.heaps_now, ==, is_together);
  CHECK_THAT(s.gc.heap_bytes, >=, is_together ? KEPT_BYTES : 0);
}

TEST("and lie in one region") {
  char *plain = malloc(KEPT_BYTES);
  CHECK(plain != NULL);
  ptrdiff_t apart = plain > kept ? plain - kept : kept - plain;
  CHECK((apart < 1 << 30) == is_together); /* else 64 GiB at least */
  free(plain);
}

TEST("each is told from the other") {
  char *plain = malloc(100);
  CHECK(GC_base(plain) == NULL);
  CHECK(GC_base(kept + 1000) == kept);
  CHECK(!GC_is_heap_ptr(plain));
  free(plain);
}

TEST("pages that the one has returned are the other's") {
  kept = NULL;
  wipe_stack();
  GC_gcollect_and_unmap();
  char *plain = malloc(KEPT_BYTES);
  CHECK(plain != NULL);
  memset(plain, 1, KEPT_BYTES);
  read_stats();
  CHECK_THAT(s.gc.heap_bytes, <, KEPT_BYTES);
  free(plain);
}

int main(int argc, char **argv) {
  is_together = argc > 1 && strcmp(argv[1], "together") == 0;
  return run_tests();
}
