/* table.c -- hash tables and weak boxes; see lisp.h.
 *
 * HOW     Open addressing with linear probing, keys compared by equal?.
 *         Objects do not move, so that keys without contents, such as
 *         procedures, hash by address.
 */
#include "lisp.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 8, HASH_DEPTH = 8 };

static uint64_t mix(uint64_t h, uint64_t n) {
  h = (h ^ n) * UINT64_C(0x9e3779b97f4a7c15);
  return h ^ h >> 29;
}

/* What is equal hashes the same; of large structures a part is enough. */
static uint64_t hash(value v, int depth) {
  uint64_t h = 1;
  if (is_fixnum(v) || (v & 7) != 0 || depth == 0) {
    return depth == 0 ? 0 : mix(h, v);
  }
  switch ((enum type)AS(object, v)->type) {
  case T_STRING:
    for (size_t i = 0; i < AS(string, v)->length; i++) {
      h = mix(h, (unsigned char)AS(string, v)->bytes[i]);
    }
    return h;
  case T_FLONUM: {
    uint64_t bits = 0;
    double d = AS(flonum, v)->number + 0.0; /* -0.0 is 0.0 */
    memcpy(&bits, &d, sizeof bits);
    return mix(h, bits);
  }
  case T_PAIR:
    for (; is_pair(v) && depth > 0; v = cdr(v), depth--) {
      h = mix(h, hash(car(v), depth - 1));
    }
    return h;
  case T_VECTOR:
    for (size_t i = 0; i < AS(vector, v)->length && depth > 0; i++, depth--) {
      h = mix(h, hash(AS(vector, v)->items[i], depth - 1));
    }
    return h;
  default:
    return mix(h, v);
  }
}

/* Two values per place. */
static value places_new(struct vm *vm, size_t n) {
  return make_vector(vm, n * 2, V_NONE);
}

static struct table *need_table(struct vm *vm, value v) {
  need(vm, v, T_TABLE, "a hash table");
  return AS(table, v);
}

/* The index of the key, or of the place where it should go. */
static size_t find(struct vm *vm, struct table *t, value key) {
  struct vector *places = AS(vector, t->places);
  size_t mask = places->length / 2 - 1;
  size_t free_place = SIZE_MAX;
  for (size_t i = hash(key, HASH_DEPTH) & mask;; i = (i + 1) & mask) {
    value k = places->items[2 * i];
    if (k == V_NONE) {
      return free_place != SIZE_MAX ? free_place : 2 * i;
    }
    if (k == V_GONE) {
      free_place = free_place != SIZE_MAX ? free_place : 2 * i;
    } else if (k == key || is_equal(vm, k, key)) {
      return 2 * i;
    }
  }
}

static bool is_key(value v) {
  return v != V_NONE && v != V_GONE;
}

/* At most three quarters of the places are used. */
static void make_room(struct vm *vm, struct table *t) {
  struct vector *old = AS(vector, t->places);
  size_t n = old->length / 2;
  if (4 * (t->used + 1) <= 3 * n) {
    return;
  }
  struct vector *new =
      AS(vector, places_new(vm, 2 * t->count >= n ? 2 * n : n));
  put(vm, t, &t->places, value_of(new));
  t->used = t->count;
  for (size_t i = 0; i < old->length; i += 2) {
    if (is_key(old->items[i])) {
      size_t j = find(vm, t, old->items[i]);
      put(vm, new, &new->items[j], old->items[i]);
      put(vm, new, &new->items[j + 1], old->items[i + 1]);
    }
  }
}

BUILTIN(b_make_table) {
  value places = places_new(vm, PLACES_MIN);
  struct table *t = make_object(vm, T_TABLE);
  t->places = places;
  return value_of(t);
}

/* (hash-table-ref table key [default]) */
BUILTIN(b_table_ref) {
  struct table *t = need_table(vm, argv[0]);
  value *place = &AS(vector, t->places)->items[find(vm, t, argv[1])];
  if (is_key(place[0])) {
    return place[1];
  }
  if (argc < 3) {
    fail_in(vm, "no such key", argv[1]);
  }
  return argv[2];
}

BUILTIN(b_table_set) {
  struct table *t = need_table(vm, argv[0]);
  make_room(vm, t);
  struct vector *places = AS(vector, t->places);
  size_t i = find(vm, t, argv[1]);
  if (!is_key(places->items[i])) {
    t->count++;
    t->used += places->items[i] == V_NONE;
    put(vm, places, &places->items[i], argv[1]);
  }
  put(vm, places, &places->items[i + 1], argv[2]);
  return V_VOID;
}

BUILTIN(b_table_delete) {
  struct table *t = need_table(vm, argv[0]);
  struct vector *places = AS(vector, t->places);
  size_t i = find(vm, t, argv[1]);
  if (is_key(places->items[i])) {
    t->count--;
    put(vm, places, &places->items[i], V_GONE);
    put(vm, places, &places->items[i + 1], V_NONE);
  }
  return V_VOID;
}

BUILTIN(b_table_count) {
  return fixnum((int64_t)need_table(vm, argv[0])->count);
}

BUILTIN(b_table_to_alist) {
  value out = V_NIL;
  struct vector *places = AS(vector, need_table(vm, argv[0])->places);
  for (size_t i = 0; i < places->length; i += 2) {
    if (is_key(places->items[i])) {
      out = cons(vm, cons(vm, places->items[i], places->items[i + 1]), out);
    }
  }
  return out;
}

QUESTION(b_is_table, is(argv[0], T_TABLE))

/* ---- weak boxes ---------------------------------------------------------- */

struct weak {
  struct alm_weak *to;
};

static void weak_cleanup(void *object, void *arg) {
  (void)object;
  struct weak *w = arg;
  if (w->to != NULL) {
    alm_weak_release(vm_current->m, w->to);
  }
  free(w);
}

/* (make-weak-box v): v must be an object, not a number or a constant. */
BUILTIN(b_make_weak) {
  if ((argv[0] & 7) != 0) {
    fail_type(vm, "an object", argv[0]);
  }
  struct weak *w = calloc(1, sizeof *w);
  value v = make_extern(vm, T_WEAK, w, weak_cleanup);
  w->to = alm_weak_create(vm->m, object_of(argv[0]), false);
  if (w->to == NULL) {
    vm_raise(vm, rt.known.no_memory);
  }
  return v;
}

/* (weak-box-ref box): the value, or #f when it is gone. */
BUILTIN(b_weak_ref) {
  need(vm, argv[0], T_WEAK, "a weak box");
  struct weak *w = AS(extern_object, argv[0])->outside;
  void *p = alm_weak_get(vm->m, w->to);
  return p != NULL ? value_of(p) : V_FALSE;
}

static const struct builtin_info table_table[] = {
    {"make-hash-table", 0, 0, 0, b_make_table},
    {"hash-table-ref", 2, 3, 0, b_table_ref},
    {"hash-table-set!", 3, 3, 0, b_table_set},
    {"hash-table-delete!", 2, 2, 0, b_table_delete},
    {"hash-table-count", 1, 1, 0, b_table_count},
    {"hash-table->alist", 1, 1, 0, b_table_to_alist},
    {"hash-table?", 1, 1, 0, b_is_table},
    {"make-weak-box", 1, 1, 0, b_make_weak},
    {"weak-box-ref", 1, 1, 0, b_weak_ref},
};

void builtins_table(struct vm *vm) {
  builtin_define(vm, table_table, COUNT(table_table));
}
