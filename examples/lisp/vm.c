/* vm.c -- memory, symbols, errors, the state of threads; see lisp.h.
 *
 * HOW     Objects come from typed allocation: one type per struct, and for
 *         what has a number of words (frames, nodes, vectors) one type per
 *         small number and a traced array above.
 *         The symbol table lies outside the heap and holds weak references.
 *         Errors go by longjmp to the innermost struct catch that wants them.
 */
#define _GNU_SOURCE /* pthread_getattr_np */
#include "lisp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 255 };

/* A name of the symbol table. */
struct entry {
  struct entry *next;
  uint64_t hash;
  struct alm_weak *symbol;
};

/* Under rt.lock. */
static struct {
  struct entry **chains;
  size_t nchains; /* a power of two, or 0 */
  size_t count;
  char *files[FILES_MAX];
  unsigned nfiles;
} names;

struct runtime rt;
_Thread_local struct vm *vm_current;

/* ---- memory -------------------------------------------------------------- */

_Noreturn static void fail_memory(struct vm *vm) {
  vm_raise(vm, rt.known.no_memory);
}

/* Vectors, nodes and frames of any size: a head, then words. */
static void trace_words(void *object, size_t bytes, struct alm_visitor *v) {
  void **words = object;
  for (size_t i = 1; i < bytes / sizeof *words; i++) {
    alm_visit(v, words[i]);
  }
}

static bool type_make(const char *name, size_t bytes, uint64_t mask,
                      alm_trace trace, const struct alm_type **out) {
  struct alm_type_info info = {.name = name, .bytes = bytes, .trace = trace};
  info.pointers = mask != 0 ? &mask : NULL;
  info.words = mask != 0 ? bytes / 8 : 0;
  return alm_type_create(rt.heap, &info, out) == ALM_OK;
}

#define BIT(type, field) (UINT64_C(1) << offsetof(struct type, field) / 8)

static bool types_make(void) {
  const uint64_t outer = BIT(extern_object, value);
  const struct {
    const char *name;
    size_t bytes;
    uint64_t mask;
  } fixed[T_COUNT] = {
      [T_PAIR] = {"pair", sizeof(struct pair), BIT(pair, car) | BIT(pair, cdr)},
      [T_FLONUM] = {"flonum", sizeof(struct flonum), 0},
      [T_STRING] = {"string", sizeof(struct string), BIT(string, bytes)},
      [T_SYMBOL] = {"symbol", sizeof(struct symbol),
                    BIT(symbol, value) | BIT(symbol, macro) |
                        BIT(symbol, name)},
      [T_TABLE] = {"table", sizeof(struct table), BIT(table, places)},
      [T_CLOSURE] = {"closure", sizeof(struct closure),
                     BIT(closure, lambda) | BIT(closure, frame)},
      [T_BUILTIN] = {"builtin", sizeof(struct builtin), 0},
      [T_CONDITION] = {"condition", sizeof(struct condition),
                       BIT(condition, message) | BIT(condition, irritants)},
      [T_ESCAPE] = {"escape", sizeof(struct escape), 0},
      [T_THREAD] = {"thread", sizeof(struct extern_object), outer},
      [T_MUTEX] = {"mutex", sizeof(struct extern_object), outer},
      [T_WEAK] = {"weak box", sizeof(struct extern_object), outer},
  };
  for (int i = 0; i < T_COUNT; i++) {
    if (fixed[i].bytes != 0 && !type_make(fixed[i].name, fixed[i].bytes,
                                          fixed[i].mask, NULL, &rt.types[i])) {
      return false;
    }
  }
  for (size_t n = 0; n < SMALL_WORDS; n++) {
    uint64_t mask = ((UINT64_C(1) << (n + 2)) - 1) & ~UINT64_C(1);
    if (!type_make("words", 16 + 8 * n, mask, NULL, &rt.words[n])) {
      return false;
    }
  }
  return type_make("many words", 8, 0, trace_words, &rt.many);
}

void *make_object(struct vm *vm, enum type type) {
  struct object *o = alm_new_inline(vm->m, rt.types[type]);
  if (o == NULL) {
    fail_memory(vm);
  }
  o->type = (uint8_t)type;
  return o;
}

