/* SPDX-License-Identifier: Apache-2.0
 *
 * source_safetensors.c -- float weights in a safetensors file, under slim names (`.../weights`
 * HWIO,
 * `.../biases`, and BatchNorm beside them) or under those of a PyTorch state dict (OIHW). The
 * metadata may say `batchnorm_epsilon` (else 0.001), `residual_scale` ("separate...", the default,
 * or "folded"), `layout` ("HWIO", of slim names) and `preprocessing`. */
#include <math.h>
#include <string.h>

#include "engine/file.h"
#include "engine/preprocess.h"
#include "engine/sha256.h"
#include "model/sources/naming.h"
#include "model/sources/tensor.h"

/* PyTorch's BatchNorm counts its batches: of no use to anyone who does not train. */
static bool is_counter(const char *name) {
    static const char counter[] = ".num_batches_tracked";
    size_t length = strlen(name), end = strlen(counter);
    return length > end && strcmp(name + length - end, counter) == 0;
}

static fn_status add_tensor(struct fn_source *source, const struct fn_stored_tensor *stored,
                            struct fn_error *err) {
    char scope[FN_NAME_SIZE];
    enum fn_part part;
    enum fn_layout layout = FN_LAYOUT_HWIO;
    if (!fn_naming_slim(stored->name, scope, &part)) {
        layout = FN_LAYOUT_OIHW;
        if (is_counter(stored->name)) return FN_OK;
        if (!fn_naming_torch(stored->name, scope, &part))
            return fn_source_skip(source, stored->name, err);
    }
    struct fn_raw_tensor tensor = {
        .name = stored->name, .dtype = stored->dtype, .rank = stored->rank, .data = stored->data};
    int64_t count;
    memcpy(tensor.shape, stored->shape, sizeof tensor.shape);
    if (!fn_tensor_pack(&tensor, &count))
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s: more numbers than fit any file", source->path,
                       stored->name);
    return fn_tensor_add(source, scope, part, layout, &tensor, err);
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
    fn_status status = fn_source_read_file(source, path, &bytes, &size, err);
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
    if (status == FN_OK && source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a safetensors file, but no tensor in it has a name of FaceNet, such as "
                       "InceptionResnetV1/Conv2d_1a_3x3/weights or conv2d_1a.conv.weight",
                       path);
    return status;
}

/* A JSON object's '{' after the 8-byte length; what follows is checked by the reader. */
static bool recognise(const char *path) {
    char head[9];
    return fn_source_peek(path, head, sizeof head) && head[8] == '{';
}

const struct fn_source_reader fn_source_safetensors = {
    .format = "safetensors",
    .about = "a safetensors file of float weights",
    .recognise = recognise,
    .read = read_tensors,
    .name_part = fn_naming_slim_part,
};
