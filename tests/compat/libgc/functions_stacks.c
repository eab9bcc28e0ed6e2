/* tests/compat/libgc/functions_stacks.c -- what of a stack is scanned: bases,
 * blocking parts, coroutines, alternate stacks. */
#include "check.h"

#include <ucontext.h>

static void **target;
static volatile int ready, go_on;
static int token; /* what is handed around */

static void fill_target(void *unused) {
  (void)unused;
  for (int i = 0; i < WATCHED; i++) {
    target[i] = GC_malloc(48);
    memset(target[i], 0x6b, 48);
    watch(i, target[i]);
  }
}

static void fill(void **to) {
  target = to;
  apart(fill_target, NULL);
  target = NULL;
}

static void wait_for(volatile int *flag) {
  while (!*flag) sleep_ms(1);
}

static void check_and_clear(void **objects) {
  for (int i = 0; i < WATCHED; i++) {
    CHECK(is_filled(objects[i], 0x6b, 48));
    ((void *volatile *)objects)[i] = NULL;
  }
}

/* The ends of this thread's stack, as the system tells them. */
static void stack_ends(char **low, char **high) {
  pthread_attr_t attributes;
  void *start;
  size_t size;
  CHECK_THAT(pthread_getattr_np(pthread_self(), &attributes), ==, 0);
  CHECK_THAT(pthread_attr_getstack(&attributes, &start, &size), ==, 0);
  pthread_attr_destroy(&attributes);
  *low = start;
  *high = *low + size;
}

static APART char *frame_here(void) {
  return __builtin_frame_address(0);
}

/* A base is above what runs and inside the stack; the page above the main
 * thread's, where its arguments are, may count as inside. */
static void check_base(const char *base) {
  char *low, *high;
  stack_ends(&low, &high);
  CHECK(base >= frame_here());
  CHECK(base > low);
  CHECK(base <= high + 4096);
}

/* ---- bases --------------------------------------------------------------- */

static void *check_stack_base(void *unused) {
  struct GC_stack_base base = {NULL};
  CHECK_THAT(GC_get_stack_base(&base), ==, GC_SUCCESS);
  check_base(base.mem_base);
  return unused;
}

TEST("GC_get_stack_base finds the cold end of the calling thread's stack") {
  pthread_t thread;
  check_stack_base(NULL);
  CHECK_THAT(pthread_create(&thread, NULL, check_stack_base, NULL), ==, 0);
  CHECK_THAT(pthread_join(thread, NULL), ==, 0);
}

static void *check_called_base(struct GC_stack_base *base, void *argument) {
  check_base(base->mem_base);
  return (char *)argument + 1;
}

static void *call_with_base(void *argument) {
  return GC_call_with_stack_base(check_called_base, argument);
}

TEST("GC_call_with_stack_base passes a base and returns the result") {
  pthread_t thread;
  void *result = NULL;
  CHECK(call_with_base(&token) == (char *)&token + 1);
  CHECK_THAT(pthread_create(&thread, NULL, call_with_base, &token), ==, 0);
  CHECK_THAT(pthread_join(thread, &result), ==, 0);
  CHECK(result == (char *)&token + 1);
}

static void *check_my_stackbottom(void *unused) {
  struct GC_stack_base base = {NULL};
  CHECK(GC_get_my_stackbottom(&base) != NULL);
  check_base(base.mem_base);
  return unused;
}

TEST("GC_get_my_stackbottom tells the registered base and a handle") {
  pthread_t thread;
  check_my_stackbottom(NULL);
  CHECK_THAT(GC_pthread_create(&thread, NULL, check_my_stackbottom, NULL), ==,
             0);
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
}

TEST("GC_stackbottom is the cold end of the main thread's stack") {
  struct GC_stack_base base = {NULL};
  check_base(GC_stackbottom);
  GC_get_my_stackbottom(&base);
  CHECK(base.mem_base == (void *)GC_stackbottom);
}

