/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h -- where each tensor lies in the one buffer that holds all activations. */
#ifndef FN_OPENCL_PLAN_H
#define FN_OPENCL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/network.h"
#include "engine/opencl/schedule.h"

/* Sizes and offsets are bytes and fit an int32. */
struct fn_plan {
    int32_t arena_size;
    int32_t zeros_size; /* the arena's first bytes, never written */
    int32_t
        offset[FN_MAX_TENSORS];    /* of the first pixel: [max_batch][height][width + gap][pitch] */
    int32_t gap[FN_MAX_TENSORS];   /* zero pixels behind each row and before the first */
    int32_t pitch[FN_MAX_TENSORS]; /* channels rounded up to a multiple of FN_QUAD */
    int32_t row[FN_MAX_TENSORS];   /* bytes of one row, its gap included */
    int32_t picture[FN_MAX_TENSORS]; /* bytes of one picture */
};

/* Plan for batches of up to max_batch. Tensors that are never alive at the same time share bytes,
 * unless keep_tensors. FN_USAGE when the arena would exceed what an int32 offset reaches. */
FN_MUST fn_status fn_plan_make(const struct fn_network *network, const struct fn_schedule *schedule,
                               int max_batch, bool keep_tensors, struct fn_plan *ret_plan,
                               struct fn_error *err);

#endif
