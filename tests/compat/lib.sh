# tests/compat/lib.sh -- what the compat tests share; sourced, not run.
#
# Environment:
#   ALM_BUILD_DIR   where lib/libalmacen-malloc.so is (default: ../../build)
#   ALM_SOURCE_DIR  the top of the source tree      (default: ../..)
#   ALM_MALLOC_LIB  another library to put under test, to tell a fault of a
#                   test from a fault of ours
# A test works in a directory of its own below the current one, which is
# removed at its end, and leaves with 0 (pass), 77 (skip) or 1 (fail).
set -u
unset LD_PRELOAD ALMACEN
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
ALM_SOURCE_DIR=${ALM_SOURCE_DIR:-$(cd "$here/../.." && pwd)}
ALM_BUILD_DIR=${ALM_BUILD_DIR:-$ALM_SOURCE_DIR/build}
LIB=${ALM_MALLOC_LIB:-$ALM_BUILD_DIR/lib/libalmacen-malloc.so}
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

# The library under test, by content: tests of what only almacen promises ask.
is_almacen() { nm -D "$LIB" 2>/dev/null | grep -q ' T alm_malloc$'; }

need_almacen() { is_almacen || skip "$LIB is not almacen"; }

[ -e "$LIB" ] || fail "$LIB does not exist: build first, or set ALM_MALLOC_LIB"
case $(nm -D "$LIB" 2>/dev/null) in
*__asan_init* | *__tsan_init*)
  skip "a library with a sanitizer inside cannot be preloaded" ;;
esac

work=$(mktemp -d "$PWD/$name.XXXXXX") || fail "no scratch directory in $PWD"
cd "$work" || fail "cannot enter $work"
trap 'cd / && rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Limits are what a quiet machine takes and some more; a busy one needs four
# times that. They are for what hangs, not for what is slow.
patience=4

# plain SECONDS COMMAND... -- run as the system would.
plain() {
  limit=$(($1 * patience))
  shift
  timeout -k 5 "$limit" "$@"
}

# preloaded SECONDS COMMAND... -- run on the library under test.
preloaded() {
  limit=$(($1 * patience))
  shift
  timeout -k 5 "$limit" env LD_PRELOAD="$LIB" "$@"
}

# aborting ERR COMMAND... -- run preloaded, standard error alone to ERR, without
# the shell's own remark about the signal. Status as from a shell.
aborting() {
  err=$1
  shift
  # shellcheck disable=SC2016
  { timeout -k 5 $((20 * patience)) sh -c 'lib=$1 err=$2; shift 2
    ulimit -c 0
    exec env LD_PRELOAD="$lib" "$@" 2>"$err"' sh "$LIB" "$err" "$@"; } \
    2>/dev/null
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

# check WHAT SECONDS COMMAND... -- run preloaded; must end with 0. Output goes
# to check.out and check.err, and is shown on failure.
check() {
  what=$1
  seconds=$2
  shift 2
  preloaded "$seconds" "$@" >check.out 2>check.err
  status=$?
  [ "$status" -eq 0 ] && return 0
  tail -n 20 check.out check.err >&2
  fail "$what: $(ending "$status") under $LIB"
}

# compare WHAT SECONDS COMMAND... -- run plain, then preloaded; status and
# standard output must be the same, and the plain run must be good.
compare() {
  what=$1
  seconds=$2
  shift 2
  plain "$seconds" "$@" >plain.out 2>plain.err
  status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 20 plain.err >&2
    fail "$what: already without preload: $(ending "$status")"
  fi
  preloaded "$seconds" "$@" >preloaded.out 2>preloaded.err
  status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 20 preloaded.err >&2
    fail "$what: $(ending "$status") under $LIB"
  fi
  if ! cmp -s plain.out preloaded.out; then
    diff plain.out preloaded.out | head -n 20 >&2
    fail "$what: output differs from the run without preload"
  fi
}

# compile OUT SOURCE [FLAG...] -- one of programs/, with the calls to malloc
# left as they stand.
compile() {
  out=$1
  source=$2
  shift 2
  case $source in
  *.cc) compiler="$CXX -std=c++17 -fsized-deallocation" ;;
  *) compiler="$CC -std=gnu11" ;;
  esac
  # shellcheck disable=SC2086
  $compiler -O1 -g -Wall -Wextra -fno-builtin -pthread \
    -I"$ALM_SOURCE_DIR/include" -o "$out" "$here/programs/$source" "$@" ||
    fail "$source does not compile"
}
