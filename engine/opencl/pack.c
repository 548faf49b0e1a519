/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.c -- weights and channel numbers into groups of blocks of 16 output channels. Lanes and
 * input channels that do not exist have weight, bias and shifts zero, so kernels need not know of
 * them. */
#include "engine/opencl/pack.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/opencl/order.h"
#include "engine/opencl/winograd.h"

FN_DEFINE_CLEANUP(struct fn_pack *, fn_pack_free)

/* Blocks of 16, filled up to whole groups. */
static size_t count_blocks(const struct fn_layer *layer, size_t blocks_a_group) {
    size_t lanes = blocks_a_group * FN_LANES;
    return ((size_t)layer->out_channels + lanes - 1) / lanes * blocks_a_group;
}

static size_t count_quads(const struct fn_layer *layer) {
    return ((size_t)layer->in_channels + FN_QUAD - 1) / FN_QUAD;
}

static size_t count_taps(const struct fn_layer *layer) {
    return layer->op == FN_OP_HEAD ? 1 : (size_t)layer->kernel_h * (size_t)layer->kernel_w;
}

/* weights: [oc][taps][ic] to [group][taps][quad][lane][4], or for the head to [block][ic][lane]. */
static void pack_weights(const struct fn_layer *layer, const int8_t *weights, size_t blocks,
                         int8_t *ret_packed) {
    size_t taps = count_taps(layer), quads = count_quads(layer), lanes = blocks * FN_LANES;
    size_t out = (size_t)layer->out_channels, in = (size_t)layer->in_channels;
    for (size_t oc = 0; oc < out; oc++) {
        int8_t *group = ret_packed + oc / lanes * taps * quads * FN_QUAD * lanes;
        size_t lane = oc % lanes;
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t ic = 0; ic < in; ic++) {
                size_t at = ((tap * quads + ic / FN_QUAD) * lanes + lane) * FN_QUAD + ic % FN_QUAD;
                if (layer->op == FN_OP_HEAD) at = ic * FN_LANES + lane;
                group[at] = weights[(oc * taps + tap) * in + ic];
            }
    }
}

static bool is_ordered(const struct fn_network *network, const struct fn_packing *packing,
                       int index) {
    const struct fn_layer *layer = &network->layers[index];
    return packing->ordered && !packing->winograd[index] && layer->op == FN_OP_CONV &&
           !network->tensors[layer->input].is_signed;
}

static size_t count_row_quads(const struct fn_layer *layer) {
    return (size_t)layer->kernel_w * count_quads(layer);
}

/* Packed weights of a layer into the order of order.h, row by row. */
static fn_status order_weights(const struct fn_layer *layer, size_t blocks, int8_t *weights,
                               int32_t *ret_order, struct fn_error *err) {
    size_t quads = count_row_quads(layer), size = quads * FN_QUAD * FN_LANES;
    FN_CLEANUP_FREE int8_t *row = malloc(size);
    if (!row) return fn_fail(err, FN_NO_MEMORY, "no memory to order %zu weights", size);
    for (size_t i = 0; i < blocks * (size_t)layer->kernel_h; i++) {
        memcpy(row, weights + i * size, size);
        fn_order_row(row, (int)quads, weights + i * size, ret_order + i * (3 + quads));
    }
    return FN_OK;
}

/* 128 times the weights of an output channel. It may leave int32, as may the bias less it; what
 * kernels then add brings it back, as they count modulo 2^32. */
static uint32_t measure_offset(const struct fn_model *model, int index, int oc) {
    size_t size = fn_layer_kernel_size(&model->network.layers[index]);
    const int8_t *weights = model->params[index].weights + (size_t)oc * size;
    int64_t sum = 0;
    for (size_t i = 0; i < size; i++) sum += weights[i];
    return (uint32_t)(128 * sum);
}

/* [block][3][lane]: bias, s, r; the head has neither shift. */
static void pack_channels(const struct fn_model *model, int index, bool unsigned_inputs,
                          int32_t *ret_packed) {
    const struct fn_layer *layer = &model->network.layers[index];
    bool offset = unsigned_inputs && model->network.tensors[layer->input].is_signed;
    for (int oc = 0; oc < layer->out_channels; oc++) {
        int32_t *block = ret_packed + (size_t)(oc / FN_LANES) * 3 * FN_LANES;
        int lane = oc % FN_LANES;
        block[lane] = model->params[index].bias[oc];
        if (layer->op != FN_OP_CONV) continue;
        if (offset)
            block[lane] = (int32_t)((uint32_t)block[lane] - measure_offset(model, index, oc));
        block[FN_LANES + lane] = fn_model_shift(model, index, oc);
        if (layer->residual >= 0)
            block[2 * FN_LANES + lane] = fn_model_residual_shift(model, index, oc);
    }
}

/* params.h: 2^32 / divisor, rounded up, 0 for 2^32. */
static fn_uword invert(int divisor) {
    return (fn_uword)(((UINT64_C(1) << 32) + (uint64_t)divisor - 1) / (uint64_t)divisor);
}

