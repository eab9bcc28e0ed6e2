/* tests/compat/programs/operators.cc -- every form of new and delete, what
 * they do when memory is out, containers, exceptions, threads. */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#define REQUIRE(condition)                                                     \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: %s: required: %s\n", __FILE__, __LINE__,    \
                   __func__, #condition);                                      \
      std::exit(1);                                                            \
    }                                                                          \
  } while (0)

namespace {

volatile std::size_t too_large = static_cast<std::size_t>(1) << 62;

bool is_aligned(const void *p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

void fill(void *p, std::size_t size) {
  REQUIRE(p);
  std::memset(p, 0x77, size);
}

void test_forms(std::size_t n) {
  void *p = ::operator new(n);
  fill(p, n);
  REQUIRE(is_aligned(p, n > 8 ? 16 : 8));
  ::operator delete(p);
  fill(p = ::operator new[](n), n);
  ::operator delete[](p);
  fill(p = ::operator new(n), n);
  ::operator delete(p, n);
  fill(p = ::operator new[](n), n);
  ::operator delete[](p, n);
  fill(p = ::operator new(n, std::nothrow), n);
  ::operator delete(p, std::nothrow);
  fill(p = ::operator new[](n, std::nothrow), n);
  ::operator delete[](p, std::nothrow);
  for (std::size_t a = 8; a <= 65536; a *= 2) {
    std::align_val_t alignment{a};
    fill(p = ::operator new(n, alignment), n);
    REQUIRE(is_aligned(p, a));
    ::operator delete(p, alignment);
    fill(p = ::operator new[](n, alignment), n);
    REQUIRE(is_aligned(p, a));
    ::operator delete[](p, alignment);
    fill(p = ::operator new(n, alignment), n);
    ::operator delete(p, n, alignment);
    fill(p = ::operator new[](n, alignment), n);
    ::operator delete[](p, n, alignment);
    fill(p = ::operator new(n, alignment, std::nothrow), n);
    REQUIRE(is_aligned(p, a));
    ::operator delete(p, alignment, std::nothrow);
    fill(p = ::operator new[](n, alignment, std::nothrow), n);
    REQUIRE(is_aligned(p, a));
    ::operator delete[](p, alignment, std::nothrow);
  }
  ::operator delete(nullptr);
  ::operator delete[](nullptr, n);
}

struct alignas(256) Wide {
  char bytes[300];
  Wide() {
    std::memset(bytes, 3, sizeof bytes);
  }
  ~Wide() {
    bytes[0] = 0;
  }
};

struct Throws {
  std::string text = std::string(200, 't');
  explicit Throws(int n) {
    if (n % 2) throw std::runtime_error(std::string(500, 'e'));
  }
};

void test_expressions() {
  for (int i = 0; i < 100; i++) {
    Wide *one = new Wide;
    Wide *many = new Wide[7];
    REQUIRE(is_aligned(one, 256) && is_aligned(many, 256));
    delete one;
    delete[] many;
    std::string *strings = new std::string[50];
    for (int k = 0; k < 50; k++) strings[k].assign(100, 's');
    delete[] strings;
    try {
      delete new Throws(i);
      REQUIRE(i % 2 == 0);
    } catch (const std::runtime_error &e) {
      REQUIRE(std::strlen(e.what()) == 500);
    }
  }
}

template <typename Call> bool throws_bad_alloc(Call call) {
  try {
    static_cast<void>(call());
  } catch (const std::bad_alloc &) {
    return true;
  }
  return false;
}

/* Each throwing form in turn fails; returns how many threw bad_alloc. */
int failing_forms() {
  std::align_val_t wide{128};
  int n = 0;
  n += throws_bad_alloc([] { return ::operator new(too_large); });
  n += throws_bad_alloc([] { return ::operator new[](too_large); });
  n += throws_bad_alloc([=] { return ::operator new(too_large, wide); });
  n += throws_bad_alloc([=] { return ::operator new[](too_large, wide); });
  return n;
}

int failing_nothrow_forms() {
  std::align_val_t wide{128};
  int n = 0;
  n += !::operator new(too_large, std::nothrow);
  n += !::operator new[](too_large, std::nothrow);
  n += !::operator new(too_large, wide, std::nothrow);
  n += !::operator new[](too_large, wide, std::nothrow);
  return n;
}

int handler_calls;

void handler_gives_up() {
  if (++handler_calls % 3 == 0) std::set_new_handler(nullptr);
}

struct Special : std::bad_alloc {
  const char *what() const noexcept override {
    return "special";
  }
};

void handler_throws() {
  handler_calls++;
  throw Special();
}

void test_failure() {
  REQUIRE(failing_forms() == 4);
  REQUIRE(failing_nothrow_forms() == 4);
  REQUIRE(throws_bad_alloc([] {
            std::vector<char> v(too_large);
            return v.size();
          }) == true);

  handler_calls = 0;
  std::set_new_handler(handler_gives_up);
  REQUIRE(throws_bad_alloc([] { return ::operator new(too_large); }));
  REQUIRE(handler_calls == 3);
  std::set_new_handler(handler_gives_up);
  REQUIRE(!::operator new(too_large, std::nothrow));
  REQUIRE(handler_calls == 6);
  std::set_new_handler(handler_gives_up);
  REQUIRE(!::operator new (too_large, std::align_val_t{64}, std::nothrow));
  REQUIRE(handler_calls == 9);

  handler_calls = 0;
  std::set_new_handler(handler_throws);
  try {
    static_cast<void>(::operator new(too_large));
    REQUIRE(!"returned");
  } catch (const Special &e) {
    REQUIRE(std::strcmp(e.what(), "special") == 0);
  }
  REQUIRE(failing_forms() == 4);
  REQUIRE(handler_calls == 5);
#ifndef NO_THROWING_HANDLER
  REQUIRE(failing_nothrow_forms() == 4); /* caught inside, NULL */
  REQUIRE(handler_calls == 9);
#endif
  std::set_new_handler(nullptr);
  REQUIRE(failing_forms() == 4);
}

std::size_t containers(unsigned seed) {
  std::map<int, std::string> ordered;
  std::unordered_map<std::string, std::vector<int>> hashed;
  std::list<std::set<int>> sets;
  std::deque<std::unique_ptr<int>> pointers;
  std::shared_ptr<std::function<int(int)>> shared;
  std::size_t sum = 0;
  unsigned x = seed;
  for (int i = 0; i < 20000; i++) {
    x = x * 1664525u + 1013904223u;
    int key = static_cast<int>(x >> 20);
    ordered[key] += static_cast<char>('a' + key % 26);
    hashed[std::to_string(key % 500)].push_back(i);
    if (i % 50 == 0) sets.emplace_back();
    sets.back().insert(key);
    pointers.push_back(std::make_unique<int>(i));
    if (pointers.size() > 1000) pointers.pop_front();
    if (i % 7 == 0) ordered.erase(ordered.begin());
    if (sets.size() > 100) sets.pop_front();
    std::string big(static_cast<std::size_t>(key), 'b');
    shared = std::make_shared<std::function<int(int)>>(
        [big](int n) { return n + static_cast<int>(big.size()); });
    sum += static_cast<std::size_t>((*shared)(i));
  }
  std::ostringstream text;
  for (const auto &pair : ordered) text << pair.first << pair.second;
  for (const auto &pair : hashed) sum += pair.second.size();
  return sum + text.str().size() + pointers.size() + sets.size();
}

struct Local {
  std::vector<std::string> words;
  ~Local() {
    words.push_back(std::string(300, 'd'));
  }
};

thread_local Local local;
thread_local std::unique_ptr<std::map<int, int>> local_map;

void test_threads() {
  std::size_t expected = containers(7);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&] {
      for (int k = 0; k < 100; k++) local.words.emplace_back(100 + k, 'x');
      local_map = std::make_unique<std::map<int, int>>();
      (*local_map)[1] = 2;
      for (int k = 0; k < 200; k++) try {
          if (k % 2) throw std::runtime_error(std::string(300, 'q'));
        } catch (const std::exception &) {}
      good += containers(7) == expected;
    });
  for (auto &thread : threads) thread.join();
  REQUIRE(good == 4);
  for (int round = 0; round < 50; round++) {
    std::vector<std::thread> few;
    for (int i = 0; i < 8; i++)
      few.emplace_back([=] { local.words.emplace_back(50 * round, 'y'); });
    for (auto &thread : few) thread.join();
  }
}

} // namespace

int main() {
  std::size_t sizes[] = {0, 1, 8, 9, 16, 100, 1000, 5000, 40000, 2000000};
  for (std::size_t n : sizes) test_forms(n);
  test_expressions();
  test_failure();
  test_threads();
  std::printf("%zu\n", containers(42));
  return 0;
}
