#!/bin/bash
# gcc and clang compile this library's own sources to the same assembly as
# without preload.
. "$(dirname "$0")/lib.sh"
sources=$(find "$ALM_SOURCE_DIR/src" -name '*.c' ! -name 'almacen_all.c' | sort)
[ -n "$sources" ] || fail "no sources in $ALM_SOURCE_DIR/src"

cat >build.sh <<'END'
compiler=$1 out=$2
shift 2
mkdir -p $out
for source; do
  name=$(echo "$source" | sed 's,.*/src/,,; s,/,-,g')
  $compiler -std=gnu11 -D_GNU_SOURCE -O2 -S -o $out/$name.s \
    -I"$ALM_SOURCE_DIR/src" -I"$ALM_SOURCE_DIR/include" "$source" || exit 1
done
cksum $out/*.s | sed "s,$out/,,"
END
export ALM_SOURCE_DIR
found=0
for compiler in gcc clang; do
  command -v $compiler >/dev/null 2>&1 || {
    note "$compiler is not installed"
    continue
  }
  found=$((found + 1))
  # shellcheck disable=SC2086
  compare "$compiler, assembly of src/" 60 bash build.sh $compiler out $sources
done
[ $found -gt 0 ] || skip "no compiler"

# Linked with optimisation at link time, which is where compilers take memory.
cat >link.sh <<'END'
cd "$2" && $1 -O2 -flto -o lto ../lto_main.c && ./lto
END
# shellcheck disable=SC2016
printf '#include <stdio.h>\nint main(void) { puts("lto"); return 0; }\n' \
  >lto_main.c
command -v gcc >/dev/null 2>&1 && compare "gcc -flto" 30 bash link.sh gcc out
if command -v g++ >/dev/null 2>&1; then
  compare "g++, templates" 40 g++ -std=c++17 -O1 -S -o - \
    "$here/programs/operators.cc"
fi
exit 0
