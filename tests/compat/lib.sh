# tests/compat/lib.sh -- what the tests of the malloc face share; sourced, not
# run. base.sh says what a test gets and how it leaves.
#
# Environment, beyond base.sh's:
#   ALM_MALLOC_LIB  another library to put under test, to tell a fault of a
#                   test from a fault of ours
. "$(dirname "$0")/base.sh"
LIB=${ALM_MALLOC_LIB:-$ALM_BUILD_DIR/lib/libalmacen-malloc.so}
need_plain_library "$LIB"

# The library under test, by content: tests of what only almacen promises ask.
is_almacen() { nm -D "$LIB" 2>/dev/null | grep -q ' T alm_malloc$'; }

need_almacen() { is_almacen || skip "$LIB is not almacen"; }

# plain SECONDS COMMAND... -- run as the system would.
plain() { within "$@"; }

# preloaded SECONDS COMMAND... -- run on the library under test.
preloaded() {
  seconds=$1
  shift
  within "$seconds" env LD_PRELOAD="$LIB" "$@"
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

# check WHAT SECONDS COMMAND... -- run preloaded; must end with 0. Output is in
# check.out and check.err.
check() {
  what=$1
  shift
  must_end_well "$what" check "under $LIB" preloaded "$@"
}

# compare WHAT SECONDS COMMAND... -- run plain, then preloaded; both must end
# with 0 and print the same.
compare() {
  what=$1
  shift
  must_end_well "$what" plain "already without preload" plain "$@"
  must_end_well "$what" preloaded "under $LIB" preloaded "$@"
  must_print_the_same "$what" plain preloaded "without preload"
}

# compile OUT SOURCE [FLAG...] -- one of programs/, with the calls to malloc
# left as they stand.
compile() {
  out=$1
  source=$here/programs/$2
  shift 2
  compile_file "$out" "$source" -fno-builtin -I"$ALM_SOURCE_DIR/include" "$@"
}
