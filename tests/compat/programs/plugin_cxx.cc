/* tests/compat/programs/plugin_cxx.cc -- a C++ plugin of a C program, which
 * brings the C++ library into the process after malloc's weak references were
 * bound: bad_alloc must still be thrown, not aborted on. */
#include <map>
#include <new>
#include <string>
#include <vector>

namespace {
thread_local std::vector<std::string> words;
std::map<int, std::string> table = {{1, "one"}, {2, "a longer word for two"}};
} // namespace

extern "C" int plugin_touch(int value) {
  for (int i = 0; i < 100; i++) words.push_back(std::string(30 + i, 'w'));
  if (table.at(2).size() != 21) return 0;
  volatile std::size_t size = static_cast<std::size_t>(1) << 60;
  try {
    static_cast<void>(::operator new(size));
    return 0;
  } catch (const std::bad_alloc &) {
    return ::operator new(size, std::nothrow) == nullptr ? value : 0;
  }
}
