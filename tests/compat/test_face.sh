#!/bin/sh
# Every allocation function keeps its rules: alignment, errno, overflow,
# PTRDIFF_MAX, contents across realloc. Preloaded, and linked with the library.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile face face.c
check "face, preloaded" 50 ./face
grep -q 'all rules hold' check.out || fail "face stopped early"

compile face-linked face.c "$LIB" -Wl,-rpath,"$(dirname "$LIB")"
plain 50 ./face-linked >linked.out 2>&1 || {
  status=$?
  tail -n 20 linked.out >&2
  fail "face, linked with $LIB: $(ending $status)"
}
