/* tests/compat/libgc/plain_threads.c -- threads of plain pthread_create, which
 * nobody told the library of: none of gc.h's macros, no registering. Only ours
 * knows such threads; Debian's libgc must be told of each. */
#include "check.h"

#include <limits.h>
#include <sched.h>

enum { THREADS = 8, LENGTH = 2000, ROUNDS = 20 };

struct node {
  struct node *next;
  long value;
  char *text; /* pointer-free */
};

static struct node *build(long first, int length) {
  struct node *head = NULL;
  for (int i = 0; i < length; i++) {
    struct node *n = GC_malloc(sizeof *n);
    CHECK(n && !n->next);
    n->text = GC_malloc_atomic(16);
    snprintf(n->text, 16, "%ld", first + i);
    n->value = first + i;
    n->next = head;
    head = n;
  }
  return head;
}

static void verify(const struct node *n, long first, int length) {
  for (int i = length - 1; i >= 0; i--, n = n->next) {
    char text[16];
    CHECK(n);
    CHECK_THAT(n->value, ==, first + i);
    snprintf(text, sizeof text, "%ld", first + i);
    CHECK_TEXT(n->text, text);
  }
  CHECK(!n);
}

/* ---- arguments and results ----------------------------------------------- */

static void *verify_and_build(void *argument) {
  struct node *given = argument;
  long first = given->value - (LENGTH - 1);
  for (int round = 0; round < ROUNDS; round++)
    verify(build(round, LENGTH), round, LENGTH);
  verify(given, first, LENGTH);
  return build(first + 7, LENGTH);
}

TEST("8 threads check the list they are given and return another") {
  for (int round = 0; round < 3; round++) {
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++)
      CHECK(!pthread_create(&ids[i], NULL, verify_and_build,
                            build(i * 1000, LENGTH)));
    for (int i = 0; i < THREADS; i++) {
      void *result = NULL;
      CHECK(!pthread_join(ids[i], &result));
      verify(result, i * 1000 + 7, LENGTH);
    }
  }
}

static void *return_late(void *argument) {
  sleep_ms((long)(uintptr_t)argument);
  return build(3, 100);
}

TEST("a result waits for its join while others collect") {
  pthread_t ids[THREADS];
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&ids[i], NULL, return_late, (void *)(uintptr_t)i));
  sleep_ms(100);
  for (int i = 0; i < 10; i++) {
    GC_gcollect();
    verify(build(i, 20000), i, 20000);
  }
  for (int i = 0; i < THREADS; i++) {
    void *result = NULL;
    CHECK(!pthread_join(ids[i], &result));
    verify(result, 3, 100);
  }
}

static volatile int may_look;

/* Its first call of the library comes late: until then it only holds. */
static void *look_late(void *argument) {
  while (!may_look) sleep_ms(1);
  verify(argument, 11, 1000);
  return build(12, 10);
}

TEST("a thread that has not called the library keeps its argument") {
  pthread_t ids[THREADS];
  may_look = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&ids[i], NULL, look_late, build(11, 1000)));
  for (int i = 0; i < 10; i++) {
    GC_gcollect();
    verify(build(i, 20000), i, 20000);
  }
  may_look = 1;
  for (int i = 0; i < THREADS; i++) {
    void *result = NULL;
    CHECK(!pthread_join(ids[i], &result));
    verify(result, 12, 10);
  }
}

/* It does not call the library at all, and may end before it is joined. */
static void *return_argument(void *argument) {
  for (uintptr_t i = 0; i < (uintptr_t)argument % 7; i++) sched_yield();
  return argument;
}

static void *start_and_join(void *unused) {
  for (uintptr_t i = 1; i < 2000; i++) {
    pthread_t ids[3];
    for (uintptr_t k = 0; k < 3; k++)
      CHECK(
          !pthread_create(&ids[k], NULL, return_argument, (void *)(i * 4 + k)));
    sched_yield();
    for (uintptr_t k = 0; k < 3; k++) {
      void *result = NULL;
      CHECK(!pthread_join(ids[k], &result));
      CHECK_THAT((uintptr_t)result, ==, i * 4 + k);
    }
  }
  return unused;
}

TEST("each thread has its own argument and result while 4 start and join") {
  pthread_t ids[4];
  for (int i = 0; i < 4; i++)
    CHECK(!pthread_create(&ids[i], NULL, start_and_join, NULL));
  for (int i = 0; i < 4; i++) CHECK(!pthread_join(ids[i], NULL));
}

/* ---- shared structures --------------------------------------------------- */

enum { BUCKETS = 256, KEYS = 4000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct node *buckets[BUCKETS];
static struct node *queue;
static int produced, consumed;

static void *fill_table(void *argument) {
  long first = (long)(uintptr_t)argument * KEYS;
  for (long key = first; key < first + KEYS; key++) {
    struct node *n = build(key, 1);
    pthread_mutex_lock(&lock);
    n->next = buckets[key % BUCKETS];
    buckets[key % BUCKETS] = n;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

TEST("a table that 8 threads fill holds what each put in") {
  pthread_t ids[THREADS];
  long count = 0, sum = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&ids[i], NULL, fill_table, (void *)(uintptr_t)i));
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_join(ids[i], NULL));
  GC_gcollect();
  for (int i = 0; i < BUCKETS; i++)
    for (struct node *n = buckets[i]; n; n = n->next) {
      char text[16];
      snprintf(text, sizeof text, "%ld", n->value);
      CHECK_TEXT(n->text, text);
      count++;
      sum += n->value;
    }
  CHECK_THAT(count, ==, THREADS * KEYS);
  CHECK_THAT(sum, ==, (long)THREADS * KEYS * (THREADS * KEYS - 1) / 2);
  memset(buckets, 0, sizeof buckets);
}