void *make_words(struct vm *vm, enum type type, size_t n) {
  struct object *o =
      n < SMALL_WORDS
          ? alm_new_inline(vm->m, rt.words[n])
          : (n < PTRDIFF_MAX / 8 ? alm_new_array(vm->m, rt.many, n + 2) : NULL);
  if (o == NULL) {
    fail_memory(vm);
  }
  o->type = (uint8_t)type;
  return o;
}

void *make_bytes(struct vm *vm, size_t bytes) {
  void *p = alm_new_bytes(vm->m, ALM_NOSCAN, bytes);
  if (p == NULL) {
    fail_memory(vm);
  }
  return p;
}

value make_flonum(struct vm *vm, double number) {
  struct flonum *f = make_object(vm, T_FLONUM);
  f->number = number;
  return value_of(f);
}

value make_integer(struct vm *vm, int64_t n) {
  return n >= FIXNUM_MIN && n <= FIXNUM_MAX ? fixnum(n)
                                            : make_flonum(vm, (double)n);
}

value make_vector(struct vm *vm, size_t length, value fill) {
  struct vector *v = make_words(vm, T_VECTOR, length);
  v->length = length;
  for (size_t i = 0; i < length; i++) v->items[i] = fill;
  return value_of(v);
}

value make_list(struct vm *vm, int n, ...) {
  va_list list;
  va_start(list, n);
  value first = V_NIL;
  value last = V_NIL;
  for (int i = 0; i < n; i++) {
    value p = cons(vm, va_arg(list, value), V_NIL);
    if (i == 0) {
      first = p;
    } else {
      put(vm, object_of(last), &AS(pair, last)->cdr, p);
    }
    last = p;
  }
  va_end(list);
  return first;
}

value make_extern(struct vm *vm, enum type type, void *outside,
                  alm_finalizer cleanup) {
  struct extern_object *o = make_object(vm, type);
  alm_finalizers_run(vm->m, 0); /* who makes more of them tidies up */
  o->outside = outside;
  o->value = V_FALSE;
  if (outside == NULL || alm_cleanup_add(vm->m, o, cleanup, outside)) {
    fail_memory(vm);
  }
  return value_of(o);
}

/* ---- strings ------------------------------------------------------------- */

value make_string(struct vm *vm, const char *bytes, size_t length) {
  struct string *s = make_object(vm, T_STRING);
  s->bytes = make_bytes(vm, length + 1);
  s->room = length + 1;
  s->length = length;
  if (bytes != NULL) {
    memcpy(s->bytes, bytes, length);
  }
  return value_of(s);
}

void string_add(struct vm *vm, value v, const char *bytes, size_t n) {
  struct string *s = AS(string, v);
  if (s->length + n >= s->room) {
    size_t room = (s->length + n + 1) * 2;
    char *more = make_bytes(vm, room);
    memcpy(more, s->bytes, s->length);
    put(vm, s, (value *)(void *)&s->bytes, value_of(more));
    s->room = room;
  }
  memcpy(s->bytes + s->length, bytes, n);
  s->length += n;
}

void string_add_text(struct vm *vm, value s, const char *text) {
  string_add(vm, s, text, strlen(text));
}

const char *string_text(struct vm *vm, value v) {
  struct string *s = AS(string, v);
  if (s->length == s->room) {
    string_add(vm, v, "", 1);
    s->length--;
  }
  s->bytes[s->length] = '\0';
  return s->bytes;
}

/* ---- symbols ------------------------------------------------------------- */

