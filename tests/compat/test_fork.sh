#!/bin/sh
# fork out of threaded processes: no deadlock in children, and no price per
# thread: at most three times the time without preload plus a millisecond.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile forks forks.c
check "forks" 150 ./forks

compile fork_cost fork_cost.c
compare_cost() {
  plain 20 ./fork_cost >plain.out || fail "fork_cost fails without preload"
  check "fork with 1,000 threads" 20 ./fork_cost
  with=$(cat check.out)
  without=$(cat plain.out)
  note "fork with 1,000 threads: $with us preloaded, $without us plain"
  [ "$with" -le $((without * 3 + 1000)) ]
}
compare_cost || compare_cost || # a busy machine gets a second chance
  fail "fork with 1,000 threads takes $with us, $without us without preload"
