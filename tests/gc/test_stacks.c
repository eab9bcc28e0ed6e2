/* Coroutines: their stacks are roots, whichever thread runs them. */
#include "support.h"

#include "almacen_inline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <ucontext.h>

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void *__tsan_get_current_fiber(void);
#define FIBER_MAKE() __tsan_create_fiber(0)
#define FIBER_END(f) __tsan_destroy_fiber(f)
#define FIBER_SWITCH(f) __tsan_switch_to_fiber((f), 0)
#define FIBER_CURRENT() __tsan_get_current_fiber()
#else
#define FIBER_MAKE() NULL
#define FIBER_END(f) ((void)(f))
#define FIBER_SWITCH(f) ((void)(f))
#define FIBER_CURRENT() NULL
#endif

enum { STACK_BYTES = 64 << 10, CELLS = 40, KEPT = 6 };

struct cell {
  struct cell *next;
  uint64_t id;
};

static struct {
  struct alm_heap *heap;
  const struct alm_type *cell;
} t;

static void begin(struct alm_heap_options options) {
  (void)seed_take(); /* before there are threads */
  static const uint64_t mask = 1;
  struct alm_type_info info = {"cell", sizeof(struct cell), &mask, 1, NULL};
  REQUIRE(heap_under_test(&options, &t.heap) == ALM_OK);
  REQUIRE(alm_type_create(t.heap, &info, &t.cell) == ALM_OK);
}

/* ---- the switch ------------------------------------------------------------- */

/* Push what a callee keeps, store the stack pointer in *from, load it from
 * *to, pop: the protocol of struct alm_stack_head. */
void switch_stacks(struct alm_stack_head *from, struct alm_stack_head *to);
#ifdef __x86_64__
__asm__(".text\n.globl switch_stacks\n.type switch_stacks, @function\n"
        "switch_stacks:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n"
        "  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq (%rsi), %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n"
        "  popq %rbx\n  popq %rbp\n  ret\n"
        ".size switch_stacks, .-switch_stacks\n");
enum { SAVED_WORDS = 7, RETURN_WORD = 6 };
#else
__asm__(".text\n.globl switch_stacks\n.type switch_stacks, %function\n"
        "switch_stacks:\n"
        "  stp x19, x20, [sp, -160]!\n  stp x21, x22, [sp, 16]\n"
        "  stp x23, x24, [sp, 32]\n  stp x25, x26, [sp, 48]\n"
        "  stp x27, x28, [sp, 64]\n  stp x29, x30, [sp, 80]\n"
        "  stp d8, d9, [sp, 96]\n  stp d10, d11, [sp, 112]\n"
        "  stp d12, d13, [sp, 128]\n  stp d14, d15, [sp, 144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  ldr x9, [x1]\n  mov sp, x9\n"
        "  ldp x21, x22, [sp, 16]\n  ldp x23, x24, [sp, 32]\n"
        "  ldp x25, x26, [sp, 48]\n  ldp x27, x28, [sp, 64]\n"
        "  ldp x29, x30, [sp, 80]\n  ldp d8, d9, [sp, 96]\n"
        "  ldp d10, d11, [sp, 112]\n  ldp d12, d13, [sp, 128]\n"
        "  ldp d14, d15, [sp, 144]\n  ldp x19, x20, [sp], 160\n  ret\n"
        ".size switch_stacks, .-switch_stacks\n");
enum { SAVED_WORDS = 20, RETURN_WORD = 11 };
#endif

/* ---- coroutines -------------------------------------------------------------- */

struct coroutine {
  struct alm_stack *stack;
  char *memory;
  void *fiber;
  struct alm_mutator *m;  /* of the thread that runs it           */
  struct alm_stack *back; /* that thread's                        */
  void *back_fiber;
  ucontext_t own, resumer; /* those of alm_stack_switch            */
  bool by_context;
  uint64_t seed;
  size_t turns;
  bool is_over;
  pthread_mutex_t lock; /* one thread runs it at a time            */
};

static _Thread_local struct coroutine *running;

