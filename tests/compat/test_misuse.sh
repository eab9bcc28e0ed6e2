#!/bin/sh
# Wrong pointers: one line on stderr that names the call, the pointer and what
# it is; then abort. Never silence, never a crash elsewhere.
. "$(dirname "$0")/lib.sh"
need "$CC"
need_almacen

compile misuse misuse.c -Wno-deprecated-declarations -Wno-use-after-free \
  -Wno-unknown-warning-option 2>compile.err ||
  { cat compile.err >&2; exit 1; }

never='was never allocated by almacen'
inside='inside a[n]* [0-9]*-byte object'
freed='is free already'
failures=0

complain() {
  note "FAIL: $*"
  [ -s err ] && sed 's/^/    stderr: /' err
  failures=$((failures + 1))
}

# expect CALL KIND PATTERN
expect() {
  aborting err ./misuse "$1" "$2" >out
  status=$?
  pointer=$(cat out)
  if [ $status -eq 0 ]; then
    complain "$1 of $2: not noticed"
  elif [ $status -ne 134 ]; then
    complain "$1 of $2: $(ending $status) instead of abort"
  elif [ "$(wc -l <err)" -ne 1 ]; then
    complain "$1 of $2: $(wc -l <err) lines on stderr, expected one"
  elif ! grep -q "^almacen: " err; then
    complain "$1 of $2: the line does not begin with 'almacen:'"
  elif ! grep -q "^almacen: $1($pointer): " err; then
    complain "$1 of $2: the line does not name the call and $pointer"
  elif ! grep -qE "$3" err; then
    complain "$1 of $2: the line does not say '$3'"
  fi
}

for call in free realloc malloc_usable_size; do
  for kind in stack static bss code literal low high kernel noncanonical \
    unmapped; do
    expect $call $kind "$never"
  done
  for kind in inside odd inside-middle inside-large inside-large-odd; do
    expect $call $kind "$inside"
  done
  expect $call freed "$freed"
  expect $call freed-large "$freed|$never"
done
expect free inside 'pointer is 16 bytes inside a 48-byte object'
expect free beyond "$never|$inside|$freed"
expect free freed-middle "$freed|$never"
expect free freed-second "$freed"
expect free freed-later "$freed|$never"
expect free freed-elsewhere "$freed|$never"
expect reallocarray inside "$inside"
for call in free_sized free_aligned_sized; do
  expect $call stack "$never"
  expect $call inside "$inside"
  expect $call freed "$freed"
done
[ $failures -eq 0 ] || fail "$failures kinds of misuse are not reported right"
