#!/bin/bash
# Python's own test modules with every object from malloc. What fails is run
# again without preload; only what passes there counts as our failure.
. "$(dirname "$0")/lib.sh"
PYTHONMALLOC=malloc
export PYTHONMALLOC
python=
for candidate in /usr/bin/python3 python3; do
  command -v $candidate >/dev/null 2>&1 || continue
  $candidate -c 'import test.test_json, test.libregrtest' 2>/dev/null ||
    continue
  python=$candidate
  break
done
[ -n "$python" ] ||
  skip "no python3 with its test package (Debian: libpython3-testsuite)"

# Long ones first, so that the jobs end together.
modules='test_subprocess test_threading test_pickle test_queue test_fork1
  test_weakref test_compile test_json test_bz2 test_set test_bytes test_ctypes
  test_ast test_select test_buffer test_gc test_tempfile test_unicode
  test_itertools test_unittest test_decimal test_asyncgen test_thread test_re
  test_exceptions test_long test_context test_deque test_tracemalloc
  test_sys_settrace test_zlib test_posix test_hashlib test_traceback test_descr
  test_dict test_array test_collections test_codecs test_threading_local
  test_random test_mmap test_functools test_int test_inspect test_csv
  test_coroutines test_heapq test_tuple test_list test_struct test_dataclasses
  test_typing test_builtin test_ordered_dict test_xml_etree test_xml_etree_c
  test_sax test_pyexpat test_memoryio test_sort test_finalization
  test_generators test_memoryview test_float test_copy test_zipimport'

# Of one that takes minutes, the parts that allocate and fork.
parts='test.test_multiprocessing_fork.WithProcessesTestQueue
  test.test_multiprocessing_fork.WithProcessesTestPool
  test.test_multiprocessing_fork.WithThreadsTestPool
  test.test_multiprocessing_fork.WithProcessesTestProcess
  test.test_multiprocessing_fork.WithProcessesTestSharedMemory
  test.test_multiprocessing_fork.WithProcessesTestArray
  test.test_multiprocessing_fork.WithProcessesTestConnection
  test.test_multiprocessing_fork.WithProcessesTestHeap'

# sqlite3's module has no test file of its own in every package of Python.
cat >check_sqlite3.py <<'END'
import sqlite3, threading

def work(seed):
    base = sqlite3.connect(":memory:")
    base.execute("create table t (k integer primary key, v text, b blob)")
    base.create_function("twice", 1, lambda x: x * 2)
    base.executemany("insert into t values (?, ?, ?)",
                     ((i, str(i * seed) * 9, bytes(i % 500))
                      for i in range(20000)))
    total = base.execute(
        "select sum(length(v) + twice(length(b))) from t").fetchone()[0]
    expected = sum(len(str(i * seed)) * 9 + 2 * (i % 500) for i in range(20000))
    assert total == expected, (total, expected)

threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
[t.start() for t in threads]
[t.join() for t in threads]
END
check "python: sqlite3" 20 "$python" check_sqlite3.py

present=
for module in $modules; do
  file=$("$python" -c 'import os, test; print(os.path.dirname(test.__file__))')
  [ -e "$file/$module.py" ] && present="$present $module"
  [ -d "$file/$module" ] && present="$present $module"
done
count=$(echo "$present" | wc -w)
[ "$count" -ge 30 ] || skip "only $count of Python's test modules are installed"

# shellcheck disable=SC2086
preloaded 90 "$python" -m unittest $parts >parts.out 2>&1 &
parts_pid=$!

# What fails under both is not ours; a module may fail once by its clock. Both
# run at once, so that a machine busy with something else slows both.
fails_only_here() {
  plain 60 "$@" >plain.out 2>&1 &
  plain_pid=$!
  preloaded 60 "$@" >again.out 2>&1
  again=$?
  wait $plain_pid && [ $again -ne 0 ]
}

# shellcheck disable=SC2086
preloaded 110 "$python" -m test -j4 --timeout 240 $present >modules.out 2>&1
status=$?
case $status in
124 | 137) tail -n 20 modules.out >&2 && fail "python's tests hang" ;;
esac
failed=$("$python" - <<'END'
import re
lines = open("modules.out", errors="replace").read().split("\n")
names, listing = [], False
for line in lines:
    if re.match(r"\d+ tests? failed:", line):
        listing = True
    elif listing and line.startswith("    "):
        names += line.split()
    else:
        listing = False
print(" ".join(names))
END
)
[ $status -eq 0 ] || [ -n "$failed" ] || {
  tail -n 30 modules.out >&2
  fail "python -m test: $(ending $status)"
}
bad=
for module in $failed; do
  note "$module failed, trying again"
  fails_only_here "$python" -m test "$module" && {
    tail -n 40 again.out >&2
    bad="$bad $module"
  }
done
wait $parts_pid || {
  note "parts of test_multiprocessing_fork failed, trying again"
  # shellcheck disable=SC2086
  fails_only_here "$python" -m unittest $parts && {
    tail -n 40 parts.out again.out >&2
    bad="$bad test_multiprocessing_fork"
  }
}
[ -z "$bad" ] || fail "fail under $LIB and pass without:$bad"
note "$count modules and parts of one more; failed both ways: ${failed:-none}"
