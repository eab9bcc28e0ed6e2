/* header_use.c -- every macro with parameters, used as programs do.
 *
 * Compiled with our headers and with Debian's, with several options; what they
 * print must be the same. Prints numbers and yes or no, never addresses.
 */
#include <stdio.h>
#include <string.h>
#include <gc/gc.h>
#include <gc/gc_gcj.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>

#define SHOW(expr) printf("%s: %lld\n", #expr, (long long)(expr))

struct node {
  long number;
  struct node *left, *right;
  char text[200];
};

/* A type of gcj's: the descriptor is the second word. */
struct class {
  void *first;
  GC_word descriptor;
};

static void GC_CALLBACK finalize(void *object, void *data) {
  (void)object;
  (void)data;
}

static struct GC_ms_entry *mark(GC_word *object, struct GC_ms_entry *top,
                                struct GC_ms_entry *limit, GC_word env) {
  struct node *node = env == 1 ? GC_USR_PTR_FROM_BASE(object) : (void *)object;
  top = GC_MARK_AND_PUSH(node->left, top, limit, (void **)&node->left);
  return GC_MARK_AND_PUSH(node->right, top, limit, (void **)&node->right);
}

static int is_zero(const void *memory, size_t size) {
  const char *bytes = memory;
  while (size > 0)
    if (bytes[--size] != 0) return 0;
  return 1;
}

static void numbers(void) {
  static struct node one;
  GC_word bits[GC_BITMAP_SIZE(struct node)] = {0};
  SHOW(GC_HIDE_POINTER(&one) == ~(GC_word)&one);
  SHOW(GC_REVEAL_POINTER(GC_HIDE_POINTER(&one)) == &one);
  SHOW(GC_MAKE_PROC(3, 5));
  SHOW(GC_MAKE_PROC(GC_GCJ_RESERVED_MARK_PROC_INDEX, (GC_word)1 << 20));
  SHOW(GC_WORD_OFFSET(struct node, right));
  SHOW(GC_WORD_LEN(struct node));
  SHOW(GC_BITMAP_SIZE(struct node));
  GC_set_bit(bits, GC_WORD_OFFSET(struct node, left));
  GC_set_bit(bits, GC_WORD_OFFSET(struct node, right));
  SHOW(bits[0]);
  SHOW(GC_get_bit(bits, 2));
  SHOW(GC_get_bit(bits, 3));
  SHOW(GC_RAW_BYTES_FROM_INDEX(7));
  SHOW(GC_WORDS_TO_GRANULES(5));
  SHOW(GC_WORDS_TO_WHOLE_GRANULES(5));
  SHOW(GC_GNUC_PREREQ(3, 1));
  SHOW(GC_GNUC_PREREQ(999, 0));
  SHOW((char *)GC_USR_PTR_FROM_BASE(&one) - (char *)&one ==
       (ptrdiff_t)GC_get_debug_header_size());
  SHOW(GC_EXPECT(7, 0));
}

static void objects(void) {
  static int one = 1;
  struct node *node = GC_NEW(struct node);
  struct node *atomic = GC_NEW_ATOMIC(struct node);
  struct node *kept = GC_NEW_UNCOLLECTABLE(struct node);
  struct node *stubborn = GC_NEW_STUBBORN(struct node);
  char *text = GC_MALLOC_ATOMIC_UNCOLLECTABLE(10);
  char *large = GC_MALLOC_IGNORE_OFF_PAGE(100000);
  char *plain = GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(100000);
  GC_finalization_proc old = 0;
  void *old_data = NULL;
  SHOW(is_zero(node, sizeof(*node)));
  SHOW(is_zero(kept, sizeof(*kept)) && is_zero(stubborn, sizeof(*stubborn)));
  SHOW(is_zero(large, 100000) && atomic != NULL && plain != NULL);
  GC_PTR_STORE(&node->left, kept);
  GC_PTR_STORE_AND_DIRTY(&node->right, stubborn);
  GC_END_STUBBORN_CHANGE(node);
  GC_reachable_here(stubborn);
  SHOW(node->left == kept && node->right == stubborn);
  GC_FREE(kept);
  GC_FREE(text);
  text = GC_STRDUP("twelve bytes");
  SHOW(strcmp(text, "twelve bytes"));
  SHOW(strlen(GC_STRNDUP(text, 6)));
  text = GC_REALLOC(text, 1000);
  SHOW(strcmp(text, "twelve bytes"));
  text = GC_MALLOC_STUBBORN(20);
  GC_REGISTER_DISPLACEMENT(8);
  GC_REGISTER_FINALIZER(node, finalize, &one, &old, &old_data);
  SHOW(old == 0 && old_data == NULL);
  GC_REGISTER_FINALIZER_NO_ORDER(node, finalize, &one, 0, 0);
  GC_REGISTER_FINALIZER_UNREACHABLE(node, finalize, &one, 0, 0);
  GC_REGISTER_FINALIZER_IGNORE_SELF(node, 0, 0, &old, &old_data);
  SHOW(old != 0);
  SHOW(GC_GENERAL_REGISTER_DISAPPEARING_LINK((void **)&node->left, atomic));
  SHOW(GC_unregister_disappearing_link((void **)&node->left));
  SHOW(GC_REGISTER_LONG_LINK((void **)&node->left, atomic));
  SHOW(GC_unregister_long_link((void **)&node->left));
}

static void pointers(void) {
  long *array = GC_MALLOC(10 * sizeof(long));
  long *p = array;
  SHOW(GC_PTR_ADD(array, 4) - array);
  SHOW(GC_PRE_INCR(p, 3) - array);
  SHOW(GC_POST_INCR(p) - array);
  SHOW(GC_POST_DECR(p) - array);
  SHOW(p - array);
}

