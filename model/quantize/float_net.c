/* SPDX-License-Identifier: Apache-2.0
 *
 * float_net.c -- see float_net.h. Every tensor keeps its own buffer (12 MB for the full network),
 * because calibration looks at all of them. */
#include "model/quantize/float_net.h"

#include <math.h>
#include <string.h>

#include "model/quantize/blas.h"
#include "model/quantize/windows.h"

struct fn_float_net {
    const struct fn_network *network;
    float *weights[FN_MAX_LAYERS]; /* [oc][kh][kw][ic], owned; NULL for pools */
    float *bias[FN_MAX_LAYERS];    /* [oc], owned */
    size_t columns_size;           /* floats of the largest im2col matrix */
};

struct fn_float_run {
    const struct fn_float_net *net;
    float *tensors[FN_MAX_TENSORS]; /* [height][width][channels], owned */
    float *columns;                 /* [positions][kh][kw][ic], owned */
    double *pooled;                 /* [channels] of the head's input, then [embedding], owned */
};

static fn_status round_layer(struct fn_float_net *net, int index, const struct fn_source *source,
                             struct fn_error *err) {
    const struct fn_layer *layer = &net->network->layers[index];
    size_t n = (size_t)layer->out_channels, count = n * fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *weights = malloc(count * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(n * sizeof *bias);
    net->weights[index] = malloc(count * sizeof(float));
    net->bias[index] = malloc(n * sizeof(float));
    if (!weights || !bias || !net->weights[index] || !net->bias[index])
        return fn_fail(err, FN_NO_MEMORY, "no memory for the weights of %s", layer->name);
    fn_status status = fn_source_fold(source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < count; i++) net->weights[index][i] = (float)weights[i];
    for (size_t i = 0; i < n; i++) net->bias[index][i] = (float)bias[i];
    return FN_OK;
}

fn_status fn_float_net_new(const struct fn_network *network, const struct fn_source *source,
                           struct fn_float_net **ret_net, struct fn_error *err) {
    fn_blas_single_thread();
    FN_CLEANUP(fn_float_net_free) struct fn_float_net *net = calloc(1, sizeof *net);
    if (!net) return fn_fail(err, FN_NO_MEMORY, "no memory for the float network");
    net->network = network;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        fn_status status = round_layer(net, i, source, err);
        if (status != FN_OK) return status;
        if (layer->op != FN_OP_CONV || fn_windows_are_dense(layer)) continue;
        const struct fn_tensor *out = &network->tensors[layer->output];
        size_t count = (size_t)out->height * (size_t)out->width * fn_layer_kernel_size(layer);
        if (count > net->columns_size) net->columns_size = count;
    }
    *ret_net = FN_TAKE(net);
    return FN_OK;
}

void fn_float_net_free(struct fn_float_net *net) {
    if (!net) return;
    for (int i = 0; i < FN_MAX_LAYERS; i++) {
        free(net->weights[i]);
        free(net->bias[i]);
    }
    free(net);
}

fn_status fn_float_run_new(const struct fn_float_net *net, struct fn_float_run **ret_run,
                           struct fn_error *err) {
    FN_CLEANUP(fn_float_run_free) struct fn_float_run *run = calloc(1, sizeof *run);
    if (!run) return fn_fail(err, FN_NO_MEMORY, "no memory for the float network");
    run->net = net;
    const struct fn_network *network = net->network;
    size_t widest = (size_t)network->embedding_size;
    for (int i = 0; i < network->n_tensors; i++) {
        run->tensors[i] = calloc(fn_tensor_size(&network->tensors[i]), sizeof(float));
        if (!run->tensors[i])
            return fn_fail(err, FN_NO_MEMORY, "no memory for the float network's tensors");
        widest += (size_t)network->tensors[i].channels;
    }
    run->columns = calloc(net->columns_size + 1, sizeof *run->columns);
    run->pooled = calloc(widest, sizeof *run->pooled);
    if (!run->columns || !run->pooled)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the float network's buffers");
    *ret_run = FN_TAKE(run);
    return FN_OK;
}

void fn_float_run_free(struct fn_float_run *run) {
    if (!run) return;
    for (int i = 0; i < FN_MAX_TENSORS; i++) free(run->tensors[i]);
    free(run->columns);
    free(run->pooled);
    free(run);
}

