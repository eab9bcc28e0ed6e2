# tests/compat/base.sh -- what lib.sh and libgc.sh have in common; they source
# it, a test sources one of them.
#
# Environment:
#   ALM_BUILD_DIR   where lib/ with what was built is (default: ../../build)
#   ALM_SOURCE_DIR  the top of the source tree        (default: ../..)
# A test works in a directory of its own below the current one, which is
# removed at its end, and leaves with 0 (pass), 77 (skip) or 1 (fail).
set -u
unset LD_PRELOAD LD_LIBRARY_PATH ALMACEN
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
ALM_SOURCE_DIR=${ALM_SOURCE_DIR:-$(cd "$here/../.." && pwd)}
ALM_BUILD_DIR=${ALM_BUILD_DIR:-$ALM_SOURCE_DIR/build}
CC=${CC:-cc}
CXX=${CXX:-c++}
name=$(basename "$0" .sh)

fail() { printf '%s: FAIL: %s\n' "$name" "$*" >&2; exit 1; }
skip() { printf '%s: skip: %s\n' "$name" "$*"; exit 77; }
note() { printf '%s: %s\n' "$name" "$*"; }

# need PROGRAM... -- skip when one is not installed.
need() {
  for program; do
    command -v "$program" >/dev/null 2>&1 || skip "$program is not installed"
  done
}

# need_plain_library FILE -- it must be there; with a sanitizer inside, no
# program but one built the same way can load it.
need_plain_library() {
  [ -e "$1" ] || fail "$1 does not exist: build first"
  case $(nm -D "$1" 2>/dev/null) in
  *__asan_init* | *__tsan_init*)
    skip "a library with a sanitizer inside cannot be preloaded" ;;
  esac
}

work=$(mktemp -d "$PWD/$name.XXXXXX") || fail "no scratch directory in $PWD"
cd "$work" || fail "cannot enter $work"
trap 'cd / && rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Limits are what a quiet machine takes and some more; a busy one needs four
# times that. They are for what hangs, not for what is slow.
patience=4

# within SECONDS COMMAND... -- run with a limit.
within() {
  limit=$(($1 * patience))
  shift
  timeout -k 5 "$limit" "$@"
}

# How a command ended, in words.
ending() {
  case $1 in
  0) echo "ended well" ;;
  124 | 137) echo "hung and was stopped (timeout)" ;;
  12[89] | 1[3-9][0-9]) echo "died from signal $(($1 - 128))" ;;
  *) echo "ended with status $1" ;;
  esac
}

# must_end_well WHAT NAME WHERE COMMAND... -- it must end with 0. Output goes to
# NAME.out and NAME.err, and is shown on failure.
must_end_well() {
  what=$1
  outputs=$2
  where=$3
  shift 3
  "$@" >"$outputs.out" 2>"$outputs.err"
  status=$?
  [ "$status" -eq 0 ] && return 0
  tail -n 20 "$outputs.out" "$outputs.err" >&2
  fail "$what: $(ending "$status") $where"
}

# must_print_the_same WHAT PEER OURS WHERE -- two outputs of must_end_well.
must_print_the_same() {
  cmp -s "$2.out" "$3.out" && return 0
  diff "$2.out" "$3.out" | head -n 20 >&2
  fail "$1: output differs from the run $4"
}

# compile_file OUT FILE [FLAG...] -- one C or C++ source as a program.
compile_file() {
  out=$1
  source=$2
  shift 2
  case $source in
  *.cc) compiler="$CXX -std=c++17 -fsized-deallocation" ;;
  *) compiler="$CC -std=gnu11" ;;
  esac
  # shellcheck disable=SC2086
  $compiler -O1 -g -Wall -Wextra -pthread -o "$out" "$source" "$@" ||
    fail "$(basename "$source") does not compile"
}
