/* SPDX-License-Identifier: Apache-2.0
 *
 * in_turn.h -- quantize layer after layer, each by what those before it make of the pictures. */
#ifndef FN_IN_TURN_H
#define FN_IN_TURN_H

#include "model/quantize/quantize.h"

#define FN_IN_TURN_PICTURES 256 /* spread over all; more would cost memory and change little */

/* The pictures of `all` that are looked at: pixels owned by the caller. */
FN_MUST fn_status fn_in_turn_choose(const uint8_t *all, size_t n, uint8_t **ret_crops,
                                    size_t *ret_n, struct fn_error *err);

struct fn_in_turn {
    const struct fn_source *source; /* all borrowed */
    struct fn_quantize_plan plan;   /* with corrections: those are taken */
    const uint8_t *crops;           /* [n][160][160][3] */
    size_t n;
    int n_threads;
    bool jointly;                       /* round weights together (joint_rounding.h) */
    const struct fn_float_means *means; /* choose corrections by these; or NULL */
};

/* As fn_quantize(). ret_corrections: filled when `means` are given; made by the caller. The same on
 * every machine for the same pictures, scales, frac_bits and corrections. */
FN_MUST fn_status fn_quantize_in_turn(const struct fn_in_turn *how, struct fn_model_draft *draft,
                                      struct fn_corrections *ret_corrections, struct fn_error *err);

#endif
