/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.c -- see runtime.h. */
#include "daemon/runtime.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "engine/clock.h"

static void submit(void *context, struct fn_device_batch *batch) {
    fn_devices_submit(context, batch);
}

static fn_status collect(void *context, float *ret_embeddings, const char **ret_backend,
                         int64_t *ret_began_ns, struct fn_error *err) {
    return fn_devices_collect(context, ret_embeddings, ret_backend, ret_began_ns, err);
}

static int count_slots(void *context) {
    return fn_devices_slots(context);
}

static int limit_batch(void *context) {
    return fn_devices_limit(context);
}

static double tell_cost(void *context, int n) {
    return fn_devices_cost_ms(context, n);
}

static int64_t check_devices(void *context) {
    return fn_devices_check(context);
}

/* All zero when there is no such file. */
static struct fn_file_identity identify(const char *path) {
    struct stat found;
    struct fn_file_identity identity = {.size = 0};
    if (stat(path, &found) != 0) return identity;
    identity.device = found.st_dev;
    identity.inode = found.st_ino;
    identity.size = found.st_size;
    identity.changed = found.st_ctim;
    return identity;
}

static fn_status open_model(struct fn_runtime *runtime, const struct fn_config *config,
                            struct fn_error *err) {
    if (access(config->model, F_OK) != 0 && errno == ENOENT)
        return fn_fail(err, FN_USAGE,
                       "there is no model %.100s; make it with \"facenet-model quantize WEIGHTS "
                       "--calibration PICTURES -o %.100s\" or copy thin-512.safetensors there",
                       config->model, config->model);
    runtime->file = identify(config->model);
    fn_status status = fn_model_open(config->model, &runtime->model, err);
    if (status != FN_OK) return status;
    if (runtime->model->untrained && !config->allow_untrained)
        return fn_fail(err, FN_UNTRAINED,
                       "%s: this network is untrained and its embeddings mean nothing; "
                       "--allow-untrained serves it all the same",
                       config->model);
    return FN_OK;
}

static void log_finder(const struct fn_runtime *runtime) {
    const char *kernels = fn_finder_kernels(runtime->finder);
    if (!fn_finder_looks(runtime->finder))
        fn_log(FN_LOG_WARNING,
               "event=no_detector effect=\"every picture is taken as a face crop\"");
    else
        fn_log(strcmp(kernels, "portable") == 0 ? FN_LOG_WARNING : FN_LOG_INFO,
               "event=detector name=%s kernels=\"%s\" crop=%s", runtime->model->detector_name,
               kernels, runtime->model->crop);
}

static fn_status open_batcher(struct fn_runtime *runtime, const struct fn_config *config,
                              struct fn_metrics *metrics, struct fn_error *err) {
    struct fn_batcher_options options = {
        .submit = submit,
        .collect = collect,
        .slots = count_slots,
        .limit = limit_batch,
        .cost_ms = tell_cost,
        .check = check_devices,
        .context = runtime->devices,
        .metrics = metrics,
        .embedding_size = runtime->model->network.embedding_size,
        .max_batch = (int)config->max_batch,
        .max_queue = (int)config->max_queue,
        .max_delay_ns = config->max_delay_us * FN_NS_PER_US,
    };
    return fn_batcher_new(&options, &runtime->batcher, err);
}

fn_status fn_runtime_open(const struct fn_config *config, struct fn_metrics *metrics,
                          struct fn_runtime **ret_runtime, struct fn_error *err) {
    FN_CLEANUP(fn_runtime_close) struct fn_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return fn_fail(err, FN_NO_MEMORY, "no memory for a model");
    fn_status status = open_model(runtime, config, err);
    const struct fn_detector_place place = {.device = config->detector,
                                            .kernel_dir = config->kernel_dir,
                                            .cache_dir = config->cache_dir,
                                            .builder = FN_BUILDER,
                                            .patience_ms = config->device_stall_ms};
    bool on_cpu = strcmp(config->detector, "cpu") == 0;
    if (status == FN_OK)
        status = fn_finder_new(runtime->model, on_cpu ? NULL : &place, &runtime->finder, err);
    if (status == FN_OK)
        status = fn_devices_open(config, runtime->model, metrics, &runtime->devices, err);
    if (status == FN_OK) status = open_batcher(runtime, config, metrics, err);
    if (status != FN_OK) return status;
    log_finder(runtime);
    *ret_runtime = FN_TAKE(runtime);
    return FN_OK;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_fallback(const struct fn_config *a, const struct fn_config *b) {
    bool same = a->n_fallback == b->n_fallback;
    for (int i = 0; same && i < a->n_fallback; i++)
        same = same_text(a->fallback[i], b->fallback[i]);
    return same;
}

double fn_runtime_predict_ms(struct fn_runtime *runtime, double others, int n) {
    int ahead = fn_batcher_ahead(runtime->batcher) + (int)ceil(others) + n - 1;
    return fn_devices_wait_ms(runtime->devices, ahead);
}

long fn_runtime_wait_ms(struct fn_runtime *runtime) {
    double ms = fn_runtime_predict_ms(runtime, 0, 1);
    return ms < 1 ? 1 : ms > 600000 ? 600000 : (long)ms;
}

bool fn_runtime_suits(const struct fn_runtime *runtime, const struct fn_config *before,
                      const struct fn_config *config) {
    struct fn_file_identity file = identify(config->model);
    return file.size > 0 && file.device == runtime->file.device &&
           file.inode == runtime->file.inode && file.size == runtime->file.size &&
           file.changed.tv_sec == runtime->file.changed.tv_sec &&
           file.changed.tv_nsec == runtime->file.changed.tv_nsec &&
           same_text(before->device, config->device) &&
           same_text(before->detector, config->detector) &&
           same_text(before->kernel_family, config->kernel_family) &&
           same_text(before->kernel_dir, config->kernel_dir) &&
           same_text(before->cache_dir, config->cache_dir) &&
           same_text(before->program, config->program) && before->max_batch == config->max_batch &&
           before->max_queue == config->max_queue && before->max_delay_us == config->max_delay_us &&
           before->device_stall_ms == config->device_stall_ms &&
           before->device_retry_ms == config->device_retry_ms &&
           before->self_test_ms == config->self_test_ms &&
           before->latency_objective_ms == config->latency_objective_ms &&
           same_fallback(before, config);
}

void fn_runtime_close(struct fn_runtime *runtime) {
    if (!runtime) return;
    fn_batcher_free(runtime->batcher);
    bool all_closed = fn_devices_close(runtime->devices);
    fn_finder_free(runtime->finder);
    /* A thread that hangs in a driver may still come back to read it. */
    if (all_closed) fn_model_close(runtime->model);
    free(runtime);
}
