/* printer.c -- values to text; see lisp.h.
 *
 * HOW     Recursive descent, into a string. Nothing looks for cycles: a
 *         cycle ends as "out of memory" or "recursion is too deep".
 */
#include "lisp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_fixnum(struct vm *vm, value port, int64_t n, int base) {
  char text[72];
  char *p = text + sizeof text;
  uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  *--p = '\0';
  do {
    *--p = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % (unsigned)base];
    rest /= (unsigned)base;
  } while (rest != 0);
  if (n < 0) {
    *--p = '-';
  }
  string_add_text(vm, port, p);
}

static void print_flonum(struct vm *vm, value port, double d) {
  char text[40];
  if (isnan(d) || isinf(d)) {
    string_add_text(vm, port,
                    isnan(d) ? "+nan.0"
                    : d > 0  ? "+inf.0"
                             : "-inf.0");
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, d);
    if (strtod(text, NULL) == d) {
      break;
    }
  }
  string_add_text(vm, port, text);
  if (strpbrk(text, ".e") == NULL) {
    string_add_text(vm, port, ".0");
  }
}

static void print_char(struct vm *vm, value port, value v, bool is_display) {
  char c = (char)char_of(v);
  if (is_display) {
    string_add(vm, port, &c, 1);
  } else if (c > ' ' && c != 127) {
    char text[3] = {'#', '\\', c};
    string_add(vm, port, text, 3);
  } else {
    char text[12];
    snprintf(text, sizeof text, "#\\x%02x", (unsigned)(unsigned char)c);
    string_add_text(vm, port,
                    c == ' '    ? "#\\space"
                    : c == '\n' ? "#\\newline"
                                : text);
  }
}

static void print_string(struct vm *vm, value port, value v) {
  string_add_text(vm, port, "\"");
  for (size_t i = 0; i < AS(string, v)->length; i++) {
    char c = AS(string, v)->bytes[i];
    if (c == '"' || c == '\\') {
      string_add_text(vm, port, "\\");
    }
    if (c == '\n' || c == '\t' || c == '\r') {
      string_add_text(vm, port, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
    } else {
      string_add(vm, port, &c, 1);
    }
  }
  string_add_text(vm, port, "\"");
}

static void print_list(struct vm *vm, value port, value v, bool is_display) {
  const char *before = "(";
  for (; is_pair(v); v = cdr(v)) {
    string_add_text(vm, port, before);
    print_value(vm, port, car(v), is_display);
    before = " ";
  }
  if (v != V_NIL) {
    string_add_text(vm, port, " . ");
    print_value(vm, port, v, is_display);
  }
  string_add_text(vm, port, ")");
}

static void print_vector(struct vm *vm, value port, value v, bool is_display) {
  string_add_text(vm, port, is(v, T_RECORD) ? "#<" : "#(");
  for (size_t i = 0; i < AS(vector, v)->length; i++) {
    string_add_text(vm, port, i == 0 ? "" : " ");
    print_value(vm, port, AS(vector, v)->items[i], is_display);
  }
  string_add_text(vm, port, is(v, T_RECORD) ? ">" : ")");
}

static void print_named(struct vm *vm, value port, const char *what,
                        value name) {
  string_add_text(vm, port, "#<");
  string_add_text(vm, port, what);
  if (name != V_FALSE) {
    string_add_text(vm, port, " ");
    print_value(vm, port, name, true);
  }
  string_add_text(vm, port, ">");
}

static void print_constant(struct vm *vm, value port, value v) {
  static const char *const texts[] = {"()",      "#f",      "#t",
                                      "#<void>", "#<eof>",  "#<default>",
                                      "#<tail>", "#<none>", "#<gone>"};
  size_t i = v >> 3;
  string_add_text(vm, port, i < COUNT(texts) ? texts[i] : "?");
}

static void print_object(struct vm *vm, value port, value v, bool is_display) {
  switch ((enum type)AS(object, v)->type) {
  case T_PAIR:
    print_list(vm, port, v, is_display);
    break;
  case T_FLONUM:
    print_flonum(vm, port, AS(flonum, v)->number);
    break;
  case T_STRING:
    if (is_display) {
      string_add(vm, port, AS(string, v)->bytes, AS(string, v)->length);
    } else {
      print_string(vm, port, v);
    }
    break;
  case T_SYMBOL:
    print_value(vm, port, AS(symbol, v)->name, true);
    break;
  case T_VECTOR:
  case T_RECORD:
    print_vector(vm, port, v, is_display);
    break;
  case T_CLOSURE:
    print_named(vm, port, "procedure", AS(closure, v)->lambda->kids[1]);
    break;
  case T_BUILTIN:
    string_add_text(vm, port, "#<builtin ");
    string_add_text(vm, port, AS(builtin, v)->info->name);
    string_add_text(vm, port, ">");
    break;
  case T_CONDITION:
    print_named(vm, port, "condition", AS(condition, v)->message);
    break;
  default: {
    static const char *const names[T_COUNT] = {[T_TABLE] = "hash-table",
                                               [T_ESCAPE] = "escape",
                                               [T_THREAD] = "thread",
                                               [T_MUTEX] = "mutex",
                                               [T_WEAK] = "weak-box"};
    const char *name = names[AS(object, v)->type];
    print_named(vm, port, name != NULL ? name : "internal", V_FALSE);
  }
  }
}

void print_value(struct vm *vm, value port, value v, bool is_display) {
  stack_check(vm);
  if (v == 0) {
    string_add_text(vm, port, "#<unbound>");
  } else if (is_fixnum(v)) {
    print_fixnum(vm, port, fixnum_of(v), 10);
  } else if (is_char(v)) {
    print_char(vm, port, v, is_display);
  } else if ((v & 7) == 0) {
    print_object(vm, port, v, is_display);
  } else {
    print_constant(vm, port, v);
  }
}

value print_to_string(struct vm *vm, value v, bool is_display) {
  value port = make_string(vm, NULL, 0);
  print_value(vm, port, v, is_display);
  return port;
}

value print_number(struct vm *vm, value v, int base) {
  value port = make_string(vm, NULL, 0);
  if (is_fixnum(v)) {
    print_fixnum(vm, port, fixnum_of(v), base);
  } else {
    print_flonum(vm, port, AS(flonum, v)->number);
  }
  return port;
}

value print_condition(struct vm *vm, value v) {
  value port = make_string(vm, NULL, 0);
  if (!is(v, T_CONDITION)) {
    string_add_text(vm, port, "raised: ");
    print_value(vm, port, v, false);
    return port;
  }
  uint32_t pos = AS(object, v)->pos;
  if (pos != 0) {
    char line[16];
    string_add_text(vm, port, file_name(pos >> 24));
    snprintf(line, sizeof line, ":%u: ", (unsigned)(pos & 0xffffff));
    string_add_text(vm, port, line);
  }
  print_value(vm, port, AS(condition, v)->message, true);
  const char *before = ": ";
  for (value i = AS(condition, v)->irritants; is_pair(i); i = cdr(i)) {
    string_add_text(vm, port, before);
    print_value(vm, port, car(i), false);
    before = " ";
  }
  return port;
}
