#!/usr/bin/env python3
"""tests/compat/test_gc_bench.py -- does bench/gc.py work?

Two small rows are measured with libgc and almacen: every run must succeed,
the facts must be there, and the tables must show them. A collector that hands
out memory in use must be reported as failed.

Environment: ALM_SOURCE_DIR, ALM_BUILD_DIR (optional).
Exit code: 0 passed, 77 skipped (no compiler, no libgc-dev, no release build
that a plain program can be linked with), else failed.
"""

import os
import shutil
import sys

from bench_session import (BUILD, CC, bench, check, check_all_succeed,
                           check_broken_fails, check_refused, run_tests,
                           why_no_release)

SCRIPT = "gc.py"
ARCHIVE = BUILD / "lib" / "libalmacen.a"
ROWS = ["trees-18", "mark-lists"]


def why_skip():
  if not shutil.which(CC):
    return "no C compiler"
  if not os.path.exists("/usr/include/gc/gc.h"):
    return "no libgc-dev"
  if not ARCHIVE.exists():
    return f"no {ARCHIVE}"
  if any(name in ARCHIVE.read_bytes() for name in (b"__asan_", b"__tsan_")):
    return "the library has a sanitizer in it"
  return why_no_release()


def test_rows(work):
  libs = ["libgc", "libgc-tuned", "almacen", "almacen-tuned"]
  code, doc, text = bench(SCRIPT, work, "--rounds", "1", "--only",
                          ",".join(ROWS), "--libs", ",".join(libs))
  check_all_succeed(code, doc, text, ROWS, libs)
  check(doc["summary"]["rows"] == ROWS, "both rows count")
  for r in doc["runs"]:
    own = r["facts"]
    check(r["time_s"] > 0 and r["cpu_s"] > 0 and r["peak_rss_kib"] > 1024 and
          own["collections"] > 0 and own["pause_max_ms"] > 0 and
          own["pause_total_ms"] >= own["pause_max_ms"],
          f"{r['bench']}, {r['lib']}: time, CPU, RSS, pauses")
  counts = {r["facts"]["ops"] for r in doc["runs"] if r["bench"] == ROWS[0]}
  check(len(counts) == 1, "the same work everywhere")
  check(all(r["facts"]["ns_object"] > 0 for r in doc["runs"]
            if r["bench"] == ROWS[1]), "a mark rate")
  for title in ("Time", "CPU time", "Peak RSS", "Longest pause",
                "Full collection", "Geomeans"):
    check(f"## {title}" in text, f"a table of {title}")


def test_broken(work):
  check_broken_fails(SCRIPT, work, ROWS[0])


def test_arguments(work):
  check_refused(SCRIPT, work, ["--only", "nonsense"], ["--libs", "nonsense"],
                ["--also", "none=/nonexistent.so"], ["--full"])


def test_all(work):
  shutil.copy(ARCHIVE, work / "build" / "lib")
  test_rows(work)
  test_broken(work)
  test_arguments(work)


if __name__ == "__main__":
  sys.exit(run_tests(why_skip(), test_all))
