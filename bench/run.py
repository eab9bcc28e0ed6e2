#!/usr/bin/env python3
"""bench/run.py -- measures malloc libraries against each other.

WHAT    Runs the benchmark programs of this directory and some real programs
        under each library (LD_PRELOAD), in interleaved rounds, and prints
        ratio tables of time and peak RSS, geomeans, and verdicts.
HOW     Peers are found at run time. Every command runs under `launch`, which
        measures wall time, CPU of the process tree, and the peak RSS of its
        largest process. In each round every benchmark runs once with every
        library; the order of the libraries rotates.
RESULT  Exit code 0: all runs succeeded. 1: a run failed, crashed, timed out,
        printed something else than under the other libraries (the tables say
        which), or the session was interrupted. 2: bad arguments, or a library
        that cannot be measured. 3: only with --strict, a verdict is FAIL.

See README.md in this directory for what each benchmark measures.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import inputs  # noqa: E402
import report  # noqa: E402

CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-pthread"] + [
    # Else the compiler may remove pairs of malloc and free.
    f"-fno-builtin-{f}"
    for f in ("malloc", "calloc", "realloc", "free", "aligned_alloc")]

# name, soname, Debian package. glibc is the process without a preload.
PEERS = [
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
]
OURS = "almacen"
LIBRARY_DIRS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib"]
# Variables that change how an allocator behaves: passed on, and shown.
KNOBS = ("ALMACEN", "MALLOC_", "GLIBC_TUNABLES", "MIMALLOC_", "TCMALLOC_",
         "JE_MALLOC", "GC_MARKERS", "GC_NPROCS", "GC_INITIAL_HEAP",
         "GC_MAXIMUM_HEAP", "GC_FREE_SPACE", "GC_ALL_INTERIOR", "GOGC",
         "GOMEMLIMIT", "GOMAXPROCS")


class Bench:
  """One row of the tables.

  full, quick: arguments of a default and of a quick run.
  repeat: how often the launcher runs the command, (full, quick).
  own_time: time is the program's own `seconds`, not the wall time.
  """

  def __init__(self, name, what, full, quick, program=None, repeat=(1, 1),
               own_time=False, run=None, needs=()):
    self.name, self.what, self.full, self.quick = name, what, full, quick
    self.program, self.repeat, self.own_time = program, repeat, own_time
    self.run, self.needs = run or run_program, needs


class Failed(Exception):
  """A run that did not succeed; the text says why."""


class Library:

  def __init__(self, name, path, peer):
    self.name, self.path, self.peer = name, path, peer


# --- finding and building ---------------------------------------------------


def find_library(soname):
  """Path of a shared library the dynamic linker knows, or None."""
  for tool in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
    if os.path.exists(tool):
      text = subprocess.run([tool, "-p"], capture_output=True, text=True,
                            check=False).stdout
      for line in text.splitlines():
        fields = line.split()
        if fields and fields[0] == soname and os.path.exists(fields[-1]):
          return fields[-1]
  for folder in LIBRARY_DIRS:
    if os.path.exists(f"{folder}/{soname}"):
      return f"{folder}/{soname}"
  return None


def find_libraries(args, notes):
  """The libraries to measure, in order. Missing peers become notes."""
  found = [Library("glibc", None, True)]
  for name, soname, package in PEERS:
    path = find_library(soname)
    if path:
      found.append(Library(name, path, True))
    else:
      notes.append(f"{name} not found (Debian package {package})")
  ours = args.build / "lib" / "libalmacen-malloc.so"
  if ours.exists():
    found.append(Library(OURS, str(ours), False))
  else:
    notes.append(f"{OURS} not found ({ours})")
  for item in args.also:
    name, eq, path = item.partition("=")
    if not eq or not os.path.exists(path):
      raise SystemExit(usage_error(f"--also {item}: want NAME=PATH.so of an "
                                   "existing file"))
    found = [lib for lib in found if lib.name != name]
    found.append(Library(name, os.path.realpath(path), False))
  return choose_libraries(args, found)


def choose_libraries(args, found):
  if not args.libs:
    return found
  names = args.libs.split(",")
  unknown = [n for n in names if n not in [lib.name for lib in found]]
  if unknown:
    raise SystemExit(usage_error(f"--libs: not found: {', '.join(unknown)}"))
  return [lib for lib in found if lib.name in names]


def usage_error(text):
  print(f"{pathlib.Path(sys.argv[0]).name}: {text}", file=sys.stderr)
  return 2


def is_newer(target, made_from):
  """The target need not be made again."""
  return target.exists() and all(
      target.stat().st_mtime > pathlib.Path(f).stat().st_mtime
      for f in made_from)


def compile_one(source, target, flags, libs=(), made_from=()):
  """Compile if the target is older than anything it is made from."""
  if is_newer(target, [source, HERE / "bench.h", __file__, *made_from]):
    return
  part = target.with_name(f"{target.name}.{os.getpid()}")
  subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", str(part),
                  str(source), *libs], check=True)
  os.replace(part, target)


def build_launcher(out):
  out.mkdir(parents=True, exist_ok=True)
  try:
    compile_one(HERE / "launch.c", out / "launch", CFLAGS + ["-static"])
  except subprocess.CalledProcessError:
    # No static libc here: RSS below 1.5 MiB cannot be told apart.
    compile_one(HERE / "launch.c", out / "launch", CFLAGS)


def build(out, programs):
  build_launcher(out)
  for name in sorted(programs):
    compile_one(HERE / f"bench_{name}.c", out / f"bench_{name}", CFLAGS)


# --- running one command ----------------------------------------------------


class Session:
  """What all runs share."""

  def __init__(self, args, out, work):
    self.args, self.out, self.work = args, out, work
    self.quick, self.timeout = args.quick, args.timeout
    self.expected = {}  # benchmark -> hash of the output of its first run
    self.env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    self.env.update(LC_ALL="C", PYTHONHASHSEED="0", PYTHONMALLOC="malloc",
                    PYTHONDONTWRITEBYTECODE="1", TMPDIR=str(work))
    self.glibc = find_library("libc.so.6")

  def launch(self, lib, argv, stdin="/dev/null", repeat=1, wait=True):
    """Start argv under the library; returns the launcher's process."""
    for name in ("result", "stdout", "stderr"):
      (self.work / name).unlink(missing_ok=True)
    process = subprocess.Popen(
        [str(self.out / "launch"), str(self.work / "result"),
         str(self.timeout), str(repeat), lib or "-", str(stdin),
         str(self.work / "stdout"), str(self.work / "stderr"),
         *map(str, argv)], env=self.env, cwd=self.work)
    try:
      if wait:
        process.wait()
    except KeyboardInterrupt:
      process.terminate()
      process.wait()
      raise
    return process

  def result(self):
    """The launcher's facts of the last command; raises if it failed."""
    try:
      facts = json.loads((self.work / "result").read_text())
    except (OSError, ValueError):
      raise Failed("the launcher left no result") from None
    errors = self.text("stderr")
    if facts["timed_out"]:
      raise Failed(f"timed out after {self.timeout} s")
    if facts["signal"]:
      name = signal.Signals(facts["signal"]).name
      raise Failed(f"killed by {name}{complaint(errors)}")
    if facts["exit"] != 0:
      raise Failed(f"exit code {facts['exit']}{complaint(errors)}")
    if "cannot be preloaded" in errors:
      raise Failed(f"not preloaded{complaint(errors)}")
    return facts

  def text(self, name):
    try:
      return (self.work / name).read_bytes().decode(errors="replace")
    except OSError:
      return ""

  def compare(self, bench, data):
    """Every library must lead to the same output."""
    digest = hashlib.sha256(data).hexdigest()
    if self.expected.setdefault(bench.name, digest) != digest:
      raise Failed("output differs from that of the first run")


