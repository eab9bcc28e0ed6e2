/* compile.c -- forms to trees of nodes; see lisp.h.
 *
 * HOW     Special forms are symbols with a number. Most of them are rewritten
 *         into simpler forms, with uninterned twins of the symbols
 *         (known.forms), so that variables of the program cannot be in the
 *         way. A body's own definitions become slots of the frame around it.
 *         A scope without variables has no frame at run time.
 */
#include "lisp.h"

#include <string.h>

enum { PARAMETERS_MAX = 60000 };

/* The variables of a frame; the names are a list in the order of slots. */
struct scope {
  struct scope *up;
  value names;
  size_t n;
};

struct form {
  const char *name;
  struct node *(*compile)(struct vm *vm, value form, struct scope *s);
};

enum form_number {
  F_QUOTE = 1,
  F_QUASI,
  F_IF,
  F_DEFINE,
  F_SET,
  F_LAMBDA,
  F_LET,
  F_LET_STAR,
  F_LETREC,
  F_LETREC_STAR,
  F_BEGIN,
  F_COND,
  F_CASE,
  F_AND,
  F_OR,
  F_WHEN,
  F_UNLESS,
  F_DO,
  F_GUARD,
  F_MACRO,
  F_COUNT
};

static struct node *compile(struct vm *vm, value form, struct scope *s);
static struct node *compile_body(struct vm *vm, value forms, struct scope *s);
static const struct form forms[F_COUNT];

/* ---- small things -------------------------------------------------------- */

static struct node *node(struct vm *vm, enum op op, size_t nkids) {
  struct node *n = make_words(vm, T_NODE, nkids);
  n->h.sub = (uint8_t)op;
  n->h.pos = vm->pos;
  n->nkids = (uint32_t)nkids;
  return n;
}

static void kid(struct vm *vm, struct node *n, size_t i, value v) {
  put(vm, n, &n->kids[i], v);
}

static void kid_form(struct vm *vm, struct node *n, size_t i, value form,
                     struct scope *s) {
  kid(vm, n, i, value_of(compile(vm, form, s)));
}

static struct node *constant(struct vm *vm, value v) {
  struct node *n = node(vm, OP_CONST, 1);
  kid(vm, n, 0, v);
  return n;
}

static value core(enum form_number n) {
  return rt.known.forms[n];
}

_Noreturn static void fail_syntax(struct vm *vm, value form) {
  fail_value(vm, "bad syntax", form);
}

/* The form is a list of min to max (-1: any number of) forms. */
static int64_t check(struct vm *vm, value form, int64_t min, int64_t max) {
  int64_t n = list_length(form);
  if (n < min || (max >= 0 && n > max)) {
    fail_syntax(vm, form);
  }
  return n;
}

static value second(value list) {
  return car(cdr(list));
}

static value reverse(struct vm *vm, value list) {
  value out = V_NIL;
  for (; is_pair(list); list = cdr(list)) out = cons(vm, car(list), out);
  return out;
}

static void scope_add(struct vm *vm, struct scope *s, value name) {
  if (!is(name, T_SYMBOL)) {
    fail_value(vm, "a variable's name must be a symbol", name);
  }
  value last = s->names;
  for (value i = s->names; is_pair(i); i = cdr(i)) {
    if (car(i) == name) {
      return;
    }
    last = i;
  }
  if (s->n == PARAMETERS_MAX) {
    fail(vm, "too many variables");
  }
  value p = cons(vm, name, V_NIL);
  if (s->n++ == 0) {
    s->names = p;
  } else {
    put(vm, object_of(last), &AS(pair, last)->cdr, p);
  }
}

static bool scope_find(struct scope *s, value name, uint32_t *depth,
                       uint16_t *index) {
  *depth = 0;
  for (; s != NULL; s = s->up) {
    *index = 0;
    for (value i = s->names; is_pair(i); i = cdr(i), ++*index) {
      if (car(i) == name) {
        return true;
      }
    }
    *depth += s->n > 0;
  }
  return false;
}

static bool is_free(struct scope *s, value name) {
  uint32_t depth;
  uint16_t index;
  return is(name, T_SYMBOL) && !scope_find(s, name, &depth, &index);
}

