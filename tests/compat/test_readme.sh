#!/bin/sh
# The example in README.md is examples/first.c, and its commands work.
. "$(dirname "$0")/lib.sh"
need "$CC" sed
need_almacen
lib=$(dirname "$LIB")
readme=$ALM_SOURCE_DIR/README.md
example=$ALM_SOURCE_DIR/examples/first.c

# The block between ```c and ```; the file has a comment above it.
sed -n '/^```c$/,/^```$/p' "$readme" | sed '/^```/d' >block.c
sed '1,/^ \*\/$/d' "$example" >rest.c
cmp -s block.c rest.c || {
  diff block.c rest.c | head -n 20 >&2
  fail "the example in README.md is not $example"
}

# The commands, in a tree that looks like the source tree.
mkdir build
ln -s "$ALM_SOURCE_DIR/include" "$ALM_SOURCE_DIR/examples" .
ln -s "$lib" build/lib
sed -n '/^cc .*examples\/first.c/,/^```$/p' "$readme" | sed '/^```/d' >commands
[ "$(wc -l <commands)" -eq 2 ] || fail "found no commands in README.md"
plain 40 sh -e commands >out 2>err || {
  cat out err >&2
  fail "the commands in README.md fail"
}
[ "$(cat out)" = '106496 bytes may be used' ] || fail "printed: $(cat out)"

# As it says: linked with the malloc face, malloc itself is almacen's.
plain 40 "$CC" -Iinclude examples/first.c -Lbuild/lib -lalmacen-malloc \
  -o first-malloc || fail "does not link with -lalmacen-malloc"
LD_LIBRARY_PATH=build/lib plain 20 ./first-malloc >out ||
  fail "fails with -lalmacen-malloc"
exit 0
