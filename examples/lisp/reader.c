/* reader.c -- text to values; see lisp.h.
 *
 * HOW     Recursive descent over a string of the heap. A pair remembers the
 *         line where it began. What ends too early raises an error and sets
 *         is_incomplete, so that the REPL knows to ask for more.
 */
#include "lisp.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static value read_form(struct vm *vm, struct reader *r);

void reader_init(struct reader *r, value text, unsigned file) {
  *r = (struct reader){.text = text, .pos = (uint32_t)file << 24 | 1};
}

static int peek(struct reader *r) {
  struct string *s = AS(string, r->text);
  return r->at < s->length ? (unsigned char)s->bytes[r->at] : -1;
}

static int next(struct reader *r) {
  int c = peek(r);
  if (c >= 0) {
    r->at++;
    r->pos += c == '\n';
  }
  return c;
}

_Noreturn static void fail_read(struct vm *vm, struct reader *r,
                                const char *message) {
  vm->pos = r->pos;
  fail(vm, message);
}

_Noreturn static void fail_early(struct vm *vm, struct reader *r) {
  r->is_incomplete = true;
  fail_read(vm, r, "the text ends within a form");
}

/* Skip blanks, ; comments, #| |# comments and #; forms. */
static void skip(struct vm *vm, struct reader *r) {
  for (int c; (c = peek(r)) >= 0; next(r)) {
    const struct string *s = AS(string, r->text);
    int after = r->at + 1 < s->length ? s->bytes[r->at + 1] : -1;
    if (c == ';') {
      while (peek(r) >= 0 && peek(r) != '\n') next(r);
    } else if (c == '#' && after == '|') {
      next(r);
      for (int last = next(r); last != '|' || peek(r) != '#';) {
        last = next(r);
        if (last < 0) {
          fail_early(vm, r);
        }
      }
    } else if (c == '#' && after == ';') {
      next(r);
      next(r);
      read_form(vm, r);
      r->at--; /* the loop's own step */
    } else if (!isspace(c)) {
      return;
    }
  }
}

static bool is_delimiter(int c) {
  return c < 0 || isspace(c) || strchr("()[]\";'`,", c) != NULL;
}

static value read_list(struct vm *vm, struct reader *r, int end) {
  uint32_t pos = r->pos;
  value first = V_NIL;
  value last = V_NIL;
  for (;;) {
    skip(vm, r);
    int c = peek(r);
    if (c < 0) {
      fail_early(vm, r);
    }
    if (c == end) {
      next(r);
      return first;
    }
    value item = read_form(vm, r);
    if (item == rt.known.rest && last != V_NIL) { /* the dot */
      put(vm, object_of(last), &AS(pair, last)->cdr, read_form(vm, r));
      skip(vm, r);
      if (next(r) != end) {
        fail_read(vm, r, "more than one form after a dot");
      }
      return first;
    }
    value p = cons(vm, item, V_NIL);
    AS(object, p)->pos = first == V_NIL ? pos : AS(object, p)->pos;
    if (first == V_NIL) {
      first = p;
    } else {
      put(vm, object_of(last), &AS(pair, last)->cdr, p);
    }
    last = p;
  }
}

static value read_string(struct vm *vm, struct reader *r) {
  value s = make_string(vm, NULL, 0);
  for (int c; (c = next(r)) != '"';) {
    if (c == '\\') {
      c = next(r);
      const char *escape = c > 0 ? strchr("n\nt\tr\ra\a0\0", c) : NULL;
      if (c == '\n') { /* a line goes on, without the blanks of the next */
        while (peek(r) == ' ' || peek(r) == '\t') next(r);
        continue;
      }
      c = escape != NULL && strchr("ntra0", c) != NULL ? escape[1] : c;
    }
    if (c < 0) {
      fail_early(vm, r);
    }
    char byte = (char)c;
    string_add(vm, s, &byte, 1);
  }
  return s;
}

