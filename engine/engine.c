/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.c -- everything a back end does not do: choosing one, preprocessing, the head's floating
 * point, the self-test. One engine serves one thread at a time; the model is shared freely. Batches
 * in flight stand in a ring of slots. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "engine/backend.h"
#include "engine/cleanup.h"
#include "engine/golden.h"
#include "engine/head.h"
#include "engine/preprocess.h"

#define DEFAULT_MAX_BATCH 16

struct fn_engine {
    const struct fn_backend *backend;
    void *state;                  /* the back end's, owned */
    const struct fn_model *model; /* borrowed */
    int max_batch;
    bool keep_tensors;
    int last_n;              /* pictures of the last run */
    int first, n_flying;     /* the slot of the oldest batch in flight, and how many there are */
    int sizes[FN_MAX_SLOTS]; /* pictures of the batch in each slot */
    size_t input_size;       /* bytes of tensor 0 for one picture */
    int8_t *input;           /* owned: [max_batch][input_size] */
    int32_t *accumulators;   /* owned: [max_batch][embedding_size] */
};

FN_DEFINE_CLEANUP(struct fn_engine *, fn_engine_close)

fn_status fn_engine_open(const struct fn_model *model, const struct fn_engine_options *options,
                         struct fn_engine **ret_engine, struct fn_error *err) {
    struct fn_engine_options chosen = *options;
    if (!chosen.device) chosen.device = "auto";
    if (chosen.max_batch == 0) chosen.max_batch = DEFAULT_MAX_BATCH;
    if (chosen.max_batch < 1 || chosen.max_batch > FN_MAX_BATCH)
        return fn_fail(err, FN_USAGE, "max_batch is %d, expected 1...%d", chosen.max_batch,
                       FN_MAX_BATCH);
    /* Tensors and times are those of the one batch that runs. */
    if (chosen.slots == 0 || chosen.keep_tensors || chosen.profile) chosen.slots = 1;
    if (chosen.slots < 1 || chosen.slots > FN_MAX_SLOTS)
        return fn_fail(err, FN_USAGE, "slots is %d, expected 1...%d", chosen.slots, FN_MAX_SLOTS);
    FN_CLEANUP(fn_engine_close) struct fn_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return fn_fail(err, FN_NO_MEMORY, "no memory for an engine");
    engine->backend =
        strcmp(chosen.device, "reference") == 0 ? &fn_backend_reference : &fn_backend_opencl;
    engine->model = model;
    engine->max_batch = chosen.max_batch;
    engine->keep_tensors = chosen.keep_tensors;
    engine->input_size = fn_tensor_size(&model->network.tensors[0]);
    size_t batch = (size_t)chosen.max_batch;
    engine->input = malloc(batch * engine->input_size);
    engine->accumulators =
        calloc(batch, ((size_t)model->network.embedding_size + 1) * sizeof *engine->accumulators);
    if (!engine->input || !engine->accumulators)
        return fn_fail(err, FN_NO_MEMORY, "no memory for a batch of %d", chosen.max_batch);
    fn_status status = engine->backend->open(model, &chosen, &engine->state, err);
    if (status != FN_OK) return status;
    *ret_engine = FN_TAKE(engine);
    return FN_OK;
}

void fn_engine_close(struct fn_engine *engine) {
    if (!engine) return;
    if (engine->state) engine->backend->close(engine->state);
    free(engine->input);
    free(engine->accumulators);
    free(engine);
}

static fn_status check_batch(const struct fn_engine *engine, int n, struct fn_error *err) {
    if (n >= 1 && n <= engine->max_batch) return FN_OK;
    return fn_fail(err, FN_USAGE, "a batch of %d pictures, expected 1...%d", n, engine->max_batch);
}

int fn_engine_slots(const struct fn_engine *engine) {
    return engine->backend->slots(engine->state);
}

static fn_status submit_tensors(struct fn_engine *engine, const int8_t *input, int n,
                                struct fn_error *err) {
    int slots = fn_engine_slots(engine);
    if (engine->n_flying >= slots)
        return fn_fail(err, FN_USAGE, "%d batches are in flight, expected fewer than %d",
                       engine->n_flying, slots);
    int slot = (engine->first + engine->n_flying) % slots;
    fn_status status = engine->backend->submit(engine->state, slot, input, n, err);
    if (status != FN_OK) return status;
    engine->sizes[slot] = n;
    engine->n_flying++;
    return FN_OK;
}

static fn_status collect_tensors(struct fn_engine *engine, int32_t *ret_accumulators,
                                 struct fn_error *err) {
    if (engine->n_flying == 0) return fn_fail(err, FN_USAGE, "no batch is in flight");
    int slot = engine->first, n = engine->sizes[slot];
    fn_status status = engine->backend->collect(engine->state, slot, n, ret_accumulators, err);
    engine->first = (slot + 1) % fn_engine_slots(engine);
    engine->n_flying--;
    engine->last_n = status == FN_OK ? n : 0;
    return status;
}

fn_status fn_engine_run_tensors(struct fn_engine *engine, const int8_t *input, int n,
                                int32_t *ret_accumulators, struct fn_error *err) {
    fn_status status = check_batch(engine, n, err);
    if (status == FN_OK && engine->n_flying > 0)
        status = fn_fail(err, FN_USAGE, "a batch is in flight, expected none");
    if (status == FN_OK) status = submit_tensors(engine, input, n, err);
    return status == FN_OK ? collect_tensors(engine, ret_accumulators, err) : status;
}

