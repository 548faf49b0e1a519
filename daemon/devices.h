/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.h -- the device that serves, and those that step in when it fails.
 *
 * Devices stand in order: the configured one, then the fallbacks ("reference", the plain C engine,
 * last). The first that works serves. All give the same bits, so batches that one fails are
 * computed by the next and nobody notices but by the time and by the name in the answer. A device
 * fails by an error, by not answering in time, or by a wrong answer to the known picture; it is
 * closed then, and opened and tested again from time to time by a thread of its own. With no device
 * left, work is refused until one comes back: a wrong embedding is worse than none.
 *
 * Batches are submitted and collected, in order; those in flight are always on one device, so that
 * none can be taken for another. fn_devices_submit(), _collect() and _check() belong to one thread,
 * the submitter's. */
#ifndef FN_DEVICES_H
#define FN_DEVICES_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/config.h"
#include "daemon/metrics.h"
#include "engine/engine.h"
#include "engine/model.h"
#include "engine/status.h"

/* Compiles kernels (FN_BUILDER_FLAG in engine/engine.h): this program. */
#define FN_BUILDER "/proc/self/exe"

/* Of a device that was opened, as fn_engine_describe() said. */
struct fn_device_names {
    char backend[16], kernel_family[32], platform[128], device[256], driver[128], label[600];
};

/* Crops on their way through a device. Caller-owned, until they are collected the devices'. */
struct fn_device_batch {
    const uint8_t *crops[FN_MAX_BATCH]; /* [n], each [160][160][3], borrowed */
    int n;
    /* Called in the submitter's thread whenever a device is about to get the batch, which may be
     * long after it was submitted: takes out what nobody waits for any more. NULL: nothing. */
    void (*review)(struct fn_device_batch *batch);
};

struct fn_devices; /* opaque */

/* Open and test devices in their order until one works. `model` is borrowed. */
FN_MUST fn_status fn_devices_open(const struct fn_config *config, const struct fn_model *model,
                                  struct fn_metrics *metrics, struct fn_devices **ret_devices,
                                  struct fn_error *err);

/* Have a batch of at least one crop embedded by whichever device works; one that fails gives it to
 * the next. At most FN_MAX_SLOTS batches at a time; more than fn_devices_slots() wait here. */
void fn_devices_submit(struct fn_devices *devices, struct fn_device_batch *batch);

/* Wait for the batch that was submitted first. *ret_label names what computed it (until the devices
 * are closed); *ret_began_ns is when its turn came (clock.h). FN_NO_DEVICE when none does,
 * FN_DEADLINE_EXCEEDED when nothing was left of it, and FN_NOT_UNIT as fn_engine_run(). */
FN_MUST fn_status fn_devices_collect(struct fn_devices *devices, float *ret_embeddings,
                                     const char **ret_label, int64_t *ret_began_ns,
                                     struct fn_error *err);

/* The known-answer test on the device that serves, if it is due; nothing is in flight. Returns when
 * the next is (clock.h). */
int64_t fn_devices_check(struct fn_devices *devices);

/* The rest may be called by any thread. */

/* What serves, or served last: its names, which stay until the devices are closed. FN_NO_DEVICE
 * when nothing serves; the names are given then too. */
FN_MUST fn_status fn_devices_current(struct fn_devices *devices,
                                     const struct fn_device_names **ret_names,
                                     struct fn_error *err);
/* How many crops may go into a batch now, and how long a crop takes with `ahead` others before it;
 * 0 ms when nothing is known. */
int fn_devices_limit(struct fn_devices *devices);
double fn_devices_wait_ms(struct fn_devices *devices, int ahead);
/* How long a batch of n takes. */
double fn_devices_cost_ms(struct fn_devices *devices, int n);

/* Batches that may be in flight on the device that serves. */
int fn_devices_slots(struct fn_devices *devices);

void fn_devices_write_metrics(struct fn_devices *devices, FILE *out);

/* False when a device hangs: the model must not be closed then. NULL is a no-op, and true. */
bool fn_devices_close(struct fn_devices *devices);

#endif
