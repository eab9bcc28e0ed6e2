#!/bin/sh
# Memory goes back to the system while every thread sleeps: 1 GiB freed, RSS
# within live + 10 % + 16 MiB after 10 s.
. "$(dirname "$0")/lib.sh"
need "$CC"
available=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
[ "$available" -ge 2048 ] ||
  skip "needs 2 GiB of memory, $available MiB are free"

compile spike spike.c
check "spike" 45 ./spike
note "$(cat check.out)"
