/* SPDX-License-Identifier: Apache-2.0
 *
 * pipeline.h -- what the kernels of the family fpga do for a network, counted: the clocks that each
 * stage's loop takes and the bytes that it moves off-chip.
 *
 * Nothing is estimated here. The counts come from the layer table that the host gives to the
 * kernels (engine/opencl/fpga_pack.h) by the same bounds as in kernels/fpga_*.h;
 * tests/unit/test_pipeline.c holds them against the kernels themselves in C simulation. */
#ifndef FN_PIPELINE_H
#define FN_PIPELINE_H

#include "engine/opencl/fpga_layout.h"
#include "model/plan/array.h"

enum fn_stage {
    FN_STAGE_FETCH,
    FN_STAGE_WEIGH,
    FN_STAGE_ARRAY,
    FN_STAGE_FINISH,
    FN_STAGE_WRITE,
    FN_N_STAGES
};
extern const char *const fn_stage_names[FN_N_STAGES]; /* "fetch" and so on */

/* A network on an array. */
struct fn_pipeline {
    struct fn_fpga_sizes sizes; /* vec, lane, band, weights and form; the rest 0 */
    int n_layers;
    struct fn_fpga_layer layers[FN_MAX_LAYERS];
    int64_t macs[FN_MAX_LAYERS]; /* products that a picture needs; the array makes more */
};

/* What a board adds. */
struct fn_pipeline_speed {
    double hertz;
    double bytes_per_second; /* off-chip, as reached */
    double launch;           /* seconds to begin a layer */
};

/* Of one layer for one batch. */
struct fn_pipeline_count {
    int64_t clocks[FN_N_STAGES]; /* iterations, of which each stage starts one a clock */
    int64_t bytes[FN_N_STAGES];  /* off-chip, as they are moved: bursts, padding included */
};

struct fn_model;

/* Whether kernels can be compiled for an array of vec x lane. */
bool fn_pipeline_is_array(int vec, int lane);

/* Describe a model for an array; buffers are of kernels/fpga_params.h's sizes, or larger where the
 * network needs it. form: FN_FPGA_PER_BATCH or FN_FPGA_PER_LAYER. FN_USAGE when there is no such
 * array, or what it would take for batches of max_batch exceeds what kernels count to. */
FN_MUST fn_status fn_pipeline_make(const struct fn_model *model, int vec, int lane, int form,
                                   int max_batch, struct fn_pipeline *ret, struct fn_error *err);

void fn_pipeline_count(const struct fn_pipeline *pipeline, int layer, int pictures,
                       struct fn_pipeline_count *ret);

/* One layer, predicted: stages run at the same time, so the slowest of them sets the pace, or the
 * memory does. Stalls between stages are left out; tests/unit/test_pipeline.c runs the loops clock
 * by clock with FIFOs between them and finds less than 2 %. */
void fn_pipeline_cost(const struct fn_pipeline *pipeline, const struct fn_pipeline_speed *speed,
                      int layer, int pictures, struct fn_cost *ret);
/* All layers: sums, and the utilisation over their whole time. */
void fn_pipeline_total(const struct fn_pipeline *pipeline, const struct fn_pipeline_speed *speed,
                       int pictures, struct fn_cost *ret);

#endif
