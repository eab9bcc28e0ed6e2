#!/bin/sh
# mallinfo2, mallinfo, malloc_info (XML that a parser takes), malloc_stats,
# malloc_trim, mallopt.
. "$(dirname "$0")/lib.sh"
need "$CC"
need_almacen

compile reports reports.c
check "reports" 30 ./reports first.xml second.xml
grep -q 'all rules hold' check.out || fail "reports stopped early"
grep -q '^system bytes  *= *[0-9]' check.err ||
  fail "malloc_stats wrote no 'system bytes' line to stderr"
grep -q '^in use bytes  *= *[0-9]' check.err ||
  fail "malloc_stats wrote no 'in use bytes' line to stderr"

for file in first.xml second.xml; do
  for part in '<malloc version="1">' '<heap nr="0">' '<sizes>' \
    '<total type="rest"' '<total type="mmap"' '<system type="current"' \
    '<system type="max"' '<aspace type="total"' '</malloc>'; do
    grep -qF "$part" $file || fail "malloc_info: $file lacks $part"
  done
done
grep -q '<size from="[0-9]*" to="[0-9]*" total="[0-9]*" count="[0-9]*"/>' \
  second.xml || fail "malloc_info lists no free sizes in a fragmented heap"
if command -v xmllint >/dev/null 2>&1; then
  xmllint --noout first.xml second.xml || fail "malloc_info: invalid XML"
elif command -v python3 >/dev/null 2>&1; then
  for file in first.xml second.xml; do
    python3 -c "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])" $file ||
      fail "malloc_info: invalid XML"
  done
else
  note "no XML parser found (xmllint, python3): XML checked by grep only"
fi
exit 0
