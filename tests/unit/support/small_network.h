/* SPDX-License-Identifier: Apache-2.0
 *
 * small_network.h -- networks of a few hand-made layers, in memory, to run engines on.
 *
 * Every tensor has 0 fractional bits unless told otherwise, so a layer's f_w is its s. Each channel
 * is checked against limits.h: a test cannot ask an engine for what a model file could not hold. */
#ifndef FN_TESTS_SMALL_NETWORK_H
#define FN_TESTS_SMALL_NETWORK_H

#include <stdlib.h>
#include <string.h>

#include "engine/limits.h"
#include "engine/model.h"
#include "engine/prng.h"
#include "tests/unit/support/cmocka_all.h"

struct small_network {
    struct fn_model model;
    struct fn_prng prng; /* seeds weights, biases and inputs */
};

enum small_weights { WEIGHTS_RANDOM, WEIGHTS_127, WEIGHTS_MINUS_127, WEIGHTS_ALTERNATING };
enum small_bias { BIAS_RANDOM, BIAS_HIGHEST, BIAS_LOWEST }; /* that the limits allow */

/* A convolution as tests write it down; what is 0 is the default. */
struct small_conv {
    int input, output, offset, out_channels;
    int kernel_h, kernel_w, stride; /* 0: 1 */
    int pad_h, pad_w;
    bool relu;
    int residual; /* 0: none (tensor 0, the picture, is nobody's residual) */
    int shift;    /* s of channel 0; others up to `spread` more */
    int spread;
    enum small_weights weights;
    enum small_bias bias;
};

static inline struct small_network *small_new(uint64_t seed) {
    struct small_network *net = calloc(1, sizeof *net);
    assert_non_null(net);
    net->prng.state = seed;
    return net;
}

static inline void small_free(struct small_network *net) {
    for (int i = 0; i < net->model.network.n_layers; i++) {
        free((void *)(uintptr_t)net->model.params[i].weights);
        free((void *)(uintptr_t)net->model.params[i].bias);
        free((void *)(uintptr_t)net->model.params[i].frac_bits);
    }
    free(net);
}

static inline int small_random(struct small_network *net, int low, int high) {
    return low + (int)(fn_prng_next(&net->prng) % (uint64_t)(high - low + 1));
}

/* Add a tensor; the first is the picture. */
static inline int small_tensor(struct small_network *net, int height, int width, int channels,
                               bool is_signed, int frac_bits) {
    struct fn_network *n = &net->model.network;
    n->tensors[n->n_tensors] = (struct fn_tensor){
        .height = height, .width = width, .channels = channels, .is_signed = is_signed};
    net->model.frac_bits[n->n_tensors] = (int8_t)frac_bits;
    return n->n_tensors++;
}

static inline int8_t small_weight(struct small_network *net, enum small_weights kind, size_t i) {
    switch (kind) {
    case WEIGHTS_127:
        return 127;
    case WEIGHTS_MINUS_127:
        return -127;
    case WEIGHTS_ALTERNATING:
        return i & 1 ? -127 : 127;
    case WEIGHTS_RANDOM:
        break;
    }
    return (int8_t)small_random(net, -127, 127);
}

/* Parameters for the layer just described; f_w of channel oc is s0 + oc % (spread + 1). */
static inline void small_params(struct small_network *net, int index, int frac_w, int spread,
                                enum small_weights weights_kind, enum small_bias bias_kind) {
    struct fn_model *m = &net->model;
    const struct fn_layer *l = &m->network.layers[index];
    const struct fn_tensor *in = &m->network.tensors[l->input];
    bool head = l->op == FN_OP_HEAD;
    size_t k = (size_t)l->in_channels * (head ? 1 : (size_t)l->kernel_h * (size_t)l->kernel_w);
    size_t out = (size_t)l->out_channels;
    int8_t *weights = malloc(out * k), *frac_bits = malloc(out);
    int32_t *bias = calloc(out, sizeof *bias);
    assert_true(weights && frac_bits && bias);
    m->params[index] = (struct fn_params){weights, bias, frac_bits};
    for (size_t i = 0; i < out * k; i++) weights[i] = small_weight(net, weights_kind, i);
    for (size_t oc = 0; oc < out; oc++) {
        frac_bits[oc] = (int8_t)(frac_w + (int)oc % (spread + 1));
        struct fn_channel c = {.weights = weights + oc * k,
                               .n_weights = k,
                               .input_signed = in->is_signed,
                               .positions = head ? in->height * in->width : 1,
                               .has_residual = !head && l->residual >= 0};
        if (!head) c.shift = fn_model_shift(m, index, (int)oc);
        if (c.has_residual) c.residual_shift = fn_model_residual_shift(m, index, (int)oc);
        int64_t min, max;
        fn_channel_bounds(&c, &min, &max);
        if (bias_kind == BIAS_HIGHEST) c.bias = INT32_MAX - max;
        if (bias_kind == BIAS_LOWEST) c.bias = INT32_MIN - min;
        if (bias_kind == BIAS_RANDOM) c.bias = small_random(net, -100000, 100000);
        bias[oc] = (int32_t)c.bias;
        assert_true(fn_channel_fits(&c));
    }
}

static inline int small_add_conv(struct small_network *net, const struct small_conv *conv) {
    struct fn_network *n = &net->model.network;
    int index = n->n_layers++;
    n->layers[index] = (struct fn_layer){
        .op = FN_OP_CONV,
        .input = conv->input,
        .output = conv->output,
        .output_offset = conv->offset,
        .residual = conv->residual ? conv->residual : -1,
        .kernel_h = conv->kernel_h ? conv->kernel_h : 1,
        .kernel_w = conv->kernel_w ? conv->kernel_w : 1,
        .stride = conv->stride ? conv->stride : 1,
        .pad_h = conv->pad_h,
        .pad_w = conv->pad_w,
        .in_channels = n->tensors[conv->input].channels,
        .out_channels = conv->out_channels,
        .relu = conv->relu,
    };
    int frac_w =
        conv->shift - net->model.frac_bits[conv->input] + net->model.frac_bits[conv->output];
    small_params(net, index, frac_w, conv->spread, conv->weights, conv->bias);
    return index;
}

/* The shift d of a pool is the difference of its tensors' fractional bits. */
static inline int small_add_pool(struct small_network *net, int input, int output, int offset) {
    struct fn_network *n = &net->model.network;
    int channels = n->tensors[input].channels;
    n->layers[n->n_layers] = (struct fn_layer){.op = FN_OP_POOL,
                                               .input = input,
                                               .output = output,
                                               .output_offset = offset,
                                               .residual = -1,
                                               .kernel_h = 3,
                                               .kernel_w = 3,
                                               .stride = 2,
                                               .in_channels = channels,
                                               .out_channels = channels};
    return n->n_layers++;
}

static inline int small_add_head(struct small_network *net, int input, int embedding_size,
                                 enum small_weights weights, enum small_bias bias) {
    struct fn_network *n = &net->model.network;
    int index = n->n_layers++;
    n->embedding_size = embedding_size;
    n->layers[index] = (struct fn_layer){.op = FN_OP_HEAD,
                                         .input = input,
                                         .output = -1,
                                         .residual = -1,
                                         .kernel_h = 1,
                                         .kernel_w = 1,
                                         .stride = 1,
                                         .in_channels = n->tensors[input].channels,
                                         .out_channels = embedding_size};
    small_params(net, index, 5, 0, weights, bias);
    return index;
}

#endif
