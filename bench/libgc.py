#!/usr/bin/env python3
"""bench/libgc.py -- measures programs of libgc on two libraries.

WHAT    Runs programs that use libgc -- of our own, and under Guile, ECL and
        w3m -- on the system's libgc.so.1 and on almacen's, in interleaved
        rounds, and prints ratio tables of time, CPU time, peak RSS and
        pauses.
HOW     Every program is compiled once, with the system's gc.h, and finds its
        library by LD_LIBRARY_PATH. Our programs report their pauses; those
        of the others are seen by build/lib/libalmacen-gcprobe.so, which asks
        libgc to be told, the same way with either library. The rest is
        run.py's: rounds, launcher, tables, exit codes.

See README.md in this directory for what each row measures.
"""

import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import inputs  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402

LIBGC = run.HERE / "libgc"
GC = run.HERE / "gc"
INCLUDE = run.HERE.parent / "include"
REFERENCE = "libgc"
SONAME, PACKAGE, HEADER = "libgc.so.1", "libgc-dev", "/usr/include/gc/gc.h"
GUILE = "guile"


class Row(run.Bench):
  """One row: a C program of gc/ or libgc/, or a real one.

  own_time: time is what the program itself says.
  """

  def __init__(self, name, what, full, quick, program=None, own_time=False,
               start=None, needs=()):
    super().__init__(name, what, full, quick, program=program,
                     own_time=own_time, needs=needs,
                     run=run_real if start else run_own)
    self.start = start


class Library(run.Library):
  """folder: where its libgc.so.1 is, for LD_LIBRARY_PATH; None: the system.

  It is not preloaded, so run.py's `path` is that of the probe.
  """

  def __init__(self, name, folder, origin, peer=False):
    super().__init__(name, None, peer)
    self.folder, self.origin = folder, origin


def on_library(session, lib, **more):
  """The environment for the next command."""
  path = os.environ.get("LD_LIBRARY_PATH", "")
  if lib.folder:
    path = f"{lib.folder}:{path}" if path else str(lib.folder)
  session.env = dict(session.env, LD_LIBRARY_PATH=path,
                     ALMACEN=os.environ.get("ALMACEN", ""))
  session.env.update(more)


def run_own(session, row, lib, round_number):
  arguments = run.pick(session, row).split()
  if row.name == "spike" and round_number > 0:
    # RSS after the spike is looked at once; the time of it every round.
    arguments.append("sleep=0")
  on_library(session, lib)
  session.launch(None, [program_path(session.out, row.program), *arguments])
  facts = session.result()
  own = facts["facts"] = run.result_line(session)
  facts["pause_max_ms"] = own["pause_max_ms"]
  if row.own_time:
    facts["time_s"] = own["seconds"]
  return facts


def run_real(session, row, lib, _round):
  records = session.work / "records"
  shutil.rmtree(records, ignore_errors=True)
  records.mkdir()
  options = os.environ.get("ALMACEN", "")
  on_library(session, lib, ALMACEN=",".join(
      filter(None, [options, f"record={records}"])))
  session.launch(session.args.build / "lib" / "libalmacen-gcprobe.so",
                 row.start(session, run.pick(session, row)))
  facts = session.result()
  session.compare(row, (session.work / "stdout").read_bytes())
  found = subprocess.run([str(session.out / "libgc_records"), str(records)],
                         capture_output=True, text=True, check=True).stdout
  if not found:
    raise run.Failed("no record of its collections")
  lines = [json.loads(line) for line in found.splitlines()]
  facts["facts"] = max(lines, key=lambda f: f["pause_total_ms"])
  facts["pause_max_ms"] = max(f["pause_max_ms"] for f in lines)
  return facts


# --- the real programs ------------------------------------------------------


def guile(name):
  def start(session, size):
    compiled = session.out / f"libgc_{name}.go"
    return [GUILE, "--no-auto-compile", "-c",
            f'(load-compiled "{compiled}")', size]
  return start


def ecl(name):
  return lambda session, size: ["ecl", "--norc", "--shell",
                                LIBGC / f"{name}.lisp", size]


def w3m(session, rows):
  page = session.work / "page.html"
  if not page.exists():
    page.write_text(inputs.html(rows))
  return ["w3m", "-dump", "-cols", "100", "-T", "text/html", page]


def own(name, program, full, quick, what, **more):
  return Row(name, what, full, quick, program=program, **more)