/* The number of the special form that is the head of `form`, or 0. */
static int form_number(value form, struct scope *s) {
  return is_pair(form) && is_free(s, car(form)) ? AS(object, car(form))->sub
                                                : 0;
}

static bool is_macro(value form, struct scope *s) {
  return is_pair(form) && is_free(s, car(form)) &&
         AS(symbol, car(form))->macro != 0;
}

static value expand(struct vm *vm, value form) {
  check(vm, form, 1, -1);
  return vm_apply_list(vm, AS(symbol, car(form))->macro, cdr(form));
}

/* ---- variables, calls ---------------------------------------------------- */

static struct node *variable(struct vm *vm, value name, struct scope *s,
                             bool is_set) {
  uint32_t depth;
  uint16_t index;
  struct node *n;
  if (scope_find(s, name, &depth, &index)) {
    enum op op = is_set       ? OP_SET_LOCAL
                 : depth == 0 ? OP_LOCAL0
                 : depth == 1 ? OP_LOCAL1
                              : OP_LOCAL;
    n = node(vm, op, 2);
    n->h.small = index;
    n->extra = depth;
  } else {
    if (AS(object, name)->sub != 0) {
      fail_value(vm, "a special form is no variable", name);
    }
    n = node(vm, is_set ? OP_SET_GLOBAL : OP_GLOBAL, 2);
  }
  kid(vm, n, 1, name);
  return n;
}

/* kids: what is called, arguments, and for OP_FAST the builtin expected. */
static struct node *call(struct vm *vm, value form, struct scope *s) {
  int64_t n = check(vm, form, 1, PARAMETERS_MAX);
  value f = is_free(s, car(form)) ? AS(symbol, car(form))->value : 0;
  bool is_fast = false;
  if (f != 0 && is(f, T_BUILTIN)) {
    int fast = AS(builtin, f)->info->fast;
    is_fast = fast != 0 && n == (fast < FAST_1_END ? 2 : 3);
  }
  enum op op = !is_fast ? OP_CALL : n == 2 ? OP_FAST1 : OP_FAST2;
  struct node *c = node(vm, op, (size_t)n + is_fast);
  c->h.small = (uint16_t)(n - 1);
  if (is_fast) {
    c->extra = (uint32_t)AS(builtin, f)->info->fast;
    kid(vm, c, (size_t)n, f);
  }
  for (size_t i = 0; is_pair(form); i++, form = cdr(form)) {
    kid_form(vm, c, i, car(form), s);
  }
  return c;
}

static struct node *compile_any(struct vm *vm, value form, struct scope *s) {
  if (is(form, T_SYMBOL)) {
    return variable(vm, form, s, false);
  }
  if (form == V_NIL) {
    fail(vm, "() must be quoted");
  }
  if (!is_pair(form)) {
    return constant(vm, form);
  }
  int number = form_number(form, s);
  if (number != 0) {
    check(vm, form, 1, -1);
    return forms[number].compile(vm, form, s);
  }
  return is_macro(form, s) ? compile(vm, expand(vm, form), s)
                           : call(vm, form, s);
}

static struct node *compile(struct vm *vm, value form, struct scope *s) {
  stack_check(vm);
  uint32_t before = vm->pos;
  if (is_pair(form) && AS(object, form)->pos != 0) {
    vm->pos = AS(object, form)->pos;
  }
  uint32_t pos = vm->pos;
  struct node *n = compile_any(vm, form, s);
  n->h.pos = pos;
  vm->pos = before;
  return n;
}

/* ---- bodies -------------------------------------------------------------- */

/* `kids` in order; the last is in tail position. */
static struct node *sequence(struct vm *vm, enum op op, value list,
                             struct scope *s) {
  int64_t n = check(vm, list, 0, -1);
  if (n == 0) {
    return constant(vm, V_VOID);
  }
  if (n == 1) {
    return compile(vm, car(list), s);
  }
  struct node *seq = node(vm, op, (size_t)n);
  for (size_t i = 0; is_pair(list); i++, list = cdr(list)) {
    kid_form(vm, seq, i, car(list), s);
  }
  return seq;
}

/* The variable that (define ...) defines; curried forms are allowed. */
static value defined_name(struct vm *vm, value form) {
  check(vm, form, 2, -1);
  value name = second(form);
  while (is_pair(name)) name = car(name);
  return name;
}

