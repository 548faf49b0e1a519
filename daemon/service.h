/* SPDX-License-Identifier: Apache-2.0
 *
 * service.h -- everything that answers requests: the model, the engine, the batcher before it, the
 * workers around them. Made once before listening; read-only afterwards but for the atomics. */
#ifndef FN_SERVICE_H
#define FN_SERVICE_H

#include <stdatomic.h>

#include "daemon/access.h"
#include "daemon/batcher.h"
#include "daemon/config.h"
#include "daemon/workers.h"
#include "engine/cleanup.h"
#include "engine/engine.h"
#include "engine/model.h"

struct fn_service {
    const struct fn_config *config; /* borrowed */
    struct fn_access access;
    struct fn_model *model;
    struct fn_engine *engine; /* the submitter thread's */
    struct fn_engine_description engine_description;
    struct fn_batcher *batcher;
    struct fn_workers *workers;
    atomic_bool draining;
    atomic_int in_work; /* requests between serve() and their finish */
};

/* Open the model, the device and the threads; passes only if the device gives the model's known
 * answer. Any status of a model or a device. */
FN_MUST fn_status fn_service_open(const struct fn_config *config, struct fn_service **ret_service,
                                  struct fn_error *err);

/* Whether requests for embeddings can be answered; otherwise `err` says why not. */
FN_MUST fn_status fn_service_check_ready(struct fn_service *service, struct fn_error *err);

/* Finish what is in work, end the threads. After the lanes have ended. NULL is a no-op. */
void fn_service_close(struct fn_service *service);
FN_DEFINE_CLEANUP(struct fn_service *, fn_service_close)

#endif
