/* mem/arena.c -- see arena.h. */
#include "arena.h"

#include "base/diag.h"
#include "memstat.h"
#include "os/conf.h"
#include "os/os.h"
#include "pagebits.h"

struct heap_map heap_map;

struct table {
  unsigned pages_shift; /* one element per this many pages */
  unsigned element_bytes;
  char *base;
  size_t ready_bytes; /* a prefix; under the page heap's lock */
};

static struct {
  size_t npages_max;
  struct table tables[ARENA_TABLE_COUNT];
} arena = {.tables = {
               [ARENA_TAGS] = {0, sizeof(uint16_t), NULL, 0},
               [ARENA_SPANS] = {0, sizeof(void *), NULL, 0},
               [ARENA_CHUNKS] = {CHUNK_PAGES_SHIFT, sizeof(struct chunk_bits),
                                 NULL, 0},
               [ARENA_SUMMARY_0] = {21, sizeof(uint64_t), NULL, 0},
               [ARENA_SUMMARY_1] = {18, sizeof(uint64_t), NULL, 0},
               [ARENA_SUMMARY_2] = {15, sizeof(uint64_t), NULL, 0},
               [ARENA_SUMMARY_3] = {12, sizeof(uint64_t), NULL, 0},
               [ARENA_SUMMARY_4] = {9, sizeof(uint64_t), NULL, 0},
           }};

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

/* The three upper levels are small and neighbours: one call for all. */
static bool arena_ready_upper_levels(size_t npages) {
  char *first = arena.tables[ARENA_SUMMARY_0].base;
  char *end = arena.tables[ARENA_SUMMARY_3].base;
  for (int i = ARENA_SUMMARY_0; i < ARENA_SUMMARY_3; i++) {
    struct table *t = &arena.tables[i];
    t->ready_bytes = align_up(arena_table_bytes(t, npages), os_page_bytes());
  }
  return os_ready(first, (size_t)(end - first));
}

/* Reserve `bytes` for the region with its tables, or nothing. */
static bool arena_reserve(size_t bytes) {
  size_t npages = bytes >> PAGE_SHIFT;
  size_t align = bytes >= GIB ? ARENA_BYTES : CHUNK_BYTES;
  char *tables =
      os_reserve(NULL, arena_tables_bytes(npages), "almacen: page tables");
  if (tables == NULL) {
    return false;
  }
  char *region = os_reserve(arena_hint(), bytes + align, "almacen: heap");
  if (region == NULL) {
    os_unreserve(tables, arena_tables_bytes(npages));
    return false;
  }
  heap_map.base = align_up((uintptr_t)region, align);
  arena.npages_max = npages;
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    struct table *t = &arena.tables[i];
    t->base = tables;
    tables += align_up(arena_table_bytes(t, npages), os_page_bytes());
  }
  if (!arena_ready_upper_levels(npages)) {
    os_unreserve(arena.tables[0].base, arena_tables_bytes(npages));
    os_unreserve(region, bytes + align);
    return false;
  }
  heap_map.tags = arena_table(ARENA_TAGS);
  heap_map.spans = arena_table(ARENA_SPANS);
  memstat->reserved = bytes;
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
  if (!os_ready(t->base + t->ready_bytes, bytes - t->ready_bytes)) {
    return false;
  }
  t->ready_bytes = bytes;
  return true;
}

bool arena_extend(size_t npages) {
  ASSERT(npages % CHUNK_PAGES == 0 && npages > heap_map.npages);
  if (npages > arena.npages_max) {
    return false;
  }
  size_t ahead = min_size(align_up(npages, ARENA_PAGES), arena.npages_max);
  for (int i = 0; i < ARENA_TABLE_COUNT; i++) {
    if (!arena_table_extend(&arena.tables[i], ahead)) {
      return false;
    }
  }
  size_t grown = npages - heap_map.npages;
  if (!os_ready(arena_page_address(heap_map.npages), grown << PAGE_SHIFT)) {
    return false;
  }
  atomic_store_release(&heap_map.npages, npages); /* pairs: arena_contains */
  return true;
}
