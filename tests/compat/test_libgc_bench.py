#!/usr/bin/env python3
"""tests/compat/test_libgc_bench.py -- does bench/libgc.py work?

A few small rows are measured with the system's libgc on both sides: every run
must succeed, the facts must be there, and the tables must show them. A library
that hands out memory in use must be reported as failed, and one that is no
libgc must be refused.

Environment: ALM_SOURCE_DIR, ALM_BUILD_DIR (optional).
Exit code: 0 passed, 77 skipped (no compiler, no libgc-dev, no release build
with a probe), else failed.
"""

import glob
import os
import shutil
import sys

from bench_session import (BUILD, CC, bench, check, check_all_succeed,
                           check_broken_fails, check_refused, run_tests,
                           why_no_release)

SCRIPT = "libgc.py"
NEEDED = [BUILD / "lib" / name
          for name in ("libalmacen.a", "libalmacen-gcprobe.so")]
OWN = ["trees-16", "strings", "spike", "alloc-atomic-64-8t"]
REAL = {"guile-hash": ("guile", "guild"), "ecl-hash": ("ecl",),
        "w3m": ("w3m",)}

# What the program asks for beside GC_malloc.
NOTHING = ["GC_init", "GC_start_mark_threads", "GC_set_on_collection_event",
           "GC_set_all_interior_pointers", "GC_get_heap_size",
           "GC_expand_hp", "GC_malloc_many", "GC_malloc_atomic",
           "GC_malloc_explicitly_typed", "GC_make_descriptor",
           "GC_pthread_create", "GC_pthread_join", "GC_gcollect"]


def system_libgc():
  found = glob.glob("/usr/lib/*/libgc.so.1") + glob.glob("/usr/lib/libgc.so.1")
  return found[0] if found else None


def why_skip():
  if not shutil.which(CC):
    return "no C compiler"
  if not os.path.exists("/usr/include/gc/gc.h") or not system_libgc():
    return "no libgc-dev"
  for path in NEEDED:
    if not path.exists():
      return f"no {path}"
  return why_no_release()


def test_rows(work):
  rows = OWN + [name for name, needs in REAL.items()
                if all(map(shutil.which, needs))]
  code, doc, text = bench(SCRIPT, work, "--rounds", "1", "--only",
                          ",".join(rows), "--also", f"other={system_libgc()}")
  check_all_succeed(code, doc, text, rows, ("libgc", "other"))
  check(sorted(doc["summary"]["rows"]) == sorted(rows), "all rows count")
  for r in doc["runs"]:
    own = r["facts"]
    check(r["time_s"] > 0 and r["cpu_s"] > 0 and r["peak_rss_kib"] > 1024 and
          own["collections"] > 0 and r["pause_max_ms"] > 0 and
          own["pause_total_ms"] >= own["pause_max_ms"],
          f"{r['bench']}, {r['lib']}: time, CPU, RSS, pauses")
  for title in ("Time", "CPU time", "Peak RSS", "Longest pause", "Collections",
                "RSS after a spike", "Geomeans", "Geomeans of allocation"):
    check(f"## {title}" in text, f"a table of {title}")
  spikes = [r["facts"] for r in doc["runs"] if r["bench"] == "spike"]
  check(all(f["rss_full_kib"] > 32 << 10 and f["rss_0s_kib"] > 0
            for f in spikes), "RSS before and after the spike")


def test_broken(work):
  check_broken_fails(SCRIPT, work, OWN[0], nothing=NOTHING,
                     flags=("-Wl,-soname,libgc.so.1",))


def test_arguments(work):
  folder = work / "no-library"
  folder.write_text("not a library\n")
  check_refused(SCRIPT, work, ["--only", "nonsense"], ["--libs", "nonsense"],
                ["--also", "none=/nonexistent.so"],
                ["--only", OWN[0], "--also", f"none={folder}"])


def test_all(work):
  for path in NEEDED:
    shutil.copy(path, work / "build" / "lib")
  test_rows(work)
  test_broken(work)
  test_arguments(work)


if __name__ == "__main__":
  sys.exit(run_tests(why_skip(), test_all))