static void *produce(void *unused) {
  for (int i = 0; i < KEYS; i++) {
    struct node *n = build(i, 1);
    pthread_mutex_lock(&lock);
    n->next = queue;
    queue = n;
    produced++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
  }
  return unused;
}

static void *consume(void *unused) {
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!queue && consumed < KEYS * THREADS / 2)
      pthread_cond_wait(&changed, &lock);
    struct node *n = queue;
    if (!n) break;
    queue = n->next;
    if (++consumed == KEYS * THREADS / 2) pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    n->next = NULL;
    verify(n, n->value, 1);
    pthread_mutex_lock(&lock);
  }
  pthread_mutex_unlock(&lock);
  return unused;
}

TEST("objects pass from 4 producers to 4 consumers") {
  pthread_t ids[THREADS];
  produced = consumed = 0;
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&ids[i], NULL, i % 2 ? produce : consume, NULL));
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_join(ids[i], NULL));
  CHECK_THAT(produced, ==, consumed);
}

/* ---- short and detached threads ------------------------------------------ */

static volatile int ended;

static void *live_shortly(void *argument) {
  verify(build(5, 50), 5, 50);
  __atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
  return argument;
}

TEST("1,000 short threads come and go while two allocate") {
  pthread_t ids[2];
  for (int i = 0; i < 2; i++)
    CHECK(!pthread_create(&ids[i], NULL, verify_and_build, build(0, LENGTH)));
  for (int i = 0; i < 500; i++) {
    pthread_t id, detached;
    CHECK(!pthread_create(&id, NULL, live_shortly, NULL));
    CHECK(!pthread_create(&detached, NULL, live_shortly, NULL));
    CHECK(!pthread_detach(detached));
    CHECK(!pthread_join(id, NULL));
  }
  for (int i = 0; i < 2; i++) CHECK(!pthread_join(ids[i], NULL));
  while (ended < 1000) sleep_ms(1);
}

/* ---- keys ---------------------------------------------------------------- */

static pthread_key_t last_key; /* made after those of the library */

static void allocate_in_last_round(void *rounds_left) {
  intptr_t left = (intptr_t)rounds_left - 1;
  if (left > 0) {
    CHECK(!pthread_setspecific(last_key, (void *)left));
  } else {
    verify(build(5, LENGTH), 5, LENGTH);
  }
}

static void *end_late(void *argument) {
  void *rounds_left = (void *)(intptr_t)PTHREAD_DESTRUCTOR_ITERATIONS;
  CHECK(!pthread_setspecific(last_key, rounds_left));
  return argument;
}

TEST("a thread may allocate in the very last of its keys' destructors") {
  CHECK(!pthread_key_create(&last_key, allocate_in_last_round));
  for (int i = 0; i < 40; i++) {
    pthread_t ids[2];
    CHECK(!pthread_create(&ids[0], NULL, end_late, NULL));
    CHECK(!GC_pthread_create(&ids[1], NULL, end_late, NULL));
    if (i % 2) GC_gcollect();
    CHECK(!pthread_join(ids[0], NULL));
    CHECK(!GC_pthread_join(ids[1], NULL));
    GC_gcollect();
  }
}

/* ---- forks --------------------------------------------------------------- */

static void *fork_unknown(void *unused) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(30);
    struct node *list = build(3, LENGTH);
    GC_gcollect();
    verify(build(4, LENGTH), 4, LENGTH);
    verify(list, 3, LENGTH);
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  CHECK_THAT(status, ==, 0);
  return unused;
}

TEST("the child of a thread that had not called the library collects") {
  pthread_t id;
  CHECK(!pthread_create(&id, NULL, fork_unknown, NULL));
  CHECK(!pthread_join(id, NULL));
}

/* ---- thread-local variables ---------------------------------------------- */

static __thread struct node *own;
static __thread struct node *own_many[100];

static void *hold_in_tls(void *argument) {
  long first = (long)(uintptr_t)argument * 100;
  own = build(first, LENGTH);
  for (int i = 0; i < 100; i++) own_many[i] = build(first + i, 20);
  wipe_stack();
  for (int round = 0; round < 10; round++) verify(build(1, LENGTH), 1, LENGTH);
  GC_gcollect();
  verify(own, first, LENGTH);
  for (int i = 0; i < 100; i++) verify(own_many[i], first + i, 20);
  return NULL;
}

TEST("what only thread-local variables hold stays") {
  pthread_t ids[THREADS];
  hold_in_tls(NULL);
  for (int i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&ids[i], NULL, hold_in_tls, (void *)(uintptr_t)i));
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_join(ids[i], NULL));
  verify(own, 0, LENGTH);
}

int main(void) {
  GC_INIT();
  return run_tests();
}
