/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h -- what outlives a reload: workers, counters, and which service answers now.
 *
 * A service (service.h) is one configuration with its keys, model and devices, read-only once it is
 * made. A request takes the current one when its headers come and keeps it to its end, so that it
 * never sees half of a reload; the one replaced is closed when the last request has let go of it,
 * by the thread that replaced it: lanes and workers never wait for a device to close. */
#ifndef FN_SERVER_H
#define FN_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/http/http.h"
#include "daemon/load.h"
#include "daemon/metrics.h"
#include "daemon/workers.h"
#include "engine/cleanup.h"
#include "engine/status.h"

struct fn_service;

struct fn_server {
    struct fn_metrics metrics;
    struct fn_http_figures http;
    struct fn_load load;
    struct fn_workers *workers;
    int n_workers;
    atomic_bool draining;
    atomic_int in_work; /* requests between serve() and their finish */
    /* Private. */
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool stopped;
    struct fn_service *current; /* guarded by lock, as are the services' counts of users */
};

/* With workers, without a service. */
FN_MUST fn_status fn_server_new(int n_workers, struct fn_server **ret_server, struct fn_error *err);

/* The current service, to be released; NULL before the first and after the last. */
struct fn_service *fn_server_acquire(struct fn_server *server);
void fn_service_acquire(struct fn_service *service);
void fn_service_release(struct fn_service *service);

/* The request's pictures are decoded, or will never be: it is no longer ahead of others. By whoever
 * has the request; again is a no-op. */
void fn_server_settle(struct fn_server *server, struct fn_http_request *request);

/* Make `service` (NULL: none) the current one; the one before is the caller's to retire. */
struct fn_service *fn_server_replace(struct fn_server *server, struct fn_service *service);

/* Wait until nobody uses a service that is no longer current, and close it. NULL is a no-op. */
void fn_server_retire(struct fn_server *server, struct fn_service *service);

/* End services and workers, after the lanes have ended: no request is handed back from then on. The
 * figures stay until the HTTP servers that count in them are freed. NULL is a no-op. */
void fn_server_stop(struct fn_server *server);
/* Stops first. NULL is a no-op. */
void fn_server_close(struct fn_server *server);
FN_DEFINE_CLEANUP(struct fn_server *, fn_server_close)

#endif
