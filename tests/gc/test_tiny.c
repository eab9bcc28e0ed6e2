/* Objects without pointers that share blocks of 16 bytes: where they lie, what
 * keeps them, what cannot be done with them, and which are not packed. */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"
#include "gc/heap.h"

#include <pthread.h>

enum { BLOCK = 16, MANY = 6000 };

static struct {
  struct alm_heap *heap;
  struct alm_mutator *m;
  struct alm_handle *root;
} t;

static void begin(const struct alm_heap_options *options) {
  REQUIRE(alm_heap_create(options, &t.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  t.root = alm_handle_create(t.m, NULL);
  REQUIRE(t.root != NULL);
}

static void end(void) {
  REQUIRE(alm_heap_check(t.m));
  alm_mutator_detach(t.m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  all_memory_is_back();
}

static char *tiny(size_t bytes) {
  char *p = alm_new_bytes(t.m, ALM_NOSCAN, bytes);
  REQUIRE(p != NULL);
  return p;
}

static uintptr_t block_of(const void *p) {
  return (uintptr_t)p / BLOCK;
}

static struct alm_heap_stats stats; /* not on the stack: it is scanned */

static uint64_t live(void) {
  scrub();
  REQUIRE(alm_collect(t.m) == ALM_OK);
  alm_heap_stats_read(t.heap, &stats);
  return stats.live_objects;
}

/* ---- where they lie --------------------------------------------------------------- */

static void sixteen_bytes_fill_a_block(void) {
  begin(NULL);
  char *first = tiny(1);
  REQUIRE((uintptr_t)first % BLOCK == 0);
  for (ptrdiff_t i = 1; i < BLOCK; i++) {
    REQUIRE(tiny(1) == first + i);
  }
  REQUIRE(block_of(tiny(1)) != block_of(first));
  end();
}

/* An object of 8 bytes behind one of 12 or 4 is aligned all the same, and so is
 * what a struct of so many bytes may begin with. */
static size_t alignment(size_t bytes) {
  return bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
}

static void each_size_is_aligned_after_each_other(void) {
  begin(NULL);
  for (size_t a = 0; a < BLOCK; a++) {
    for (size_t b = 0; b < BLOCK; b++) {
      REQUIRE(alm_collect(t.m) == ALM_OK); /* a fresh block */
      char *p = tiny(a), *q = tiny(b);
      REQUIRE((uintptr_t)p % BLOCK == 0);
      REQUIRE((uintptr_t)q % alignment(b) == 0);
      size_t used = a + (a == 0), room = b + (b == 0);
      size_t at = (used + alignment(b) - 1) / alignment(b) * alignment(b);
      REQUIRE((block_of(q) == block_of(p)) == (at + room <= BLOCK));
      REQUIRE(block_of(q) != block_of(p) || q == p + at);
    }
  }
  end();
}

static void an_object_of_no_bytes_has_an_address_of_its_own(void) {
  char *p[100];
  begin(NULL);
  for (size_t i = 0; i < 100; i++) {
    p[i] = tiny(i % 3 == 2);
    for (size_t k = 0; k < i; k++) {
      REQUIRE(p[k] != p[i]);
    }
  }
  end();
}

/* The block with more room stays: a large piece does not cost the small ones
 * theirs. */
static void the_block_with_more_room_is_kept(void) {
  begin(NULL);
  char *first = tiny(2);
  char *fifteen = tiny(15);
  REQUIRE(block_of(fifteen) != block_of(first));
  REQUIRE(tiny(2) == first + 2);
  REQUIRE(tiny(8) == first + 8);
  char *eight = tiny(8); /* as much is left of its block as of the first: 0 */
  REQUIRE(block_of(eight) != block_of(first));
  REQUIRE(tiny(1) == eight + 8);
  end();
}

static unsigned char *pieces[MANY];
static size_t sizes[MANY];

static void write_piece(size_t i, size_t bytes) {
  pieces[i] = (unsigned char *)tiny(bytes);
  sizes[i] = bytes;
  for (size_t k = 0; k < bytes; k++) {
    REQUIRE(pieces[i][k] == 0);
    pieces[i][k] = (unsigned char)(i * 31 + k + 1);
  }
}

static void require_piece(size_t i) {
  for (size_t k = 0; k < sizes[i]; k++) {
    REQUIRE(pieces[i][k] == (unsigned char)(i * 31 + k + 1));
  }
}

/* Random sizes, tiny and others, replaced and collected: no two overlap, and
 * all bytes are zero at first. */
static void random_sizes_do_not_overlap(void) {
  struct rng r = {seed_take()};
  for (unsigned every = 0; every < 3; every++) {
    struct alm_heap_options options = {.check = every ? 2 : 0,
                                       .collect_every = every == 2 ? 3 : 0,
                                       .first_bytes = 64 << 10};
    begin(&options);
    REQUIRE(alm_root_add(t.heap, pieces, sizeof pieces) == ALM_OK);
    memset(pieces, 0, sizeof pieces);
    for (size_t i = 0; i < rounds(every == 2 ? 10000 : 100000); i++) {
      size_t at = rng_below(&r, MANY);
      if (pieces[at] != NULL) {
        require_piece(at);
      }
      write_piece(at, rng_below(&r, rng_below(&r, 8) ? BLOCK : 64));
    }
    for (size_t i = 0; i < MANY; i++) {
      if (pieces[i] != NULL) {
        require_piece(i);
      }
    }
    REQUIRE(alm_root_remove(t.heap, pieces) == ALM_OK);
    end();
  }
}

/* ---- what keeps them -------------------------------------------------------------- */

static void make_pair_of(size_t kept) {
  char *block = tiny(8);
  memcpy(block, "neighbor", 8);
  memcpy(tiny(7), "hoods!", 7);
  REQUIRE(tiny(1) == block + 15);
  alm_handle_set(t.root, block + kept);
}

static void a_pointer_to_any_byte_keeps_the_block(void) {
  for (size_t kept = 0; kept < BLOCK; kept++) {
    begin(NULL);
    deep(make_pair_of, kept);
    REQUIRE(live() >= 1);
    REQUIRE(alm_sweep(t.m) == ALM_OK);
    for (int i = 0; i < 1000; i++) {
      (void)tiny(1 + i % 15);
    }
    REQUIRE(live() >= 1);
    const char *p = alm_handle_get(t.root);
    REQUIRE(memcmp(p - kept, "neighborhoods!", 15) == 0);
    alm_handle_set(t.root, NULL);
    REQUIRE(live() < 10);
    end();
  }
}

static void make_garbage(size_t n) {
  for (size_t i = 0; i < n; i++) {
    memset(tiny(5), 0xff, 5);
  }
}

static void blocks_that_nothing_refers_to_go(void) {
  struct alm_heap_options options = {.check = 1};
  begin(&options);
  for (int i = 0; i < 5; i++) {
    deep(make_garbage, 100000);
    REQUIRE(live() < 10);
    REQUIRE(alm_sweep(t.m) == ALM_OK);
    alm_heap_stats_read(t.heap, &stats);
    REQUIRE(stats.heap_bytes < 64 << 10);
  }
  end();
}

/* What is left of a block when a collection begins is not handed out after it:
 * the block may be gone, and written to by its next owner. */
static void make_one(size_t unused) {
  (void)unused;
  memset(tiny(3), 0xff, 3);
}

static char *made[MANY];

static void make_next_to_it(size_t n) {
  for (size_t i = 0; i < n; i++) {
    made[i] = tiny(1);
    REQUIRE(*made[i] == 0);
    *made[i] = (char)(i + 1);
  }
}

static void a_block_is_not_packed_into_after_a_collection(void) {
  struct alm_heap_options options = {.check = 1};
  begin(&options);
  REQUIRE(alm_root_add(t.heap, made, sizeof made) == ALM_OK);
  char *volatile kept = tiny(1);
  REQUIRE(tiny(1) == kept + 1);
  REQUIRE(alm_collect(t.m) == ALM_OK);
  REQUIRE(block_of(tiny(1)) != block_of(kept));
  for (size_t round = 0; round < 200; round++) {
    deep(make_one, 0);
    (void)live();
    deep(make_next_to_it, 40);
    (void)live();
    deep(make_garbage, 200); /* where the block was */
    for (size_t i = 0; i < 40; i++) {
      REQUIRE(*made[i] == (char)(i + 1));
    }
  }
  REQUIRE(alm_root_remove(t.heap, made) == ALM_OK);
  end();
}

/* ---- what they cost ---------------------------------------------------------------- */

static void fill_root(size_t n) {
  char **all = alm_new_bytes(t.m, ALM_CONSERVATIVE, n * sizeof *all);
  REQUIRE(all != NULL);
  alm_handle_set(t.root, all);
  for (size_t i = 0; i < n; i++) {
    alm_store_inline(t.m, all, &all[i], tiny(8));
  }
}

static void eight_bytes_cost_eight(void) {
  enum { N = 100000 };
  begin(NULL);
  alm_heap_stats_read(t.heap, &stats);
  uint64_t before = stats.alloc_bytes;
  deep(fill_root, N);
  uint64_t n = live();
  REQUIRE(n >= N / 2 && n < N / 2 + 20); /* and the array */
  REQUIRE(stats.live_bytes < N * 16 + (16 << 10));
  REQUIRE(stats.alloc_bytes - before >= N * 16);
  REQUIRE(stats.alloc_bytes - before < N * 16 + (32 << 10));
  end();
}

static void fill_up(size_t least) {
  char **list = NULL, **next;
  size_t n = 0;
  while ((next = alm_new_bytes(t.m, ALM_CONSERVATIVE, 16)) != NULL) {
    *next = (char *)list;
    list = next;
    n++;
  }
  REQUIRE(n > least);
  alm_handle_set(t.root, list);
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 8) == NULL);
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 0) == NULL);
}

