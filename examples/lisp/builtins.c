/* builtins.c -- pairs, lists, vectors, control, the system; see lisp.h. */
#define _POSIX_C_SOURCE 200809L
#include "lisp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- shared -------------------------------------------------------------- */

int64_t need_int(struct vm *vm, value v) {
  if (!is_fixnum(v)) {
    fail_type(vm, "an integer", v);
  }
  return fixnum_of(v);
}

size_t need_slot(struct vm *vm, value v, size_t n) {
  int64_t i = need_int(vm, v);
  if (i < 0 || (uint64_t)i >= n) {
    fail_in(vm, "out of range", v);
  }
  return (size_t)i;
}

size_t need_index(struct vm *vm, value v, size_t end) {
  return need_slot(vm, v, end + 1);
}

void need(struct vm *vm, value v, enum type type, const char *name) {
  if (!is(v, type)) {
    fail_type(vm, name, v);
  }
}

static void need_pair(struct vm *vm, value v) {
  need(vm, v, T_PAIR, "a pair");
}

static void need_list(struct vm *vm, value v) {
  if (list_length(v) < 0) {
    fail_type(vm, "a list", v);
  }
}

static void need_vector(struct vm *vm, value v) {
  need(vm, v, T_VECTOR, "a vector");
}

int64_t list_length(value list) {
  int64_t n = 0;
  value slow = list;
  for (; is_pair(list); list = cdr(list), n++) {
    if (n > 0 && (n & 1) == 0) { /* slow has half the way */
      slow = cdr(slow);
      if (slow == list) {
        return -1; /* a cycle */
      }
    }
  }
  return list == V_NIL ? n : -1;
}

bool is_eqv(value a, value b) {
  return a == b || (is(a, T_FLONUM) && is(b, T_FLONUM) && a != 0 && b != 0 &&
                    AS(flonum, a)->number == AS(flonum, b)->number);
}

bool is_equal(struct vm *vm, value a, value b) {
  stack_check(vm);
  while (is_pair(a) && is_pair(b)) {
    if (!is_equal(vm, car(a), car(b))) {
      return false;
    }
    a = cdr(a);
    b = cdr(b);
  }
  if (is(a, T_STRING) && is(b, T_STRING)) {
    const struct string *s = AS(string, a);
    const struct string *t = AS(string, b);
    return s->length == t->length && memcmp(s->bytes, t->bytes, s->length) == 0;
  }
  if (is(a, T_VECTOR) && is(b, T_VECTOR)) {
    size_t n = AS(vector, a)->length;
    bool same = n == AS(vector, b)->length;
    for (size_t i = 0; same && i < n; i++) {
      same = is_equal(vm, AS(vector, a)->items[i], AS(vector, b)->items[i]);
    }
    return same;
  }
  return is_eqv(a, b);
}

void builtin_define(struct vm *vm, const struct builtin_info *info, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct builtin *b = make_object(vm, T_BUILTIN);
    b->info = &info[i];
    symbol_define(vm, symbol_named(vm, info[i].name), value_of(b));
  }
}

/* A list that grows at its end. */
struct list {
  value first;
  value last;
};

static void list_add(struct vm *vm, struct list *l, value v) {
  value p = cons(vm, v, V_NIL);
  if (l->first == V_NIL) {
    l->first = p;
  } else {
    put(vm, object_of(l->last), &AS(pair, l->last)->cdr, p);
  }
  l->last = p;
}

/* ---- pairs and lists ----------------------------------------------------- */

BUILTIN(b_cons) {
  return cons(vm, argv[0], argv[1]);
}

BUILTIN(b_car) {
  need_pair(vm, argv[0]);
  return car(argv[0]);
}

BUILTIN(b_cdr) {
  need_pair(vm, argv[0]);
  return cdr(argv[0]);
}

/* The letters between c and r, from the right. */
BUILTIN(b_cxr) {
  const char *name = vm->name;
  value v = argv[0];
  for (size_t i = strlen(name) - 2; i > 0; i--) {
    need_pair(vm, v);
    v = name[i] == 'a' ? car(v) : cdr(v);
  }
  return v;
}

