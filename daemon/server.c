/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c -- see server.h. One lock for a pointer and a few counts, held for a few instructions.
 */
#include "daemon/server.h"

#include <stdlib.h>

#include "daemon/service.h"

fn_status fn_server_new(int n_workers, struct fn_server **ret_server, struct fn_error *err) {
    struct fn_server *server = calloc(1, sizeof *server);
    if (!server) return fn_fail(err, FN_NO_MEMORY, "no memory for the server");
    fn_status status = fn_workers_new(n_workers, &server->workers, err);
    if (status != FN_OK) {
        free(server);
        return status;
    }
    server->n_workers = n_workers;
    fn_load_init(&server->load);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->released, NULL);
    *ret_server = server;
    return FN_OK;
}

struct fn_service *fn_server_acquire(struct fn_server *server) {
    pthread_mutex_lock(&server->lock);
    struct fn_service *service = server->current;
    if (service) service->users++;
    pthread_mutex_unlock(&server->lock);
    return service;
}

void fn_service_acquire(struct fn_service *service) {
    pthread_mutex_lock(&service->server->lock);
    service->users++;
    pthread_mutex_unlock(&service->server->lock);
}

void fn_service_release(struct fn_service *service) {
    struct fn_server *server = service->server;
    pthread_mutex_lock(&server->lock);
    /* After the last one has let go of a retired service it may be freed at once. */
    if (--service->users == 0) pthread_cond_broadcast(&server->released);
    pthread_mutex_unlock(&server->lock);
}

void fn_server_settle(struct fn_server *server, struct fn_http_request *request) {
    if (request->is_expected) fn_load_leave(&server->load, request->expected_ns);
    request->is_expected = false;
}

struct fn_service *fn_server_replace(struct fn_server *server, struct fn_service *service) {
    pthread_mutex_lock(&server->lock);
    struct fn_service *before = server->current;
    server->current = service;
    pthread_mutex_unlock(&server->lock);
    return before;
}

void fn_server_retire(struct fn_server *server, struct fn_service *service) {
    if (!service) return;
    pthread_mutex_lock(&server->lock);
    while (service->users > 0) pthread_cond_wait(&server->released, &server->lock);
    pthread_mutex_unlock(&server->lock);
    fn_service_close(service);
}

void fn_server_stop(struct fn_server *server) {
    if (!server || server->stopped) return;
    struct fn_service *last = fn_server_replace(server, NULL);
    /* The batcher hands its last results to the workers; what they submit from then on is refused,
     * and they finish those requests themselves. */
    if (last) fn_service_stop(last);
    fn_workers_free(server->workers);
    fn_server_retire(server, last);
    server->stopped = true;
}

void fn_server_close(struct fn_server *server) {
    if (!server) return;
    fn_server_stop(server);
    pthread_cond_destroy(&server->released);
    pthread_mutex_destroy(&server->lock);
    fn_load_destroy(&server->load);
    free(server);
}
