/* tests/compat/libgc/functions_finalizers.c -- finalizers: when, in which
 * order, and who calls them. */
#include "check.h"

#include <dlfcn.h>
#include <gc/gc_mark.h>
#include <gc/javaxfc.h>
#include <setjmp.h>

struct node {
  struct node *next;
  int number;
  int test; /* what an earlier test left behind does not count in a later */
  char text[20];
};

enum { MANY = WATCHED };

static void *kept;
static int calls, calls_in_all, test_number;
static int called[MANY];     /* how often, by number */
static int call_order[MANY]; /* the numbers, in order of calls */
static void *call_data;
static struct node *brought_back;

typedef void registrar(void *, GC_finalization_proc, void *,
                       GC_finalization_proc *, void **);
static registrar *with;

static void note(void *object, void *data) {
  struct node *node = object;
  CHECK_TEXT(node->text, "intact");
  CHECK_THAT(node->number, >=, 0);
  CHECK_THAT(node->number, <, MANY);
  calls_in_all++;
  if (node->test != test_number) return;
  if (calls < MANY) call_order[calls] = node->number;
  calls++;
  called[node->number]++;
  call_data = data;
}

static void note_other(void *object, void *data) {
  note(object, data);
}

static void forget(void) {
  test_number++;
  calls_in_all = 0;
  calls = 0;
  memset(called, 0, sizeof called);
}

static struct node *new_node(int number) {
  struct node *node = GC_malloc(sizeof *node);
  node->number = number;
  node->test = test_number;
  strcpy(node->text, "intact");
  return node;
}

static void collect(int times) {
  for (int i = 0; i < times; i++) {
    wipe_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
}

static void drop_many(void *data) {
  for (int i = 0; i < MANY; i++) with(new_node(i), note, data, NULL, NULL);
}

static int most_called(void) {
  int most = 0;
  for (int i = 0; i < MANY; i++) {
    CHECK_THAT(called[i], <=, 1);
    most += called[i];
  }
  return most >= MANY * 9 / 10;
}

/* ---- one object ---------------------------------------------------------- */

static void check_called_once(registrar *by) {
  static int data;
  forget();
  with = by;
  apart(drop_many, &data);
  collect(2);
  CHECK(most_called());
  CHECK(call_data == &data);
  collect(2);
  CHECK(most_called());
}

TEST("GC_register_finalizer calls once for a dead object, which is intact") {
  check_called_once(GC_register_finalizer);
}

TEST("GC_register_finalizer_ignore_self as well") {
  check_called_once(GC_register_finalizer_ignore_self);
}

TEST("GC_register_finalizer_no_order as well") {
  check_called_once(GC_register_finalizer_no_order);
}

static void keep_many(void *unused) {
  struct node **all = kept = GC_malloc(MANY * sizeof *all);
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    all[i] = new_node(i);
    with(all[i], note, NULL, NULL, NULL);
  }
}

TEST("no finalizer is called while the object is reachable") {
  with = GC_register_finalizer;
  forget();
  apart(keep_many, NULL);
  collect(3);
  CHECK_THAT(calls, ==, 0);
  kept = NULL;
  collect(2);
  CHECK(most_called());
}

TEST("a null finalizer takes the registration back") {
  with = GC_register_finalizer;
  forget();
  apart(keep_many, NULL);
  struct node **all = kept;
  for (int i = 0; i < MANY; i++)
    GC_register_finalizer(all[i], NULL, NULL, NULL, NULL);
  all = kept = NULL;
  collect(3);
  CHECK_THAT(calls, ==, 0);
}

TEST("a second finalizer replaces the first, which is handed back") {
  static int data[3];
  GC_finalization_proc old = note_other;
  void *old_data = &data[2];
  struct node *node = new_node(0);
  GC_register_finalizer(node, note, &data[0], &old, &old_data);
  CHECK(old == NULL && old_data == NULL);
  GC_register_finalizer(node, note_other, &data[1], &old, &old_data);
  CHECK(old == note && old_data == &data[0]);
  GC_register_finalizer_ignore_self(node, note, NULL, &old, &old_data);
  CHECK(old == note_other && old_data == &data[1]);
  GC_register_finalizer_no_order(node, NULL, NULL, &old, &old_data);
  CHECK(old == note && old_data == NULL);
  GC_register_finalizer(node, NULL, NULL, &old, NULL);
  CHECK(old == NULL);
}

TEST("an object outside the heap gets no finalizer") {
  static struct node outside;
  GC_finalization_proc old = note;
  void *old_data = &outside;
  GC_register_finalizer(&outside, note, NULL, &old, &old_data);
  CHECK(old == NULL && old_data == NULL);
}

/* ---- order --------------------------------------------------------------- */