static struct fn_layer_params describe_layer(const struct fn_model *model,
                                             const struct fn_plan *plan, int index, int blocks) {
    const struct fn_network *network = &model->network;
    const struct fn_layer *layer = &network->layers[index];
    const struct fn_tensor *in = &network->tensors[layer->input];
    struct fn_layer_params p = {
        .input = plan->offset[layer->input],
        .in_height = in->height,
        .in_width = in->width,
        .in_pitch = plan->pitch[layer->input],
        .in_row = plan->row[layer->input],
        .in_picture = plan->picture[layer->input],
        .residual = -1,
        .kernel_h = layer->kernel_h,
        .kernel_w = layer->kernel_w,
        .stride = layer->stride,
        .pad_h = layer->pad_h,
        .pad_w = layer->pad_w,
        .quads = (fn_word)count_quads(layer),
        .out_channels = layer->op == FN_OP_POOL ? in->channels : layer->out_channels,
        .blocks = blocks,
        .low = layer->relu ? 0 : -128,
    };
    if (layer->op != FN_OP_HEAD) {
        const struct fn_tensor *out = &network->tensors[layer->output];
        p.output = plan->offset[layer->output] + layer->output_offset;
        p.out_height = out->height;
        p.out_width = out->width;
        p.out_pitch = plan->pitch[layer->output];
        p.out_row = plan->row[layer->output];
        p.out_picture = plan->picture[layer->output];
        p.out_gap = plan->gap[layer->output];
        p.width_inverse = invert(out->width);
        p.height_inverse = invert(out->height);
        p.tiles_x = (out->width + 1) / 2;
        p.tiles_y = (out->height + 1) / 2;
        p.tiles_x_inverse = invert(p.tiles_x);
        p.tiles_y_inverse = invert(p.tiles_y);
    }
    if (layer->op == FN_OP_CONV && layer->residual >= 0)
        p.residual = plan->offset[layer->residual] + layer->output_offset;
    if (layer->op == FN_OP_POOL) p.pool_shift = fn_model_pool_shift(model, index);
    return p;
}

/* Fill in where each layer's weights and channel numbers will lie, and the sizes of both. */
static void lay_out(const struct fn_network *network, const struct fn_packing *packing,
                    struct fn_pack *pack) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t blocks = count_blocks(layer, (size_t)packing->blocks[i]);
        pack->layers[i].weights = (fn_word)pack->weights_size;
        pack->layers[i].channels = (fn_word)(pack->n_channels / FN_LANES);
        pack->weights_size += packing->winograd[i] ? blocks * fn_winograd_group_size(layer)
                                                   : blocks * count_taps(layer) *
                                                         count_quads(layer) * FN_QUAD * FN_LANES;
        pack->n_channels += blocks * 3 * FN_LANES;
        if (!is_ordered(network, packing, i)) continue;
        pack->layers[i].order = (fn_word)pack->n_order;
        pack->n_order += blocks * (size_t)layer->kernel_h * (3 + count_row_quads(layer));
    }
}

fn_status fn_pack_make(const struct fn_model *model, const struct fn_plan *plan,
                       const struct fn_packing *packing, struct fn_pack **ret_pack,
                       struct fn_error *err) {
    FN_CLEANUP(fn_pack_free) struct fn_pack *pack = calloc(1, sizeof *pack);
    if (!pack) return fn_fail(err, FN_NO_MEMORY, "no memory to pack the weights");
    const struct fn_network *network = &model->network;
    for (int i = 0; i < network->n_layers; i++)
        pack->layers[i] = describe_layer(model, plan, i, packing->blocks[i]);
    lay_out(network, packing, pack);
    if (pack->weights_size > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the packed weights exceed 2 GiB");
    /* One more of each, so that a network of pools alone has something to allocate. */
    pack->weights = calloc(pack->weights_size + 1, 1);
    pack->channels = calloc(pack->n_channels + 1, sizeof *pack->channels);
    pack->order = calloc(pack->n_order + 1, sizeof *pack->order);
    if (!pack->weights || !pack->channels || !pack->order)
        return fn_fail(err, FN_NO_MEMORY, "no memory to pack %zu bytes of weights",
                       pack->weights_size);
    fn_status status = FN_OK;
    for (int i = 0; i < network->n_layers && status == FN_OK; i++) {
        const struct fn_layer *layer = &network->layers[i];
        const struct fn_layer_params *at = &pack->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        if (packing->winograd[i])
            fn_winograd_pack(layer, model->params[i].weights, pack->weights + at->weights);
        else
            pack_weights(layer, model->params[i].weights, (size_t)packing->blocks[i],
                         pack->weights + at->weights);
        pack_channels(model, i, packing->unsigned_inputs,
                      pack->channels + (size_t)at->channels * FN_LANES);
        if (is_ordered(network, packing, i))
            status = order_weights(layer, count_blocks(layer, 1), pack->weights + at->weights,
                                   pack->order + at->order, err);
    }
    if (status != FN_OK) return status;
    *ret_pack = FN_TAKE(pack);
    return FN_OK;
}

void fn_pack_free(struct fn_pack *pack) {
    if (!pack) return;
    free(pack->weights);
    free(pack->channels);
    free(pack->order);
    free(pack);
}
