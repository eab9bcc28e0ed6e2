/* text.c -- strings, characters, symbols, input and output; see lisp.h.
 *
 * HOW     A string port is a string that grows. Everything is printed into a
 *         string first, then written in one call.
 */
#define _POSIX_C_SOURCE 200809L
#include "lisp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct string *need_string(struct vm *vm, value v) {
  need(vm, v, T_STRING, "a string");
  return AS(string, v);
}

static uint32_t need_char(struct vm *vm, value v) {
  if (!is_char(v)) {
    fail_type(vm, "a character", v);
  }
  return char_of(v);
}

/* ---- strings ------------------------------------------------------------- */

BUILTIN(b_make_string) {
  size_t n = need_index(vm, argv[0], (size_t)FIXNUM_MAX >> 8);
  int c = argc > 1 ? (int)need_char(vm, argv[1]) : ' ';
  value v = make_string(vm, NULL, n);
  memset(AS(string, v)->bytes, c, n);
  return v;
}

BUILTIN(b_string) {
  value v = make_string(vm, NULL, (size_t)argc);
  for (int i = 0; i < argc; i++) {
    AS(string, v)->bytes[i] = (char)need_char(vm, argv[i]);
  }
  return v;
}

BUILTIN(b_string_length) {
  return fixnum((int64_t)need_string(vm, argv[0])->length);
}

static char *string_slot(struct vm *vm, value *argv) {
  struct string *s = need_string(vm, argv[0]);
  return &s->bytes[need_slot(vm, argv[1], s->length)];
}

BUILTIN(b_string_ref) {
  return character((unsigned char)*string_slot(vm, argv));
}

BUILTIN(b_string_set) {
  char *slot = string_slot(vm, argv);
  *slot = (char)need_char(vm, argv[2]);
  return V_VOID;
}

BUILTIN(b_string_append) {
  value v = make_string(vm, NULL, 0);
  for (int i = 0; i < argc; i++) {
    struct string *s = need_string(vm, argv[i]);
    string_add(vm, v, s->bytes, s->length);
  }
  return v;
}

/* (string-add! s t): s grows by t, a string or a character. */
BUILTIN(b_string_add) {
  need_string(vm, argv[0]);
  if (is_char(argv[1])) {
    char c = (char)char_of(argv[1]);
    string_add(vm, argv[0], &c, 1);
  } else {
    size_t n = need_string(vm, argv[1])->length;
    string_add(vm, argv[0], AS(string, argv[1])->bytes, n);
  }
  return argv[0];
}

BUILTIN(b_substring) {
  struct string *s = need_string(vm, argv[0]);
  size_t end = argc > 2 ? need_index(vm, argv[2], s->length) : s->length;
  size_t start = argc > 1 ? need_index(vm, argv[1], end) : 0;
  return make_string(vm, s->bytes + start, end - start);
}

/* string=? string<? string>?: the name says which. */
BUILTIN(b_string_compare) {
  char op = vm->name[strlen("string")];
  struct string *s = need_string(vm, argv[0]);
  struct string *t = need_string(vm, argv[1]);
  size_t n = s->length < t->length ? s->length : t->length;
  int o = memcmp(s->bytes, t->bytes, n);
  o = o != 0 ? o : (s->length > t->length) - (s->length < t->length);
  return boolean(op == '=' ? o == 0 : op == '<' ? o < 0 : o > 0);
}

/* (string-search s part [start]): where it is, or #f. */
BUILTIN(b_string_search) {
  struct string *s = need_string(vm, argv[0]);
  struct string *part = need_string(vm, argv[1]);
  size_t i = argc > 2 ? need_index(vm, argv[2], s->length) : 0;
  for (; i + part->length <= s->length; i++) {
    if (memcmp(s->bytes + i, part->bytes, part->length) == 0) {
      return fixnum((int64_t)i);
    }
  }
  return V_FALSE;
}

