/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c -- the largest tensor first, each at the lowest place where it overlaps no tensor
 * that is alive when it is. For the real network that takes 571,072 bytes a picture, where 569,184
 * are alive at once at the worst moment; each tensor in its own place would take 3.3 MB. */
#include "engine/opencl/plan.h"

#include <stddef.h>

#include "kernels/params.h"

#define ALIGNMENT 64
#define SLACK     FN_LANES /* kernels may read, never use, so much behind a tensor */

struct life {
    int64_t size;
    int64_t offset;  /* -1 until placed */
    int first, last; /* layers that write and read it; the picture is there before layer 0 */
};

static int64_t round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

static void measure_lives(const struct fn_network *network, bool keep_tensors, struct life *lives) {
    for (int i = 0; i < network->n_tensors; i++) {
        lives[i].offset = -1;
        lives[i].first = keep_tensors || i == 0 ? -1 : network->n_layers;
        lives[i].last = keep_tensors ? network->n_layers : -1;
    }
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        const int used[] = {layer->input, layer->output, layer->residual};
        for (size_t k = 0; k < sizeof used / sizeof used[0]; k++) {
            if (used[k] < 0) continue;
            struct life *life = &lives[used[k]];
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

/* The lowest offset from `floor` on where tensor `i` collides with none that is placed. */
static int64_t find_place(const struct life *lives, int n, int i, int64_t floor) {
    int64_t at = floor;
    for (int k = 0; k < n; k++) {
        const struct life *other = &lives[k];
        bool together = other->first <= lives[i].last && lives[i].first <= other->last;
        if (other->offset < 0 || !together) continue;
        if (at >= other->offset + other->size || other->offset >= at + lives[i].size) continue;
        at = other->offset + other->size;
        k = -1; /* a tensor looked at before may be in the way of the new place */
    }
    return at;
}

static int find_largest_unplaced(const struct life *lives, int n) {
    int largest = -1;
    for (int i = 0; i < n; i++)
        if (lives[i].offset < 0 && (largest < 0 || lives[i].size > lives[largest].size))
            largest = i;
    return largest;
}

fn_status fn_plan_make(const struct fn_network *network, int max_batch, bool keep_tensors,
                       struct fn_plan *ret_plan, struct fn_error *err) {
    struct fn_plan plan = {0};
    struct life lives[FN_MAX_TENSORS] = {0};
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
    int64_t zeros = measure_zeros(network, &plan), end = zeros;
    for (int i; (i = find_largest_unplaced(lives, network->n_tensors)) >= 0;) {
        lives[i].offset = find_place(lives, network->n_tensors, i, zeros);
        if (lives[i].offset + lives[i].size > end) end = lives[i].offset + lives[i].size;
        if (end > INT32_MAX)
            return fn_fail(err, FN_USAGE, "the activations of %d pictures exceed 2 GiB", max_batch);
        plan.offset[i] = (int32_t)lives[i].offset;
    }
    plan.zeros_size = (int32_t)zeros;
    plan.arena_size = (int32_t)end;
    *ret_plan = plan;
    return FN_OK;
}
