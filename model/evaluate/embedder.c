/* SPDX-License-Identifier: Apache-2.0
 *
 * embedder.c -- see embedder.h. Work is cut into batches; worker w uses engine w or run w. */
#include "model/evaluate/embedder.h"

#include <string.h>

#include "model/parallel.h"

#define BATCH 16

struct fn_embedder {
    int size, n_workers;
    size_t batch; /* pictures per piece of work */
    char label[128];
    /* one of the two, by worker, owned */
    struct fn_engine *engines[FN_MAX_THREADS];
    struct fn_float_run *runs[FN_MAX_THREADS];
    enum fn_preprocessing preprocessing; /* of the float network */
    float *images;                       /* [n_workers][160][160][3], owned */
};

static fn_status make(int size, int n_workers, size_t batch, const char *label,
                      struct fn_embedder **ret_embedder, struct fn_error *err) {
    struct fn_embedder *embedder = calloc(1, sizeof *embedder);
    if (!embedder) return fn_fail(err, FN_NO_MEMORY, "no memory for an embedder");
    embedder->size = size;
    embedder->n_workers = n_workers;
    embedder->batch = batch;
    (void)snprintf(embedder->label, sizeof embedder->label, "%s", label);
    *ret_embedder = embedder;
    return FN_OK;
}

fn_status fn_embedder_on_device(const struct fn_model *model, const char *device, int n_threads,
                                struct fn_embedder **ret_embedder, struct fn_error *err) {
    bool reference = strcmp(device, "reference") == 0;
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    fn_status status = make(model->network.embedding_size, reference ? n_threads : 1,
                            reference ? 1 : BATCH, "", &embedder, err);
    if (status != FN_OK) return status;
    const struct fn_engine_options options = {.device = device, .max_batch = (int)embedder->batch};
    for (int i = 0; i < embedder->n_workers && status == FN_OK; i++)
        status = fn_engine_open(model, &options, &embedder->engines[i], err);
    if (status != FN_OK) return status;
    struct fn_engine_description description;
    fn_engine_describe(embedder->engines[0], &description);
    (void)snprintf(embedder->label, sizeof embedder->label, "%s", description.label);
    *ret_embedder = FN_TAKE(embedder);
    return FN_OK;
}

fn_status fn_embedder_in_float(const struct fn_float_net *net, int embedding_size,
                               enum fn_preprocessing preprocessing, int n_threads,
                               struct fn_embedder **ret_embedder, struct fn_error *err) {
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    fn_status status = make(embedding_size, n_threads, 1, "float32", &embedder, err);
    if (status != FN_OK) return status;
    embedder->preprocessing = preprocessing;
    embedder->images = calloc((size_t)n_threads * FN_CROP_SIZE, sizeof *embedder->images);
    if (!embedder->images) return fn_fail(err, FN_NO_MEMORY, "no memory for pictures");
    for (int i = 0; i < n_threads && status == FN_OK; i++)
        status = fn_float_run_new(net, &embedder->runs[i], err);
    if (status == FN_OK) *ret_embedder = FN_TAKE(embedder);
    return status;
}

void fn_embedder_free(struct fn_embedder *embedder) {
    if (!embedder) return;
    for (int i = 0; i < FN_MAX_THREADS; i++) {
        fn_engine_close(embedder->engines[i]);
        fn_float_run_free(embedder->runs[i]);
    }
    free(embedder->images);
    free(embedder);
}

int fn_embedder_size(const struct fn_embedder *embedder) {
    return embedder->size;
}

const char *fn_embedder_label(const struct fn_embedder *embedder) {
    return embedder->label;
}

struct job {
    struct fn_embedder *embedder;
    const uint8_t *crops;
    size_t n;
    float *embeddings;
};

static fn_status embed_batch(void *context, size_t index, int worker, struct fn_error *err) {
    const struct job *job = context;
    struct fn_embedder *embedder = job->embedder;
    size_t first = index * embedder->batch;
    size_t n = job->n - first < embedder->batch ? job->n - first : embedder->batch;
    const uint8_t *crops = job->crops + first * FN_CROP_SIZE;
    float *out = job->embeddings + first * (size_t)embedder->size;
    if (embedder->engines[worker])
        return fn_engine_run(embedder->engines[worker], crops, (int)n, out, NULL, err);
    float *image = embedder->images + (size_t)worker * FN_CROP_SIZE;
    fn_float_preprocess(embedder->preprocessing, crops, image);
    return fn_float_net_run(embedder->runs[worker], image, out, err);
}

fn_status fn_embedder_run(struct fn_embedder *embedder, const uint8_t *crops, size_t n,
                          struct fn_progress *progress, float *ret_embeddings,
                          struct fn_error *err) {
    struct job job = {.embedder = embedder, .crops = crops, .n = n};
    job.embeddings = ret_embeddings;
    size_t n_batches = (n + embedder->batch - 1) / embedder->batch;
    return fn_parallel_run(n_batches, embedder->n_workers, embed_batch, &job, progress, err);
}
