/* bench/libgc/records.c -- the records of a directory, as lines of JSON.
 *
 * WHAT    For each record that the probe (tools/gcprobe.c) has left in the
 *         directory: collections, pauses, heap. bench/libgc.py reads that of
 *         programs that do not report on themselves.
 */
#include "almacen.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static double ms(uint64_t ns) {
  return (double)ns / 1e6;
}

static void print(const struct alm_record *record) {
  const struct alm_gc_stats *gc = &record->stats.gc;
  printf("{\"collections\":%" PRIu64 ",\"pause_total_ms\":%.3f,"
         "\"pause_p50_ms\":%.3f,\"pause_p99_ms\":%.3f,\"pause_max_ms\":%.3f,"
         "\"heap_max_kib\":%" PRIu64 "}\n",
         gc->collections, ms(gc->pause_ns), ms(alm_pause_quantile_ns(gc, 500)),
         ms(alm_pause_quantile_ns(gc, 990)), ms(gc->pause_ns_max),
         gc->heap_bytes_max >> 10);
}

static void read_one(const char *folder, const char *name) {
  static struct alm_record record;
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return;
  }
  if (fread(&record, sizeof record, 1, file) == 1 &&
      memcmp(record.magic, ALM_RECORD_MAGIC, sizeof record.magic) == 0 &&
      strncmp(record.face, "libgc", sizeof record.face) == 0) {
    print(&record);
  }
  fclose(file);
}

int main(int argc, char **argv) {
  DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
  if (dir == NULL) {
    fprintf(stderr, "usage: records DIRECTORY\n");
    return 2;
  }
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (strstr(entry->d_name, ".almrec") != NULL) {
      read_one(argv[1], entry->d_name);
    }
  }
  return 0;
}
