/* number.c -- fixnums of 63 bits and flonums; see lisp.h.
 *
 * HOW     What does not fit a fixnum becomes a flonum.
 */
#include "lisp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_flonum(value v) {
  return is(v, T_FLONUM);
}

static bool is_number(value v) {
  return is_fixnum(v) || is_flonum(v);
}

double need_real(struct vm *vm, value v) {
  if (is_fixnum(v)) {
    return (double)fixnum_of(v);
  }
  need(vm, v, T_FLONUM, "a number");
  return AS(flonum, v)->number;
}

/* ---- arithmetic ---------------------------------------------------------- */

static value arith(struct vm *vm, char op, value a, value b) {
  if (is_fixnum(a) && is_fixnum(b)) {
    int64_t x = fixnum_of(a);
    int64_t y = fixnum_of(b);
    int64_t r;
    bool over = op == '+'   ? __builtin_add_overflow(x, y, &r)
                : op == '-' ? __builtin_sub_overflow(x, y, &r)
                            : __builtin_mul_overflow(x, y, &r);
    if (!over) {
      return make_integer(vm, r);
    }
  }
  double x = need_real(vm, a);
  double y = need_real(vm, b);
  return make_flonum(vm, op == '+' ? x + y : op == '-' ? x - y : x * y);
}

BUILTIN(b_add) {
  value v = fixnum(0);
  for (int i = 0; i < argc; i++) v = arith(vm, '+', v, argv[i]);
  return v;
}

BUILTIN(b_mul) {
  value v = fixnum(1);
  for (int i = 0; i < argc; i++) v = arith(vm, '*', v, argv[i]);
  return v;
}

BUILTIN(b_sub) {
  if (argc == 1) {
    return arith(vm, '-', fixnum(0), argv[0]);
  }
  value v = argv[0];
  for (int i = 1; i < argc; i++) v = arith(vm, '-', v, argv[i]);
  return v;
}

static value divide(struct vm *vm, value a, value b) {
  if (is_fixnum(a) && is_fixnum(b)) {
    if (b == fixnum(0)) {
      fail_in(vm, "division by zero", a);
    }
    if (fixnum_of(a) % fixnum_of(b) == 0) {
      return make_integer(vm, fixnum_of(a) / fixnum_of(b));
    }
  }
  return make_flonum(vm, need_real(vm, a) / need_real(vm, b));
}

BUILTIN(b_div) {
  if (argc == 1) {
    return divide(vm, fixnum(1), argv[0]);
  }
  value v = argv[0];
  for (int i = 1; i < argc; i++) v = divide(vm, v, argv[i]);
  return v;
}

static int64_t need_divisor(struct vm *vm, value *argv) {
  need_int(vm, argv[0]);
  int64_t d = need_int(vm, argv[1]);
  if (d == 0) {
    fail_in(vm, "division by zero", argv[0]);
  }
  return d;
}

BUILTIN(b_quotient) {
  int64_t d = need_divisor(vm, argv);
  return make_integer(vm, fixnum_of(argv[0]) / d);
}

BUILTIN(b_remainder) {
  int64_t d = need_divisor(vm, argv);
  return fixnum(fixnum_of(argv[0]) % d);
}

BUILTIN(b_modulo) {
  int64_t d = need_divisor(vm, argv);
  int64_t r = fixnum_of(argv[0]) % d;
  return fixnum(r != 0 && (r < 0) != (d < 0) ? r + d : r);
}

/* -1, 0, 1; 2 when one is not a number at all. */
static int order(struct vm *vm, value a, value b) {
  if (is_fixnum(a) && is_fixnum(b)) {
    return ((int64_t)a > (int64_t)b) - ((int64_t)a < (int64_t)b);
  }
  double x = need_real(vm, a);
  double y = need_real(vm, b);
  return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
}

/* = < > <= >=: the name says which. */
BUILTIN(b_compare) {
  const char *name = vm->name;
  bool holds = true;
  for (int i = 0; i + 1 < argc; i++) {
    int o = order(vm, argv[i], argv[i + 1]);
    holds =
        holds && ((o == 0 && strchr(name, '=') != NULL) ||
                  (o == -1 && name[0] == '<') || (o == 1 && name[0] == '>'));
  }
  return boolean(holds);
}

BUILTIN(b_min) {
  bool is_max = strcmp(vm->name, "max") == 0;
  value v = argv[0];
  for (int i = 1; i < argc; i++) {
    v = (order(vm, argv[i], v) == (is_max ? 1 : -1)) ? argv[i] : v;
  }
  return v;
}

BUILTIN(b_abs) {
  return order(vm, argv[0], fixnum(0)) < 0 ? arith(vm, '-', fixnum(0), argv[0])
                                           : argv[0];
}

QUESTION(b_zero, order(vm, argv[0], fixnum(0)) == 0)

BUILTIN(b_gcd) {
  int64_t a = llabs(need_int(vm, argv[0]));
  int64_t b = llabs(need_int(vm, argv[1]));
  while (b != 0) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return make_integer(vm, a);
}

/* ---- bits ---------------------------------------------------------------- */

BUILTIN(b_bits) {
  int64_t a = need_int(vm, argv[0]);
  int64_t b = need_int(vm, argv[1]);
  char op = vm->name[strlen("bitwise-")];
  return fixnum(op == 'a' ? a & b : op == 'o' ? a | b : a ^ b);
}