static value read_char(struct vm *vm, struct reader *r) {
  static const struct {
    const char *name;
    int c;
  } table[] = {{"space", ' '}, {"newline", '\n'}, {"tab", '\t'},
               {"nul", 0},     {"return", '\r'},  {"delete", 127}};
  char name[12] = {0};
  size_t n = 0;
  if (peek(r) < 0) {
    fail_early(vm, r);
  }
  do {
    name[n++] = (char)next(r);
  } while (n < sizeof name - 1 && !is_delimiter(peek(r)));
  if (n == 1) {
    return character((unsigned char)name[0]);
  }
  for (size_t i = 0; i < COUNT(table); i++) {
    if (strcmp(table[i].name, name) == 0) {
      return character((uint32_t)table[i].c);
    }
  }
  if (name[0] == 'x') {
    return character((uint32_t)strtoul(name + 1, NULL, 16) & 0xff);
  }
  fail_read(vm, r, "no character has that name");
}

value reader_number(struct vm *vm, const char *text, int base) {
  const char *digits = text + (*text == '-' || *text == '+');
  bool is_number = isdigit((unsigned char)*digits) ||
                   (*digits == '.' && isdigit((unsigned char)digits[1])) ||
                   (base > 10 && isalnum((unsigned char)*digits));
  if (!is_number) {
    return V_FALSE;
  }
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, base);
  if (*end == '\0' && errno == 0) {
    return make_integer(vm, n);
  }
  if (base != 10 || strpbrk(digits, "xXpP") != NULL) {
    return V_FALSE;
  }
  double d = strtod(text, &end);
  return *end == '\0' ? make_flonum(vm, d) : V_FALSE;
}

static const char *read_token(struct vm *vm, struct reader *r) {
  size_t start = r->at;
  while (!is_delimiter(peek(r))) next(r);
  size_t length = r->at - start;
  value copy = make_string(vm, AS(string, r->text)->bytes + start, length);
  return string_text(vm, copy);
}

static value read_atom(struct vm *vm, struct reader *r) {
  const char *text = read_token(vm, r);
  value number = reader_number(vm, text, 10);
  return number != V_FALSE ? number : symbol_named(vm, text);
}

static value list_to_vector(struct vm *vm, value list) {
  int64_t n = list_length(list);
  value v = make_vector(vm, n < 0 ? 0 : (size_t)n, V_FALSE);
  for (int64_t i = 0; i < n; i++, list = cdr(list)) {
    AS(vector, v)->items[i] = car(list); /* fresh */
  }
  return v;
}

static value read_hash(struct vm *vm, struct reader *r) {
  switch (peek(r)) {
  case '(':
    next(r);
    return list_to_vector(vm, read_list(vm, r, ')'));
  case '\\':
    next(r);
    return read_char(vm, r);
  default: {
    const char *text = read_token(vm, r);
    if (strcmp(text, "t") == 0 || strcmp(text, "true") == 0) {
      return V_TRUE;
    }
    if (strcmp(text, "f") == 0 || strcmp(text, "false") == 0) {
      return V_FALSE;
    }
    value number = text[0] == 'x' ? reader_number(vm, text + 1, 16) : V_FALSE;
    if (number != V_FALSE) {
      return number;
    }
    fail_read(vm, r, "a # that begins nothing");
  }
  }
}

static value read_quoted(struct vm *vm, struct reader *r, value symbol) {
  uint32_t pos = r->pos;
  value list = make_list(vm, 2, symbol, read_form(vm, r));
  AS(object, list)->pos = pos;
  return list;
}

/* One form; the end of the text is an error. */
static value read_form(struct vm *vm, struct reader *r) {
  stack_check(vm);
  skip(vm, r);
  switch (peek(r)) {
  case -1:
    fail_early(vm, r);
  case '(':
    next(r);
    return read_list(vm, r, ')');
  case '[':
    next(r);
    return read_list(vm, r, ']');
  case ')':
  case ']':
    next(r);
    fail_read(vm, r, "a closing parenthesis without an opening one");
  case '"':
    next(r);
    return read_string(vm, r);
  case '\'':
    next(r);
    return read_quoted(vm, r, rt.known.quote);
  case '`':
    next(r);
    return read_quoted(vm, r, rt.known.quasiquote);
  case ',':
    next(r);
    if (peek(r) == '@') {
      next(r);
      return read_quoted(vm, r, rt.known.unquote_splicing);
    }
    return read_quoted(vm, r, rt.known.unquote);
  case '#':
    next(r);
    return read_hash(vm, r);
  default:
    return read_atom(vm, r);
  }
}

value reader_read(struct vm *vm, struct reader *r) {
  r->is_incomplete = false;
  skip(vm, r);
  return peek(r) < 0 ? V_EOF : read_form(vm, r);
}
