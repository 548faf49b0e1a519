/* SPDX-License-Identifier: Apache-2.0
 *
 * errand.h -- a thread for the calls that may never return.
 *
 * OpenCL has calls and waits without a time limit. So they are made by an errand's thread, on what
 * belongs to it alone, and whoever asked waits for as long as is reasonable. An errand that was not
 * done in time is stuck: it takes no more, and when it is closed its thread keeps what it may still
 * write to, and frees it when the call returns, if ever. One caller at a time. */
#ifndef FN_ERRAND_H
#define FN_ERRAND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/status.h"

struct fn_errand; /* opaque */

#define FN_ERRAND_FOREVER INT64_MAX

/* What is to be done, with the context that belongs to the thread. `job` is above 0. */
typedef fn_status fn_errand_run(void *context, int job, struct fn_error *err);

/* Start the thread. context: owned from success on, and freed by free_context(), in whatever thread
 * is the last to use it. give_up (borrowed for as long as the errand; NULL: never): when it becomes
 * true, waiting ends as if patience had, but for fn_errand_close(). */
FN_MUST fn_status fn_errand_new(void *context, fn_errand_run *run, void (*free_context)(void *),
                                const atomic_bool *give_up, struct fn_errand **ret_errand,
                                struct fn_error *err);

/* Have a job done. What run() says; FN_DEVICE_FAILED when it takes too long, or did before. Between
 * two jobs, and not when stuck, the context is the caller's. */
FN_MUST fn_status fn_errand_ask(struct fn_errand *errand, int job, int64_t patience_ns,
                                struct fn_error *err);

bool fn_errand_is_stuck(const struct fn_errand *errand);

/* Have a last job done and end the thread; what the job says is nobody's concern. False when the
 * thread is stuck, or the job takes longer than patience_ns: it was left behind. NULL is a no-op,
 * and true. */
bool fn_errand_close(struct fn_errand *errand, int last_job, int64_t patience_ns);

/* Threads left behind in this process that have not come back. While there are any, the process
 * has to end by _exit(): what the others' exit handlers tear down is still in use. */
int fn_errands_left_behind(void);

#endif