static uint64_t hash_bytes(const char *bytes, size_t length) {
  uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
  for (size_t i = 0; i < length; i++) {
    h = (h ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
  }
  return h ^ h >> 32;
}

static void *entry_symbol(struct vm *vm, const struct entry *e) {
  return alm_weak_get(vm->m, e->symbol);
}

/* The symbol of that name, or 0. The lock is held. */
static value names_find(struct vm *vm, uint64_t hash, const char *name,
                        size_t length) {
  if (names.nchains == 0) {
    return 0;
  }
  struct entry *e = names.chains[hash & (names.nchains - 1)];
  for (; e != NULL; e = e->next) {
    struct symbol *found = e->hash == hash ? entry_symbol(vm, e) : NULL;
    if (found != NULL) {
      struct string *s = AS(string, found->name);
      if (s->length == length && memcmp(s->bytes, name, length) == 0) {
        return value_of(found);
      }
    }
  }
  return 0;
}

/* Drop the entries of dead symbols; make the table larger if that does not
 * help. False: no memory. The lock is held. */
static bool names_make_room(struct vm *vm) {
  struct entry *all = NULL;
  for (size_t i = 0; i < names.nchains; i++) {
    for (struct entry *e = names.chains[i], *next; e != NULL; e = next) {
      next = e->next;
      if (entry_symbol(vm, e) == NULL) {
        alm_weak_release(vm->m, e->symbol);
        free(e);
        names.count--;
      } else {
        e->next = all;
        all = e;
      }
    }
    names.chains[i] = NULL;
  }
  size_t n = names.nchains == 0 ? 256 : names.nchains;
  n = names.count > n / 2 ? n * 2 : n;
  struct entry **chains = calloc(n, sizeof *chains);
  bool made = chains != NULL;
  if (made) {
    free(names.chains);
    names.chains = chains;
    names.nchains = n;
  }
  while (all != NULL) {
    struct entry *next = all->next;
    struct entry **chain = &names.chains[all->hash & (names.nchains - 1)];
    all->next = *chain;
    *chain = all;
    all = next;
  }
  return made;
}

/* Insert, unless another thread was faster: then its symbol. */
static value names_add(struct vm *vm, struct entry *e, value symbol) {
  struct string *name = AS(string, AS(symbol, symbol)->name);
  vm_lock(vm, &rt.lock);
  value found = names_find(vm, e->hash, name->bytes, name->length);
  bool added = false;
  if (found == 0) {
    added = names.count < names.nchains || names_make_room(vm);
    if (added) {
      struct entry **chain = &names.chains[e->hash & (names.nchains - 1)];
      e->next = *chain;
      *chain = e;
      names.count++;
      found = symbol;
    }
  }
  pthread_mutex_unlock(&rt.lock);
  if (!added) {
    alm_weak_release(vm->m, e->symbol);
    free(e);
  }
  return found;
}

value symbol_make(struct vm *vm, value name) {
  struct symbol *s = make_object(vm, T_SYMBOL);
  s->name = name;
  return value_of(s);
}

value symbol_intern(struct vm *vm, const char *name, size_t length) {
  uint64_t hash = hash_bytes(name, length);
  vm_lock(vm, &rt.lock);
  value symbol = names_find(vm, hash, name, length);
  pthread_mutex_unlock(&rt.lock);
  if (symbol != 0) {
    return symbol;
  }
  symbol = symbol_make(vm, make_string(vm, name, length));
  struct entry *e = malloc(sizeof *e);
  if (e != NULL) {
    e->hash = hash;
    e->symbol = alm_weak_create(vm->m, object_of(symbol), false);
    if (e->symbol == NULL) {
      free(e);
      e = NULL;
    }
  }
  symbol = e != NULL ? names_add(vm, e, symbol) : 0;
  if (symbol == 0) {
    fail_memory(vm);
  }
  return symbol;
}

value symbol_named(struct vm *vm, const char *name) {
  return symbol_intern(vm, name, strlen(name));
}

void symbol_pin(struct vm *vm, value v) {
  struct symbol *s = AS(symbol, v);
  vm_lock(vm, &rt.lock);
  if (s->pin == NULL) {
    s->pin = alm_handle_create(vm->m, s);
  }
  bool done = s->pin != NULL;
  pthread_mutex_unlock(&rt.lock);
  if (!done) {
    fail_memory(vm);
  }
}

void symbol_define(struct vm *vm, value v, value to) {
  struct symbol *s = AS(symbol, v);
  if (s->pin == NULL) {
    symbol_pin(vm, v);
  }
  /* Other threads that see the value see what it points to. */
  __atomic_thread_fence(__ATOMIC_RELEASE);
  put(vm, s, &s->value, to);
}

size_t symbol_count(struct vm *vm) {
  vm_lock(vm, &rt.lock);
  size_t n = names.count;
  pthread_mutex_unlock(&rt.lock);
  return n;
}

unsigned file_number(struct vm *vm, const char *name) {
  vm_lock(vm, &rt.lock);
  unsigned n = 0;
  while (n < names.nfiles && strcmp(names.files[n], name) != 0) n++;
  if (n == names.nfiles) {
    char *copy = n < FILES_MAX ? strdup(name) : NULL;
    if (copy == NULL) {
      n = 0; /* positions will be wrong, that is all */
    } else {
      names.files[names.nfiles++] = copy;
    }
  }
  pthread_mutex_unlock(&rt.lock);
  return n;
}

const char *file_name(unsigned number) {
  return names.files[number] != NULL ? names.files[number] : "?";
}

/* ---- errors -------------------------------------------------------------- */

void catch_push(struct vm *vm, struct catch *c, bool takes_errors,
                bool takes_all) {
  c->up = vm->catches;
  c->takes_errors = takes_errors;
  c->takes_all = takes_all;
  vm->catches = c;
}

void catch_pop(struct vm *vm, struct catch *c) {
  vm->catches = c->up;
}

void vm_throw(struct vm *vm) {
  struct catch *c = vm->catches;
  while (!c->takes_all &&
         (vm->target != NULL ? c != vm->target : !c->takes_errors)) {
    c = c->up;
  }
  vm->catches = c->up;
  longjmp(c->jump, 1);
}

void vm_raise(struct vm *vm, value v) {
  vm->target = NULL;
  vm->thrown = v;
  vm_throw(vm);
}

void fail_value(struct vm *vm, const char *message, value irritant) {
  uint32_t pos = vm->pos;
  value text = make_string(vm, message, strlen(message));
  value list = irritant == V_DEFAULT ? V_NIL : cons(vm, irritant, V_NIL);
  struct condition *c = make_object(vm, T_CONDITION);
  c->h.pos = pos;
  c->message = text;
  c->irritants = list;
  vm_raise(vm, value_of(c));
}

void fail(struct vm *vm, const char *message) {
  fail_value(vm, message, V_DEFAULT);
}

void fail_in(struct vm *vm, const char *message, value irritant) {
  char text[200];
  snprintf(text, sizeof text, "%s: %s", vm->name, message);
  fail_value(vm, text, irritant);
}

void fail_type(struct vm *vm, const char *wanted, value got) {
  char text[100];
  snprintf(text, sizeof text, "not %s", wanted);
  fail_in(vm, text, got);
}

/* ---- threads' state ------------------------------------------------------ */

void vm_lock(struct vm *vm, pthread_mutex_t *lock) {
  if (pthread_mutex_trylock(lock) != 0) {
    alm_blocked_begin(vm->m);
    pthread_mutex_lock(lock);
    alm_blocked_end(vm->m);
  }
}

bool thread_create(pthread_t *out, void *(*run)(void *), void *arg) {
  pthread_attr_t attr;
  if (pthread_attr_init(&attr) != 0) {
    return false;
  }
  bool made = pthread_attr_setstacksize(&attr, rt.stack_bytes) == 0 &&
              pthread_create(out, &attr, run, arg) == 0;
  pthread_attr_destroy(&attr);
  return made;
}

bool vm_attach(struct vm *vm) {
  /* The collector and C's own functions need some room below. */
  enum { RESERVE_MAX = 256 * 1024 };
  pthread_attr_t attr;
  void *low;
  size_t bytes;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) {
    return false;
  }
  pthread_attr_getstack(&attr, &low, &bytes);
  pthread_attr_destroy(&attr);
  size_t reserve = bytes / 4 < RESERVE_MAX ? bytes / 4 : RESERVE_MAX;
  *vm = (struct vm){.stack_end = (char *)low + reserve};
  vm->thrown = V_FALSE;
  vm->out = V_FALSE;
  vm->name = "?";
  vm_current = vm;
  return alm_mutator_attach(rt.heap, &vm->m) == ALM_OK;
}

void vm_detach(struct vm *vm) {
  alm_mutator_detach(vm->m);
  vm_current = NULL;
}

bool runtime_init(const struct alm_heap_options *options) {
  pthread_mutex_init(&rt.lock, NULL);
  return alm_heap_create(options, &rt.heap) == ALM_OK && types_make() &&
         alm_root_add(rt.heap, &rt.known, sizeof rt.known) == ALM_OK;
}

void runtime_fill(struct vm *vm) {
  value text = make_string(vm, "out of memory", 13);
  struct condition *c = make_object(vm, T_CONDITION);
  c->message = text;
  c->irritants = V_NIL;
  rt.known.no_memory = value_of(c);
  rt.known.args = V_NIL;
  compile_init(vm);
  builtins_core(vm);
  builtins_number(vm);
  builtins_text(vm);
  builtins_table(vm);
  builtins_thread(vm);
  unsigned file = file_number(vm, "prelude");
  for (size_t i = 0; i < prelude_lines; i++) {
    eval_text(vm, make_string(vm, prelude[i], strlen(prelude[i])), file);
  }
}