ROWS = [
    own("trees-16", "gc_trees", "depth=16", "depth=12",
        "binary trees of depth 4 to 16"),
    own("trees-18", "gc_trees", "depth=18", "depth=14", "the same to 18"),
    own("trees-20", "gc_trees", "depth=20", "depth=15", "the same to 20"),
    own("trees-18-2t", "gc_trees", "depth=18 threads=2",
        "depth=14 threads=2", "depth 18, two threads"),
    own("gcbench", "gc_gcbench", "stretch=18", "stretch=14 kept=12",
        "GCBench: trees down and up, a long-lived tree and array"),
    own("churn", "gc_churn", "live=1000000 ops=5000000",
        "live=50000 ops=300000",
        "random replacement among 1 M nodes of 32 to 128 bytes"),
    own("churn-1g", "gc_churn", "live=12000000 ops=4000000",
        "live=200000 ops=200000", "the same with 1 GiB live"),
    own("large", "gc_large", "ops=4000", "ops=400",
        "64 live objects of 32 KiB to 4 MiB, half of them pointers"),
    own("strings", "libgc_strings", "ops=300000", "ops=20000 live=5000",
        "strings grown by GC_REALLOC, copies of 100,000 stay"),
    own("spike", "libgc_spike", "size=512M sleep=10", "size=32M sleep=0",
        "512 MiB dropped, collected twice, then asleep", own_time=True),
]
ROWS += [
    own(f"alloc{'-atomic' if atomic else ''}-{size}" +
        ("-8t" if threads == 8 else ""), "gc_alloc",
        f"size={size} ops={ops // threads} threads={threads} noscan={atomic}",
        f"size={size} ops={200000 // threads} threads={threads} "
        f"noscan={atomic}",
        f"{size}-byte objects {'without pointers ' if atomic else ''}dropped "
        f"at once, {'eight threads' if threads == 8 else 'one thread'}",
        own_time=True)
    for atomic in (0, 1)
    for threads in (1, 8)
    for size, ops in ((16, 16000000), (64, 8000000), (256, 3000000))
]
ROWS += [
    Row("guile-trees", "binary trees in Guile", 18, 10,
        start=guile("trees"), needs=(GUILE, "guild")),
    Row("guile-hash", "hash tables and strings in Guile", 200000, 5000,
        start=guile("hash"), needs=(GUILE, "guild")),
    Row("guile-threads", "eight threads that cons in Guile", 8000, 100,
        start=guile("threads"), needs=(GUILE, "guild")),
    Row("ecl-trees", "binary trees in ECL", 15, 7, start=ecl("trees"),
        needs=("ecl",)),
    Row("ecl-hash", "hash tables and strings in ECL", 100000, 1000,
        start=ecl("hash"), needs=("ecl",)),
    Row("w3m", "w3m -dump of a page of many tables", 20000, 1000, start=w3m,
        needs=("w3m",)),
]
REAL = ("guile-", "ecl-", "w3m")


# --- libraries --------------------------------------------------------------


def find_libraries(args, notes):
  found = []
  system = run.find_library(SONAME)
  if not os.path.exists(HEADER):
    raise SystemExit(run.usage_error(f"no {HEADER} (Debian package {PACKAGE})"))
  if system:
    found.append(Library(REFERENCE, None, os.path.realpath(system), peer=True))
  else:
    notes.append(f"{REFERENCE} not found (Debian package {PACKAGE})")
  ours = args.build / "lib" / "libgc" / SONAME
  if ours.exists():
    found.append(Library(run.OURS, ours.parent, str(ours.resolve())))
  else:
    notes.append(f"{run.OURS} not found ({ours})")
  for item in args.also:
    name, eq, path = item.partition("=")
    if not eq or not os.path.exists(path):
      raise SystemExit(run.usage_error(
          f"--also {item}: want NAME=PATH of a {SONAME}"))
    found = [lib for lib in found if lib.name != name]
    found.append(also(args, name, os.path.realpath(path)))
  return run.choose_libraries(args, found)


def also(args, name, path):
  """A folder in which the library has the name that programs ask for."""
  folder = args.build / "bench" / f"also-{name}"
  folder.mkdir(parents=True, exist_ok=True)
  (folder / SONAME).unlink(missing_ok=True)
  (folder / SONAME).symlink_to(path)
  return Library(name, folder, path)


