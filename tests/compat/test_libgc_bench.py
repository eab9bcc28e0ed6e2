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
NEEDED = [BUILD / "lib" / name
          for name in ("libalmacen.a", "libalmacen-gcprobe.so")]
OWN = ["trees-16", "strings", "spike", "alloc-atomic-64-8t"]
REAL = {"guile-hash": ("guile", "guild"), "ecl-hash": ("ecl",),
        "w3m": ("w3m",)}

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
# The rest that the program asks for, and that does nothing.
NOTHING = ["GC_init", "GC_start_mark_threads", "GC_set_on_collection_event",
           "GC_set_all_interior_pointers", "GC_get_heap_size",
           "GC_expand_hp", "GC_malloc_many", "GC_malloc_atomic",
           "GC_malloc_explicitly_typed", "GC_make_descriptor",
           "GC_pthread_create", "GC_pthread_join", "GC_gcollect"]


def check(ok, what):
  if not ok:
    print(f"FAILED: {what}")
    sys.exit(1)
  print(f"ok: {what}")


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
  env = {k: v for k, v in os.environ.items()
         if k not in ("ALMACEN", "LD_LIBRARY_PATH")}
  done = subprocess.run(
      [sys.executable, str(SOURCE / "bench" / "libgc.py"), "--quick",
       "--rounds", "1", "--build", str(work / "build"), "--json", str(out),
       "--markdown", str(text), *arguments],
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env,
      timeout=300, check=False)
  if not out.exists():
    return done.returncode, None, done.stderr
  return done.returncode, json.loads(out.read_text()), text.read_text()


def test_rows(work):
  rows = OWN + [name for name, needs in REAL.items()
                if all(map(shutil.which, needs))]
  code, doc, text = bench(work, "--only", ",".join(rows),
                          "--also", f"other={system_libgc()}")
  check(doc is not None, f"a document{'' if doc else ': ' + text[-300:]}")
  failed = [(r["bench"], r["lib"], r["error"]) for r in doc["runs"]
            if not r["ok"]]
  check(code == 0 and not failed, f"all runs succeed: {failed}")
  check({(r["bench"], r["lib"]) for r in doc["runs"]} ==
        {(b, lib) for b in rows for lib in ("libgc", "other")},
        "each row by each library")
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
  source, target = work / "broken.c", work / "libgc.so.1"
  source.write_text(BROKEN + "".join(
      f"void *{name}(void) {{ return NULL; }}\n" for name in NOTHING))
  subprocess.run([CC, "-O1", "-shared", "-fPIC", "-fno-builtin",
                  "-Wl,-soname,libgc.so.1", "-o", target, source], check=True)
  code, doc, text = bench(work, "--only", OWN[0], "--libs", "libgc,broken",
                          "--also", f"broken={target}")
  check(code == 1 and doc is not None, "a failed run: exit code 1")
  errors = [r["error"] for r in doc["runs"] if r["lib"] == "broken"
            and not r["ok"]]
  check(len(errors) == 1, f"the broken library failed: {errors}")
  check("FAILED" in text and f"- {OWN[0]}, broken: " in text,
        "the tables say so")
  check(all(r["ok"] for r in doc["runs"] if r["lib"] == "libgc"),
        "the other did not")


def test_arguments(work):
  folder = work / "no-library"
  folder.write_text("not a library\n")
  for arguments in (["--only", "nonsense"], ["--libs", "nonsense"],
                    ["--also", "none=/nonexistent.so"],
                    ["--only", OWN[0], "--also", f"none={folder}"]):
    code, doc, _ = bench(work, *arguments)
    check(code == 2 and doc is None, f"{' '.join(arguments)}: refused")


def main():
  reason = why_skip()
  if reason:
    print(f"skipped: {reason}")
    return 77
  with tempfile.TemporaryDirectory(prefix="almlibgc.") as name:
    work = pathlib.Path(name)
    (work / "build" / "lib").mkdir(parents=True)
    for path in NEEDED:
      shutil.copy(path, work / "build" / "lib")
    test_rows(work)
    test_broken(work)
    test_arguments(work)
  return 0


if __name__ == "__main__":
  sys.exit(main())
