/* obs/record.c -- see record.h. */
#include "record.h"

#include "almacen.h"
#include "base/diag.h"
#include "gc/heap.h"
#include "mem/memstat.h"
#include "os/conf.h"
#include "os/os.h"

#include <string.h>

/* Program images one process may run, by exec, and copies of the library in
 * them, before it is not recorded. */
enum { IMAGES_MAX = 1000 };

static struct alm_record *record; /* NULL: not recorded */
/* As it was at the fork, for the child: parent's threads go on counting in the
 * mapping. Written with all locks held. */
static struct alm_record record_at_fork;

static void record_read_command(char *text, size_t size) {
  size_t n = os_file_read("/proc/self/cmdline", text, size - 1);
  for (size_t i = 0; i < n; i++) {
    text[i] = text[i] == '\0' ? ' ' : text[i];
  }
  while (n > 0 && text[n - 1] == ' ') {
    n--;
  }
  text[n] = '\0';
}

static struct alm_record *record_map(void *fixed, enum os_file_failure *why) {
  char path[320];
  void *p = NULL;
  *why = OS_FILE_EXISTS;
  for (unsigned n = 0; p == NULL && *why == OS_FILE_EXISTS && n < IMAGES_MAX;
       n++) {
    diag_format(path, sizeof path, "%s/%u-%u.almrec", conf_text(CONF_record),
                os_pid(), n);
    p = os_file_map(path, sizeof *record, fixed, why);
  }
  return p;
}

static void record_begin(void) {
  record->record_bytes = sizeof *record;
  record->state = ALM_RECORD_RUNNING;
  record->pid = os_pid();
  record->parent_pid = os_parent_pid();
  record->image = os_image();
  diag_format(record->face, sizeof record->face, "%s",
              ALM_IS_MALLOC  ? "malloc"
              : ALM_IS_LIBGC ? "gc"
                             : "alm");
  record->start_ns = os_wall_ns();
  record->end_ns = 0;
  record_read_command(record->command, sizeof record->command);
  record_update();
  atomic_fence(); /* a reader that sees the magic sees the rest */
  memcpy(record->magic, ALM_RECORD_MAGIC, sizeof record->magic);
}

void record_open(void) {
  if (conf_text(CONF_record)[0] == '\0') {
    return;
  }
  enum os_file_failure why;
  record = record_map(NULL, &why);
  if (record == NULL && why == OS_FILE_NO_FOLDER) {
    return; /* `almacen run` is over, its program lives on */
  }
  if (record == NULL) {
    diag_line("option \"record\": no file can be created in %s",
              conf_text(CONF_record));
    return;
  }
  memstat_move(&record->stats);
  record_begin();
}

void record_update(void) {
  if (record == NULL) {
    return;
  }
  heap_publish_all();
  struct os_usage u = os_usage_self();
  record->user_ns = u.user_ns;
  record->system_ns = u.system_ns;
  record->rss_max = u.rss_max;
}

void record_close(void) {
  if (record == NULL) {
    return;
  }
  record_update();
  if (record->stats.heap_inuse == record->stats.heap_inuse_max) {
    memstat_sample_peak(record->stats.heap_inuse, 0);
  }
  record->end_ns = os_wall_ns();
  record->state = ALM_RECORD_EXITED;
}

void record_fork_prepare(void) {
  if (record != NULL) {
    record_at_fork = *record;
    memset(record_at_fork.magic, 0, sizeof record_at_fork.magic);
  }
}

void record_reopen_in_child(void) {
  if (record == NULL) {
    return;
  }
  enum os_file_failure why;
  bool ok = record_map(record, &why) != NULL ||
            os_file_unmap_to_private(record, sizeof *record);
  CHECK(ok); /* replacing a mapping takes no memory */
  *record = record_at_fork;
}

void record_restart_in_child(void) {
  heap_publish_all(); /* what the parent allocated is not the child's */
  memstat_restart();
  if (record != NULL) {
    record_begin();
  }
}
