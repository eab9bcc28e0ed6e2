/* header_mix.cc -- half a program: PART 1 is compiled with one set of headers,
 * PART 2 with another, and linked. What they hand each other by value and by
 * base class must fit.
 */
#include <cstdio>
#include <vector>
#include <gc/gc_allocator.h>
#include <gc/gc_cpp.h>

typedef std::vector<long *, traceable_allocator<long *> > vector;

struct shape : public gc_cleanup {
  long number;
  explicit shape(long i);
  ~shape();
  virtual long twice();
};

long sum(vector numbers);
long by_value(gc_allocator<long> one, traceable_allocator<int> other, long i);
shape *make_shape(GCPlacement place, long i);
size_t shape_size();

#if PART == 1
int main() {
  GC_INIT();
  vector numbers;
  for (long i = 0; i < 100; i++) numbers.push_back(new (UseGC) long(i));
  GC_gcollect();
  shape *made = make_shape(UseGC, 21), *kept = make_shape(NoGC, 4);
  bool good = sum(numbers) == 4950 && shape_size() == sizeof(shape) &&
              by_value(gc_allocator<long>(), traceable_allocator<int>(), 3) ==
                  4 &&
              made->twice() == 42 && kept->twice() == 8;
  gc_cleanup *base = made;
  delete base;
  delete kept;
  std::printf("%s\n", good ? "good" : "bad");
  return good ? 0 : 1;
}
#else
shape::shape(long i) : number(i) {
}
shape::~shape() {
  number = 0;
}
long shape::twice() {
  return 2 * number;
}

long sum(vector numbers) {
  long all = 0;
  for (size_t i = 0; i < numbers.size(); i++) all += *numbers[i];
  numbers.clear();
  return all;
}

long by_value(gc_allocator<long> one, traceable_allocator<int> other, long i) {
  return i + (one == gc_allocator<char>(other == other ? one : one));
}

shape *make_shape(GCPlacement place, long i) {
  return new (place) shape(i);
}

size_t shape_size() {
  return sizeof(shape);
}
#endif
