/* SPDX-License-Identifier: Apache-2.0
 *
 * correct_bias.h -- take the mean of the quantization error off, by the biases.
 *
 * Rounding and clipping shift the mean of what a layer computes, and the shifts of 130 layers add
 * up. So each output channel's mean over the calibration pictures is brought to that of the float
 * network, layer after layer, each for what the corrected ones before it really give. A correction
 * is in units of 1/64 of the output's step, so that small integers in a file (frac_bits.h) can say
 * it. */
#ifndef FN_CORRECT_BIAS_H
#define FN_CORRECT_BIAS_H

#include "engine/model.h"
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

/* What the float network's channels are before ReLU, on average over all pictures and positions, in
 * its own units. By layer and output channel; owned. */
struct fn_float_means {
    double *means[FN_MAX_LAYERS]; /* [oc], NULL for pools */
};
FN_MUST fn_status fn_float_means_find(const struct fn_float_pass *pass,
                                      const struct fn_source *source, struct fn_float_means *ret,
                                      struct fn_error *err);
void fn_float_means_done(struct fn_float_means *means);

static inline void fn_float_means_done_cleanup(struct fn_float_means *means) {
    fn_float_means_done(means);
}

/* Units that bring the mean accumulators of a layer, quantized without corrections, to the float
 * network's means. scales (or NULL) and model: what it was quantized with. */
void fn_correct_bias(const struct fn_equalisation *scales, const struct fn_model *model, int layer,
                     const double *float_means, const double *accumulators, int32_t *ret_units);

#endif