static void a_full_heap_has_no_room_for_tiny_ones(void) {
  struct alm_heap_options options = {.limit_bytes = 1 << 20};
  begin(&options);
  deep(fill_up, 40000);
  REQUIRE(alm_new_bytes(t.m, ALM_NOSCAN, 8) == NULL);
  alm_handle_set(t.root, NULL);
  scrub();
  (void)tiny(8); /* again */
  end();
}

/* ---- what cannot be done ------------------------------------------------------------- */

static void ignore(void *object, void *arg) {
  (void)object, (void)arg;
}

static void packed_objects_have_nothing_of_their_own(void) {
  begin(NULL);
  char *p = tiny(8);
  memcpy(p, "eight by", 8);
  for (ptrdiff_t at = 0; at < BLOCK; at++) {
    REQUIRE(alm_object_bytes(t.heap, p + at) == 0);
    REQUIRE(alm_delete(t.m, p + at) == ALM_EPACKED);
    REQUIRE(alm_weak_create(t.m, p + at, at % 2) == NULL);
    REQUIRE(alm_ephemeron_create(t.m, p + at, p) == NULL);
    REQUIRE(alm_cleanup_add(t.m, p + at, ignore, NULL) == ALM_EPACKED);
    REQUIRE(alm_finalizer_set(t.m, p + at, ignore, NULL) == ALM_EPACKED);
    REQUIRE(alm_finalizer_set(t.m, p + at, NULL, NULL) == ALM_EPACKED);
  }
  REQUIRE(alm_cleanup_add(t.m, p, NULL, NULL) == ALM_EINVAL);
  REQUIRE(memcmp(p, "eight by", 8) == 0);
  REQUIRE(tiny(8) == p + 8); /* nothing has changed */
  REQUIRE(strstr(alm_strerror(ALM_EPACKED), "tiny") != NULL);
  end();
}

