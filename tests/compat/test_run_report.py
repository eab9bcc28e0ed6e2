#!/usr/bin/env python3
"""`almacen run` end to end: what the program sees, what the report says.

Runs the built command on the built library. Environment: ALM_BUILD_DIR,
ALM_SOURCE_DIR. Arguments, if any, select tests by a part of their name.
Exit: 0 passed, 77 the command or the library is not built, 1 failed.
"""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
import unicodedata

SOURCE = os.environ.get("ALM_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("ALM_BUILD_DIR") or os.path.join(SOURCE, "build")
ALMACEN = os.path.join(BUILD, "bin", "almacen")
LIBRARY = os.path.join(BUILD, "lib", "libalmacen-malloc.so")
GC_LIBRARY = os.path.join(BUILD, "lib", "libalmacen-gc.so")
PROBE = os.path.join(BUILD, "lib", "libalmacen-gcprobe.so")
PYTHON = os.path.realpath(sys.executable)
TIMEOUT_S = 120

SCRATCH = ""  # a fresh directory for every test; TMPDIR of the command


def environment(**more):
    """The environment of the command: nothing inherited that matters."""
    env = {k: v for k, v in os.environ.items()
           if k not in ("LD_PRELOAD", "ALMACEN", "NO_COLOR", "COLUMNS")}
    env.update(TMPDIR=SCRATCH, LC_ALL="C.UTF-8", PYTHONMALLOC="malloc")
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def almacen(*args, stdin=b"", env=None, **more):
    """Run the command to its end; the CompletedProcess, bytes inside."""
    if "stdin_file" in more:
        source = {"stdin": more.pop("stdin_file")}
    else:
        source = {"input": stdin}
    return subprocess.run([ALMACEN, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                          env=env or environment(), **source, **more)


def run(*program, **more):
    return almacen("run", "--", *program, **more)


def python(code, *args):
    """The command line of a small Python program."""
    return (PYTHON, "-c", code, *args)


def report_of(*program, options=(), **more):
    """Run with --report; the result and the parsed, checked document."""
    name = os.path.join(SCRATCH, "report.json")
    done = almacen("run", *options, "--report", name, "--", *program, **more)
    with open(name, "rb") as file:
        document = json.loads(file.read().decode("utf-8"))
    os.unlink(name)
    check_document(document)
    return done, document


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(a, b, *what):
    check(a == b, repr(a)[:2000], "is not", repr(b)[:2000], *what)


def contains(text, part):
    check(part in text, repr(part), "not in", text.decode("utf-8", "replace"))


GC_SUMMED = ("heaps", "heaps_now", "collections", "pause_ns", "cpu_ns",
             "alloc_bytes", "heap_bytes", "heap_bytes_max", "live_bytes",
             "live_objects", "live_bytes_max", "finalizers_queued",
             "finalizers_run")


def check_gc(gc):
    equal(sum(p["count"] for p in gc["pauses"]), gc["collections"], gc)
    check(gc["pause_ns_max"] <= gc["pause_ns"], gc)
    check(gc["pause_ns"] <= gc["pause_ns_max"] * gc["collections"], gc)
    longest = gc["pauses"][-1]["below_ns"] if gc["pauses"] else 0
    check(longest is None or longest * 4 / 5 - 1000 <= gc["pause_ns_max"] <=
          longest, gc)
    check(gc["pause_p50_ns"] <= gc["pause_p99_ns"] <= gc["pause_ns_max"], gc)
    equal(gc["pause_p50_ns"] > 0, gc["collections"] > 0, gc)
    check(gc["heap_bytes"] <= gc["heap_bytes_max"], gc)
    check(gc["live_bytes"] <= gc["live_bytes_max"], gc)
    check(gc["finalizers_run"] <= gc["finalizers_queued"], gc)
    equal(gc["heap_bytes"], sum(c["bytes"] for c in gc["classes"]), gc)


COUNTERS = ("allocs", "frees", "alloc_bytes", "free_bytes", "inherited")
SUMMED = COUNTERS + ("heap_inuse", "heap_inuse_max", "live_at_max",
                     "heap_free", "heap_mapped", "heap_mapped_max",
                     "released", "metadata", "reserved", "threads",
                     "realloc_inplace", "realloc_moved", "realloc_remapped")


def check_stats(stats):
    for key in COUNTERS:
        equal(stats[key], sum(c[key] for c in stats["classes"]), key)
    for one in stats["classes"]:
        if one["class"]:
            equal(one["alloc_bytes"], one["allocs"] * one["object_bytes"], one)
            equal(one["free_bytes"], one["frees"] * one["object_bytes"], one)
        check(one["spans"] <= one["spans_max"], one)


def check_copies(images):
    """Copies of one image stand together and tell the same of it."""
    for before, image in zip([None] + images, images):
        check(image["face"] in ("malloc", "alm", "gc"), image)
        if before and before["pid"] == image["pid"]:
            step = image["image"] - before["image"]
            check(step in (0, 1), before, image)
            check(step == 1 or before["state"] == image["state"], image)
        else:
            equal(image["image"], 0, image)


def check_document(document):
    """What holds for every report."""
    equal(document["schema"], "almacen-run")
    equal(document["version"], 1)
    images = document["images"]
    equal(document["processes"],
          len(set(i["pid"] for i in images)), "processes")
    check_copies(images)
    for image in images:
        check(image["state"] in ("exited", "killed", "exec", "ended",
                                 "running"), image["state"])
        stats = image["stats"]
        check_stats(stats)
        check(stats["live_at_max"] <= stats["heap_inuse_max"], stats)
        # The library raises the maximum in steps.
        peak = stats["heap_inuse_max"]
        check(stats["heap_inuse"] <= peak + peak // 64 + (128 << 10), stats)
        if image["state"] == "exited":  # else batches may be missing
            for one in stats["classes"]:
                check(one["inherited"] + one["allocs"] >= one["frees"], one)
        check(stats["heap_mapped"] <= stats["heap_mapped_max"], stats)
        if stats["gc"]:
            check_gc(stats["gc"])
    check_stats(document["total"])
    for key in SUMMED:
        equal(document["total"][key], sum(i["stats"][key] for i in images), key)
    collected = [i["stats"]["gc"] for i in images if i["stats"]["gc"]]
    total = document["total"]["gc"]
    equal(total is None, not collected)
    for key in GC_SUMMED if total else ():
        equal(total[key], sum(gc[key] for gc in collected), key)
    usage = document["usage"]
    check(usage["wall_ns"] > 0 and usage["rss_max"] > 0, usage)


def cc(name, code, *flags):
    """Build a C program in the scratch directory; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    path = os.path.join(SCRATCH, name)
    if not compiler:
        return None
    done = subprocess.run([compiler, "-O1", "-o", path, "-x", "c", "-", *flags],
                          input=code.encode(), stderr=subprocess.PIPE)
    return path if done.returncode == 0 else None


def wait_for(condition, what):
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        check(time.monotonic() < until, "timed out waiting for", what)
        time.sleep(0.01)


# ---- what the program sees -------------------------------------------------

def test_exit_status():
    for status in (0, 1, 42, 255):
        done = run("sh", "-c", "exit %d" % status)
        equal(done.returncode, status)
        contains(done.stderr, b"exited with status %d" % status)


def test_killed_by_signal():
    code = ("import os, signal\nx = [bytes(100) for i in range(50000)]\n"
            "os.kill(os.getpid(), signal.SIGKILL)")
    done, document = report_of(*python(code))
    equal(done.returncode, 128 + signal.SIGKILL)
    contains(done.stderr, b"killed by SIGKILL (9)")
    equal(document["exit"], {"code": 137, "signal": 9,
                             "signal_name": "SIGKILL", "core_dumped": False})
    equal(document["images"][0]["state"], "killed")
    check(document["total"]["allocs"] > 45000, document["total"])


def test_streams_untouched():
    blob = bytes(range(256)) * 4096
    code = ("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())\n"
            "sys.stdout.flush()\nsys.stderr.write('to stderr\\n')")
    done = run(*python(code), stdin=blob)
    equal(done.returncode, 0)
    check(done.stdout == blob, "stdout differs")
    check(done.stderr.startswith(b"to stderr\n"), done.stderr)
    contains(done.stderr, b"almacen 0.")


def test_environment():
    code = "import os\nprint(os.environ['LD_PRELOAD'])\n" \
           "print(os.environ['ALMACEN'])"
    other = os.path.join(SCRATCH, "other.so")
    check(cc("other.so", "int nothing;", "-shared", "-fPIC"), "cc")
    # record= given twice: the command's own comes last and counts.
    done, document = report_of(*python(code), env=environment(
        LD_PRELOAD=other, ALMACEN="record=/nonexistent"))
    preload, options = done.stdout.decode().splitlines()
    equal(preload, os.path.realpath(LIBRARY) + ":" + other)
    check(options.startswith("record=/nonexistent,record=" + SCRATCH), options)
    equal(len(document["images"]), 1)


def test_signals_of_the_program_are_default():
    code = ("import signal as s\nprint([s.getsignal(n) == s.SIG_DFL for n in "
            "(s.SIGTERM, s.SIGHUP, s.SIGUSR1, s.SIGQUIT, s.SIGCHLD)],"
            "s.pthread_sigmask(s.SIG_BLOCK, []))")
    done = run(*python(code))
    equal(done.stdout, b"[True, True, True, True, True] set()\n")


def test_closed_streams():
    for redirection in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        # A shell looks: Python opens what it finds closed.
        script = "; ".join("[ -e /proc/$$/fd/%s ] && exit 8" % fd[0]
                           for fd in redirection.split())
        done = subprocess.run(
            ["sh", "-c", "exec \"$0\" run -- sh -c '%s; exit 7' %s"
             % (script, redirection), ALMACEN],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment(), timeout=TIMEOUT_S)
        equal(done.returncode, 7, redirection)


def test_program_closes_stderr():
    done = run("sh", "-c", "exec 2>&-; exit 3")
    equal(done.returncode, 3)
    contains(done.stderr, b"exited with status 3")


def test_nobody_reads_the_report():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([ALMACEN, "run", "sh", "-c", "exit 5"],
                          stdin=subprocess.DEVNULL, stderr=writer,
                          env=environment(), timeout=TIMEOUT_S)
    os.close(writer)
    equal(done.returncode, 5)


# ---- signals to the command ------------------------------------------------

def start_trap():
    """The command running a program that answers TERM with status 7."""
    code = ("import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *a: sys.exit(7))\n"
            "signal.signal(signal.SIGUSR1, lambda *a: print('usr1', flush=1))\n"
            "print('ready', flush=True)\n"
            "while True: time.sleep(0.05)")
    child = subprocess.Popen([ALMACEN, "run", *python(code)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL, env=environment())
    equal(child.stdout.readline(), b"ready\n")
    return child


def test_signals_are_passed_on():
    child = start_trap()
    child.send_signal(signal.SIGINT)  # the terminal would tell the program
    child.send_signal(signal.SIGQUIT)
    child.send_signal(signal.SIGUSR1)
    equal(child.stdout.readline(), b"usr1\n")
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=TIMEOUT_S)
    equal(child.returncode, 7)
    contains(errors, b"exited with status 7")
    equal(os.listdir(SCRATCH), [])


# ---- several processes -----------------------------------------------------

def test_fork():
    code = ("import os\nfor i in range(4):\n"
            "  pid = os.fork()\n"
            "  if pid == 0:\n"
            "    x = [bytes(1000) for k in range(1000 * (i + 1))]\n"
            "    os._exit(0)\n"
            "  os.waitpid(pid, 0)\n")
    done, document = report_of(*python(code))
    equal(document["processes"], 5)
    contains(done.stderr, b"Processes")
    children = [i for i in document["images"] if i["pid"] != document["pid"]]
    equal([c["parent_pid"] for c in children], [document["pid"]] * 4)
    equal(set(c["state"] for c in children), {"ended"})
    allocated = [c["stats"]["alloc_bytes"] for c in children]
    equal(allocated, sorted(allocated), "by start, each larger")
    # A child starts from zero and is at most a batch behind.
    for i, bytes_ in enumerate(allocated):
        check(0.9e6 * (i + 1) < bytes_ < 1.5e6 * (i + 1), i, bytes_)


def test_exec_keeps_the_process():
    done, document = report_of("env", "sh", "-c", "exec sh -c :")
    equal(done.returncode, 0)
    equal(document["processes"], 1)
    equal([i["state"] for i in document["images"]],
          ["exec", "exec", "exited"])
    equal([i["image"] for i in document["images"]], [0, 1, 2])


def test_300_children():
    code = ("import os\npids = []\nfor i in range(300):\n"
            "  pid = os.fork()\n"
            "  if pid == 0:\n"
            "    x = bytearray(50000)\n"
            "    os._exit(0)\n"
            "  pids.append(pid)\n"
            "for pid in pids: os.waitpid(pid, 0)\n")
    done, document = report_of(*python(code))
    equal(done.returncode, 0)
    equal(document["processes"], 301)
    contains(done.stderr, b"smaller ones")
    check(done.stderr.count(b"\n") < 100, "the report is too long")


def test_orphans_are_waited_for_and_daemons_are_not():
    began = time.monotonic()
    script = ("(sh -c 'kill -9 $$' &) ; sleep 100 >/dev/null 2>&1 & "
              "echo $!; sleep 0.2")
    done, document = report_of("sh", "-c", script)
    daemon = int(done.stdout)
    os.kill(daemon, signal.SIGTERM)
    check(time.monotonic() - began < 20, "waited for the daemon")
    states = {i["pid"]: i["state"] for i in document["images"]}
    equal(states[daemon], "running")
    check("killed" in states.values(), states)
    contains(done.stderr, b"running")


# ---- programs that cannot be run -------------------------------------------

def one_line(done):
    text = done.stderr.decode()
    check(text.count("\n") == 1 and text.startswith("almacen: "), repr(text))
    equal(done.stdout, b"")


def test_not_found():
    for options in ((), ("--compare",), ("--report", SCRATCH + "/new")):
        done = almacen("run", *options, "no-such-program-here")
        equal(done.returncode, 127)
        one_line(done)
        contains(done.stderr, b"no-such-program-here")
        equal(os.listdir(SCRATCH), [])


def test_cannot_run():
    done = run("/etc/passwd")
    equal(done.returncode, 126)
    one_line(done)
    equal(run("/").returncode, 126)


def test_usage():
    for args in ((), ("frobnicate",), ("--frob",), ("run",), ("run", "--"),
                 ("run", "--frob", "true"), ("run", "-x", "true"),
                 ("run", "--rounds", "2", "true"),
                 ("run", "--compare", "--rounds", "0", "true"),
                 ("run", "--compare", "--rounds", "3x", "true"),
                 ("run", "--rounds"), ("run", "--report"),
                 ("options", "--frob"), ("options", "x"), ("help", "frob")):
        done = almacen(*args)
        equal(done.returncode, 2, args)
        one_line(done)


def test_help_and_version():
    for args in (("--help",), ("help",), ("help", "run"), ("run", "--help"),
                 ("help", "options"), ("options", "--help"), ("--version",),
                 ("options",), ("options", "--markdown")):
        done = almacen(*args)
        equal(done.returncode, 0, args)
        equal(done.stderr, b"")
        check(done.stdout, args)
        with open("/dev/full", "wb") as full:
            again = subprocess.run([ALMACEN, *args], stdout=full,
                                   stderr=subprocess.PIPE, env=environment())
        equal(again.returncode, 125, args)
    for line in almacen("help", "run").stdout.decode().splitlines():
        check(len(line) <= 80, line)


def test_options_markdown():
    lines = almacen("options", "--markdown").stdout.decode().splitlines()
    equal(lines[0], "| option | type | default | when | what it does |")
    for line in lines:
        equal(len(re.findall(r"(?<!\\)\|", line)), 6, line)
    check(any(line.startswith("| `record` |") for line in lines), lines)


# ---- --report --------------------------------------------------------------

def test_report_numbers():
    code = ("x = [bytes(1000) for i in range(20000)]\n"
            "y = bytearray(30 << 20)\ndel x, y\n")
    done, document = report_of(*python(code))
    equal(document["command"], list(python(code)))
    equal(document["exit"], {"code": 0, "signal": None})
    equal(document["compare"], None)
    equal(document["skipped"], [])
    equal(len(document["images"]), 1)
    image = document["images"][0]
    stats = image["stats"]
    equal(image["state"], "exited")
    equal(image["pid"], document["pid"])
    check(image["start_ns"] < image["end_ns"], image["start_ns"])
    check(stats["allocs"] >= stats["frees"], stats["allocs"], stats["frees"])
    check(stats["alloc_bytes"] >= 20000 * 1000 + (30 << 20), stats)
    check(stats["heap_inuse_max"] >= 20000 * 1000 + (30 << 20), stats)
    check(stats["threads"] >= 1, stats)
    large = [c for c in stats["classes"] if c["class"] == 0]
    check(large and large[0]["alloc_bytes"] >= 30 << 20, large)
    contains(done.stderr, b"fragmentation")


def test_report_on_stdout():
    done = almacen("run", "--report", "-", "echo", "hello")
    check(done.stdout.startswith(b"hello\n{"), done.stdout[:100])
    check_document(json.loads(done.stdout[len(b"hello\n"):]))


def test_report_is_replaced():
    name = os.path.join(SCRATCH, "old")
    with open(name, "w") as file:
        file.write("x" * 1000000)
    done = almacen("run", "--report", name, "true")
    equal(done.returncode, 0)
    with open(name) as file:
        check_document(json.load(file))


def test_report_cannot_be_written():
    done = almacen("run", "--report", "/nonexistent/file", "echo", "ran")
    equal(done.returncode, 125)
    equal(done.stdout, b"")
    one_line(done)
    done = almacen("run", "--report", "/dev/full", "true")
    equal(done.returncode, 125)
    contains(done.stderr, b"cannot write '/dev/full'")
    equal(almacen("run", "--report", "/dev/full", "false").returncode, 1)


def test_wild_arguments():
    wild = b"a\xff\xfe'\x1b[31m\n\xe2\x82"
    done, document = report_of("true", wild, "", "\u00e9")
    equal(document["command"][1], "a\ufffd\ufffd'\x1b[31m\n\ufffd\ufffd")
    equal(document["command"][2:], ["", "\u00e9"])
    check(b"\x1b" not in done.stderr, done.stderr)


# ---- --compare -------------------------------------------------------------

# Appends which malloc it runs on and what it reads to a file.
WITNESS = ("import os, sys\n"
           "data = sys.stdin.buffer.read()\n"
           "side = 'libalmacen' in open('/proc/self/maps').read()\n"
           "with open(sys.argv[1], 'a') as f:\n"
           "  print('almacen' if side else 'system', len(data), "
           "data[:3].hex(), file=f)\n"
           "print('said once')\n"
           "sys.stderr.write('told once\\n')\n")


def witnessed(name):
    with open(name) as file:
        return file.read().splitlines()


def test_compare():
    name = os.path.join(SCRATCH, "witness")
    blob = b"abc" * 100000
    done, document = report_of(*python(WITNESS, name), stdin=blob,
                               options=("--compare", "--rounds", "2"))
    equal(done.returncode, 0)
    equal(done.stdout, b"said once\n")
    equal(done.stderr.count(b"told once"), 1)
    contains(done.stderr, b"Compared with the system's malloc")
    equal(witnessed(name),
          ["almacen 300000 616263", "system 300000 616263"] * 2)
    compare = document["compare"]
    equal(len(compare["rounds"]), 2)
    equal(compare["cut_short"], False)
    for key in ("wall_ns", "user_ns", "system_ns", "rss_max"):
        for side in ("almacen", "system"):
            values = sorted(r[side][key] for r in compare["rounds"])
            equal(compare[side][key], {"median": sum(values) // 2,
                                       "min": values[0], "max": values[1]})
        if compare["system"][key]["median"]:
            ratio = (compare["almacen"][key]["median"] /
                     compare["system"][key]["median"])
            check(abs(compare["ratio"][key] - ratio) < 1e-9, key)
    equal(document["processes"], 1)


def test_compare_default_rounds():
    _, document = report_of("true", options=("--compare",))
    equal(len(document["compare"]["rounds"]), 3)


def test_compare_stdin_file_at_offset():
    name = os.path.join(SCRATCH, "witness")
    source = os.path.join(SCRATCH, "source")
    with open(source, "wb") as file:
        file.write(b"xxxxxabcdefg")
    with open(source, "rb", buffering=0) as file:
        file.seek(5)
        almacen("run", "--compare", "--rounds", "2", *python(WITNESS, name),
                stdin_file=file)
        equal(file.tell(), 12, "the first run read the file itself")
    equal(witnessed(name), ["almacen 7 616263", "system 7 616263"] * 2)


def test_compare_without_stdin():
    name = os.path.join(SCRATCH, "witness")
    done = almacen("run", "--compare", "--rounds", "1", *python(WITNESS, name),
                   stdin_file=subprocess.DEVNULL)
    equal(done.returncode, 0)
    equal(witnessed(name), ["almacen 0 ", "system 0 "])


def test_compare_against_the_real_system():
    name = os.path.join(SCRATCH, "witness")
    almacen("run", "--compare", "--rounds", "1", *python(WITNESS, name),
            env=environment(LD_PRELOAD=LIBRARY))
    equal(witnessed(name), ["almacen 0 ", "system 0 "])


def test_compare_tells_of_different_endings():
    code = ("import sys\n"
            "sys.exit('libalmacen' in open('/proc/self/maps').read())")
    done = almacen("run", "--compare", "--rounds", "2", *python(code))
    equal(done.returncode, 1)
    contains(done.stderr, b"2 of 4 runs ended differently from the first")


def test_compare_stops_when_interrupted():
    done, document = report_of(
        "sh", "-c", "kill -INT $$", options=("--compare",))
    equal(done.returncode, 130)
    equal(document["compare"]["cut_short"], True)
    equal(document["compare"]["rounds"], [])


# ---- records ---------------------------------------------------------------

def test_broken_records():
    code = ("import os\n"
            "d = os.environ['ALMACEN'].split('record=')[-1].split(',')[0]\n"
            "own = '%s/%d-0.almrec' % (d, os.getpid())\n"
            "good = open(own, 'rb').read()\n"
            "def put(name, data): open(d + '/' + name, 'wb').write(data)\n"
            "put('1-0.almrec', b'')\n"
            "put('2-0.almrec', bytes(len(good)))\n"
            "put('3-0.almrec', os.urandom(len(good)))\n"
            "put('4-0.almrec', good[:500])\n"
            "put('5-0.almrec', good)\n"
            "put('6-0.almrec', good[:8] + os.urandom(len(good) - 8))\n"
            "put('other', good)\n"
            "os.symlink(own, d + '/7-0.almrec')\n"
            "os.mkfifo(d + '/8-0.almrec')\n")
    done, document = report_of(*python(code))
    equal(done.returncode, 0)
    equal(document["processes"], 1)
    equal(sorted(s["file"] for s in document["skipped"]),
          ["%d-0.almrec" % i for i in range(1, 9)])
    contains(done.stderr, b"Records that could not be used")
    equal(os.listdir(SCRATCH), [])


def test_program_without_the_library():
    program = cc("static", "int main(void) { return 9; }", "-static")
    if not program:
        print("  (no static C library: not checked)")
        return
    done, document = report_of(program)
    equal(done.returncode, 9)
    equal(document["images"], [])
    contains(done.stderr, b"No process left a record")


def test_the_directory_goes():
    for program in (("true",), ("sh", "-c", "kill -SEGV $$"),
                    ("sh", "-c", "ls; ls; ls")):
        run(*program)
        equal(os.listdir(SCRATCH), [])


def test_temporary_directory_with_odd_name():
    for name in ("a b", "a,b", "a:b", "relative", "missing", "long" * 55):
        odd = os.path.join(SCRATCH, name)
        if name != "missing":
            os.mkdir(odd)
        if name == "relative":
            odd = name
        done = almacen("run", "--report", "-", "sh", "-c", ":", cwd=SCRATCH,
                       env=environment(TMPDIR=odd))
        equal(json.loads(done.stdout)["processes"], 1, name)


def test_installed_under_an_odd_name():
    prefix = os.path.join(SCRATCH, "a b:c")
    os.makedirs(os.path.join(prefix, "bin"))
    os.makedirs(os.path.join(prefix, "lib"))
    command = shutil.copy(ALMACEN, os.path.join(prefix, "bin"))
    for name in os.listdir(os.path.join(BUILD, "lib")):
        path = os.path.join(BUILD, "lib", name)
        if os.path.isfile(path) and ".so" in name:
            shutil.copy(path, os.path.join(prefix, "lib"))
    done = subprocess.run([command, "run", "--report", "-", "sh", "-c", ":"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(), timeout=TIMEOUT_S)
    equal(done.returncode, 0)
    equal(json.loads(done.stdout)["processes"], 1)
    check(b"cannot be preloaded" not in done.stderr, done.stderr)


# ---- collected heaps, and programs with an almacen of their own ------------

COLLECTING = r"""
#include <almacen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct cell { struct cell *next; long value; };

static void nothing(void *object, void *arg) { (void)object; (void)arg; }

/* Once on a heap: much garbage, one list of n cells that stays, a cleanup. */
static void collect(long n) {
  struct alm_heap *heap;
  struct alm_mutator *me;
  const struct alm_type *type;
  uint64_t pointers = 1;
  struct alm_type_info info = {"cell", sizeof(struct cell), &pointers, 1, 0};
  if (alm_heap_create(NULL, &heap) || alm_mutator_attach(heap, &me) ||
      alm_type_create(heap, &info, &type)) exit(11);
  struct alm_handle *kept = alm_handle_create(me, NULL);
  for (long i = 0; i < n; i++) {
    struct cell *c = alm_new(me, type);
    if (!c) exit(12);
    c->next = alm_handle_get(kept);
    alm_handle_set(kept, c);
    if (!alm_new_bytes(me, ALM_NOSCAN, 500)) exit(13);
  }
  struct cell *c = alm_new(me, type);
  if (alm_cleanup_add(me, c, nothing, NULL)) exit(14);
  c = NULL;
  if (alm_collect(me)) exit(15);
  alm_finalizers_run(me, 0);
  alm_mutator_detach(me);
  if (alm_heap_destroy(heap)) exit(16);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  char *own = malloc(123456);
  memset(own, 1, 123456);
  collect(50000);
  if (!strcmp(what, "again")) collect(50000);
  if (!strcmp(what, "kill")) raise(SIGKILL);
  if (!strcmp(what, "exec")) execv(argv[0], (char *[]){argv[0], NULL});
  if (!strcmp(what, "fork")) {
    for (int i = 0; i < 3; i++) {
      pid_t pid = fork();
      if (pid == 0) { collect(10000); exit(0); }
      waitpid(pid, NULL, 0);
    }
  }
  return 0;
}
"""


def collecting(how, *flags):
    """The program above, linked as `how` says; None where it cannot be."""
    lib = os.path.join(BUILD, "lib")
    libraries = {"archive": (os.path.join(lib, "libalmacen.a"),),
                 "shared": ("-L" + lib, "-lalmacen", "-Wl,-rpath," + lib),
                 "malloc": (os.path.join(lib, "libalmacen-malloc.a"),)}[how]
    return cc("collecting-" + how, COLLECTING,
              "-I" + os.path.join(SOURCE, "include"), "-pthread", "-x", "none",
              *libraries, *flags)


def faces(document):
    return sorted(i["face"] for i in document["images"])


def gc_of(document):
    """The one account of collected heaps there is."""
    found = [i["stats"]["gc"] for i in document["images"] if i["stats"]["gc"]]
    equal(len(found), 1)
    return found[0]


def test_collected_heaps_of_a_program_with_the_archive():
    done, document = report_of(collecting("archive"))
    equal(done.returncode, 0)
    equal(document["processes"], 1)
    equal(faces(document), ["alm", "malloc"])
    gc = gc_of(document)
    equal((gc["heaps"], gc["heaps_now"], gc["heap_bytes"]), (1, 0, 0))
    check(gc["alloc_bytes"] >= 50000 * (16 + 500), gc)
    check(gc["collections"] >= 2 and gc["cpu_ns"] > 0, gc)
    check(50000 <= gc["live_objects"] < 60000, gc)
    check(gc["live_bytes"] < gc["heap_bytes_max"] < gc["alloc_bytes"], gc)
    equal(gc["finalizers_queued"], gc["finalizers_run"])
    for image in document["images"]:
        of_malloc = image["face"] == "malloc"
        equal(image["stats"]["gc"] is None, of_malloc, image["face"])
        equal(image["stats"]["alloc_bytes"] >= 123456, of_malloc)
        equal(image["state"], "exited")
    for part in (b"Memory of the program's own almacen", b"Collected heaps",
                 b"Memory of the program's malloc", b"Pauses by length",
                 b"Collected heaps by size class", b"Allocated by size class"):
        contains(done.stderr, part)
    check(b"Processes" not in done.stderr, done.stderr)


def test_collected_heaps_that_are_gone_count():
    _, once = report_of(collecting("archive"))
    _, twice = report_of(collecting("archive"), "again")
    equal(gc_of(twice)["heaps"], 2)
    for key in ("alloc_bytes", "collections"):
        ratio = gc_of(twice)[key] / gc_of(once)[key]
        check(1.5 < ratio < 2.5, key, ratio)


def test_collected_heaps_of_a_program_with_the_shared_library():
    done, document = report_of(collecting("shared"))
    equal(done.returncode, 0)
    # Its alm_* functions are found in the preloaded malloc face.
    equal(faces(document), ["malloc"])
    check(gc_of(document)["collections"] >= 2, document)
    contains(done.stderr, b"Collected heaps")


def test_collected_heaps_of_a_program_that_has_malloc_from_the_archive():
    done, document = report_of(collecting("malloc"))
    equal(done.returncode, 0)
    equal(faces(document), ["malloc"])
    check(gc_of(document)["collections"] >= 2, document)


def test_collected_heaps_of_a_static_program():
    for how, face in (("archive", "alm"), ("malloc", "malloc")):
        program = collecting(how, "-static")
        if not program:
            print("  (no static C library: not checked)")
            return
        done, document = report_of(program)
        equal(done.returncode, 0)
        equal(faces(document), [face])
        check(gc_of(document)["collections"] >= 2, document)


def test_collected_heaps_of_a_killed_program():
    done, document = report_of(collecting("archive"), "kill")
    equal(done.returncode, 128 + signal.SIGKILL)
    equal([i["state"] for i in document["images"]], ["killed", "killed"])
    check(gc_of(document)["live_objects"] >= 50000, document)
    contains(done.stderr, b"Collected heaps")


def test_collected_heaps_before_and_after_exec():
    _, document = report_of(collecting("archive"), "exec")
    equal(document["processes"], 1)
    equal([i["state"] for i in document["images"]],
          ["exec", "exec", "exited", "exited"])
    equal([i["image"] for i in document["images"]], [0, 0, 1, 1])
    equal(faces(document), ["alm", "alm", "malloc", "malloc"])


def test_collected_heaps_of_forked_children():
    done, document = report_of(collecting("archive"), "fork")
    equal(document["processes"], 4)
    equal(len(document["images"]), 8)
    check(re.search(rb"all such processes +4 ", done.stderr), done.stderr)
    for image in document["images"]:
        is_child = image["pid"] != document["pid"]
        gc = image["stats"]["gc"]
        equal(gc is None, image["face"] == "malloc")
        if gc and is_child:  # of its own heap only
            equal(gc["heaps"], 1)
            check(10000 <= gc["live_objects"] < 20000, gc)
            check(gc["alloc_bytes"] < 10000 * 600 * 2, gc)


def test_collected_heaps_beside_a_comparison():
    done, document = report_of(collecting("archive"),
                               options=("--compare", "--rounds", "1"))
    equal(gc_of(document)["heaps"], 1)
    contains(done.stderr, b"Compared with the system's malloc")
    contains(done.stderr, b"Collected heaps")


def test_no_collected_heaps():
    done, document = report_of("true")
    equal(document["total"]["gc"], None)
    check(b"Collected" not in done.stderr, done.stderr)


# ---- --gc: programs of libgc -----------------------------------------------

CLIENT = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void GC_init(void);
void *GC_malloc(size_t bytes);
void GC_gcollect(void);
typedef void (*on_event)(int event);
void GC_set_on_collection_event(on_event function);
on_event GC_get_on_collection_event(void);

struct cell { struct cell *next; long value; };
static struct cell *volatile kept;
static int events;

static void count(int event) { events += event == 6; }

static long work(long n) {
  long sum = 0;
  for (long i = 0; i < n; i++) {
    struct cell *c = GC_malloc(sizeof *c);
    c->next = kept;
    c->value = i;
    kept = c;
    if (i % 4 == 0) GC_malloc(2000);
  }
  for (struct cell *c = kept; c; c = c->next) sum += c->value;
  kept = NULL;
  return sum;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  GC_init();
  if (!strcmp(what, "events")) GC_set_on_collection_event(count);
  printf("%ld\n", work(100000));
  GC_gcollect();
  fflush(stdout);
  if (!strcmp(what, "events") &&
      (!events || GC_get_on_collection_event() != count)) return 3;
  if (!strcmp(what, "kill")) raise(SIGKILL);
  if (!strcmp(what, "_exit")) _exit(0);
  if (!strcmp(what, "exec")) execv(argv[0], (char *[]){argv[0], NULL});
  if (!strcmp(what, "fork")) {
    for (int i = 0; i < 3; i++) {
      pid_t pid = fork();
      if (pid == 0) { work(30000); GC_gcollect(); exit(0); }
      waitpid(pid, NULL, 0);
    }
  }
  return 0;
}
"""


def client():
    """The program above with libgc; None where it cannot be linked."""
    program = cc("client", CLIENT, "-x", "none", "-l:libgc.so.1")
    if not program:
        print("  (no libgc: not checked)")
    return program


def collector():
    """client(), where almacen's libgc is built as well."""
    if os.path.exists(GC_LIBRARY):
        return client()
    print("  (no %s: not checked)" % GC_LIBRARY)
    return None


def records(folder):
    """By process: name of the face, and numbers of collections, pauses."""
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            record = file.read()
        # As struct alm_record has them: face at 32, stats at 336, of which
        # 13 numbers and 68 classes of 10 numbers come before gc.
        gc = struct.unpack_from("<120Q", record, 336 + 8 * (13 + 68 * 10))
        found[name] = {"face": record[32:40].rstrip(b"\0"),
                       "state": struct.unpack_from("<I", record, 12)[0],
                       "collections": gc[2], "pause_ns": gc[3],
                       "pause_ns_max": gc[4], "alloc_bytes": gc[6],
                       "heap_bytes_max": gc[8], "pauses": sum(gc[14:])}
    return found


def probed(program, *args):
    """Run on the system's libgc under the probe; status, stdout, records."""
    folder = tempfile.mkdtemp(dir=SCRATCH)
    done = subprocess.run([program, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                          env=environment(LD_PRELOAD=PROBE,
                                          ALMACEN="x=1,record=" + folder))
    equal(done.stderr, b"")
    return done.returncode, done.stdout, records(folder)


def test_probe_of_the_systems_libgc():
    program = client()
    if not program:
        return
    for how, status, exited in (("", 0, 2), ("kill", -signal.SIGKILL, 1),
                                ("_exit", 0, 1), ("events", 0, 2)):
        code, out, found = probed(program, how)
        equal((code, out), (status, b"4999950000\n"), how)
        equal(len(found), 1)
        record = list(found.values())[0]
        equal((record["face"], record["state"]), (b"libgc", exited), how)
        equal(record["pauses"], record["collections"], record)
        check(record["collections"] > 0, record)
        check(0 < record["pause_ns_max"] <= record["pause_ns"], record)
        check(record["heap_bytes_max"] >= 1 << 20, record)
        check(record["alloc_bytes"] >= 100000 * (16 + 500), record)


def test_probe_of_children_and_of_programs_without_libgc():
    program = client()
    if not program:
        return
    _, _, found = probed(program, "fork")
    equal(len(found), 4)
    check(all(r["collections"] > 0 for r in found.values()), found)
    _, out, found = probed(program, "exec")
    equal((out, len(found)), (b"4999950000\n" * 2, 2))
    equal(probed("/bin/true"), (0, b"", {}))


def test_gc_needs_the_library():
    prefix = os.path.join(SCRATCH, "bin")
    os.mkdir(prefix)
    command = shutil.copy(ALMACEN, prefix)
    done = subprocess.run([command, "run", "--gc", "true"],
                          stderr=subprocess.PIPE, timeout=TIMEOUT_S)
    equal(done.returncode, 125)
    contains(done.stderr, b"cannot find libalmacen-gc.so")


def test_gc_of_a_program_of_libgc():
    program = collector()
    if not program:
        return
    done, document = report_of(program, options=("--gc",))
    equal((done.returncode, done.stdout), (0, b"4999950000\n"))
    equal(document["replaced"], "libgc")
    equal(faces(document), ["gc"])
    gc = gc_of(document)
    check(gc["collections"] >= 2 and gc["heaps"] == 1, gc)
    check(gc["alloc_bytes"] >= 100000 * (16 + 500), gc)
    check(0 < gc["pause_p50_ns"] <= gc["pause_p99_ns"], gc)
    for part in (b"Collected heaps", b"longest pause", b"p50 ", b", p99 ",
                 b"heap peak", b"peak RSS"):
        contains(done.stderr, part)
    check(done.stderr.index(b"Collected heaps") <
          done.stderr.index(b"Memory"), done.stderr)


def test_gc_of_a_program_that_is_killed():
    program = collector()
    if not program:
        return
    done, document = report_of(program, "kill", options=("--gc",))
    equal(done.returncode, 128 + signal.SIGKILL)
    equal([i["state"] for i in document["images"]], ["killed"])
    check(gc_of(document)["collections"] >= 1, document)


def test_gc_of_forked_children():
    program = collector()
    if not program:
        return
    done, document = report_of(program, "fork", options=("--gc",))
    equal((done.returncode, document["processes"]), (0, 4))
    check(re.search(rb"all such processes +4 ", done.stderr), done.stderr)


GC_KEYS = ("collections", "pause_ns", "pause_p50_ns", "pause_p99_ns",
           "pause_ns_max", "heap_bytes_max")


def test_gc_compare():
    program = collector()
    if not program:
        return
    done, document = report_of(program, options=("--gc", "--compare",
                                                 "--rounds", "2"))
    equal((done.returncode, done.stdout), (0, b"4999950000\n"))
    check(done.stderr.startswith(b"\nalmacen "), done.stderr)
    compare = document["compare"]
    equal(len(compare["rounds"]), 2)
    for one in compare["rounds"]:
        for side in ("almacen", "system"):
            equal(one[side + "_code"], 0)
            check(all(one[side][key] > 0 for key in GC_KEYS), one)
            check(one[side]["pause_p50_ns"] <= one[side]["pause_p99_ns"] <=
                  one[side]["pause_ns_max"] <= one[side]["pause_ns"], one)
    equal(compare["rounds"][0]["almacen"]["collections"],
          gc_of(document)["collections"])
    for key in GC_KEYS:
        for side in ("almacen", "system"):
            check(compare[side][key]["median"] > 0, key)
        check(compare["ratio"][key] > 0, key)
    for part in (b"Compared with the system's libgc", b"\n  wall ",
                 b"\n  peak RSS ", b"\n  collections ", b"\n  pause p50 ",
                 b"\n  pause p99 ", b"\n  longest ", b"\n  heap peak "):
        contains(done.stderr, part)
    equal(os.listdir(SCRATCH), ["client"])


def test_gc_compare_tells_when_both_sides_are_ours():
    program = collector()
    if not program:
        return
    ours = os.path.join(SCRATCH, "ours")
    os.mkdir(ours)
    os.symlink(GC_LIBRARY, os.path.join(ours, "libgc.so.1"))
    done = almacen("run", "--gc", "--compare", "--rounds", "1", program,
                   env=environment(LD_LIBRARY_PATH=ours))
    contains(done.stderr, b"the system's side had almacen's libgc, too")
    done = almacen("run", "--gc", "--compare", "--rounds", "1", program,
                   env=environment(LD_PRELOAD=GC_LIBRARY))
    check(b"had almacen's libgc" not in done.stderr, done.stderr)


def test_gc_of_a_program_without_libgc():
    if not os.path.exists(GC_LIBRARY):
        print("  (no %s: not checked)" % GC_LIBRARY)
        return
    for options in (("--gc",), ("--gc", "--compare", "--rounds", "1")):
        done, document = report_of("true", options=options)
        equal((done.returncode, document["total"]["gc"]), (0, None))
        contains(done.stderr, b"No process left a record of collections")


# ---- what the report looks like --------------------------------------------

def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else
               0 if unicodedata.combining(c) else 1 for c in line)


def on_terminal(width, *program, options=(), **env):
    """Run on a pseudo-terminal of that width; all that was printed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    child = subprocess.Popen([ALMACEN, "run", *options, *program], stdin=slave,
                             stdout=slave, stderr=slave,
                             env=environment(**{"TERM": "xterm", **env}))
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(master)
    child.wait(TIMEOUT_S)
    return text.decode("utf-8").replace("\r\n", "\n")


def test_terminal():
    program = python("import os\nx = [bytes(i) for i in range(5000)]\n"
                     "if os.fork() == 0: os._exit(0)\nos.wait()", "\u4e2d" * 99)
    collector = collecting("archive")
    of_libgc = client() if os.path.exists(GC_LIBRARY) else None
    for width in (60, 72, 80, 110, 200):
        for options, program in (((), program), ((), (collector, "fork")),
                                 ((), (collector,)),
                                 (("--compare", "--rounds", "2"), program),
                                 (("--gc", "--compare", "--rounds", "1"),
                                  of_libgc and (of_libgc, "fork"))):
            if not program:
                continue
            text = on_terminal(width, *program, options=options)
            check("\x1b[" in text, "no colours")
            check("\u2588" in text, "no blocks")
            text = re.sub("\r\x1b\\[K(\x1b\\[A|\\[almacen: [^]]*\\])", "", text)
            text = re.sub("\x1b\\[[0-9;]*m", "", text)
            for line in text.splitlines():
                check(columns(line) <= width, width, repr(line))


def test_terminal_without_colours():
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
        text = on_terminal(80, "true", options=("--compare",), **env)
        check(env.get("NO_COLOR") or "\x1b" not in text, env, repr(text))
        check("\x1b[1m" not in text, env, repr(text))
    check(b"\x1b" not in run("true").stderr, "colours in a file")


def test_ascii_locale():
    done = run(*python("x = [bytes(i) for i in range(3000)]"),
               env=environment(LC_ALL="C"))
    done.stderr.decode("ascii")
    contains(done.stderr, b"####")


# ----------------------------------------------------------------------------

def main():
    global SCRATCH
    if not os.path.exists(ALMACEN) or not os.path.exists(LIBRARY):
        print("not built:", ALMACEN, LIBRARY)
        return 77
    tests = [(n, f) for n, f in sorted(globals().items())
             if n.startswith("test_") and callable(f)]
    wanted = sys.argv[1:]
    failed = 0
    for name, function in tests:
        if wanted and not any(w in name for w in wanted):
            continue
        SCRATCH = os.path.realpath(tempfile.mkdtemp(prefix="almtest-"))
        began = time.monotonic()
        try:
            function()
            print("ok    %-50s %6.2f s" % (name, time.monotonic() - began))
        except Exception:  # a test that raises anything has failed
            failed += 1
            print("FAIL  %s" % name)
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        shutil.rmtree(SCRATCH, ignore_errors=True)
    print("%d failed" % failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
