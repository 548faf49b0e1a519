/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.h -- threads that decode, crop and write answers, so that lanes and the device never wait
 * for that. Two queues: finishing what is begun goes before beginning anew. How much may wait is
 * bounded by whoever admits requests. */
#ifndef FN_WORKERS_H
#define FN_WORKERS_H

#include <stdint.h>

#include "engine/status.h"

/* Caller-owned; the pool's until run() is called. run() may free it. */
struct fn_task {
    void (*run)(struct fn_task *task);
    struct fn_task *next; /* private */
};

enum fn_urgency { FN_TASK_FINISH, FN_TASK_BEGIN };

struct fn_workers; /* opaque */

FN_MUST fn_status fn_workers_new(int n_threads, struct fn_workers **ret_workers,
                                 struct fn_error *err);
/* Never fails: tasks bring their own memory. */
void fn_workers_push(struct fn_workers *workers, struct fn_task *task, enum fn_urgency urgency);
/* When the task that has run for longest began, or the queues were last taken from while tasks
 * wait, whichever is earlier; INT64_MAX when there is nothing to do. */
int64_t fn_workers_stalled_since_ns(struct fn_workers *workers);
/* Run what has been pushed, then end the threads. Only tasks may still push meanwhile. NULL is a
 * no-op. */
void fn_workers_free(struct fn_workers *workers);

#endif
