/* SPDX-License-Identifier: Apache-2.0
 *
 * split.h -- how one launch is divided into work-items: enough for every core, each large enough to
 * go over its weights and pixels in an order that suits the caches. No bit depends on it. */
#ifndef FN_OPENCL_SPLIT_H
#define FN_OPENCL_SPLIT_H

#include "engine/opencl/pack.h"
#include "engine/opencl/plan.h"
#include "engine/opencl/schedule.h"

/* All borrowed. */
struct fn_split_facts {
    const struct fn_network *network;
    const struct fn_plan *plan;
    const struct fn_packing *packing;
    int compute_units;
};

/* Arguments of conv.cl.h, by member of the step. */
struct fn_split {
    int members[FN_MEMBERS], ends[FN_MEMBERS];
    int spans[FN_MEMBERS], chunks[FN_MEMBERS];
    int n_items;
};

static inline int fn_divide_up(int value, int by) {
    return value / by + (value % by > 0);
}

/* Tiles of `tile` pixels in the output of n pictures. */
int fn_split_tiles(const struct fn_network *network, int layer, int tile, int n);

/* Split a step of convolutions. */
void fn_split_step(const struct fn_split_facts *facts, const struct fn_step *step, int tile, int n,
                   struct fn_split *ret_split);

#endif
