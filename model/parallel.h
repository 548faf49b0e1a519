/* SPDX-License-Identifier: Apache-2.0
 *
 * parallel.h -- independent pieces of work over a few threads.
 *
 * Results must not depend on the number of threads: a task writes only what belongs to its index,
 * and sums are made afterwards in the order of indices. */
#ifndef FN_PARALLEL_H
#define FN_PARALLEL_H

#include <stddef.h>

#include "engine/status.h"
#include "model/commands/progress.h"

#define FN_MAX_THREADS 64

/* One piece. `worker` is 0 ... n_workers - 1, for buffers that threads keep. */
typedef fn_status (*fn_task)(void *context, size_t index, int worker, struct fn_error *err);

/* Run task(0) ... task(n - 1), handed out in order. After a failure or Ctrl-C nothing more is
 * handed out; the failure of the lowest index is returned, the same one for any number of threads.
 */
FN_MUST fn_status fn_parallel_run(size_t n, int n_workers, fn_task task, void *context,
                                  struct fn_progress *progress, struct fn_error *err);

/* CPUs this process may run on, 1 ... FN_MAX_THREADS. */
int fn_parallel_cpus(void);

#endif