def complaint(text):
  """The line of stderr that says most: the first error, else the last."""
  lines = [line for line in text.splitlines() if line.strip()]
  lines = [line for line in lines if "error" in line] or lines[-1:]
  return f": {lines[0][:120]}" if lines else ""


def run_program(session, bench, lib, round_number):
  """One of our own programs: its last line is JSON."""
  arguments = (bench.quick if session.quick else bench.full).split()
  if bench.name == "spike" and round_number > 0:
    # RSS after the spike is looked at once; the time of it every round.
    arguments += ["sleep=0"]
  session.launch(lib.path, [session.out / f"bench_{bench.program}",
                            *arguments],
                 repeat=bench.repeat[session.quick])
  facts = session.result()
  facts["facts"] = result_line(session)
  if bench.own_time:
    facts["time_s"] = facts["facts"]["seconds"]
  return facts


def result_line(session):
  """What the program itself reported."""
  try:
    return json.loads(session.text("stdout").splitlines()[-1])
  except (IndexError, ValueError):
    raise Failed("no result line") from None


def run_sqlite(session, bench, lib, _round):
  script = session.work / "session.sql"
  if not script.exists():
    script.write_text(inputs.sql(pick(session, bench)))
  session.launch(lib.path, ["sqlite3", "-batch", "-bail", ":memory:"],
                 stdin=script)
  facts = session.result()
  session.compare(bench, (session.work / "stdout").read_bytes())
  return facts


