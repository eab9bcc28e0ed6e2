/* mem/arena.c -- see arena.h. */
#include "arena.h"

#include "base/diag.h"
#include "memstat.h"
#include "metaalloc.h"
#include "os/conf.h"
#include "os/os.h"
#include "pagebits.h"

struct heap_map heap_map;
struct lock heap_map_lock = LOCK_INIT(RANK_MAPS);

struct table {
  unsigned pages_shift; /* one element per this many pages */
  unsigned element_bytes;
  char *base;         /* where it is now; under the page heap's lock       */
  char *reserved;     /* its place in the second reservation               */
  size_t ready_bytes; /* a prefix of it; under the page heap's lock        */
};

static struct {
  size_t npages_max;
  bool has_moved; /* the tables have left the heap's own pages; same lock */
  struct table tables[ARENA_TABLE_COUNT];
} arena = {.tables = {
               [ARENA_TAGS] = {.element_bytes = sizeof(uint16_t)},
               [ARENA_SPANS] = {.element_bytes = sizeof(void *)},
               [ARENA_CHUNKS] = {CHUNK_PAGES_SHIFT, sizeof(struct chunk_bits),
                                 NULL, NULL, 0},
               [ARENA_SUMMARY_0] = {21, sizeof(uint64_t), NULL, NULL, 0},
               [ARENA_SUMMARY_1] = {18, sizeof(uint64_t), NULL, NULL, 0},
               [ARENA_SUMMARY_2] = {15, sizeof(uint64_t), NULL, NULL, 0},
               [ARENA_SUMMARY_3] = {12, sizeof(uint64_t), NULL, NULL, 0},
               [ARENA_SUMMARY_4] = {9, sizeof(uint64_t), NULL, NULL, 0},
           }};

/* Small and always touched first, so that they share an OS page. */
static const enum arena_table arena_own_order[ARENA_TABLE_COUNT] = {
    ARENA_SUMMARY_0, ARENA_SUMMARY_1, ARENA_SUMMARY_2, ARENA_SUMMARY_3,
    ARENA_SUMMARY_4, ARENA_CHUNKS,    ARENA_TAGS,      ARENA_SPANS};

/* Whole groups of eight summaries, so that a block of siblings is ready. */
static size_t arena_table_bytes(const struct table *t, size_t npages) {
  size_t elements = (npages >> t->pages_shift) + 1;
  return align_up(elements, 8) * t->element_bytes;
}

static size_t arena_tables_bytes(size_t npages) {
  size_t bytes = 0;
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    bytes +=
        align_up(arena_table_bytes(&arena.tables[i], npages), os_page_bytes());
  }
  return bytes;
}

/* A place for the region that differs from run to run: one of 2^20
 * arenas between 1 and 65 TiB, below what 47-bit address spaces use for libraries. */
static void *arena_hint(void) {
  uint64_t seed = conf_number(CONF_seed);
  uint64_t n = seed ? seed * 0x9e3779b97f4a7c15u : os_random();
  return (void *)(TIB + ((n >> 20) % (64 * TIB / ARENA_BYTES)) * ARENA_BYTES);
}

/* Readers without a lock follow. [arena.3] */
static void arena_publish_maps(void) {
  atomic_store_release(&heap_map.tags, arena_table(ARENA_TAGS));
  atomic_store_release(&heap_map.spans, arena_table(ARENA_SPANS));
}

/* The tables of the first arena, and records, in the heap's own pages. */
static void arena_settle(void) {
  char *at = (char *)heap_map.base;
  char *end = at + (ARENA_OWN_PAGES << PAGE_SHIFT);
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    struct table *t = &arena.tables[arena_own_order[i]];
    t->base = at;
    at += align_up(arena_table_bytes(t, ARENA_PAGES), 64);
  }
  at = (char *)align_up((uintptr_t)at, os_page_bytes());
  CHECK(at <= end);
  meta_donate(at, (size_t)(end - at));
  arena_publish_maps();
}

/* Reserve `bytes` for the region with its tables, and make the first chunk
 * ready; or nothing. */