/* Expand macros, splice (begin ...), note definitions; in reverse order. */
static value body_scan(struct vm *vm, value list, struct scope *s, value out) {
  stack_check(vm);
  check(vm, list, 0, -1);
  for (; is_pair(list); list = cdr(list)) {
    value form = car(list);
    while (is_macro(form, s) && form_number(form, s) == 0) {
      form = expand(vm, form);
    }
    int number = form_number(form, s);
    if (number == F_BEGIN) {
      out = body_scan(vm, cdr(form), s, out);
      continue;
    }
    if (number == F_DEFINE) {
      scope_add(vm, s, defined_name(vm, form));
    }
    out = cons(vm, form, out);
  }
  return out;
}

static struct node *compile_body(struct vm *vm, value list, struct scope *s) {
  check(vm, list, 1, -1);
  list = reverse(vm, body_scan(vm, list, s, V_NIL));
  return sequence(vm, OP_SEQ, list, s);
}

/* kids: body, name; small: slots, extra: arguments << 1 | has a rest. */
static struct node *lambda(struct vm *vm, value parameters, value body,
                           value name, struct scope *up) {
  struct scope s = {up, V_NIL, 0};
  size_t n = 0;
  for (; is_pair(parameters); parameters = cdr(parameters)) {
    scope_add(vm, &s, car(parameters));
    if (s.n != ++n) {
      fail_value(vm, "a parameter occurs twice", car(parameters));
    }
  }
  bool has_rest = parameters != V_NIL;
  if (has_rest) {
    scope_add(vm, &s, parameters);
  }
  struct node *l = node(vm, OP_LAMBDA, 2);
  kid(vm, l, 0, value_of(compile_body(vm, body, &s)));
  kid(vm, l, 1, name);
  l->h.small = (uint16_t)s.n;
  l->extra = (uint32_t)n << 1 | has_rest;
  return l;
}

/* A lambda that is a variable's value bears its name. */
static struct node *named(struct vm *vm, value form, value name,
                          struct scope *s) {
  if (form_number(form, s) == F_LAMBDA) {
    check(vm, form, 3, -1);
    return lambda(vm, second(form), cdr(cdr(form)), name, s);
  }
  return compile(vm, form, s);
}

/* ---- special forms ------------------------------------------------------- */

static struct node *form_quote(struct vm *vm, value form, struct scope *s) {
  (void)s;
  check(vm, form, 2, 2);
  return constant(vm, second(form));
}

static bool is_tagged(value form, value tag) {
  return is_pair(form) && car(form) == tag && is_pair(cdr(form)) &&
         cdr(cdr(form)) == V_NIL;
}

/* The form that makes the value of `form` in a quasiquotation. */
static value quasi(struct vm *vm, value form, int depth) {
  const struct known *k = &rt.known;
  stack_check(vm);
  if (is(form, T_VECTOR)) {
    value list = V_NIL;
    for (size_t i = AS(vector, form)->length; i > 0; i--) {
      list = cons(vm, AS(vector, form)->items[i - 1], list);
    }
    return make_list(vm, 2, k->list_to_vector, quasi(vm, list, depth));
  }
  if (!is_pair(form)) {
    return make_list(vm, 2, core(F_QUOTE), form);
  }
  if (is_tagged(form, k->unquote) && depth == 1) {
    return second(form);
  }
  value item = car(form);
  if (is_tagged(item, k->unquote_splicing) && depth == 1) {
    return make_list(vm, 3, k->append, second(item),
                     quasi(vm, cdr(form), depth));
  }
  depth += item == k->quasiquote;
  depth -= item == k->unquote || item == k->unquote_splicing;
  value rest = quasi(vm, cdr(form), depth);
  return make_list(vm, 3, k->cons, quasi(vm, item, depth), rest);
}

static struct node *form_quasi(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 2, 2);
  return compile(vm, quasi(vm, second(form), 1), s);
}

/* kids: test, then, else. */
static struct node *form_if(struct vm *vm, value form, struct scope *s) {
  int64_t n = check(vm, form, 3, 4);
  struct node *c = node(vm, OP_IF, 3);
  kid_form(vm, c, 0, second(form), s);
  kid_form(vm, c, 1, second(cdr(form)), s);
  kid_form(vm, c, 2, n == 4 ? second(cdr(cdr(form))) : V_VOID, s);
  return c;
}

