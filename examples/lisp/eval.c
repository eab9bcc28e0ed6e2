/* eval.c -- runs trees of nodes; see lisp.h.
 *
 * HOW     One loop per C frame; what stands in tail position goes round the
 *         loop. A call evaluates its arguments straight into the frame of
 *         the closure. Arguments of builtins are on the C stack, where the
 *         collector finds them. The safepoint is in calls: every loop of the
 *         language is one.
 */
#define _POSIX_C_SOURCE 200809L
#include "lisp.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- variables ----------------------------------------------------------- */

_Noreturn static void fail_unbound(struct vm *vm, struct node *n) {
  vm->pos = n->h.pos;
  fail_value(vm,
             n->h.sub == OP_GLOBAL || n->h.sub == OP_SET_GLOBAL
                 ? "there is no such variable"
                 : "a variable is used before it is defined",
             n->kids[1]);
}

static inline value global(struct vm *vm, struct node *n) {
  value v = __atomic_load_n(&AS(symbol, n->kids[1])->value, __ATOMIC_ACQUIRE);
  if (__builtin_expect(v == 0, 0)) {
    fail_unbound(vm, n);
  }
  return v;
}

static inline struct frame *frame_at(struct node *n, struct frame *f) {
  for (uint32_t i = n->extra; i > 0; i--) f = f->up;
  return f;
}

static inline value local(struct vm *vm, struct node *n, struct frame *f) {
  value v = f->slots[n->h.small];
  if (__builtin_expect(v == 0, 0)) {
    fail_unbound(vm, n);
  }
  return v;
}

/* The value of a kid; the common simple ones without a call. */
static inline value kid(struct vm *vm, struct node *n, size_t i,
                        struct frame *f) {
  struct node *k = object_of(n->kids[i]);
  switch (k->h.sub) {
  case OP_CONST:
    return k->kids[0];
  case OP_LOCAL0:
    return local(vm, k, f);
  case OP_LOCAL1:
    return local(vm, k, f->up);
  case OP_GLOBAL:
    return global(vm, k);
  default:
    return eval_node(vm, k, f);
  }
}

static void set_global(struct vm *vm, struct node *n, value v) {
  global(vm, n); /* it must exist */
  symbol_define(vm, n->kids[1], v);
}

static void define(struct vm *vm, struct node *n, value v) {
  symbol_define(vm, n->kids[1], v);
  put(vm, object_of(n->kids[1]), &AS(symbol, n->kids[1])->macro, 0);
}

/* ---- calls --------------------------------------------------------------- */

static inline struct frame *frame_new(struct vm *vm, size_t n,
                                      struct frame *up) {
  struct frame *f = NULL;
  if (__builtin_expect(n < SMALL_WORDS, 1)) {
    f = alm_new_inline(vm->m, rt.words[n]);
  }
  if (__builtin_expect(f == NULL, 0)) {
    f = make_words(vm, T_FRAME, n);
  }
  f->h.type = T_FRAME;
  f->up = up;
  return f;
}

_Noreturn static void fail_count(struct vm *vm, value f) {
  fail_value(vm, "wrong number of arguments", f);
}

_Noreturn static void fail_call(struct vm *vm, value f) {
  fail_value(vm, "this cannot be called", f);
}

/* The frame of a closure; the arguments are `argv`, then a list. */
static struct frame *frame_fill(struct vm *vm, value f, size_t argc,
                                value *argv, value list) {
  struct node *l = AS(closure, f)->lambda;
  struct frame *up = AS(closure, f)->frame;
  size_t wanted = l->extra >> 1;
  struct frame *new = l->h.small == 0 ? up : frame_new(vm, l->h.small, up);
  size_t i = 0;
  for (; i < wanted; i++) {
    if (i < argc) {
      put(vm, new, &new->slots[i], argv[i]);
    } else if (is_pair(list)) {
      put(vm, new, &new->slots[i], car(list));
      list = cdr(list);
    } else {
      fail_count(vm, f);
    }
  }
  if ((l->extra & 1) == 0 && (i < argc || list != V_NIL)) {
    fail_count(vm, f);
  }
  if ((l->extra & 1) != 0) { /* the rest is the caller's no longer */
    value rest = V_NIL;
    value last = V_NIL;
    for (; is_pair(list); list = cdr(list)) {
      value p = cons(vm, car(list), V_NIL);
      if (last == V_NIL) {
        rest = p;
      } else {
        put(vm, object_of(last), &AS(pair, last)->cdr, p);
      }
      last = p;
    }
    for (size_t j = argc; j > i; j--) rest = cons(vm, argv[j - 1], rest);
    put(vm, new, &new->slots[wanted], rest);
  }
  return new;
}

