#!/bin/sh
# C++: every form of new and delete, bad_alloc, new handlers, containers,
# thread_local destructors; with g++ and clang++, and with libc++ if it is here.
. "$(dirname "$0")/lib.sh"
need "$CXX"

compile operators operators.cc
compare "operators" 25 ./operators
if [ "$CXX" != clang++ ] && command -v clang++ >/dev/null 2>&1; then
  CXX=clang++
  compile operators-clang operators.cc -O2
  compare "operators, clang" 25 ./operators-clang
  if echo '#include <vector>' | clang++ -stdlib=libc++ -x c++ -fsyntax-only - \
    2>/dev/null; then
    compile operators-libc++ operators.cc -stdlib=libc++
    compare "operators, libc++" 25 ./operators-libc++
  else
    note "libc++ is not installed: tested with libstdc++ only"
  fi
fi

is_almacen || exit 0
compile no_cxx no_cxx.c "$LIB"
aborting no_cxx.err ./no_cxx
status=$?
[ $status -eq 134 ] || fail "operator new without C++: $(ending $status)" \
  "instead of abort"
[ "$(wc -l <no_cxx.err)" -eq 1 ] || fail "operator new without C++:" \
  "expected one line on stderr, got: $(cat no_cxx.err)"
grep -q '^almacen: operator new: ' no_cxx.err ||
  fail "operator new without C++: unexpected line: $(cat no_cxx.err)"