/* kids: value, name. */
static struct node *form_define(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 2, -1);
  value target = second(form);
  value body = cdr(cdr(form));
  while (is_pair(target)) { /* (define ((f a) b) ...) */
    value l = cons(vm, core(F_LAMBDA), cons(vm, cdr(target), body));
    body = make_list(vm, 1, l);
    target = car(target);
  }
  if (!is(target, T_SYMBOL) || list_length(body) > 1) {
    fail_syntax(vm, form);
  }
  struct node *n;
  if (s == NULL) {
    n = node(vm, OP_DEFINE, 2);
    kid(vm, n, 1, target);
  } else {
    n = variable(vm, target, s, true);
    if (n->h.sub != OP_SET_LOCAL || n->extra != 0) {
      fail_value(vm, "a definition must not be here", target);
    }
  }
  value v = body == V_NIL ? V_VOID : car(body);
  kid(vm, n, 0, value_of(named(vm, v, target, s)));
  return n;
}

static struct node *form_set(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, 3);
  if (!is(second(form), T_SYMBOL)) {
    fail_syntax(vm, form);
  }
  struct node *n = variable(vm, second(form), s, true);
  kid_form(vm, n, 0, second(cdr(form)), s);
  return n;
}

static struct node *form_lambda(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, -1);
  return lambda(vm, second(form), cdr(cdr(form)), V_FALSE, s);
}

/* Split ((name value) ...) into names and values. */
static void bindings(struct vm *vm, value form, value list, value *names,
                     value *values) {
  if (list_length(list) < 0) {
    fail_syntax(vm, form);
  }
  *names = V_NIL;
  *values = V_NIL;
  for (; is_pair(list); list = cdr(list)) {
    if (list_length(car(list)) < 2) {
      fail_syntax(vm, form);
    }
    *names = cons(vm, car(car(list)), *names);
    *values = cons(vm, second(car(list)), *values);
  }
  *names = reverse(vm, *names);
  *values = reverse(vm, *values);
}

/* ((letrec ((name (lambda names body...))) name) values...) */
static value loop(struct vm *vm, value name, value names, value values,
                  value body) {
  value l = cons(vm, core(F_LAMBDA), cons(vm, names, body));
  value list = make_list(vm, 1, make_list(vm, 2, name, l));
  return cons(vm, make_list(vm, 3, core(F_LETREC), list, name), values);
}

/* kids: values, body; small: slots. */
static struct node *form_let(struct vm *vm, value form, struct scope *up) {
  check(vm, form, 3, -1);
  value names;
  value values;
  value body = cdr(cdr(form));
  if (is(second(form), T_SYMBOL)) {
    check(vm, form, 4, -1);
    bindings(vm, form, car(body), &names, &values);
    return compile(vm, loop(vm, second(form), names, values, cdr(body)), up);
  }
  bindings(vm, form, second(form), &names, &values);
  struct scope s = {up, V_NIL, 0};
  size_t n = 0;
  for (; is_pair(names); names = cdr(names)) {
    scope_add(vm, &s, car(names));
    if (s.n != ++n) {
      fail_value(vm, "a variable occurs twice", car(names));
    }
  }
  struct node *l = node(vm, OP_LET, n + 1);
  value name = s.names;
  for (size_t i = 0; i < n; i++, values = cdr(values), name = cdr(name)) {
    kid(vm, l, i, value_of(named(vm, car(values), car(name), up)));
  }
  struct node *inner = compile_body(vm, body, &s);
  kid(vm, l, n, value_of(inner));
  l->h.small = (uint16_t)s.n;
  return s.n > 0 ? l : inner;
}

static struct node *form_let_star(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, -1);
  value list = second(form);
  if (list_length(list) < 2) {
    return compile(vm, cons(vm, core(F_LET), cdr(form)), s);
  }
  value inner = cons(vm, core(F_LET_STAR), cons(vm, cdr(list), cdr(cdr(form))));
  value first = make_list(vm, 1, car(list));
  return compile(vm, make_list(vm, 3, core(F_LET), first, inner), s);
}

