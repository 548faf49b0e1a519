/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_pack.c -- the layer table, and weights in the order in which the array uses them. Lanes and
 * channels that do not exist have weights, biases and shifts of zero, so kernels need not know of
 * them. Everything a kernel would have to divide for is worked out here. */
#include "engine/opencl/fpga_pack.h"

#include <stdlib.h>

#include "engine/cleanup.h"
#include "engine/opencl/aligned.h"

FN_DEFINE_CLEANUP(struct fn_fpga_pack *, fn_fpga_pack_free)

static int32_t divide_up(int32_t value, int32_t by) {
    return (value + by - 1) / by;
}

/* Window and input of one layer. A head is a convolution as large as its input, whose weights are
 * the same at every position. */
static void describe_input(const struct fn_network *network, const struct fn_fpga_layout *layout,
                           const struct fn_layer *layer, struct fn_fpga_layer *p) {
    const struct fn_tensor *in = &network->tensors[layer->input];
    bool head = layer->op == FN_OP_HEAD, pool = layer->op == FN_OP_POOL;
    int32_t planes = layout->picture[layer->input] / layout->plane[layer->input];
    p->input = layout->offset[layer->input];
    p->in_height = in->height;
    p->in_width = in->width;
    p->in_row = layout->row[layer->input];
    p->in_plane = layout->plane[layer->input];
    p->in_picture = layout->picture[layer->input];
    p->in_planes = pool ? 1 : planes;
    p->block_plane = pool ? p->in_plane : 0;
    p->kernel_h = head ? in->height : layer->kernel_h;
    p->kernel_w = head ? in->width : layer->kernel_w;
    p->stride = head ? 1 : layer->stride;
    p->pad_h = layer->pad_h;
    p->pad_w = layer->pad_w;
    p->row_step = p->stride * p->in_row;
    p->band_plane = p->kernel_h * p->in_row;
    p->band = p->in_planes * p->band_plane;
    p->vectors = p->kernel_h * p->kernel_w * p->in_planes;
    p->weight_vectors = pool ? 0 : head ? planes : p->vectors;
}

/* The planes that the layer writes, and what is added to them. */
static void describe_output(const struct fn_network *network, const struct fn_fpga_layout *layout,
                            const struct fn_fpga_sizes *sizes, const struct fn_layer *layer,
                            struct fn_fpga_layer *p) {
    int32_t planes = divide_up(layer->out_channels, sizes->vec);
    p->out_height = p->out_width = 1;
    p->residual = -1;
    if (layer->op != FN_OP_HEAD) {
        const struct fn_tensor *out = &network->tensors[layer->output];
        const int32_t *place = layout->place[layer->output] + layer->output_offset;
        planes = (place[layer->out_channels] - place[0] + sizes->vec - 1) / sizes->vec;
        p->out_height = out->height;
        p->out_width = out->width;
        p->out_row = layout->row[layer->output];
        p->out_plane = layout->plane[layer->output];
        p->out_picture = layout->picture[layer->output];
        p->output = layout->offset[layer->output] + place[0] / sizes->vec * p->out_plane;
    }
    if (layer->op == FN_OP_CONV && layer->residual >= 0) {
        p->residual =
            layout->offset[layer->residual] + layout->place[layer->residual][layer->output_offset] /
                                                  sizes->vec * layout->plane[layer->residual];
        p->residual_picture = layout->picture[layer->residual];
    }
    p->planes = layer->op == FN_OP_POOL ? 1 : sizes->lane / sizes->vec;
    p->blocks = divide_up(planes, p->planes);
    p->last_planes = planes - (p->blocks - 1) * p->planes;
    p->block_step = p->planes * p->out_plane;
    p->row_vectors = p->out_width * p->vectors;
}

