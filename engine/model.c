/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c -- open a model file: tensors to layers, then the checks. Metadata is model_metadata.c.
 */
#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/model_check.h"
#include "engine/model_detector.h"
#include "engine/model_metadata.h"
#include "engine/safetensors.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

int fn_model_shift(const struct fn_model *model, int layer, int output_channel) {
    const struct fn_layer *l = &model->network.layers[layer];
    return model->frac_bits[l->input] + model->params[layer].frac_bits[output_channel] -
           model->frac_bits[l->output];
}

int fn_model_residual_shift(const struct fn_model *model, int layer, int output_channel) {
    const struct fn_layer *l = &model->network.layers[layer];
    return model->frac_bits[l->input] + model->params[layer].frac_bits[output_channel] -
           model->frac_bits[l->residual];
}

int fn_remainder_bits(const int8_t *tensor_frac_bits, int tensor, int remainder) {
    return remainder ? tensor_frac_bits[remainder] - tensor_frac_bits[tensor] : 0;
}

int fn_model_pool_shift(const struct fn_model *model, int layer) {
    const struct fn_layer *l = &model->network.layers[layer];
    return model->frac_bits[l->input] - model->frac_bits[l->output];
}

static bool find_shape(const void *context, const char *scope, int64_t ret_shape[4]) {
    char name[FN_NAME_SIZE + 16];
    (void)snprintf(name, sizeof name, "%s/weights", scope);
    const struct fn_stored_tensor *t = fn_safetensors_find(context, name);
    if (!t || t->rank != 4) return false;
    memcpy(ret_shape, t->shape, 4 * sizeof *ret_shape);
    return true;
}

/* The tensor "<scope>/<part>", of that dtype and rank, its first size `channels`. */
static fn_status find_part(const struct fn_model *model, const char *file_name, const char *scope,
                           const char *part, enum fn_dtype dtype, int rank, int channels,
                           const struct fn_stored_tensor **ret_tensor, struct fn_error *err) {
    char name[FN_NAME_SIZE + 16];
    (void)snprintf(name, sizeof name, "%s/%s", scope, part);
    const struct fn_stored_tensor *t = fn_safetensors_find(model->file, name);
    if (!t) return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s is missing", file_name, name);
    if (t->dtype != dtype || t->rank != rank || t->shape[0] != channels)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensor %s is %s of rank %d, size %lld; expected %s of rank %d, size %d",
                       file_name, name, fn_dtype_name(t->dtype), t->rank,
                       t->rank ? (long long)t->shape[0] : 0LL, fn_dtype_name(dtype), rank,
                       channels);
    if ((uintptr_t)t->data % fn_dtype_size(dtype) != 0)
        return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s is not aligned to %zu bytes", file_name,
                       name, fn_dtype_size(dtype));
    *ret_tensor = t;
    return FN_OK;
}

static fn_status read_layer(struct fn_model *model, const char *file_name, int layer,
                            struct fn_error *err) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_stored_tensor *weights, *bias, *frac_bits;
    fn_status status = find_part(model, file_name, l->name, "weights", FN_DTYPE_I8, 4,
                                 l->out_channels, &weights, err);
    if (status == FN_OK)
        status = find_part(model, file_name, l->name, "bias", FN_DTYPE_I32, 1, l->out_channels,
                           &bias, err);
    if (status == FN_OK)
        status = find_part(model, file_name, l->name, "frac_bits", FN_DTYPE_I8, 1, l->out_channels,
                           &frac_bits, err);
    if (status == FN_OK)
        model->params[layer] = (struct fn_params){weights->data, bias->data, frac_bits->data};
    return status;
}

/* Every stored tensor belongs to the network (three a layer) or to the detector. */
static fn_status check_superfluous(const struct fn_model *model, const char *file_name,
                                   struct fn_error *err) {
    size_t own = 0, expected = 0;
    for (int i = 0; i < model->network.n_layers; i++)
        if (model->network.layers[i].op != FN_OP_POOL) expected += 3;
    for (size_t i = 0; i < fn_safetensors_count(model->file); i++)
        if (!fn_is_detector_tensor(fn_safetensors_at(model->file, i)->name)) own++;
    if (own != expected)
        return fn_fail(err, FN_BAD_MODEL, "%s: holds %zu tensors outside MTCNN/, expected %zu",
                       file_name, own, expected);
    return FN_OK;
}

static fn_status read_layers(struct fn_model *model, const char *file_name, struct fn_error *err) {
    struct fn_error why;
    const struct fn_shapes shapes = {.find = find_shape, .context = model->file};
    if (fn_network_build(&shapes, &model->network, &why) != FN_OK)
        return fn_fail(err, FN_BAD_MODEL, "%s: %s", file_name, why.text);
    fn_status status = check_superfluous(model, file_name, err);
    for (int i = 0; i < model->network.n_layers && status == FN_OK; i++)
        if (model->network.layers[i].op != FN_OP_POOL)
            status = read_layer(model, file_name, i, err);
    return status;
}

/* Takes `file` over, on failure too. */
static fn_status open_file(const char *file_name, struct fn_safetensors *file,
                           struct fn_model **ret_model, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = calloc(1, sizeof *model);
    if (!model) {
        fn_safetensors_close(file);
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory", file_name);
    }
    model->file = file;
    fn_status status = fn_model_check_format(file, file_name, err);
    if (status == FN_OK) status = read_layers(model, file_name, err);
    if (status == FN_OK) status = fn_model_read_detector(model, file_name, err);
    if (status == FN_OK) status = fn_model_read_metadata(model, file_name, err);
    if (status == FN_OK) status = fn_model_check(model, file_name, err);
    if (status == FN_OK)
        status = fn_model_compute_id(model, fn_safetensors_at(file, 0), fn_safetensors_count(file),
                                     model->id, err);
    if (status == FN_OK) *ret_model = FN_TAKE(model);
    return status;
}

fn_status fn_model_open(const char *path, struct fn_model **ret_model, struct fn_error *err) {
    struct fn_safetensors *file;
    fn_status status = fn_safetensors_open(path, &file, err);
    return status == FN_OK ? open_file(path, file, ret_model, err) : status;
}

fn_status fn_model_open_memory(const char *name, const void *bytes, size_t size,
                               struct fn_model **ret_model, struct fn_error *err) {
    struct fn_safetensors *file;
    fn_status status = fn_safetensors_open_memory(name, bytes, size, &file, err);
    return status == FN_OK ? open_file(name, file, ret_model, err) : status;
}

void fn_model_close(struct fn_model *model) {
    if (!model) return;
    fn_safetensors_close(model->file);
    free(model);
}
