/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.h -- which layers run side by side: fewer launches, and enough work in each for several
 * cores. */
#ifndef FN_OPENCL_SCHEDULE_H
#define FN_OPENCL_SCHEDULE_H

#include "engine/network.h"
#include "kernels/params.h"

/* Layers that do not need each other. */
struct fn_step {
    int n; /* 1...FN_MEMBERS */
    int layers[FN_MEMBERS];
};

struct fn_schedule {
    int n_steps;
    struct fn_step steps[FN_MAX_LAYERS];
};

/* Order all layers into steps: each after the steps that write what it reads. Layers share a step
 * only when they have the same `kind` (by layer index) and are convolutions. */
void fn_schedule_make(const struct fn_network *network, const int *kinds,
                      struct fn_schedule *ret_schedule);

#endif