void fn_fpga_pack_describe(const struct fn_model *model, const struct fn_fpga_layout *layout,
                           const struct fn_fpga_sizes *sizes, int index,
                           struct fn_fpga_layer *ret_layer) {
    const struct fn_layer *layer = &model->network.layers[index];
    struct fn_fpga_layer *p = ret_layer;
    *p = (struct fn_fpga_layer){0};
    p->op = layer->op == FN_OP_POOL   ? FN_FPGA_POOL
            : layer->op == FN_OP_HEAD ? FN_FPGA_HEAD
                                      : FN_FPGA_CONV;
    describe_input(&model->network, layout, layer, p);
    describe_output(&model->network, layout, sizes, layer, p);
    p->low = layer->relu ? 0 : -128;
    if (layer->op == FN_OP_POOL) p->pool_shift = fn_model_pool_shift(model, index);
}

/* What a bitstream cannot do must be said before it does it wrongly. */
fn_status fn_fpga_pack_check(const struct fn_layer *layer, const struct fn_fpga_layer *p,
                             const struct fn_fpga_sizes *sizes, int max_batch,
                             struct fn_error *err) {
    if (p->band > sizes->band)
        return fn_fail(err, FN_USAGE,
                       "layer '%s' reads rows of %d bursts, this program has room for %d "
                       "(FN_FPGA_BAND)",
                       layer->name, p->band, sizes->band);
    if (p->weight_vectors > sizes->weights)
        return fn_fail(err, FN_USAGE,
                       "layer '%s' has windows of %d vectors, this program has room for %d "
                       "(FN_FPGA_WEIGHTS)",
                       layer->name, p->weight_vectors, sizes->weights);
    int64_t parts = (int64_t)sizes->lane * sizes->vec / FN_FPGA_BURST;
    int64_t row = p->row_vectors > p->band ? p->row_vectors : p->band;
    int64_t used = (int64_t)max_batch * p->out_height * (row + FN_FPGA_GAP);
    int64_t block = used + parts * sizes->weights + FN_FPGA_GAP;
    if (block * (p->blocks + 1) > INT32_MAX)
        return fn_fail(err, FN_USAGE, "layer '%s' of %d pictures takes more cycles than 2^31",
                       layer->name, max_batch);
    return FN_OK;
}

/* Fill in where each layer's parameters will lie, and all sizes. */
static void measure(const struct fn_network *network, const struct fn_fpga_sizes *sizes,
                    int max_batch, struct fn_fpga_pack *pack) {
    size_t vector = (size_t)sizes->lane * (size_t)sizes->vec, batch = (size_t)max_batch;
    pack->accumulators_pitch = sizes->lane;
    for (int i = 0; i < network->n_layers; i++) {
        struct fn_fpga_layer *p = &pack->layers[i];
        size_t sums = (size_t)p->blocks * batch * (size_t)p->out_height * (size_t)p->out_width;
        if (sums > pack->max_sums) pack->max_sums = sums;
        if (sums * (size_t)p->vectors > pack->max_vectors)
            pack->max_vectors = sums * (size_t)p->vectors;
        p->weights = (int32_t)(pack->weights_size / FN_FPGA_BURST);
        p->numbers = (int32_t)(pack->n_numbers / (2 * (size_t)sizes->lane));
        if (p->op == FN_FPGA_POOL) continue;
        pack->weights_size += (size_t)p->blocks * (size_t)p->weight_vectors * vector;
        pack->n_numbers += (size_t)p->blocks * 2 * (size_t)sizes->lane;
        if (p->op == FN_FPGA_HEAD) pack->accumulators_pitch = p->blocks * sizes->lane;
    }
}

/* Position of an output channel among the lanes of its layer's blocks. */
static size_t lane_of(const struct fn_fpga_layout *layout, const struct fn_layer *layer, int oc) {
    if (layer->output < 0) return (size_t)oc;
    const int32_t *place = layout->place[layer->output] + layer->output_offset;
    return (size_t)(place[oc] - place[0]);
}

