#!/bin/sh
# The preload library exports the whole face and needs no C++ library.
. "$(dirname "$0")/lib.sh"
need nm readelf
need_almacen

c_names='malloc calloc realloc reallocarray free free_sized
  free_aligned_sized cfree aligned_alloc posix_memalign memalign valloc
  pvalloc malloc_usable_size mallinfo mallinfo2 malloc_stats malloc_info
  malloc_trim mallopt unshare setns'
cxx_names=
for op in nw na; do
  for form in m mRKSt9nothrow_t mSt11align_val_t \
    mSt11align_val_tRKSt9nothrow_t; do
    cxx_names="$cxx_names _Z$op$form"
  done
done
for op in dl da; do
  for form in Pv Pvm PvRKSt9nothrow_t PvSt11align_val_t PvmSt11align_val_t \
    PvSt11align_val_tRKSt9nothrow_t; do
    cxx_names="$cxx_names _Z$op$form"
  done
done

nm -D --defined-only "$LIB" | awk '{print $3}' | sed 's/@.*//' >exported
for symbol in $c_names $cxx_names; do
  grep -qx "$symbol" exported || fail "$LIB does not export $symbol"
done

# What every C++ header of this machine can call is in the list above.
if command -v "$CXX" >/dev/null 2>&1; then
  libstdcxx=$($CXX -print-file-name=libstdc++.so.6)
  if [ -e "$libstdcxx" ]; then
    nm -D --defined-only "$libstdcxx" | awk '{print $3}' | sed 's/@.*//' |
      grep -E '^_Z(nw|na|dl|da)[mP]' | sort -u >operators
    [ -s operators ] || fail "found no operators in $libstdcxx"
    while read -r symbol; do
      grep -qx "$symbol" exported ||
        fail "$libstdcxx has $symbol, $LIB does not"
    done <operators
  fi
fi

readelf -d "$LIB" | grep NEEDED >needed
if grep -qE 'stdc\+\+|libc\+\+' needed; then
  fail "$LIB is linked with a C++ library: $(tr -d '\n' <needed)"
fi
for weak in _ZSt15get_new_handlerv _ZSt17__throw_bad_allocv; do
  nm -D "$LIB" | grep -qE " [wv] $weak" || fail "$weak is not a weak reference"
done
exit 0