/* May return V_TAIL. */
static value call_builtin(struct vm *vm, value f, size_t argc, value *argv) {
  const struct builtin_info *info = AS(builtin, f)->info;
  if (argc < (size_t)info->args_min ||
      (info->args_max >= 0 && argc > (size_t)info->args_max)) {
    fail_count(vm, f);
  }
  vm->name = info->name;
  return info->call(vm, (int)argc, argv);
}

static value call_builtin_list(struct vm *vm, value f, value list) {
  int64_t n = list_length(list);
  if (n < 0 || n > INT32_MAX) {
    fail_value(vm, "the arguments are not a list", list);
  }
  value small[ARGS_MAX];
  value *argv = small;
  if (n > ARGS_MAX) {
    argv = AS(vector, make_vector(vm, (size_t)n, V_FALSE))->items;
  }
  for (int64_t i = 0; i < n; i++, list = cdr(list)) argv[i] = car(list);
  return call_builtin(vm, f, (size_t)n, argv);
}

_Noreturn static void call_escape(struct vm *vm, value f, value v) {
  struct escape *e = AS(escape, f);
  if (e->target == NULL || e->vm != vm) {
    fail_value(vm, "an escape whose call/ec has ended or is elsewhere", f);
  }
  vm->target = e->target;
  vm->thrown = v;
  vm_throw(vm);
}

value vm_apply_list(struct vm *vm, value f, value list) {
  for (;;) {
    alm_safepoint_inline(vm->m);
    if (is(f, T_CLOSURE)) {
      struct frame *frame = frame_fill(vm, f, 0, NULL, list);
      return eval_node(vm, object_of(AS(closure, f)->lambda->kids[0]), frame);
    }
    if (is(f, T_ESCAPE)) {
      call_escape(vm, f, is_pair(list) ? car(list) : V_VOID);
    }
    if (!is(f, T_BUILTIN)) {
      fail_call(vm, f);
    }
    value v = call_builtin_list(vm, f, list);
    if (v != V_TAIL) {
      return v;
    }
    f = vm->tail_f;
    list = vm->tail_args;
  }
}

value vm_apply(struct vm *vm, value f, int argc, value *argv) {
  alm_safepoint_inline(vm->m);
  if (is(f, T_CLOSURE)) {
    struct frame *frame = frame_fill(vm, f, (size_t)argc, argv, V_NIL);
    return eval_node(vm, object_of(AS(closure, f)->lambda->kids[0]), frame);
  }
  if (is(f, T_BUILTIN)) {
    value v = call_builtin(vm, f, (size_t)argc, argv);
    return v != V_TAIL ? v : vm_apply_list(vm, vm->tail_f, vm->tail_args);
  }
  value list = V_NIL;
  for (int i = argc; i > 0; i--) list = cons(vm, argv[i - 1], list);
  return vm_apply_list(vm, f, list);
}

/* A call whose f is no closure with a fixed number of arguments. Returns the
 * value, or V_TAIL: apply vm->tail_f to vm->tail_args. */
static __attribute__((noinline)) value call_other(struct vm *vm, value f,
                                                  struct node *n,
                                                  struct frame *frame) {
  size_t argc = n->h.small;
  if (argc <= ARGS_MAX && is(f, T_BUILTIN)) {
    value argv[ARGS_MAX];
    for (size_t i = 0; i < argc; i++) argv[i] = kid(vm, n, i + 1, frame);
    vm->pos = n->h.pos;
    return call_builtin(vm, f, argc, argv);
  }
  value first = V_NIL;
  value last = V_NIL;
  for (size_t i = 0; i < argc; i++) {
    value p = cons(vm, kid(vm, n, i + 1, frame), V_NIL);
    if (i == 0) {
      first = p;
    } else {
      put(vm, object_of(last), &AS(pair, last)->cdr, p);
    }
    last = p;
  }
  vm->pos = n->h.pos;
  vm->tail_f = f;
  vm->tail_args = first;
  return V_TAIL;
}

