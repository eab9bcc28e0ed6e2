#!/bin/sh
# The background thread never starts before main, and starts when there is
# much to return: preloaded, linked, linked statically, and in programs that
# call alm_malloc.
. "$(dirname "$0")/lib.sh"
need "$CC"
need_almacen
lib=$(dirname "$LIB")

run() {
  plain 30 "$@" >out 2>err || {
    status=$?
    cat out err >&2
    fail "$*: $(ending $status)"
  }
}

parts="constructor spike small"
compile start start.c
for part in $parts; do
  check "preloaded, $part" 30 ./start $part
done

compile linked start.c "$LIB" -Wl,-rpath,"$lib"
compile archive start.c "$lib/libalmacen-malloc.a"
compile prefixed start.c -DPREFIXED "$lib/libalmacen.so" -Wl,-rpath,"$lib"
compile prefixed-archive start.c -DPREFIXED "$lib/libalmacen.a"
for part in $parts; do
  for form in linked archive prefixed prefixed-archive; do
    run ./$form $part
  done
done

echo 'int main(void) { return 0; }' >nothing.c
if $CC -static nothing.c -o nothing 2>/dev/null; then
  compile static start.c -static "$lib/libalmacen-malloc.a"
  for part in $parts; do
    run ./static $part
  done
fi

# The hook passes on what main gets and returns, also where the program starts
# libc by itself.
compile entry entry.c -nostartfiles
preloaded 30 ./entry one two >out 2>err
status=$?
[ $status -eq 43 ] || { cat out err >&2; fail "entry: $(ending $status)"; }
