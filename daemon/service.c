/* SPDX-License-Identifier: Apache-2.0
 *
 * service.c -- see service.h. */
#include "daemon/service.h"

#include <stdlib.h>

#include "daemon/log.h"

static fn_status open_keys(struct fn_service *service, const struct fn_service *before,
                           struct fn_error *err) {
    const struct fn_config *config = service->config;
    const struct fn_key_rate rate = {config->key_rate, config->key_burst};
    if (!config->keys_file) return FN_OK;
    fn_status status =
        fn_keys_read(config->keys_file, &rate, before ? before->keys : NULL, &service->keys, err);
    if (status == FN_OK) fn_log(FN_LOG_INFO, "event=keys number=%d", fn_keys_count(service->keys));
    return status;
}

static fn_status open_runtime(struct fn_service *service, const struct fn_service *before,
                              struct fn_error *err) {
    fn_status status = FN_OK;
    if (before && fn_runtime_suits(before->runtime, before->config, service->config))
        service->runtime = before->runtime;
    else
        status =
            fn_runtime_open(service->config, &service->server->metrics, &service->runtime, err);
    if (status != FN_OK) return status;
    service->runtime->users++;
    service->model = service->runtime->model;
    service->finder = service->runtime->finder;
    service->batcher = service->runtime->batcher;
    return FN_OK;
}

fn_status fn_service_open(struct fn_server *server, struct fn_config *config,
                          const struct fn_service *before, struct fn_service **ret_service,
                          struct fn_error *err) {
    FN_CLEANUP(fn_service_close) struct fn_service *service = calloc(1, sizeof *service);
    if (!service) return fn_fail(err, FN_NO_MEMORY, "no memory for the service");
    service->server = server;
    service->config = config;
    fn_status status = open_keys(service, before, err);
    if (status == FN_OK) status = open_runtime(service, before, err);
    if (status == FN_OK)
        *ret_service = FN_TAKE(service);
    else
        service->config = NULL; /* not taken */
    return status;
}

const struct fn_device_names *fn_service_device(const struct fn_service *service) {
    const struct fn_device_names *names;
    struct fn_error unused;
    fn_status status = fn_devices_current(service->runtime->devices, &names, &unused);
    (void)status; /* readiness says whether it serves */
    return names;
}

const char *fn_service_backend(const struct fn_service *service) {
    return fn_service_device(service)->label;
}

fn_status fn_service_check_ready(struct fn_service *service, struct fn_error *err) {
    const struct fn_device_names *names;
    if (atomic_load(&service->server->draining))
        return fn_fail(err, FN_DRAINING, "the server is shutting down");
    return fn_devices_current(service->runtime->devices, &names, err);
}

void fn_service_stop(struct fn_service *service) {
    fn_batcher_stop(service->batcher);
}

void fn_service_close(struct fn_service *service) {
    if (!service) return;
    if (service->runtime && --service->runtime->users == 0) fn_runtime_close(service->runtime);
    fn_keys_free(service->keys);
    fn_config_free(service->config);
    free(service);
}
