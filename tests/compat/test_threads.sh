#!/bin/sh
# 2,000 short threads whose objects outlive them; threads cancelled while they
# allocate.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile threads threads.c
check "threads" 50 ./threads