static void run_conv(struct fn_float_run *run, int index) {
    const struct fn_network *network = run->net->network;
    const struct fn_layer *layer = &network->layers[index];
    const struct fn_tensor *out = &network->tensors[layer->output];
    const float *columns = run->tensors[layer->input];
    if (!fn_windows_are_dense(layer)) {
        fn_windows_fill(layer, &network->tensors[layer->input], out, columns, run->columns);
        columns = run->columns;
    }
    size_t positions = (size_t)out->height * (size_t)out->width, stride = (size_t)out->channels;
    float *output = run->tensors[layer->output] + layer->output_offset;
    size_t kernel = fn_layer_kernel_size(layer);
    fn_blas_product(positions, (size_t)layer->out_channels, kernel, columns, kernel,
                    run->net->weights[index], kernel, output, stride);
    const float *bias = run->net->bias[index];
    const float *residual =
        layer->residual >= 0 ? run->tensors[layer->residual] + layer->output_offset : NULL;
    for (size_t p = 0; p < positions; p++)
        for (int c = 0; c < layer->out_channels; c++) {
            float *value = &output[p * stride + (size_t)c];
            float sum = *value + bias[c];
            if (residual) sum += residual[p * stride + (size_t)c];
            *value = layer->relu && sum < 0 ? 0 : sum; /* a NaN stays one, to be seen */
        }
}

static void run_pool(struct fn_float_run *run, const struct fn_layer *layer) {
    const struct fn_tensor *in = &run->net->network->tensors[layer->input];
    const struct fn_tensor *out = &run->net->network->tensors[layer->output];
    size_t channels = (size_t)in->channels;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            float *to = run->tensors[layer->output] +
                        ((size_t)y * (size_t)out->width + (size_t)x) * (size_t)out->channels +
                        layer->output_offset;
            for (int k = 0; k < layer->kernel_h * layer->kernel_w; k++) {
                int iy = y * layer->stride + k / layer->kernel_w;
                int ix = x * layer->stride + k % layer->kernel_w;
                const float *from = run->tensors[layer->input] +
                                    ((size_t)iy * (size_t)in->width + (size_t)ix) * channels;
                for (size_t c = 0; c < channels; c++)
                    if (k == 0 || from[c] > to[c]) to[c] = from[c];
            }
        }
}

/* Mean over all positions, then Bottleneck, in double: a thousandth of the work. */
static void run_head(struct fn_float_run *run, int index, double *ret_values) {
    const struct fn_layer *layer = &run->net->network->layers[index];
    const struct fn_tensor *in = &run->net->network->tensors[layer->input];
    size_t channels = (size_t)in->channels, positions = (size_t)in->height * (size_t)in->width;
    double *mean = run->pooled;
    for (size_t c = 0; c < channels; c++) mean[c] = 0;
    for (size_t p = 0; p < positions; p++)
        for (size_t c = 0; c < channels; c++)
            mean[c] += run->tensors[layer->input][p * channels + c];
    for (int o = 0; o < layer->out_channels; o++) {
        const float *weights = run->net->weights[index] + (size_t)o * channels;
        double sum = 0;
        for (size_t c = 0; c < channels; c++) sum += weights[c] * mean[c];
        ret_values[o] = sum / (double)positions + run->net->bias[index][o];
    }
}

static fn_status normalise(const double *values, int n, float *ret_embedding,
                           struct fn_error *err) {
    double square = 0;
    for (int i = 0; i < n; i++) square += values[i] * values[i];
    if (!(square > 0) || !isfinite(square))
        return fn_fail(err, FN_NOT_UNIT, "the float network's output has length %g", sqrt(square));
    for (int i = 0; i < n; i++) ret_embedding[i] = (float)(values[i] / sqrt(square));
    return FN_OK;
}

fn_status fn_float_net_run(struct fn_float_run *run, const float *image, float *ret_embedding,
                           struct fn_error *err) {
    const struct fn_network *network = run->net->network;
    double *values = run->pooled;
    memcpy(run->tensors[0], image, fn_tensor_size(&network->tensors[0]) * sizeof *image);
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        switch (layer->op) {
        case FN_OP_CONV:
            run_conv(run, i);
            break;
        case FN_OP_POOL:
            run_pool(run, layer);
            break;
        case FN_OP_HEAD:
            values = run->pooled + network->tensors[layer->input].channels;
            run_head(run, i, values);
            break;
        }
    }
    return ret_embedding ? normalise(values, network->embedding_size, ret_embedding, err) : FN_OK;
}

const float *fn_float_run_tensor(const struct fn_float_run *run, int tensor) {
    return run->tensors[tensor];
}

void fn_float_preprocess(enum fn_preprocessing preprocessing, const uint8_t *crop,
                         float *ret_image) {
    if (preprocessing == FN_PREPROCESSING_FIXED) {
        for (int i = 0; i < FN_CROP_SIZE; i++) ret_image[i] = ((float)crop[i] - 127.5F) / 128.0F;
        return;
    }
    int64_t sum = 0, squares = 0;
    for (int i = 0; i < FN_CROP_SIZE; i++) {
        sum += crop[i];
        squares += (int64_t)crop[i] * crop[i];
    }
    const double n = FN_CROP_SIZE;
    double mean = (double)sum / n;
    double variance = (double)(squares * FN_CROP_SIZE - sum * sum) / (n * n);
    double sigma = fmax(sqrt(variance), 1 / sqrt(n));
    for (int i = 0; i < FN_CROP_SIZE; i++) ret_image[i] = (float)((crop[i] - mean) / sigma);
}
