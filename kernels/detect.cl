/* SPDX-License-Identifier: Apache-2.0
 *
 * detect.cl -- the face detector's networks on a batch of pieces, to the bit what
 * engine/detect/conv.h defines: an output starts from its bias and adds its products in the order
 * ky, kx, ic, each by one fused multiply-add, which the standard wants rightly rounded; only
 * different outputs are computed side by side. Layouts: detect_params.h.
 *
 * FN_DETECT_TILE, outputs computed at once, is the host's choice. Work-groups are of one work-item,
 * as in generic.cl. */
#include "detect_params.h"

#pragma OPENCL FP_CONTRACT OFF

/* The greater; b where they are equal or either is no number, as the instruction of x86 has it. */
static inline float16 fn_greater(float16 a, float16 b) {
    return select(b, a, a > b);
}

/* max(x, 0) + alpha * min(x, 0) */
static inline float16 fn_prelu(float16 x, float16 alpha) {
    const float16 above = select((float16)0.0f, x, x > 0.0f);
    const float16 below = select((float16)0.0f, x, x < 0.0f);
    return above + alpha * below;
}

/* Where the window of an output begins; outputs are counted over all pieces. */
static inline int fn_window_of(const struct fn_detect_layer *l, int output) {
    const int line = output / l->out_side, x = output - line * l->out_side;
    const int piece = line / l->out_side, y = line - piece * l->out_side;
    return ((piece * l->in_side + y) * l->in_side + x) * l->in_pitch;
}

/* A work-item: one block of channels of FN_DETECT_CHUNK outputs, counted block by block. What is
 * too much in the last tile is computed from the last output and not stored. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
convolve(__global const float16 *numbers, __global const struct fn_detect_layer *layers, int layer,
         int pieces, __global const float *in, __global float16 *out) {
    const struct fn_detect_layer l = layers[layer];
    const int item = get_global_id(0), chunk = item / l.blocks, block = item - chunk * l.blocks;
    const int begin = chunk * FN_DETECT_CHUNK;
    const int end = min(begin + FN_DETECT_CHUNK, pieces * l.out_side * l.out_side);
    const int taps = l.window * l.window * l.in_channels;
    __global const float16 *const weights = numbers + l.numbers + block * taps;
    const float16 bias = numbers[l.numbers + l.blocks * taps + block];
    const float16 alpha = numbers[l.numbers + l.blocks * (taps + 1) + block];
    for (int first = begin; first < end; first += FN_DETECT_TILE) {
        __global const float16 *w = weights;
        float16 sums[FN_DETECT_TILE];
        __global const float *from[FN_DETECT_TILE];
#pragma unroll
        for (int p = 0; p < FN_DETECT_TILE; p++) {
            sums[p] = bias;
            from[p] = in + fn_window_of(&l, min(first + p, end - 1));
        }
        for (int ky = 0; ky < l.window; ky++)
            for (int kx = 0; kx < l.window; kx++) {
                const int at = (ky * l.in_side + kx) * l.in_pitch;
                for (int ic = 0; ic < l.in_channels; ic++, w++) {
                    const float16 lanes = *w;
#pragma unroll
                    for (int p = 0; p < FN_DETECT_TILE; p++)
                        sums[p] = fma(lanes, (float16)from[p][at + ic], sums[p]);
                }
            }
#pragma unroll
        for (int p = 0; p < FN_DETECT_TILE; p++)
            if (first + p < end) out[(first + p) * l.blocks + block] = fn_prelu(sums[p], alpha);
    }
}

/* Maxima over windows with stride 2. limits: of each piece, how many columns and rows of the map
 * count; the others do not take part. A work-item: one block of channels of one row, counted block
 * by block over all rows of all pieces. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(__global const struct fn_detect_layer *layers, int layer, __global const int2 *limits,
     __global const float16 *in, __global float16 *out) {
    const struct fn_detect_layer l = layers[layer];
    const int item = get_global_id(0), row = item / l.blocks, block = item - row * l.blocks;
    const int piece = row / l.pooled_side, top = 2 * (row - piece * l.pooled_side);
    const int2 limit = min(limits[piece], (int2)l.out_side);
    const int bottom = min(top + l.pool_window, limit.y);
    in += piece * l.out_side * l.out_side * l.blocks + block;
    for (int i = 0; i < l.pooled_side; i++) {
        const int right = min(2 * i + l.pool_window, limit.x);
        float16 most = in[(top * l.out_side + 2 * i) * l.blocks];
        for (int y = top; y < bottom; y++)
            for (int x = 2 * i; x < right; x++)
                most = fn_greater(most, in[(y * l.out_side + x) * l.blocks]);
        out[(row * l.pooled_side + i) * l.blocks + block] = most;
    }
}