BUILTIN(b_set_car) {
  need_pair(vm, argv[0]);
  put(vm, object_of(argv[0]), &AS(pair, argv[0])->car, argv[1]);
  return V_VOID;
}

BUILTIN(b_set_cdr) {
  need_pair(vm, argv[0]);
  put(vm, object_of(argv[0]), &AS(pair, argv[0])->cdr, argv[1]);
  return V_VOID;
}

BUILTIN(b_list) {
  value out = V_NIL;
  for (int i = argc; i > 0; i--) out = cons(vm, argv[i - 1], out);
  return out;
}

BUILTIN(b_length) {
  need_list(vm, argv[0]);
  return fixnum(list_length(argv[0]));
}

BUILTIN(b_append) {
  struct list out = {V_NIL, V_NIL};
  for (int i = 0; i + 1 < argc; i++) {
    need_list(vm, argv[i]);
    for (value l = argv[i]; is_pair(l); l = cdr(l)) list_add(vm, &out, car(l));
  }
  value end = argc > 0 ? argv[argc - 1] : V_NIL;
  if (out.first == V_NIL) {
    return end;
  }
  put(vm, object_of(out.last), &AS(pair, out.last)->cdr, end);
  return out.first;
}

BUILTIN(b_reverse) {
  value out = V_NIL;
  need_list(vm, argv[0]);
  for (value l = argv[0]; is_pair(l); l = cdr(l)) out = cons(vm, car(l), out);
  return out;
}

BUILTIN(b_list_tail) {
  value l = argv[0];
  for (int64_t i = need_int(vm, argv[1]); i > 0; i--, l = cdr(l)) {
    need_pair(vm, l);
  }
  return l;
}

BUILTIN(b_list_ref) {
  value l = b_list_tail(vm, argc, argv);
  need_pair(vm, l);
  return car(l);
}

/* memq, memv, member, assq, assv, assoc: how to compare is in the name. */
static bool is_same(struct vm *vm, char how, value a, value b) {
  return how == 'q' ? a == b : how == 'v' ? is_eqv(a, b) : is_equal(vm, a, b);
}

BUILTIN(b_member) {
  char how = vm->name[3];
  value l = argv[1];
  while (is_pair(l) && !is_same(vm, how, argv[0], car(l))) l = cdr(l);
  return is_pair(l) ? l : V_FALSE;
}

BUILTIN(b_assoc) {
  char how = vm->name[3];
  for (value l = argv[1]; is_pair(l); l = cdr(l)) {
    need_pair(vm, car(l));
    if (is_same(vm, how, argv[0], car(car(l)))) {
      return car(l);
    }
  }
  return V_FALSE;
}

/* The heads of the lists; false when one is at its end. */
static bool heads(int n, value *lists, value *out) {
  for (int i = 0; i < n; i++) {
    if (!is_pair(lists[i])) {
      return false;
    }
    out[i] = car(lists[i]);
    lists[i] = cdr(lists[i]);
  }
  return true;
}

BUILTIN(b_map) {
  value args[ARGS_MAX];
  struct list out = {V_NIL, V_NIL};
  if (argc - 1 > ARGS_MAX) {
    fail_in(vm, "too many lists", fixnum(argc - 1));
  }
  while (heads(argc - 1, argv + 1, args)) {
    list_add(vm, &out, vm_apply(vm, argv[0], argc - 1, args));
  }
  return out.first;
}

BUILTIN(b_for_each) {
  value args[ARGS_MAX];
  if (argc - 1 > ARGS_MAX) {
    fail_in(vm, "too many lists", fixnum(argc - 1));
  }
  while (heads(argc - 1, argv + 1, args)) {
    vm_apply(vm, argv[0], argc - 1, args);
  }
  return V_VOID;
}

BUILTIN(b_filter) {
  struct list out = {V_NIL, V_NIL};
  for (value l = argv[1]; is_pair(l); l = cdr(l)) {
    value item = car(l);
    if (vm_apply(vm, argv[0], 1, &item) != V_FALSE) {
      list_add(vm, &out, item);
    }
  }
  return out.first;
}

