# tests/compat/libgc.sh -- what the tests of the libgc face share; sourced, not
# run. base.sh says what a test gets and how it leaves.
#
# The same binary runs twice: on Debian's libgc.so.1, which the dynamic linker
# finds by itself, and on ours, which LD_LIBRARY_PATH puts before it.
#
# Environment, beyond base.sh's:
#   ALM_GC_DIR  another folder with a libgc.so.1 to put under test, to tell a
#               fault of a test from a fault of ours
. "$(dirname "$0")/base.sh"
GC_DIR=${ALM_GC_DIR:-$ALM_BUILD_DIR/lib/libgc}
need_plain_library "$GC_DIR/libgc.so.1"

# What the tests themselves want to see of libgc's environment, they set.
for variable in $(env | sed -n 's/^\(GC_[A-Z_]*\)=.*/\1/p'); do
  unset "$variable"
done

# Tests of what only almacen promises ask.
is_almacen_gc() {
  case $(readlink -f "$GC_DIR/libgc.so.1") in
  */libalmacen-gc.so*) true ;;
  *) false ;;
  esac
}

# need_client PROGRAM... -- skip when one is not installed; fail when the
# dynamic linker does not give it the library under test.
need_client() {
  need "$@"
  for program; do
    LD_LIBRARY_PATH=$GC_DIR ldd "$(command -v "$program")" >ldd.out 2>&1
    grep -qF "libgc.so.1 => $GC_DIR/" ldd.out ||
      fail "$program would not run on $GC_DIR/libgc.so.1: $(grep libgc ldd.out)"
  done
}

# on_debian SECONDS COMMAND... -- run on the system's libgc.
on_debian() { within "$@"; }

# on_ours SECONDS COMMAND... -- run on the library under test.
on_ours() {
  seconds=$1
  shift
  within "$seconds" env LD_LIBRARY_PATH="$GC_DIR" "$@"
}

# check_gc WHAT SECONDS COMMAND... -- run on the library under test; must end
# with 0. Output is in ours.out and ours.err.
check_gc() {
  what=$1
  shift
  must_end_well "$what" ours "on $GC_DIR" on_ours "$@"
}

# compare_gc WHAT SECONDS COMMAND... -- run on Debian's, then on the library
# under test; both must end with 0 and print the same.
compare_gc() {
  what=$1
  shift
  must_end_well "$what" debian "already on Debian's libgc" on_debian "$@"
  must_end_well "$what" ours "on $GC_DIR" on_ours "$@"
  must_print_the_same "$what" debian ours "on Debian's libgc"
}

# compile_gc OUT SOURCE [FLAG...] -- one of libgc/ with our headers, linked by
# libgc's name, so that the library is chosen when it runs.
compile_gc() {
  out=$1
  source=$here/libgc/$2
  shift 2
  compile_file "$out" "$source" -I"$ALM_SOURCE_DIR/compat/include" "$@" -lgc
}
