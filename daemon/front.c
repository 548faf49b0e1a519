/* SPDX-License-Identifier: Apache-2.0
 *
 * front.c -- see front.h. */
#include "daemon/front.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/access.h"
#include "daemon/api/routes.h"
#include "daemon/http/http.h"
#include "daemon/service.h"

struct entrance {
    struct fn_listener listener;
    struct fn_door door;
    struct fn_http *http; /* NULL before it has started */
};

struct fn_front {
    int n;
    struct entrance entrances[FN_MAX_LISTENERS];
};

_Static_assert(FN_MAX_LISTEN == FN_MAX_LISTENERS, "as many as can be configured");

static fn_status inherit(struct fn_front *front, struct fn_error *err) {
    struct fn_listener inherited[FN_MAX_LISTENERS];
    int n = 0;
    fn_status status = fn_listeners_inherit(inherited, &n, err);
    for (int i = 0; status == FN_OK && i < n; i++) front->entrances[i].listener = inherited[i];
    if (status == FN_OK) front->n = n;
    return status;
}

fn_status fn_front_open(const struct fn_config *config, struct fn_front **ret_front,
                        struct fn_error *err) {
    struct fn_front *front = calloc(1, sizeof *front);
    if (!front) return fn_fail(err, FN_NO_MEMORY, "no memory for the listening sockets");
    fn_status status = inherit(front, err);
    bool inherited = front->n > 0;
    for (int i = 0; status == FN_OK && !inherited && i < config->n_listen; i++) {
        status = fn_listener_open(config->listen[i], &front->entrances[i].listener, err);
        if (status == FN_OK) front->n++;
    }
    if (status == FN_OK) status = fn_front_check(front, config, err);
    if (status == FN_OK)
        *ret_front = front;
    else
        fn_front_free(front);
    return status;
}

fn_status fn_front_check(const struct fn_front *front, const struct fn_config *config,
                         struct fn_error *err) {
    fn_status status = FN_OK;
    for (int i = 0; status == FN_OK && i < front->n; i++)
        status = fn_access_check_listener(config, &front->entrances[i].listener, err);
    return status;
}

static struct fn_http_limits limits_of(const struct fn_config *config) {
    return (struct fn_http_limits){
        .max_body = (size_t)config->max_body,
        .max_inflight_bytes = (size_t)config->max_inflight_bytes,
        .header_timeout_ms = config->header_timeout_ms,
        .body_timeout_ms = config->body_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
        .min_rate = config->min_rate,
        .deadline_ms = config->deadline_ms,
    };
}

static fn_status start(struct entrance *entrance, struct fn_server *server,
                       const struct fn_config *config, struct fn_error *err) {
    struct fn_door *door = &entrance->door;
    door->server = server;
    door->is_unix = entrance->listener.is_unix;
    door->is_loopback = entrance->listener.is_loopback;
    (void)snprintf(door->host, sizeof door->host, "%s", entrance->listener.host);
    struct fn_http_options options = {
        .listen_fd = entrance->listener.fd,
        .tls = config->tls_certificate && !entrance->listener.is_unix,
        .lanes = (int)config->lanes,
        .max_connections = (int)config->max_connections,
        .limits = limits_of(config),
        .figures = &server->http,
        .handlers = fn_routes_handlers(door),
    };
    fn_status status = fn_listener_start(&entrance->listener, err);
    return status == FN_OK ? fn_http_start(&options, &entrance->http, err) : status;
}

fn_status fn_front_load_tls(const struct fn_config *config, struct fn_tls **ret_tls,
                            struct fn_error *err) {
    if (!config->tls_certificate) return FN_OK;
    return fn_tls_load(config->tls_certificate, config->tls_key, ret_tls, err);
}

fn_status fn_front_start(struct fn_front *front, struct fn_server *server, struct fn_error *err) {
    struct fn_tls *tls = NULL;
    struct fn_service *service = fn_server_acquire(server);
    fn_status status = fn_front_load_tls(service->config, &tls, err);
    if (tls) fn_tls_use(tls);
    for (int i = 0; status == FN_OK && i < front->n; i++)
        status = start(&front->entrances[i], server, service->config, err);
    fn_service_release(service);
    return status;
}

void fn_front_set_limits(struct fn_front *front, const struct fn_config *config) {
    struct fn_http_limits limits = limits_of(config);
    for (int i = 0; i < front->n; i++) fn_http_set_limits(front->entrances[i].http, &limits);
}

const struct fn_listener *fn_front_listener(const struct fn_front *front, int index) {
    return index < front->n ? &front->entrances[index].listener : NULL;
}

int64_t fn_front_stalled_since_ns(struct fn_front *front) {
    int64_t oldest = INT64_MAX;
    for (int i = 0; i < front->n; i++) {
        int64_t since_ns = fn_http_stalled_since_ns(front->entrances[i].http);
        if (since_ns < oldest) oldest = since_ns;
    }
    return oldest;
}

void fn_front_drain(struct fn_front *front) {
    for (int i = 0; i < front->n; i++) fn_http_drain(front->entrances[i].http);
}

bool fn_front_is_drained(const struct fn_front *front) {
    for (int i = 0; i < front->n; i++)
        if (!fn_http_is_drained(front->entrances[i].http)) return false;
    return true;
}

void fn_front_stop(struct fn_front *front) {
    for (int i = 0; front && i < front->n; i++)
        if (front->entrances[i].http) fn_http_stop(front->entrances[i].http);
}

void fn_front_free(struct fn_front *front) {
    if (!front) return;
    for (int i = 0; i < front->n; i++) {
        fn_http_free(front->entrances[i].http);
        fn_listener_close(&front->entrances[i].listener);
    }
    fn_tls_end();
    free(front);
}
