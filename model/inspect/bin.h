/* SPDX-License-Identifier: Apache-2.0
 *
 * bin.h -- the original method's 8-bit numbers: a sign, then seven bits of magnitude of which n are
 * fractional. The names are the original's (xiaoshu: the part after the point).
 *
 * Sign and magnitude, not two's complement, and truncated, not rounded: these strings are for
 * hardware built to that form. The model file uses engine/fixed.h. */
#ifndef FN_BIN_H
#define FN_BIN_H

#include <stddef.h>

#include "engine/status.h"

#define FN_BIN_BITS 8
#define FN_BIN_SIZE (FN_BIN_BITS + 1) /* with the NUL */

/* |x| clamped to [2^-n, 2^(7-n) - 2^-n], then the sign and floor(|x| * 2^n) in seven bits. 0 and
 * -0.0 become the smallest positive step. FN_USAGE when x is not a number or n is outside 0...7. */
FN_MUST fn_status fn_float_to_bin(double x, int n, char ret_bits[FN_BIN_SIZE],
                                  struct fn_error *err);

/* The first n bits after the point, truncated; n + 1 bytes are written. 1 gives all ones, a
 * negative f all zeros. FN_USAGE when f is above 1 or not a number, or n is below 1. */
FN_MUST fn_status fn_xiaoshu(double f, int n, char *ret_bits, struct fn_error *err);

/* The value of 8 bits; "00000000" and "10000000", which fn_float_to_bin() never gives, are 0 and
 * -0.0. FN_USAGE when `bits` is not eight of '0' and '1' or n is outside 0...7. */
FN_MUST fn_status fn_bin_to_float(const char *bits, int n, double *ret_x, struct fn_error *err);

#endif
