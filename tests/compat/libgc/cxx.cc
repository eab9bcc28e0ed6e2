// tests/compat/libgc/cxx.cc -- C++: classes from gc and gc_cleanup, placement,
// allocators in containers, exceptions that hold objects.
#include "check.h"

#include <list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <gc/gc_allocator.h>
#include <gc/gc_cpp.h>

namespace {

struct Node : public gc {
  Node *next;
  long value;
  Node(Node *n, long v) : next(n), value(v) {
  }
};

APART Node *build(long first, int length) {
  Node *head = nullptr;
  for (int i = 0; i < length; i++) head = new Node(head, first + i);
  return head;
}

APART void verify(const Node *n, long first, int length) {
  for (int i = length - 1; i >= 0; i--, n = n->next) {
    CHECK(n);
    CHECK_THAT(n->value, ==, first + i);
  }
  CHECK(!n);
}

void churn() {
  for (int i = 0; i < 20; i++) verify(build(i, 2000), i, 2000);
  GC_gcollect();
}

int cleaned;

struct Cleaned : public gc_cleanup {
  long value;
  Node *held;
  explicit Cleaned(long v) : value(v), held(build(v, 3)) {
  }
  ~Cleaned() override {
    verify(held, value, 3);
    cleaned++;
  }
};

struct First {
  virtual ~First() {
  }
  long one = 1;
};
// The collected base is not the first: pointers to it are interior.
struct Derived : public First, public virtual gc_cleanup {
  Node *held;
  Derived() : held(build(8, 5)) {
  }
  ~Derived() override {
    cleaned++;
  }
};

struct Plain {
  long value;
  Plain *next;
};

void GC_CALLBACK count_cleanup(void *, void *data) {
  ++*static_cast<int *>(data);
}

} // namespace

TEST("objects of classes from gc are collected memory") {
  Node *kept = build(100, 5000);
  CHECK(GC_base(kept) == kept);
  churn();
  verify(kept, 100, 5000);
  Node *deleted = new Node(nullptr, 1);
  delete deleted;
}

TEST("arrays and every placement") {
  Plain *collected = new (GC) Plain[100]();
  Plain *uncollected = new (NoGC) Plain();
  Plain *pointer_free = new (PointerFreeGC) Plain();
  CHECK(GC_base(collected) && GC_base(uncollected) && GC_base(pointer_free));
  uncollected->next = new (GC) Plain();
  uncollected->next->value = 77;
  GC_hidden_pointer hidden = GC_HIDE_POINTER(uncollected);
  uncollected = nullptr;
  churn();
  uncollected = static_cast<Plain *>(GC_REVEAL_POINTER(hidden));
  CHECK_THAT(uncollected->next->value, ==, 77);
  CHECK_THAT(collected[99].value, ==, 0);
  GC_FREE(uncollected);
}

static void make_cleaned(void *) {
  for (int i = 0; i < 200; i++) new Cleaned(i);
  for (int i = 0; i < 200; i++) new Derived;
}

TEST("destructors run when objects go") {
  cleaned = 0;
  apart(make_cleaned, nullptr);
  for (int i = 0; i < 10 && cleaned < 400; i++) {
    wipe_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(cleaned, >=, 300);
}

TEST("an explicit delete runs the destructor once") {
  cleaned = 0;
  Cleaned *object = new Cleaned(5);
  delete object;
  CHECK_THAT(cleaned, ==, 1);
}

TEST("interior pointers to bases keep the whole") {
  gc_cleanup *base = new Derived;
  churn();
  verify(dynamic_cast<Derived *>(base)->held, 8, 5);
}

TEST("a cleanup given with the placement runs") {
  static int count;
  auto make = [](void *) {
    for (int i = 0; i < 100; i++) {
      Plain *p = new (GC, count_cleanup, &count) Plain();
      p->value = i;
    }
  };
  apart(make, nullptr);
  for (int i = 0; i < 10 && count < 100; i++) {
    wipe_stack();
    GC_gcollect();
    GC_invoke_finalizers();
  }
  CHECK_THAT(count, >=, 90);
}

using collected_string =
    std::basic_string<char, std::char_traits<char>, gc_allocator<char>>;

TEST("containers of gc_allocator hold objects") {
  std::vector<Node *, gc_allocator<Node *>> nodes;
  std::list<Node *, gc_allocator<Node *>> list;
  std::map<long, collected_string, std::less<long>,
           gc_allocator<std::pair<const long, collected_string>>>
      map;
  for (int i = 0; i < 3000; i++) {
    nodes.push_back(build(i, 3));
    list.push_front(build(i, 2));
    map[i] = collected_string(static_cast<size_t>(i % 100), 'x');
  }
  churn();
  for (int i = 0; i < 3000; i++) {
    verify(nodes[static_cast<size_t>(i)], i, 3);
    CHECK_THAT(map[i].size(), ==, i % 100);
  }
  int at = 2999;
  for (Node *n : list) verify(n, at--, 2);
  for (int i = 0; i < 3000; i += 2) map.erase(i);
  churn();
  CHECK_THAT(map.size(), ==, 1500);
}

TEST("a container of traceable_allocator in memory of malloc holds objects") {
  auto *nodes = new std::vector<Node *, traceable_allocator<Node *>>;
  for (int i = 0; i < 3000; i++) nodes->push_back(build(i, 3));
  // Its header is of malloc: the program holds the first element's address.
  churn();
  for (int i = 0; i < 3000; i++) verify((*nodes)[static_cast<size_t>(i)], i, 3);
  delete nodes;
}

TEST("a vector of numbers is not looked at") {
  std::vector<char, gc_allocator<char>> bytes(100000, 'b');
  std::vector<double, gc_allocator<double>> reals(1000, 0.5);
  churn();
  CHECK(bytes[99999] == 'b' && reals[999] == 0.5);
}

TEST("allocators of different types are equal") {
  gc_allocator<int> a;
  gc_allocator<long> b(a);
  CHECK(a == gc_allocator<int>(b));
  CHECK(a.max_size() > 1000000);
  int *p = a.allocate(10);
  CHECK(GC_base(p));
  a.deallocate(p, 10);
}

static APART void throw_deep(int depth) {
  Node *own = build(depth, 10);
  if (depth == 0) {
    churn();
    throw std::runtime_error("bottom");
  }
  try {
    throw_deep(depth - 1);
  } catch (...) {
    verify(own, depth, 10);
    throw;
  }
}

TEST("frames keep their objects while an exception passes") {
  bool is_caught = false;
  try {
    throw_deep(300);
  } catch (const std::runtime_error &e) {
    is_caught = std::string(e.what()) == "bottom";
  }
  CHECK(is_caught);
}

static Node *global_list = build(31, 100);

TEST("what a global's initialiser built before main stays") {
  churn();
  verify(global_list, 31, 100);
}

int main() {
  GC_INIT();
  return run_tests();
}
