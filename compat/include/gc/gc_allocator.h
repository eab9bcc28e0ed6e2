/* gc/gc_allocator.h -- allocators for C++ containers.
 *
 * WHAT    gc_allocator                  collected memory; without pointers for
 *                                       types declared so (GC_DECLARE_PTRFREE)
 *         gc_allocator_ignore_off_page  the same, for large memory that its
 *                                       container holds by its first page
 *         traceable_allocator           memory that is freed by the container,
 *                                       and looked at for pointers
 * HOW     std::vector<node *, gc_allocator<node *> >
 *         A container's elements are not destroyed when the collector reclaims
 *         their memory.
 * ERRORS  std::bad_alloc; without exceptions the process ends.
 */
#ifndef GC_ALLOCATOR_H
#define GC_ALLOCATOR_H

#include "gc.h"
#include <new>
#if __cplusplus >= 201103L
#include <utility>
#endif

#if defined(GC_NEW_ABORTS_ON_OOM) || defined(_LIBCPP_NO_EXCEPTIONS)
#define GC_ALLOCATOR_THROW_OR_ABORT() GC_abort_on_oom()
#else
#define GC_ALLOCATOR_THROW_OR_ABORT() throw std::bad_alloc()
#endif

/* ---- which types hold pointers ----------------------------------------- */

struct GC_true_type {};
struct GC_false_type {};

/* GC_is_ptr_free is of one of these types. A type holds pointers unless it is
 * declared not to. */
template <class GC_tp> struct GC_type_traits { GC_false_type GC_is_ptr_free; };

#define GC_DECLARE_PTRFREE(T)                                                  \
  template <> struct GC_type_traits<T> { GC_true_type GC_is_ptr_free; }

GC_DECLARE_PTRFREE(char);
GC_DECLARE_PTRFREE(signed char);
GC_DECLARE_PTRFREE(unsigned char);
GC_DECLARE_PTRFREE(signed short);
GC_DECLARE_PTRFREE(unsigned short);
GC_DECLARE_PTRFREE(signed int);
GC_DECLARE_PTRFREE(unsigned int);
GC_DECLARE_PTRFREE(signed long);
GC_DECLARE_PTRFREE(unsigned long);
GC_DECLARE_PTRFREE(float);
GC_DECLARE_PTRFREE(double);
GC_DECLARE_PTRFREE(long double);

/* GC_bytes of memory of the sort that the type tells; never NULL. */
template <class GC_Tp>
inline void *GC_selective_alloc(size_t GC_bytes, GC_Tp,
                                bool GC_ignore_off_page) {
  void *GC_memory = GC_ignore_off_page ? GC_MALLOC_IGNORE_OFF_PAGE(GC_bytes)
                                       : GC_MALLOC(GC_bytes);
  if (GC_memory == 0) GC_ALLOCATOR_THROW_OR_ABORT();
  return GC_memory;
}

template <>
inline void *GC_selective_alloc<GC_true_type>(size_t GC_bytes, GC_true_type,
                                              bool GC_ignore_off_page) {
  void *GC_memory = GC_ignore_off_page
                        ? GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(GC_bytes)
                        : GC_MALLOC_ATOMIC(GC_bytes);
  if (GC_memory == 0) GC_ALLOCATOR_THROW_OR_ABORT();
  return GC_memory;
}

/* ---- what the three allocators share ----------------------------------- */

/* From C++11 on elements are made from any arguments, and can be moved in. */
#if __cplusplus >= 201103L
#define GC_ALLOCATOR_CONSTRUCT_                                                \
  template <class GC_Up, class... GC_Args>                                     \
  void construct(GC_Up *GC_p, GC_Args &&...GC_args) {                          \
    ::new (static_cast<void *>(GC_p))                                          \
        GC_Up(std::forward<GC_Args>(GC_args)...);                              \
  }
#else
#define GC_ALLOCATOR_CONSTRUCT_                                                \
  void construct(pointer GC_p, const GC_Tp &GC_value) {                        \
    ::new (static_cast<void *>(GC_p)) GC_Tp(GC_value);                         \
  }
#endif

#ifdef GC_NO_MEMBER_TEMPLATES
#define GC_ALLOCATOR_CONVERT_(name)
#else
#define GC_ALLOCATOR_CONVERT_(name)                                            \
  template <class GC_Up>                                                       \
  GC_ATTR_EXPLICIT name(const name<GC_Up> &) GC_NOEXCEPT {                     \
  }
#endif

/* Copying and destroying are written out because, left to the compiler, they
 * would change how an allocator is passed to a function. */
#define GC_ALLOCATOR_TYPES_(name, value)                                       \
  typedef size_t size_type;                                                    \
  typedef ptrdiff_t difference_type;                                           \
  typedef value *pointer;                                                      \
  typedef const value *const_pointer;                                          \
  typedef value value_type;                                                    \
  template <class GC_Up> struct rebind { typedef name<GC_Up> other; };

