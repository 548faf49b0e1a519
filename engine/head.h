/* SPDX-License-Identifier: Apache-2.0
 *
 * head.h -- Bottleneck accumulators to the L2-normalised embedding, in double, one fixed order. */
#ifndef FN_HEAD_H
#define FN_HEAD_H

#include <stdint.h>

#include "engine/model.h"

/* v[o] = ldexp(acc[o], -f_in - f_w[o]) (the 1/9 of the average cancels); n = sqrt(sum v^2) in index
 * order without contraction; e[o] = (float)(v[o] / n). FN_NOT_UNIT when n = 0. */
FN_MUST fn_status fn_head_embed(const struct fn_model *model, const int32_t *accumulators,
                                float *ret_embedding, struct fn_error *err);

#endif
