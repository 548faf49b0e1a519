/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.h -- an engine in a thread of its own, so that a device that hangs can be left behind.
 *
 * Every call into an engine is an errand (engine/errand.h) on buffers of the runner's. One caller
 * at a time. */
#ifndef FN_RUNNER_H
#define FN_RUNNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/errand.h"
#include "engine/model.h"
#include "engine/status.h"

struct fn_runner; /* opaque */

/* Open an engine for `model` (borrowed: it must stay for as long as the thread, see
 * fn_runner_close()). `options` and what it points to are copied. give_up (borrowed for as long as
 * the runner): when it becomes true, waiting ends as if patience had, but for fn_runner_close().
 * Any status of fn_engine_open(); FN_DEVICE_FAILED when it takes longer than patience_ns, and then
 * *ret_stuck says whether a thread was left behind. */
FN_MUST fn_status fn_runner_open(const struct fn_model *model,
                                 const struct fn_engine_options *options, int64_t patience_ns,
                                 const atomic_bool *give_up, struct fn_runner **ret_runner,
                                 bool *ret_stuck, struct fn_error *err);

/* fn_engine_submit() of n crops, and fn_engine_collect() of the batch that was submitted first, of
 * n again. FN_DEVICE_FAILED also when it takes too long; see fn_runner_is_stuck(). */
FN_MUST fn_status fn_runner_submit(struct fn_runner *runner, const uint8_t *const *crops, int n,
                                   int64_t patience_ns, struct fn_error *err);
FN_MUST fn_status fn_runner_collect(struct fn_runner *runner, int n, int64_t patience_ns,
                                    float *ret_embeddings, struct fn_error *err);
int fn_runner_slots(const struct fn_runner *runner);
/* fn_engine_self_test_at(), with no batch in flight. */
FN_MUST fn_status fn_runner_self_test(struct fn_runner *runner, int n, int64_t patience_ns,
                                      struct fn_error *err);

bool fn_runner_is_stuck(const struct fn_runner *runner);
/* Borrowed from the runner. */
const struct fn_engine_description *fn_runner_describe(const struct fn_runner *runner);

/* Close the engine, with whatever is in flight, and end the thread. False when the thread is stuck,
 * or closing takes longer than patience_ns: it was left behind, and the model must not be closed.
 * NULL is a no-op, and true. */
bool fn_runner_close(struct fn_runner *runner, int64_t patience_ns);

#endif
