/* SPDX-License-Identifier: Apache-2.0
 *
 * correct_bias.h -- take the mean of the quantization error off, by the biases.
 *
 * Rounding and clipping of a layer's inputs and weights shift the mean of what it computes, and the
 * shifts of 130 layers add up. The shift of each output channel over the calibration pictures is
 * W * mean(x) - Wq * mean(xq), plus that of what is added to it; it is taken off the bias in units
 * of 1/64 of the output's step, so that small integers in a file (frac_bits.h) can say it. */
#ifndef FN_CORRECT_BIAS_H
#define FN_CORRECT_BIAS_H

#include "engine/model_writer.h"
#include "model/quantize/equalise.h"
#include "model/quantize/float_pass.h"

#define FN_CORRECTION_MAX (1 << 24) /* units; far beyond any that makes sense */

/* By layer and output channel; owned. */
struct fn_corrections {
    int32_t *units[FN_MAX_LAYERS]; /* [oc], NULL for pools */
};

/* All zero. */
FN_MUST fn_status fn_corrections_new(const struct fn_network *network, struct fn_corrections *ret,
                                     struct fn_error *err);
void fn_corrections_done(struct fn_corrections *corrections);

/* A unit of the layer's corrections is 2^-this (of the head, which has no output tensor, in its
 * input's). */
int fn_correction_frac_bits(const struct fn_layer *layer, const int8_t *frac_bits);

/* draft: quantized with these scales, without corrections. */
FN_MUST fn_status fn_correct_bias(const struct fn_float_pass *pass, const struct fn_source *source,
                                  const struct fn_equalisation *scales,
                                  const struct fn_model_draft *draft, struct fn_corrections *ret,
                                  struct fn_error *err);

#endif
