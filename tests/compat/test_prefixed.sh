#!/bin/sh
# alm_malloc and its kin from libalmacen.so and libalmacen.a, beside the
# system's malloc: linked, linked statically, and by dlopen.
. "$(dirname "$0")/lib.sh"
need "$CC"
[ -n "${ALM_MALLOC_LIB:-}" ] && need_almacen
lib=$(dirname "$LIB")
[ -e "$lib/libalmacen.so" ] || fail "$lib/libalmacen.so does not exist"
[ -e "$lib/libalmacen.a" ] || fail "$lib/libalmacen.a does not exist"

run() {
  plain 20 "$@" >out 2>err || {
    status=$?
    tail -n 20 err >&2
    fail "$*: $(ending $status)"
  }
  grep -q 'prefixed: done' out || fail "$*: stopped early"
}

compile by-dlopen prefixed.c -ldl
run ./by-dlopen "$lib/libalmacen.so"
compile by-link prefixed.c -DLINKED -L"$lib" -lalmacen -Wl,-rpath,"$lib" -ldl
run ./by-link
compile by-archive prefixed.c -DLINKED "$lib/libalmacen.a" -ldl
run ./by-archive
exit 0
