/* lisp.h -- a small Scheme whose values live in an almacen heap.
 *
 * WHAT    Values, the layout of objects, the interpreter's threads, and what
 *         the modules offer each other.
 * HOW     A value is a word. Odd: a fixnum. Low bits 010: a constant. Low
 *         bits 100: a character. Low bits 000: the address of an object of
 *         the heap, untagged, so that the collector knows it; 0 is no value
 *         and stands for "not bound". Source text is read into pairs
 *         (reader.c), compiled into a tree of nodes in the heap (compile.c)
 *         and run by walking the tree (eval.c). Variables are addressed by
 *         depth and index in frames, which are heap objects too.
 *         Each thread has a struct vm on its stack with its mutator. Values
 *         in C locals are found conservatively; global ones are in a root.
 * LOCKS   runtime.lock: symbol table, file names. Taken by vm_lock, which
 *         lets collections go on while it waits. Data that programs share
 *         is theirs to lock with (make-mutex).
 */
#ifndef LISP_H
#define LISP_H

#include <almacen.h>
#include <almacen_inline.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t value;

#define CONSTANT(n) (((value)(n) << 3) | 2)
#define V_NIL CONSTANT(0)
#define V_FALSE CONSTANT(1)
#define V_TRUE CONSTANT(2)
#define V_VOID CONSTANT(3)
#define V_EOF CONSTANT(4)
#define V_DEFAULT CONSTANT(5) /* no name is given, and the like             */
#define V_TAIL CONSTANT(6)    /* a builtin asks: apply tail_f to tail_args  */
#define V_NONE CONSTANT(7)    /* an empty place of a hash table             */
#define V_GONE CONSTANT(8)    /* a place whose entry was removed            */

#define FIXNUM_MAX (INT64_MAX >> 1)
#define FIXNUM_MIN (INT64_MIN >> 1)

enum type {
  T_PAIR = 1,
  T_FLONUM,
  T_STRING,
  T_SYMBOL,
  T_VECTOR,
  T_RECORD, /* laid out as a vector; item 0 is its type's name */
  T_TABLE,
  T_CLOSURE,
  T_BUILTIN,
  T_FRAME,
  T_NODE,
  T_CONDITION,
  T_ESCAPE,
  T_THREAD,
  T_MUTEX,
  T_WEAK,
  T_COUNT
};

/* Every object begins so. `sub`, `small` and `pos` mean what its type says;
 * pos is a place in a source file, if it has one: file << 24 | line. */
struct object {
  uint8_t type;
  uint8_t sub;
  uint16_t small;
  uint32_t pos;
};

struct pair {
  struct object h;
  value car;
  value cdr;
};

struct flonum {
  struct object h;
  double number;
};

/* Bytes, not characters; UTF-8 passes through. Ports are strings too. */
struct string {
  struct object h;
  char *bytes; /* an object without pointers, of `room` bytes */
  size_t length;
  size_t room;
};

struct symbol {
  struct object h; /* sub: the special form, or 0 */
  value value;     /* the global variable, or 0; any thread */
  value macro;     /* its expander, or 0 */
  value name;
  struct alm_handle *pin; /* keeps it when it has one of the above */
};

struct vector {
  struct object h;
  size_t length;
  value items[];
};

struct table {
  struct object h;
  size_t count; /* entries */
  size_t used;  /* places that are not V_NONE */
  value places; /* a vector: key, value, key, value ... */
};

struct frame {
  struct object h;
  struct frame *up;
  value slots[];
};

struct node {
  struct object h; /* sub: enum op; small and extra: as the op says */
  uint32_t nkids;
  uint32_t extra;
  value kids[];
};

struct closure {
  struct object h;
  struct node *lambda;
  struct frame *frame;
};

struct vm;
struct builtin_info {
  const char *name;
  int args_min;
  int args_max; /* -1: any number */
  int fast;     /* enum fast, or 0 */
  value (*call)(struct vm *vm, int argc, value *argv);
};

struct builtin {
  struct object h;
  const struct builtin_info *info;
};

struct condition {
  struct object h;
  value message; /* a string */
  value irritants;
};

struct escape {
  struct object h;
  struct vm *vm;
  struct catch *target; /* NULL: its call/ec has returned */
};

/* Wrappers of things outside the heap, which a cleanup frees. */
struct extern_object {
  struct object h;
  void *outside;
  value value; /* of threads: the thunk, then the result */
};

/* What nodes do; the kids are named in compile.c where they are made. */
enum op {
  OP_CONST,
  OP_LOCAL0,
  OP_LOCAL1,
  OP_LOCAL,
  OP_GLOBAL,
  OP_SET_LOCAL,
  OP_SET_GLOBAL,
  OP_DEFINE,
  OP_IF,
  OP_SEQ,
  OP_AND,
  OP_OR,
  OP_LAMBDA,
  OP_LET,
  OP_CASE,
  OP_CALL,
  OP_FAST1,
  OP_FAST2,
  OP_GUARD,
};

