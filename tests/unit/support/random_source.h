/* SPDX-License-Identifier: Apache-2.0
 *
 * random_source.h -- float weights from a seed for any network, and the forward pass over them as
 * plain loops in double: what the float network is held against. */
#ifndef FN_TESTS_RANDOM_SOURCE_H
#define FN_TESTS_RANDOM_SOURCE_H

#include <math.h>
#include <stdlib.h>

#include "engine/prng.h"
#include "model/sources/source.h"
#include "tests/unit/support/cmocka_all.h"

static inline double random_between(struct fn_prng *prng, double low, double high) {
    return low + (high - low) * (double)(fn_prng_next(prng) >> 11) * 0x1p-53;
}

/* Add a part of n numbers uniform in low ... high, as float32. kernel: the layer whose shape it
 * has; NULL: a vector. */
static inline void add_random_part(struct fn_source *source, const char *scope, enum fn_part part,
                                   const struct fn_layer *kernel, int64_t n, double low,
                                   double high, struct fn_prng *prng) {
    struct fn_error err = {0};
    float *values = malloc((size_t)n * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < n; i++) values[i] = (float)random_between(prng, low, high);
    struct fn_source_array array = {.data = values, .dtype = FN_DTYPE_F32};
    const int64_t shape[4] = {kernel ? kernel->out_channels : n, kernel ? kernel->kernel_h : 1,
                              kernel ? kernel->kernel_w : 1, kernel ? kernel->in_channels : 1};
    for (int64_t k = 3, stride = 1; k >= 0; stride *= shape[k--]) {
        array.shape[k] = shape[k];
        array.stride[k] = stride;
    }
    (void)snprintf(array.origin, sizeof array.origin, "random %d", (int)part);
    assert_ok(fn_source_own(source, values, free, &err), err);
    assert_ok(fn_source_add(source, scope, part, &array, &err), err);
}

/* Weights that keep activations about as large as their inputs. norm: BatchNorm separate wherever
 * there is ReLU, else a bias. Free with fn_source_free(). */
static inline struct fn_source *random_source(const struct fn_network *network, uint64_t seed,
                                              bool norm) {
    struct fn_prng prng = {seed};
    struct fn_error err = {0};
    struct fn_source *source = NULL;
    assert_ok(fn_source_new("random", &source, &err), err);
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        int64_t fan_in = (int64_t)layer->kernel_h * layer->kernel_w * layer->in_channels;
        double reach = sqrt(6.0 / (double)fan_in);
        add_random_part(source, layer->name, FN_PART_KERNEL, layer, fan_in * layer->out_channels,
                        -reach, reach, &prng);
        int64_t n = layer->out_channels;
        if (!norm || !layer->relu || layer->residual >= 0) {
            add_random_part(source, layer->name, FN_PART_BIAS, NULL, n, -0.2, 0.3, &prng);
            continue;
        }
        add_random_part(source, layer->name, FN_PART_MEAN, NULL, n, -0.2, 0.2, &prng);
        add_random_part(source, layer->name, FN_PART_VARIANCE, NULL, n, 0.5, 2.0, &prng);
        add_random_part(source, layer->name, FN_PART_BETA, NULL, n, -0.1, 0.4, &prng);
    }
    return source;
}

/* One output of a convolution, before the residual. */
static inline double naive_sum(const struct fn_layer *layer, const struct fn_tensor *in,
                               const double *input, const double *weights, int y, int x) {
    double sum = 0;
    for (int ky = 0; ky < layer->kernel_h; ky++)
        for (int kx = 0; kx < layer->kernel_w; kx++)
            for (int c = 0; c < layer->in_channels; c++) {
                int iy = y * layer->stride - layer->pad_h + ky;
                int ix = x * layer->stride - layer->pad_w + kx;
                if (iy < 0 || iy >= in->height || ix < 0 || ix >= in->width) continue;
                sum += input[(iy * in->width + ix) * in->channels + c] *
                       weights[(ky * layer->kernel_w + kx) * layer->in_channels + c];
            }
    return sum;
}

static inline void naive_conv(const struct fn_network *network, const struct fn_layer *layer,
                              const double *weights, const double *bias, double **tensors) {
    const struct fn_tensor *in = &network->tensors[layer->input];
    const struct fn_tensor *out = &network->tensors[layer->output];
    int window = layer->kernel_h * layer->kernel_w * layer->in_channels;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int c = 0; c < layer->out_channels; c++) {
                int at = (y * out->width + x) * out->channels + layer->output_offset + c;
                double sum = bias[c] + naive_sum(layer, in, tensors[layer->input],
                                                 weights + (size_t)c * (size_t)window, y, x);
                if (layer->residual >= 0) sum += tensors[layer->residual][at];
                tensors[layer->output][at] = layer->relu ? fmax(sum, 0) : sum;
            }
}

static inline void naive_pool(const struct fn_network *network, const struct fn_layer *layer,
                              double **tensors) {
    const struct fn_tensor *in = &network->tensors[layer->input];
    const struct fn_tensor *out = &network->tensors[layer->output];
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int c = 0; c < in->channels; c++) {
                double max = -INFINITY;
                for (int k = 0; k < 9; k++)
                    max = fmax(
                        max,
                        tensors[layer->input]
                               [((2 * y + k / 3) * in->width + 2 * x + k % 3) * in->channels + c]);
                tensors[layer->output]
                       [(y * out->width + x) * out->channels + layer->output_offset + c] = max;
            }
}

/* Run all layers; tensors[0] is filled, the others are allocated here. ret_head: the Bottleneck's
 * output, not normalised, or NULL. */
static inline void naive_run(const struct fn_network *network, const struct fn_source *source,
                             double **tensors, double *ret_head) {
    for (int t = 1; t < network->n_tensors; t++)
        tensors[t] = calloc(fn_tensor_size(&network->tensors[t]), sizeof **tensors);
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) {
            naive_pool(network, layer, tensors);
            continue;
        }
        struct fn_error err = {0};
        size_t n = (size_t)layer->out_channels;
        size_t window =
            (size_t)layer->kernel_h * (size_t)layer->kernel_w * (size_t)layer->in_channels;
        double *weights = malloc(n * window * sizeof *weights), *bias = malloc(n * sizeof *bias);
        assert_ok(fn_source_fold(source, layer, weights, bias, &err), err);
        if (layer->op == FN_OP_CONV) {
            naive_conv(network, layer, weights, bias, tensors);
        } else {
            const struct fn_tensor *in = &network->tensors[layer->input];
            int positions = in->height * in->width;
            assert_non_null(ret_head);
            for (size_t o = 0; o < n && ret_head; o++) {
                ret_head[o] = bias[o];
                for (int p = 0; p < positions; p++)
                    for (size_t c = 0; c < window; c++)
                        ret_head[o] += weights[o * window + c] / positions *
                                       tensors[layer->input][(size_t)p * window + c];
            }
        }
        free(weights);
        free(bias);
    }
}

static inline void naive_free(const struct fn_network *network, double **tensors) {
    for (int t = 1; t < network->n_tensors; t++) free(tensors[t]);
}

#endif
