/* header_cxx.cc -- classes, placements and containers on the collected heap.
 *
 * Ends with 0 if everything is as it must be; says on standard error what is
 * not. Works with and without GC_NAMESPACE, GC_NO_OPERATOR_NEW_ARRAY, ...
 */
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>
#include <gc/gc_allocator.h>
#include <gc_cpp.h>

#ifdef GC_NAMESPACE
using namespace boehmgc;
#endif

static int failures;

static void check(bool good, const char *what, int line) {
  if (good) return;
  std::fprintf(stderr, "header_cxx.cc:%d: not so: %s\n", line, what);
  failures++;
}
#define CHECK(expr) check((expr), #expr, __LINE__)

/* Overwrites the stack below, where pointers may have stayed. */
static __attribute__((noinline)) void overwrite_stack() {
  volatile char space[20000];
  for (size_t i = 0; i < sizeof(space); i++) space[i] = 0;
}

static void collect() {
  for (int round = 0; round < 4; round++) {
    overwrite_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
}

/* ---- classes ----------------------------------------------------------- */

struct node : public gc {
  node *next;
  long number;
  node(node *n, long i) : next(n), number(i) {
  }
};

static int destroyed, destroyed_twice;

struct first {
  long padding[3];
  virtual ~first() {
  }
};

/* Its gc_cleanup does not stand at the start of the object. */
struct cleaned : public first, public gc_cleanup {
  node *list;
  cleaned() : list(new node(0, 4)) {
  }
  ~cleaned() {
    if (list != 0 && list->number == 4) destroyed++;
  }
};

struct twice : public cleaned {
  ~twice() {
    destroyed_twice++;
  }
};

struct plain {
  node *list;
  long number;
};

static int cleaned_up;

extern "C" {
static void clean_up(void *object, void *data) {
  if (object != 0) cleaned_up += *static_cast<int *>(data);
}
}

static __attribute__((noinline)) void drop(int objects) {
  static int one = 1;
  for (int i = 0; i < objects; i++) {
    cleaned *object = new cleaned;
    CHECK(GC_base(object) != 0);
    plain *other = new (UseGC, clean_up, &one) plain;
    other->list = 0;
  }
}

static void classes() {
  node *list = 0;
  for (long i = 0; i < 10000; i++) list = new node(list, i);
  collect();
  long sum = 0;
  for (node *n = list; n != 0; n = n->next) sum += n->number;
  CHECK(sum == 9999L * 10000 / 2);
  CHECK(GC_base(list) != 0);
  delete list;

  node *kept = new (NoGC) node(new node(0, 5), 6);
  size_t hidden = ~reinterpret_cast<size_t>(kept);
  kept = 0;
  collect();
  kept = reinterpret_cast<node *>(~hidden);
  CHECK(kept->number == 6 && kept->next->number == 5);
  delete kept;

  static void *space[8];
  node *here = new (static_cast<void *>(space)) node(0, 9);
  CHECK(static_cast<void *>(here) == space && here->number == 9);
  here->~node();

  drop(500);
  collect();
  CHECK(destroyed > 250 && destroyed <= 500);
  CHECK(cleaned_up > 250 && cleaned_up <= 500);
  delete new twice;
  CHECK(destroyed_twice == 1);
  { twice on_the_stack; }
  CHECK(destroyed_twice == 2);
  collect();
  CHECK(destroyed_twice == 2);
}

/* ---- placements -------------------------------------------------------- */

struct throwing : public gc {
  throwing() {
#ifdef __cpp_exceptions
    throw std::runtime_error("from a constructor");
#endif
  }
};

static void placements() {
  plain *object = new (UseGC) plain;
  object->list = new (UseGC) node(0, 3);
#ifndef GC_NAME_CONFLICT
  plain *same = new (GC) plain;
  CHECK(GC_base(same) != 0 && int(GC) == int(UseGC));
#endif
  long *atomic = new (PointerFreeGC) long(7);
  plain *kept = new (NoGC) plain();
  kept->list = object->list;
  collect();
  CHECK(*atomic == 7 && kept->list->number == 3);
  GC_FREE(kept);
#ifdef GC_ATOMIC_UNCOLLECTABLE
  long *both = new (PointerFreeNoGC) long(8);
  CHECK(GC_base(both) != 0 && *both == 8);
  GC_FREE(both);
  CHECK(int(PointerFreeNoGC) == 3);
#endif
  CHECK(int(UseGC) == 0 && int(NoGC) == 1 && int(PointerFreeGC) == 2);
#ifndef GC_NO_OPERATOR_NEW_ARRAY
  node **array = new (UseGC) node *[100];
  for (int i = 0; i < 100; i++) array[i] = new node(0, i);
  collect();
  CHECK(array[99]->number == 99);
  struct element : public gc {
    node *list;
  };
  element *elements = new element[50];
  elements[49].list = new node(0, 2);
  collect();
  CHECK(elements[49].list->number == 2 && GC_base(elements) != 0);
  delete[] elements;
  delete[] new (PointerFreeGC) element[3];
#endif
#ifdef __cpp_exceptions
  bool caught = false;
  try {
    new throwing;
  } catch (const std::runtime_error &) {
    caught = true;
  }
  CHECK(caught);
  caught = false;
  try {
    new (UseGC) throwing;
  } catch (const std::runtime_error &) {
    caught = true;
  }
  CHECK(caught);
#endif
}

/* ---- containers -------------------------------------------------------- */

typedef std::basic_string<char, std::char_traits<char>, gc_allocator<char> >
    text;

template <template <class> class Allocator> static void containers() {
  std::vector<node *, Allocator<node *> > vector;
  std::list<node *, Allocator<node *> > list;
  std::map<long, node *, std::less<long>,
           Allocator<std::pair<const long, node *> > >
      map;
  std::unordered_map<long, node *, std::hash<long>, std::equal_to<long>,
                     Allocator<std::pair<const long, node *> > >
      table;
  std::set<text, std::less<text>, Allocator<text> > texts;
  for (long i = 0; i < 2000; i++) {
    vector.push_back(new node(0, i));
    list.push_front(new node(0, i));
    map[i] = new node(0, i);
    table.emplace(i, new node(0, i));
    texts.insert(text(50, 'a') + std::to_string(i % 100).c_str());
    if (i % 500 == 0) collect();
  }
  collect();
  long sum = 0;
  for (long i = 0; i < 2000; i++) {
    sum += vector[size_t(i)]->number - map[i]->number + table[i]->number;
  }
  for (node *n : list) sum += n->number;
  CHECK(sum == 2L * 1999 * 2000 / 2);
  CHECK(texts.size() == 100 && texts.count(text(50, 'a') + "42") == 1);

  /* Copies, moves and swaps; equal, whatever they are for. */
  auto copy = vector;
  auto moved = std::move(vector);
  std::swap(copy, moved);
  vector = moved;
  map.clear();
  CHECK(copy.size() == 2000 && vector == moved);
  CHECK(Allocator<int>() == Allocator<node>());
  CHECK(!(Allocator<int>() != Allocator<node>(Allocator<int>())));
  Allocator<int> one, other(one);
  one = other;

  /* What can only be moved. */
  std::vector<std::unique_ptr<long>, Allocator<std::unique_ptr<long> > > owners;
  for (long i = 0; i < 100; i++) owners.emplace_back(new long(i));
  CHECK(*owners[99] == 99);

  typedef std::allocator_traits<Allocator<node> > traits;
  Allocator<node> allocator;
  node *object = traits::allocate(allocator, 1);
  traits::construct(allocator, object, nullptr, 12);
  CHECK(object->number == 12 && GC_base(object) != 0);
  traits::destroy(allocator, object);
  traits::deallocate(allocator, object, 1);
  CHECK(allocator.max_size() == size_t(-1) / sizeof(node));
  typedef typename Allocator<void>::template rebind<long>::other of_long;
  of_long longs;
  long *number = longs.allocate(3, nullptr);
  longs.construct(number, 5L);
  CHECK(*longs.address(*number) == 5);
  longs.destroy(number);
  longs.deallocate(number, 3);
#ifdef __cpp_exceptions
  bool caught = false;
  try {
    allocator.allocate(size_t(-1) / 4);
  } catch (const std::bad_alloc &) {
    caught = true;
  }
  CHECK(caught);
#endif
}

struct numbers {
  long of[100];
};
GC_DECLARE_PTRFREE(numbers);

typedef std::vector<numbers, gc_allocator<numbers> > number_vector;

/* Pointers in memory of a pointer-free type keep nothing. */
static __attribute__((noinline)) void fill(number_vector *free) {
  for (size_t i = 0; i < free->size(); i++)
    (*free)[i].of[0] = reinterpret_cast<long>(new cleaned);
}

static void pointer_free() {
  number_vector free(500);
  GC_type_traits<numbers> traits;
  GC_true_type is_ptr_free = traits.GC_is_ptr_free;
  void *memory = GC_selective_alloc(100, is_ptr_free, true);
  int before = destroyed;
  fill(&free);
  collect();
  CHECK(destroyed - before > 250);
  CHECK(GC_base(&free[0]) != 0 && GC_base(memory) != 0);
  std::basic_string<char, std::char_traits<char>,
                    gc_allocator_ignore_off_page<char> >
      large(1000000, 'x');
  CHECK(large[999999] == 'x');
}

int main() {
  GC_INIT();
  classes();
  placements();
  containers<gc_allocator>();
  containers<gc_allocator_ignore_off_page>();
  containers<traceable_allocator>();
  pointer_free();
  std::printf("%s\n", failures == 0 ? "good" : "bad");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