def run_script(session, bench, lib, _round):
  """python3 or lua5.4: a script and its number of rounds."""
  session.launch(lib.path, [bench.needs[0], HERE / bench.program,
                            pick(session, bench)])
  facts = session.result()
  session.compare(bench, (session.work / "stdout").read_bytes())
  return facts


def run_gcc(session, bench, lib, _round):
  source, target = session.work / "big.c", session.work / "big.o"
  if not source.exists():
    source.write_text(inputs.c_source(pick(session, bench)))
  target.unlink(missing_ok=True)
  session.launch(lib.path, ["gcc", "-O2", "-c", "-o", target, source])
  facts = session.result()
  session.compare(bench, target.read_bytes())
  return facts


REDIS_CALLS = [
    "-t set,get,incr,lpush,lpop,sadd,hset,zadd -d 200",
    "-t set,lpop -d 1500",
]
REDIS_SCRIPT = ("return redis.call('append','a'..KEYS[1],"
                "'all work and no play makes jack a dull boy')")


def redis_call(path, text, timeout=5.0):
  with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(timeout)
    s.connect(path)
    s.sendall(text.encode() + b"\r\n")
    return s.recv(1024)


def redis_wait(launcher, path):
  for _ in range(400):
    if launcher.poll() is not None:
      return False
    try:
      if redis_call(path, "PING").startswith(b"+PONG"):
        return True
    except OSError:
      time.sleep(0.025)
  return False


def run_redis(session, bench, lib, _round):
  """The server under the library; the client always as it is installed.

  Debian's redis links jemalloc: for glibc, libc itself is preloaded.
  """
  count = str(pick(session, bench))
  path = str(session.work / "redis.sock")
  launcher = session.launch(
      lib.path or session.glibc,
      ["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
       "--appendonly", "no", "--daemonize", "no", "--dir", session.work],
      wait=False)
  base = ["redis-benchmark", "-s", path, "-n", count, "-P", "16", "-c", "20",
          "-r", count, "-q"]
  calls = [base + call.split() for call in REDIS_CALLS]
  calls.append(base + ["eval", REDIS_SCRIPT, "1", "__rand_int__"])
  trouble, seconds = None, 0.0
  try:
    if not redis_wait(launcher, path):
      trouble = "redis-server did not come up"
    begin = time.monotonic()
    for call in calls if not trouble else []:
      done = subprocess.run(call, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, env=session.env,
                            timeout=session.timeout, check=False)
      if done.returncode != 0:
        trouble = "redis-benchmark failed"
        break
    seconds = time.monotonic() - begin
    redis_call(path, "SHUTDOWN NOSAVE")
  except (OSError, subprocess.TimeoutExpired) as e:
    trouble = trouble or f"redis: {e}"
  finally:
    try:
      launcher.wait(5 if not trouble else 1)
    except subprocess.TimeoutExpired:
      launcher.terminate()
      launcher.wait()
  try:
    facts = session.result()
  except Failed as e:
    raise Failed(f"{trouble}; server: {e}" if trouble else str(e)) from None
  if trouble:
    raise Failed(trouble)
  facts["wall_s"] = seconds
  return facts