BUILTIN(b_string_case) {
  bool is_up = strcmp(vm->name, "string-upcase") == 0;
  struct string *s = need_string(vm, argv[0]);
  value v = make_string(vm, s->bytes, s->length);
  for (size_t i = 0; i < s->length; i++) {
    char *c = &AS(string, v)->bytes[i];
    *c =
        (char)(is_up ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
  }
  return v;
}

BUILTIN(b_string_to_list) {
  struct string *s = need_string(vm, argv[0]);
  value out = V_NIL;
  for (size_t i = s->length; i > 0; i--) {
    out = cons(vm, character((unsigned char)s->bytes[i - 1]), out);
  }
  return out;
}

BUILTIN(b_list_to_string) {
  value v = make_string(vm, NULL, 0);
  for (value l = argv[0]; is_pair(l); l = cdr(l)) {
    char c = (char)need_char(vm, car(l));
    string_add(vm, v, &c, 1);
  }
  return v;
}

/* The second argument, if there is one. */
static int need_base(struct vm *vm, int argc, value *argv) {
  int64_t base = argc > 1 ? need_int(vm, argv[1]) : 10;
  if (base < 2 || base > 36) {
    fail_in(vm, "no such base", argv[1]);
  }
  return (int)base;
}

BUILTIN(b_number_to_string) {
  need_real(vm, argv[0]);
  return print_number(vm, argv[0], need_base(vm, argc, argv));
}

BUILTIN(b_string_to_number) {
  need_string(vm, argv[0]);
  int base = need_base(vm, argc, argv);
  return reader_number(vm, string_text(vm, argv[0]), base);
}

/* ---- symbols and characters ---------------------------------------------- */

BUILTIN(b_string_to_symbol) {
  struct string *s = need_string(vm, argv[0]);
  return symbol_intern(vm, s->bytes, s->length);
}

BUILTIN(b_symbol_to_string) {
  need(vm, argv[0], T_SYMBOL, "a symbol");
  struct string *s = AS(string, AS(symbol, argv[0])->name);
  return make_string(vm, s->bytes, s->length);
}

BUILTIN(b_char_to_integer) {
  return fixnum(need_char(vm, argv[0]));
}

BUILTIN(b_integer_to_char) {
  return character((uint32_t)need_index(vm, argv[0], 255));
}

/* char-alphabetic? char-numeric? char-whitespace? */
BUILTIN(b_char_class) {
  int c = (int)need_char(vm, argv[0]);
  char op = vm->name[strlen("char-")];
  return boolean((op == 'a'   ? isalpha(c)
                  : op == 'n' ? isdigit(c)
                              : isspace(c)) != 0);
}

BUILTIN(b_char_case) {
  int c = (int)need_char(vm, argv[0]);
  bool is_up = strcmp(vm->name, "char-upcase") == 0;
  return character((uint32_t)(is_up ? toupper(c) : tolower(c)));
}

BUILTIN(b_char_compare) {
  uint32_t a = need_char(vm, argv[0]);
  uint32_t b = need_char(vm, argv[1]);
  char op = vm->name[strlen("char")];
  return boolean(op == '=' ? a == b : op == '<' ? a < b : a > b);
}

QUESTION(b_is_string, is(argv[0], T_STRING))
QUESTION(b_is_char, is_char(argv[0]))

/* ---- input and output ---------------------------------------------------- */

/* `text` to the port given, or the current one. */
static value write_text(struct vm *vm, value text, value port) {
  struct string *s = AS(string, text);
  port = port != V_DEFAULT ? port : vm->out;
  if (port == V_FALSE) {
    fwrite(s->bytes, 1, s->length, stdout);
  } else {
    need(vm, port, T_STRING, "a port");
    string_add(vm, port, s->bytes, s->length);
  }
  return V_VOID;
}

BUILTIN(b_display) {
  value text =
      is(argv[0], T_STRING) ? argv[0] : print_to_string(vm, argv[0], true);
  return write_text(vm, text, argc > 1 ? argv[1] : V_DEFAULT);
}

BUILTIN(b_write) {
  value text = print_to_string(vm, argv[0], false);
  return write_text(vm, text, argc > 1 ? argv[1] : V_DEFAULT);
}

BUILTIN(b_newline) {
  value text = make_string(vm, "\n", 1);
  return write_text(vm, text, argc > 0 ? argv[0] : V_DEFAULT);
}

BUILTIN(b_open_string) {
  return make_string(vm, NULL, 0);
}

/* Sets the current port of the thread, returns the last one; #f: stdout. */
BUILTIN(b_set_port) {
  value before = vm->out;
  if (argv[0] != V_FALSE) {
    need_string(vm, argv[0]);
  }
  vm->out = argv[0];
  return before;
}

BUILTIN(b_read_line) {
  char *line = NULL;
  size_t room = 0;
  alm_blocked_begin(vm->m);
  ssize_t n = getline(&line, &room, stdin);
  alm_blocked_end(vm->m);
  value v = V_EOF;
  if (n >= 0) { /* out of memory leaks the line, that is all */
    v = make_string(vm, line, (size_t)(n - (n > 0 && line[n - 1] == '\n')));
  }
  free(line);
  return v;
}

/* (string->value text): the first form in it. */
BUILTIN(b_string_to_value) {
  struct reader r;
  need_string(vm, argv[0]);
  reader_init(&r, argv[0], file_number(vm, "string"));
  return reader_read(vm, &r);
}

static const struct builtin_info table_text[] = {
    {"make-string", 1, 2, 0, b_make_string},
    {"string", 0, -1, 0, b_string},
    {"string-length", 1, 1, 0, b_string_length},
    {"string-ref", 2, 2, 0, b_string_ref},
    {"string-set!", 3, 3, 0, b_string_set},
    {"string-append", 0, -1, 0, b_string_append},
    {"string-add!", 2, 2, 0, b_string_add},
    {"substring", 1, 3, 0, b_substring},
    {"string-copy", 1, 3, 0, b_substring},
    {"string=?", 2, 2, 0, b_string_compare},
    {"string<?", 2, 2, 0, b_string_compare},
    {"string>?", 2, 2, 0, b_string_compare},
    {"string-search", 2, 3, 0, b_string_search},
    {"string-upcase", 1, 1, 0, b_string_case},
    {"string-downcase", 1, 1, 0, b_string_case},
    {"string->list", 1, 1, 0, b_string_to_list},
    {"list->string", 1, 1, 0, b_list_to_string},
    {"number->string", 1, 2, 0, b_number_to_string},
    {"string->number", 1, 2, 0, b_string_to_number},
    {"string->symbol", 1, 1, 0, b_string_to_symbol},
    {"symbol->string", 1, 1, 0, b_symbol_to_string},
    {"char->integer", 1, 1, 0, b_char_to_integer},
    {"integer->char", 1, 1, 0, b_integer_to_char},
    {"char-alphabetic?", 1, 1, 0, b_char_class},
    {"char-numeric?", 1, 1, 0, b_char_class},
    {"char-whitespace?", 1, 1, 0, b_char_class},
    {"char-upcase", 1, 1, 0, b_char_case},
    {"char-downcase", 1, 1, 0, b_char_case},
    {"char=?", 2, 2, 0, b_char_compare},
    {"char<?", 2, 2, 0, b_char_compare},
    {"char>?", 2, 2, 0, b_char_compare},
    {"string?", 1, 1, 0, b_is_string},
    {"char?", 1, 1, 0, b_is_char},
    {"display", 1, 2, 0, b_display},
    {"write", 1, 2, 0, b_write},
    {"newline", 0, 1, 0, b_newline},
    {"open-output-string", 0, 0, 0, b_open_string},
    {"get-output-string", 1, 1, 0, b_substring},
    {"set-output-port!", 1, 1, 0, b_set_port},
    {"read-line", 0, 0, 0, b_read_line},
    {"string->value", 1, 1, 0, b_string_to_value},
};

void builtins_text(struct vm *vm) {
  builtin_define(vm, table_text, COUNT(table_text));
}