/* The body to go on with, and its frame; or NULL and the value. */
static inline struct node *call(struct vm *vm, struct node *n,
                                struct frame **frame, value *result) {
  value f = kid(vm, n, 0, *frame);
  size_t argc = n->h.small;
  alm_safepoint_inline(vm->m);
  if (__builtin_expect(is(f, T_CLOSURE), 1)) {
    struct node *l = AS(closure, f)->lambda;
    if (l->extra == argc << 1) {
      struct frame *new = AS(closure, f)->frame;
      if (l->h.small > 0) {
        new = frame_new(vm, l->h.small, new);
        for (size_t i = 0; i < argc; i++) {
          put(vm, new, &new->slots[i], kid(vm, n, i + 1, *frame));
        }
      }
      vm->pos = n->h.pos;
      *frame = new;
      return object_of(l->kids[0]);
    }
  }
  *result = call_other(vm, f, n, *frame);
  while (*result == V_TAIL) {
    f = vm->tail_f;
    if (is(f, T_CLOSURE)) {
      *frame = frame_fill(vm, f, 0, NULL, vm->tail_args);
      return object_of(AS(closure, f)->lambda->kids[0]);
    }
    *result = is(f, T_BUILTIN) ? call_builtin_list(vm, f, vm->tail_args)
                               : vm_apply_list(vm, f, vm->tail_args);
  }
  return NULL;
}

/* ---- builtins in place --------------------------------------------------- */

static value fast_slow(struct vm *vm, struct node *n, int argc, value *argv) {
  vm->pos = n->h.pos;
  return call_builtin(vm, n->kids[argc + 1], (size_t)argc, argv);
}

static inline value fast1(struct vm *vm, struct node *n, struct frame *frame) {
  value a = kid(vm, n, 1, frame);
  switch (n->extra) {
  case FAST_NOT:
    return boolean(a == V_FALSE);
  case FAST_NULL:
    return boolean(a == V_NIL);
  case FAST_PAIR:
    return boolean(is_pair(a));
  case FAST_CAR:
    if (is_pair(a)) {
      return car(a);
    }
    break;
  case FAST_CDR:
    if (is_pair(a)) {
      return cdr(a);
    }
    break;
  case FAST_ZERO:
    if (is_fixnum(a)) {
      return boolean(a == fixnum(0));
    }
    break;
  }
  return fast_slow(vm, n, 1, &a);
}

/* Both are fixnums. 0: it does not fit. */
static inline value fast2_fixnum(uint32_t op, value a, value b) {
  int64_t x = (int64_t)a;
  int64_t y = (int64_t)b;
  switch (op) {
  case FAST_ADD:
    return __builtin_add_overflow(x, y - 1, &x) ? 0 : (value)x;
  case FAST_SUB:
    return __builtin_sub_overflow(x, y - 1, &x) ? 0 : (value)x;
  case FAST_MUL:
    return __builtin_mul_overflow(x - 1, y >> 1, &x) ? 0 : (value)x + 1;
  case FAST_LT:
    return boolean(x < y);
  case FAST_GT:
    return boolean(x > y);
  case FAST_LE:
    return boolean(x <= y);
  case FAST_GE:
    return boolean(x >= y);
  case FAST_NUM_EQ:
    return boolean(x == y);
  default:
    return 0;
  }
}

static inline value fast2(struct vm *vm, struct node *n, struct frame *frame) {
  value argv[2];
  argv[0] = kid(vm, n, 1, frame);
  argv[1] = kid(vm, n, 2, frame);
  value v = 0;
  if (n->extra == FAST_CONS) {
    return cons(vm, argv[0], argv[1]);
  }
  if (n->extra == FAST_EQ) {
    return boolean(argv[0] == argv[1]);
  }
  if (n->extra == FAST_REF) {
    if (is(argv[0], T_VECTOR) && is_fixnum(argv[1]) &&
        (uint64_t)fixnum_of(argv[1]) < AS(vector, argv[0])->length) {
      return AS(vector, argv[0])->items[fixnum_of(argv[1])];
    }
  } else if ((argv[0] & argv[1] & 1) != 0) {
    v = fast2_fixnum(n->extra, argv[0], argv[1]);
  }
  return v != 0 ? v : fast_slow(vm, n, 2, argv);
}

/* Is the builtin's name still bound to it? */
static inline bool is_fast(struct node *n, size_t argc) {
  struct node *f = object_of(n->kids[0]);
  return __atomic_load_n(&AS(symbol, f->kids[1])->value, __ATOMIC_RELAXED) ==
         n->kids[argc + 1];
}

/* ---- the rest ------------------------------------------------------------ */

static value closure_new(struct vm *vm, struct node *l, struct frame *frame) {
  struct closure *c = make_object(vm, T_CLOSURE);
  c->lambda = l;
  c->frame = frame;
  return value_of(c);
}

static struct frame *let_frame(struct vm *vm, struct node *n,
                               struct frame *frame) {
  struct frame *new = frame_new(vm, n->h.small, frame);
  for (size_t i = 0; i + 1 < n->nkids; i++) {
    put(vm, new, &new->slots[i], kid(vm, n, i, frame));
  }
  alm_safepoint_inline(vm->m);
  return new;
}

