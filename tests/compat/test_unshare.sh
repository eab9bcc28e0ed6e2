#!/bin/sh
# unshare and setns of user and mount namespaces with the background thread
# running; errno as libc sets it.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile unshare unshare.c
refused=0
for part in errors unshare setns; do
  preloaded 20 ./unshare $part >out 2>err
  status=$?
  if [ $status -eq 77 ]; then
    note "$part: this system does not allow user namespaces"
    refused=$((refused + 1))
    continue
  fi
  [ $status -eq 0 ] || {
    cat out err >&2
    fail "$part: $(ending $status)"
  }
  note "$part: $(head -n 1 out)"
done
[ $refused -lt 2 ] || skip "no user namespaces"
