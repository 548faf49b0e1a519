/* SPDX-License-Identifier: Apache-2.0
 *
 * detector_source.c -- see detector_source.h. An array is asked for by net, group ("conv4-1") and
 * part ("weights"); where it lies is the business of find_array(). */
#include "model/sources/detector_source.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "model/sources/detector_torch.h"
#include "model/sources/npy_pickle.h"

#define MAX_FILE_SIZE ((size_t)16 << 20)
#define PATH_SIZE     4096

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static const char *const nets[FN_MTCNN_NETS] = {"pnet", "rnet", "onet"};

/* One net's file, or its folder. */
struct origin {
    const char *dir;
    enum fn_mtcnn_net net;
    struct fn_npy_pickle *pickle; /* of det1.npy; NULL for the others; owned */
    uint8_t *bytes;               /* of the file, owned; NULL: a folder of arrays */
    size_t size;
    char path[PATH_SIZE]; /* of what was read last, for messages */
};

static void origin_done(struct origin *origin) {
    fn_npy_pickle_close(origin->pickle);
    free(origin->bytes);
}

/* An array and the bytes it lies in, which the caller frees (NULL: they are the origin's). */
struct found {
    struct fn_npy npy;
    uint8_t *bytes;
};

static fn_status FN_PRINTF(3, 4)
    set_path(struct origin *origin, struct fn_error *err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(origin->path, sizeof origin->path, format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n < sizeof origin->path) return FN_OK;
    return fn_fail(err, FN_IO, "%.200s: the path is too long", origin->dir);
}

/* The detector is float32 from end to end: other numbers would have to be rounded, unseen. */
static fn_status check_dtype(const struct origin *origin, const char *group, const char *part,
                             const struct fn_npy *npy, struct fn_error *err) {
    if (npy->dtype == FN_DTYPE_F32) return FN_OK;
    return fn_fail(err, FN_BAD_SOURCE, "%s: %s %s are %s, expected F32", origin->path, group, part,
                   fn_dtype_name(npy->dtype));
}

static float element(const struct fn_npy *npy, int64_t index) {
    float value;
    memcpy(&value, (const char *)npy->data + (size_t)index * sizeof value, sizeof value);
    return value;
}

/* Part "weights", "biases" or "alpha" of a layer; `group` is what the published .npy call it. */
static fn_status find_array(struct origin *origin, int index, const char *group, const char *part,
                            struct found *ret_found, struct fn_error *err) {
    *ret_found = (struct found){0};
    if (origin->bytes && !origin->pickle) {
        fn_status status = fn_detector_torch_find(origin->path, origin->bytes, origin->size, index,
                                                  part, &ret_found->npy, err);
        return status == FN_OK ? check_dtype(origin, group, part, &ret_found->npy, err) : status;
    }
    if (origin->pickle) {
        if (!fn_npy_pickle_find(origin->pickle, group, part, &ret_found->npy))
            return fn_fail(err, FN_BAD_SOURCE, "%s: has no array of floats [%s][%s]", origin->path,
                           group, part);
        return check_dtype(origin, group, part, &ret_found->npy, err);
    }
    size_t size;
    fn_status status =
        set_path(origin, err, "%s/%s/%s_%s.npy", origin->dir, nets[origin->net], group, part);
    if (status == FN_OK)
        status = fn_file_read(origin->path, MAX_FILE_SIZE, &ret_found->bytes, &size, err);
    if (status == FN_OK)
        status = fn_npy_parse(origin->path, ret_found->bytes, size, &ret_found->npy, err);
    return status == FN_OK ? check_dtype(origin, group, part, &ret_found->npy, err) : status;
}

/* ---- from published order to ours ----------------------------------------------------------- */

/* Sizes as stored: kernels [kernel_w][kernel_h][in][out], or the first three as one. */
static bool fits_kernel(const struct fn_npy *npy, const struct fn_mtcnn_layer *layer) {
    int64_t x = layer->kernel_w, y = layer->kernel_h, in = layer->in_channels;
    if (npy->rank == 4)
        return npy->shape[0] == x && npy->shape[1] == y && npy->shape[2] == in &&
               npy->shape[3] == layer->out_channels;
    return npy->rank == 2 && npy->shape[0] == x * y * in && npy->shape[1] == layer->out_channels;
}