/* (let () (define name value) ... (let () body...)) */
static struct node *form_letrec(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, -1);
  value inner = cons(vm, core(F_LET), cons(vm, V_NIL, cdr(cdr(form))));
  value out = make_list(vm, 1, inner);
  check(vm, second(form), 0, -1);
  for (value i = reverse(vm, second(form)); is_pair(i); i = cdr(i)) {
    check(vm, car(i), 2, 2);
    out = cons(vm, cons(vm, core(F_DEFINE), car(i)), out);
  }
  return compile(vm, cons(vm, core(F_LET), cons(vm, V_NIL, out)), s);
}

static struct node *form_begin(struct vm *vm, value form, struct scope *s) {
  return sequence(vm, OP_SEQ, cdr(form), s);
}

static value begin(struct vm *vm, value list) {
  return cons(vm, core(F_BEGIN), list);
}

static value gensym(struct vm *vm, const char *name) {
  return symbol_make(vm, make_string(vm, name, strlen(name)));
}

static struct node *form_cond(struct vm *vm, value form, struct scope *s) {
  if (cdr(form) == V_NIL) {
    return constant(vm, V_VOID);
  }
  value clause = second(form);
  check(vm, clause, 1, -1);
  if (AS(object, clause)->pos != 0) {
    vm->pos = AS(object, clause)->pos;
  }
  if (car(clause) == rt.known.else_ && is_free(s, rt.known.else_)) {
    return sequence(vm, OP_SEQ, cdr(clause), s);
  }
  value rest = cons(vm, core(F_COND), cdr(cdr(form)));
  if (cdr(clause) == V_NIL) {
    return compile(vm, make_list(vm, 3, core(F_OR), car(clause), rest), s);
  }
  if (second(clause) == rt.known.arrow) {
    check(vm, clause, 3, 3);
    value t = gensym(vm, "test");
    value then = make_list(vm, 2, second(cdr(clause)), t);
    value body = make_list(vm, 4, core(F_IF), t, then, rest);
    value list = make_list(vm, 1, make_list(vm, 2, t, car(clause)));
    return compile(vm, make_list(vm, 3, core(F_LET), list, body), s);
  }
  struct node *c = node(vm, OP_IF, 3);
  kid_form(vm, c, 0, car(clause), s);
  kid(vm, c, 1, value_of(sequence(vm, OP_SEQ, cdr(clause), s)));
  kid_form(vm, c, 2, rest, s);
  return c;
}

/* kids: key, then for each clause its data (or V_TRUE) and its body. */
static struct node *form_case(struct vm *vm, value form, struct scope *s) {
  int64_t n = check(vm, form, 2, -1) - 2;
  struct node *c = node(vm, OP_CASE, 1 + 2 * (size_t)n);
  kid_form(vm, c, 0, second(form), s);
  value list = cdr(cdr(form));
  for (size_t i = 1; is_pair(list); i += 2, list = cdr(list)) {
    check(vm, car(list), 1, -1);
    value data = car(car(list));
    if (data == rt.known.else_) {
      data = V_TRUE;
    } else if (list_length(data) < 0) {
      fail_syntax(vm, car(list));
    }
    kid(vm, c, i, data);
    kid(vm, c, i + 1, value_of(sequence(vm, OP_SEQ, cdr(car(list)), s)));
  }
  return c;
}

static struct node *form_and(struct vm *vm, value form, struct scope *s) {
  return cdr(form) == V_NIL ? constant(vm, V_TRUE)
                            : sequence(vm, OP_AND, cdr(form), s);
}

static struct node *form_or(struct vm *vm, value form, struct scope *s) {
  return cdr(form) == V_NIL ? constant(vm, V_FALSE)
                            : sequence(vm, OP_OR, cdr(form), s);
}

static struct node *form_when(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 2, -1);
  value body = begin(vm, cdr(cdr(form)));
  return compile(vm, make_list(vm, 3, core(F_IF), second(form), body), s);
}

static struct node *form_unless(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 2, -1);
  value body = begin(vm, cdr(cdr(form)));
  return compile(vm, make_list(vm, 4, core(F_IF), second(form), V_VOID, body),
                 s);
}