static bool arena_reserve(size_t bytes) {
  size_t npages = bytes >> PAGE_SHIFT;
  size_t align = bytes >= GIB ? ARENA_BYTES : CHUNK_BYTES;
  size_t tables_bytes = arena_tables_bytes(npages);
  char *tables = os_reserve(NULL, tables_bytes, "almacen: page tables");
  if (tables == NULL) {
    return false;
  }
  char *region = os_reserve(arena_hint(), bytes + align, "almacen: heap");
  uintptr_t base = align_up((uintptr_t)region, align);
  if (region == NULL || !os_ready((void *)base, CHUNK_BYTES)) {
    os_unreserve(tables, tables_bytes);
    if (region != NULL) {
      os_unreserve(region, bytes + align);
    }
    return false;
  }
  heap_map.base = base;
  arena.npages_max = npages;
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    struct table *t = &arena.tables[i];
    t->reserved = tables;
    tables += align_up(arena_table_bytes(t, npages), os_page_bytes());
  }
  arena_settle();
  memstat->reserved = bytes;
  atomic_store_release(&heap_map.npages, CHUNK_PAGES); /* as arena_extend */
  return true;
}

/* Try `bytes`, leaving nothing reserved. */
static bool arena_could_reserve(size_t bytes) {
  void *p = os_reserve(NULL, bytes, "almacen: probe");
  if (p != NULL) {
    os_unreserve(p, bytes);
  }
  return p != NULL;
}

/* Under a tight `ulimit -v` take more than a power of two, and leave the
 * program an eighth for its stacks and libraries. */
static size_t arena_fit(size_t bytes) {
  if (arena_could_reserve(bytes + bytes / 2)) {
    bytes += bytes / 2;
  }
  return align_down(bytes - bytes / 8, CHUNK_BYTES);
}

bool arena_init(void) {
  size_t asked = align_down(conf_number(CONF_reserve), CHUNK_BYTES);
  if (arena_reserve(asked)) {
    return true;
  }
  for (size_t bytes = asked / 2; bytes >= 4 * MIB; bytes /= 2) {
    size_t tables = arena_tables_bytes(bytes >> PAGE_SHIFT);
    if (arena_could_reserve(bytes + tables) &&
        arena_reserve(arena_fit(bytes))) {
      return true;
    }
  }
  return false;
}

size_t arena_npages_max(void) {
  return arena.npages_max;
}

void *arena_table(enum arena_table id) {
  return arena.tables[id].base;
}

static bool arena_table_extend(struct table *t, size_t npages) {
  size_t bytes = align_up(arena_table_bytes(t, npages), os_page_bytes());
  if (bytes <= t->ready_bytes) {
    return true;
  }
  if (!os_ready(t->reserved + t->ready_bytes, bytes - t->ready_bytes)) {
    return false;
  }
  t->ready_bytes = bytes;
  return true;
}

/* Copy the tables out of the heap's own pages. Word by word and atomic,
 * because readers without a lock may look at either copy. */
static void arena_move_tables(void) {
  lock_acquire(&heap_map_lock);
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    struct table *t = &arena.tables[i];
    const uint64_t *from = (const uint64_t *)(const void *)t->base;
    uint64_t *to = (uint64_t *)(void *)t->reserved;
    size_t words = arena_table_bytes(t, ARENA_PAGES) / sizeof *to;
    for (size_t k = 0; k < words; k++) {
      atomic_store_relaxed(&to[k], atomic_load_relaxed(&from[k]));
    }
    t->base = t->reserved;
  }
  arena.has_moved = true;
  arena_publish_maps();
  lock_release(&heap_map_lock);
}

static bool arena_extend_tables(size_t npages) {
  if (!arena.has_moved && npages <= ARENA_PAGES) {
    return true;
  }
  size_t ahead = min_size(align_up(npages, ARENA_PAGES), arena.npages_max);
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    if (!arena_table_extend(&arena.tables[i], max_size(ahead, ARENA_PAGES))) {
      return false;
    }
  }
  if (!arena.has_moved) {
    arena_move_tables();
  }
  return true;
}

bool arena_extend(size_t npages) {
  ASSERT(npages % CHUNK_PAGES == 0 && npages > heap_map.npages);
  if (npages > arena.npages_max || !arena_extend_tables(npages)) {
    return false;
  }
  size_t grown = npages - heap_map.npages;
  if (!os_ready(arena_page_address(heap_map.npages), grown << PAGE_SHIFT)) {
    return false;
  }
  atomic_store_release(&heap_map.npages, npages); /* pairs: arena_contains */
  return true;
}