static struct alm_stack_head *head_of(struct alm_stack *s) {
  return (struct alm_stack_head *)(void *)s;
}

static struct alm_stack *stack_of(struct alm_mutator *m) {
  return ((struct alm_mutator_head *)(void *)m)->stack;
}

static __attribute__((noinline)) void resume(struct alm_mutator *m,
                                             struct coroutine *c) {
  c->m = m;
  c->back = stack_of(m);
  c->back_fiber = FIBER_CURRENT();
  FIBER_SWITCH(c->fiber);
  if (c->by_context) {
    alm_stack_switch(m, c->stack);
    REQUIRE(swapcontext(&c->resumer, &c->own) == 0);
  } else {
    alm_stack_enter_inline(m, c->stack);
    switch_stacks(head_of(c->back), head_of(c->stack));
  }
}

static __attribute__((noinline)) void yield(struct coroutine *c) {
  FIBER_SWITCH(c->back_fiber);
  if (c->by_context) {
    alm_stack_switch(c->m, c->back);
    REQUIRE(swapcontext(&c->own, &c->resumer) == 0);
  } else {
    alm_stack_enter_inline(c->m, c->back);
    switch_stacks(head_of(c->stack), head_of(c->back));
  }
}

static __attribute__((noinline)) struct cell *list_of(struct alm_mutator *m,
                                                      uint64_t tag) {
  struct cell *list = NULL;
  for (uint64_t i = 0; i < CELLS; i++) {
    struct cell *c = alm_new(m, t.cell);
    REQUIRE(c != NULL && c->next == NULL && c->id == 0);
    c->id = tag + i;
    alm_store(m, c, &c->next, list);
    list = c;
  }
  return list;
}

static void require_list(const struct cell *list, uint64_t tag) {
  for (uint64_t i = CELLS; i-- > 0; list = list->next) {
    REQUIRE(list != NULL && list->id == tag + i);
  }
  REQUIRE(list == NULL);
}

/* All it has lies on its stack. */
static void live(struct coroutine *c) {
  struct cell *kept[KEPT] = {NULL};
  uint64_t tags[KEPT] = {0};
  struct rng r = {c->seed};
  for (size_t turn = 0; turn < c->turns; turn++) {
    size_t i = rng_below(&r, KEPT);
    if (kept[i] != NULL) {
      require_list(kept[i], tags[i]);
    }
    tags[i] = rng_next(&r) >> 1;
    kept[i] = list_of(c->m, tags[i]);
    if (rng_below(&r, 200) == 0) {
      REQUIRE(alm_collect(c->m) == ALM_OK);
    }
    yield(c);
  }
  for (size_t i = 0; i < KEPT; i++) {
    if (kept[i] != NULL) {
      require_list(kept[i], tags[i]);
    }
  }
  c->is_over = true;
  yield(c);
}

static void start_coroutine(void) {
  live(running);
}

static void coroutine_begin(struct coroutine *c, uint64_t seed, size_t turns,
                            bool by_context) {
  memset(c, 0, sizeof *c);
  c->memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(c->memory != MAP_FAILED);
  REQUIRE(alm_stack_add(t.heap, c->memory, STACK_BYTES, &c->stack) == ALM_OK);
  REQUIRE(pthread_mutex_init(&c->lock, NULL) == 0);
  c->fiber = FIBER_MAKE();
  c->seed = seed;
  c->turns = turns;
  c->by_context = by_context;
  if (by_context) {
    REQUIRE(getcontext(&c->own) == 0);
    c->own.uc_stack.ss_sp = c->memory;
    c->own.uc_stack.ss_size = STACK_BYTES;
    c->own.uc_link = NULL;
    makecontext(&c->own, start_coroutine, 0);
    return;
  }
  uintptr_t *top = (uintptr_t *)(void *)(c->memory + STACK_BYTES - 64);
  top -= SAVED_WORDS + (SAVED_WORDS & 1);
  top[RETURN_WORD] = (uintptr_t)start_coroutine;
  head_of(c->stack)->pointer = top;
}

