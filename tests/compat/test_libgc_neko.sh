#!/bin/bash
# neko: compiled by nekoc to the same bytes, and run to the same output.
. "$(dirname "$0")/libgc.sh"
need_client neko nekoc

cp "$here/libgc/client.neko" .
on_debian 20 nekoc client.neko >debian.out 2>&1 ||
  fail "nekoc fails on Debian's libgc: $(cat debian.out)"
mv client.n debian.n
check_gc "nekoc" 20 nekoc client.neko
cmp -s debian.n client.n || fail "nekoc: the code differs"
compare_gc "a program" 30 neko client.n
grep -q '^buffer: ' ours.out || fail "the program did not come to its end"

# A large source, machine-made.
awk 'BEGIN {
  for (i = 0; i < 300; i++) {
    printf "f%d = function(a, b) { var o = $array(a, b, \"s%d\"); ", i, i
    for (j = 0; j < 20; j++)
      printf "if( a > b + %d ) return o[0] + %d * (a - %d); ", j, i, j
    print "return $ssize(o[2]); }"
  }
  print "var t = 0;"
  for (i = 0; i < 300; i++) printf "t = t + f%d(%d, 150);\n", i, i
  print "$print(t);"
}' >large.neko
on_debian 30 nekoc large.neko && mv large.n debian.n ||
  fail "nekoc fails on Debian's libgc"
check_gc "nekoc on a large source" 30 nekoc large.neko
cmp -s debian.n large.n || fail "nekoc on a large source: the code differs"
compare_gc "a large program" 20 neko large.n
exit 0