BUILTIN(b_fold_left) {
  value args[2] = {argv[1]};
  for (value l = argv[2]; is_pair(l); l = cdr(l)) {
    args[1] = car(l);
    args[0] = vm_apply(vm, argv[0], 2, args);
  }
  return args[0];
}

/* ---- vectors ------------------------------------------------------------- */

BUILTIN(b_make_vector) {
  size_t n = need_index(vm, argv[0], (size_t)FIXNUM_MAX);
  return make_vector(vm, n, argc > 1 ? argv[1] : V_VOID);
}

BUILTIN(b_vector) {
  value v = make_vector(vm, (size_t)argc, V_FALSE);
  alm_copy(vm->m, object_of(v), AS(vector, v)->items, argv,
           (size_t)argc * sizeof *argv);
  return v;
}

BUILTIN(b_record) {
  value v = b_vector(vm, argc, argv);
  AS(object, v)->type = T_RECORD;
  return v;
}

/* (record-ref record type index), (record-set! record type index value) */
static value *record_slot(struct vm *vm, value *argv) {
  if (!is(argv[0], T_RECORD) || AS(vector, argv[0])->items[0] != argv[1]) {
    fail_value(vm, "not a record of this type",
               make_list(vm, 2, argv[1], argv[0]));
  }
  size_t i = need_slot(vm, argv[2], AS(vector, argv[0])->length);
  return &AS(vector, argv[0])->items[i];
}

BUILTIN(b_record_ref) {
  return *record_slot(vm, argv);
}

BUILTIN(b_record_set) {
  put(vm, object_of(argv[0]), record_slot(vm, argv), argv[3]);
  return V_VOID;
}

QUESTION(b_is_record,
         is(argv[0], T_RECORD) && AS(vector, argv[0])->items[0] == argv[1])

BUILTIN(b_vector_length) {
  need_vector(vm, argv[0]);
  return fixnum((int64_t)AS(vector, argv[0])->length);
}

static value *vector_slot(struct vm *vm, value v, value index) {
  need_vector(vm, v);
  return &AS(vector, v)->items[need_slot(vm, index, AS(vector, v)->length)];
}

BUILTIN(b_vector_ref) {
  return *vector_slot(vm, argv[0], argv[1]);
}

BUILTIN(b_vector_set) {
  put(vm, object_of(argv[0]), vector_slot(vm, argv[0], argv[1]), argv[2]);
  return V_VOID;
}

BUILTIN(b_vector_fill) {
  need_vector(vm, argv[0]);
  struct vector *v = AS(vector, argv[0]);
  for (size_t i = 0; i < v->length; i++) put(vm, v, &v->items[i], argv[1]);
  return V_VOID;
}

BUILTIN(b_vector_to_list) {
  value out = V_NIL;
  need_vector(vm, argv[0]);
  for (size_t i = AS(vector, argv[0])->length; i > 0; i--) {
    out = cons(vm, AS(vector, argv[0])->items[i - 1], out);
  }
  return out;
}

BUILTIN(b_list_to_vector) {
  need_list(vm, argv[0]);
  size_t n = (size_t)list_length(argv[0]);
  value v = make_vector(vm, n, V_FALSE);
  value l = argv[0];
  for (size_t i = 0; i < n; i++, l = cdr(l)) {
    put(vm, object_of(v), &AS(vector, v)->items[i], car(l));
  }
  return v;
}

BUILTIN(b_subvector) {
  need_vector(vm, argv[0]);
  size_t end = need_index(vm, argv[2], AS(vector, argv[0])->length);
  size_t start = need_index(vm, argv[1], end);
  value v = make_vector(vm, end - start, V_FALSE);
  alm_copy(vm->m, object_of(v), AS(vector, v)->items,
           AS(vector, argv[0])->items + start, (end - start) * sizeof(value));
  return v;
}

