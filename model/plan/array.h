/* SPDX-License-Identifier: Apache-2.0
 *
 * array.h -- how long an array of multipliers takes for a layer: the cost model of the planner.
 *
 * Each clock, `vec` input channels meet `lane` output channels at `pixels` positions. A block is
 * what is finished together: `pixels` positions of `lane` channels; it takes one clock for each
 * kernel position and each `vec` channels (Zhang et al., FPGA 2015, give this form), then `drain`
 * clocks in which nothing is multiplied. Layers take the longer of arithmetic and off-chip traffic,
 * because buffers are doubled, and `launch` on top. Everything computed here is a prediction. */
#ifndef FN_ARRAY_H
#define FN_ARRAY_H

#include "model/plan/work.h"

enum fn_flow {
    FN_FLOW_STREAMED, /* weights once per batch; the input again for every `lane` outputs */
    FN_FLOW_TILED,    /* input once; the weights again for every `tile` bytes of it */
};

struct fn_array {
    int vec, lane, pixels;
    enum fn_flow flow;
    double hertz;
    double bytes_per_second; /* off-chip, as reached */
    double drain;            /* clocks a block */
    double launch;           /* seconds a layer */
    double tile;             /* bytes; FN_FLOW_TILED only */
};

/* Of one layer for one batch. */
struct fn_cost {
    double clocks; /* the array is busy with the layer, waiting for blocks included */
    double bytes;  /* read and written off-chip */
    double seconds;
    double utilisation; /* 0...1: products over what the array could have done in `seconds` */
};

void fn_array_cost(const struct fn_array *array, const struct fn_work *work, int batch,
                   struct fn_cost *ret);

/* All layers: sums, and the utilisation over their whole time. */
void fn_array_total(const struct fn_array *array, const struct fn_work *works, int n_works,
                    int batch, struct fn_cost *ret);

/* Products a clock. */
static inline double fn_array_products(const struct fn_array *array) {
    return (double)array->vec * array->lane * array->pixels;
}

#endif
