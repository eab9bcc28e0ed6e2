/* compat/libgc/table.c -- what finalizers, links and roots are kept in.
 *
 * WHAT    A hash table of records by an address, and arrays that grow.
 * HOW     Chained; a record begins with its struct gc_entry, and is its user's.
 *         Only gc_table_has_room and gc_grown allocate, from the core's pools,
 *         so that all else may be done while the world is stopped.
 * LOCKS   gc.lock.
 */
#include "libgc.h"

#include <string.h>

enum { TABLE_FIRST = 256, ARRAY_FIRST = 16 };

static struct gc_entry **gc_table_chain(const struct gc_table *t,
                                        const void *key) {
  uint64_t mixed = ((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15u;
  return &t->chains[(mixed >> 32) & (t->nchains - 1)];
}

struct gc_entry **gc_chain_find(struct gc_entry **at, const void *key) {
  while (*at != NULL && (*at)->key != key) {
    at = &(*at)->next;
  }
  return at;
}

struct gc_entry **gc_table_find(const struct gc_table *t, const void *key) {
  return t->chains != NULL ? gc_chain_find(gc_table_chain(t, key), key) : NULL;
}

void gc_table_insert(struct gc_table *t, struct gc_entry *e) {
  struct gc_entry **at = gc_table_chain(t, e->key);
  e->next = *at;
  *at = e;
  t->count++;
}

struct gc_entry *gc_table_take(struct gc_table *t, struct gc_entry **at) {
  struct gc_entry *e = *at;
  *at = e->next;
  t->count--;
  return e;
}

bool gc_table_has_room(struct gc_table *t) {
  struct gc_table old = *t;
  size_t n = old.nchains != 0 ? 2 * old.nchains : TABLE_FIRST;
  if (old.count < 2 * old.nchains) {
    return true;
  }
  struct gc_entry **made = gc.core->meta_alloc(n * sizeof(struct gc_entry *));
  if (made == NULL) {
    return old.chains != NULL;
  }
  *t = (struct gc_table){made, n, 0};
  for (size_t i = 0; i < old.nchains; i++) {
    while (old.chains[i] != NULL) {
      gc_table_insert(t, gc_table_take(&old, &old.chains[i]));
    }
  }
  if (old.chains != NULL) {
    gc.core->meta_free(old.chains, old.nchains * sizeof(struct gc_entry *));
  }
  return true;
}

void *gc_grown(void *array, size_t *room, size_t element_bytes) {
  size_t had = *room, n = had != 0 ? 2 * had : ARRAY_FIRST;
  void *made = gc.core->meta_alloc(n * element_bytes);
  if (made == NULL) {
    return NULL;
  }
  if (array != NULL) {
    memcpy(made, array, had * element_bytes);
    gc.core->meta_free(array, had * element_bytes);
  }
  *room = n;
  return made;
}