static void drop_chain(void *length) {
  struct node *next = NULL;
  for (int i = *(int *)length - 1; i >= 0; i--) {
    struct node *node = new_node(i);
    node->next = next;
    with(node, note, NULL, NULL, NULL);
    next = node;
  }
}

TEST("who points comes before who is pointed to, one collection apart") {
  int length = 5;
  forget();
  with = GC_register_finalizer;
  apart(drop_chain, &length);
  for (int i = 1; i <= length; i++) {
    int before = calls;
    collect(1);
    CHECK_THAT(calls, <=, before + 1);
  }
  collect(length);
  CHECK_THAT(calls, ==, length);
  for (int i = 0; i < length; i++) CHECK_THAT(call_order[i], ==, i);
}

TEST("without order a chain is finalized in one collection") {
  int length = 50;
  forget();
  with = GC_register_finalizer_no_order;
  apart(drop_chain, &length);
  collect(1);
  CHECK_THAT(calls, >=, length * 9 / 10);
}

static void drop_self_cycles(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    struct node *node = new_node(i);
    node->next = node;
    with(node, note, NULL, NULL, NULL);
  }
}

TEST("an object that points to itself is never finalized in order") {
  forget();
  with = GC_register_finalizer;
  apart(drop_self_cycles, NULL);
  collect(4);
  CHECK_THAT(calls, ==, 0);
}

TEST("it is when the pointer to itself is ignored") {
  forget();
  with = GC_register_finalizer_ignore_self;
  apart(drop_self_cycles, NULL);
  collect(2);
  CHECK(most_called());
}

static void drop_cycles(void *unused) {
  (void)unused;
  for (int i = 0; i + 1 < MANY; i += 2) {
    struct node *a = new_node(i), *b = new_node(i + 1);
    a->next = b;
    b->next = a;
    with(a, note, NULL, NULL, NULL);
    with(b, note, NULL, NULL, NULL);
  }
}

TEST("a cycle of two is never finalized in order") {
  forget();
  with = GC_register_finalizer;
  apart(drop_cycles, NULL);
  collect(4);
  CHECK_THAT(calls, ==, 0);
}

TEST("nor when only pointers to itself are ignored") {
  forget();
  with = GC_register_finalizer_ignore_self;
  apart(drop_cycles, NULL);
  collect(4);
  CHECK_THAT(calls, ==, 0);
}

TEST("it is without order") {
  forget();
  with = GC_register_finalizer_no_order;
  apart(drop_cycles, NULL);
  collect(2);
  CHECK(most_called());
}

static void drop_broken_cycles(void *unused) {
  (void)unused;
  for (int i = 0; i + 1 < MANY; i += 2) {
    struct node *a = new_node(i), *b = new_node(i + 1);
    a->next = b;
    b->next = a;
    GC_register_finalizer(a, note, NULL, NULL, NULL);
    GC_register_finalizer(b, note, NULL, NULL, NULL);
    CHECK_THAT(GC_register_disappearing_link((void **)&b->next), ==,
               GC_SUCCESS);
  }
}

TEST("a disappearing link breaks a cycle of ordered finalizers") {
  forget();
  apart(drop_broken_cycles, NULL);
  collect(4);
  CHECK(most_called());
}

/* ---- what finalizers hold and do ----------------------------------------- */

static void drop_with_data(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++) {
    void *data = GC_malloc(16);
    watch(i, data);
    GC_register_finalizer(new_node(i), note, data, NULL, NULL);
  }
}

static int data_gone_at_call;

static void collect_without_calls(void) {
  GC_set_finalize_on_demand(1);
  data_gone_at_call = watched_gone();
  GC_set_finalize_on_demand(0);
}

TEST("a finalizer's data lives until it is called") {
  forget();
  apart(drop_with_data, NULL);
  collect_without_calls();
  CHECK_THAT(data_gone_at_call, ==, 0);
  collect(1);
  CHECK(most_called());
  CHECK_WATCHED_GONE();
}

static void bring_back(void *object, void *data) {
  note(object, data);
  brought_back = object;
}

static void bring_back_again(void *object, void *data) {
  bring_back(object, data);
  GC_register_finalizer(object, note, NULL, NULL, NULL);
}

static void drop_one(void *finalizer) {
  GC_finalization_proc call = *(GC_finalization_proc *)finalizer;
  GC_register_finalizer(new_node(7), call, NULL, NULL, NULL);
}

TEST("an object that its finalizer brings back stays, and is not called") {
  GC_finalization_proc call = bring_back;
  forget();
  apart(drop_one, &call);
  collect(1);
  CHECK_THAT(calls, ==, 1);
  collect(3);
  CHECK_THAT(calls, ==, 1);
  CHECK_TEXT(brought_back->text, "intact");
  brought_back = NULL;
  collect(2);
  CHECK_THAT(calls, ==, 1);
}

