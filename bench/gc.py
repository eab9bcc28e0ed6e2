#!/usr/bin/env python3
"""bench/gc.py -- measures garbage collectors against each other.

WHAT    Runs the programs of bench/gc/ with almacen's garbage-collected heap,
        with libgc, and where there is a `go` with Go, in interleaved rounds,
        and prints ratio tables of time, CPU time, peak RSS and pauses.
HOW     The C programs are compiled once per collector (gc/gc_adapter.h). The
        rest is run.py's: rounds, launcher, tables, exit codes.

See README.md in this directory for what each row measures.
"""

import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import report  # noqa: E402
import run  # noqa: E402

GC = run.HERE / "gc"
INCLUDE = run.HERE.parent / "include"
REFERENCE = "libgc"
SONAME, PACKAGE, HEADER = "libgc.so.1", "libgc-dev", "/usr/include/gc/gc.h"


class Row(run.Bench):
  """One row.

  tuned: further arguments for the tuned variants, full and quick; `heap` is
    twice the live set.
  whole: arguments with --full, where they differ.
  own_time: time (and CPU, where it tells) is what the program itself says.
  """

  def __init__(self, name, program, full, quick, what, tuned=("", ""),
               whole=None, own_time=False):
    super().__init__(name, what, full, quick, program=program, run=run_row,
                     own_time=own_time)
    self.tuned, self.whole = tuned, whole


class Collector(run.Library):
  """binary: the suffix of its programs. path: what is preloaded, if any."""

  def __init__(self, name, kind, binary, origin, path=None, peer=False,
               tuned=False):
    super().__init__(name, path, peer)
    self.kind, self.binary, self.origin = kind, binary, origin
    self.tuned = tuned


def run_row(session, row, lib, _round):
  arguments = row.quick if session.quick else row.full
  if session.args.full and row.whole:
    arguments = row.whole
  arguments = arguments.split()
  if lib.tuned:
    arguments += ["tuned=1"]
    # The heap is that of the usual size; --full leaves it to the collector.
    if not (session.args.full and row.whole):
      arguments += row.tuned[session.quick].split()
  session.launch(lib.path, [session.out / f"gc_{row.program}-{lib.binary}",
                            *arguments])
  facts = session.result()
  own = facts["facts"] = run.result_line(session)
  facts["pause_max_ms"] = own["pause_max_ms"]
  if row.own_time:
    facts["time_s"] = own["seconds"]
  if "cpu_s" in own:
    facts["user_s"], facts["sys_s"] = own["cpu_s"], 0.0
  return facts


# --- the rows ---------------------------------------------------------------

ROWS = [
    Row("trees-18", "trees", "depth=18", "depth=14",
        "binary trees of depth 4 to 18, one thread",
        ("heap=32M", "heap=4M")),
    Row("trees-20", "trees", "depth=20", "depth=15",
        "the same to depth 20", ("heap=128M", "heap=4M")),
    Row("trees-18-2t", "trees", "depth=18 threads=2", "depth=14 threads=2",
        "depth 18, two threads", ("heap=32M", "heap=4M")),
    Row("gcbench", "gcbench", "stretch=18", "stretch=14 kept=12",
        "GCBench: trees down and up, a long-lived tree and array",
        ("heap=24M", "")),
    Row("churn", "churn", "live=1000000 ops=5000000",
        "live=50000 ops=300000",
        "random replacement among 1 M nodes of 32 to 128 bytes",
        ("heap=192M typed=1", "heap=10M typed=1"),
        whole="live=12000000 ops=60000000"),
    Row("churn-linked", "churn", "live=500000 ops=3000000 linked=1",
        "live=50000 ops=200000 linked=1",
        "the same, nodes point to each other",
        ("heap=128M typed=1", "heap=12M typed=1")),
    Row("churn-noscan", "churn",
        "live=500000 ops=4000000 noscan=1 max=512",
        "live=50000 ops=300000 noscan=1 max=512",
        "the same without pointers, 32 to 512 bytes",
        ("heap=300M", "heap=30M")),
    Row("large", "large", "ops=4000", "ops=400",
        "64 live objects of 32 KiB to 4 MiB, half of them pointers"),
    Row("mark-lists", "mark", "live=256M", "live=16M rounds=3",
        "full collection: 1,000 shuffled lists of 64-byte nodes",
        whole="live=1G", own_time=True),
    Row("mark-tree", "mark", "shape=1 live=256M",
        "shape=1 live=16M rounds=3",
        "full collection: a wide tree in order of allocation",
        ("typed=1", "typed=1"), whole="shape=1 live=1G", own_time=True),
    Row("mark-cells", "mark", "shape=2 live=80M", "shape=2 live=8M rounds=3",
        "full collection: shuffled cells of two pointers",
        whole="shape=2 live=160000000", own_time=True),
]
ROWS += [
    Row(f"alloc-{size}" + ("-2t" if threads == 2 else ""), "alloc",
        f"size={size} ops={ops} threads={threads}",
        f"size={size} ops=200000 threads={threads}",
        f"{size}-byte objects dropped at once, "
        f"{'two threads' if threads == 2 else 'one thread'}", own_time=True)
    for threads in (1, 2)
    for size, ops in ((16, 16000000), (32, 12000000), (64, 8000000),
                      (128, 4000000), (512, 1500000))
]
ROWS += [
    Row("tiny", "alloc", "size=8 noscan=1 keep=4000000 ops=24000000",
        "size=8 noscan=1 keep=100000 ops=400000",
        "8-byte objects without pointers, the last 4 M kept",
        own_time=True),
]


