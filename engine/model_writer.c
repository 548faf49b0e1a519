/* SPDX-License-Identifier: Apache-2.0
 *
 * model_writer.c -- a draft to a file: check, golden digests, metadata, bytes. */
#include "engine/model_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/engine.h"
#include "engine/golden.h"
#include "engine/model_check.h"
#include "engine/model_detector.h"
#include "engine/model_metadata.h"
#include "engine/safetensors.h"

FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)
FN_DEFINE_CLEANUP(struct fn_engine *, fn_engine_close)

static size_t n_weights(const struct fn_layer *layer) {
    return (size_t)layer->out_channels * fn_layer_kernel_size(layer);
}

fn_status fn_model_draft_new(const struct fn_network *network, struct fn_model_draft **ret_draft,
                             struct fn_error *err) {
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = calloc(1, sizeof *draft);
    if (!draft) return fn_fail(err, FN_NO_MEMORY, "no memory for a model");
    draft->network = *network;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t channels = (size_t)layer->out_channels;
        draft->params[i].weights = calloc(n_weights(layer), 1);
        draft->params[i].bias = calloc(channels, sizeof(int32_t));
        draft->params[i].frac_bits = calloc(channels, 1);
        if (!draft->params[i].weights || !draft->params[i].bias || !draft->params[i].frac_bits)
            return fn_fail(err, FN_NO_MEMORY, "no memory for the weights of %s", layer->name);
    }
    *ret_draft = FN_TAKE(draft);
    return FN_OK;
}

void fn_model_draft_free(struct fn_model_draft *draft) {
    if (!draft) return;
    for (int i = 0; i < FN_MAX_LAYERS; i++) {
        free(draft->params[i].weights);
        free(draft->params[i].bias);
        free(draft->params[i].frac_bits);
    }
    free(draft->channel_scales);
    free(draft->detector_values);
    free(draft);
}

fn_status fn_model_draft_add_detector(struct fn_model_draft *draft, struct fn_error *err) {
    size_t count = 0;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++)
        count += fn_mtcnn_kernel_count(&fn_mtcnn_layers[i]) +
                 2 * (size_t)fn_mtcnn_layers[i].out_channels;
    float *values = calloc(count, sizeof *values);
    if (!values) return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's weights");
    free(draft->detector_values);
    draft->detector_values = values;
    draft->has_detector = true;
    (void)snprintf(draft->detector_name, sizeof draft->detector_name, FN_DETECTOR_PUBLISHED);
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[i];
        struct fn_mtcnn_params *params = &draft->detector.layers[i];
        params->weights = values;
        params->bias = values += fn_mtcnn_kernel_count(layer);
        values += layer->out_channels;
        params->alpha = layer->prelu ? values : NULL;
        if (layer->prelu) values += layer->out_channels;
    }
    return FN_OK;
}

static struct fn_params draft_params(const struct fn_model_draft *draft, int layer) {
    return (struct fn_params){draft->params[layer].weights, draft->params[layer].bias,
                              draft->params[layer].frac_bits};
}

bool fn_model_draft_channel_fits(const struct fn_model_draft *draft, int layer, int oc) {
    struct fn_channel channel;
    struct fn_params params = draft_params(draft, layer);
    fn_channel_describe(&draft->network, draft->frac_bits, &params, layer, oc, &channel);
    return fn_channel_fits(&channel);
}

fn_status fn_model_draft_view(const struct fn_model_draft *draft, struct fn_model **ret_model,
                              struct fn_error *err) {
    struct fn_model *model = calloc(1, sizeof *model);
    if (!model) return fn_fail(err, FN_NO_MEMORY, "no memory for a model");
    model->network = draft->network;
    for (int i = 0; i < draft->network.n_layers; i++) model->params[i] = draft_params(draft, i);
    memcpy(model->frac_bits, draft->frac_bits, sizeof model->frac_bits);
    model->preprocessing = draft->preprocessing;
    model->untrained = draft->untrained;
    model->golden_seed = FN_GOLDEN_SEED;
    model->has_detector = draft->has_detector;
    model->detector = draft->detector;
    *ret_model = model;
    return FN_OK;
}

/* What the reference engine makes of the golden picture, as digests in `model`. */
static fn_status run_golden(struct fn_model *model, struct fn_error *err) {
    const struct fn_engine_options options = {.device = "reference", .max_batch = 1};
    FN_CLEANUP(fn_engine_close) struct fn_engine *engine = NULL;
    size_t size = (size_t)model->network.embedding_size;
    FN_CLEANUP_FREE uint8_t *crop = malloc(FN_CROP_SIZE);
    FN_CLEANUP_FREE float *embedding = calloc(size, sizeof *embedding);
    FN_CLEANUP_FREE int32_t *accumulators = calloc(size, sizeof *accumulators);
    if (!crop || !embedding || !accumulators)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the golden picture");
    fn_status status = fn_engine_open(model, &options, &engine, err);
    if (status != FN_OK) return status;
    fn_golden_picture(model->golden_seed, crop);
    status = fn_engine_run(engine, crop, 1, embedding, accumulators, err);
    if (status != FN_OK) return status;
    fn_golden_digest_accumulators(accumulators, (int)size, model->golden_accumulators);
    fn_golden_digest_embedding(embedding, (int)size, model->golden_embedding);
    return FN_OK;
}