/* Builtins the evaluator does itself while they have their first value. */
enum fast {
  FAST_NOT = 1,
  FAST_CAR,
  FAST_CDR,
  FAST_NULL,
  FAST_PAIR,
  FAST_ZERO,
  FAST_1_END,
  FAST_CONS,
  FAST_ADD,
  FAST_SUB,
  FAST_MUL,
  FAST_LT,
  FAST_GT,
  FAST_LE,
  FAST_GE,
  FAST_NUM_EQ,
  FAST_EQ,
  FAST_REF,
};

enum { SMALL_WORDS = 10, ARGS_MAX = 8, FORMS_MAX = 32 };

/* A place that errors and escapes go to, in a C frame. */
struct catch {
  struct catch *up;
  bool takes_errors;
  bool takes_all; /* it cleans up and throws again */
  jmp_buf jump;
};

/* One per thread of the language, on its stack. */
struct vm {
  struct alm_mutator *m;
  char *stack_end; /* deeper is an error */
  struct catch *catches;
  struct catch *target; /* of what is being thrown; NULL: an error */
  value thrown;
  value tail_f;
  value tail_args;
  value out;        /* a string port; V_FALSE: stdout */
  const char *name; /* the builtin that runs */
  uint32_t pos;     /* of the last call */
};

/* Values that C code knows by name; the whole struct is a root. */
struct known {
  value quote, quasiquote, unquote, unquote_splicing; /* symbols */
  value else_, arrow, rest;                           /* else => . */
  value forms[FORMS_MAX];                    /* what nobody can shadow    */
  value cons, append, list_to_vector, raise; /* builtins                  */
  value no_memory;                           /* a condition made early    */
  value args;                                /* of the command, a list    */
};

struct runtime {
  struct alm_heap *heap;
  const struct alm_type *types[T_COUNT];     /* with a fixed layout         */
  const struct alm_type *words[SMALL_WORDS]; /* head, word, n values        */
  const struct alm_type *many;               /* the same, array of any size */
  pthread_mutex_t lock;
  size_t stack_bytes; /* of each thread */
  unsigned nthreads;  /* that thread-start made and that use the heap; any
                       * thread. Release; acquire before the heap goes */
  struct known known;
};

extern struct runtime rt;
extern _Thread_local struct vm *vm_current;

/* ---- values ------------------------------------------------------------- */

static inline bool is_fixnum(value v) {
  return (v & 1) != 0;
}

static inline int64_t fixnum_of(value v) {
  return (int64_t)v >> 1;
}

static inline value fixnum(int64_t n) {
  return ((value)n << 1) | 1;
}

static inline bool is_char(value v) {
  return (v & 7) == 4;
}

static inline value character(uint32_t c) {
  return ((value)c << 3) | 4;
}

static inline uint32_t char_of(value v) {
  return (uint32_t)(v >> 3);
}

static inline value boolean(bool b) {
  return b ? V_TRUE : V_FALSE;
}

static inline void *object_of(value v) {
  return (void *)v;
}

static inline value value_of(const void *object) {
  return (value)object;
}

static inline bool is(value v, enum type type) {
  return (v & 7) == 0 && ((struct object *)object_of(v))->type == type;
}

#define AS(type, v) ((struct type *)object_of(v))

static inline bool is_pair(value v) {
  return is(v, T_PAIR);
}

static inline value car(value v) {
  return AS(pair, v)->car;
}

static inline value cdr(value v) {
  return AS(pair, v)->cdr;
}

/* Every store of a value into an object that is not fresh. */
static inline void put(struct vm *vm, void *object, value *slot, value v) {
  alm_store_inline(vm->m, object, slot, object_of(v));
}

/* ---- vm.c: memory, errors, threads' state ------------------------------- */

/* The new objects are zeroed but for their head. All of vm.c's makers raise
 * an error when memory is out. */
void *make_object(struct vm *vm, enum type type);
void *make_words(struct vm *vm, enum type type, size_t n);
void *make_bytes(struct vm *vm, size_t bytes);
value make_flonum(struct vm *vm, double number);
value make_integer(struct vm *vm, int64_t n); /* a flonum when it is large */
value make_vector(struct vm *vm, size_t length, value fill);
value make_string(struct vm *vm, const char *bytes, size_t length);
value make_list(struct vm *vm, int n, ...); /* of n values */
value make_extern(struct vm *vm, enum type type, void *outside,
                  alm_finalizer cleanup);
void string_add(struct vm *vm, value s, const char *bytes, size_t n);
void string_add_text(struct vm *vm, value s, const char *text);
/* The bytes with a NUL behind them, as long as s is not changed. */
const char *string_text(struct vm *vm, value s);