# --- collectors -------------------------------------------------------------


def variants(name, kind, binary, origin, path=None, peer=False):
  return [Collector(name, kind, binary, origin, path, peer),
          Collector(f"{name}-tuned", kind, binary, f"{origin}, tuned", path,
                    peer, tuned=True)]


def find_collectors(args, notes):
  found = []
  libgc = run.find_library(SONAME)
  if libgc and os.path.exists(HEADER):
    found += variants(REFERENCE, "boehm", "libgc", os.path.realpath(libgc),
                      peer=True)
  else:
    notes.append(f"{REFERENCE} not found (Debian package {PACKAGE})")
  archive = args.build / "lib" / "libalmacen.a"
  if archive.exists():
    found += variants(run.OURS, "almacen", run.OURS, str(archive))
  else:
    notes.append(f"{run.OURS} not found ({archive})")
  if shutil.which("go"):
    version = subprocess.run(["go", "version"], capture_output=True,
                             text=True, check=False).stdout.split()
    found.append(Collector("go", "go", "go", " ".join(version[2:3]),
                           peer=True))
  else:
    notes.append("go not found")
  for item in args.also:
    found = [lib for lib in found
             if lib.name.removesuffix("-tuned") != item.partition("=")[0]]
    found += also(item)
  return run.choose_libraries(args, found)


def also(item):
  """NAME=PATH: another libgc.so, or another libalmacen.a."""
  name, eq, path = item.partition("=")
  if not eq or not os.path.exists(path):
    raise SystemExit(run.usage_error(
        f"--also {item}: want NAME=PATH of a libgc.so or libalmacen.a"))
  path = os.path.realpath(path)
  if path.endswith(".a"):
    return variants(name, "almacen", name, path)
  return variants(name, "boehm", "libgc", path, path)


# --- building ---------------------------------------------------------------


def build_c(out, program, lib):
  flags = run.CFLAGS + [f"-DGC_{lib.kind.upper()}", "-I", str(INCLUDE)]
  archive = [lib.origin.removesuffix(", tuned")]
  made_from = [*GC.glob("*.h"), *INCLUDE.glob("*.h"), __file__]
  ours = lib.kind == "almacen"
  run.compile_one(GC / f"gc_{program}.c", out / f"gc_{program}-{lib.binary}",
                  flags, archive if ours else ["-lgc"],
                  made_from + (archive if ours else []))


def build_go(out, program):
  target = out / f"gc_{program}-go"
  sources = [GC / "common.go", GC / f"{program}.go"]
  if not run.is_newer(target, sources):
    env = dict(os.environ, GO111MODULE="off", CGO_ENABLED="0",
               GOCACHE=str(out / "go-cache"))
    subprocess.run(["go", "build", "-o", str(target), *map(str, sources)],
                   env=env, check=True)


def build(out, rows, libs):
  run.build_launcher(out)
  for program in sorted({row.program for row in rows}):
    for lib in libs:
      if lib.kind == "go":
        build_go(out, program)
      elif not lib.tuned or lib.name[:-6] not in [x.name for x in libs]:
        build_c(out, program, lib)


def measure(args):
  notes = []
  libs = find_collectors(args, notes)
  rows = run.choose_benches(args, notes, ROWS)
  if not libs or not rows:
    raise SystemExit(run.usage_error("nothing to run"))
  build(args.build / "bench", rows, libs)
  doc = run.measure(args, libs, rows, notes)
  doc["full"] = args.full
  for entry, lib in zip(doc["libs"], libs):
    entry["path"] = lib.origin
  return doc


# --- the report -------------------------------------------------------------


LATENCIES = [("p50_us", " p50"), ("p99_us", " p99"), ("p9999_us", " p99.99"),
             ("max_us", " max")]


def special_tables(doc):
  parts = []
  for title, prefix, keys in (
      ("Full collection: ns per object", "mark-", [("ns_object", "")]),
      ("Allocation: ns per object, in each thread", "alloc-",
       [("ns_object", "")]),
      ("Latency of a replacement, microseconds", "churn", LATENCIES)):
    results = report.part(
        doc, lambda name, prefix=prefix: name.startswith(prefix))
    if results.rows:
      parts += [f"## {title}",
                report.facts_table(results, keys, lambda v: f"{v:.4g}")]
  return parts


def render(doc):
  """Markdown of the document; adds its summary to it."""
  results = report.Results(doc)
  pauses = report.part(doc, lambda name: not name.startswith("alloc-"))
  summary = doc["summary"] = report.summarize(results)
  parts = report.heading(doc, "garbage collectors")
  parts += report.collector_tables(results, pauses, REFERENCE)
  parts += special_tables(doc)
  parts += ["## Geomeans", report.summary_table(results, summary, REFERENCE)]
  if pauses.rows and len(pauses.rows) < len(results.rows):
    doc["summary_without_alloc"] = report.summarize(pauses)
    parts += ["## Geomeans without the rows of single allocations",
              report.summary_table(pauses, doc["summary_without_alloc"],
                                   REFERENCE)]
  parts += report.left_out(summary)
  return report.text_of(parts, results)


def main(argv):
  p = run.common_options("Measures garbage collectors against each other.")
  p.add_argument("--full", action="store_true",
                 help="heaps of 1 GiB in churn and mark-*")
  args = run.common_defaults(p.parse_args(argv))
  if args.full and args.quick:
    return run.usage_error("--full and --quick exclude each other")
  if args.full:
    args.timeout = max(args.timeout, 900)
  return run.session_of(args, ROWS, measure, render)[0]


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
