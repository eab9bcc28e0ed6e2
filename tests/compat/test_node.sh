#!/bin/bash
# node: a script that allocates heavily, in worker threads and the pool too.
. "$(dirname "$0")/lib.sh"
need node
compare "node" 30 node "$here/programs/allocate.js"
exit 0
