#!/usr/bin/env python3
"""tests/compat/test_bench_harness.py -- does bench/run.py tell the truth?

Libraries that are wrong on purpose are measured: a slow one must rank last in
time, a fat one last in peak RSS, and those that crash, hang, hand out memory
twice or lose contents must be reported as failed, with exit code 1.

Environment: ALM_SOURCE_DIR (optional). The build directory is a temporary
one, so that a sanitized or half-built library of ours plays no part.
Exit code: 0 passed, 77 skipped (no compiler), else failed.
"""

import shutil
import subprocess
import sys

from bench_session import CC, bench, check, run_tests

COMMON = """
#include <stddef.h>
#include <string.h>
#include <unistd.h>
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
static _Thread_local unsigned long calls;
"""
LIBRARIES = {
    # Several times what any of the measured libraries needs.
    "slow": """
void *malloc(size_t n) {
  for (volatile int i = 0; i < 300; i++) { }
  return __libc_malloc(n);
}""",
    "fat": """
void *malloc(size_t n) {
  char *p = __libc_malloc(n + 1024);
  if (p != NULL) memset(p + n, 1, 1024);
  return p;
}""",
    "crashing": """
void *malloc(size_t n) {
  if (++calls > 20000) *(volatile int *)8 = 1;
  return __libc_malloc(n);
}""",
    "hanging": """
void *malloc(size_t n) {
  while (++calls > 20000) pause();
  return __libc_malloc(n);
}""",
    # Memory that is in use is handed out again; nothing is ever freed.
    "twice": """
static _Thread_local void *last;
void *malloc(size_t n) {
  if (++calls % 1000 != 0 || n > 64) last = __libc_malloc(n < 64 ? 64 : n);
  return last;
}
void free(void *p) { (void)p; }""",
    # Writes into an object that is in use; nothing is ever freed.
    "losing": """
static _Thread_local void *last;
void *malloc(size_t n) {
  if (++calls % 1000 == 0 && last) memset(last, 0, 8);
  return last = __libc_malloc(n);
}
void free(void *p) { (void)p; }""",
    "forgetful": """
void *realloc(void *p, size_t n) { (void)p; return __libc_malloc(n); }""",
    "misaligning": """
void *malloc(size_t n) { return (char *)__libc_malloc(n + 16) + 8; }
void free(void *p) { if (p) __libc_free((char *)p - 8); }
void *calloc(size_t a, size_t b) {
  void *p = malloc(a * b);
  return p ? memset(p, 0, a * b) : p;
}
void *realloc(void *p, size_t n) {
  if (!p) return malloc(n);
  extern void *__libc_realloc(void *, size_t);
  return (char *)__libc_realloc((char *)p - 8, n + 16) + 8;
}""",
}


class Harness:

  def __init__(self, work):
    self.work = work
    self.libs = {}
    for name, text in LIBRARIES.items():
      source, target = work / f"{name}.c", work / f"{name}.so"
      source.write_text(COMMON + text)
      subprocess.run([CC, "-O1", "-w", "-shared", "-fPIC", "-fno-builtin",
                      "-o", target, source], check=True)
      self.libs[name] = target

  def run(self, *arguments, also=()):
    """(exit code, document or None, Markdown) of one session."""
    for name in also:
      arguments += ("--also", f"{name}={self.libs[name]}")
    return bench("run.py", self.work, *arguments, timeout=240)


def errors(doc, lib):
  return [r["error"] for r in doc["runs"] if r["lib"] == lib and not r["ok"]]


def last(doc, key):
  """The library with the largest geomean."""
  return max(doc["summary"][key], key=doc["summary"][key].get)


def test_ranking(harness):
  code, doc, text = harness.run("--only", "churn-10k,batch", "--subject",
                                "slow", also=("slow",))
  check(code == 0, "sound libraries: exit code 0")
  check(doc["summary"]["rows"] == ["churn-10k", "batch"], "both rows count")
  check(last(doc, "time") == "slow", "the slow library ranks last in time")
  check(last(doc, "cpu") == "slow", "and in CPU time")
  check(not doc["verdicts"][0]["pass"] and not doc["verdicts"][1]["pass"],
        "the verdicts on the slow library are FAIL")
  check("| churn-10k" in text and "FAIL: no benchmark slower" in text,
        "tables and verdicts are in the Markdown")
  glibc = [r for r in doc["runs"] if r["lib"] == "glibc"]
  check(all(r["peak_rss_kib"] > 1024 and r["cpu_s"] > 0 for r in glibc),
        "RSS and CPU of glibc are there")


def test_fat(harness):
  code, doc, _ = harness.run("--only", "churn-10k", also=("fat",))
  check(code == 0 and last(doc, "rss") == "fat",
        "the fat library ranks last in RSS")


def test_failures(harness):
  broken = ("crashing", "hanging", "twice", "losing", "misaligning")
  code, doc, text = harness.run(
      "--only", "churn-10k", "--timeout", "20", "--libs",
      ",".join(("glibc",) + broken), "--subject", "crashing", also=broken)
  check(code == 1, "failed runs: exit code 1")
  check(not errors(doc, "glibc"), "glibc did not fail")
  wanted = {"crashing": "SIGSEGV", "hanging": "timed out",
            "twice": "contents lost", "losing": "contents lost",
            "misaligning": "misaligned"}
  for lib in broken:
    found = errors(doc, lib)
    check(len(found) == 1 and wanted[lib] in found[0],
          f"{lib}: {found}")
    check(f"- churn-10k, {lib}: " in text, f"{lib}: in the list of failures")
  check("FAILED" in text, "the table says FAILED")
  check(not any(v["pass"] for v in doc["verdicts"]),
        "no verdict passes on a library that failed")


def test_reallocation(harness):
  code, doc, _ = harness.run("--only", "realloc", "--libs", "forgetful",
                             also=("forgetful",))
  found = errors(doc, "forgetful")
  check(code == 1 and "lost in realloc" in found[0], f"forgetful: {found}")


def test_arguments(harness):
  text = harness.work / "text.so"
  text.write_text("this is no library\n")
  code, doc, err = harness.run("--only", "startup", "--also", f"text={text}")
  check(code == 2 and doc is None, f"not a library: refused: {err.strip()}")
  code, doc, _ = harness.run("--also", "none=/nonexistent.so")
  check(code == 2 and doc is None, "no such file: refused")
  code, doc, _ = harness.run("--only", "nonsense")
  check(code == 2 and doc is None, "unknown benchmark: refused")
  code, doc, _ = harness.run("--libs", "nonsense")
  check(code == 2 and doc is None, "unknown library: refused")


def test_all(work):
  harness = Harness(work)
  test_ranking(harness)
  test_fat(harness)
  test_failures(harness)
  test_reallocation(harness)
  test_arguments(harness)


if __name__ == "__main__":
  sys.exit(run_tests(None if shutil.which(CC) else "no C compiler", test_all))
