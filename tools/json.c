/* tools/json.c -- the report of a run as JSON.
 *
 * WHAT    Builds and writes the document that almacen(1) describes under
 *         JSON REPORT. A change that breaks readers raises JSON_VERSION.
 * HOW     Integers are written exactly: cJSON's own numbers are doubles,
 *         which times in nanoseconds since 1970 do not fit.
 */
#include "tool.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define JSON_VERSION 1

/* cJSON answers NULL when memory is out; every result passes here. */
static cJSON *must(cJSON *item) {
  if (!item) tool_die(TOOL_EXIT_FAILED, "out of memory");
  return item;
}

static void put_count(cJSON *object, const char *name, uint64_t n) {
  char digits[24];

  snprintf(digits, sizeof digits, "%" PRIu64, n);
  must(cJSON_AddRawToObject(object, name, digits));
}

static void put_string(cJSON *object, const char *name, const char *s) {
  char *valid = text_valid_utf8(s);

  must(cJSON_AddStringToObject(object, name, valid));
  free(valid);
}

static void put_exit(cJSON *object, int status) {
  cJSON *exit = must(cJSON_AddObjectToObject(object, "exit"));

  put_count(exit, "code", (uint64_t)launch_exit_code(status));
  if (WIFSIGNALED(status)) {
    const char *name = sigabbrev_np(WTERMSIG(status));
    char full[24];

    snprintf(full, sizeof full, "SIG%s", name ? name : "?");
    put_count(exit, "signal", (uint64_t)WTERMSIG(status));
    put_string(exit, "signal_name", full);
    must(cJSON_AddBoolToObject(exit, "core_dumped", WCOREDUMP(status)));
  } else {
    must(cJSON_AddNullToObject(exit, "signal"));
  }
}

/* The first n measured quantities. */
static void put_costs(cJSON *parent, const char *name,
                      const struct costs *costs, int n) {
  cJSON *object = must(cJSON_AddObjectToObject(parent, name));

  for (int i = 0; i < n; i++) {
    const struct measured *what = &measured_table[i];
    uint64_t value;

    memcpy(&value, (const char *)costs + what->offset, sizeof value);
    put_count(object, what->key, value);
  }
}

static void put_classes(cJSON *parent, const struct alm_stats *stats) {
  cJSON *list = must(cJSON_AddArrayToObject(parent, "classes"));

  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    const struct alm_class_stats *class = &stats->classes[i];

    if (!class->allocs && !class->frees && !class->spans_max &&
        !class->inherited) {
      continue;
    }
    cJSON *object = must(cJSON_CreateObject());

    cJSON_AddItemToArray(list, object);
    put_count(object, "class", (uint64_t)i);
    put_count(object, "object_bytes", class->object_bytes);
    put_count(object, "span_bytes", class->span_bytes);
    put_count(object, "allocs", class->allocs);
    put_count(object, "frees", class->frees);
    put_count(object, "alloc_bytes", class->alloc_bytes);
    put_count(object, "free_bytes", class->free_bytes);
    put_count(object, "spans", class->spans);
    put_count(object, "spans_max", class->spans_max);
    put_count(object, "inherited", class->inherited);
  }
}

static void put_gc_classes(cJSON *parent, const struct alm_gc_stats *gc) {
  cJSON *list = must(cJSON_AddArrayToObject(parent, "classes"));

  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    const struct alm_gc_class_stats *class = &gc->classes[i];

    if (!class->bytes_max) continue;
    cJSON *object = must(cJSON_CreateObject());

    cJSON_AddItemToArray(list, object);
    put_count(object, "class", (uint64_t)i);
    put_count(object, "object_bytes", class->object_bytes);
    put_count(object, "bytes", class->bytes);
    put_count(object, "bytes_max", class->bytes_max);
  }
}

static void put_pauses(cJSON *parent, const struct alm_gc_stats *gc) {
  cJSON *list = must(cJSON_AddArrayToObject(parent, "pauses"));

  for (int i = 0; i < ALM_PAUSE_COUNT; i++) {
    if (!gc->pauses[i]) continue;
    cJSON *object = must(cJSON_CreateObject());

    cJSON_AddItemToArray(list, object);
    if (i < ALM_PAUSE_COUNT - 1) {
      put_count(object, "below_ns", alm_pause_below_ns((unsigned)i));
    } else {
      must(cJSON_AddNullToObject(object, "below_ns"));
    }
    put_count(object, "count", gc->pauses[i]);
  }
}

