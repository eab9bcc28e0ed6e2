/* gc/trace.c -- see trace.h. */
#include "trace.h"

#include "base/diag.h"
#include "mark.h"
#include "mem/memstat.h"
#include "os/conf.h"
#include "os/os.h"

void trace_reach(struct trace *t, enum trace_border border,
                 const struct alm_heap *h) {
  bool is_end = border == TRACE_BEGIN || border == TRACE_END;
  if (border == TRACE_BEGIN) {
    t->is_printed = conf_number(CONF_gctrace) != 0;
  }
  t->at[border].now_ns = os_now_ns();
  t->at[border].own_ns = is_end || t->is_printed ? os_cpu_ns() : 0;
  if (border == TRACE_BEGIN) {
    return; /* another thread's collection may be under way */
  }
  t->at[border].team_ns = mark_team_cpu_ns(h);
  if (border == TRACE_STOPPED) {
    t->at[TRACE_BEGIN].team_ns = t->at[border].team_ns; /* they slept */
  }
}

/* ---- differences ------------------------------------------------------------ */

static uint64_t trace_wall_ns(const struct trace *t, enum trace_border from,
                              enum trace_border to) {
  return t->at[to].now_ns - t->at[from].now_ns;
}

static uint64_t trace_own_ns(const struct trace *t, enum trace_border from,
                             enum trace_border to) {
  return t->at[to].own_ns - t->at[from].own_ns;
}

static uint64_t trace_team_ns(const struct trace *t, enum trace_border from,
                              enum trace_border to) {
  return t->at[to].team_ns - t->at[from].team_ns;
}

static uint64_t trace_cpu_ns(const struct trace *t, enum trace_border from,
                             enum trace_border to) {
  return trace_own_ns(t, from, to) + trace_team_ns(t, from, to);
}

uint64_t trace_pause_ns(const struct trace *t) {
  return trace_wall_ns(t, TRACE_BEGIN, TRACE_END);
}

void trace_account(const struct trace *t) {
  struct alm_gc_stats *gc = &memstat->gc;
  memstat_add(&gc->collections, 1);
  memstat_add(&gc->cpu_ns, trace_cpu_ns(t, TRACE_BEGIN, TRACE_END));
  memstat_pause(trace_pause_ns(t));
}

/* ---- the line --------------------------------------------------------------- */

/* A time as text, by value so that it can stand among arguments. */
struct trace_text {
  char s[24];
};

/* With three decimals. */
static struct trace_text trace_decimals(uint64_t thousandths) {
  struct trace_text text;
  unsigned rest = (unsigned)(thousandths % 1000);
  diag_format(text.s, sizeof text.s, "%llu.%u%u%u",
              (unsigned long long)thousandths / 1000, rest / 100,
              rest / 10 % 10, rest % 10);
  return text;
}

/* Milliseconds: from 10 on whole ones. */
static struct trace_text trace_ms(uint64_t ns) {
  enum { WHOLE_NS = 10000000 };
  struct trace_text text;
  if (ns < WHOLE_NS) {
    return trace_decimals(ns / 1000);
  }
  diag_format(text.s, sizeof text.s, "%llu", (unsigned long long)ns / 1000000);
  return text;
}

static unsigned long long trace_mib(uint64_t bytes) {
  return bytes >> 20;
}

/* Of the CPU time that all processors had since the process began. */
static unsigned trace_percent(uint64_t age_ns) {
  uint64_t had_ns = age_ns * os_cpus();
  uint64_t cpu_ns = atomic_load_relaxed(&memstat->gc.cpu_ns);
  return had_ns == 0 ? 0 : (unsigned)(cpu_ns / (had_ns / 100 + 1));
}

void trace_print(const struct trace *t, const struct alm_heap *h) {
  if (!t->is_printed) {
    return;
  }
  char heap[32] = "";
  uint64_t age_ns = os_age_ns();
  if (h->number > 1) {
    diag_format(heap, sizeof heap, ", heap %llu",
                (unsigned long long)h->number);
  }
  diag_line("gc %llu @%ss %u%%: %s+%s+%s ms clock, %s+%s/%s/0+%s ms cpu, "
            "%llu->%llu->%llu MiB, %llu MiB goal, %llu MiB stacks, "
            "%llu MiB roots, %u P%s",
            (unsigned long long)h->stats.collections,
            trace_decimals(age_ns / 1000000).s, trace_percent(age_ns),
            trace_ms(trace_wall_ns(t, TRACE_BEGIN, TRACE_STOPPED)).s,
            trace_ms(trace_wall_ns(t, TRACE_STOPPED, TRACE_MARKED)).s,
            trace_ms(trace_wall_ns(t, TRACE_MARKED, TRACE_END)).s,
            trace_ms(trace_cpu_ns(t, TRACE_BEGIN, TRACE_STOPPED)).s,
            trace_ms(trace_own_ns(t, TRACE_STOPPED, TRACE_MARKED)).s,
            trace_ms(trace_team_ns(t, TRACE_STOPPED, TRACE_MARKED)).s,
            trace_ms(trace_cpu_ns(t, TRACE_MARKED, TRACE_END)).s,
            trace_mib(t->start_bytes), trace_mib(t->end_bytes),
            trace_mib(h->stats.live_bytes), trace_mib(t->goal_bytes),
            trace_mib(t->stack_bytes), trace_mib(t->root_bytes),
            mark_team_size(h), heap);
}
