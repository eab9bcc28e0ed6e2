#!/bin/bash
# Programs that strain what libgc promises: C++, threads nobody registered,
# libraries loaded and unloaded, coroutines, forks, deep structures, handlers
# on stacks of their own, malloc beside GC_malloc; and with the malloc face in
# the same process.
. "$(dirname "$0")/libgc.sh"
need "$CC" "$CXX"

for program in loading coroutines forks deep mixed plain_threads altstack \
  unloaded many_libraries; do
  compile_gc "$program" "$program.c" -ldl
done
compile_gc one_core one_core.c -I"$ALM_SOURCE_DIR/include" -ldl
compile_gc cxx cxx.cc
$CC -shared -fPIC -o plugin_pointers.so "$here/libgc/plugin_pointers.c" ||
  fail "plugin_pointers.c does not compile"
for bytes in 16 268435456; do
  $CC -shared -fPIC -DBYTES=$bytes -o plugin_$bytes.so \
    "$here/libgc/plugin_tls.c" || fail "plugin_tls.c does not compile"
done

compare_gc "C++" 20 ./cxx
compare_gc "libraries loaded and unloaded" 60 ./loading ./plugin_pointers.so 2 0
compare_gc "a library in another's place" 20 ./unloaded ./plugin_16.so \
  ./plugin_268435456.so
for i in $(seq 400); do
  cp plugin_pointers.so "plugin_copy$i.so"
done
compare_gc "many libraries" 30 ./many_libraries ./plugin_copy 400 2
compare_gc "coroutines" 20 ./coroutines
compare_gc "forks while threads allocate" 60 ./forks
compare_gc "deep structures" 60 ./deep
compare_gc "malloc beside GC_malloc" 20 ./mixed

is_almacen_gc || exit 0

# Debian's libgc has to be told of threads, reads a library's variables while
# another thread unloads it, knows none of its thread-local ones, and leaves out
# the usual stack of a thread that is in a handler on another.
check_gc "plain threads" 30 ./plain_threads
check_gc "libraries, thread-local variables and collecting threads" 60 \
  ./loading ./plugin_pointers.so 3 2
check_gc "many libraries with thread-local variables" 30 \
  ./many_libraries ./plugin_copy 400 3
check_gc "handlers on stacks of their own" 30 ./altstack

# ---- with the malloc face, and preloaded -------------------------------------

ours=$(readlink -f "$GC_DIR/libgc.so.1")
malloc=$ALM_BUILD_DIR/lib/libalmacen-malloc.so
need_plain_library "$malloc"

# each_with HOW CORES VARIABLE=VALUE... -- the programs in this environment.
each_with() {
  how=$1
  cores=$2
  shift 2
  for program in "one_core $cores" cxx coroutines forks mixed plain_threads \
    "loading ./plugin_pointers.so 3 2"; do
    # shellcheck disable=SC2086
    within 60 env "$@" ./$program >ours.out 2>ours.err
    status=$?
    [ "$status" -eq 0 ] && continue
    tail -n 20 ours.out ours.err >&2
    fail "$program, $how: $(ending "$status")"
  done
}

each_with "with the malloc face" together LD_LIBRARY_PATH="$GC_DIR" LD_PRELOAD="$malloc"
each_with "preloaded before the malloc face" together LD_PRELOAD="$ours $malloc"
each_with "preloaded after the malloc face" together LD_PRELOAD="$malloc $ours"
each_with "preloaded" alone LD_PRELOAD="$ours"

# Preloaded by any name, ours is the one libgc of the process.
for preload in "$ours" "$ours $malloc"; do
  LD_PRELOAD=$preload LD_DEBUG=bindings ./mixed 2>&1 |
    grep 'binding file ./mixed .*GC_malloc' >bindings
  grep -q "to $ours" bindings ||
    fail "preloaded, GC_malloc is bound to: $(cat bindings)"
done
exit 0
