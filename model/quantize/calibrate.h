/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate.h -- choose the fractional bits of every activation by least squared error over all
 * calibration pictures.
 *
 * Deterministic on one CPU: errors are summed within a picture in the order of values and over
 * pictures in their order, whatever the number of threads. */
#ifndef FN_CALIBRATE_H
#define FN_CALIBRATE_H

#include "model/commands/progress.h"
#include "model/quantize/float_net.h"

/* f of a tensor that is zero on every picture, about which nothing is known: 0...7.9, the range of
 * most of the others. */
#define FN_FRAC_SILENT 4

/* Sum over i of (x[i] - q * 2^-f)^2, q = floor(x[i] * 2^f + 1/2) clamped to 0...127 or, signed,
 * -128...127. x finite. */
double fn_calibrate_error(const float *x, size_t n, int f, bool is_signed);

/* The largest f in FN_FRAC_X_MIN...MAX at which neither `low` nor `high` is clamped (the smallest
 * when both are at all). The error never falls below this f, because its grid holds the coarser. */
int fn_calibrate_widest(double low, double high, bool is_signed);

struct fn_calibration {
    int8_t frac_bits[FN_MAX_TENSORS]; /* by tensor */
    float *embeddings;                /* [n][embedding_size] of the float network, owned */
};

/* Run all crops ([n][160][160][3]) through the net. A pool's tensor of its own takes the f of its
 * input; the picture's f is that of the preprocessing. */
FN_MUST fn_status fn_calibrate(const struct fn_network *network, const struct fn_float_net *net,
                               enum fn_preprocessing preprocessing, const uint8_t *crops, size_t n,
                               int n_threads, struct fn_calibration *ret_calibration,
                               struct fn_error *err);

#endif
