#!/bin/bash
# Python's own test modules with every object from malloc. A module that fails
# is run again without preload; only what passes there counts as our failure.
. "$(dirname "$0")/lib.sh"
PYTHONMALLOC=malloc
export PYTHONMALLOC
python=
for candidate in /usr/bin/python3 python3; do
  command -v $candidate >/dev/null 2>&1 || continue
  $candidate -c 'import test.test_json, test.libregrtest' 2>/dev/null || continue
  python=$candidate
  break
done
[ -n "$python" ] ||
  skip "no python3 with its test package (Debian: libpython3-testsuite)"

modules='test_json test_re test_threading_local test_ctypes test_mmap
  test_pickle test_unicode test_bytes test_dict test_list test_set test_deque
  test_heapq test_weakref test_queue test_tempfile test_zlib test_struct
  test_array test_hashlib test_sqlite3 test_sort test_collections
  test_itertools test_functools test_thread test_memoryio test_memoryview
  test_generators test_coroutines test_descr test_exceptions test_string
  test_tuple test_format test_copy test_dataclasses test_csv test_bz2
  test_base64 test_bisect test_capi test_context test_contextlib test_defaultdict
  test_enumerate test_fork1 test_grammar test_int test_iter test_long
  test_operator test_ordered_dict test_posix test_random test_select
  test_sys_settrace test_textwrap test_traceback test_types test_typing
  test_userdict test_xml_etree_c test_zipimport'
long_modules='test_gc test_io test_decimal test_threading test_subprocess'

# Which of the modules exist here.
present() {
  for module; do
    $python -c "import importlib.util as u, sys
sys.exit(u.find_spec('test.' + sys.argv[1]) is None)" "$module" &&
      printf '%s ' "$module"
  done
}

echo "$modules $long_modules"
