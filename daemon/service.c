/* SPDX-License-Identifier: Apache-2.0
 *
 * service.c -- see service.h. */
#include "daemon/service.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"

static fn_status run_engine(void *context, const uint8_t *crops, int n, float *ret_embeddings,
                            struct fn_error *err) {
    struct fn_service *service = context;
    return fn_engine_run(service->engine, crops, n, ret_embeddings, NULL, err);
}

static fn_status open_keys(struct fn_service *service, struct fn_error *err) {
    const struct fn_config *config = service->config;
    const struct fn_key_rate rate = {config->key_rate, config->key_burst};
    if (!config->keys_file) return FN_OK;
    struct fn_service *before = fn_server_acquire(service->server);
    fn_status status =
        fn_keys_read(config->keys_file, &rate, before ? before->keys : NULL, &service->keys, err);
    if (before) fn_service_release(before);
    if (status == FN_OK) fn_log(FN_LOG_INFO, "event=keys number=%d", fn_keys_count(service->keys));
    return status;
}

static fn_status open_model(struct fn_service *service, struct fn_error *err) {
    const struct fn_config *config = service->config;
    if (access(config->model, F_OK) != 0 && errno == ENOENT)
        return fn_fail(err, FN_USAGE,
                       "there is no model %.100s; make it with \"facenet-model quantize WEIGHTS "
                       "--calibration PICTURES -o %.100s\" or copy thin-512.safetensors there",
                       config->model, config->model);
    fn_status status = fn_model_open(config->model, &service->model, err);
    if (status != FN_OK) return status;
    if (service->model->untrained && !config->allow_untrained)
        return fn_fail(err, FN_UNTRAINED,
                       "%s: this network is untrained and its embeddings mean nothing; "
                       "--allow-untrained serves it all the same",
                       config->model);
    return FN_OK;
}

static fn_status open_engine(struct fn_service *service, struct fn_error *err) {
    const struct fn_config *config = service->config;
    struct fn_engine_options options = {.device = config->device,
                                        .kernel_family = config->kernel_family,
                                        .kernel_dir = config->kernel_dir,
                                        .cache_dir = config->cache_dir,
                                        .max_batch = (int)config->max_batch};
    fn_status status = fn_engine_open(service->model, &options, &service->engine, err);
    if (status != FN_OK) return status;
    fn_engine_describe(service->engine, &service->engine_description);
    if (*service->engine_description.note)
        fn_log(FN_LOG_WARNING, "event=kernels_passed_over chosen=%s reason=\"%s\"",
               service->engine_description.kernel_family, service->engine_description.note);
    int64_t started = fn_now_ns();
    status = fn_engine_self_test(service->engine, err);
    if (status == FN_OK)
        fn_log(FN_LOG_INFO, "event=self_test result=passed backend=\"%s\" ms=%.0f",
               service->engine_description.label, fn_ms(fn_now_ns() - started));
    return status;
}

static fn_status open_batcher(struct fn_service *service, struct fn_error *err) {
    const struct fn_config *config = service->config;
    struct fn_batcher_options options = {
        .run = run_engine,
        .context = service,
        .metrics = &service->server->metrics,
        .embedding_size = service->model->network.embedding_size,
        .max_batch = (int)config->max_batch,
        .max_queue = (int)config->max_queue,
        .max_delay_ns = config->max_delay_us * FN_NS_PER_US,
    };
    return fn_batcher_new(&options, &service->batcher, err);
}

fn_status fn_service_open(struct fn_server *server, struct fn_config *config,
                          struct fn_service **ret_service, struct fn_error *err) {
    FN_CLEANUP(fn_service_close) struct fn_service *service = calloc(1, sizeof *service);
    if (!service) return fn_fail(err, FN_NO_MEMORY, "no memory for the service");
    service->server = server;
    service->config = config;
    fn_status status = open_keys(service, err);
    if (status == FN_OK) status = open_model(service, err);
    if (status == FN_OK) status = open_engine(service, err);
    if (status == FN_OK) status = open_batcher(service, err);
    if (status == FN_OK)
        *ret_service = FN_TAKE(service);
    else
        service->config = NULL; /* not taken */
    return status;
}

fn_status fn_service_check_ready(struct fn_service *service, struct fn_error *err) {
    struct fn_batcher_stats stats;
    if (atomic_load(&service->server->draining))
        return fn_fail(err, FN_DRAINING, "the server is shutting down");
    fn_batcher_get_stats(service->batcher, &stats);
    if (stats.last_status != FN_OK)
        return fn_fail(err, FN_NO_DEVICE, "the device failed in its last batch");
    return FN_OK;
}

void fn_service_stop(struct fn_service *service) {
    fn_batcher_stop(service->batcher);
}

void fn_service_close(struct fn_service *service) {
    if (!service) return;
    fn_batcher_free(service->batcher);
    fn_engine_close(service->engine);
    fn_model_close(service->model);
    fn_keys_free(service->keys);
    fn_config_free(service->config);
    free(service);
}
