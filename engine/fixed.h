/* SPDX-License-Identifier: Apache-2.0
 *
 * fixed.h -- the fixed-point rules every device obeys (the OpenCL twin is kernels/fixed.cl.h).
 *
 * A value is an integer q and a count of fractional bits f: x = q * 2^-f. Accumulators are int32
 * and cannot overflow: fn_model_open() proves it for every output channel (engine/limits.c). */
#ifndef FN_FIXED_H
#define FN_FIXED_H

#include <math.h>
#include <stdint.h>

#define FN_FRAC_W_MIN     (-6) /* fractional bits of weights */
#define FN_FRAC_W_MAX     30
#define FN_FRAC_X_MIN     (-20) /* fractional bits of activations */
#define FN_FRAC_X_MAX     30
#define FN_SHIFT_MAX      30 /* s: accumulator to output */
#define FN_RESIDUAL_MAX   23 /* r: block input to accumulator */
#define FN_POOL_SHIFT_MAX 30 /* |d|: pooled branch to its concat */
#define FN_REMAINDER_MAX  8  /* fractional bits of a remainder beyond its tensor's */

static inline int32_t fn_clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* Shift right by s in 0...30, rounding half up; s = 0 adds nothing. Arithmetic shift: gcc and clang
 * define >> of a negative int so. The caller has proved acc + 2^(s-1) <= 2^31 - 1. */
static inline int32_t fn_round_shift(int32_t acc, int s) {
    return s == 0 ? acc : (acc + (INT32_C(1) << (s - 1))) >> s;
}

/* Accumulator to output byte. relu: 0...127; otherwise -128...127. */
static inline int8_t fn_requantize(int32_t acc, int s, int relu) {
    return (int8_t)fn_clamp(fn_round_shift(acc, s), relu ? 0 : -128, 127);
}

/* The same to an output byte q and what rounding left of it, with d in 1...8 more fractional bits:
 * together q * 2^d + remainder, the remainder in -2^(d-1)...2^(d-1) - 1. d <= s. */
static inline int8_t fn_requantize_wide(int32_t acc, int s, int d, int relu,
                                        int8_t *ret_remainder) {
    int32_t unit = INT32_C(1) << d, half = unit >> 1;
    int32_t wide =
        fn_clamp(fn_round_shift(acc, s - d), relu ? 0 : -128 * unit, 128 * unit - half - 1);
    int32_t q = (wide + half) >> d;
    *ret_remainder = (int8_t)(wide - q * unit);
    return (int8_t)q;
}

/* A pooled byte q with f_pool fractional bits, brought to f_concat: d = f_pool - f_concat. */
static inline int8_t fn_pool_rescale(int8_t q, int d) {
    if (d >= 0) return (int8_t)fn_round_shift(q, d);
    int left = -d > 8 ? 8 : -d;
    return (int8_t)fn_clamp((int32_t)q * (INT32_C(1) << left), -128, 127);
}

/* Real number to integer with f fractional bits: floor(x * 2^f + 1/2) in double, unclamped. */
static inline double fn_quantize_real(double x, int f) {
    return floor(ldexp(x, f) + 0.5);
}

#endif