struct bottom {
  void *handle;
  struct GC_stack_base base;
};

static void *set_bottom(void *bottom) {
  struct bottom *b = bottom;
  GC_set_stackbottom(b->handle, &b->base);
  return NULL;
}

TEST("GC_set_stackbottom sets what GC_get_my_stackbottom tells") {
  struct bottom old, now;
  old.handle = GC_get_my_stackbottom(&old.base);
  now = old;
  now.base.mem_base = (char *)old.base.mem_base - 16;
  GC_call_with_alloc_lock(set_bottom, &now);
  CHECK(GC_get_my_stackbottom(&now.base) == old.handle);
  CHECK((char *)now.base.mem_base == (char *)old.base.mem_base - 16);
  old.handle = NULL; /* the current thread */
  GC_call_with_alloc_lock(set_bottom, &old);
  CHECK(GC_get_my_stackbottom(&now.base) != NULL);
  CHECK(now.base.mem_base == old.base.mem_base);
}

/* ---- coroutines ---------------------------------------------------------- */

enum { COROUTINE_STACK = 512 * 1024 };
static ucontext_t of_main, of_coroutine;
static struct bottom bottom_main, bottom_coroutine;
static int gone_in_coroutine;

static void run_coroutine(void) {
  void *local[WATCHED];
  fill(local);
  gone_in_coroutine = watched_gone();
  check_and_clear(local);
  GC_call_with_alloc_lock(set_bottom, &bottom_main);
  swapcontext(&of_coroutine, &of_main);
}

static void switch_to_coroutine(char *stack) {
  bottom_main.handle = GC_get_my_stackbottom(&bottom_main.base);
  bottom_coroutine.handle = bottom_main.handle;
  bottom_coroutine.base.mem_base = stack + COROUTINE_STACK;
  CHECK_THAT(getcontext(&of_coroutine), ==, 0);
  of_coroutine.uc_stack.ss_sp = stack;
  of_coroutine.uc_stack.ss_size = COROUTINE_STACK;
  of_coroutine.uc_link = NULL;
  makecontext(&of_coroutine, run_coroutine, 0);
  gone_in_coroutine = -1;
  GC_call_with_alloc_lock(set_bottom, &bottom_coroutine);
  CHECK_THAT(swapcontext(&of_main, &of_coroutine), ==, 0);
}

TEST("GC_set_stackbottom makes a coroutine's stack the one that is scanned") {
  char *stack = malloc(COROUTINE_STACK);
  for (int i = 0; i < 3; i++) {
    switch_to_coroutine(stack);
    CHECK_THAT(gone_in_coroutine, ==, 0);
    CHECK_WATCHED_GONE();
  }
  free(stack);
}

static void *run_coroutine_in_thread(void *stack) {
  switch_to_coroutine(stack);
  return NULL;
}

TEST("it does so in another thread as well") {
  pthread_t thread;
  char *stack = malloc(COROUTINE_STACK);
  CHECK_THAT(GC_pthread_create(&thread, NULL, run_coroutine_in_thread, stack),
             ==, 0);
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_THAT(gone_in_coroutine, ==, 0);
  CHECK_WATCHED_GONE();
  free(stack);
}

/* ---- blocking parts ------------------------------------------------------ */

static void *return_argument(void *argument) {
  return argument;
}

TEST("GC_do_blocking and GC_call_with_gc_active return the result") {
  CHECK(GC_do_blocking(return_argument, &token) == &token);
  CHECK(GC_call_with_gc_active(return_argument, &token) == &token);
}

/* No signal interrupts what blocks: it is not stopped. */
static volatile long spins;

static void *spin(void *argument) {
  ready = 1;
  while (!go_on) spins++;
  return argument;
}

static void *hold_and_block(void *argument) {
  void *local[WATCHED];
  fill(local);
  CHECK(GC_do_blocking(spin, argument) == argument);
  check_and_clear(local);
  return argument;
}

