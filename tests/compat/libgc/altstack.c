/* tests/compat/libgc/altstack.c -- signal handlers, on stacks of their own and
 * on the interrupted one, while the library allocates and collects. */
#include "check.h"

enum { THREADS = 4, LENGTH = 2000 };

struct node {
  struct node *next;
  long value;
};

static APART struct node *build(long first, int length) {
  struct node *head = NULL;
  for (int i = 0; i < length; i++) {
    struct node *n = GC_malloc(sizeof *n);
    CHECK(n);
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

static volatile sig_atomic_t hits;
static volatile int stop;

/* Uses much stack and touches nothing of the library. */
static void on_signal(int signal) {
  volatile char room[4096];
  room[0] = (char)signal;
  for (size_t i = 1; i < sizeof room; i++) room[i] = room[i - 1];
  hits++;
}

/* A stack for handlers, of which the library is told: only so may a thread be
 * stopped while it runs on it. */
static void own_stack(stack_t *stack) {
  pthread_attr_t attributes;
  void *normal;
  size_t size;
  stack->ss_size = 64 * 1024;
  stack->ss_sp = malloc(stack->ss_size);
  stack->ss_flags = 0;
  CHECK(stack->ss_sp);
  CHECK(!pthread_getattr_np(pthread_self(), &attributes));
  CHECK(!pthread_attr_getstack(&attributes, &normal, &size));
  pthread_attr_destroy(&attributes);
  GC_register_altstack(normal, (GC_word)size, stack->ss_sp,
                       (GC_word)stack->ss_size);
  CHECK(!sigaltstack(stack, NULL));
}

static void drop_stack(stack_t *stack) {
  stack->ss_flags = SS_DISABLE;
  sigaltstack(stack, NULL);
  free(stack->ss_sp);
}

static void handle(int signal, int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  CHECK(!sigaction(signal, &action, NULL));
}

static void *work(void *unused) {
  stack_t stack;
  own_stack(&stack);
  for (int i = 0; !stop; i++) {
    struct node *kept = build(i, LENGTH);
    verify(build(1, LENGTH), 1, LENGTH);
    if (i % 16 == 0) GC_gcollect();
    verify(kept, i, LENGTH);
  }
  drop_stack(&stack);
  return unused;
}

static void shower(int first, int second) {
  pthread_t ids[THREADS];
  stop = 0;
  hits = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK(!GC_pthread_create(&ids[i], NULL, work, NULL));
  for (int i = 0; i < 600; i++) {
    pthread_kill(ids[i % THREADS], i % 2 ? first : second);
    sleep_ms(1);
  }
  stop = 1;
  for (int i = 0; i < THREADS; i++) CHECK(!GC_pthread_join(ids[i], NULL));
  CHECK_THAT(hits, >, 0);
}

TEST("handlers on stacks of their own do no harm") {
  handle(SIGUSR1, SA_ONSTACK | SA_RESTART);
  handle(SIGUSR2, SA_ONSTACK | SA_RESTART);
  shower(SIGUSR1, SIGUSR2);
}

TEST("nor do those on the interrupted stack") {
  handle(SIGUSR1, SA_RESTART);
  handle(SIGUSR2, SA_ONSTACK | SA_RESTART);
  shower(SIGUSR1, SIGUSR2);
}

/* ---- interrupted within a handler ---------------------------------------- */

/* A thread that stays in a handler on its own stack: what it held below must
 * be kept, although its stack pointer is elsewhere. */
static volatile int is_inside, may_leave;

static void stay(int signal) {
  (void)signal;
  is_inside = 1;
  while (!may_leave) sleep_ms(1);
}

static void *hold_below(void *argument) {
  stack_t stack;
  own_stack(&stack);
  struct node *kept = build(9, LENGTH);
  pthread_kill(pthread_self(), SIGUSR1);
  verify(kept, 9, LENGTH);
  drop_stack(&stack);
  return argument;
}

TEST("a thread stopped in a handler keeps what its own stack holds") {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = stay;
  action.sa_flags = SA_ONSTACK;
  CHECK(!sigaction(SIGUSR1, &action, NULL));
  pthread_t id;
  CHECK(!GC_pthread_create(&id, NULL, hold_below, NULL));
  while (!is_inside) sleep_ms(1);
  for (int i = 0; i < 5; i++) {
    verify(build(i, LENGTH), i, LENGTH);
    GC_gcollect();
  }
  may_leave = 1;
  CHECK(!GC_pthread_join(id, NULL));
}

int main(void) {
  GC_INIT();
  return run_tests();
}