TEST("a finalizer that registers anew is called again") {
  GC_finalization_proc call = bring_back_again;
  forget();
  apart(drop_one, &call);
  collect(1);
  CHECK_THAT(calls, ==, 1);
  brought_back = NULL;
  collect(3);
  CHECK_THAT(calls, ==, 2);
}

static void allocate_much(void *object, void *data) {
  note(object, data);
  for (int i = 0; i < 1000; i++) GC_malloc(100);
  if (calls % 10 == 0) GC_gcollect();
}

static void drop_allocating(void *unused) {
  (void)unused;
  for (int i = 0; i < MANY; i++)
    GC_register_finalizer(new_node(i), allocate_much, NULL, NULL, NULL);
}

TEST("a finalizer may allocate and collect") {
  forget();
  apart(drop_allocating, NULL);
  collect(2);
  CHECK(most_called());
}

TEST("finalizers run while a program does nothing but allocate") {
  forget();
  with = GC_register_finalizer;
  apart(drop_many, NULL);
  for (int i = 0; i < 3000000 && calls < MANY * 9 / 10; i++) GC_malloc(100);
  CHECK(most_called());
  collect(2);
}

/* ---- on demand ----------------------------------------------------------- */

static int notices;

static void notice(void) {
  notices++;
}

TEST("GC_set_finalizer_notifier and its getter are a pair") {
  CHECK(GC_get_finalizer_notifier() == NULL);
  GC_set_finalizer_notifier(notice);
  CHECK(GC_get_finalizer_notifier() == notice);
  CHECK(GC_finalizer_notifier == notice);
}

TEST("on demand, finalizers wait for GC_invoke_finalizers, which counts them") {
  CHECK_THAT(GC_get_finalize_on_demand(), ==, 0);
  GC_set_finalize_on_demand(1);
  CHECK_THAT(GC_get_finalize_on_demand(), ==, 1);
  CHECK_THAT(GC_finalize_on_demand, ==, 1);
  forget();
  CHECK_THAT(GC_should_invoke_finalizers(), ==, 0);
  CHECK_THAT(GC_invoke_finalizers(), ==, 0);
  notices = 0;
  with = GC_register_finalizer;
  apart(drop_many, NULL);
  GC_gcollect();
  for (int i = 0; i < 100000; i++) GC_malloc(100);
  CHECK_THAT(calls, ==, 0);
  CHECK_THAT(GC_should_invoke_finalizers(), !=, 0);
  int invoked = GC_invoke_finalizers();
  CHECK_THAT(invoked, ==, calls_in_all);
  GC_gcollect();
  invoked += GC_invoke_finalizers();
  CHECK_THAT(invoked, ==, calls_in_all);
  CHECK(most_called());
  CHECK_THAT(GC_should_invoke_finalizers(), ==, 0);
}

TEST("the notifier is told that there is something to finalize") {
  CHECK_THAT(notices, >=, 1);
  notices = 0;
  GC_gcollect();
  CHECK_THAT(notices, ==, 0);
}

TEST("a finalizer that waits keeps its object intact") {
  forget();
  with = GC_register_finalizer;
  apart(drop_many, NULL);
  for (int i = 0; i < 5; i++) {
    GC_gcollect();
    for (int k = 0; k < 20000; k++) memset(GC_malloc(32), 0xee, 32);
  }
  CHECK_THAT(calls, ==, 0);
  CHECK_THAT(GC_invoke_finalizers(), ==, calls_in_all);
  CHECK(most_called());
  GC_set_finalizer_notifier(NULL);
  CHECK(GC_get_finalizer_notifier() == NULL);
  GC_set_finalize_on_demand(0);
}

static int awaited;

static void await(void *object) {
  (void)object;
  awaited++;
}

TEST("GC_set_await_finalize_proc is called for each object that is due") {
  CHECK(GC_get_await_finalize_proc() == NULL);
  GC_set_await_finalize_proc(await);
  CHECK(GC_get_await_finalize_proc() == await);
  forget();
  with = GC_register_finalizer;
  apart(drop_many, NULL);
  collect(2);
  CHECK(most_called());
  CHECK_THAT(awaited, ==, calls_in_all);
  GC_set_await_finalize_proc(NULL);
  CHECK(GC_get_await_finalize_proc() == NULL);
}

/* ---- debug objects ------------------------------------------------------- */

static struct node *new_debug_node(int number) {
  struct node *node = GC_debug_malloc(sizeof *node, "file", 1);
  node->number = number;
  node->test = test_number;
  strcpy(node->text, "intact");
  return node;
}

static void drop_debug(void *data) {
  for (int i = 0; i < MANY; i++)
    with(new_debug_node(i), note, data, NULL, NULL);
}