/* Each has its slot, its size and its weak references. */
static void require_alone(char *p, size_t bytes) {
  REQUIRE(p != NULL && (uintptr_t)p % BLOCK == 0);
  REQUIRE(alm_object_bytes(t.heap, p) >= bytes);
  struct alm_weak *w = alm_weak_create(t.m, p, false);
  REQUIRE(w != NULL && alm_delete(t.m, p) == ALM_ESPECIAL);
  alm_weak_release(t.m, w);
  REQUIRE(alm_delete(t.m, p) == ALM_OK);
}

static void objects_of_a_type_and_arrays_are_not_packed(void) {
  const struct alm_type *type;
  struct alm_type_info info = {"eight", 8, NULL, 0, NULL};
  begin(NULL);
  REQUIRE(alm_type_create(t.heap, &info, &type) == ALM_OK);
  for (int i = 0; i < 100; i++) {
    require_alone(alm_new(t.m, type), 8);
    require_alone(alm_new_inline(t.m, type), 8);
    require_alone(alm_new_array(t.m, type, 0), 0);
    require_alone(alm_new_array(t.m, type, 1), 8);
    require_alone(alm_new_bytes(t.m, ALM_CONSERVATIVE, 8), 8);
    require_alone(tiny(16), 16);
    (void)tiny(1);
  }
  end();
}

