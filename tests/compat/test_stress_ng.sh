#!/bin/bash
# stress-ng's malloc stressors, with verification of what they wrote.
. "$(dirname "$0")/lib.sh"
need stress-ng
check "stress-ng --malloc 2" 30 stress-ng --malloc 2 --malloc-bytes 64M \
  --timeout 6s --verify --oomable --temp-path "$work"
check "stress-ng --malloc 2, threads" 30 stress-ng --malloc 2 \
  --malloc-pthreads 4 --malloc-bytes 64M --malloc-touch --timeout 6s --verify \
  --oomable --temp-path "$work"
grep -qiE 'fail:|corrupt' check.out check.err && {
  tail -n 20 check.out check.err >&2
  fail "stress-ng found something wrong"
}
exit 0
