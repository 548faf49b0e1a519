/* SPDX-License-Identifier: Apache-2.0
 *
 * source_safetensors.c -- float weights in a safetensors file under slim names: kernels HWIO
 * (`.../weights`), `.../biases`, and BatchNorm beside them. The metadata may say
 * `batchnorm_epsilon` (else 0.001), `residual_scale` ("separate...", the default, or "folded"),
 * `layout` ("HWIO") and `preprocessing`. */
#include <math.h>
#include <string.h>

#include "engine/file.h"
#include "engine/preprocess.h"
#include "engine/sha256.h"
#include "model/sources/source.h"

#define MAX_FILE_SIZE ((size_t)2 << 30)

static const struct {
    const char *suffix;
    enum fn_part part;
} suffixes[] = {
    {"/weights", FN_PART_KERNEL},
    {"/biases", FN_PART_BIAS},
    {"/BatchNorm/gamma", FN_PART_GAMMA},
    {"/BatchNorm/beta", FN_PART_BETA},
    {"/BatchNorm/moving_mean", FN_PART_MEAN},
    {"/BatchNorm/moving_variance", FN_PART_VARIANCE},
};

static void name_part(const char *scope, enum fn_part part, char *ret_name, size_t size) {
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (suffixes[i].part == part)
            (void)snprintf(ret_name, size, "%s%s", scope, suffixes[i].suffix);
}

/* A view with axes [oc][kh][kw][ic] of a tensor stored [kh][kw][ic][oc], [ic][oc] or [n]. */
static bool view(const struct fn_stored_tensor *tensor, enum fn_part part,
                 struct fn_source_array *ret) {
    static const int kernel[4] = {3, 0, 1, 2}, matrix[4] = {1, -1, -1, 0},
                     vector[4] = {0, -1, -1, -1};
    const int *axes = part != FN_PART_KERNEL ? vector : tensor->rank == 2 ? matrix : kernel;
    int rank = part != FN_PART_KERNEL ? 1 : tensor->rank == 2 ? 2 : 4;
    if (tensor->rank != rank) return false;
    int64_t stride[4] = {0};
    for (int axis = rank - 1, step_set = 0; axis >= 0; axis--, step_set = 1)
        stride[axis] = step_set ? stride[axis + 1] * tensor->shape[axis + 1] : 1;
    for (int k = 0; k < 4; k++) {
        ret->shape[k] = axes[k] < 0 ? 1 : tensor->shape[axes[k]];
        ret->stride[k] = axes[k] < 0 ? 0 : stride[axes[k]];
    }
    ret->data = tensor->data;
    ret->dtype = tensor->dtype;
    (void)snprintf(ret->origin, sizeof ret->origin, "%s", tensor->name);
    return true;
}

static fn_status add_tensor(struct fn_source *source, const struct fn_stored_tensor *tensor,
                            struct fn_error *err) {
    size_t length = strlen(tensor->name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t end = strlen(suffixes[i].suffix);
        if (length <= end || strcmp(tensor->name + length - end, suffixes[i].suffix) != 0) continue;
        if (strncmp(tensor->name, FN_ROOT "/", sizeof FN_ROOT) != 0) break;
        if (length - end >= FN_NAME_SIZE) break;
        char scope[FN_NAME_SIZE];
        memcpy(scope, tensor->name, length - end);
        scope[length - end] = '\0';
        struct fn_source_array array = {0};
        if (!view(tensor, suffixes[i].part, &array))
            return fn_fail(err, FN_BAD_SOURCE, "%s: %s: %d dimensions; expected %s", source->path,
                           tensor->name, tensor->rank,
                           suffixes[i].part == FN_PART_KERNEL ? "4 (HWIO), or 2 for a matrix"
                                                              : "1");
        return fn_source_add(source, scope, suffixes[i].part, &array, err);
    }
    return fn_source_skip(source, tensor->name, err);
}

static fn_status read_properties(struct fn_source *source, const struct fn_safetensors *file,
                                 struct fn_error *err) {
    const char *layout = fn_safetensors_metadata(file, "layout");
    if (layout && strcmp(layout, "HWIO") != 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: layout '%s'; expected HWIO", source->path, layout);
    const char *epsilon = fn_safetensors_metadata(file, "batchnorm_epsilon");
    if (epsilon) {
        char *end;
        double value = strtod(epsilon, &end);
        if (end == epsilon || *end || !isfinite(value) || value < 0)
            return fn_fail(err, FN_BAD_SOURCE,
                           "%s: batchnorm_epsilon '%s'; expected a number from 0 on", source->path,
                           epsilon);
        source->batchnorm_epsilon = value;
    }
    const char *scale = fn_safetensors_metadata(file, "residual_scale");
    if (scale && strncmp(scale, "separate", 8) != 0 && strcmp(scale, "folded") != 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: residual_scale '%s'; expected separate or folded",
                       source->path, scale);
    source->residual_scale_folded = scale && strcmp(scale, "folded") == 0;
    const char *preprocessing = fn_safetensors_metadata(file, "preprocessing");
    if (!preprocessing) return FN_OK;
    for (int p = FN_PREPROCESSING_FIXED; p <= FN_PREPROCESSING_PER_IMAGE; p++)
        if (strcmp(preprocessing, fn_preprocessing_name((enum fn_preprocessing)p)) == 0) {
            source->preprocessing = (enum fn_preprocessing)p;
            source->preprocessing_known = true;
            return FN_OK;
        }
    return fn_fail(err, FN_BAD_SOURCE, "%s: preprocessing '%s'; expected fixed or per-image",
                   source->path, preprocessing);
}

static void close_file(void *file) {
    fn_safetensors_close(file);
}

static fn_status read_tensors(const char *path, struct fn_source *source, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    fn_sha256_hex(bytes, size, source->sha256);
    struct fn_safetensors *file = NULL;
    struct fn_error inner = {0};
    status = fn_safetensors_open_memory(path, bytes, size, &file, &inner);
    if (status == FN_BAD_MODEL) status = FN_BAD_SOURCE;
    if (status != FN_OK) return fn_fail(err, status, "%s", inner.text);
    status = fn_source_own(source, file, close_file, err);
    if (status == FN_OK) status = read_properties(source, file, err);
    for (size_t i = 0; i < fn_safetensors_count(file) && status == FN_OK; i++)
        status = add_tensor(source, fn_safetensors_at(file, i), err);
    return status;
}

/* A JSON object's '{' after the 8-byte length; what follows is checked by the reader. */
static bool recognise(const char *path) {
    FN_CLEANUP(fclose) FILE *file = fopen(path, "rbe");
    char head[9];
    return file && fread(head, sizeof head, 1, file) == 1 && head[8] == '{';
}

const struct fn_source_reader fn_source_safetensors = {
    .format = "safetensors",
    .about = "a safetensors file of float weights under slim names",
    .recognise = recognise,
    .read = read_tensors,
    .name_part = name_part,
};
