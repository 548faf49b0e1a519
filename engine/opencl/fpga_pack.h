/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_pack.h -- a model's parameters in the layout of kernels/fpga_params.h. */
#ifndef FN_OPENCL_FPGA_PACK_H
#define FN_OPENCL_FPGA_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"
#include "engine/opencl/fpga_layout.h"

/* Host copies of what goes to the device; owned. */
struct fn_fpga_pack {
    struct fn_fpga_layer layers[FN_MAX_LAYERS];
    int8_t *weights;
    size_t used_weights; /* bytes, whole bursts */
    size_t weights_size; /* the same, but at least one burst */
    int32_t *numbers;
    size_t n_numbers;           /* int32s, at least one */
    size_t max_vectors;         /* tokens between two stages of the largest layer and batch */
    size_t max_sums;            /* ... after the array */
    int32_t accumulators_pitch; /* int32s from one picture to the next */
};

/* One layer's record, all but where its parameters lie; sizes->vec and lane are all it asks for. */
void fn_fpga_pack_describe(const struct fn_model *model, const struct fn_fpga_layout *layout,
                           const struct fn_fpga_sizes *sizes, int index,
                           struct fn_fpga_layer *ret_layer);
/* FN_USAGE when a program of these sizes cannot run the layer: see fn_fpga_pack_make(). */
FN_MUST fn_status fn_fpga_pack_check(const struct fn_layer *layer, const struct fn_fpga_layer *p,
                                     const struct fn_fpga_sizes *sizes, int max_batch,
                                     struct fn_error *err);

/* FN_USAGE names the layer whose window or input rows exceed what the program was compiled for, or
 * that takes more cycles than an int32 counts; FN_NO_MEMORY. */
FN_MUST fn_status fn_fpga_pack_make(const struct fn_model *model,
                                    const struct fn_fpga_layout *layout,
                                    const struct fn_fpga_sizes *sizes, int max_batch,
                                    struct fn_fpga_pack **ret_pack, struct fn_error *err);
/* NULL is a no-op. */
void fn_fpga_pack_free(struct fn_fpga_pack *pack);

#endif