/* weights: [oc][tap][ic] to [block][tap][plane][lane][vec]. */
static void pack_weights(const struct fn_layer *layer, const struct fn_fpga_layout *layout,
                         const struct fn_fpga_sizes *sizes, const struct fn_fpga_layer *p,
                         const int8_t *weights, int8_t *ret_packed) {
    size_t vec = (size_t)sizes->vec, lanes = (size_t)sizes->lane, in = (size_t)layer->in_channels;
    size_t planes = (size_t)p->in_planes, taps = (size_t)p->weight_vectors / planes;
    for (int oc = 0; oc < layer->out_channels; oc++) {
        size_t at = lane_of(layout, layer, oc);
        int8_t *block = ret_packed + at / lanes * (size_t)p->weight_vectors * lanes * vec;
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t ic = 0; ic < in; ic++) {
                size_t from = (size_t)layout->place[layer->input][ic];
                size_t vector = tap * planes + from / vec;
                block[(vector * lanes + at % lanes) * vec + from % vec] =
                    weights[((size_t)oc * taps + tap) * in + ic];
            }
    }
}

/* [block][bias of every lane][s | r << 8 of every lane]; the head has neither shift. */
static void pack_numbers(const struct fn_model *model, const struct fn_fpga_layout *layout,
                         int lanes, int index, int32_t *ret_packed) {
    const struct fn_layer *layer = &model->network.layers[index];
    for (int oc = 0; oc < layer->out_channels; oc++) {
        size_t at = lane_of(layout, layer, oc), n = (size_t)lanes;
        int32_t *block = ret_packed + at / n * 2 * n;
        block[at % n] = model->params[index].bias[oc];
        if (layer->op != FN_OP_CONV) continue;
        int r = layer->residual >= 0 ? fn_model_residual_shift(model, index, oc) : 0;
        block[n + at % n] = fn_model_shift(model, index, oc) | r << 8;
    }
}

static fn_status allocate(struct fn_fpga_pack *pack, struct fn_error *err) {
    if (pack->weights_size / FN_FPGA_BURST > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the packed weights exceed 128 GiB");
    pack->used_weights = pack->weights_size;
    /* A network of pools alone has none, but a buffer must have something in it. */
    if (pack->weights_size == 0) pack->weights_size = FN_FPGA_BURST;
    if (pack->n_numbers == 0) pack->n_numbers = 1;
    pack->weights = fn_aligned_calloc(pack->weights_size);
    pack->numbers = fn_aligned_calloc(pack->n_numbers * sizeof *pack->numbers);
    if (pack->weights && pack->numbers) return FN_OK;
    return fn_fail(err, FN_NO_MEMORY, "no memory to pack %zu bytes of weights", pack->weights_size);
}

fn_status fn_fpga_pack_make(const struct fn_model *model, const struct fn_fpga_layout *layout,
                            const struct fn_fpga_sizes *sizes, int max_batch,
                            struct fn_fpga_pack **ret_pack, struct fn_error *err) {
    FN_CLEANUP(fn_fpga_pack_free) struct fn_fpga_pack *pack = fn_aligned_calloc(sizeof *pack);
    if (!pack) return fn_fail(err, FN_NO_MEMORY, "no memory to pack the weights");
    const struct fn_network *network = &model->network;
    fn_status status = FN_OK;
    for (int i = 0; i < network->n_layers && status == FN_OK; i++) {
        fn_fpga_pack_describe(model, layout, sizes, i, &pack->layers[i]);
        status = fn_fpga_pack_check(&network->layers[i], &pack->layers[i], sizes, max_batch, err);
    }
    if (status != FN_OK) return status;
    measure(network, sizes, max_batch, pack);
    status = allocate(pack, err);
    if (status != FN_OK) return status;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_fpga_layer *p = &pack->layers[i];
        if (p->op == FN_FPGA_POOL) continue;
        pack_weights(&network->layers[i], layout, sizes, p, model->params[i].weights,
                     pack->weights + (size_t)p->weights * FN_FPGA_BURST);
        pack_numbers(model, layout, sizes->lane, i,
                     pack->numbers + (size_t)p->numbers * 2 * (size_t)sizes->lane);
    }
    *ret_pack = FN_TAKE(pack);
    return FN_OK;
}

void fn_fpga_pack_free(struct fn_fpga_pack *pack) {
    if (!pack) return;
    free(pack->weights);
    free(pack->numbers);
    free(pack);
}