def check_library(lib, program):
  """A library that is not found would silently measure another."""
  env = dict(os.environ, LD_TRACE_LOADED_OBJECTS="1")
  env.pop("LD_PRELOAD", None)
  if lib.folder:
    env["LD_LIBRARY_PATH"] = str(lib.folder)
  listing = subprocess.run([str(program)], env=env, capture_output=True,
                           text=True, check=False).stdout
  for line in listing.splitlines():
    fields = line.split()
    if fields and fields[0] == SONAME and len(fields) > 2:
      if os.path.realpath(fields[2]) == lib.origin:
        return
  raise SystemExit(run.usage_error(
      f"{lib.name}: {program.name} does not find {lib.origin}"))


# --- building ---------------------------------------------------------------


def program_path(out, program):
  return out / f"libgc.{program}"


def build_own(out, program):
  folder = GC if program.startswith("gc_") else LIBGC
  run.compile_one(folder / f"{program}.c", program_path(out, program),
                  run.CFLAGS + ["-DGC_BOEHM", "-I", str(INCLUDE)], ["-lgc"],
                  [*GC.glob("*.h"), __file__])


def build_guile(out, name):
  source, target = LIBGC / f"{name}.scm", out / f"libgc_{name}.go"
  if not run.is_newer(target, [source]):
    env = dict(os.environ, XDG_CACHE_HOME=str(out / "guile-cache"))
    subprocess.run(["guild", "compile", "-O2", "-o", str(target),
                    str(source)], env=env, check=True,
                   stdout=subprocess.DEVNULL)


def build(args, rows):
  out = args.build / "bench"
  run.build_launcher(out)
  for program in sorted({row.program for row in rows if row.program}
                        | {"gc_trees"}):
    build_own(out, program)
  for row in rows:
    if row.name.startswith("guile-"):
      build_guile(out, row.name.removeprefix("guile-"))
  if any(row.start for row in rows):
    archive = args.build / "lib" / "libalmacen.a"
    run.compile_one(LIBGC / "records.c", out / "libgc_records",
                    run.CFLAGS + ["-I", str(INCLUDE)], [str(archive)],
                    [archive, INCLUDE / "almacen.h"])


def choose_rows(args, notes):
  rows = run.choose_benches(args, notes, ROWS)
  needed = [args.build / "lib" / "libalmacen-gcprobe.so",
            args.build / "lib" / "libalmacen.a"]
  missing = [path.name for path in needed if not path.exists()]
  if missing and any(row.start for row in rows):
    notes.append(f"real programs skipped: no {', '.join(missing)}")
    rows = [row for row in rows if not row.start]
  return rows


def measure(args):
  notes = []
  libs = find_libraries(args, notes)
  rows = choose_rows(args, notes)
  if not libs or not rows:
    raise SystemExit(run.usage_error("nothing to run"))
  build(args, rows)
  for lib in libs:
    check_library(lib, program_path(args.build / "bench", "gc_trees"))
  doc = run.measure(args, libs, rows, notes)
  for entry, lib in zip(doc["libs"], libs):
    entry["path"] = lib.origin
  return doc


# --- the report -------------------------------------------------------------


def summary_of(doc, title, key, wanted):
  results = report.part(doc, wanted)
  if not results.rows:
    return []
  doc[key] = report.summarize(results)
  return [title, report.summary_table(results, doc[key], REFERENCE)]


def is_real(name):
  return name.startswith(REAL)


def is_alloc(name):
  return name.startswith("alloc-")


def render(doc):
  """Markdown of the document; adds its summary to it."""
  results = report.Results(doc)
  pauses = report.part(doc, lambda name: not is_alloc(name))
  summary = doc["summary"] = report.summarize(results)
  parts = report.heading(doc, "programs of libgc")
  parts += report.collector_tables(results, pauses, REFERENCE)
  if pauses.rows:
    parts += ["## Collections",
              report.facts_table(pauses, [("collections", "")], str)]
  if "spike" in results.rows:
    parts += ["## RSS after a spike, collected, asleep",
              report.spike_table(results)]
  parts += ["## Geomeans", report.summary_table(results, summary, REFERENCE)]
  parts += summary_of(doc, "## Geomeans of our programs, allocation aside",
                      "summary_own",
                      lambda name: not is_real(name) and not is_alloc(name))
  parts += summary_of(doc, "## Geomeans of allocation", "summary_alloc",
                      is_alloc)
  parts += summary_of(doc, "## Geomeans of Guile, ECL and w3m",
                      "summary_real", is_real)
  parts += report.left_out(summary)
  return report.text_of(parts, results)


def main(argv):
  p = run.common_options("Measures programs of libgc on two libraries.")
  p.set_defaults(timeout=300)  # churn-1g, on a busy machine
  args = run.common_defaults(p.parse_args(argv))
  return run.session_of(args, ROWS, measure, render)[0]


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