#define GC_ALLOCATOR_MEMBERS_(name)                                            \
  GC_ALLOCATOR_TYPES_(name, GC_Tp)                                             \
  typedef GC_Tp &reference;                                                    \
  typedef const GC_Tp &const_reference;                                        \
  name() GC_NOEXCEPT {                                                         \
  }                                                                            \
  name(const name &) GC_NOEXCEPT {                                             \
  }                                                                            \
  GC_ALLOCATOR_CONVERT_(name)                                                  \
  ~name() GC_NOEXCEPT {                                                        \
  }                                                                            \
  name &operator=(const name &) GC_NOEXCEPT {                                  \
    return *this;                                                              \
  }                                                                            \
  pointer address(reference GC_x) const {                                      \
    return &GC_x;                                                              \
  }                                                                            \
  const_pointer address(const_reference GC_x) const {                          \
    return &GC_x;                                                              \
  }                                                                            \
  size_type max_size() const GC_NOEXCEPT {                                     \
    return size_t(-1) / sizeof(GC_Tp);                                         \
  }                                                                            \
  void deallocate(pointer GC_p, size_type) GC_NOEXCEPT {                       \
    GC_FREE(GC_p);                                                             \
  }                                                                            \
  GC_ALLOCATOR_CONSTRUCT_                                                      \
  void destroy(pointer GC_p) {                                                 \
    GC_p->~GC_Tp();                                                            \
  }

/* Memory of one may be given back to any other. */
#define GC_ALLOCATOR_EQUAL_(name)                                              \
  template <class GC_T1, class GC_T2>                                          \
  inline bool operator==(const name<GC_T1> &, const name<GC_T2> &)             \
      GC_NOEXCEPT {                                                            \
    return true;                                                               \
  }                                                                            \
  template <class GC_T1, class GC_T2>                                          \
  inline bool operator!=(const name<GC_T1> &, const name<GC_T2> &)             \
      GC_NOEXCEPT {                                                            \
    return false;                                                              \
  }

/* ---- the allocators ---------------------------------------------------- */

template <class GC_Tp> class gc_allocator {
public:
  GC_ALLOCATOR_MEMBERS_(gc_allocator)
  GC_Tp *allocate(size_type GC_n, const void * = 0) {
    GC_type_traits<GC_Tp> GC_traits;
    if (GC_n > max_size()) GC_ALLOCATOR_THROW_OR_ABORT();
    return static_cast<GC_Tp *>(GC_selective_alloc(
        GC_n * sizeof(GC_Tp), GC_traits.GC_is_ptr_free, false));
  }
};

template <> class gc_allocator<void> {
public:
  GC_ALLOCATOR_TYPES_(gc_allocator, void)
};

GC_ALLOCATOR_EQUAL_(gc_allocator)

template <class GC_Tp> class gc_allocator_ignore_off_page {
public:
  GC_ALLOCATOR_MEMBERS_(gc_allocator_ignore_off_page)
  GC_Tp *allocate(size_type GC_n, const void * = 0) {
    GC_type_traits<GC_Tp> GC_traits;
    if (GC_n > max_size()) GC_ALLOCATOR_THROW_OR_ABORT();
    return static_cast<GC_Tp *>(GC_selective_alloc(
        GC_n * sizeof(GC_Tp), GC_traits.GC_is_ptr_free, true));
  }
};

template <> class gc_allocator_ignore_off_page<void> {
public:
  GC_ALLOCATOR_TYPES_(gc_allocator_ignore_off_page, void)
};

GC_ALLOCATOR_EQUAL_(gc_allocator_ignore_off_page)

template <class GC_Tp> class traceable_allocator {
public:
  GC_ALLOCATOR_MEMBERS_(traceable_allocator)
  GC_Tp *allocate(size_type GC_n, const void * = 0) {
    if (GC_n > max_size()) GC_ALLOCATOR_THROW_OR_ABORT();
    void *GC_memory = GC_MALLOC_UNCOLLECTABLE(GC_n * sizeof(GC_Tp));
    if (GC_memory == 0) GC_ALLOCATOR_THROW_OR_ABORT();
    return static_cast<GC_Tp *>(GC_memory);
  }
};

template <> class traceable_allocator<void> {
public:
  GC_ALLOCATOR_TYPES_(traceable_allocator, void)
};

GC_ALLOCATOR_EQUAL_(traceable_allocator)

#undef GC_ALLOCATOR_CONSTRUCT_
#undef GC_ALLOCATOR_CONVERT_
#undef GC_ALLOCATOR_TYPES_
#undef GC_ALLOCATOR_MEMBERS_
#undef GC_ALLOCATOR_EQUAL_

#endif