/* Merge the sorted halves of items[from, to), using `spare`. */
static void merge(struct vm *vm, struct vector *v, struct vector *spare,
                  size_t from, size_t middle, size_t to, value less) {
  size_t n = (middle - from) * sizeof(value);
  alm_copy(vm->m, spare, spare->items, v->items + from, n);
  size_t i = 0;
  size_t left = middle - from;
  size_t j = middle;
  for (size_t out = from; i < left; out++) {
    value args[2] = {j < to ? v->items[j] : 0, spare->items[i]};
    bool right = j < to && vm_apply(vm, less, 2, args) != V_FALSE;
    put(vm, v, &v->items[out], right ? v->items[j++] : spare->items[i++]);
  }
}

static void merge_sort(struct vm *vm, struct vector *v, struct vector *spare,
                       size_t from, size_t to, value less) {
  if (to - from < 2) {
    return;
  }
  size_t middle = from + (to - from) / 2;
  merge_sort(vm, v, spare, from, middle, less);
  merge_sort(vm, v, spare, middle, to, less);
  merge(vm, v, spare, from, middle, to, less);
}

/* (sort list-or-vector less), stable, returns a new one. */
BUILTIN(b_sort) {
  bool is_vector = is(argv[0], T_VECTOR);
  value bounds[3] = {argv[0], fixnum(0), 0};
  value v;
  if (is_vector) {
    bounds[2] = fixnum((int64_t)AS(vector, argv[0])->length);
    v = b_subvector(vm, 3, bounds);
  } else {
    v = b_list_to_vector(vm, 1, argv);
  }
  size_t n = AS(vector, v)->length;
  value spare = make_vector(vm, n, V_FALSE);
  merge_sort(vm, AS(vector, v), AS(vector, spare), 0, n, argv[1]);
  return is_vector ? v : b_vector_to_list(vm, 1, &v);
}

/* ---- kinds of values ----------------------------------------------------- */

QUESTION(b_not, argv[0] == V_FALSE)
QUESTION(b_is_null, argv[0] == V_NIL)
QUESTION(b_is_list, list_length(argv[0]) >= 0)
QUESTION(b_is_boolean, argv[0] == V_TRUE || argv[0] == V_FALSE)
QUESTION(b_is_procedure, is(argv[0], T_CLOSURE) || is(argv[0], T_BUILTIN) ||
                             is(argv[0], T_ESCAPE))
QUESTION(b_is_eof, argv[0] == V_EOF)
QUESTION(b_is_pair, is_pair(argv[0]))
QUESTION(b_is_symbol, is(argv[0], T_SYMBOL))
QUESTION(b_is_vector, is(argv[0], T_VECTOR))
QUESTION(b_eq, argv[0] == argv[1])
QUESTION(b_eqv, is_eqv(argv[0], argv[1]))
QUESTION(b_equal, is_equal(vm, argv[0], argv[1]))

/* ---- control ------------------------------------------------------------- */

/* (apply f a b ... list), a tail call. */
BUILTIN(b_apply) {
  value list = argv[argc - 1];
  need_list(vm, list);
  for (int i = argc - 1; i > 1; i--) list = cons(vm, argv[i - 1], list);
  vm->tail_f = argv[0];
  vm->tail_args = list;
  return V_TAIL;
}

BUILTIN(b_raise) {
  vm_raise(vm, argv[0]);
}

BUILTIN(b_error) {
  struct condition *c = make_object(vm, T_CONDITION);
  value list = b_list(vm, argc - 1, argv + 1);
  c->h.pos = vm->pos;
  put(vm, c, &c->message, argv[0]);
  put(vm, c, &c->irritants, list);
  vm_raise(vm, value_of(c));
}

QUESTION(b_is_error, is(argv[0], T_CONDITION))

BUILTIN(b_error_message) {
  need(vm, argv[0], T_CONDITION, "an error");
  return AS(condition, argv[0])->message;
}

BUILTIN(b_error_irritants) {
  need(vm, argv[0], T_CONDITION, "an error");
  return AS(condition, argv[0])->irritants;
}

BUILTIN(b_error_text) {
  return print_condition(vm, argv[0]);
}