def pick(session, bench):
  return bench.quick if session.quick else bench.full


# --- the benchmarks ---------------------------------------------------------


def own(name, program, full, quick, what, **more):
  return Bench(name, what, full, quick, program=program, **more)


BENCHES = [
    own("churn-100", "churn", "live=100 ops=32M", "live=100 ops=12M",
        "one thread replaces random objects, 100 live"),
    own("churn-10k", "churn", "live=10000 ops=24M", "live=10000 ops=8M",
        "the same, 10,000 live"),
    own("churn-100k", "churn", "live=100000 ops=7M", "live=100000 ops=2M",
        "the same, 100,000 live (48 MiB)"),
    own("churn-2t", "churn", "threads=2 ops=40M", "threads=2 ops=12M",
        "two threads, 10,000 live each"),
    own("xthread-2t", "xthread", "pairs=1 ops=10M", "pairs=1 ops=3M",
        "one thread allocates, another frees"),
    own("xthread-8t", "xthread", "pairs=4 ops=12M", "pairs=4 ops=4M",
        "four producers, four consumers, all to all"),
    own("larson-2t", "larson", "threads=2 ops=40M lives=1000",
        "threads=2 ops=12M lives=300", "server; threads die and pass on"),
    own("larson-8t", "larson", "threads=8 ops=24M lives=300",
        "threads=8 ops=8M lives=100", "the same, eight at once"),
    own("realloc", "realloc", "ops=4M", "ops=1M",
        "vectors growing to 4 KiB ... 17 MiB side by side"),
    own("calloc", "calloc", "ops=96K", "ops=16K", "64 B to 1 MiB, zeroed"),
    own("large", "large", "ops=2000", "ops=400", "32 KiB to 32 MiB, touched"),
    own("fragment", "fragment", "turnover=128M live=32M",
        "turnover=64M live=16M", "sizes shift over time, survivors stay"),
    own("threadexit", "threadexit", "waves=1500", "waves=400",
        "threads exit, others free what they left"),
    own("batch", "batch", "rounds=240", "rounds=48",
        "100,000 allocated, then freed in three orders"),
    own("aligned", "aligned", "ops=6M", "ops=2M", "aligned_alloc and malloc"),
    own("tree-1t", "tree", "repeat=36", "repeat=12",
        "binary trees built and torn down"),
    own("tree-2t", "tree", "threads=2 repeat=20", "threads=2 repeat=8",
        "the same in two threads"),
    own("startup", "startup", "", "", "the floor: a tiny process, many times",
        repeat=(1000, 300)),
    own("spike", "spike", "size=1G sleep=10", "size=256M sleep=10",
        "1 GiB by 8 threads, freed by another, all sleep", own_time=True),
    Bench("sqlite3", "SQL session in memory", 400000, 100000, run=run_sqlite,
          needs=("sqlite3",)),
    Bench("redis", "redis-server under redis-benchmark", 100000, 30000,
          run=run_redis, needs=("redis-server", "redis-benchmark")),
    Bench("python3", "a script, PYTHONMALLOC=malloc", 7, 2,
          program="real_python.py", run=run_script,
          needs=("/usr/bin/python3",)),
    Bench("lua", "a script", 15, 4, program="real_lua.lua", run=run_script,
          needs=("lua5.4",)),
    Bench("gcc", "gcc -O2 of one big file", 1000, 150, run=run_gcc,
          needs=("gcc",)),
]
TIGHT = Bench("tight", "tight loops", "reps=3", "reps=1 divide=4",
              program="tight")


