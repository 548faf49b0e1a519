/* SPDX-License-Identifier: Apache-2.0
 *
 * model_detector.c -- the detector's part of a model file, for reading and for writing. */
#include "engine/model_detector.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum part { WEIGHTS, BIAS, ALPHA, PARTS };

static const char *const part_names[PARTS] = {"weights", "bias", "alpha"};

bool fn_is_detector_tensor(const char *name) {
    return strncmp(name, FN_MTCNN_PREFIX, strlen(FN_MTCNN_PREFIX)) == 0;
}

/* What a part of a layer must be. False: the layer has no such part. */
static bool describe(const struct fn_mtcnn_layer *layer, enum part part, char *ret_name,
                     struct fn_stored_tensor *ret_tensor) {
    if (part == ALPHA && !layer->prelu) return false;
    (void)snprintf(ret_name, FN_NAME_SIZE, "%s%s/%s", FN_MTCNN_PREFIX, layer->name,
                   part_names[part]);
    *ret_tensor = (struct fn_stored_tensor){.name = ret_name,
                                            .dtype = FN_DTYPE_F32,
                                            .rank = 1,
                                            .shape = {layer->out_channels},
                                            .size = (size_t)layer->out_channels * sizeof(float)};
    if (part == WEIGHTS) {
        ret_tensor->rank = 4;
        ret_tensor->shape[1] = layer->kernel_h;
        ret_tensor->shape[2] = layer->kernel_w;
        ret_tensor->shape[3] = layer->in_channels;
        ret_tensor->size = fn_mtcnn_kernel_count(layer) * sizeof(float);
    }
    return true;
}

static const float **part_of(struct fn_mtcnn_params *params, enum part part) {
    return part == WEIGHTS ? &params->weights : part == BIAS ? &params->bias : &params->alpha;
}

static bool same_shape(const struct fn_stored_tensor *a, const struct fn_stored_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

static fn_status read_part(const struct fn_model *model, const char *file_name,
                           const struct fn_stored_tensor *expected, const float **ret_values,
                           struct fn_error *err) {
    const struct fn_stored_tensor *found = fn_safetensors_find(model->file, expected->name);
    if (!found)
        return fn_fail(err, FN_BAD_MODEL, "%s: has a detector, but tensor %s is missing", file_name,
                       expected->name);
    if (!same_shape(found, expected) || (uintptr_t)found->data % sizeof(float) != 0)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensor %s is %s of rank %d and %zu bytes; expected %s of rank %d and "
                       "%zu bytes, aligned",
                       file_name, found->name, fn_dtype_name(found->dtype), found->rank,
                       found->size, fn_dtype_name(expected->dtype), expected->rank, expected->size);
    const float *values = found->data;
    for (size_t i = 0; i < found->size / sizeof *values; i++)
        if (!isfinite(values[i]))
            return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s: number %zu is not finite", file_name,
                           found->name, i);
    *ret_values = values;
    return FN_OK;
}

fn_status fn_model_read_detector(struct fn_model *model, const char *file_name,
                                 struct fn_error *err) {
    size_t found = 0, expected = 0;
    for (size_t i = 0; i < fn_safetensors_count(model->file); i++)
        if (fn_is_detector_tensor(fn_safetensors_at(model->file, i)->name)) found++;
    if (found == 0) return FN_OK;
    struct fn_mtcnn_weights detector = {0};
    for (int i = 0; i < FN_MTCNN_LAYERS; i++)
        for (enum part part = WEIGHTS; part < PARTS; part++) {
            char name[FN_NAME_SIZE];
            struct fn_stored_tensor tensor;
            if (!describe(&fn_mtcnn_layers[i], part, name, &tensor)) continue;
            expected++;
            fn_status status =
                read_part(model, file_name, &tensor, part_of(&detector.layers[i], part), err);
            if (status != FN_OK) return status;
        }
    if (found != expected)
        return fn_fail(err, FN_BAD_MODEL, "%s: holds %zu tensors under MTCNN/, expected %zu",
                       file_name, found, expected);
    model->has_detector = true;
    model->detector = detector;
    return FN_OK;
}

size_t fn_model_list_detector(const struct fn_mtcnn_weights *detector,
                              struct fn_stored_tensor ret_tensors[FN_MTCNN_MAX_TENSORS],
                              char ret_names[FN_MTCNN_MAX_TENSORS][FN_NAME_SIZE]) {
    size_t n = 0;
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) {
        struct fn_mtcnn_params params = detector->layers[i];
        for (enum part part = WEIGHTS; part < PARTS; part++) {
            if (!describe(&fn_mtcnn_layers[i], part, ret_names[n], &ret_tensors[n])) continue;
            ret_tensors[n++].data = *part_of(&params, part);
        }
    }
    return n;
}
