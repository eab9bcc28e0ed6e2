#!/bin/sh
# Handlers that interrupt malloc and free everywhere do no harm.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile signals signals.c
check "signals" 30 ./signals