static void put_gc(cJSON *parent, const struct alm_gc_stats *gc) {
  if (!gc->heaps) {
    must(cJSON_AddNullToObject(parent, "gc"));
    return;
  }
  cJSON *object = must(cJSON_AddObjectToObject(parent, "gc"));

  put_count(object, "heaps", gc->heaps);
  put_count(object, "heaps_now", gc->heaps_now);
  put_count(object, "collections", gc->collections);
  put_count(object, "pause_ns", gc->pause_ns);
  put_count(object, "pause_ns_max", gc->pause_ns_max);
  put_count(object, "pause_p50_ns", alm_pause_quantile_ns(gc, 500));
  put_count(object, "pause_p99_ns", alm_pause_quantile_ns(gc, 990));
  put_count(object, "cpu_ns", gc->cpu_ns);
  put_count(object, "alloc_bytes", gc->alloc_bytes);
  put_count(object, "heap_bytes", gc->heap_bytes);
  put_count(object, "heap_bytes_max", gc->heap_bytes_max);
  put_count(object, "live_bytes", gc->live_bytes);
  put_count(object, "live_objects", gc->live_objects);
  put_count(object, "live_bytes_max", gc->live_bytes_max);
  put_count(object, "finalizers_queued", gc->finalizers_queued);
  put_count(object, "finalizers_run", gc->finalizers_run);
  put_pauses(object, gc);
  put_gc_classes(object, gc);
}

static void put_stats(cJSON *parent, const char *name,
                      const struct alm_stats *stats) {
  cJSON *object = must(cJSON_AddObjectToObject(parent, name));
  struct alm_class_stats sum = {0};

  for (int i = 0; i < ALM_CLASS_COUNT; i++) {
    sum.allocs += stats->classes[i].allocs;
    sum.frees += stats->classes[i].frees;
    sum.alloc_bytes += stats->classes[i].alloc_bytes;
    sum.free_bytes += stats->classes[i].free_bytes;
    sum.inherited += stats->classes[i].inherited;
  }
  put_count(object, "allocs", sum.allocs);
  put_count(object, "frees", sum.frees);
  put_count(object, "alloc_bytes", sum.alloc_bytes);
  put_count(object, "free_bytes", sum.free_bytes);
  put_count(object, "inherited", sum.inherited);
  put_count(object, "heap_inuse", stats->heap_inuse);
  put_count(object, "heap_inuse_max", stats->heap_inuse_max);
  put_count(object, "live_at_max", stats->live_at_max);
  put_count(object, "heap_free", stats->heap_free);
  put_count(object, "heap_mapped", stats->heap_mapped);
  put_count(object, "heap_mapped_max", stats->heap_mapped_max);
  put_count(object, "released", stats->released);
  put_count(object, "metadata", stats->metadata);
  put_count(object, "reserved", stats->reserved);
  put_count(object, "threads", stats->threads);
  put_count(object, "realloc_inplace", stats->realloc_inplace);
  put_count(object, "realloc_moved", stats->realloc_moved);
  put_count(object, "realloc_remapped", stats->realloc_remapped);
  put_classes(object, stats);
  put_gc(object, &stats->gc);
}

static void put_image(cJSON *list, const struct image *image) {
  const struct alm_record *record = image->record;
  cJSON *object = must(cJSON_CreateObject());

  cJSON_AddItemToArray(list, object);
  put_count(object, "pid", image->pid);
  put_count(object, "parent_pid", image->parent_pid);
  put_count(object, "image", image->index);
  put_string(object, "face", record_face_name(image->face));
  put_string(object, "command", image->command);
  put_string(object, "state", record_state_name(image->state));
  put_count(object, "start_ns", record->start_ns);
  if (record->end_ns) {
    put_count(object, "end_ns", record->end_ns);
  } else {
    must(cJSON_AddNullToObject(object, "end_ns"));
  }
  put_count(object, "user_ns", record->user_ns);
  put_count(object, "system_ns", record->system_ns);
  put_count(object, "rss_max", record->rss_max);
  put_stats(object, "stats", &record->stats);
}