def choose_benches(args, notes, chosen):
  if args.only:
    names = args.only.split(",")
    unknown = [n for n in names if n not in [b.name for b in chosen]]
    if unknown:
      raise SystemExit(usage_error(f"--only: unknown: {', '.join(unknown)}"))
    chosen = [b for b in chosen if b.name in names]
  present = []
  for bench in chosen:
    missing = [n for n in bench.needs if not shutil.which(n)]
    if missing:
      notes.append(f"{bench.name} skipped: no {', '.join(missing)}")
    else:
      present.append(bench)
  return present


# --- the session ------------------------------------------------------------


def probe(session, lib):
  """A library that is not mapped would silently measure glibc."""
  if not lib.path:
    return None
  session.launch(lib.path, ["cat", "/proc/self/maps"])
  try:
    session.result()
  except Failed as e:
    # Broken, but present: its failures belong in the tables.
    return None if "not preloaded" not in str(e) else str(e)
  if os.path.realpath(lib.path) not in session.text("stdout"):
    return "the preloaded library is not in the process"
  return None


def run_one(session, bench, lib, round_number):
  record = {"bench": bench.name, "lib": lib.name, "round": round_number + 1,
            "ok": True}
  begin = time.monotonic()
  try:
    facts = bench.run(session, bench, lib, round_number)
    record.update(time_s=facts.pop("time_s", facts["wall_s"]),
                  cpu_s=facts["user_s"] + facts["sys_s"], **facts)
  except Failed as e:
    record.update(ok=False, error=str(e),
                  wall_s=round(time.monotonic() - begin, 3))
  return record


def say(args, text):
  if not args.silent:
    print(text, file=sys.stderr, flush=True)


def run_all(session, benches, libs, args, notes):
  runs, total = [], args.rounds * len(benches) * len(libs)
  try:
    for n in range(args.rounds):
      for b, bench in enumerate(benches):
        turn = (n + b) % len(libs)
        for lib in libs[turn:] + libs[:turn]:
          record = run_one(session, bench, lib, n)
          runs.append(record)
          result = record.get("error") or (
              f"{record['time_s']:8.3f} s {record['cpu_s']:8.3f} s CPU "
              f"{record['peak_rss_kib'] / 1024:8.1f} MiB")
          say(args, f"[{len(runs)}/{total}] round {n + 1} "
                    f"{bench.name:11} {lib.name:10} {result}")
  except KeyboardInterrupt:
    notes.append(f"INTERRUPTED after {len(runs)} of {total} runs")
  return runs


def machine():
  facts = {"kernel": platform.release(), "arch": platform.machine(),
           "cpus": os.cpu_count(), "python": platform.python_version(),
           "libc": " ".join(platform.libc_ver()),
           "load": [round(x, 2) for x in os.getloadavg()],
           "date": datetime.datetime.now().isoformat(timespec="seconds"),
           "knobs": {k: v for k, v in os.environ.items()
                     if k.startswith(KNOBS)}}
  for key, path, prefix in (("cpu", "/proc/cpuinfo", "model name"),
                            ("memory", "/proc/meminfo", "MemTotal")):
    try:
      lines = pathlib.Path(path).read_text().splitlines()
      facts[key] = next(line.split(":", 1)[1].strip() for line in lines
                        if line.startswith(prefix))
    except (OSError, StopIteration):
      facts[key] = "unknown"
  thp = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
  facts["thp"] = thp.read_text().strip() if thp.exists() else "none"
  git = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short",
                        "HEAD"], capture_output=True, text=True, check=False)
  facts["commit"] = git.stdout.strip() or "none"
  return facts


