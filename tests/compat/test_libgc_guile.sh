#!/bin/bash
# Guile 3.0: its programs print the same on ours as on Debian's libgc, read from
# source and compiled; the compiler's output is the same to the byte. (Debian
# ships no tests of Guile's own; libgc/guile/ has a program per subject.)
. "$(dirname "$0")/libgc.sh"
need_client guile
need guild

# Nothing is compiled or cached behind the test's back.
GUILE_AUTO_COMPILE=0 XDG_CACHE_HOME=$work HOME=$work PORTS_DIR=$work
export GUILE_AUTO_COMPILE XDG_CACHE_HOME HOME PORTS_DIR
subjects=$(cd "$here/libgc/guile" && echo *.scm)

# same_code WHAT FILE [OPTION...] -- FILE compiled by both; ours is kept in
# compiled/.
mkdir compiled
same_code() {
  code=$(basename "$2" .scm).go
  what=$1
  source=$2
  shift 2
  on_debian 30 guild compile -L "$here/libgc/guile" "$@" -o debian.go \
    "$source" >debian.out 2>&1 || fail "$what: does not compile on Debian's"
  check_gc "$what" 30 guild compile -L "$here/libgc/guile" "$@" \
    -o "compiled/$code" "$source"
  cmp -s debian.go "compiled/$code" || fail "$what: its code differs"
}

for subject in $subjects; do
  same_code "$subject" "$here/libgc/guile/$subject" -O1
done
# both_ways SUBJECT -- interpreted by both; compiled, it prints the same again.
both_ways() {
  compare_gc "$1, interpreted" 20 \
    guile -L "$here/libgc/guile" -s "$here/libgc/guile/$1"
  check_gc "$1, compiled" 20 guile -L "$here/libgc/guile" \
    -C compiled -c "(load-compiled \"compiled/${1%.scm}.go\")"
  cmp -s debian.out ours.out || fail "$1, compiled: output differs"
}

for subject in $subjects; do
  case $subject in
  suite.scm) ;;
  threads.scm | fork.scm)
    # Guile 3.0.8 loses pages of a stack that grows while other threads collect,
    # on Debian's libgc, too. And a thread that was interrupted in lock-mutex, by
    # the hook that runs after a collection, waits again without a look whether
    # the mutex has become free meanwhile (lock_mutex in its threads.c: EINTR): on
    # ours it then hangs for ever in one run of fifty. These have three chances.
    (both_ways "$subject") || (both_ways "$subject") || both_ways "$subject" ;;
  *) both_ways "$subject" ;;
  esac
done

# A module of Guile itself: what the compiler makes of it is what Debian ships.
libraries=$(guile -c '(display (%site-ccache-dir))' | sed 's,/site-ccache,,')
sources=$(guile -c '(display (%package-data-dir))')/guile/3.0
module=language/tree-il/peval
[ -r "$sources/$module.scm" ] || exit 0
check_gc "compiling $module" 60 guild compile -o ours.go "$sources/$module.scm"
if ! cmp -s ours.go "$libraries/ccache/$module.go"; then
  on_debian 60 guild compile -o debian.go "$sources/$module.scm" \
    >debian.out 2>&1 || fail "compiling $module: fails on Debian's libgc"
  cmp -s debian.go ours.go || fail "compiling $module: the code differs"
fi
compare_gc "a compiled module is loaded" 20 guile -c \
  '(load-compiled "ours.go")
   (display (module-name (resolve-module (quote (language tree-il peval)))))'
exit 0
