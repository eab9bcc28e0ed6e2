#!/bin/sh
# Static linking with libalmacen-malloc.a, fully and only for the library; C
# and C++. No part of libc's own malloc may come along.
. "$(dirname "$0")/lib.sh"
need "$CC" nm
[ -n "${ALM_MALLOC_LIB:-}" ] && need_almacen
archive=$(dirname "$LIB")/libalmacen-malloc.a
[ -e "$archive" ] || fail "$archive does not exist"

run() {
  plain 150 "$@" >out 2>err || {
    status=$?
    tail -n 20 err >&2
    fail "$*: $(ending $status)"
  }
}

# links OUT COMMAND... -- a link that must work, warnings of the linker shown.
links() {
  out=$1
  shift
  "$@" -o "$out" >link.out 2>&1 || {
    tail -n 20 link.out >&2
    fail "$out does not link with $archive"
  }
}

c_flags="-O1 -g -fno-builtin -pthread"
cxx_flags="$c_flags -std=c++17 -fsized-deallocation"
programs=$here/programs
# shellcheck disable=SC2086
links face-archive "$CC" $c_flags "$programs/face.c" "$archive"
run ./face-archive
# shellcheck disable=SC2086
links threads-archive "$CC" $c_flags "$programs/threads.c" "$archive"
run ./threads-archive

echo 'int main(void) { return 0; }' >nothing.c
if ! $CC -static nothing.c -o nothing 2>/dev/null; then
  note "no static libc here: only the library was linked statically"
  exit 0
fi
# shellcheck disable=SC2086
links face-static "$CC" -static $c_flags "$programs/face.c" "$archive"
run ./face-static
for symbol in _int_malloc __libc_mallopt ptmalloc_init; do
  nm face-static | grep -q " $symbol$" &&
    fail "libc's malloc is in the static program: $symbol"
done
# shellcheck disable=SC2086
links threads-static "$CC" -static $c_flags "$programs/threads.c" "$archive"
run ./threads-static
# shellcheck disable=SC2086
links forks-static "$CC" -static $c_flags "$programs/forks.c" "$archive"
run ./forks-static

command -v "$CXX" >/dev/null 2>&1 || exit 0
# shellcheck disable=SC2086
links operators-archive "$CXX" $cxx_flags "$programs/operators.cc" "$archive"
run ./operators-archive
# A handler that throws through a nothrow form cannot be caught without the
# C++ library's own form, which a static program lacks: not part of this run.
# shellcheck disable=SC2086
links operators-static "$CXX" -static -DNO_THROWING_HANDLER $cxx_flags \
  "$programs/operators.cc" "$archive"
run ./operators-static