static int64_t kernel_offset(const struct fn_npy *npy, const struct fn_mtcnn_layer *layer, int x,
                             int y, int in, int out) {
    if (npy->rank == 4)
        return x * npy->stride[0] + y * npy->stride[1] + in * npy->stride[2] + out * npy->stride[3];
    int64_t row = ((int64_t)x * layer->kernel_h + y) * layer->in_channels + in;
    return row * npy->stride[0] + out * npy->stride[1];
}

static void copy_kernel(const struct fn_npy *npy, const struct fn_mtcnn_layer *layer,
                        float *ret_values) {
    for (int out = 0; out < layer->out_channels; out++)
        for (int y = 0; y < layer->kernel_h; y++)
            for (int x = 0; x < layer->kernel_w; x++)
                for (int in = 0; in < layer->in_channels; in++)
                    *ret_values++ = element(npy, kernel_offset(npy, layer, x, y, in, out));
}

static fn_status check_finite(const struct origin *origin, const char *group, const char *part,
                              const float *values, size_t n, struct fn_error *err) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return fn_fail(err, FN_BAD_SOURCE, "%s: %s %s: number %zu is not finite", origin->path,
                           group, part, i);
    return FN_OK;
}

static fn_status read_kernel(struct origin *origin, int index, const char *group, float *ret_values,
                             struct fn_error *err) {
    const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[index];
    struct found found;
    fn_status status = find_array(origin, index, group, "weights", &found, err);
    if (status == FN_OK && !fits_kernel(&found.npy, layer))
        status = fn_fail(err, FN_BAD_SOURCE,
                         "%s: %s weights are not [%d][%d][%d][%d] or their first three as one",
                         origin->path, group, layer->kernel_w, layer->kernel_h, layer->in_channels,
                         layer->out_channels);
    if (status == FN_OK) {
        copy_kernel(&found.npy, layer, ret_values);
        status =
            check_finite(origin, group, "weights", ret_values, fn_mtcnn_kernel_count(layer), err);
    }
    free(found.bytes);
    return status;
}

static fn_status read_vector(struct origin *origin, int index, const char *group, const char *part,
                             float *ret_values, struct fn_error *err) {
    int n = fn_mtcnn_layers[index].out_channels;
    struct found found;
    fn_status status = find_array(origin, index, group, part, &found, err);
    if (status == FN_OK && (found.npy.rank != 1 || found.npy.shape[0] != n))
        status = fn_fail(err, FN_BAD_SOURCE, "%s: %s %s: expected %d numbers", origin->path, group,
                         part, n);
    if (status == FN_OK) {
        for (int i = 0; i < n; i++) ret_values[i] = element(&found.npy, i * found.npy.stride[0]);
        status = check_finite(origin, group, part, ret_values, (size_t)n, err);
    }
    free(found.bytes);
    return status;
}

/* ---- nets ----------------------------------------------------------------------------------- */

/* Arrays of the draft are const to everybody else. */
static float *writable(const struct fn_model_draft *draft, const float *part) {
    return draft->detector_values + (part - draft->detector_values);
}

static fn_status read_layer(struct origin *origin, int index, struct fn_model_draft *draft,
                            struct fn_error *err) {
    const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[index];
    const struct fn_mtcnn_params *params = &draft->detector.layers[index];
    const char *group = strchr(layer->name, '/') + 1;
    fn_status status = read_kernel(origin, index, group, writable(draft, params->weights), err);
    if (status == FN_OK)
        status = read_vector(origin, index, group, "biases", writable(draft, params->bias), err);
    if (status != FN_OK || !layer->prelu) return status;
    char slopes[32];
    (void)snprintf(slopes, sizeof slopes, "%s%d", origin->net == FN_PNET ? "PReLU" : "prelu",
                   index - fn_mtcnn_first_layer(origin->net) + 1);
    return read_vector(origin, index, slopes, "alpha", writable(draft, params->alpha), err);
}

static bool exists(struct origin *origin, const char *suffix) {
    struct fn_error err;
    return set_path(origin, &err, "%s/%s%s", origin->dir, nets[origin->net], suffix) == FN_OK &&
           access(origin->path, F_OK) == 0;
}