/* (do ((name value step) ...) (test result ...) body ...) */
static struct node *form_do(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, -1);
  value names;
  value values;
  value steps = V_NIL;
  bindings(vm, form, second(form), &names, &values);
  for (value i = second(form); is_pair(i); i = cdr(i)) {
    value rest = cdr(cdr(car(i)));
    steps = cons(vm, is_pair(rest) ? car(rest) : car(car(i)), steps);
  }
  value name = gensym(vm, "do");
  value again = cons(vm, name, reverse(vm, steps));
  value end = second(cdr(form));
  check(vm, end, 1, -1);
  value body = reverse(vm, cdr(cdr(cdr(form))));
  body = begin(vm, reverse(vm, cons(vm, again, body)));
  value test =
      make_list(vm, 4, core(F_IF), car(end), begin(vm, cdr(end)), body);
  return compile(vm, loop(vm, name, names, values, make_list(vm, 1, test)), s);
}

/* (guard (name clause ...) body ...). kids: body; the clauses, in a frame
 * with one slot. */
static struct node *form_guard(struct vm *vm, value form, struct scope *s) {
  check(vm, form, 3, -1);
  check(vm, second(form), 1, -1);
  value name = car(second(form));
  value again =
      make_list(vm, 2, rt.known.else_, make_list(vm, 2, rt.known.raise, name));
  value clauses = reverse(vm, cdr(second(form)));
  clauses = reverse(vm, cons(vm, again, clauses));
  value body = cons(vm, core(F_LET), cons(vm, V_NIL, cdr(cdr(form))));
  struct scope inner = {s, V_NIL, 0};
  scope_add(vm, &inner, name);
  struct node *n = node(vm, OP_GUARD, 2);
  kid_form(vm, n, 0, body, s);
  kid_form(vm, n, 1, cons(vm, core(F_COND), clauses), &inner);
  return n;
}

/* (define-macro (name . parameters) body ...), not hygienic, global. */
static struct node *form_macro(struct vm *vm, value form, struct scope *s) {
  (void)s;
  check(vm, form, 3, -1);
  if (!is_pair(second(form)) || !is(car(second(form)), T_SYMBOL)) {
    fail_syntax(vm, form);
  }
  value name = car(second(form));
  struct node *l = lambda(vm, cdr(second(form)), cdr(cdr(form)), name, NULL);
  value f = eval_node(vm, l, NULL);
  symbol_pin(vm, name);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  put(vm, object_of(name), &AS(symbol, name)->macro, f);
  return constant(vm, name);
}

/* ---- the module's face --------------------------------------------------- */

static const struct form forms[F_COUNT] = {
    [F_QUOTE] = {"quote", form_quote},
    [F_QUASI] = {"quasiquote", form_quasi},
    [F_IF] = {"if", form_if},
    [F_DEFINE] = {"define", form_define},
    [F_SET] = {"set!", form_set},
    [F_LAMBDA] = {"lambda", form_lambda},
    [F_LET] = {"let", form_let},
    [F_LET_STAR] = {"let*", form_let_star},
    [F_LETREC] = {"letrec", form_letrec},
    [F_LETREC_STAR] = {"letrec*", form_letrec},
    [F_BEGIN] = {"begin", form_begin},
    [F_COND] = {"cond", form_cond},
    [F_CASE] = {"case", form_case},
    [F_AND] = {"and", form_and},
    [F_OR] = {"or", form_or},
    [F_WHEN] = {"when", form_when},
    [F_UNLESS] = {"unless", form_unless},
    [F_DO] = {"do", form_do},
    [F_GUARD] = {"guard", form_guard},
    [F_MACRO] = {"define-macro", form_macro},
};

void compile_init(struct vm *vm) {
  struct known *k = &rt.known;
  for (int i = 1; i < F_COUNT; i++) {
    value name = symbol_named(vm, forms[i].name);
    symbol_pin(vm, name);
    AS(object, name)->sub = (uint8_t)i;
    value twin = symbol_make(vm, AS(symbol, name)->name);
    AS(object, twin)->sub = (uint8_t)i;
    k->forms[i] = twin;
  }
  k->quote = symbol_named(vm, "quote");
  k->quasiquote = symbol_named(vm, "quasiquote");
  k->unquote = symbol_named(vm, "unquote");
  k->unquote_splicing = symbol_named(vm, "unquote-splicing");
  k->else_ = symbol_named(vm, "else");
  k->arrow = symbol_named(vm, "=>");
  k->rest = symbol_named(vm, ".");
}

struct node *compile_toplevel(struct vm *vm, value form) {
  return compile(vm, form, NULL);
}
