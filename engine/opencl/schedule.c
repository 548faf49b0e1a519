/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.c -- layers by their depth: the longest chain of layers that leads to them. The 140
 * layers of the real network become 100 steps. */
#include "engine/opencl/schedule.h"

/* ret_depths: by layer, from 0. Returns how many there are. */
static int measure_depths(const struct fn_network *network, int *ret_depths) {
    int ready[FN_MAX_TENSORS] = {0}; /* depth from which on a tensor may be read */
    int n_depths = 0;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        int depth = ready[layer->input];
        if (layer->residual >= 0 && ready[layer->residual] > depth) depth = ready[layer->residual];
        ret_depths[i] = depth++;
        if (layer->output >= 0 && ready[layer->output] < depth) ready[layer->output] = depth;
        if (n_depths < depth) n_depths = depth;
    }
    return n_depths;
}

static bool may_join(const struct fn_network *network, const int *kinds, const struct fn_step *step,
                     int layer) {
    return step->n < FN_MEMBERS && network->layers[layer].op == FN_OP_CONV &&
           network->layers[step->layers[0]].op == FN_OP_CONV &&
           kinds[step->layers[0]] == kinds[layer];
}

/* Append a layer to a step from `first` on, or to a new one. */
static void place(const struct fn_network *network, const int *kinds, int first, int layer,
                  struct fn_schedule *schedule) {
    int at = first;
    while (at < schedule->n_steps && !may_join(network, kinds, &schedule->steps[at], layer)) at++;
    if (at == schedule->n_steps) schedule->steps[schedule->n_steps++].n = 0;
    struct fn_step *step = &schedule->steps[at];
    step->layers[step->n++] = layer;
}

void fn_schedule_make(const struct fn_network *network, const int *kinds,
                      struct fn_schedule *ret_schedule) {
    int depths[FN_MAX_LAYERS] = {0};
    int n_depths = measure_depths(network, depths);
    *ret_schedule = (struct fn_schedule){0};
    for (int depth = 0; depth < n_depths; depth++) {
        int first = ret_schedule->n_steps;
        for (int i = 0; i < network->n_layers; i++)
            if (depths[i] == depth) place(network, kinds, first, i, ret_schedule);
    }
}
