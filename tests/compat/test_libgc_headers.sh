#!/bin/sh
# The headers of the libgc face compile everywhere, say what Debian's say, and
# declare what the library has.
. "$(dirname "$0")/libgc.sh"
need "$CC" "$CXX" nm python3

ours=$ALM_SOURCE_DIR/compat/include
debian=/usr/include/gc
strict='-Wall -Wextra -Wpedantic -Wundef -Wshadow -Werror'
strict_c='-Wstrict-prototypes -Wmissing-prototypes'

# Declared for programs that name them, but in no build of libgc 8.2 for this
# system: those of Windows, of back pointers and of traces, and wide strings.
absent='GC_debug_wcsdup GC_generate_random_backtrace
  GC_generate_random_heap_address GC_generate_random_valid_address
  GC_get_back_ptr_info GC_print_backtrace GC_print_trace GC_print_trace_inner
  GC_wcsdup GC_win32_free_heap'
# Macros for Debian's own use, and for ours.
private='GC_TMP_VERSION_MAJOR GC_TMP_VERSION_MICRO GC_TMP_VERSION_MINOR
  GC_CONFIG_MACROS_H GC_FAST_COUNT_MAX GC_FAST_POP'

# compilers NAME... -- those of them that are installed.
compilers() {
  for program; do
    command -v "$program" >/dev/null 2>&1 && echo "$program"
  done
}

# must COMMAND... -- fail with its output if it does.
must() {
  "$@" >must.out 2>&1 && return 0
  head -n 20 must.out >&2
  fail "$*: $(head -n 1 must.out)"
}

# words LIST -- one a line, sorted.
words() {
  # shellcheck disable=SC2086
  printf '%s\n' $1 | sort
}

# extremes FUNCTION ARGUMENT... -- with both of these and with neither.
extremes() {
  for options in "" "-DGC_THREADS -DGC_DEBUG"; do
    "$@"
  done
}

# each_option FUNCTION ARGUMENT... -- with GC_THREADS, GC_DEBUG, both, neither.
each_option() {
  for options in "" "-DGC_THREADS" "-DGC_DEBUG" "-DGC_THREADS -DGC_DEBUG"; do
    "$@"
  done
}

# ---- each header compiles alone ---------------------------------------------

alone_c() {
  # shellcheck disable=SC2086
  must "$1" "-std=$2" $strict $strict_c $options -I"$ours" -fsyntax-only \
    alone_*.c
}

alone_cxx() {
  # shellcheck disable=SC2086
  must "$1" "-std=$2" $strict $options -I"$ours" -fsyntax-only $files
}

(cd "$ours" && find . -name '*.h') | sed 's|^\./||' | sort >headers
while read -r header; do
  file=alone_$(echo "$header" | tr '/.' '__')
  printf '#include "%s"\nextern int not_empty;\n' "$header" >"$file.cc"
  case $header in
  *gc_cpp.h | *gc_allocator.h) ;;
  *) cp "$file.cc" "$file.c" ;;
  esac
done <headers
for compiler in $(compilers gcc clang); do
  each_option alone_c "$compiler" c11
  for standard in c89 c99 c2x; do
    extremes alone_c "$compiler" "$standard"
  done
done
for compiler in $(compilers g++ clang++); do
  files=$(echo alone_*.cc)
  each_option alone_cxx "$compiler" c++17
  for standard in c++11 c++20; do
    extremes alone_cxx "$compiler" "$standard"
  done
  files=$(echo alone_*cpp_h.cc alone_*allocator_h.cc)
  for options in "-std=c++98" "-fno-exceptions" "-DGC_NAMESPACE" \
    "-DGC_NAME_CONFLICT -DGC_NO_OPERATOR_NEW_ARRAY -DGC_NO_FINALIZATION"; do
    alone_cxx "$compiler" c++17
  done
done

# A client's macros may have any name that is not the interface's.
{
  printf '#include <%s.h>\n' stddef features pthread dlfcn signal assert wchar
  for word in arg base bytes client data end env event fd fn from func handle \
    index kind limit link lo name new_link next num obj object offset old p \
    path ptr q result ret size src start sz text thread value where x; do
    echo "#define $word ?"
  done
  sed 1,2d "$here/libgc/header_all.c"
} >words.c
must "$CC" -std=gnu11 -DGC_THREADS -I"$ours" -fsyntax-only words.c
note "$(wc -l <headers) headers compile alone"

# ---- what they declare ------------------------------------------------------

# facts WHO INCLUDE FOLDER -- WHO.names, WHO.macros ... of all headers.
facts() {
  # shellcheck disable=SC2086
  must "$CC" -std=gnu11 -D_GNU_SOURCE $options "-I$2" -E -dD \
    -o "$1.i" "$here/libgc/header_all.c"
  must python3 "$here/libgc/header_facts.py" "$1.i" "$3" "$1"
  [ "$(wc -l <"$1.names")" -gt 250 ] || fail "hardly a declaration in $3"
}

options=-DGC_THREADS
facts ours "$ours" "$ours/"
nm -D --defined-only "$GC_DIR/libgc.so.1" | awk '{print $3}' | sed 's/@.*//' |
  sort >exported
words "$absent" >absent
comm -23 ours.names exported | comm -23 - absent >missing
[ ! -s missing ] ||
  fail "declared, but not exported by $GC_DIR: $(tr '\n' ' ' <missing)"
note "what is declared is exported"

# ---- C++ --------------------------------------------------------------------

