/* tests/compat/libgc/coroutines.c -- programs that switch stacks themselves:
 * with GC_set_stackbottom, and by GC_stackbottom and push_other_roots. */
#include "check.h"

#include <gc/gc_mark.h>
#include <ucontext.h>

enum { COROUTINES = 50, STACK = 128 * 1024, TURNS = 40, LENGTH = 30 };

struct node {
  struct node *next;
  long value;
};

static struct coroutine {
  ucontext_t context;
  char *stack; /* of malloc: the library does not know it */
  long turns;
  int is_over;
} all[COROUTINES];

static struct coroutine *running; /* NULL: the main stack */
static ucontext_t main_context;
static struct GC_stack_base main_base;
static char *main_top; /* of what lies on it while a coroutine runs */
static int by_writing; /* GC_stackbottom is written, not set */
static GC_push_other_roots_proc others_before;

static void set_bottom(char *bottom) {
  if (by_writing) {
    GC_stackbottom = bottom;
  } else {
    struct GC_stack_base base = main_base;
    base.mem_base = bottom;
    GC_set_stackbottom(NULL, &base);
  }
}

static void *set_bottom_locked(void *bottom) {
  set_bottom(bottom);
  return NULL;
}

/* The stacks that do not run: whole ones, as a context's registers may be
 * anywhere; of the main one, what lies above the switch. */
static void GC_CALLBACK push_stacks(void) {
  for (int i = 0; i < COROUTINES; i++)
    if (all[i].stack && &all[i] != running && !all[i].is_over)
      GC_push_all_eager(all[i].stack, all[i].stack + STACK);
  for (int i = 0; i < COROUTINES; i++)
    GC_push_all_eager(&all[i].context, &all[i].context + 1);
  GC_push_all_eager(&main_context, &main_context + 1);
  if (running) GC_push_all_eager(main_top, main_base.mem_base);
  if (others_before) others_before();
}

static APART void resume(struct coroutine *c) {
  char here;
  main_top = (char *)((uintptr_t)&here & ~(uintptr_t)15) - 1024;
  running = c;
  GC_call_with_alloc_lock(set_bottom_locked, c->stack + STACK);
  swapcontext(&main_context, &c->context);
  running = NULL;
  GC_call_with_alloc_lock(set_bottom_locked, main_base.mem_base);
}

static APART void yield(void) {
  swapcontext(&running->context, &main_context);
}

static APART struct node *build(long first, int length) {
  struct node *head = NULL;
  for (int i = 0; i < length; i++) {
    struct node *n = GC_malloc(sizeof *n);
    n->value = first + i;
    n->next = head;
    head = n;
  }
  return head;
}

static APART void verify(const struct node *n, long first, int length) {
  for (int i = length - 1; i >= 0; i--, n = n->next) {
    CHECK(n);
    CHECK_THAT(n->value, ==, first + i);
  }
  CHECK(!n);
}

static void run(void) {
  struct coroutine *self = running;
  struct node *local[TURNS];
  for (int turn = 0; turn < TURNS; turn++) {
    local[turn] = build(self - all + turn, LENGTH);
    if (turn % 20 == 7) GC_gcollect();
    yield();
    for (int i = 0; i <= turn; i++) verify(local[i], self - all + i, LENGTH);
    self->turns++;
  }
  self->is_over = 1;
  yield();
}

static void run_all(void) {
  struct node *mine = build(1000, 1000);
  for (int i = 0; i < COROUTINES; i++) {
    struct coroutine *c = &all[i];
    memset(c, 0, sizeof *c);
    c->stack = malloc(STACK);
    CHECK(c->stack);
    CHECK(!getcontext(&c->context));
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = STACK;
    makecontext(&c->context, run, 0);
  }
  for (int turn = 0; turn <= TURNS; turn++) {
    for (int i = 0; i < COROUTINES; i++) resume(&all[i]);
    for (int i = 0; i < 2000; i++) memset(GC_malloc(16), 0xee, 16);
    if (turn % 10 == 3) GC_gcollect();
    verify(mine, 1000, 1000);
  }
  for (int i = 0; i < COROUTINES; i++) {
    CHECK(all[i].is_over);
    CHECK_THAT(all[i].turns, ==, TURNS);
    free(all[i].stack);
    all[i].stack = NULL;
  }
}

TEST("50 coroutines keep their objects when GC_set_stackbottom tells of them") {
  by_writing = 0;
  run_all();
}

TEST("and when GC_stackbottom is written") {
  by_writing = 1;
  run_all();
}

int main(void) {
  GC_INIT();
  GC_get_my_stackbottom(&main_base);
  others_before = GC_get_push_other_roots();
  GC_set_push_other_roots(push_stacks);
  return run_tests();
}
