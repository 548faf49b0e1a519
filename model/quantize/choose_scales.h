/* SPDX-License-Identifier: Apache-2.0
 *
 * choose_scales.h -- the scale of each channel of the activations (equalise.h) by least squared
 * error over the calibration pictures (clipping counts more), given every tensor's f. */
#ifndef FN_CHOOSE_SCALES_H
#define FN_CHOOSE_SCALES_H

#include "model/quantize/equalise.h"
#include "model/quantize/float_pass.h"

/* frac_bits: by tensor. Channels that share a scale are judged together, all their tensors in the
 * network's own units. A channel that no step makes better, or that is always zero, keeps step 0.
 */
FN_MUST fn_status fn_choose_scales(const struct fn_float_pass *pass, const int8_t *frac_bits,
                                   struct fn_equalisation *ret, struct fn_error *err);

#endif
