/* SPDX-License-Identifier: Apache-2.0
 *
 * split.h -- how the steps of a run are divided into work-items: enough for every core, each large
 * enough to go over its weights and pixels in an order that suits the caches. No bit depends on it.
 */
#ifndef FN_OPENCL_SPLIT_H
#define FN_OPENCL_SPLIT_H

#include "engine/opencl/pack.h"
#include "engine/opencl/plan.h"
#include "engine/opencl/schedule.h"

#define FN_MAX_STEPS ((size_t)2 * FN_MAX_LAYERS) /* of a share; the head takes two */

/* All borrowed. */
struct fn_split_facts {
    const struct fn_network *network;
    const struct fn_schedule *schedule;
    const struct fn_plan *plan;
    const struct fn_packing *packing;
    const int *kinds; /* by layer: how a convolution is computed, FN_STEP_CONV... */
    const int *tile;  /* [FN_STEP_KINDS]: pixels that a work-item computes at once */
    int compute_units;
    int n_shares; /* of the run's pictures, 1...FN_MAX_SHARES */
};

static inline int fn_divide_up(int value, int by) {
    return value / by + (value % by > 0);
}

/* Pictures of a share: of n, so that no two shares differ by more than one. */
static inline int fn_split_pictures(int n, int n_shares, int share) {
    return n / n_shares + (share < n % n_shares);
}

/* The steps of a run of n pictures, [share][step]; returns how many steps each share has. */
int fn_split_make(const struct fn_split_facts *facts, int n,
                  struct fn_step_params ret_steps[FN_MAX_SHARES * FN_MAX_STEPS]);

#endif
