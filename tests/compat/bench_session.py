"""tests/compat/bench_session.py -- what the tests of bench/*.py share.

Environment: ALM_SOURCE_DIR, ALM_BUILD_DIR, CC (all optional).
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get(
    "ALM_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("ALM_BUILD_DIR", SOURCE / "build"))
CC = os.environ.get("CC", "cc")

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


def bench(script, work, *arguments, timeout=300):
  """(exit code, document or None, Markdown or messages) of one session."""
  out, text = work / "out.json", work / "out.md"
  out.unlink(missing_ok=True)
  env = {k: v for k, v in os.environ.items()
         if k not in ("ALMACEN", "LD_LIBRARY_PATH")}
  done = subprocess.run(
      [sys.executable, str(SOURCE / "bench" / script), "--quick", "--build",
       str(work / "build"), "--json", str(out), "--markdown", str(text),
       *arguments],
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env,
      timeout=timeout, check=False)
  if not out.exists():
    return done.returncode, None, done.stderr
  return done.returncode, json.loads(out.read_text()), text.read_text()


def why_no_release():
  """Why figures of the build would say nothing; None: they would."""
  cache = BUILD / "CMakeCache.txt"
  kind = re.search(r"^ALM_BUILD:\w+=(\w+)", cache.read_text(),
                   re.MULTILINE) if cache.exists() else None
  if kind and kind.group(1) != "release":
    return "not a release build: measures, says nothing"
  return None


def check_all_succeed(code, doc, text, rows, libs):
  check(doc is not None, f"a document{'' if doc else ': ' + text[-300:]}")
  failed = [(r["bench"], r["lib"], r["error"]) for r in doc["runs"]
            if not r["ok"]]
  check(code == 0 and not failed, f"all runs succeed: {failed}")
  check({(r["bench"], r["lib"]) for r in doc["runs"]} ==
        {(b, lib) for b in rows for lib in libs}, "each row by each library")


def check_broken_fails(script, work, row, *, nothing=(), flags=()):
  """A session with a libgc that is wrong; `nothing` are functions that it has
  and that do nothing."""
  source, target = work / "broken.c", work / "libgc.so.1"
  source.write_text(BROKEN + "".join(
      f"void *{name}(void) {{ return NULL; }}\n" for name in nothing))
  subprocess.run([CC, "-O1", "-shared", "-fPIC", "-fno-builtin", *flags, "-o",
                  target, source], check=True)
  code, doc, text = bench(script, work, "--rounds", "1", "--only", row,
                          "--libs", "libgc,broken",
                          "--also", f"broken={target}")
  check(code == 1 and doc is not None, "a failed run: exit code 1")
  errors = [r["error"] for r in doc["runs"] if r["lib"] == "broken"
            and not r["ok"]]
  check(len(errors) == 1, f"the broken library failed: {errors}")
  check("FAILED" in text and f"- {row}, broken: " in text,
        "the tables say so")
  check(all(r["ok"] for r in doc["runs"] if r["lib"] == "libgc"),
        "the other did not")


def check_refused(script, work, *commands):
  for arguments in commands:
    code, doc, _ = bench(script, work, *arguments)
    check(code == 2 and doc is None, f"{' '.join(arguments)}: refused")


def run_tests(why_skip, test_all):
  """The exit code of a test; why_skip is None or a reason."""
  if why_skip:
    print(f"skipped: {why_skip}")
    return 77
  with tempfile.TemporaryDirectory(prefix="almbench.") as name:
    work = pathlib.Path(name)
    (work / "build" / "lib").mkdir(parents=True)
    test_all(work)
  return 0