/* The body of the clause that has the key; NULL: none. */
static struct node *case_find(struct node *n, value key) {
  for (size_t i = 1; i < n->nkids; i += 2) {
    value list = n->kids[i];
    while (is_pair(list) && !is_eqv(car(list), key)) list = cdr(list);
    if (list == V_TRUE || is_pair(list)) {
      return object_of(n->kids[i + 1]);
    }
  }
  return NULL;
}

/* False: an error was raised; it is in vm->thrown. */
static bool guarded(struct vm *vm, struct node *n, struct frame *frame,
                    value *out) {
  struct catch c;
  catch_push(vm, &c, true, false);
  if (setjmp(c.jump) != 0) {
    return false;
  }
  *out = eval_node(vm, object_of(n->kids[0]), frame);
  catch_pop(vm, &c);
  return true;
}

static inline struct node *last_kid(struct node *n) {
  return object_of(n->kids[n->nkids - 1]);
}

/* All but the last kid; the value of the one that ends (and), (or), or 0. */
static inline value kids(struct vm *vm, struct node *n, struct frame *frame) {
  for (size_t i = 0; i + 1 < n->nkids; i++) {
    value v = kid(vm, n, i, frame);
    if (n->h.sub != OP_SEQ && (v == V_FALSE) == (n->h.sub == OP_AND)) {
      return v;
    }
  }
  return 0;
}

value eval_node(struct vm *vm, struct node *n, struct frame *frame) {
  value v = V_VOID;
  stack_check(vm);
  while (n != NULL) {
    switch ((enum op)n->h.sub) {
    case OP_CONST:
      return n->kids[0];
    case OP_LOCAL0:
    case OP_LOCAL1:
    case OP_LOCAL:
      return local(vm, n, frame_at(n, frame));
    case OP_GLOBAL:
      return global(vm, n);
    case OP_SET_LOCAL: {
      struct frame *f = frame_at(n, frame);
      put(vm, f, &f->slots[n->h.small], kid(vm, n, 0, frame));
      return V_VOID;
    }
    case OP_SET_GLOBAL:
      set_global(vm, n, kid(vm, n, 0, frame));
      return V_VOID;
    case OP_DEFINE:
      define(vm, n, kid(vm, n, 0, frame));
      return n->kids[1];
    case OP_IF:
      n = object_of(n->kids[kid(vm, n, 0, frame) != V_FALSE ? 1 : 2]);
      break;
    case OP_SEQ:
    case OP_AND:
    case OP_OR:
      v = kids(vm, n, frame);
      n = v != 0 ? NULL : last_kid(n);
      break;
    case OP_LAMBDA:
      return closure_new(vm, n, frame);
    case OP_LET:
      frame = let_frame(vm, n, frame);
      n = last_kid(n);
      break;
    case OP_CASE:
      v = V_VOID;
      n = case_find(n, kid(vm, n, 0, frame));
      break;
    case OP_FAST1:
      if (is_fast(n, 1)) {
        return fast1(vm, n, frame);
      }
      n = call(vm, n, &frame, &v);
      break;
    case OP_FAST2:
      if (is_fast(n, 2)) {
        return fast2(vm, n, frame);
      }
      n = call(vm, n, &frame, &v);
      break;
    case OP_CALL:
      n = call(vm, n, &frame, &v);
      break;
    case OP_GUARD:
      if (guarded(vm, n, frame, &v)) {
        return v;
      }
      frame = frame_new(vm, 1, frame);
      frame->slots[0] = vm->thrown; /* fresh */
      n = object_of(n->kids[1]);
      break;
    }
  }
  return v;
}

value eval_form(struct vm *vm, value form) {
  return eval_node(vm, compile_toplevel(vm, form), NULL);
}

value eval_text(struct vm *vm, value text, unsigned file) {
  struct reader r;
  value v = V_VOID;
  reader_init(&r, text, file);
  for (value form; (form = reader_read(vm, &r)) != V_EOF;) {
    v = eval_form(vm, form);
  }
  return v;
}

value read_file(struct vm *vm, const char *path) {
  FILE *in = fopen(path, "r");
  if (in == NULL) {
    return V_FALSE;
  }
  static _Thread_local char part[4096];
  value text = make_string(vm, NULL, 0);
  for (size_t n; (n = fread(part, 1, sizeof part, in)) > 0;) {
    string_add(vm, text, part, n);
  }
  bool failed = ferror(in) != 0;
  fclose(in);
  return failed ? V_FALSE : text;
}
