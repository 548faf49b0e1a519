/* SPDX-License-Identifier: Apache-2.0
 *
 * service.h -- one generation of what answers requests: a configuration, its keys, its model on a
 * device. Read-only once it is made; a reload makes another one (server.h). */
#ifndef FN_SERVICE_H
#define FN_SERVICE_H

#include "daemon/batcher.h"
#include "daemon/config.h"
#include "daemon/finder.h"
#include "daemon/keys.h"
#include "daemon/runtime.h"
#include "daemon/server.h"
#include "engine/cleanup.h"
#include "engine/engine.h"
#include "engine/model.h"

struct fn_service {
    struct fn_server *server;   /* borrowed */
    struct fn_config *config;   /* owned */
    struct fn_keys *keys;       /* owned; NULL: none are asked for */
    struct fn_runtime *runtime; /* shared with the generations that changed nothing of it */
    /* Of the runtime, borrowed. */
    const struct fn_model *model;
    struct fn_finder *finder;
    struct fn_batcher *batcher;
    int users; /* guarded by the server's lock */
};

/* Make a service and take `config`. `before` (NULL: none) is the one it is to replace: what of it
 * still suits is kept. Passes only if the device gives the model's known answer. Any status of a
 * model or a device. By one thread at a time, as is fn_service_close(). */
FN_MUST fn_status fn_service_open(struct fn_server *server, struct fn_config *config,
                                  const struct fn_service *before, struct fn_service **ret_service,
                                  struct fn_error *err);

/* What serves now, or served last: names, and its label, that stay as long as the service. */
const struct fn_device_names *fn_service_device(const struct fn_service *service);
const char *fn_service_backend(const struct fn_service *service);

/* Whether requests for embeddings can be answered; otherwise `err` says why not. */
FN_MUST fn_status fn_service_check_ready(struct fn_service *service, struct fn_error *err);

/* Compute what waits and take no more: the end of its runtime. */
void fn_service_stop(struct fn_service *service);
/* When nobody uses it any more: see fn_server_retire(). NULL is a no-op. */
void fn_service_close(struct fn_service *service);
FN_DEFINE_CLEANUP(struct fn_service *, fn_service_close)

#endif
