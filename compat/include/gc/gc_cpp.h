/* gc/gc_cpp.h -- new on the collected heap.
 *
 * WHAT    class gc          whoever derives from it is made collected by new
 *         class gc_cleanup  and has its destructor run when unreachable
 *         new (placement)   says it for any type, object by object:
 *           GC, UseGC       collected
 *           PointerFreeGC   collected, not looked at for pointers
 *           NoGC            never reclaimed, looked at for pointers
 *           PointerFreeNoGC neither (with GC_ATOMIC_UNCOLLECTABLE)
 *         and, with GC, a function and its data to be called as a finalizer:
 *         new (GC, function, data) T.
 * HOW     All inline: -lgc is enough. A plain new of another type stays the
 *         system's, unless the program is linked with libgccpp. Options:
 *         GC_NAMESPACE             names in namespace boehmgc
 *         GC_NAME_CONFLICT         no enumerator GC
 *         GC_NO_OPERATOR_NEW_ARRAY no forms for arrays
 *         GC_NO_FINALIZATION       gc_cleanup does as gc
 *         GC_NEW_ABORTS_ON_OOM     without memory end, do not throw
 * ERRORS  std::bad_alloc; without exceptions the process ends.
 */
#ifndef GC_CPP_H
#define GC_CPP_H

#include "gc.h"
#include <new>

#ifdef GC_NAMESPACE
#define GC_NS_QUALIFY(T) boehmgc::T
#else
#define GC_NS_QUALIFY(T) T
#endif

#define GC_cdecl GC_CALLBACK

#if !defined(GC_NO_OPERATOR_NEW_ARRAY) && !defined(GC_OPERATOR_NEW_ARRAY)
#define GC_OPERATOR_NEW_ARRAY
#endif
#ifndef GC_PLACEMENT_DELETE
#define GC_PLACEMENT_DELETE
#endif

#if defined(GC_NEW_ABORTS_ON_OOM) || defined(_LIBCPP_NO_EXCEPTIONS)
#define GC_OP_NEW_OOM_CHECK(obj)                                               \
  do {                                                                         \
    if (!(obj)) GC_abort_on_oom();                                             \
  } while (0)
#else
/* Also in libgccpp, where programs compiled elsewhere find it. */
inline void GC_CALL GC_throw_bad_alloc() {
  throw std::bad_alloc();
}
#define GC_OP_NEW_OOM_CHECK(obj)                                               \
  do {                                                                         \
    if (!(obj)) GC_throw_bad_alloc();                                          \
  } while (0)
#endif

#ifdef GC_NAMESPACE
namespace boehmgc {
#endif

enum GCPlacement {
  UseGC,
#ifndef GC_NAME_CONFLICT
  GC = UseGC,
#endif
  NoGC,
  PointerFreeGC
#ifdef GC_ATOMIC_UNCOLLECTABLE
  ,
  PointerFreeNoGC
#endif
};

/* function(object, data), as a finalizer is called. */
extern "C" {
typedef void(GC_CALLBACK *GCCleanUpFunc)(void *, void *);
}

class gc {
public:
  inline void *operator new(size_t GC_bytes);
  inline void *operator new(size_t GC_bytes, GCPlacement GC_place);
  inline void *operator new(size_t, void *GC_at) GC_NOEXCEPT {
    return GC_at;
  }
  inline void operator delete(void *GC_obj) GC_NOEXCEPT {
    GC_FREE(GC_obj);
  }
#ifdef GC_PLACEMENT_DELETE
  inline void operator delete(void *GC_obj, GCPlacement) GC_NOEXCEPT {
    GC_FREE(GC_obj);
  }
  inline void operator delete(void *, void *) GC_NOEXCEPT {
  }
#endif
#ifdef GC_OPERATOR_NEW_ARRAY
  inline void *operator new[](size_t GC_bytes) {
    return gc::operator new(GC_bytes);
  }
  inline void *operator new[](size_t GC_bytes, GCPlacement GC_place) {
    return gc::operator new(GC_bytes, GC_place);
  }
  inline void *operator new[](size_t, void *GC_at) GC_NOEXCEPT {
    return GC_at;
  }
  inline void operator delete[](void *GC_obj) GC_NOEXCEPT {
    GC_FREE(GC_obj);
  }
#ifdef GC_PLACEMENT_DELETE
  inline void operator delete[](void *GC_obj, GCPlacement) GC_NOEXCEPT {
    GC_FREE(GC_obj);
  }
  inline void operator delete[](void *, void *) GC_NOEXCEPT {
  }
#endif
#endif
};

/* The destructor runs when the object is unreachable, as a finalizer in the
 * order of finalizers (references to itself do not count), or by delete. */
class gc_cleanup : virtual public gc {
public:
  inline gc_cleanup();
  inline virtual ~gc_cleanup();

private:
  inline static void GC_cdecl cleanup(void *GC_obj, void *GC_offset);
};

#ifdef GC_NAMESPACE
}
#endif