# cxx COMPILER STANDARD [FLAG...] -- header_cxx.cc runs on both libraries.
cxx() {
  compiler=$1
  standard=$2
  shift 2
  # shellcheck disable=SC2086
  must "$compiler" "-std=$standard" -O1 -g $strict "$@" -I"$ours" \
    -o cxx "$here/libgc/header_cxx.cc" -lgc
  compare_gc "header_cxx.cc ($compiler -std=$standard $*)" 60 ./cxx
}

for standard in c++11 c++17 c++20; do
  cxx "$CXX" "$standard"
done
for compiler in $(compilers clang++); do
  cxx "$compiler" c++17
done
cxx "$CXX" c++17 -DGC_DEBUG -DGC_THREADS
cxx "$CXX" c++17 -DGC_NAMESPACE -DGC_ATOMIC_UNCOLLECTABLE
cxx "$CXX" c++17 -DGC_NAME_CONFLICT -DGC_NO_OPERATOR_NEW_ARRAY
cxx "$CXX" c++17 -fno-exceptions
note "C++ programs run"

# ---- the same as Debian's ---------------------------------------------------

# same WHAT FILE FILE -- no line in one that is not in the other.
same() {
  diff "$2" "$3" >difference && return 0
  head -n 20 difference >&2
  fail "$1: ours (<) and Debian's (>) differ ($options)"
}

# numbers WHO -- what a program with these constants, sizes, offsets prints.
numbers() {
  {
    printf '#include <stdio.h>\n#include <stddef.h>\n'
    cat "$here/libgc/header_all.c" "$1.numbers"
  } >"numbers_$1.c"
  # shellcheck disable=SC2086
  must "$CC" -std=gnu11 -D_GNU_SOURCE -w $options "-I$2" -o numbers \
    "numbers_$1.c"
  ./numbers | grep -v '^GC_TMP_VERSION_' >"$1.values"
}

# use WHO INCLUDE -- header_use.c with these headers.
use() {
  # shellcheck disable=SC2086
  must "$CC" -std=gnu11 -O1 -g $options "-I$2" -o "use_$1" \
    "$here/libgc/header_use.c" -lgc
  on_debian 60 "./use_$1" >"$1.use" 2>use.err ||
    fail "header_use.c with headers of $2 on Debian's: $(head -n 3 use.err)"
}

compare_headers() {
  facts ours "$ours" "$ours/"
  facts debian /usr/include "$debian"
  same "the names" ours.names debian.names
  same "the attributes" ours.attributes debian.attributes
  words "$private" | sed -E 's/.*/^&( |$)/' >private
  for who in ours debian; do
    grep -vEf private "$who.macros" >"$who.public"
  done
  same "the macros" ours.public debian.public
  # Declared a second time, differently, is an error of the compiler.
  { cat "$here/libgc/header_all.c"; cat debian.declare; } >again.c
  # shellcheck disable=SC2086
  must "$CC" -std=gnu11 -D_GNU_SOURCE $options -I"$ours" -fsyntax-only again.c
  numbers ours "$ours"
  numbers debian /usr/include
  same "constants, sizes, offsets" ours.values debian.values
  use ours "$ours"
  use debian /usr/include
  same "what the macros do" ours.use debian.use
  check_gc "header_use.c" 60 ./use_ours
  same "what header_use.c does on ours (<)" ours.out debian.use
}

# Half a program of each.
mix() {
  for part in 1 2; do
    must "$CXX" -std=c++17 -O1 -g "-I$1" -DPART=$part -c -o "$part.o" \
      "$here/libgc/header_mix.cc"
    shift
  done
  must "$CXX" -o mix 1.o 2.o -lgccpp -lgc
  compare_gc "header_mix.cc" 60 ./mix
}

debian_version() {
  { echo '#include <gc/gc.h>'
    echo GC_VERSION_MAJOR-GC_VERSION_MINOR-GC_VERSION_MICRO; } |
    "$CC" -E -P -x c - | tail -n 1 | tr -d ' '
}

if [ ! -e "$debian/gc.h" ]; then
  note "$debian is not installed: nothing to compare with"
elif [ "$(debian_version)" != 8-2-2 ]; then
  note "$debian is of libgc $(debian_version): nothing to compare with"
else
  each_option compare_headers
  for options in \
    "-DGC_THREADS -DGC_NO_THREAD_REDIRECTS -DGC_DEBUG_REPLACEMENT" \
    "-DLINUX_THREADS -DUSE_LD_WRAP -DI_HIDE_POINTERS -DGC_NO_PTHREAD_CANCEL" \
    "-DGC_THREADS -DGC_NO_DLOPEN -DGC_NO_PTHREAD_SIGMASK" \
    "-DGC_DONT_GC -DGC_DONT_EXPAND -DGC_FORCE_UNMAP_ON_GCOLLECT" \
    "-DGC_THREADS -DGC_MAX_RETRIES=2 -DGC_ALLOCD_BYTES_PER_FINALIZER=20000
      -DGC_FREE_SPACE_DIVISOR=5 -DGC_FULL_FREQ=7 -DGC_TIME_LIMIT=40
      -DGC_MARKERS=2 -DGC_SIG_SUSPEND=40 -DGC_SIG_THR_RESTART=41
      -DGC_MAXIMUM_HEAP_SIZE=1000000000 -DGC_INITIAL_HEAP_SIZE=20000000
      -DGC_IGNORE_WARN"; do
    compare_headers
  done
  mix "$ours" /usr/include
  mix /usr/include "$ours"
  note "$(wc -l <ours.names) declarations are as Debian's"
fi
exit 0
