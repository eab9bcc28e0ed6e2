"""bench/report.py -- from the runs to tables, geomeans and verdicts.

WHAT    render(doc) takes the document of run.py (see --json) and returns
        Markdown; it adds doc["summary"] and doc["verdicts"].
RULES   A cell is the median over the rounds. A row enters a geomean only if
        every library finished all its runs of it; rows left out are named.
        A geomean is over the ratios to the best library of each row. Best
        peer: the smallest geomean among the Debian libraries and glibc.
"""

import math
import statistics

SLOWER_MAX = 1.05        # than glibc, on any benchmark
TIME_MAX = 1.10          # geomean, x the best peer
RSS_MAX = 1.15           # geomean, x the best peer
RSS_ROW_KIB = 8 << 10    # rows below it show process floors, not heaps
SPIKE_LIVE_MAX = 1.10    # RSS after the spike: live x this ...
SPIKE_FLOOR_KIB = 16 << 10  # ... + this


class Cell:
  """One benchmark under one library."""

  def __init__(self, runs):
    self.errors = [r["error"] for r in runs if not r["ok"]]
    self.runs = [r for r in runs if r["ok"]]
    self.ok = bool(runs) and not self.errors

  def values(self, key):
    return [r[key] for r in self.runs]

  def median(self, key):
    return statistics.median(self.values(key))

  def noise(self, key):
    """median / min - 1: 0 when all rounds agree."""
    return self.median(key) / max(min(self.values(key)), 1e-9) - 1


def geomean(values):
  values = list(values)
  if not values:
    return None
  return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values))


def table(header, rows):
  """Markdown that is also readable as it is."""
  rows = [[str(c) for c in row] for row in rows]
  widths = [max(len(row[i]) for row in [header] + rows)
            for i in range(len(header))]

  def line(row):
    cells = [c.ljust(w) if i == 0 else c.rjust(w)
             for i, (c, w) in enumerate(zip(row, widths))]
    return "| " + " | ".join(cells) + " |"

  rule = ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]
  return "\n".join([line(header), line(rule)] + [line(r) for r in rows])


def number(value, spec=".2f", missing="-"):
  return missing if value is None else format(value, spec)


class Results:
  """The document, looked at by row and library."""

  def __init__(self, doc):
    self.doc = doc
    self.libs = [lib["name"] for lib in doc["libs"]]
    self.peers = [lib["name"] for lib in doc["libs"] if lib["peer"]]
    self.rows = [b["name"] for b in doc["benches"]]
    self.cells = {
        (b, lib): Cell([r for r in doc["runs"]
                        if r["bench"] == b and r["lib"] == lib])
        for b in self.rows for lib in self.libs}

  def whole_rows(self):
    return [b for b in self.rows
            if all(self.cells[b, lib].ok for lib in self.libs)]

  def best(self, bench, key):
    values = [self.cells[bench, lib].median(key) for lib in self.libs
              if self.cells[bench, lib].ok]
    return min(values) if values else None

  def ratio_geomean(self, lib, key, rows):
    return geomean(self.cells[b, lib].median(key) /
                   max(self.best(b, key), 1e-9) for b in rows)


def part(doc, wanted):
  """The results of some rows."""
  return Results(dict(
      doc, benches=[b for b in doc["benches"] if wanted(b["name"])]))


def cell_text(results, bench, lib, key, reference, show):
  """`show` the median, then the ratio to the reference library's (or, if
  reference is None, to the best)."""
  cell = results.cells[bench, lib]
  if not cell.ok:
    return "FAILED" if cell.errors else "not run"
  value = cell.median(key)
  if reference is None:
    base = results.best(bench, key)
  else:
    other = results.cells[bench, reference]
    base = other.median(key) if other.ok else None
  ratio = number(value / max(base, 1e-9) if base is not None else None)
  return f"{show(value)} {ratio}" if show else ratio


def ratio_table(results, key, reference, show):
  header = ["benchmark"] + results.libs + ["noise %"]
  rows = []
  for bench in results.rows:
    noise = [results.cells[bench, lib].noise(key) * 100
             for lib in results.libs if results.cells[bench, lib].ok]
    rows.append(
        [bench] + [cell_text(results, bench, lib, key, reference, show)
                   for lib in results.libs] +
        [f"{statistics.median(noise):.0f}, {max(noise):.0f}"
         if noise and results.doc["rounds"] > 1 else "-"])
  return table(header, rows)


