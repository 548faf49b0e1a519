/* SPDX-License-Identifier: Apache-2.0
 *
 * array.c -- see array.h. */
#include "model/plan/array.h"

#include <math.h>

static double groups(int64_t things, int size) {
    int64_t whole = (things + size - 1) / size;
    return (double)whole;
}

static double clocks_of(const struct fn_array *array, const struct fn_work *work) {
    int64_t positions = (int64_t)work->out_height * work->out_width;
    double taps = (double)work->kernel_h * work->kernel_w;
    double blocks = groups(positions, array->pixels) * groups(work->out_channels, array->lane);
    switch (work->kind) {
    case FN_WORK_CONV:
        return blocks * (groups(work->in_channels, array->vec) * taps + array->drain);
    case FN_WORK_POOL:
        /* No products: a streamed array takes `vec` channels a clock, as they come. */
        if (array->flow == FN_FLOW_STREAMED)
            return (double)positions * groups(work->out_channels, array->vec) * taps;
        return blocks * (taps + array->drain);
    case FN_WORK_ADD:
        return blocks * (1 + array->drain);
    }
    return 0;
}

static double bytes_of(const struct fn_array *array, const struct fn_work *work, int batch) {
    double in = (double)work->in_height * work->in_width * work->in_channels;
    double out = (double)work->out_height * work->out_width * work->out_channels;
    double weights = (double)work->weights;
    if (work->kind == FN_WORK_ADD) return batch * 3 * out;
    if (array->flow == FN_FLOW_TILED) {
        double tiles = fmax(1, ceil(in / array->tile));
        return batch * (weights * tiles + in + out + (double)work->residual);
    }
    double passes = work->kind == FN_WORK_CONV ? groups(work->out_channels, array->lane) : 1;
    return weights + batch * (in * passes + out + (double)work->residual);
}

void fn_array_cost(const struct fn_array *array, const struct fn_work *work, int batch,
                   struct fn_cost *ret) {
    ret->clocks = batch * clocks_of(array, work);
    ret->bytes = bytes_of(array, work, batch);
    ret->seconds =
        fmax(ret->clocks / array->hertz, ret->bytes / array->bytes_per_second) + array->launch;
    ret->utilisation = batch * (double)fn_work_macs(work) /
                       (fn_array_products(array) * array->hertz * ret->seconds);
}

void fn_array_total(const struct fn_array *array, const struct fn_work *works, int n_works,
                    int batch, struct fn_cost *ret) {
    *ret = (struct fn_cost){0};
    double macs = 0;
    for (int i = 0; i < n_works; i++) {
        struct fn_cost cost;
        fn_array_cost(array, &works[i], batch, &cost);
        ret->clocks += cost.clocks;
        ret->bytes += cost.bytes;
        ret->seconds += cost.seconds;
        macs += batch * (double)fn_work_macs(&works[i]);
    }
    ret->utilisation = macs / (fn_array_products(array) * array->hertz * ret->seconds);
}