/* (call/ec f): f gets a procedure that leaves with a value. */
BUILTIN(b_call_ec) {
  struct catch c;
  struct escape *e = make_object(vm, T_ESCAPE);
  e->vm = vm;
  e->target = &c;
  catch_push(vm, &c, false, true);
  if (setjmp(c.jump) == 0) {
    value arg = value_of(e);
    value v = vm_apply(vm, argv[0], 1, &arg);
    catch_pop(vm, &c);
    e->target = NULL;
    return v;
  }
  e->target = NULL;
  if (vm->target != &c) {
    vm_throw(vm);
  }
  return vm->thrown;
}

/* (dynamic-wind before body after), three procedures. */
BUILTIN(b_wind) {
  struct catch c;
  vm_apply(vm, argv[0], 0, NULL);
  catch_push(vm, &c, false, true);
  if (setjmp(c.jump) == 0) {
    value v = vm_apply(vm, argv[1], 0, NULL);
    catch_pop(vm, &c);
    vm_apply(vm, argv[2], 0, NULL);
    return v;
  }
  value thrown = vm->thrown;
  struct catch *target = vm->target;
  vm_apply(vm, argv[2], 0, NULL);
  vm->thrown = thrown;
  vm->target = target;
  vm_throw(vm);
}

BUILTIN(b_eval) {
  return eval_form(vm, argv[0]);
}

BUILTIN(b_load) {
  need(vm, argv[0], T_STRING, "a string");
  const char *path = string_text(vm, argv[0]);
  value text = read_file(vm, path);
  if (text == V_FALSE) {
    fail_in(vm, "cannot read the file", argv[0]);
  }
  return eval_text(vm, text, file_number(vm, path));
}

