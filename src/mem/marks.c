/* mem/marks.c -- see marks.h. */
#include "marks.h"

#include "os/lock.h"
#include "os/os.h"

/* Ready this many pages at once: 64 MiB of heap, 512 KiB of bits. */
#define MARKS_STEP_PAGES ARENA_PAGES

uint64_t *marks_words;

static struct {
  struct lock lock;
  size_t npages; /* ready below; stored with release under the lock */
} marks = {.lock = LOCK_INIT(RANK_MARKS)};

static size_t marks_bytes(size_t npages) {
  return npages * MARK_WORDS_PER_PAGE * sizeof(uint64_t);
}

static bool marks_extend_locked(size_t npages) {
  size_t most = arena_npages_max();
  if (marks_words == NULL) {
    marks_words = os_reserve(NULL, marks_bytes(most), "almacen: mark bits");
    if (marks_words == NULL) {
      return false;
    }
  }
  size_t ahead = min_size(align_up(npages, MARKS_STEP_PAGES), most);
  char *from = (char *)marks_words + marks_bytes(marks.npages);
  if (!os_ready(from, marks_bytes(ahead - marks.npages))) {
    return false;
  }
  atomic_store_release(&marks.npages, ahead); /* pairs: marks_ready */
  return true;
}

bool marks_ready(size_t npages) {
  if (likely(atomic_load_acquire(&marks.npages) >= npages)) {
    return true;
  }
  lock_acquire(&marks.lock);
  bool ok = marks.npages >= npages || marks_extend_locked(npages);
  lock_release(&marks.lock);
  return ok;
}

void marks_fork_prepare(void) {
  lock_acquire(&marks.lock);
}

void marks_fork_release(bool in_child) {
  if (in_child) {
    lock_reset_after_fork(&marks.lock);
  } else {
    lock_release(&marks.lock);
  }
}