BUILTIN(b_shift) {
  int64_t n = need_int(vm, argv[0]);
  int64_t by = need_int(vm, argv[1]);
  if (by < -62) {
    return fixnum(n < 0 ? -1 : 0);
  }
  if (by <= 0) {
    return fixnum(n >> -by);
  }
  return by < 62 && llabs(n) <= FIXNUM_MAX >> by
             ? fixnum(n * (INT64_C(1) << by))
             : make_flonum(vm, ldexp((double)n, by > 5000 ? 5000 : (int)by));
}

/* ---- reals --------------------------------------------------------------- */

/* Flonums in and out; integral results of the rounding ones stay flonums. */
BUILTIN(b_real) {
  static const struct {
    const char *name;
    double (*call)(double);
  } table[] = {{"floor", floor},    {"ceiling", ceil}, {"round", nearbyint},
               {"truncate", trunc}, {"exp", exp},      {"log", log},
               {"sin", sin},        {"cos", cos},      {"atan", atan}};
  for (size_t i = 0; i < COUNT(table); i++) {
    if (strcmp(table[i].name, vm->name) == 0) {
      return is_fixnum(argv[0]) && i < 4
                 ? argv[0]
                 : make_flonum(vm, table[i].call(need_real(vm, argv[0])));
    }
  }
  return V_VOID;
}

BUILTIN(b_sqrt) {
  double d = sqrt(need_real(vm, argv[0]));
  return is_fixnum(argv[0]) && d == floor(d) && d < 9e15 ? fixnum((int64_t)d)
                                                         : make_flonum(vm, d);
}

BUILTIN(b_expt) {
  if (is_fixnum(argv[0]) && is_fixnum(argv[1]) && fixnum_of(argv[1]) >= 0) {
    value v = fixnum(1);
    value base = argv[0];
    for (int64_t n = fixnum_of(argv[1]); n > 0; n >>= 1) {
      v = (n & 1) != 0 ? arith(vm, '*', v, base) : v;
      base = n > 1 ? arith(vm, '*', base, base) : base;
    }
    return v;
  }
  return make_flonum(vm, pow(need_real(vm, argv[0]), need_real(vm, argv[1])));
}

BUILTIN(b_to_exact) {
  if (is_fixnum(argv[0])) {
    return argv[0];
  }
  double d = need_real(vm, argv[0]);
  if (!(fabs(d) < 4e18) || d != trunc(d)) {
    fail_type(vm, "an integral number", argv[0]);
  }
  return make_integer(vm, (int64_t)d);
}

BUILTIN(b_to_inexact) {
  return make_flonum(vm, need_real(vm, argv[0]));
}

QUESTION(b_is_number, is_number(argv[0]))
QUESTION(b_is_integer,
         is_fixnum(argv[0]) ||
             (is_flonum(argv[0]) && AS(flonum, argv[0])->number ==
                                        floor(AS(flonum, argv[0])->number)))
QUESTION(b_is_exact, is_fixnum(argv[0]))

/* (random n): 0 .. n - 1, splitmix64, one sequence per thread. */
BUILTIN(b_random) {
  static _Thread_local uint64_t state = 1;
  int64_t n = need_int(vm, argv[0]);
  if (n <= 0) {
    fail_in(vm, "not positive", argv[0]);
  }
  uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return fixnum((int64_t)((z ^ z >> 31) % (uint64_t)n));
}

static const struct builtin_info table_number[] = {
    {"+", 0, -1, FAST_ADD, b_add},
    {"-", 1, -1, FAST_SUB, b_sub},
    {"*", 0, -1, FAST_MUL, b_mul},
    {"/", 1, -1, 0, b_div},
    {"=", 1, -1, FAST_NUM_EQ, b_compare},
    {"<", 1, -1, FAST_LT, b_compare},
    {">", 1, -1, FAST_GT, b_compare},
    {"<=", 1, -1, FAST_LE, b_compare},
    {">=", 1, -1, FAST_GE, b_compare},
    {"quotient", 2, 2, 0, b_quotient},
    {"remainder", 2, 2, 0, b_remainder},
    {"modulo", 2, 2, 0, b_modulo},
    {"min", 1, -1, 0, b_min},
    {"max", 1, -1, 0, b_min},
    {"abs", 1, 1, 0, b_abs},
    {"zero?", 1, 1, FAST_ZERO, b_zero},
    {"gcd", 2, 2, 0, b_gcd},
    {"bitwise-and", 2, 2, 0, b_bits},
    {"bitwise-or", 2, 2, 0, b_bits},
    {"bitwise-xor", 2, 2, 0, b_bits},
    {"arithmetic-shift", 2, 2, 0, b_shift},
    {"floor", 1, 1, 0, b_real},
    {"ceiling", 1, 1, 0, b_real},
    {"round", 1, 1, 0, b_real},
    {"truncate", 1, 1, 0, b_real},
    {"exp", 1, 1, 0, b_real},
    {"log", 1, 1, 0, b_real},
    {"sin", 1, 1, 0, b_real},
    {"cos", 1, 1, 0, b_real},
    {"atan", 1, 1, 0, b_real},
    {"sqrt", 1, 1, 0, b_sqrt},
    {"expt", 2, 2, 0, b_expt},
    {"exact", 1, 1, 0, b_to_exact},
    {"inexact", 1, 1, 0, b_to_inexact},
    {"number?", 1, 1, 0, b_is_number},
    {"integer?", 1, 1, 0, b_is_integer},
    {"exact?", 1, 1, 0, b_is_exact},
    {"random", 1, 1, 0, b_random},
};

void builtins_number(struct vm *vm) {
  builtin_define(vm, table_number, COUNT(table_number));
}
