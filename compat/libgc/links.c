/* compat/libgc/links.c -- disappearing links, short and long; toggle
 * references.
 *
 * WHAT    A link is a word that is cleared when its object is gone: before
 *         finalizers are chosen (short), or when those can no longer reach it
 *         (long). A toggle reference is strong or weak, as a callback says
 *         before each collection.
 * HOW     Links in a hash table by their own addresses. The records lie outside
 *         of what is scanned, so pointers in them keep nothing.
 * LOCKS   gc.lock.
 */
#include "libgc.h"

struct gc_link {
  struct gc_entry entry; /* by its own address */
  const void *object;
};

struct gc_toggle {
  void *object; /* NULL: gone */
  bool is_strong;
};

static struct gc_table gc_short_links, gc_long_links;

static struct {
  struct gc_toggle *at;
  size_t count;
  size_t room;
  GC_toggleref_func decide;
} gc_toggles;

/* ---- links --------------------------------------------------------------- */

static struct gc_link *gc_link_of(struct gc_entry *e) {
  return (struct gc_link *)(void *)e;
}

/* NULL: there is no such link. */
static struct gc_entry **gc_link_find(const struct gc_table *links, void **at) {
  struct gc_entry **p = gc_table_find(links, at);
  return p != NULL && *p != NULL ? p : NULL;
}

static void gc_link_remove(struct gc_table *links, struct gc_entry **p) {
  gc.core->meta_free(gc_table_take(links, p), sizeof(struct gc_link));
}

static int gc_link_add_locked(struct gc_table *links, void **at,
                              const void *object) {
  struct gc_entry **p = gc_link_find(links, at);
  if (p != NULL) {
    gc_link_of(*p)->object = object;
    return GC_DUPLICATE;
  }
  struct gc_link *link =
      gc_table_has_room(links) ? gc.core->meta_alloc(sizeof *link) : NULL;
  if (link == NULL) {
    return GC_NO_MEMORY;
  }
  link->entry.key = at;
  link->object = object;
  gc_table_insert(links, &link->entry);
  return GC_SUCCESS;
}

static int gc_link_add(struct gc_table *links, void **at, const void *object) {
  int result;
  gc_start();
  if (GC_find_leak) {
    return GC_UNIMPLEMENTED;
  }
  if (at == NULL || (uintptr_t)at % sizeof(void *) != 0) {
    gc_print("a disappearing link at %p is not aligned to %zu\n", (void *)at,
             sizeof(void *));
    gc_fail("bad argument");
  }
  do {
    gc_lock();
    result = gc_link_add_locked(links, at, object);
    gc_unlock();
  } while (result == GC_NO_MEMORY && gc_out_of_memory(sizeof(struct gc_link)));
  return result;
}

static int gc_link_drop(struct gc_table *links, void **at) {
  if ((uintptr_t)at % sizeof(void *) != 0) {
    return 0;
  }
  gc_lock();
  struct gc_entry **p = gc_link_find(links, at);
  if (p != NULL) {
    gc_link_remove(links, p);
  }
  gc_unlock();
  return p != NULL;
}

static int gc_link_move_locked(struct gc_table *links, void **from, void **to) {
  struct gc_entry **p = gc_link_find(links, from);
  if (p == NULL) {
    return GC_NOT_FOUND;
  }
  if (from == to) {
    return GC_SUCCESS;
  }
  if (gc_link_find(links, to) != NULL) {
    return GC_DUPLICATE;
  }
  struct gc_entry *e = gc_table_take(links, p);
  e->key = to;
  gc_table_insert(links, e);
  return GC_SUCCESS;
}

static int gc_link_move(struct gc_table *links, void **from, void **to) {
  if ((uintptr_t)to % sizeof(void *) != 0) {
    gc_fail("a disappearing link is not aligned");
  }
  if ((uintptr_t)from % sizeof(void *) != 0) {
    return GC_NOT_FOUND;
  }
  gc_lock();
  int result = gc_link_move_locked(links, from, to);
  gc_unlock();
  return result;
}

int GC_register_disappearing_link(void **at) {
  void *object = GC_base((void *)at);
  if (object == NULL) {
    gc_fail("GC_register_disappearing_link: the link is in no object");
  }
  return gc_link_add(&gc_short_links, at, object);
}

int GC_general_register_disappearing_link(void **at, const void *object) {
  return gc_link_add(&gc_short_links, at, object);
}

int GC_unregister_disappearing_link(void **at) {
  return gc_link_drop(&gc_short_links, at);
}

int GC_move_disappearing_link(void **from, void **to) {
  return gc_link_move(&gc_short_links, from, to);
}

int GC_register_long_link(void **at, const void *object) {
  return gc_link_add(&gc_long_links, at, object);
}