fn_status fn_engine_submit(struct fn_engine *engine, const uint8_t *crops, int n,
                           struct fn_error *err) {
    fn_status status = check_batch(engine, n, err);
    if (status != FN_OK) return status;
    if (engine->input_size != FN_CROP_SIZE)
        return fn_fail(err, FN_USAGE, "the network's input is not a crop of %d bytes",
                       FN_CROP_SIZE);
    for (size_t i = 0; i < (size_t)n; i++)
        fn_preprocess(engine->model->preprocessing, crops + i * FN_CROP_SIZE, FN_CROP_SIZE,
                      engine->input + i * FN_CROP_SIZE);
    return submit_tensors(engine, engine->input, n, err);
}

fn_status fn_engine_collect(struct fn_engine *engine, float *ret_embeddings,
                            int32_t *ret_accumulators, struct fn_error *err) {
    size_t size = (size_t)engine->model->network.embedding_size;
    fn_status status = collect_tensors(engine, engine->accumulators, err);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < (size_t)engine->last_n; i++) {
        fn_status own = fn_head_embed(engine->model, engine->accumulators + i * size,
                                      ret_embeddings + i * size, err);
        if (own == FN_OK) continue;
        memset(ret_embeddings + i * size, 0, size * sizeof *ret_embeddings);
        status = own;
    }
    if (ret_accumulators)
        memcpy(ret_accumulators, engine->accumulators,
               (size_t)engine->last_n * size * sizeof(int32_t));
    return status;
}

fn_status fn_engine_run(struct fn_engine *engine, const uint8_t *crops, int n,
                        float *ret_embeddings, int32_t *ret_accumulators, struct fn_error *err) {
    if (engine->n_flying > 0) return fn_fail(err, FN_USAGE, "a batch is in flight, expected none");
    fn_status status = fn_engine_submit(engine, crops, n, err);
    return status == FN_OK ? fn_engine_collect(engine, ret_embeddings, ret_accumulators, err)
                           : status;
}

fn_status fn_engine_read_tensor(struct fn_engine *engine, int tensor, int picture,
                                int8_t *ret_values, struct fn_error *err) {
    if (!engine->keep_tensors)
        return fn_fail(err, FN_USAGE, "the engine was opened without keep_tensors");
    if (tensor < 0 || tensor >= engine->model->network.n_tensors || picture < 0 ||
        picture >= engine->last_n)
        return fn_fail(err, FN_USAGE, "no tensor %d of picture %d in the last run", tensor,
                       picture);
    return engine->backend->read_tensor(engine->state, tensor, picture, ret_values, err);
}

/* Compare one picture's answer with the digests of the model file. */
static fn_status check_golden(const struct fn_engine *engine, const int32_t *accumulators,
                              const float *embedding, int n, struct fn_error *err) {
    const struct fn_model *model = engine->model;
    char found[FN_DIGEST_SIZE];
    fn_golden_digest_accumulators(accumulators, model->network.embedding_size, found);
    if (strcmp(found, model->golden_accumulators) != 0)
        return fn_fail(err, FN_DEVICE_FAILED,
                       "self-test at batch size %d: accumulators have sha256 %.16s..., expected "
                       "%.16s... by the model file",
                       n, found, model->golden_accumulators);
    fn_golden_digest_embedding(embedding, model->network.embedding_size, found);
    if (strcmp(found, model->golden_embedding) != 0)
        return fn_fail(err, FN_DEVICE_FAILED,
                       "self-test at batch size %d: embedding has sha256 %.16s..., expected "
                       "%.16s... by the model file",
                       n, found, model->golden_embedding);
    return FN_OK;
}

/* The golden picture stands last in the batch, different pictures before it. */
fn_status fn_engine_self_test_at(struct fn_engine *engine, int n, struct fn_error *err) {
    fn_status checked = check_batch(engine, n, err);
    if (checked != FN_OK) return checked;
    size_t size = (size_t)engine->model->network.embedding_size, last = (size_t)n - 1;
    FN_CLEANUP_FREE uint8_t *crops = malloc((size_t)n * FN_CROP_SIZE);
    FN_CLEANUP_FREE float *embeddings = calloc((size_t)n * size, sizeof *embeddings);
    FN_CLEANUP_FREE int32_t *accumulators = calloc((size_t)n * size, sizeof *accumulators);
    if (!crops || !embeddings || !accumulators)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the self-test");
    for (size_t i = 0; i < (size_t)n; i++)
        fn_golden_picture(engine->model->golden_seed + (last - i), crops + i * FN_CROP_SIZE);
    fn_status status = fn_engine_run(engine, crops, n, embeddings, accumulators, err);
    return status == FN_OK
               ? check_golden(engine, accumulators + last * size, embeddings + last * size, n, err)
               : status;
}

fn_status fn_engine_self_test(struct fn_engine *engine, struct fn_error *err) {
    fn_status status = fn_engine_self_test_at(engine, 1, err);
    if (status == FN_OK && engine->max_batch > 1)
        status = fn_engine_self_test_at(engine, engine->max_batch, err);
    return status;
}

void fn_engine_describe(const struct fn_engine *engine, struct fn_engine_description *ret) {
    engine->backend->describe(engine->state, ret);
}

const double *fn_engine_profile(const struct fn_engine *engine) {
    return engine->backend->profile ? engine->backend->profile(engine->state) : NULL;
}

const struct fn_model *fn_engine_model(const struct fn_engine *engine) {
    return engine->model;
}