static fn_status open_origin(struct origin *origin, struct fn_error *err) {
    int number = (int)origin->net + 1;
    if (exists(origin, "")) return FN_OK;
    if (exists(origin, ".pt"))
        return fn_file_read(origin->path, MAX_FILE_SIZE, &origin->bytes, &origin->size, err);
    fn_status status = set_path(origin, err, "%s/det%d.npy", origin->dir, number);
    if (status == FN_OK && access(origin->path, F_OK) != 0)
        status = fn_fail(err, FN_IO, "%s: holds neither det%d.npy nor %s.pt nor a folder %s",
                         origin->dir, number, nets[origin->net], nets[origin->net]);
    if (status == FN_OK)
        status = fn_file_read(origin->path, MAX_FILE_SIZE, &origin->bytes, &origin->size, err);
    if (status == FN_OK)
        status =
            fn_npy_pickle_open(origin->path, origin->bytes, origin->size, &origin->pickle, err);
    return status;
}

/* ---- where it comes from --------------------------------------------------------------------- */

/* The numbers of a finished model, in the order in which they are stored. */
static void copy_layer(const struct fn_mtcnn_params *from, int index,
                       struct fn_model_draft *draft) {
    const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[index];
    const struct fn_mtcnn_params *to = &draft->detector.layers[index];
    size_t channels = (size_t)layer->out_channels * sizeof(float);
    memcpy(writable(draft, to->weights), from->weights,
           fn_mtcnn_kernel_count(layer) * sizeof(float));
    memcpy(writable(draft, to->bias), from->bias, channels);
    if (layer->prelu) memcpy(writable(draft, to->alpha), from->alpha, channels);
}

static fn_status read_model(const char *path, struct fn_model_draft *draft, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    fn_status status = fn_model_open(path, &model, err);
    if (status != FN_OK) return status;
    if (!model->has_detector)
        return fn_fail(err, FN_BAD_SOURCE, "%s: this model has no detector to take", path);
    for (int i = 0; i < FN_MTCNN_LAYERS; i++) copy_layer(&model->detector.layers[i], i, draft);
    memcpy(draft->detector_name, model->detector_name, sizeof draft->detector_name);
    return FN_OK;
}

/* A trainer says in name.txt whose weights they are; the published ones come without. */
static fn_status read_name(const char *dir, struct fn_model_draft *draft, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    struct origin origin = {.dir = dir};
    size_t size;
    fn_status status = set_path(&origin, err, "%s/name.txt", dir);
    if (status != FN_OK || access(origin.path, F_OK) != 0) return status;
    status = fn_file_read(origin.path, FN_DETECTOR_NAME_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    if (size > 0 && bytes[size - 1] == '\n') size--;
    if (size == 0 || size >= FN_DETECTOR_NAME_SIZE || memchr(bytes, '\0', size))
        return fn_fail(err, FN_BAD_SOURCE, "%s: expected one word of at most %d letters",
                       origin.path, FN_DETECTOR_NAME_SIZE - 1);
    memcpy(draft->detector_name, bytes, size);
    draft->detector_name[size] = '\0';
    if (fn_model_is_detector_name(draft->detector_name)) return FN_OK;
    return fn_fail(err, FN_BAD_SOURCE, "%s: \"%s\" is no name; expected a-z, 0-9, . and -",
                   origin.path, draft->detector_name);
}

fn_status fn_detector_source_read(const char *path, struct fn_model_draft *draft,
                                  struct fn_error *err) {
    struct stat facts;
    fn_status status = fn_model_draft_add_detector(draft, err);
    if (status == FN_OK && stat(path, &facts) == 0 && S_ISREG(facts.st_mode))
        return read_model(path, draft, err);
    if (status == FN_OK) status = read_name(path, draft, err);
    for (int net = 0; net < FN_MTCNN_NETS && status == FN_OK; net++) {
        struct origin origin = {.dir = path, .net = (enum fn_mtcnn_net)net};
        status = open_origin(&origin, err);
        int end = fn_mtcnn_first_layer((enum fn_mtcnn_net)(net + 1));
        for (int i = fn_mtcnn_first_layer(origin.net); i < end && status == FN_OK; i++)
            status = read_layer(&origin, i, draft, err);
        origin_done(&origin);
    }
    return status;
}