int GC_unregister_long_link(void **at) {
  return gc_link_drop(&gc_long_links, at);
}

int GC_move_long_link(void **from, void **to) {
  return gc_link_move(&gc_long_links, from, to);
}

/* Is the object gone? What is not one of the heap's stays. */
static bool gc_is_dead(const void *p) {
  struct alm_core_object o;
  return gc_find(p, &o) && !o.is_root && !gc.core->is_marked(o.base);
}

static void gc_links_clear_dead(struct gc_table *links) {
  for (size_t i = 0; i < links->nchains; i++) {
    for (struct gc_entry **p = &links->chains[i]; *p != NULL;) {
      if (gc_is_dead(gc_link_of(*p)->object)) {
        *(void **)(*p)->key = NULL;
        gc_link_remove(links, p);
      } else {
        p = &(*p)->next;
      }
    }
  }
}

static void gc_links_drop_dangling(struct gc_table *links) {
  for (size_t i = 0; i < links->nchains; i++) {
    for (struct gc_entry **p = &links->chains[i]; *p != NULL;) {
      if (gc_is_dead((*p)->key)) {
        gc_link_remove(links, p);
      } else {
        p = &(*p)->next;
      }
    }
  }
}

void gc_links_clear(bool is_long) {
  if (!is_long) {
    gc_links_clear_dead(&gc_short_links);
    return;
  }
  gc_links_drop_dangling(&gc_short_links);
  gc_links_clear_dead(&gc_long_links);
  gc_links_drop_dangling(&gc_long_links);
}

static void gc_links_show_of(const struct gc_table *links, const char *what) {
  for (size_t i = 0; i < links->nchains; i++) {
    for (struct gc_entry *e = links->chains[i]; e != NULL; e = e->next) {
      gc_show("  %s link at %p to %p\n", what, e->key, gc_link_of(e)->object);
    }
  }
}

void gc_links_show(void) {
  gc_links_show_of(&gc_short_links, "short");
  gc_links_show_of(&gc_long_links, "long");
}

/* ---- toggle references --------------------------------------------------- */

static bool gc_toggles_have_room(void) {
  if (gc_toggles.count < gc_toggles.room) {
    return true;
  }
  struct gc_toggle *at =
      gc_grown(gc_toggles.at, &gc_toggles.room, sizeof *gc_toggles.at);
  gc_toggles.at = at != NULL ? at : gc_toggles.at;
  return at != NULL;
}

int GC_toggleref_add(void *object, int is_strong) {
  int result = GC_SUCCESS;
  gc_start();
  gc_lock();
  if (gc_toggles.decide != NULL) {
    if (gc_toggles_have_room()) {
      gc_toggles.at[gc_toggles.count++] =
          (struct gc_toggle){object, is_strong != 0};
    } else {
      result = GC_NO_MEMORY;
    }
  }
  gc_unlock();
  return result;
}

void GC_set_toggleref_func(GC_toggleref_func fn) {
  gc_lock();
  gc_toggles.decide = fn;
  gc_unlock();
}

GC_toggleref_func GC_get_toggleref_func(void) {
  gc_lock();
  GC_toggleref_func fn = gc_toggles.decide;
  gc_unlock();
  return fn;
}

/* Ask the client; the world runs. */
void gc_toggles_before(void) {
  size_t kept = 0;
  for (size_t i = 0; i < gc_toggles.count && gc_toggles.decide; i++) {
    struct gc_toggle t = gc_toggles.at[i];
    switch (t.object != NULL ? gc_toggles.decide(t.object)
                             : GC_TOGGLE_REF_DROP) {
    case GC_TOGGLE_REF_STRONG:
      gc_toggles.at[kept++] = (struct gc_toggle){t.object, true};
      break;
    case GC_TOGGLE_REF_WEAK:
      gc_toggles.at[kept++] = (struct gc_toggle){t.object, false};
      break;
    default:
      break;
    }
  }
  gc_toggles.count = gc_toggles.decide ? kept : gc_toggles.count;
}

void gc_toggles_mark(struct alm_marker *m) {
  for (size_t i = 0; i < gc_toggles.count; i++) {
    struct gc_toggle *t = &gc_toggles.at[i];
    if (t->is_strong) {
      gc.core->mark_range(m, &t->object, sizeof t->object, false);
    }
  }
}

void gc_toggles_clear(void) {
  size_t kept = 0;
  for (size_t i = 0; i < gc_toggles.count; i++) {
    if (!gc_is_dead(gc_toggles.at[i].object)) {
      gc_toggles.at[kept++] = gc_toggles.at[i];
    }
  }
  gc_toggles.count = kept;
}