static void check_debug_called_once(registrar *by) {
  static int data;
  forget();
  with = by;
  apart(drop_debug, &data);
  collect(2);
  CHECK(most_called());
  CHECK(call_data == &data);
  collect(2);
  CHECK(most_called());
}

TEST("GC_debug_register_finalizer hands over the object of the program") {
  check_debug_called_once(GC_debug_register_finalizer);
}

TEST("GC_debug_register_finalizer_ignore_self as well") {
  check_debug_called_once(GC_debug_register_finalizer_ignore_self);
}

TEST("GC_debug_register_finalizer_no_order as well") {
  check_debug_called_once(GC_debug_register_finalizer_no_order);
}

TEST("GC_debug_register_finalizer_unreachable takes a debug object") {
  struct node *node = new_debug_node(3);
  GC_finalization_proc old = note;
  void *old_data = node;
  GC_debug_register_finalizer_unreachable(node, note, &calls, &old, &old_data);
  CHECK(old == NULL && old_data == NULL);
  GC_debug_register_finalizer_unreachable(node, NULL, NULL, &old, &old_data);
  CHECK(old == note && old_data == &calls);
}

/* ---- left by longjmp ------------------------------------------------------ */

static jmp_buf way_out;
static int jumps, calls_with_jumps;

static void jump_at_first(void *object, void *data) {
  (void)object;
  (void)data;
  calls_with_jumps++;
  if (jumps++ == 0) longjmp(way_out, 1);
}

static void drop_jumping(void *unused) {
  (void)unused;
  for (int i = 0; i < 20; i++)
    GC_register_finalizer(GC_malloc(32), jump_at_first, NULL, NULL, NULL);
}

TEST("when longjmp has left a finalizer the others are called all the same") {
  setjmp(way_out);
  for (int i = 0; i < 40; i++) {
    apart(drop_jumping, NULL);
    GC_gcollect();
  }
  CHECK_THAT(jumps, >, 0);
  CHECK_THAT(calls_with_jumps, >=, 400);
}

/* ---- beside collections -------------------------------------------------- */

static __thread int unlocks_slowly;
static volatile int precious_end;
static int precious_calls;

/* In place of libc's: the thread that calls finalizers leaves time for others
 * whenever it has given up a lock. */
int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  static int (*real)(pthread_mutex_t *);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
  int result = real(mutex);
  if (unlocks_slowly) usleep(2000);
  return result;
}

static void *collect_and_reuse(void *unused) {
  while (!precious_end) {
    for (int i = 0; i < 10000; i++) memset(GC_malloc_atomic(40), 'x', 40);
    GC_gcollect();
  }
  return unused;
}

static void check_precious(void *object, void *data) {
  CHECK_TEXT(object, "precious");
  CHECK_TEXT(data, "data");
  precious_calls++;
}

static void *new_text(const char *text) {
  return strcpy(GC_malloc_atomic(40), text);
}

static void drop_precious(void *unused) {
  (void)unused;
  for (int i = 0; i < 20; i++)
    GC_register_finalizer(new_text("precious"), check_precious,
                          new_text("data"), NULL, NULL);
}

TEST("an object stays whole until its finalizer has it, while others collect") {
  pthread_t thread;
  GC_set_finalize_on_demand(1);
  CHECK_THAT(GC_pthread_create(&thread, NULL, collect_and_reuse, NULL), ==, 0);
  for (int i = 0; i < 20; i++) {
    apart(drop_precious, NULL);
    GC_gcollect();
    unlocks_slowly = 1;
    GC_invoke_finalizers();
    unlocks_slowly = 0;
  }
  precious_end = 1;
  CHECK_THAT(GC_pthread_join(thread, NULL), ==, 0);
  CHECK_THAT(precious_calls, >=, 20);
  GC_set_finalize_on_demand(0);
}

/* ---- all of them --------------------------------------------------------- */

static int calls_of_all;

static void count_all(void *object, void *data) {
  (void)object;
  CHECK(data == &calls_of_all);
  calls_of_all++;
}

TEST("GC_finalize_all calls the finalizers of reachable objects, too") {
  struct node **all = kept = GC_malloc(MANY * sizeof *all);
  for (int i = 0; i < MANY; i++) {
    all[i] = new_node(i);
    GC_register_finalizer(all[i], count_all, &calls_of_all, NULL, NULL);
  }
  GC_finalize_all();
  GC_invoke_finalizers();
  CHECK_THAT(calls_of_all, ==, MANY);
  kept = NULL;
  collect(2);
  CHECK_THAT(calls_of_all, ==, MANY);
}

int main(void) {
  GC_INIT();
  GC_set_warn_proc(GC_ignore_warn_proc);
  return run_tests();
}
