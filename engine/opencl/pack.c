/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.c -- weights and channel numbers into blocks of 16 output channels. Lanes and input
 * channels that do not exist have weight, bias and shifts zero, so kernels need not know of them.
 */
#include "engine/opencl/pack.h"

#include <stdlib.h>

#include "engine/cleanup.h"

FN_DEFINE_CLEANUP(struct fn_pack *, fn_pack_free)

static size_t count_blocks(const struct fn_layer *layer) {
    return ((size_t)layer->out_channels + FN_LANES - 1) / FN_LANES;
}

static size_t count_quads(const struct fn_layer *layer) {
    return ((size_t)layer->in_channels + FN_QUAD - 1) / FN_QUAD;
}

static size_t count_taps(const struct fn_layer *layer) {
    return layer->op == FN_OP_HEAD ? 1 : (size_t)layer->kernel_h * (size_t)layer->kernel_w;
}

/* weights: [oc][taps][ic] to [block][taps][quad][lane][4], or for the head to [block][ic][lane]. */
static void pack_weights(const struct fn_layer *layer, const int8_t *weights, int8_t *ret_packed) {
    size_t taps = count_taps(layer), quads = count_quads(layer);
    size_t out = (size_t)layer->out_channels, in = (size_t)layer->in_channels;
    for (size_t oc = 0; oc < out; oc++) {
        int8_t *block = ret_packed + oc / FN_LANES * taps * quads * FN_QUAD * FN_LANES;
        size_t lane = oc % FN_LANES;
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t ic = 0; ic < in; ic++) {
                size_t at =
                    ((tap * quads + ic / FN_QUAD) * FN_LANES + lane) * FN_QUAD + ic % FN_QUAD;
                if (layer->op == FN_OP_HEAD) at = ic * FN_LANES + lane;
                block[at] = weights[(oc * taps + tap) * in + ic];
            }
    }
}

/* [block][3][lane]: bias, s, r; the head has neither shift. */
static void pack_channels(const struct fn_model *model, int index, int32_t *ret_packed) {
    const struct fn_layer *layer = &model->network.layers[index];
    for (int oc = 0; oc < layer->out_channels; oc++) {
        int32_t *block = ret_packed + (size_t)(oc / FN_LANES) * 3 * FN_LANES;
        int lane = oc % FN_LANES;
        block[lane] = model->params[index].bias[oc];
        if (layer->op != FN_OP_CONV) continue;
        block[FN_LANES + lane] = fn_model_shift(model, index, oc);
        if (layer->residual >= 0)
            block[2 * FN_LANES + lane] = fn_model_residual_shift(model, index, oc);
    }
}

static struct fn_layer_params describe_layer(const struct fn_model *model,
                                             const struct fn_plan *plan, int index) {
    const struct fn_network *network = &model->network;
    const struct fn_layer *layer = &network->layers[index];
    const struct fn_tensor *in = &network->tensors[layer->input];
    struct fn_layer_params p = {
        .input = plan->offset[layer->input],
        .in_height = in->height,
        .in_width = in->width,
        .in_pitch = plan->pitch[layer->input],
        .residual = -1,
        .kernel_h = layer->kernel_h,
        .kernel_w = layer->kernel_w,
        .stride = layer->stride,
        .pad_h = layer->pad_h,
        .pad_w = layer->pad_w,
        .quads = (fn_word)count_quads(layer),
        .out_channels = layer->op == FN_OP_POOL ? in->channels : layer->out_channels,
        .low = layer->relu ? 0 : -128,
    };
    if (layer->op != FN_OP_HEAD) {
        const struct fn_tensor *out = &network->tensors[layer->output];
        p.output = plan->offset[layer->output] + layer->output_offset;
        p.out_height = out->height;
        p.out_width = out->width;
        p.out_pitch = plan->pitch[layer->output];
    }
    if (layer->op == FN_OP_CONV && layer->residual >= 0) {
        p.residual = plan->offset[layer->residual] + layer->output_offset;
        p.residual_pitch = plan->pitch[layer->residual];
    }
    if (layer->op == FN_OP_POOL) p.pool_shift = fn_model_pool_shift(model, index);
    return p;
}

/* Fill in where each layer's weights and channel numbers will lie, and the sizes of both. */
static void lay_out(const struct fn_network *network, struct fn_pack *pack) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t blocks = count_blocks(layer);
        pack->layers[i].weights = (fn_word)pack->weights_size;
        pack->layers[i].channels = (fn_word)(pack->n_channels / FN_LANES);
        pack->weights_size += blocks * count_taps(layer) * count_quads(layer) * FN_QUAD * FN_LANES;
        pack->n_channels += blocks * 3 * FN_LANES;
    }
}

fn_status fn_pack_make(const struct fn_model *model, const struct fn_plan *plan,
                       struct fn_pack **ret_pack, struct fn_error *err) {
    FN_CLEANUP(fn_pack_free) struct fn_pack *pack = calloc(1, sizeof *pack);
    if (!pack) return fn_fail(err, FN_NO_MEMORY, "no memory to pack the weights");
    const struct fn_network *network = &model->network;
    for (int i = 0; i < network->n_layers; i++) pack->layers[i] = describe_layer(model, plan, i);
    lay_out(network, pack);
    if (pack->weights_size > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the packed weights exceed 2 GiB");
    /* One more of each, so that a network of pools alone has something to allocate. */
    pack->weights = calloc(pack->weights_size + 1, 1);
    pack->channels = calloc(pack->n_channels + 1, sizeof *pack->channels);
    if (!pack->weights || !pack->channels)
        return fn_fail(err, FN_NO_MEMORY, "no memory to pack %zu bytes of weights",
                       pack->weights_size);
    for (int i = 0; i < network->n_layers; i++) {
        if (network->layers[i].op == FN_OP_POOL) continue;
        pack_weights(&network->layers[i], model->params[i].weights,
                     pack->weights + pack->layers[i].weights);
        pack_channels(model, i, pack->channels + (size_t)pack->layers[i].channels * FN_LANES);
    }
    *ret_pack = FN_TAKE(pack);
    return FN_OK;
}

void fn_pack_free(struct fn_pack *pack) {
    if (!pack) return;
    free(pack->weights);
    free(pack->channels);
    free(pack);
}