/* Tensors to store, with the names they point to. */
struct stored {
    size_t n;
    struct fn_stored_tensor tensors[3 * FN_MAX_LAYERS + FN_MTCNN_MAX_TENSORS];
    char names[3 * FN_MAX_LAYERS][FN_NAME_SIZE + 16];
    char detector_names[FN_MTCNN_MAX_TENSORS][FN_NAME_SIZE];
};

static void store(struct stored *stored, const char *scope, const char *part,
                  struct fn_stored_tensor tensor) {
    size_t size = fn_dtype_size(tensor.dtype);
    for (int i = 0; i < tensor.rank; i++) size *= (size_t)tensor.shape[i];
    (void)snprintf(stored->names[stored->n], sizeof stored->names[0], "%s/%s", scope, part);
    tensor.name = stored->names[stored->n];
    tensor.size = size;
    stored->tensors[stored->n++] = tensor;
}

static void store_layers(struct stored *stored, const struct fn_model_draft *draft) {
    for (int i = 0; i < draft->network.n_layers; i++) {
        const struct fn_layer *l = &draft->network.layers[i];
        if (l->op == FN_OP_POOL) continue;
        store(stored, l->name, "weights",
              (struct fn_stored_tensor){
                  .dtype = FN_DTYPE_I8,
                  .rank = 4,
                  .shape = {l->out_channels, l->kernel_h, l->kernel_w, l->in_channels},
                  .data = draft->params[i].weights});
        store(stored, l->name, "bias",
              (struct fn_stored_tensor){.dtype = FN_DTYPE_I32,
                                        .rank = 1,
                                        .shape = {l->out_channels},
                                        .data = draft->params[i].bias});
        store(stored, l->name, "frac_bits",
              (struct fn_stored_tensor){.dtype = FN_DTYPE_I8,
                                        .rank = 1,
                                        .shape = {l->out_channels},
                                        .data = draft->params[i].frac_bits});
    }
}

fn_status fn_model_write(const struct fn_model_draft *draft, const char *path,
                         struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_model *model = NULL;
    FN_CLEANUP_FREE struct stored *stored = calloc(1, sizeof *stored);
    if (!stored) return fn_fail(err, FN_NO_MEMORY, "no memory to write %s", path);
    fn_status status = fn_model_draft_view(draft, &model, err);
    if (status == FN_OK) status = fn_model_check(model, path, err);
    if (status == FN_OK) status = run_golden(model, err);
    if (status != FN_OK) return status;
    char digest[FN_DIGEST_SIZE];
    struct fn_metadata_texts texts;
    store_layers(stored, draft);
    if (draft->has_detector)
        stored->n += fn_model_list_detector(&draft->detector, stored->tensors + stored->n,
                                            stored->detector_names);
    status = fn_safetensors_data_digest(stored->tensors, stored->n, digest, err);
    if (status == FN_OK) status = fn_model_make_metadata(draft, model, digest, &texts, err);
    if (status != FN_OK) return status;
    status = fn_safetensors_write(path, stored->tensors, stored->n, texts.items, texts.n, err);
    fn_metadata_texts_done(&texts);
    return status;
}

/* The file's tensors, with the detector exchanged. */
static void store_changed(struct stored *stored, const struct fn_model *model,
                          const struct fn_mtcnn_weights *detector) {
    for (size_t i = 0; i < fn_safetensors_count(model->file); i++) {
        const struct fn_stored_tensor *tensor = fn_safetensors_at(model->file, i);
        if (!fn_is_detector_tensor(tensor->name)) stored->tensors[stored->n++] = *tensor;
    }
    stored->n +=
        fn_model_list_detector(detector, stored->tensors + stored->n, stored->detector_names);
}

fn_status fn_model_write_changed(const struct fn_model *model,
                                 const struct fn_model_changes *changes, const char *path,
                                 struct fn_error *err) {
    FN_CLEANUP_FREE struct stored *stored = NULL;
    if (!model->file) return fn_fail(err, FN_USAGE, "%s: the model is not of a file", path);
    const struct fn_stored_tensor *tensors = fn_safetensors_at(model->file, 0);
    size_t n = fn_safetensors_count(model->file);
    char digest[FN_DIGEST_SIZE];
    struct fn_metadata_texts texts;
    fn_status status = FN_OK;
    if (changes->detector) {
        stored = calloc(1, sizeof *stored);
        if (!stored) return fn_fail(err, FN_NO_MEMORY, "no memory to write %s", path);
        store_changed(stored, model, changes->detector);
        tensors = stored->tensors;
        n = stored->n;
        status = fn_safetensors_data_digest(tensors, n, digest, err);
    }
    if (status == FN_OK)
        status =
            fn_model_copy_metadata(model, changes, changes->detector ? digest : NULL, &texts, err);
    if (status != FN_OK) return status;
    status = fn_safetensors_write(path, tensors, n, texts.items, texts.n, err);
    fn_metadata_texts_done(&texts);
    return status;
}
