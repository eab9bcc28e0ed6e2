#!/bin/sh
# examples/lisp, an interpreter on a collected heap, runs its own tests: as it
# is, with a collection at nearly every slow path or at each, and with little
# memory.
. "$(dirname "$0")/lib.sh"
need "$CC"
need_almacen
archive=$(dirname "$LIB")/libalmacen.a
[ -e "$archive" ] || skip "$archive is not built"
nm "$archive" 2>/dev/null | grep -q ' T alm_heap_create$' ||
  skip "$archive has no collected heaps"
source=$ALM_SOURCE_DIR/examples/lisp

"$CC" -std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread \
  -I"$ALM_SOURCE_DIR/include" -o lisp "$source"/*.c "$archive" -lm ||
  fail "examples/lisp does not compile"

# run SECONDS OPTION... FILE ARGUMENT... -- a test program; it says ok itself.
run() {
  seconds=$1
  shift
  plain "$seconds" ./lisp "$@" >out 2>err
  status=$?
  if [ "$status" -ne 0 ] || ! grep -q '^ok ' out; then
    tail -n 20 out err >&2
    fail "lisp $*: $(ending "$status")"
  fi
}

scale=100
often=2
if [ "${ALM_SLOW:-0}" = 1 ]; then
  scale=5
  often=1
fi
for program in core closures strings tables gc threads; do
  run 60 "$source/tests/$program.scm" $scale
  run 60 --check 1 --collect-every 5 "$source/tests/$program.scm" $often
done
for program in closures threads; do
  run 60 --check 1 --collect-every 1 "$source/tests/$program.scm" 1
done
# Marked twice at every slow path; with interior pointers short strings share
# blocks.
run 60 --check 2 --collect-every 1 "$source/tests/tables.scm" 1
run 60 --interior --check 2 --collect-every 1 "$source/tests/strings.scm" 1
run 60 --interior --markers 1 "$source/tests/gc.scm" 5
run 60 --stack 8 "$source/tests/deep.scm"
run 60 --limit 16 --stack 8 "$source/tests/memory.scm"

# Benchmarks, as programs; the time they print is not compared.
for program in binary-trees nqueens strings hash threads; do
  case $program in
  binary-trees | nqueens) size=8 ;;
  strings | threads) size=2 ;;
  hash) size=30000 ;;
  esac
  plain 60 ./lisp --gc-percent 50 "$source/bench/$program.scm" "$size" \
    >out 2>&1 ||
    fail "bench/$program.scm fails: $(tail -n 1 out)"
done

# says TEXT STATUS COMMAND... -- the last line of what it prints, its status.
says() {
  want=$1
  want_status=$2
  shift 2
  plain 20 "$@" >out 2>&1
  status=$?
  [ "$status" -eq "$want_status" ] || fail "$*: $(ending "$status")"
  [ "$(tail -n 1 out)" = "$want" ] || fail "$* says: $(tail -n 1 out)"
}

says '(1 2.5 "x" #\a)' 0 ./lisp -e "(list 1 2.5 \"x\" #\\a)"
says 'lisp: -e:1: car: not a pair: 5' 1 ./lisp -e '(car 5)'
says 'lisp: raised: oh' 1 ./lisp -e "(raise 'oh)"
says 'lisp: cannot read nothing.scm' 1 ./lisp nothing.scm
says '("a" "b")' 0 ./lisp -e '(command-line)' a b
says '' 3 ./lisp -e '(exit 3)'
says '5' 0 ./lisp -e '(define (spin) (list 1) (spin)) (thread-start spin)
  (thread-start spin) (thread-start (lambda () 1)) (gc) 5'
printf '(define x\n  42)\n(display x) (newline)\n(car\n x)\n' >in.scm
says 'lisp: in.scm:4: car: not a pair: 42' 1 ./lisp in.scm
says 'lisp: /dev/stdin:4: car: not a pair: 42' 1 sh -c './lisp <in.scm'
if command -v script >/dev/null 2>&1; then # the REPL wants a terminal
  printf '(+ 1\n2)\n(car 1)\n(list 4 5)\n' >in
  plain 20 script -qec ./lisp /dev/null <in >out 2>&1
  tr -d '\r' <out | grep -Eq '(^|[> ])3$' || fail "the REPL does not add"
  tr -d '\r' <out | grep -q '(4 5)$' || fail "the REPL ends at an error"
fi
exit 0
