#!/usr/bin/env python3
"""tests/compat/test_gc_bench.py -- does bench/gc.py work?

Two small rows are measured with libgc and almacen: every run must succeed,
the facts must be there, and the tables must show them. A collector that hands
out memory in use must be reported as failed.

Environment: ALM_SOURCE_DIR, ALM_BUILD_DIR (optional).
Exit code: 0 passed, 77 skipped (no compiler, no libgc-dev, no release build
that a plain program can be linked with), else failed.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get(
    "ALM_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("ALM_BUILD_DIR", SOURCE / "build"))
CC = os.environ.get("CC", "cc")
ARCHIVE = BUILD / "lib" / "libalmacen.a"
ROWS = ["trees-18", "mark-lists"]

# A libgc that gives the same memory again and again.
BROKEN = """
#include <stddef.h>
#include <string.h>
void *GC_malloc(size_t bytes) {
  static char memory[1 << 16];
  static size_t next;
  next = next + bytes > sizeof memory ? 0 : next;
  char *p = memory + next;
  next += (bytes + 15) / 16 * 16;
  return bytes > sizeof memory ? NULL : memset(p, 0, bytes);
}
"""


def check(ok, what):
  if not ok:
    print(f"FAILED: {what}")
    sys.exit(1)
  print(f"ok: {what}")


def why_skip():
  if not shutil.which(CC):
    return "no C compiler"
  if not os.path.exists("/usr/include/gc/gc.h"):
    return "no libgc-dev"
  if not ARCHIVE.exists():
    return f"no {ARCHIVE}"
  if any(name in ARCHIVE.read_bytes() for name in (b"__asan_", b"__tsan_")):
    return "the library has a sanitizer in it"
  cache = BUILD / "CMakeCache.txt"
  kind = re.search(r"^ALM_BUILD:\w+=(\w+)", cache.read_text(),
                   re.MULTILINE) if cache.exists() else None
  if kind and kind.group(1) != "release":
    return "not a release build: measures, says nothing"
  return None


def bench(work, *arguments):
  """(exit code, document or None, Markdown or messages)."""
  out, text = work / "out.json", work / "out.md"
  out.unlink(missing_ok=True)
  done = subprocess.run(
      [sys.executable, str(SOURCE / "bench" / "gc.py"), "--quick",
       "--rounds", "1", "--build", str(work / "build"), "--json", str(out),
       "--markdown", str(text), *arguments],
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
      timeout=300, check=False)
  if not out.exists():
    return done.returncode, None, done.stderr
  return done.returncode, json.loads(out.read_text()), text.read_text()


def test_rows(work):
  libs = ["libgc", "libgc-tuned", "almacen", "almacen-tuned"]
  code, doc, text = bench(work, "--only", ",".join(ROWS), "--libs",
                          ",".join(libs))
  check(doc is not None, f"a document{'' if doc else ': ' + text[-300:]}")
  failed = [(r["bench"], r["lib"], r["error"]) for r in doc["runs"]
            if not r["ok"]]
  check(code == 0 and not failed, f"all runs succeed: {failed}")
  check({(r["bench"], r["lib"]) for r in doc["runs"]} ==
        {(b, lib) for b in ROWS for lib in libs}, "each row by each library")
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
  source, target = work / "broken.c", work / "libgc.so.1"
  source.write_text(BROKEN)
  subprocess.run([CC, "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", target,
                  source], check=True)
  code, doc, text = bench(work, "--only", ROWS[0], "--libs", "libgc,broken",
                          "--also", f"broken={target}")
  check(code == 1 and doc is not None, "a failed run: exit code 1")
  errors = [r["error"] for r in doc["runs"] if r["lib"] == "broken"
            and not r["ok"]]
  check(len(errors) == 1, f"the broken library failed: {errors}")
  check("FAILED" in text and f"- {ROWS[0]}, broken: " in text,
        "the tables say so")
  check(all(r["ok"] for r in doc["runs"] if r["lib"] == "libgc"),
        "the other did not")


def test_arguments(work):
  for arguments in (["--only", "nonsense"], ["--libs", "nonsense"],
                    ["--also", "none=/nonexistent.so"], ["--full"]):
    code, doc, _ = bench(work, *arguments)
    check(code == 2 and doc is None, f"{' '.join(arguments)}: refused")


def main():
  reason = why_skip()
  if reason:
    print(f"skipped: {reason}")
    return 77
  with tempfile.TemporaryDirectory(prefix="almgcbench.") as name:
    work = pathlib.Path(name)
    (work / "build" / "lib").mkdir(parents=True)
    shutil.copy(ARCHIVE, work / "build" / "lib")
    test_rows(work)
    test_broken(work)
    test_arguments(work)
  return 0


if __name__ == "__main__":
  sys.exit(main())