static void put_account(cJSON *root, const struct account *account) {
  cJSON *images = must(cJSON_AddArrayToObject(root, "images"));

  for (size_t i = 0; i < account->nprocesses; i++) {
    const struct process *process = &account->processes[i];

    for (size_t k = 0; k < process->nimages; k++) {
      put_image(images, &account->images[process->first + k]);
    }
  }
  put_count(root, "processes", account->nprocesses);
  put_stats(root, "total", &account->total);
  cJSON *skipped = must(cJSON_AddArrayToObject(root, "skipped"));

  for (size_t i = 0; i < account->nskipped; i++) {
    cJSON *object = must(cJSON_CreateObject());

    cJSON_AddItemToArray(skipped, object);
    put_string(object, "file", account->skipped[i].file);
    put_string(object, "why", account->skipped[i].why);
  }
}

static void put_side(cJSON *parent, const char *name, const struct run *run,
                     bool is_system) {
  cJSON *object = must(cJSON_AddObjectToObject(parent, name));

  for (int i = 0; i < run_measured(run); i++) {
    const struct measured *what = &measured_table[i];
    const struct spread spread = run_spread(run, what, is_system);
    cJSON *inner = must(cJSON_AddObjectToObject(object, what->key));

    put_count(inner, "median", spread.median);
    put_count(inner, "min", spread.min);
    put_count(inner, "max", spread.max);
  }
}

static void put_compare(cJSON *root, const struct run *run) {
  if (!run->is_compare) {
    must(cJSON_AddNullToObject(root, "compare"));
    return;
  }
  cJSON *compare = must(cJSON_AddObjectToObject(root, "compare"));
  cJSON *rounds = must(cJSON_AddArrayToObject(compare, "rounds"));

  for (size_t i = 0; i < run->nrounds; i++) {
    const struct round *round = &run->rounds[i];
    cJSON *object = must(cJSON_CreateObject());

    cJSON_AddItemToArray(rounds, object);
    put_costs(object, "almacen", &round->almacen, run_measured(run));
    put_count(object, "almacen_code",
              (uint64_t)launch_exit_code(round->almacen_status));
    put_costs(object, "system", &round->system, run_measured(run));
    put_count(object, "system_code",
              (uint64_t)launch_exit_code(round->system_status));
  }
  must(cJSON_AddBoolToObject(compare, "cut_short", run->is_cut_short));
  if (run->nrounds == 0) return;
  put_side(compare, "almacen", run, false);
  put_side(compare, "system", run, true);
  cJSON *ratio = must(cJSON_AddObjectToObject(compare, "ratio"));

  for (int i = 0; i < run_measured(run); i++) {
    const struct measured *what = &measured_table[i];
    const double ours = (double)run_spread(run, what, false).median;
    const double theirs = (double)run_spread(run, what, true).median;

    if (theirs > 0) {
      must(cJSON_AddNumberToObject(ratio, what->key, ours / theirs));
    } else {
      must(cJSON_AddNullToObject(ratio, what->key));
    }
  }
}

bool json_write(const struct run *run, int fd) {
  cJSON *root = must(cJSON_CreateObject());

  put_string(root, "schema", "almacen-run");
  put_count(root, "version", JSON_VERSION);
  put_string(root, "almacen", ALM_VERSION);
  put_string(root, "replaced", run->is_gc ? "libgc" : "malloc");
  cJSON *command = must(cJSON_AddArrayToObject(root, "command"));

  for (char **argument = run->argv; *argument; argument++) {
    char *valid = text_valid_utf8(*argument);

    cJSON_AddItemToArray(command, must(cJSON_CreateString(valid)));
    free(valid);
  }
  put_count(root, "pid", (uint64_t)run->result.pid);
  put_exit(root, run->result.status);
  const struct costs costs = {.usage = run->result.usage};

  put_costs(root, "usage", &costs, MEASURED_USAGE);
  put_account(root, &run->account);
  put_compare(root, run);
  char *document = cJSON_Print(root);

  if (!document) tool_die(TOOL_EXIT_FAILED, "out of memory");
  const bool done =
      text_write(fd, document, strlen(document)) && text_write(fd, "\n", 1);
  const int kept = errno;

  free(document);
  cJSON_Delete(root);
  errno = kept;
  return done;
}
