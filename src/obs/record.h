/* obs/record.h -- the account of this process in a file, for `almacen run`.
 *
 * WHAT    When the option `record` names a directory, the process counts in
 *         a shared mapping of DIR/PID-N.almrec (struct alm_record), which
 *         survives any death of the process.
 * OWNER   record_open runs before a second thread exists; the other
 *         functions are called by one thread at a time (exit, background,
 *         fork).
 * ERRORS  A directory that cannot be written is reported once; the process
 *         then counts in private memory.
 */
#ifndef ALM_OBS_RECORD_H
#define ALM_OBS_RECORD_H

#include "base/base.h"

ALM_INTERNAL void record_open(void);
/* Write down times, peak RSS, and what was allocated in collected heaps. */
ALM_INTERNAL void record_update(void);
ALM_INTERNAL void record_close(void);
/* Before a fork, with all locks held. */
ALM_INTERNAL void record_fork_prepare(void);
/* In the child, before anything else is counted: in a file of its own. */
ALM_INTERNAL void record_reopen_in_child(void);
/* And when the allocator is whole again: from zero. */
ALM_INTERNAL void record_restart_in_child(void);

#endif