BUILTIN(b_gensym) {
  static uint64_t count;
  char name[32];
  int n = snprintf(
      name, sizeof name, "g%llu",
      (unsigned long long)__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
  return symbol_make(vm, make_string(vm, name, (size_t)n));
}

/* ---- the system ---------------------------------------------------------- */

BUILTIN(b_exit) {
  fflush(stdout);
  exit(argc == 0 || argv[0] == V_TRUE ? 0
       : is_fixnum(argv[0])           ? (int)fixnum_of(argv[0])
                                      : 1);
}

BUILTIN(b_args) {
  return rt.known.args;
}

BUILTIN(b_milliseconds) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return fixnum((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

BUILTIN(b_gc) {
  alm_collect(vm->m);
  alm_finalizers_run(vm->m, 0);
  return V_VOID;
}

QUESTION(b_gc_check, alm_heap_check(vm->m))

BUILTIN(b_gc_stats) {
  struct alm_heap_stats s;
  alm_heap_stats_read(rt.heap, &s);
  const struct {
    const char *name;
    uint64_t number;
  } table[] = {
      {"collections", s.collections},   {"pause-ns", s.pause_ns},
      {"pause-ns-max", s.pause_ns_max}, {"live-bytes", s.live_bytes},
      {"live-objects", s.live_objects}, {"goal-bytes", s.goal_bytes},
      {"heap-bytes", s.heap_bytes},     {"heap-bytes-max", s.heap_bytes_max},
      {"alloc-bytes", s.alloc_bytes},   {"mutators", s.mutators},
      {"symbols", symbol_count(vm)}};
  value out = V_NIL;
  for (size_t i = COUNT(table); i > 0; i--) {
    value name = symbol_named(vm, table[i - 1].name);
    value number = make_integer(vm, (int64_t)table[i - 1].number);
    out = cons(vm, cons(vm, name, number), out);
  }
  return out;
}

static const struct builtin_info table_core[] = {
    {"cons", 2, 2, FAST_CONS, b_cons},
    {"car", 1, 1, FAST_CAR, b_car},
    {"cdr", 1, 1, FAST_CDR, b_cdr},
    {"caar", 1, 1, 0, b_cxr},
    {"cadr", 1, 1, 0, b_cxr},
    {"cdar", 1, 1, 0, b_cxr},
    {"cddr", 1, 1, 0, b_cxr},
    {"caddr", 1, 1, 0, b_cxr},
    {"cdddr", 1, 1, 0, b_cxr},
    {"cadddr", 1, 1, 0, b_cxr},
    {"set-car!", 2, 2, 0, b_set_car},
    {"set-cdr!", 2, 2, 0, b_set_cdr},
    {"list", 0, -1, 0, b_list},
    {"length", 1, 1, 0, b_length},
    {"append", 0, -1, 0, b_append},
    {"reverse", 1, 1, 0, b_reverse},
    {"list-tail", 2, 2, 0, b_list_tail},
    {"list-ref", 2, 2, 0, b_list_ref},
    {"memq", 2, 2, 0, b_member},
    {"memv", 2, 2, 0, b_member},
    {"member", 2, 2, 0, b_member},
    {"assq", 2, 2, 0, b_assoc},
    {"assv", 2, 2, 0, b_assoc},
    {"assoc", 2, 2, 0, b_assoc},
    {"map", 2, -1, 0, b_map},
    {"for-each", 2, -1, 0, b_for_each},
    {"filter", 2, 2, 0, b_filter},
    {"fold-left", 3, 3, 0, b_fold_left},
    {"make-vector", 1, 2, 0, b_make_vector},
    {"vector", 0, -1, 0, b_vector},
    {"make-record", 1, -1, 0, b_record},
    {"record-ref", 3, 3, 0, b_record_ref},
    {"record-set!", 4, 4, 0, b_record_set},
    {"record?", 2, 2, 0, b_is_record},
    {"vector-length", 1, 1, 0, b_vector_length},
    {"vector-ref", 2, 2, FAST_REF, b_vector_ref},
    {"vector-set!", 3, 3, 0, b_vector_set},
    {"vector-fill!", 2, 2, 0, b_vector_fill},
    {"vector->list", 1, 1, 0, b_vector_to_list},
    {"list->vector", 1, 1, 0, b_list_to_vector},
    {"subvector", 3, 3, 0, b_subvector},
    {"sort", 2, 2, 0, b_sort},
    {"not", 1, 1, FAST_NOT, b_not},
    {"null?", 1, 1, FAST_NULL, b_is_null},
    {"pair?", 1, 1, FAST_PAIR, b_is_pair},
    {"list?", 1, 1, 0, b_is_list},
    {"boolean?", 1, 1, 0, b_is_boolean},
    {"procedure?", 1, 1, 0, b_is_procedure},
    {"eof-object?", 1, 1, 0, b_is_eof},
    {"symbol?", 1, 1, 0, b_is_symbol},
    {"vector?", 1, 1, 0, b_is_vector},
    {"eq?", 2, 2, FAST_EQ, b_eq},
    {"eqv?", 2, 2, 0, b_eqv},
    {"equal?", 2, 2, 0, b_equal},
    {"apply", 2, -1, 0, b_apply},
    {"raise", 1, 1, 0, b_raise},
    {"error", 1, -1, 0, b_error},
    {"error?", 1, 1, 0, b_is_error},
    {"error-message", 1, 1, 0, b_error_message},
    {"error-irritants", 1, 1, 0, b_error_irritants},
    {"error->string", 1, 1, 0, b_error_text},
    {"call/ec", 1, 1, 0, b_call_ec},
    {"dynamic-wind", 3, 3, 0, b_wind},
    {"eval", 1, 1, 0, b_eval},
    {"load", 1, 1, 0, b_load},
    {"gensym", 0, 0, 0, b_gensym},
    {"exit", 0, 1, 0, b_exit},
    {"command-line", 0, 0, 0, b_args},
    {"current-milliseconds", 0, 0, 0, b_milliseconds},
    {"gc", 0, 0, 0, b_gc},
    {"gc-check", 0, 0, 0, b_gc_check},
    {"gc-stats", 0, 0, 0, b_gc_stats},
};

void builtins_core(struct vm *vm) {
  builtin_define(vm, table_core, COUNT(table_core));
  struct known *k = &rt.known;
  k->cons = AS(symbol, symbol_named(vm, "cons"))->value;
  k->append = AS(symbol, symbol_named(vm, "append"))->value;
  k->list_to_vector = AS(symbol, symbol_named(vm, "list->vector"))->value;
  k->raise = AS(symbol, symbol_named(vm, "raise"))->value;
}
