#!/bin/bash
# redis-server under redis-benchmark, with a snapshot and a rewrite of the log
# (each a fork of the loaded server) while it works; then everything is read
# again from both files and compared.
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli

socket=$work/redis.sock
server='' load=''
stop_server() {
  for pid in $load $server; do
    kill -9 "$pid" && wait "$pid"
  done 2>/dev/null
}
trap 'stop_server; cd / && rm -rf "$work"' EXIT

ask() { timeout $((20 * patience)) redis-cli -s "$socket" "$@"; }

# start ARGUMENT... -- a server on the library, answering.
start() {
  env LD_PRELOAD="$LIB" redis-server --port 0 --unixsocket "$socket" \
    --dir "$work" --save '' --appenddirname log --enable-debug-command yes \
    --auto-aof-rewrite-percentage 0 "$@" >>server.log 2>&1 &
  server=$!
  for _ in $(seq 150); do
    [ "$(ask ping 2>/dev/null)" = PONG ] && return
    kill -0 $server 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 server.log >&2
  fail "redis-server does not start under $LIB"
}

alive() {
  kill -0 "$server" 2>/dev/null || {
    wait "$server"
    tail -n 20 server.log >&2
    fail "redis-server under $LIB: $(ending $?) during $1"
  }
}

# wait_for FIELD VALUE WHAT -- until INFO persistence says so.
wait_for() {
  for _ in $(seq 200); do
    ask info persistence | tr -d '\r' | grep -qx "$1:$2" && return
    alive "$3"
    sleep 0.1
  done
  ask info persistence >&2
  fail "redis-server under $LIB: $3 does not end (a child hangs?)"
}

bench() {
  timeout $((50 * patience)) redis-benchmark -s "$socket" -q --csv "$@" >>bench.log 2>&1 || {
    status=$?
    alive "redis-benchmark"
    tail -n 5 bench.log >&2
    fail "redis-benchmark $*: $(ending $status)"
  }
}

start --appendonly yes
maps=/proc/$server/maps
if [ -r "$maps" ]; then
  grep -qF "$(basename "$(readlink -f "$LIB")")" "$maps" ||
    fail "redis-server does not have $LIB in its address space"
fi
bench -n 40000 -c 20 -r 20000 -d 100 -t set,get,incr,lpush,rpop,sadd,hset,zadd
bench -n 200 -c 10 -r 500 -d 20000 -t set
bench -n 20000 -c 10 -P 16 -r 20000 -d 700 -t set,mset
ask eval 'for i = 1, 20000 do
  redis.call("rpush", "list:" .. i % 50, string.rep("v", i % 400))
  redis.call("hset", "hash:" .. i % 100, "f" .. i, i)
  redis.call("zadd", "zset:" .. i % 10, i, "m" .. i) end return 1' 0 >/dev/null

bench -n 30000 -c 10 -r 20000 -d 300 -t set & # writes on during the forks
load=$!
answer=$(ask bgsave)
[ "$answer" = "Background saving started" ] || fail "BGSAVE: $answer"
wait_for rdb_bgsave_in_progress 0 BGSAVE
wait_for rdb_last_bgsave_status ok BGSAVE
answer=$(ask bgrewriteaof)
case $answer in
*started*) ;;
*) fail "BGREWRITEAOF: $answer" ;;
esac
wait_for aof_rewrite_in_progress 0 BGREWRITEAOF
wait_for aof_last_bgrewrite_status ok BGREWRITEAOF
wait $load || exit 1
load=
ask memory purge >/dev/null
ask config set activedefrag no >/dev/null

keys=$(ask dbsize)
ask save | grep -q OK || fail "SAVE is refused"
alive "the benchmark"
sum=$(ask --raw eval 'local s = 0
  for i = 0, 49 do for _, v in ipairs(redis.call("lrange", "list:" .. i, 0, -1))
  do s = s + #v end end return s' 0)
[ "$sum" -eq 3990000 ] || fail "lists hold $sum bytes, not 3990000"
[ "${keys##* }" -gt 10000 ] || fail "redis-server: only $keys keys"

# What the files say, in new processes: first the log, then the snapshot.
digest=$(ask debug digest)
[ ${#digest} -eq 40 ] || fail "DEBUG DIGEST gives no digest: $digest"
for file in yes no; do
  ask shutdown nosave >/dev/null 2>&1
  wait $server || fail "redis-server ends with $(ending $?)"
  start --appendonly $file
  again=$(ask dbsize)
  [ "$again" = "$keys" ] ||
    fail "read again (log: $file): $again keys instead of $keys"
  [ "$(ask debug digest)" = "$digest" ] ||
    fail "read again (log: $file): other data, by DEBUG DIGEST"
  alive "reading again"
done
ask flushall >/dev/null
ask shutdown nosave >/dev/null 2>&1
wait $server || fail "redis-server ends with $(ending $?)"
server=
if grep -qiE 'crash|guru|bug report|almacen:' server.log; then
  tail -n 40 server.log >&2
  fail "redis-server reports a crash"
fi
exit 0