def common_options(description):
  """A parser of the options that all runners have."""
  p = argparse.ArgumentParser(description=description)
  p.add_argument("--also", action="append", default=[], metavar="NAME=PATH",
                 help="a further library; may be given several times")
  p.add_argument("--libs", help="only these libraries, a,b,...")
  p.add_argument("--only", help="only these benchmarks, a,b,...")
  p.add_argument("--rounds", type=int, help="default 3; with --quick 1")
  p.add_argument("--quick", action="store_true", help="small sizes")
  p.add_argument("--timeout", type=int, default=120,
                 help="seconds after which a run counts as failed")
  p.add_argument("--build", type=pathlib.Path,
                 default=pathlib.Path(os.environ.get(
                     "ALM_BUILD_DIR", HERE.parent / "build")),
                 help="build directory with our libraries in lib/")
  p.add_argument("--json", type=pathlib.Path, help="write all facts here")
  p.add_argument("--markdown", type=pathlib.Path, help="write tables here")
  p.add_argument("--from", dest="again", type=pathlib.Path, metavar="JSON",
                 help="run nothing; print the tables of an earlier --json")
  p.add_argument("--list", action="store_true", help="list the benchmarks")
  p.add_argument("--silent", action="store_true", help="no progress lines")
  return p


def common_defaults(args):
  args.rounds = args.rounds or (1 if args.quick else 3)
  args.build = args.build.resolve()
  return args


def parse(argv):
  p = common_options("Measures malloc libraries against each other.")
  p.add_argument("--tight", action="store_true",
                 help="the tight loops, ns per operation")
  p.add_argument("--subject", default=OURS,
                 help=f"the library the verdicts are about ({OURS})")
  p.add_argument("--strict", action="store_true",
                 help="exit code 3 if a verdict is FAIL")
  args = common_defaults(p.parse_args(argv))
  if args.tight:
    args.only = None
  return args


def measure_malloc(args):
  notes = []
  libs = find_libraries(args, notes)
  benches = choose_benches(args, notes, [TIGHT] if args.tight else BENCHES)
  if not libs or not benches:
    raise SystemExit(usage_error("nothing to run"))
  build(args.build / "bench",
        {b.program for b in benches if b.run is run_program})
  doc = measure(args, libs, benches, notes)
  doc.update(subject=args.subject, tight=args.tight)
  return doc


def measure(args, libs, benches, notes):
  """Run everything; returns the document that report.py renders."""
  out = args.build / "bench"
  facts, begin = machine(), time.monotonic()
  # A short path: unix sockets allow 107 characters.
  with tempfile.TemporaryDirectory(prefix="almbench.") as work:
    session = Session(args, out, pathlib.Path(work))
    for lib in libs:
      trouble = probe(session, lib)
      if trouble:
        raise SystemExit(usage_error(f"{lib.name}: {lib.path}: {trouble}"))
    runs = run_all(session, benches, libs, args, notes)
  facts["load_after"] = [round(x, 2) for x in os.getloadavg()]
  total = args.rounds * len(benches) * len(libs)
  return {
      "version": 1, "complete": len(runs) == total,
      "machine": facts, "quick": args.quick,
      "rounds": args.rounds, "notes": notes,
      "took_s": round(time.monotonic() - begin, 1),
      "libs": [{"name": lib.name, "path": lib.path and
                os.path.realpath(lib.path), "peer": lib.peer}
               for lib in libs],
      "benches": [{"name": b.name, "what": b.what} for b in benches],
      "runs": runs,
  }


def main(argv):
  args = parse(argv)
  code, doc = session_of(args, BENCHES, measure_malloc, report.render)
  if (code == 0 and doc and args.strict and
      any(not v["pass"] for v in doc["verdicts"])):
    return 3
  return code


def session_of(args, benches, measure_all, render):
  """What the options ask for; returns the exit code and the document."""
  # So that the temporary directory goes and the tables come in any case.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  if args.list:
    for bench in benches:
      print(f"{bench.name:12} {bench.what}")
    return 0, None
  if args.again:
    doc = json.loads(args.again.read_text())
  else:
    doc = measure_all(args)
  text = render(doc)  # also adds doc["summary"]
  print(text)
  if args.markdown:
    args.markdown.write_text(text)
  if args.json:
    args.json.write_text(json.dumps(doc, indent=1) + "\n")
  ok = doc["complete"] and all(r["ok"] for r in doc["runs"])
  return (0 if ok else 1), doc


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
