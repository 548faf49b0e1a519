/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.h -- a model's parameters in the layout of kernels/params.h. */
#ifndef FN_OPENCL_PACK_H
#define FN_OPENCL_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"
#include "engine/opencl/plan.h"
#include "kernels/params.h"

/* Host copies of what goes to the device; owned. */
struct fn_pack {
    struct fn_layer_params layers[FN_MAX_LAYERS];
    int8_t *weights;
    size_t weights_size; /* bytes */
    int32_t *channels;
    size_t n_channels; /* int32s */
    int32_t *order;
    size_t n_order; /* int32s */
};

/* How a family wants the parameters. */
struct fn_packing {
    int blocks[FN_MAX_LAYERS];    /* of 16 output channels that share a work-item, by layer; >= 1 */
    bool winograd[FN_MAX_LAYERS]; /* by layer: weights of winograd.h */
    bool ordered;                 /* quads in the order of order.h, where inputs are unsigned */
    bool unsigned_inputs; /* kernels add 128 to signed inputs: the bias takes it off again */
};

/* FN_NO_MEMORY, or FN_USAGE when an offset exceeds an int32. */
FN_MUST fn_status fn_pack_make(const struct fn_model *model, const struct fn_plan *plan,
                               const struct fn_packing *packing, struct fn_pack **ret_pack,
                               struct fn_error *err);
/* NULL is a no-op. */
void fn_pack_free(struct fn_pack *pack);

#endif