static void heaps_of_base_pointers_pack_nothing(void) {
  struct alm_heap_options options = {.base_pointers_only = true};
  begin(&options);
  for (size_t i = 0; i < 200; i++) {
    require_alone(tiny(i % BLOCK), i % BLOCK);
    (void)tiny(1);
  }
  end();
}

/* ---- threads ---------------------------------------------------------------------------- */

enum { THREADS = 4, THREAD_PIECES = 500 };

struct worker {
  pthread_t thread;
  struct alm_heap *heap;
  unsigned char *pieces[THREAD_PIECES]; /* a root */
  uint64_t seed;
  unsigned char tag;
};

/* Attached again and again, so records of mutators change hands. */
static void *pack(void *arg) {
  struct worker *w = arg;
  struct rng r = {w->seed};
  for (size_t round = 0; round < rounds(400); round++) {
    struct alm_mutator *m;
    REQUIRE(alm_mutator_attach(w->heap, &m) == ALM_OK);
    for (size_t i = 0; i < THREAD_PIECES; i++) {
      unsigned char **at = &w->pieces[rng_below(&r, THREAD_PIECES)];
      REQUIRE(*at == NULL || **at == w->tag);
      *at = alm_new_bytes(m, ALM_NOSCAN, 1 + rng_below(&r, 15));
      REQUIRE(*at != NULL && **at == 0);
      **at = w->tag;
    }
    if (rng_below(&r, 8) == 0) {
      REQUIRE(alm_collect(m) == ALM_OK);
    }
    alm_mutator_detach(m);
  }
  return NULL;
}

static void pack_under(enum alm_contract contract) {
  static struct worker workers[THREADS];
  struct alm_heap_options options = {
      .first_bytes = 64 << 10, .check = 1, .contract = contract};
  memset(workers, 0, sizeof workers);
  begin(&options);
  for (size_t i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){
        .heap = t.heap, .seed = seed_take() + i, .tag = (unsigned char)(i + 1)};
    REQUIRE(alm_root_add(t.heap, workers[i].pieces, sizeof workers[i].pieces) ==
            ALM_OK);
    REQUIRE(pthread_create(&workers[i].thread, NULL, pack, &workers[i]) == 0);
  }
  alm_blocked_begin(t.m);
  for (size_t i = 0; i < THREADS; i++) {
    REQUIRE(pthread_join(workers[i].thread, NULL) == 0);
  }
  alm_blocked_end(t.m);
  for (size_t i = 0; i < THREADS; i++) {
    for (size_t k = 0; k < THREAD_PIECES; k++) {
      REQUIRE(workers[i].pieces[k] == NULL ||
              *workers[i].pieces[k] == workers[i].tag);
    }
    REQUIRE(alm_root_remove(t.heap, workers[i].pieces) == ALM_OK);
  }
  end();
}

