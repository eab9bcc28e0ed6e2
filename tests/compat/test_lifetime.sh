#!/bin/sh
# Before main, after main, in constructors and destructors, in thread-exit
# destructors, in libraries loaded and unloaded, C++ plugins among them.
. "$(dirname "$0")/lib.sh"
need "$CC"

compile lifetime lifetime.c -ldl
compile plugin.so plugin.c -fPIC -shared
plugins=./plugin.so
if command -v "$CXX" >/dev/null 2>&1; then
  compile plugin_cxx.so plugin_cxx.cc -fPIC -shared
  plugins="$plugins ./plugin_cxx.so"
fi
# shellcheck disable=SC2086
compare "lifetime" 30 ./lifetime $plugins
grep -q 'destructor ran' preloaded.out || fail "the last destructor did not run"
