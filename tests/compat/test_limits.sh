#!/bin/bash
# Little memory: ulimit -v 256 MiB, RLIMIT_DATA 64 MiB, a cgroup of 64 MiB.
# malloc returns NULL with ENOMEM and the program goes on.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile limits limits.c

# limited ULIMIT... -- COMMAND: run preloaded, with the limit on it alone.
limited() {
  option=$1 kib=$2
  shift 2
  # shellcheck disable=SC2016
  timeout -k 5 $((40 * patience)) bash -c 'ulimit "$1" "$2" || exit 77; lib=$3; shift 3
    exec env LD_PRELOAD="$lib" "$@"' bash "$option" "$kib" "$LIB" "$@" \
    >out 2>err
}

must() {
  what=$1
  shift
  "$@"
  status=$?
  [ $status -eq 0 ] && return
  tail -n 20 out err >&2
  fail "$what: $(ending $status)"
}

mib=$((1024 * 1024))
must "ulimit -v 256 MiB" limited -v 262144 ./limits until-null $((128 * mib))
must "ulimit -v 256 MiB" limited -v 262144 ./limits below $((96 * mib))
must "ulimit -v 128 MiB" limited -v 131072 ./limits until-null $((32 * mib))
must "ulimit -d 64 MiB" limited -d 65536 ./limits until-null $((32 * mib))
must "ulimit -d 64 MiB" limited -d 65536 ./limits below $((24 * mib))

# Programs people run under such a limit.
for command in 'ls -l /' 'sort /etc/passwd' 'bash -c "echo hello"' \
  '/usr/bin/python3 -c "print(sum(len(str(i)) for i in range(200000)))"' \
  'perl -e "@a = map { \"x\" x \$_ } 1 .. 3000; print scalar(@a)"'; do
  command -v "${command%% *}" >/dev/null 2>&1 || continue
  must "ulimit -v 256 MiB: $command" limited -v 262144 sh -c "$command"
done

# A cgroup kills who exceeds it: stay below, with memory used again and again.
group=
make_group() {
  base=/sys/fs/cgroup
  if [ -e $base/cgroup.controllers ]; then
    group=$base/almacen-test-$$
    mkdir $group 2>/dev/null && [ -w $group/memory.max ] || return 1
    echo $((64 * mib)) >$group/memory.max || return 1
    [ ! -e $group/memory.swap.max ] || echo 0 >$group/memory.swap.max
  elif [ -d $base/memory ]; then
    group=$base/memory/almacen-test-$$
    mkdir $group 2>/dev/null && [ -w $group/memory.limit_in_bytes ] || return 1
    echo $((64 * mib)) >$group/memory.limit_in_bytes || return 1
    [ ! -e $group/memory.memsw.limit_in_bytes ] ||
      echo $((64 * mib)) >$group/memory.memsw.limit_in_bytes
  else
    return 1
  fi 2>/dev/null
}

in_group() {
  # shellcheck disable=SC2016
  timeout -k 5 $((40 * patience)) bash -c 'echo $$ >"$1"/cgroup.procs || exit 77; lib=$2
    shift 2; exec env LD_PRELOAD="$lib" "$@"' bash "$group" "$LIB" "$@" \
    >out 2>err
}

if make_group; then
  must "a cgroup of 64 MiB" in_group ./limits below $((40 * mib))
  rmdir "$group"
else
  [ -z "$group" ] || rmdir "$group" 2>/dev/null
  note "no writable memory cgroup: that part is skipped"
fi
exit 0
