/* tests/compat/programs/start.c -- when the allocator's thread starts.
 *
 * usage: start constructor|spike|small
 *   constructor  a constructor of the program frees 40 MiB again and again for
 *                150 ms: no thread before main, and what lies free when main
 *                begins goes back though main calls nothing
 *   spike        main frees 40 MiB at once and sleeps: they go back
 *   small        main frees 4 MiB again and again for 150 ms: no thread
 * -DPREFIXED: with alm_malloc and alm_free. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/stat.h>

#ifdef PREFIXED
#include <almacen.h>
#define malloc alm_malloc
#define free alm_free
#endif

enum { MIB = 1 << 20, CHUNKS = 40 };

static int thread_count(void) {
  struct stat status;
  return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : -1;
}

static void spike(int n) {
  static char *chunks[CHUNKS];
  for (int i = 0; i < n; i++) {
    chunks[i] = malloc(MIB);
    REQUIRE(chunks[i]);
    memset(chunks[i], 1, MIB);
  }
  for (int i = 0; i < n; i++) free(chunks[i]);
}

static int threads_before_main;

/* argv as glibc gives it to constructors */
__attribute__((constructor)) static void construct(int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "constructor") != 0) return;
  double end = seconds_now() + 0.15;
  while (seconds_now() < end) spike(CHUNKS);
  sleep_ms(20); /* a new thread needs a moment to be listed */
  threads_before_main = thread_count();
}

static void wait_until_returned(void) {
  double end = seconds_now() + 20;
  size_t rss;
  while ((rss = rss_bytes()) > 16 * MIB && seconds_now() < end) sleep_ms(50);
  printf("RSS %zu MiB\n", rss / MIB);
  REQUIRE(rss <= 16 * MIB);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 2);
  if (strcmp(argv[1], "constructor") == 0) {
    printf("threads before main: %d\n", threads_before_main);
    REQUIRE(threads_before_main == 1);
    wait_until_returned();
  } else if (strcmp(argv[1], "spike") == 0) {
    spike(CHUNKS);
    wait_until_returned();
  } else {
    double end = seconds_now() + 0.15;
    while (seconds_now() < end) spike(4);
    sleep_ms(20);
    REQUIRE(thread_count() == 1);
  }
  return 0;
}