static void threads_pack_into_blocks_of_their_own(void) {
  pack_under(ALM_COOPERATIVE);
}

static void threads_that_signals_stop_pack_as_well(void) {
  pack_under(ALM_UNCOOPERATIVE);
}

/* Between the two stores of a block that is new. */
static void a_thread_may_be_stopped_amid_its_first_block(void) {
  struct alm_heap_options options = {.contract = ALM_UNCOOPERATIVE, .check = 1};
  begin(&options);
  unsigned char *p = alm_new_bytes(t.m, ALM_NOSCAN, BLOCK);
  REQUIRE(p != NULL && t.m->tiny_end == 0);
  *p = 7;
  t.m->tiny_at = (uintptr_t)p + 4;
  REQUIRE(alm_collect(t.m) == ALM_OK);
  t.m->tiny_end = (uintptr_t)p + BLOCK;
  REQUIRE(alm_collect(t.m) == ALM_OK && *p == 7);
  end();
}

static void a_mutator_begins_with_a_block_of_its_own(void) {
  begin(NULL);
  char *p = tiny(1);
  alm_mutator_detach(t.m);
  REQUIRE(alm_mutator_attach(t.heap, &t.m) == ALM_OK);
  REQUIRE(block_of(tiny(1)) != block_of(p));
  REQUIRE(alm_heap_check(t.m)); /* amid a block */
  REQUIRE(block_of(tiny(1)) != block_of(p));
  end();
}

static void a_child_packs_on(void) {
  begin(NULL);
  char *volatile p = tiny(1);
  *p = 1;
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    support_in_child = true;
    alarm(60);
    REQUIRE(tiny(1) == p + 1);
    p[1] = 2;
    REQUIRE(alm_collect(t.m) == ALM_OK && alm_heap_check(t.m));
    make_garbage(1000);
    REQUIRE(p[0] == 1 && p[1] == 2);
    _exit(0);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  REQUIRE(tiny(1) == p + 1 && p[1] == 0);
  end();
}

static void pack_with_detached(void *arg) {
  (void)arg;
  begin(NULL);
  (void)tiny(1);
  alm_mutator_detach(t.m);
  (void)tiny(1);
}

static void a_detached_mutator_is_noticed(void **state) {
  (void)state;
  struct child c = child_run(pack_with_detached, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "alm_new_bytes("));
  assert_non_null(strstr(c.text, "not a mutator"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_ITS_OWN_STACK(sixteen_bytes_fill_a_block),
      ON_ITS_OWN_STACK(each_size_is_aligned_after_each_other),
      ON_ITS_OWN_STACK(an_object_of_no_bytes_has_an_address_of_its_own),
      ON_ITS_OWN_STACK(the_block_with_more_room_is_kept),
      ON_ITS_OWN_STACK(random_sizes_do_not_overlap),
      ON_ITS_OWN_STACK(a_pointer_to_any_byte_keeps_the_block),
      ON_ITS_OWN_STACK(blocks_that_nothing_refers_to_go),
      ON_ITS_OWN_STACK(a_block_is_not_packed_into_after_a_collection),
      ON_ITS_OWN_STACK(eight_bytes_cost_eight),
      ON_ITS_OWN_STACK(a_full_heap_has_no_room_for_tiny_ones),
      ON_ITS_OWN_STACK(packed_objects_have_nothing_of_their_own),
      ON_ITS_OWN_STACK(objects_of_a_type_and_arrays_are_not_packed),
      ON_ITS_OWN_STACK(heaps_of_base_pointers_pack_nothing),
      ON_ITS_OWN_STACK(threads_pack_into_blocks_of_their_own),
      ON_ITS_OWN_STACK(threads_that_signals_stop_pack_as_well),
      ON_ITS_OWN_STACK(a_thread_may_be_stopped_amid_its_first_block),
      ON_ITS_OWN_STACK(a_mutator_begins_with_a_block_of_its_own),
      ON_ITS_OWN_STACK(a_child_packs_on),
      cmocka_unit_test(a_detached_mutator_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
