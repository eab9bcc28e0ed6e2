#!/bin/bash
# tar and xz with two threads: what is packed comes out the same.
. "$(dirname "$0")/lib.sh"
need tar xz
mkdir tree
for i in 1 2 3 4 5 6; do
  seq $((i * 100000)) $((i * 100000 + 300000)) >tree/numbers$i
  head -c 1000000 /dev/urandom >tree/random$i
done
seq -f 'tree/many/%.0f' 1 300 | { mkdir tree/many && xargs touch; }

check "tar" 30 tar --sort=name -cf preloaded.tar tree
plain 30 tar --sort=name -cf plain.tar tree
cmp preloaded.tar plain.tar || fail "tar writes another archive"
check "xz -T2" 40 xz -T2 -2 --block-size=1MiB -k preloaded.tar
plain 40 xz -T2 -2 --block-size=1MiB -k plain.tar
cmp preloaded.tar.xz plain.tar.xz || fail "xz -T2 packs otherwise"
mkdir out
check "xz -d -T2" 30 xz -d -T2 -k -f preloaded.tar.xz
cmp preloaded.tar plain.tar || fail "xz -d unpacks something else"
check "tar -x with xz" 30 tar -C out -I 'xz -T2' -xf preloaded.tar.xz
diff -r tree out/tree >/dev/null || fail "the unpacked tree differs"
exit 0