static void kinds(void) {
  GC_word bits[GC_BITMAP_SIZE(struct node)] = {0};
  struct class *class = GC_MALLOC_UNCOLLECTABLE(sizeof(*class));
  unsigned proc = GC_new_proc(mark);
  unsigned kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(proc, 0), 0, 1);
  GC_descr descr;
  struct node *node, *typed, *array;
  GC_set_bit(bits, GC_WORD_OFFSET(struct node, left));
  GC_set_bit(bits, GC_WORD_OFFSET(struct node, right));
  descr = GC_make_descriptor(bits, GC_WORD_LEN(struct node));
  typed = GC_MALLOC_EXPLICITLY_TYPED(sizeof(*typed), descr);
  array = GC_CALLOC_EXPLICITLY_TYPED(4, sizeof(*array), descr);
  SHOW(is_zero(typed, sizeof(*typed)) && is_zero(array, 4 * sizeof(*array)));
  class->descriptor = GC_MAKE_PROC(GC_GCJ_RESERVED_MARK_PROC_INDEX, 0);
  GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, (void *)mark);
  node = GC_GCJ_MALLOC(sizeof(*node), class);
  SHOW(*(void **)node == class);
  node = GC_GCJ_MALLOC_IGNORE_OFF_PAGE(sizeof(*node), class);
  SHOW(*(void **)node == class);
  /* A tree behind a node of our kind is found, through the procedure. */
  node = GC_GENERIC_OR_SPECIAL_MALLOC(sizeof(*node), (int)kind);
#ifdef GC_DEBUG
  node = GC_generic_malloc(sizeof(*node), (int)kind);
#endif
  node->left = GC_malloc(sizeof(*node));
  node->left->right = GC_malloc(sizeof(*node));
  node->left->right->number = 77;
  GC_gcollect();
  SHOW(node->left->right->number);
  SHOW(GC_size(node) >= sizeof(*node));
}

static void lists(void) {
  static void *lists[GC_TINY_FREELISTS];
  void *p = NULL, *chain = NULL;
  int round, i, refills = 0, direct = 0;
  GC_MALLOC_WORDS(p, 3, lists);
  SHOW(is_zero(p, 3 * sizeof(void *)) && lists[2] != NULL && lists[1] == NULL);
  GC_MALLOC_ATOMIC_WORDS(p, 8, lists);
  SHOW(p != NULL && lists[4] != NULL);
  GC_MALLOC_WORDS(p, 0, lists);
  SHOW(p != NULL && lists[0] != NULL);
  GC_MALLOC_WORDS(p, 1000, lists);
  SHOW(p != NULL && is_zero(p, 1000 * sizeof(void *)));
  GC_MALLOC_WORDS_KIND(p, 2, lists, GC_I_NORMAL, (void)0);
  SHOW(((void **)p)[1] == NULL);
  for (i = 0; i < 1000; i++) GC_CONS(chain, i + (char *)0, chain, lists);
  GC_gcollect();
  for (i = 0, p = chain; p != NULL; p = ((void **)p)[1], i++)
    if (*(char **)p != 999 - i + (char *)0) break;
  SHOW(i);
  /* Each object counts 3 + 1 until 20 is exceeded; then there is a list. */
  for (i = 0; i < GC_TINY_FREELISTS; i++) lists[i] = (void *)1;
  for (round = 0; round < 20; round++) {
    void *list = lists[3];
    GC_FAST_MALLOC_GRANS(p, 3, lists, 20, GC_I_NORMAL,
                         (direct++, GC_malloc(3 * GC_GRANULE_BYTES)),
                         *(void **)p = 0);
    if (!is_zero(p, 3 * GC_GRANULE_BYTES)) refills += 1000;
    if ((GC_word)list <= 20 + GC_TINY_FREELISTS + 1 &&
        (GC_word)lists[3] > 20 + GC_TINY_FREELISTS + 1)
      refills++;
  }
  SHOW(direct);
  SHOW(refills);
}

/* What the client told GC_INIT to set. */
static void settings(void) {
#ifdef GC_DONT_EXPAND
  SHOW(GC_get_dont_expand());
#endif
#ifdef GC_FORCE_UNMAP_ON_GCOLLECT
  SHOW(GC_get_force_unmap_on_gcollect());
#endif
#ifdef GC_DONT_GC
  SHOW(GC_is_disabled());
#endif
#ifdef GC_MAX_RETRIES
  SHOW(GC_get_max_retries());
#endif
#ifdef GC_ALLOCD_BYTES_PER_FINALIZER
  SHOW(GC_get_allocd_bytes_per_finalizer());
#endif
#ifdef GC_FREE_SPACE_DIVISOR
  SHOW(GC_get_free_space_divisor());
#endif
#ifdef GC_FULL_FREQ
  SHOW(GC_get_full_freq());
#endif
#ifdef GC_TIME_LIMIT
  SHOW(GC_get_time_limit());
#endif
#ifdef GC_SIG_SUSPEND
  SHOW(GC_get_suspend_signal());
#endif
#ifdef GC_SIG_THR_RESTART
  SHOW(GC_get_thr_restart_signal());
#endif
#ifdef GC_IGNORE_WARN
  SHOW(GC_get_warn_proc() == GC_ignore_warn_proc);
#endif
#ifdef GC_INITIAL_HEAP_SIZE
  SHOW(GC_get_heap_size() > GC_INITIAL_HEAP_SIZE / 2);
#endif
}

int main(void) {
  GC_INIT();
  settings();
  GC_alloc_lock();
  GC_alloc_unlock();
  numbers();
  objects();
  pointers();
  kinds();
  lists();
  return 0;
}