static inline value cons(struct vm *vm, value a, value d) {
  struct pair *p = alm_new_inline(vm->m, rt.types[T_PAIR]);
  if (__builtin_expect(p == NULL, 0)) {
    p = make_object(vm, T_PAIR);
  }
  p->h.type = T_PAIR;
  p->car = a;
  p->cdr = d;
  return value_of(p);
}

/* Symbols are interned weakly: one that nobody mentions goes away unless it
 * has a global value, a macro or a special form (symbol_pin). */
value symbol_intern(struct vm *vm, const char *name, size_t length);
value symbol_named(struct vm *vm, const char *name);
value symbol_make(struct vm *vm, value name); /* not interned */
void symbol_pin(struct vm *vm, value symbol);
void symbol_define(struct vm *vm, value symbol, value v);
size_t symbol_count(struct vm *vm); /* also those found dead but still there */

unsigned file_number(struct vm *vm, const char *name);
const char *file_name(unsigned number);

/* Throwing. The last three name the builtin that runs. */
_Noreturn void fail(struct vm *vm, const char *message);
_Noreturn void fail_value(struct vm *vm, const char *message, value irritant);
_Noreturn void fail_in(struct vm *vm, const char *message, value irritant);
_Noreturn void fail_type(struct vm *vm, const char *wanted, value got);
_Noreturn void vm_raise(struct vm *vm, value v);
_Noreturn void vm_throw(struct vm *vm); /* again, after a cleanup */
void catch_push(struct vm *vm, struct catch *c, bool takes_errors,
                bool takes_all);
void catch_pop(struct vm *vm, struct catch *c);

/* Every C function that recurses by the depth of data or program. */
static inline void stack_check(struct vm *vm) {
  if (__builtin_expect((char *)__builtin_frame_address(0) < vm->stack_end, 0)) {
    fail(vm, "recursion is too deep");
  }
}

void vm_lock(struct vm *vm, pthread_mutex_t *lock);
bool thread_create(pthread_t *out, void *(*run)(void *), void *arg);

/* Start and end a thread of the language; the vm lies in the caller's frame.
 * False: no memory. */
bool vm_attach(struct vm *vm);
void vm_detach(struct vm *vm);
bool runtime_init(const struct alm_heap_options *options);
void runtime_fill(struct vm *vm); /* symbols, builtins, prelude */

/* ---- the other modules -------------------------------------------------- */

struct reader {
  value text; /* a string that nobody changes */
  size_t at;
  uint32_t pos;
  bool is_incomplete; /* the text ended within a form */
};

void reader_init(struct reader *r, value text, unsigned file);
value reader_read(struct vm *vm, struct reader *r); /* V_EOF at the end */
/* A number, or V_FALSE when the text is none. */
value reader_number(struct vm *vm, const char *text, int base);

void print_value(struct vm *vm, value port, value v, bool is_display);
value print_to_string(struct vm *vm, value v, bool is_display);
value print_condition(struct vm *vm, value condition);
value print_number(struct vm *vm, value v, int base);

void compile_init(struct vm *vm);
struct node *compile_toplevel(struct vm *vm, value form);

value eval_node(struct vm *vm, struct node *n, struct frame *frame);
value eval_form(struct vm *vm, value form);
value eval_text(struct vm *vm, value text, unsigned file); /* all forms */
value vm_apply(struct vm *vm, value f, int argc, value *argv);
value vm_apply_list(struct vm *vm, value f, value args);
value read_file(struct vm *vm, const char *path); /* a string, or V_FALSE */

bool is_equal(struct vm *vm, value a, value b);
bool is_eqv(value a, value b);
int64_t list_length(value list); /* -1: not a proper list */

#define BUILTIN(name)                                                          \
  static value name(__attribute__((unused)) struct vm *vm,                     \
                    __attribute__((unused)) int argc,                          \
                    __attribute__((unused)) value *argv)
/* A builtin that answers a question about its arguments. */
#define QUESTION(name, answer)                                                 \
  BUILTIN(name) {                                                              \
    return boolean(answer);                                                    \
  }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The checks of arguments; each raises an error that names the builtin. */
int64_t need_int(struct vm *vm, value v);
size_t need_slot(struct vm *vm, value v, size_t n);    /* 0 .. n - 1 */
size_t need_index(struct vm *vm, value v, size_t end); /* 0 .. end   */
double need_real(struct vm *vm, value v);
void need(struct vm *vm, value v, enum type type, const char *name);

void builtin_define(struct vm *vm, const struct builtin_info *info, size_t n);
void builtins_core(struct vm *vm);   /* builtins.c */
void builtins_number(struct vm *vm); /* number.c   */
void builtins_text(struct vm *vm);   /* text.c     */
void builtins_table(struct vm *vm);  /* table.c    */
void builtins_thread(struct vm *vm); /* thread.c   */
extern const char *const prelude[];  /* prelude.c  */
extern const size_t prelude_lines;

#endif