/* What a placement means; may return NULL. */
inline void *GC_placed_alloc_(size_t GC_bytes,
                              GC_NS_QUALIFY(GCPlacement) GC_place) {
  switch (GC_place) {
  case GC_NS_QUALIFY(UseGC):
    return GC_MALLOC(GC_bytes);
  case GC_NS_QUALIFY(PointerFreeGC):
    return GC_MALLOC_ATOMIC(GC_bytes);
#ifdef GC_ATOMIC_UNCOLLECTABLE
  case GC_NS_QUALIFY(PointerFreeNoGC):
    return GC_MALLOC_ATOMIC_UNCOLLECTABLE(GC_bytes);
#endif
  case GC_NS_QUALIFY(NoGC):
  default:
    return GC_MALLOC_UNCOLLECTABLE(GC_bytes);
  }
}

inline void *operator new(size_t GC_bytes, GC_NS_QUALIFY(GCPlacement) GC_place,
                          GC_NS_QUALIFY(GCCleanUpFunc) GC_function = 0,
                          void *GC_data = 0) {
  void *GC_obj = GC_placed_alloc_(GC_bytes, GC_place);
  GC_OP_NEW_OOM_CHECK(GC_obj);
#ifndef GC_NO_FINALIZATION
  if (GC_function != 0 && GC_place == GC_NS_QUALIFY(UseGC)) {
    GC_REGISTER_FINALIZER_IGNORE_SELF(GC_obj, GC_function, GC_data, 0, 0);
  }
#else
  (void)GC_function;
  (void)GC_data;
#endif
  return GC_obj;
}

#ifdef GC_PLACEMENT_DELETE
/* For a constructor that throws. */
inline void operator delete(void *GC_obj, GC_NS_QUALIFY(GCPlacement),
                            GC_NS_QUALIFY(GCCleanUpFunc), void *) GC_NOEXCEPT {
  GC_FREE(GC_obj);
}
#endif

#ifdef GC_OPERATOR_NEW_ARRAY
inline void *operator new[](size_t GC_bytes,
                            GC_NS_QUALIFY(GCPlacement) GC_place,
                            GC_NS_QUALIFY(GCCleanUpFunc) GC_function = 0,
                            void *GC_data = 0) {
  return ::operator new(GC_bytes, GC_place, GC_function, GC_data);
}
#endif

#ifdef GC_NAMESPACE
namespace boehmgc {
#endif

inline void *gc::operator new(size_t GC_bytes) {
  void *GC_obj = GC_MALLOC(GC_bytes);
  GC_OP_NEW_OOM_CHECK(GC_obj);
  return GC_obj;
}

inline void *gc::operator new(size_t GC_bytes, GCPlacement GC_place) {
  void *GC_obj = GC_placed_alloc_(GC_bytes, GC_place);
  GC_OP_NEW_OOM_CHECK(GC_obj);
  return GC_obj;
}

/* The finalizer hangs on the object that this is a part of; an object on the
 * stack or in static data has none. */
inline gc_cleanup::gc_cleanup() {
#ifndef GC_NO_FINALIZATION
  void *GC_this = static_cast<void *>(this);
  void *GC_object = GC_base(GC_this);
  GC_finalization_proc GC_old = 0;
  void *GC_old_data = 0;
  if (GC_object == 0) return;
  GC_register_finalizer_ignore_self(
      GC_object, cleanup,
      reinterpret_cast<void *>(static_cast<char *>(GC_this) -
                               static_cast<char *>(GC_object)),
      &GC_old, &GC_old_data);
  /* Another part of the object came first: its destructor is virtual and so
   * destroys the whole. */
  if (GC_old != 0) {
    GC_register_finalizer_ignore_self(GC_object, GC_old, GC_old_data, 0, 0);
  }
#endif
}

inline gc_cleanup::~gc_cleanup() {
#ifndef GC_NO_FINALIZATION
  void *GC_object = GC_base(static_cast<void *>(this));
  if (GC_object != 0) {
    GC_register_finalizer_ignore_self(GC_object, 0, 0, 0, 0);
  }
#endif
}

inline void GC_cdecl gc_cleanup::cleanup(void *GC_obj, void *GC_offset) {
  reinterpret_cast<gc_cleanup *>(static_cast<char *>(GC_obj) +
                                 reinterpret_cast<ptrdiff_t>(GC_offset))
      ->~gc_cleanup();
}

#ifdef GC_NAMESPACE
}
#endif

#endif