static void coroutine_end(struct coroutine *c) {
  REQUIRE(alm_stack_remove(t.heap, c->stack) == ALM_OK);
  REQUIRE(munmap(c->memory, STACK_BYTES) == 0);
  pthread_mutex_destroy(&c->lock);
  FIBER_END(c->fiber);
}

/* ---- scheduling --------------------------------------------------------------- */

static struct coroutine *crowd;
static size_t ncrowd;
static atomic_size_t nover;

/* One turn of a coroutine that no other thread runs. */
static __attribute__((noinline)) void run_one(struct alm_mutator *m,
                                              struct coroutine *c) {
  if (pthread_mutex_trylock(&c->lock) != 0) {
    return;
  }
  if (!c->is_over) {
    running = c;
    resume(m, c);
    if (c->is_over) {
      atomic_fetch_add(&nover, 1);
    }
  }
  REQUIRE(pthread_mutex_unlock(&c->lock) == 0);
}

static void *schedule(void *arg) {
  struct alm_mutator *m;
  struct rng r = {(uintptr_t)arg + seed_take()};
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_OK);
  struct cell *own = list_of(m, 1000);
  while (atomic_load(&nover) < ncrowd) {
    run_one(m, &crowd[rng_below(&r, ncrowd)]);
    if (rng_below(&r, 500) == 0) {
      require_list(own, 1000);
      own = list_of(m, 1000);
    }
  }
  require_list(own, 1000);
  REQUIRE(alm_heap_check(m));
  alm_mutator_detach(m);
  return NULL;
}

static void run_crowd(size_t n, size_t turns, unsigned nthreads,
                      struct alm_heap_options options) {
  pthread_t threads[8];
  begin(options);
  ncrowd = n;
  atomic_store(&nover, 0);
  crowd = calloc(n, sizeof *crowd);
  REQUIRE(crowd != NULL);
  for (size_t i = 0; i < n; i++) {
    coroutine_begin(&crowd[i], seed_take() + i, turns, i % 2);
  }
  for (size_t i = 0; i < nthreads; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, schedule, (void *)i) == 0);
  }
  for (size_t i = 0; i < nthreads; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  for (size_t i = 0; i < n; i++) {
    coroutine_end(&crowd[i]);
  }
  free(crowd);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

static void what_lies_on_suspended_stacks_lives(void **state) {
  (void)state;
  run_crowd(100, rounds(200), 1,
            (struct alm_heap_options){.first_bytes = 64 << 10, .check = 1});
}

static void coroutines_go_from_thread_to_thread(void **state) {
  (void)state;
  run_crowd(200, rounds(200), 4,
            (struct alm_heap_options){.first_bytes = 64 << 10});
}

static void stacks_are_right_whenever_a_collection_comes(void **state) {
  (void)state;
  run_crowd(10, rounds(300), 2,
            (struct alm_heap_options){.collect_every = 2, .check = 1});
}

/* ---- one stack ------------------------------------------------------------------ */

static struct alm_weak *weak;
static bool kept_while_suspended, refused_while_running;

static __attribute__((noinline)) void make_weak(struct alm_mutator *m,
                                                void *volatile *slot) {
  *slot = alm_new(m, t.cell);
  weak = alm_weak_create(m, *slot, false);
  REQUIRE(weak != NULL);
}

static void hold_one(void) {
  struct coroutine *c = running;
  void *volatile kept = NULL;
  refused_while_running = alm_stack_remove(t.heap, c->stack) == ALM_EBUSY;
  make_weak(c->m, &kept);
  REQUIRE(alm_collect(c->m) == ALM_OK);
  kept_while_suspended = alm_weak_get(c->m, weak) == kept;
  yield(c);
  REQUIRE(kept != NULL);
}

static __attribute__((noinline)) void run_holder(struct alm_mutator *m,
                                                 struct coroutine *c) {
  running = c;
  resume(m, c);
}

static __attribute__((noinline)) bool is_alive(struct alm_mutator *m) {
  return alm_weak_get(m, weak) != NULL;
}

static void *a_removed_stack_keeps_nothing(void *unused) {
  struct coroutine c;
  struct alm_mutator *m;
  (void)unused;
  begin((struct alm_heap_options){.check = 1});
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_OK);
  coroutine_begin(&c, 1, 1, false);
  uintptr_t *top = head_of(c.stack)->pointer;
  top[RETURN_WORD] = (uintptr_t)hold_one;
  run_holder(m, &c);
  REQUIRE(kept_while_suspended && refused_while_running);
  REQUIRE(alm_collect(m) == ALM_OK && alm_collect(m) == ALM_OK);
  REQUIRE(is_alive(m));
  REQUIRE(alm_stack_remove(NULL, c.stack) == ALM_EINVAL);
  coroutine_end(&c);
  REQUIRE(alm_collect(m) == ALM_OK && alm_collect(m) == ALM_OK);
  REQUIRE(!is_alive(m));
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
  return NULL;
}

