#!/bin/sh
# ALMACEN=name=value: wrong names and values give one clear line, once, and the
# program runs as if they were not there.
. "$(dirname "$0")/lib.sh"
need "$CC"
need_almacen

compile face face.c
printf '#include <stdlib.h>\nint main(void) { free(malloc(9)); return 0; }\n' \
  >little.c
$CC -fno-builtin -o little little.c || fail "cannot compile"

# lines COUNT WORD ALMACEN-VALUE -- a run prints COUNT lines, each with WORD.
lines() {
  ALMACEN=$3 preloaded 30 ./face 1 >out 2>err
  status=$?
  [ $status -eq 0 ] || fail "ALMACEN=$3: $(ending $status): $(cat err)"
  grep -q 'all rules hold' out || fail "ALMACEN=$3: the program went wrong"
  [ "$(wc -l <err)" -eq "$1" ] ||
    fail "ALMACEN=$3: expected $1 lines on stderr, got: $(cat err)"
  [ "$1" -eq 0 ] && return
  grep -q '^almacen: ' err ||
    fail "ALMACEN=$3: no line beginning with almacen: $(cat err)"
  grep -qF "$2" err || fail "ALMACEN=$3: the line does not name $2: $(cat err)"
}

lines 0 '' ''
lines 1 nosuch nosuch=1
lines 1 nosuch nosuch
lines 2 nosuch nosuch=1,other=2
lines 1 nosuch ,nosuch=1,

# A bad value for each option that takes a number or a yes and no.
command=$ALM_BUILD_DIR/bin/almacen
if [ -x "$command" ] && "$command" options >options 2>/dev/null; then
  # The table's first column are names, a type word follows on the line.
  awk '/bool|count|bytes|ms/ && $1 ~ /^[a-z_]+$/ {print $1}' options >names
  [ -s names ] || fail "'almacen options' lists no option with a number"
  while read -r option; do
    ALMACEN=$option=banana preloaded 10 ./little >out 2>err
    status=$?
    [ $status -eq 0 ] || fail "ALMACEN=$option=banana: $(ending $status)"
    if [ "$(wc -l <err)" -ne 1 ] || ! grep -q "^almacen: .*$option" err; then
      fail "ALMACEN=$option=banana: expected one line about it, got:" \
        "$(cat err)"
    fi
  done <names
else
  note "$command is not there: bad values not tested"
fi
exit 0
