/* SPDX-License-Identifier: Apache-2.0
 *
 * fixed.cl.h -- the fixed-point rules every device obeys, 16 channels at a time (the C twin is
 * engine/fixed.h).
 *
 * A value is an integer q and a count of fractional bits f: x = q * 2^-f. Accumulators are int32
 * and cannot overflow: fn_model_open() proves it for every output channel (engine/limits.c). */

/* Shift right by s in 0...30, rounding half up; s = 0 adds nothing: (1 << s) >> 1 is 2^(s-1) for
 * s > 0 and 0 for s = 0. Arithmetic shift, as OpenCL defines >> of a negative int. The host has
 * proved acc + 2^(s-1) <= 2^31 - 1. */
static inline int16 fn_round_shift(int16 acc, int16 s) {
    return (acc + (((int16)1 << s) >> 1)) >> s;
}

/* Accumulator to output byte. low: 0 after ReLU, otherwise -128. */
static inline char16 fn_requantize(int16 acc, int16 s, int low) {
    return convert_char16(clamp(fn_round_shift(acc, s), (int16)low, (int16)127));
}

/* A pooled byte q with f_pool fractional bits, brought to f_concat: d = f_pool - f_concat. */
static inline char16 fn_pool_rescale(char16 q, int d) {
    int16 x = convert_int16(q);
    if (d >= 0) return convert_char16(fn_round_shift(x, (int16)d));
    return convert_char16(clamp(x << min(-d, 8), (int16)-128, (int16)127));
}
