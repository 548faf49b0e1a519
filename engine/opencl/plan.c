/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c -- pitches, lives and the zeros of the arena; arena.c finds the places. For the real
 * network that takes 571,768 bytes a picture; each tensor in its own place would take 3.3 MB. */
#include "engine/opencl/plan.h"

#include <stddef.h>

#include "engine/opencl/arena.h"
#include "kernels/params.h"

#define ALIGNMENT 64
#define SLACK     FN_LANES /* kernels may read, never use, so much behind a tensor */

static int64_t round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* Steps that write and read a tensor; the layers of one run at once. The picture is there before
 * step 0. */
static void measure_lives(const struct fn_network *network, const struct fn_schedule *schedule,
                          bool keep_tensors, struct fn_life *lives) {
    for (int i = 0; i < network->n_tensors; i++) {
        lives[i].first = keep_tensors || i == 0 ? -1 : schedule->n_steps;
        lives[i].last = keep_tensors ? schedule->n_steps : -1;
    }
    for (int step = 0; step < schedule->n_steps; step++)
        for (int member = 0; member < schedule->steps[step].n; member++) {
            const struct fn_layer *layer = &network->layers[schedule->steps[step].layers[member]];
            const int used[] = {layer->input, layer->output, layer->residual};
            for (size_t k = 0; k < sizeof used / sizeof used[0]; k++) {
                if (used[k] < 0) continue;
                struct fn_life *life = &lives[used[k]];
                if (step < life->first) life->first = step;
                if (step > life->last) life->last = step;
            }
        }
}

/* The widest padding of a tensor's readers. What is added to a layer's output is laid out as the
 * output is, so a chain of blocks shares the widest gap of all. */
static void measure_gaps(const struct fn_network *network, struct fn_plan *plan) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_CONV && plan->gap[layer->input] < layer->pad_w)
            plan->gap[layer->input] = layer->pad_w;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < network->n_layers; i++) {
            const struct fn_layer *layer = &network->layers[i];
            if (layer->residual < 0 || plan->gap[layer->residual] == plan->gap[layer->output])
                continue;
            int32_t *a = &plan->gap[layer->residual], *b = &plan->gap[layer->output];
            *a = *b = *a > *b ? *a : *b;
            changed = true;
        }
    }
}

/* Zeros for a kernel's row of positions (conv.cl.h), or two of a tile (winograd.cl.h), of the
 * deepest padded input. */
static int64_t measure_zeros(const struct fn_network *network, const struct fn_plan *plan) {
    int64_t most = ALIGNMENT;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        int64_t size = (int64_t)(layer->kernel_w + 1) * plan->pitch[layer->input];
        if (layer->op == FN_OP_CONV && size > most) most = size;
    }
    return round_up(most, ALIGNMENT);
}

fn_status fn_plan_make(const struct fn_network *network, const struct fn_schedule *schedule,
                       int max_batch, bool keep_tensors, struct fn_plan *ret_plan,
                       struct fn_error *err) {
    struct fn_plan plan = {0};
    struct fn_life lives[FN_MAX_TENSORS] = {0};
    measure_lives(network, schedule, keep_tensors, lives);
    measure_gaps(network, &plan);
    for (int i = 0; i < network->n_tensors; i++) {
        const struct fn_tensor *t = &network->tensors[i];
        int64_t pitch = round_up(t->channels, FN_QUAD), row = pitch * (t->width + plan.gap[i]);
        int64_t picture = row * t->height;
        if (picture > INT32_MAX / max_batch)
            return fn_fail(err, FN_USAGE, "tensor '%s' of %d pictures exceeds 2 GiB", t->name,
                           max_batch);
        int64_t pixels = (int64_t)t->height * t->width * max_batch;
        if (pixels * t->width > UINT32_MAX || pixels * t->height > UINT32_MAX)
            return fn_fail(err, FN_USAGE, "tensor '%s' of %d pictures has %lld pixels, too many",
                           t->name, max_batch, (long long)pixels);
        plan.pitch[i] = (int32_t)pitch;
        plan.row[i] = (int32_t)row;
        plan.picture[i] = (int32_t)picture;
        lives[i].size = round_up(pitch * plan.gap[i] + picture * max_batch + SLACK, ALIGNMENT);
    }
    int64_t zeros = measure_zeros(network, &plan);
    int64_t end = fn_arena_place(lives, network->n_tensors, zeros);
    if (end > INT32_MAX)
        return fn_fail(err, FN_USAGE, "the activations of %d pictures exceed 2 GiB", max_batch);
    for (int i = 0; i < network->n_tensors; i++)
        plan.offset[i] = (int32_t)(lives[i].offset + (int64_t)plan.pitch[i] * plan.gap[i]);
    plan.zeros_size = (int32_t)zeros;
    plan.arena_size = (int32_t)end;
    *ret_plan = plan;
    return FN_OK;
}
