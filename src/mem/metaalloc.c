/* mem/metaalloc.c -- see metaalloc.h. */
#include "metaalloc.h"

#include "base/diag.h"
#include "memstat.h"
#include "os/lock.h"
#include "os/os.h"

/* One system call per this much metadata; untouched parts cost nothing. */
enum { META_CHUNK_BYTES = 1 << 18 };

static struct {
  struct lock lock;
  char *next; /* under lock */
  char *end;  /* under lock */
} meta = {.lock = LOCK_INIT(RANK_META)};

static void *meta_bump_locked(size_t bytes) {
  size_t align = bytes % 64 == 0 ? 64 : 16;
  char *p = (char *)align_up((uintptr_t)meta.next, align);
  if (meta.next == NULL || bytes > (size_t)(meta.end - p)) {
    size_t chunk = align_up(max_size(bytes, META_CHUNK_BYTES), os_page_bytes());
    p = os_alloc(chunk, "almacen: metadata");
    if (p == NULL) {
      return NULL;
    }
    meta.end = p + chunk;
  }
  meta.next = p + bytes;
  memstat_add(&memstat->metadata, bytes);
  return p;
}

void meta_donate(void *p, size_t bytes) {
  meta.next = p;
  meta.end = meta.next + bytes;
}

void *meta_take(struct meta_pool *pool) {
  ASSERT(pool->bytes >= sizeof(void *) && pool->bytes % 16 == 0);
  lock_acquire(&meta.lock);
  void *p = pool->free;
  if (p != NULL) {
    pool->free = *(void **)p;
  } else {
    p = meta_bump_locked(pool->bytes);
  }
  lock_release(&meta.lock);
  return p;
}

void meta_return(struct meta_pool *pool, void *record) {
  lock_acquire(&meta.lock);
  *(void **)record = pool->free;
  pool->free = record;
  lock_release(&meta.lock);
}

void meta_fork_prepare(void) {
  lock_acquire(&meta.lock);
}

void meta_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&meta.lock);
  } else {
    lock_release(&meta.lock);
  }
}
