/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_layout.c -- cuts, then planes, then places in the arena. */
#include "engine/opencl/fpga_layout.h"

#include <stdlib.h>

#include "engine/cleanup.h"
#include "engine/opencl/arena.h"

FN_DEFINE_CLEANUP(struct fn_fpga_layout *, fn_fpga_layout_free)

/* While cuts are searched for, place[tensor][channel] is 1 where a branch begins or ends. */
static bool share_cuts(int32_t *a, int32_t *b, int n) {
    bool changed = false;
    for (int c = 0; c <= n; c++) {
        if (a[c] == b[c]) continue;
        a[c] = b[c] = 1;
        changed = true;
    }
    return changed;
}

static void find_cuts(const struct fn_network *network, struct fn_fpga_layout *layout) {
    for (int i = 0; i < network->n_tensors; i++)
        layout->place[i][0] = layout->place[i][network->tensors[i].channels] = 1;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->output < 0) continue;
        layout->place[layer->output][layer->output_offset] = 1;
        layout->place[layer->output][layer->output_offset + layer->out_channels] = 1;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < network->n_layers; i++) {
            const struct fn_layer *layer = &network->layers[i];
            if (layer->output < 0) continue;
            int32_t *out = layout->place[layer->output] + layer->output_offset;
            if (layer->op == FN_OP_POOL)
                changed |= share_cuts(out, layout->place[layer->input], layer->out_channels);
            if (layer->residual >= 0)
                changed |= share_cuts(out, layout->place[layer->residual] + layer->output_offset,
                                      layer->out_channels);
        }
    }
}

/* From cuts to places; returns the tensor's planes. */
static int64_t place_channels(int32_t *place, int channels, int vec) {
    int at = 0;
    for (int c = 0; c <= channels; c++) {
        if (place[c]) at = (at + vec - 1) / vec * vec;
        place[c] = at++;
    }
    return place[channels] / vec;
}

static void measure_lives(const struct fn_network *network, bool keep_tensors,
                          struct fn_life *lives) {
    for (int i = 0; i < network->n_tensors; i++) {
        lives[i].first = keep_tensors || i == 0 ? -1 : network->n_layers;
        lives[i].last = keep_tensors ? network->n_layers : -1;
    }
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        const int used[] = {layer->input, layer->output, layer->residual};
        for (size_t k = 0; k < sizeof used / sizeof used[0]; k++) {
            if (used[k] < 0) continue;
            struct fn_life *life = &lives[used[k]];
            if (i < life->first) life->first = i;
            if (i > life->last) life->last = i;
        }
    }
}

static fn_status place_tensors(const struct fn_network *network, const struct fn_fpga_sizes *sizes,
                               int max_batch, struct fn_life *lives, struct fn_fpga_layout *layout,
                               struct fn_error *err) {
    const int pixels = FN_FPGA_BURST / sizes->vec;
    for (int i = 0; i < network->n_tensors; i++) {
        const struct fn_tensor *t = &network->tensors[i];
        int64_t planes = place_channels(layout->place[i], t->channels, sizes->vec);
        int64_t row = ((int64_t)t->width + pixels - 1) / pixels, plane = row * t->height;
        if (planes * plane > INT32_MAX / max_batch)
            return fn_fail(err, FN_USAGE, "tensor '%s' of %d pictures exceeds 128 GiB", t->name,
                           max_batch);
        layout->row[i] = (int32_t)row;
        layout->plane[i] = (int32_t)plane;
        layout->picture[i] = (int32_t)(planes * plane);
        lives[i].size = planes * plane * max_batch;
    }
    int64_t end = fn_arena_place(lives, network->n_tensors, 0);
    if (end > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the activations of %d pictures exceed 128 GiB", max_batch);
    for (int i = 0; i < network->n_tensors; i++) layout->offset[i] = (int32_t)lives[i].offset;
    layout->arena_size = (int32_t)end;
    return FN_OK;
}

fn_status fn_fpga_layout_make(const struct fn_network *network, const struct fn_fpga_sizes *sizes,
                              int max_batch, bool keep_tensors, struct fn_fpga_layout **ret_layout,
                              struct fn_error *err) {
    FN_CLEANUP(fn_fpga_layout_free) struct fn_fpga_layout *layout = calloc(1, sizeof *layout);
    if (!layout) return fn_fail(err, FN_NO_MEMORY, "no memory for a layout");
    struct fn_life lives[FN_MAX_TENSORS] = {0};
    for (int i = 0; i < network->n_tensors; i++) {
        layout->place[i] =
            calloc((size_t)network->tensors[i].channels + 1, sizeof *layout->place[i]);
        if (!layout->place[i]) return fn_fail(err, FN_NO_MEMORY, "no memory for a layout");
    }
    find_cuts(network, layout);
    measure_lives(network, keep_tensors, lives);
    fn_status status = place_tensors(network, sizes, max_batch, lives, layout, err);
    if (status == FN_OK) *ret_layout = FN_TAKE(layout);
    return status;
}

void fn_fpga_layout_free(struct fn_fpga_layout *layout) {
    if (!layout) return;
    for (int i = 0; i < FN_MAX_TENSORS; i++) free(layout->place[i]);
    free(layout);
}

size_t fn_fpga_byte(const struct fn_fpga_layout *layout, const struct fn_fpga_sizes *sizes,
                    int tensor, int y, int x, int c) {
    size_t vec = (size_t)sizes->vec, place = (size_t)layout->place[tensor][c];
    size_t burst =
        place / vec * (size_t)layout->plane[tensor] + (size_t)y * (size_t)layout->row[tensor];
    return burst * FN_FPGA_BURST + (size_t)x * vec + place % vec;
}