TEST("a blocking thread runs on, and its older frames are scanned") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, hold_and_block, &token), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_WATCHED_GONE();
}

static long spun_meanwhile;

static void *stop_and_look(void *unused) {
  (void)unused;
  GC_stop_world_external();
  long before = spins;
  for (int i = 0; i < 2000 && spins == before; i++) sleep_ms(1);
  spun_meanwhile = spins - before;
  GC_start_world_external();
  return NULL;
}

static void *only_block(void *argument) {
  return GC_do_blocking(spin, argument);
}

TEST("a blocking thread is not stopped with the world") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, only_block, NULL), ==, 0);
  wait_for(&ready);
  stop_and_look(NULL);
  CHECK_THAT(spun_meanwhile, >, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
}

static void *active_again(void *argument) {
  void *local[WATCHED];
  fill(local);
  ready = 1;
  wait_for(&go_on);
  check_and_clear(local);
  return argument;
}

static void *block_and_activate(void *argument) {
  return GC_call_with_gc_active(active_again, argument);
}

static void *hold_blocking_active(void *argument) {
  CHECK(GC_do_blocking(block_and_activate, argument) == argument);
  return argument;
}

TEST("GC_call_with_gc_active inside a blocking part may use the heap") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, hold_blocking_active, &token), ==,
             0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_WATCHED_GONE();
}

static void *nest(void *depth) {
  int *left = depth;
  void *kept = GC_malloc(100);
  memset(kept, 0x12, 100);
  if ((*left)-- > 0) {
    if (*left % 2) CHECK(GC_do_blocking(return_argument, left) == left);
    CHECK(GC_call_with_gc_active(nest, left) == left);
  }
  GC_gcollect();
  CHECK(is_filled(kept, 0x12, 100));
  return depth;
}

TEST("active and blocking parts nest") {
  int depth = 20;
  CHECK(nest(&depth) == &depth);
}

TEST("the main thread may block as well") {
  void *local[WATCHED];
  pthread_t thread;
  fill(local);
  ready = go_on = 0;
  CHECK(GC_do_blocking(return_argument, local) == local);
  CHECK_THAT(GC_pthread_create(&thread, NULL, return_argument, NULL), ==, 0);
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_THAT(watched_gone(), ==, 0);
  check_and_clear(local);
  watch_end();
}

/* ---- alternate stacks ---------------------------------------------------- */

enum { ALTERNATE_STACK = 256 * 1024 };

static APART void hold_in_handler(void) {
  void *local[WATCHED];
  fill(local);
  ready = 1;
  wait_for(&go_on);
  check_and_clear(local);
}

static void on_signal(int signal) {
  (void)signal;
  hold_in_handler();
}

static void *take_signal(void *unused) {
  char *low, *high;
  stack_t alternate = {.ss_sp = malloc(ALTERNATE_STACK),
                       .ss_size = ALTERNATE_STACK};
  struct sigaction action = {.sa_flags = SA_ONSTACK};
  stack_ends(&low, &high);
  CHECK_THAT(sigaltstack(&alternate, NULL), ==, 0);
  GC_register_altstack(low, (GC_word)(high - low), alternate.ss_sp,
                       ALTERNATE_STACK);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  CHECK_THAT(sigaction(SIGUSR1, &action, NULL), ==, 0);
  raise(SIGUSR1);
  return unused;
}

TEST("GC_register_altstack makes the stack of a signal handler known") {
  pthread_t thread;
  ready = go_on = 0;
  CHECK_THAT(GC_pthread_create(&thread, NULL, take_signal, NULL), ==, 0);
  wait_for(&ready);
  CHECK_THAT(watched_gone(), ==, 0);
  go_on = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_WATCHED_GONE();
}

int main(void) {
  GC_INIT();
  GC_allow_register_threads();
  return run_tests();
}