static void what_only_a_removed_stack_held_is_gone(void **state) {
  (void)state;
  pthread_t thread; /* whose stack no earlier test has left words on */
  REQUIRE(pthread_create(&thread, NULL, a_removed_stack_keeps_nothing, NULL) ==
          0);
  REQUIRE(pthread_join(thread, NULL) == 0);
}

static void collect_with_a_wrong_pointer(void *unused) {
  static char memory[4096];
  struct alm_mutator *m;
  struct alm_stack *s;
  (void)unused;
  begin((struct alm_heap_options){0});
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_OK);
  REQUIRE(alm_stack_add(t.heap, memory, sizeof memory, &s) == ALM_OK);
  head_of(s)->pointer = (void *)((uintptr_t)memory + sizeof memory + 8);
  (void)alm_collect(m);
}

static void switch_to_a_stack_of_another_heap(void *unused) {
  static char memory[4096];
  struct alm_mutator *m;
  struct alm_stack *s;
  struct alm_heap *other;
  (void)unused;
  begin((struct alm_heap_options){0});
  REQUIRE(alm_heap_create(NULL, &other) == ALM_OK);
  REQUIRE(alm_mutator_attach(t.heap, &m) == ALM_OK);
  REQUIRE(alm_stack_add(other, memory, sizeof memory, &s) == ALM_OK);
  alm_stack_switch(m, s);
}

static void mistakes_with_stacks_are_reported(void **state) {
  (void)state;
  struct child c = child_run(collect_with_a_wrong_pointer, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "outside of its 4096-byte stack"));
  c = child_run(switch_to_a_stack_of_another_heap, NULL, NULL);
  assert_true(child_aborted(&c));
  assert_non_null(strstr(c.text, "alm_stack_switch("));
  assert_non_null(strstr(c.text, "another heap"));
}

static void arguments_that_make_no_sense_are_refused(void **state) {
  (void)state;
  static char memory[4096];
  struct alm_stack *s = NULL;
  begin((struct alm_heap_options){0});
  REQUIRE(alm_stack_add(t.heap, NULL, 4096, &s) == ALM_EINVAL);
  REQUIRE(alm_stack_add(t.heap, memory, 0, &s) == ALM_EINVAL);
  REQUIRE(alm_stack_add(t.heap, memory, SIZE_MAX, &s) == ALM_EINVAL);
  REQUIRE(alm_stack_add(t.heap, memory, 4096, NULL) == ALM_EINVAL);
  REQUIRE(s == NULL && alm_stack_remove(t.heap, NULL) == ALM_EINVAL);
  REQUIRE(alm_heap_destroy(t.heap) == ALM_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_lies_on_suspended_stacks_lives),
      cmocka_unit_test(coroutines_go_from_thread_to_thread),
      cmocka_unit_test(stacks_are_right_whenever_a_collection_comes),
      cmocka_unit_test(what_only_a_removed_stack_held_is_gone),
      cmocka_unit_test(mistakes_with_stacks_are_reported),
      cmocka_unit_test(arguments_that_make_no_sense_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
