#!/bin/sh
# Every documented function and variable of libgc has a test: the programs
# libgc/functions_*.c end well on Debian's library and on ours, print the same
# lines, and together use each exported name that the headers declare.
. "$(dirname "$0")/libgc.sh"
need "$CC" nm ldd

$CC -shared -fPIC -o plugin_functions.so "$here/libgc/plugin_functions.c" ||
  fail "plugin_functions.c does not compile"
programs=
for source in "$here"/libgc/functions_*.c; do
  program=$(basename "$source" .c)
  compile_gc "$program" "$program.c" -ldl
  programs="$programs $program"
done

# ---- each program on both ----------------------------------------------------

# A program prints `ok` and a sentence for each of its tests, so a line that is
# missing on one side is a test that did not run there.
tests=0
for program in $programs; do
  compare_gc "$program" 60 "./$program"
  lines=$(grep -c '^ok ' ours.out)
  [ "$lines" -gt 0 ] || fail "$program ran no test"
  tests=$((tests + lines))
done

# ---- no name without a test --------------------------------------------------

# The words of a header that begin with GC_, without its comments.
names_of() {
  $CC -fpreprocessed -dD -E -P -x c "$1" 2>/dev/null |
    grep -o '\<GC_[A-Za-z0-9_]*'
}

debian=$(ldd ./functions_alloc | awk '/libgc\.so\.1/ {print $3}')
nm -D --defined-only "$debian" | awk '$3 ~ /^GC_/ {print $3}' |
  sort -u >exported
for header in "$ALM_SOURCE_DIR"/compat/include/gc/*.h /usr/include/gc/*.h; do
  [ ! -e "$header" ] || names_of "$header"
done | sort -u >declared
comm -12 exported declared >documented

# What a program uses of the library is in its dynamic symbol table: functions
# undefined, variables perhaps as copies.
for program in $programs; do
  nm -D "$program" | awk '$NF ~ /^GC_/ {sub(/@.*/, "", $NF); print $NF}'
done | sort -u >used
comm -23 documented used >untested
count=$(wc -l <documented)
[ "$count" -ge 270 ] || fail "only $count documented names found"
[ ! -s untested ] || fail "no test of: $(tr '\n' ' ' <untested)"
note "$tests tests, $count names"
