/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h -- a model on its device with the batcher before it: the expensive half of a service.
 * A reload that changes neither the model file nor what concerns the device keeps it, so that new
 * keys do not cost a device its warmth, nor a board a second set of weights. */
#ifndef FN_RUNTIME_H
#define FN_RUNTIME_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "daemon/batcher.h"
#include "daemon/config.h"
#include "daemon/devices.h"
#include "daemon/finder.h"
#include "daemon/metrics.h"
#include "engine/cleanup.h"
#include "engine/engine.h"
#include "engine/model.h"
#include "engine/status.h"

/* Which file it was, without reading it. */
struct fn_file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct fn_runtime {
    struct fn_model *model;     /* owned */
    struct fn_finder *finder;   /* owned */
    struct fn_devices *devices; /* owned */
    struct fn_batcher *batcher; /* owned */
    struct fn_file_identity file;
    int users; /* services; only whoever makes and closes services, one thread at a time */
};

/* Open model, device and batcher; passes only if the device gives the model's known answer. Any
 * status of a model or a device. */
FN_MUST fn_status fn_runtime_open(const struct fn_config *config, struct fn_metrics *metrics,
                                  struct fn_runtime **ret_runtime, struct fn_error *err);

/* How long n crops submitted now, after others that are still to come, would take, in ms. */
double fn_runtime_predict_ms(struct fn_runtime *runtime, double others, int n);
/* The same for one crop, as a whole number from 1. */
long fn_runtime_wait_ms(struct fn_runtime *runtime);

/* Whether a runtime opened for `before` is what `config` asks for too. */
bool fn_runtime_suits(const struct fn_runtime *runtime, const struct fn_config *before,
                      const struct fn_config *config);

/* NULL is a no-op. */
void fn_runtime_close(struct fn_runtime *runtime);
FN_DEFINE_CLEANUP(struct fn_runtime *, fn_runtime_close)

#endif