def facts_table(results, keys, show):
  """What the programs themselves reported: rows x libraries, medians."""
  rows = []
  for bench in results.rows:
    for key, text in keys:
      cells = []
      for lib in results.libs:
        cell = results.cells[bench, lib]
        values = [r["facts"][key] for r in cell.runs]
        cells.append(show(sorted(values)[len(values) // 2]) if values
                     else "FAILED")
      rows.append([f"{bench}{text}", *cells])
  return table(["benchmark"] + results.libs, rows)


SUMMARY_LINES = [
    ("time", "time_s", "geomean time / best of each row"),
    ("cpu", "cpu_s", "geomean CPU time / best of each row"),
    ("rss", "peak_rss_kib", "geomean peak RSS / best of each row"),
]


def summarize(results):
  rows = results.whole_rows()
  large = [b for b in rows if results.best(b, "peak_rss_kib") >= RSS_ROW_KIB]
  summary = {"rows": rows, "rss_large_rows": large,
             "left_out": [b for b in results.rows if b not in rows]}
  for name, key, _ in SUMMARY_LINES:
    summary[name] = {lib: results.ratio_geomean(lib, key, rows)
                     for lib in results.libs}
  summary["rss_large"] = {
      lib: results.ratio_geomean(lib, "peak_rss_kib", large)
      for lib in results.libs}
  return summary


def summary_table(results, summary, reference="glibc"):
  rows = [[text] + [number(summary[name][lib]) for lib in results.libs]
          for name, _, text in SUMMARY_LINES]
  rows.append([f"the same over the {len(summary['rss_large_rows'])} rows"
               " where all need >= 8 MiB"] +
              [number(summary["rss_large"][lib]) for lib in results.libs])
  if reference in results.libs:
    for name, _, text in SUMMARY_LINES:
      base = summary[name][reference]
      rows.append([text.replace("best of each row", reference)] +
                  [number(summary[name][lib] / base if base else None)
                   for lib in results.libs])
  return table(["over all rows"] + results.libs, rows)


def first_facts(results, bench, lib):
  """What the program itself reported in the first good round."""
  cell = results.cells.get((bench, lib))
  return cell.runs[0].get("facts") if cell and cell.runs else None


def spike_samples(facts):
  """[(seconds after, KiB)], ascending."""
  return sorted((int(k[4:-5]), v) for k, v in facts.items()
                if k.startswith("rss_") and k.endswith("s_kib"))


def spike_table(results):
  rows, seconds = [], []
  for lib in results.libs:
    facts = first_facts(results, "spike", lib)
    if not facts:
      rows.append([lib, "FAILED"])
      continue
    samples = spike_samples(facts)
    seconds = [s for s, _ in samples]
    rows.append([lib, f"{facts['rss_full_kib'] / 1024:.0f}"] +
                [f"{kib / 1024:.0f}" for _, kib in samples] +
                [f"{facts['live_kib'] / 1024:.0f}",
                 f"{facts['idle_cpu_ms']:.0f}"])
  header = ["MiB", "full"] + [f"{s} s" for s in seconds] + [
      "live", "CPU ms asleep"]
  return table(header, [r + ["-"] * (len(header) - len(r)) for r in rows])


def fragment_table(results):
  rows = []
  for lib in results.libs:
    f = first_facts(results, "fragment", lib)
    if not f:
      rows.append([lib] + ["FAILED"] * 4)
      continue
    rows.append([
        lib, f"{f['rss_busy_kib'] / 1024:.0f}",
        f"{f['rss_busy_kib'] / max(f['live_busy_kib'], 1):.2f}",
        f"{f['rss_end_kib'] / 1024:.0f}",
        f"{f['rss_end_kib'] / max(f['live_end_kib'], 1):.2f}"])
  return table(["MiB", "RSS in last phase", "/ live", "RSS at end",
                "/ live"], rows)


# --- verdicts ---------------------------------------------------------------


def verdict(ok, text, detail):
  return {"pass": bool(ok), "what": text, "detail": detail}


def verdict_rows(results, subject):
  text = "no benchmark slower than glibc by more than 5 %"
  slow, worst, missing = [], (0.0, "none"), []
  for bench in results.rows:
    ours, glibc = results.cells[bench, subject], results.cells[bench, "glibc"]
    if not ours.ok or not glibc.ok:
      missing.append(bench)
      continue
    ratio = ours.median("time_s") / glibc.median("time_s")
    worst = max(worst, (ratio, bench))
    if ratio > SLOWER_MAX:
      least = min(ours.values("time_s")) / min(glibc.values("time_s"))
      slow.append(f"{bench} {ratio:.2f} (of the minima {least:.2f})")
  detail = ", ".join(slow) or f"worst: {worst[1]} {worst[0]:.2f}"
  if missing:
    detail += f"; failed: {', '.join(missing)}"
  return verdict(not slow and not missing, text, detail)


def verdict_geomean(results, summary, subject, key, name, limit):
  text = f"geomean {name} <= {limit:.2f} x best peer"
  peers = {p: summary[key][p] for p in results.peers
           if p != subject and summary[key][p]}
  ours = summary[key][subject]
  if not peers or not ours:
    return verdict(False, text, "nothing to compare")
  best = min(peers, key=peers.get)
  ratio = ours / peers[best]
  detail = f"{ratio:.2f} x {best}"
  if summary["left_out"]:
    detail += f"; without {', '.join(summary['left_out'])}"
  whole = all(results.cells[b, subject].ok for b in results.rows)
  return verdict(ratio <= limit and whole, text, detail)


def verdict_spike(results, subject):
  facts = first_facts(results, "spike", subject)
  text = "RSS after the spike within 10 % of live + 16 MiB"
  if not facts:
    return verdict(False, text, "spike failed")
  seconds, kib = spike_samples(facts)[-1]
  limit = facts["live_kib"] * SPIKE_LIVE_MAX + SPIKE_FLOOR_KIB
  return verdict(kib <= limit, text,
                 f"{kib / 1024:.1f} MiB after {seconds} s, "
                 f"allowed {limit / 1024:.1f} MiB")


def judge(results, summary):
  subject = results.doc["subject"]
  if subject not in results.libs:
    return []
  verdicts = []
  if "glibc" in results.libs and subject != "glibc":
    verdicts.append(verdict_rows(results, subject))
  verdicts.append(verdict_geomean(results, summary, subject, "time", "time",
                                  TIME_MAX))
  verdicts.append(verdict_geomean(results, summary, subject, "rss",
                                  "peak RSS", RSS_MAX))
  if "spike" in results.rows:
    verdicts.append(verdict_spike(results, subject))
  return verdicts


# --- the whole text ---------------------------------------------------------


def heading(doc, what="malloc libraries"):
  m = doc["machine"]
  lines = [
      f"# Bench of {what}" + (" (quick)" if doc["quick"] else ""),
      f"{m['date']}, commit {m['commit']}, {doc['rounds']} interleaved"
      f" round(s), {doc['took_s']:.0f} s. Ratios mean something, times only"
      " on this machine.",
      f"Machine: {m['cpu']}, {m['cpus']} CPUs, {m['memory']}, Linux"
      f" {m['kernel']} {m['arch']}, {m['libc']}, THP {m['thp']}; load"
      f" {m['load'][0]} before, {m['load_after'][0]} after.",
      "Libraries: " + "; ".join(
          f"{lib['name']} {lib['path'] or '(no preload)'}"
          for lib in doc["libs"]) + "."]
  if m["load"][0] > 0.5:
    lines.append("**Other work was running on this machine at the start:"
                 " times are doubtful.**")
  if m["knobs"]:
    lines.append("**Allocator variables are set:** " + " ".join(
        f"`{k}={v}`" for k, v in m["knobs"].items()))
  if doc["notes"]:
    lines.append("Notes: " + "; ".join(doc["notes"]) + ".")
  return lines


def failures(results):
  lines = []
  for (bench, lib), cell in results.cells.items():
    for error in sorted(set(cell.errors)):
      lines.append(f"- {bench}, {lib}: {error}"
                   f" ({cell.errors.count(error)} of "
                   f"{len(cell.errors) + len(cell.runs)} runs)")
  return lines


def left_out(summary):
  return (["Rows with failures are left out of the geomeans: " +
           ", ".join(summary["left_out"]) + "."]
          if summary["left_out"] else [])


def text_of(parts, results):
  """The parts, and what has failed, as Markdown."""
  failed = failures(results)
  if failed:
    parts = parts + ["## FAILED runs", "\n".join(failed)]
  return "\n\n".join(parts) + "\n"


def render_tight(doc, results):
  loops, ns = [], {}
  for lib in results.libs:
    cell = results.cells["tight", lib]
    for name in cell.runs[0]["facts"]["ns"] if cell.ok else []:
      loops += [name] if name not in loops else []
      ns[name, lib] = statistics.median(
          r["facts"]["ns"][name] for r in cell.runs)
  good = [lib for lib in results.libs if results.cells["tight", lib].ok]
  best = {n: min(ns[n, lib] for lib in good) for n in loops}
  rows = [[n] + [f"{ns[n, lib]:.4g}" if lib in good else "FAILED"
                 for lib in results.libs] for n in loops]
  means = {lib: geomean(ns[n, lib] / best[n] for n in loops) for lib in good}
  rows.append(["geomean / best of each row"] +
              [number(means.get(lib)) for lib in results.libs])
  doc["summary"] = {"ns": {lib: {n: ns[n, lib] for n in loops}
                           for lib in good}, "geomean": means}
  doc["verdicts"] = []
  return ["## Tight loops, ns per operation",
          table(["loop"] + results.libs, rows)]


def seconds(v):
  return f"{v:.2f}s"


def milliseconds(v):
  return f"{v:.{0 if v >= 100 else 1 if v >= 10 else 2}f}ms"


def mib(v):
  return f"{v / 1024:.{0 if v >= 10240 else 1}f}M"


def render_rows(doc, results):
  summary = doc["summary"] = summarize(results)
  doc["verdicts"] = judge(results, summary)
  parts = ["## Time: median seconds, ratio to the best of the row",
           "Noise: median / minimum over the rounds, of the middle and of"
           " the worst library.",
           ratio_table(results, "time_s", None, seconds),
           "## Peak RSS: median MiB, ratio to the best of the row",
           ratio_table(results, "peak_rss_kib", None, mib)]
  if "glibc" in results.libs:
    parts += ["## Time / glibc",
              ratio_table(results, "time_s", "glibc", None),
              "## Peak RSS / glibc",
              ratio_table(results, "peak_rss_kib", "glibc", None)]
  if "spike" in results.rows:
    parts += ["## RSS after a spike, freed by another thread, all asleep",
              spike_table(results)]
  if "fragment" in results.rows:
    parts += ["## Fragmentation: RSS against live bytes",
              fragment_table(results)]
  parts += ["## Geomeans", summary_table(results, summary)]
  parts += left_out(summary)
  parts.append(f"## Verdicts on {doc['subject']}")
  if doc["subject"] not in results.libs:
    parts.append(f"None: {doc['subject']} was not measured.")
  else:
    parts.append("\n".join(
        f"- {'PASS' if v['pass'] else 'FAIL'}: {v['what']}: {v['detail']}"
        for v in doc["verdicts"]))
  return parts


def collector_tables(results, pauses, reference):
  """What rows of a collector's programs cost; `pauses` are those that tell
  their longest one."""
  reference = reference if reference in results.libs else None
  against = reference or "the best of the row"
  parts = []
  for title, rows, key, show in (
      ("Time: median seconds", results, "time_s", seconds),
      ("CPU time: median seconds", results, "cpu_s", seconds),
      ("Peak RSS: median MiB", results, "peak_rss_kib", mib),
      ("Longest pause, median over the rounds", pauses, "pause_max_ms",
       milliseconds)):
    if rows.rows:
      parts += [f"## {title}, ratio to {against}",
                ratio_table(rows, key, reference, show)]
  return parts


def render(doc):
  """Markdown of the document; adds its summary and verdicts to it."""
  results = Results(doc)
  parts = heading(doc)
  parts += (render_tight if doc["tight"] else render_rows)(doc, results)
  return text_of(parts, results)
