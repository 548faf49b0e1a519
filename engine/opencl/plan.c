/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c -- pitches, lives and the zeros of the arena; arena.c finds the places. For the real
 * network that takes 571,072 bytes a picture, where 569,184 are alive at once at the worst moment;
 * each tensor in its own place would take 3.3 MB. */
#include "engine/opencl/plan.h"

#include <stddef.h>

#include "engine/opencl/arena.h"
#include "kernels/params.h"

#define ALIGNMENT 64
#define SLACK     FN_LANES /* kernels may read, never use, so much behind a tensor */

static int64_t round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* Layers that write and read a tensor; the picture is there before layer 0. */
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

/* Zeros for a kernel's row of positions (conv.cl.h) of the deepest padded input. */
static int64_t measure_zeros(const struct fn_network *network, const struct fn_plan *plan) {
    int64_t most = ALIGNMENT;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        int64_t size = (int64_t)layer->kernel_w * plan->pitch[layer->input];
        if (layer->op == FN_OP_CONV && size > most) most = size;
    }
    return round_up(most, ALIGNMENT);
}

fn_status fn_plan_make(const struct fn_network *network, int max_batch, bool keep_tensors,
                       struct fn_plan *ret_plan, struct fn_error *err) {
    struct fn_plan plan = {0};
    struct fn_life lives[FN_MAX_TENSORS] = {0};
    measure_lives(network, keep_tensors, lives);
    for (int i = 0; i < network->n_tensors; i++) {
        const struct fn_tensor *t = &network->tensors[i];
        int64_t pitch = round_up(t->channels, FN_QUAD), picture = pitch * t->height * t->width;
        if (picture > INT32_MAX / max_batch)
            return fn_fail(err, FN_USAGE, "tensor '%s' of %d pictures exceeds 2 GiB", t->name,
                           max_batch);
        plan.pitch[i] = (int32_t)pitch;
        plan.picture[i] = (int32_t)picture;
        lives[i].size = round_up(picture * max_batch + SLACK, ALIGNMENT);
    }
    int64_t zeros = measure_zeros(network, &plan);
    int64_t end = fn_arena_place(lives, network->n_tensors, zeros);
    if (end > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the activations of %d pictures exceed 2 GiB", max_batch);
    for (int i = 0; i < network->n_tensors; i++) plan.offset[i] = (int32_t)lives[i].offset;
    plan.zeros_size = (int32_t)zeros;
    plan.arena_size = (int32_t)end;
    *ret_plan = plan;
    return FN_OK;
}
