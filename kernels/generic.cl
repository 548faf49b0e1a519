/* SPDX-License-Identifier: Apache-2.0
 *
 * generic.cl -- the kernel families that are NDRanges: `generic` for any OpenCL 1.2 device, `x86`
 * where FN_X86 is set. Layouts: params.h.
 *
 * No kernel needs a neighbour: work-groups are of one work-item, which computes a register-blocked
 * tile. That is what a CPU wants; on other devices it is correct, not fast. */
#include "params.h"
#ifdef FN_X86
#include "x86.cl.h"
#else
#include "dot.cl.h"
#endif
#include "fixed.cl.h"

#define FN_PASTE(a, b) a##_##b
#define FN_NAME(a, b)  FN_PASTE(a, b)

static inline int fn_pick(int4 v, int i) {
    return i == 0 ? v.s0 : i == 1 ? v.s1 : i == 2 ? v.s2 : v.s3;
}

/* vstore16() in one instruction: pocl's own becomes sixteen. */
static inline void fn_store16(char16 lanes, __global char *to) {
    struct __attribute__((packed)) unaligned {
        char16 lanes;
    };
    ((__global struct unaligned *)to)->lanes = lanes;
}

/* Store the first n of 16 lanes: the bytes behind them belong to another branch or pixel. */
static inline void fn_store_some(char16 lanes, __global char *to, int n) {
    char8 eight = lanes.lo;
    if (n & 8) {
        vstore8(eight, 0, to);
        eight = lanes.hi;
        to += 8;
    }
    char4 four = eight.lo;
    if (n & 4) {
        vstore4(four, 0, to);
        four = eight.hi;
        to += 4;
    }
    char2 two = four.lo;
    if (n & 2) {
        vstore2(two, 0, to);
        two = four.hi;
        to += 2;
    }
    if (n & 1) *to = two.x;
}

__constant const int16 fn_count = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

/* Quotients by a divisor whose inverse the host has made (params.h). Not mul_hi(), which pocl takes
 * apart. */
static inline int16 fn_divide(int16 x, uint inverse) {
    return inverse == 0 ? x : convert_int16((convert_ulong16(x) * inverse) >> 32);
}

/* Write the zeros behind a row, n channels of a layer's output. at: from where the output begins.
 */
static inline void fn_store_gap(__global char *arena, const struct fn_layer_params *l, int at,
                                int n) {
    for (int g = 0; g < l->out_gap; g++)
        for (int c = 0; c < n; c++) arena[l->output + at + g * l->out_pitch + c] = 0;
}

/* The host chooses for each layer by its channels, pixels and sign, and sets the sizes for the
 * device's registers. */
#define FN_CONV   conv
#define FN_TILE   FN_CONV_TILE
#define FN_BLOCKS FN_CONV_BLOCKS
#define FN_DOT    fn_dot
#if FN_X86 == 2
#define FN_ORDERED
#endif
#include "conv.cl.h"

/* For the last pixels of a small picture, where `conv` would compute many in vain. */
#define FN_CONV   conv_tail
#define FN_TILE   FN_TAIL_TILE
#define FN_BLOCKS FN_CONV_BLOCKS
#define FN_DOT    fn_dot
#if FN_X86 == 2
#define FN_ORDERED
#endif
#include "conv.cl.h"

/* For few output channels. */
#define FN_CONV   conv_narrow
#define FN_TILE   FN_NARROW_TILE
#define FN_BLOCKS 1
#define FN_DOT    fn_dot
#include "conv.cl.h"

#define FN_CONV   conv_signed
#define FN_TILE   FN_SIGNED_TILE
#define FN_BLOCKS FN_CONV_BLOCKS
#define FN_DOT    fn_dot_signed
#include "conv.cl.h"

/* Maximum over a window, brought to the output's fractional bits. A work-item: 16 channels
 * (dimension 1) of one row of one picture (dimension 0). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(__global char *arena, __global const struct fn_layer_params *layers, int layer) {
    const struct fn_layer_params l = layers[layer];
    const int row = get_global_id(0), block = get_global_id(1), first = block * FN_LANES;
    const int picture = row / l.out_height, y = row % l.out_height;
    const int n_lanes = l.out_channels - first, pitch = l.in_pitch;
    __global const char *top =
        arena + l.input + first + picture * l.in_picture + y * l.stride * l.in_row;
    __global char *to = arena + l.output + first + picture * l.out_picture + y * l.out_row;
    for (int x = 0; x < l.out_width; x++) {
        char16 largest = -128;
        for (int ky = 0; ky < l.kernel_h; ky++)
            for (int kx = 0; kx < l.kernel_w; kx++)
                largest =
                    max(largest, vload16(0, top + ky * l.in_row + (x * l.stride + kx) * pitch));
        const char16 lanes = fn_pool_rescale(largest, l.pool_shift);
        if (n_lanes >= FN_LANES)
            fn_store16(lanes, to + x * l.out_pitch);
        else
            fn_store_some(lanes, to + x * l.out_pitch, n_lanes);
    }
    const int from = picture * l.out_picture + y * l.out_row + first;
    const int n = min(FN_LANES, n_lanes);
    fn_store_gap(arena, &l, from + l.out_width * l.out_pitch, n);
    if (row == 0) fn_store_gap(arena, &l, first - l.out_gap * l.out_pitch, n);
}

/* The head's first half: each channel summed over all positions, not rounded. A work-item: 16
 * channels (dimension 1) of one picture (dimension 0). sums: [picture][16 * blocks]. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
head_sum(__global const char *arena, __global const struct fn_layer_params *layers, int layer,
         __global int16 *sums) {
    __global const struct fn_layer_params *l = layers + layer;
    const int picture = get_global_id(0), block = get_global_id(1);
    __global const char *from = arena + l->input + picture * l->in_picture + block * FN_LANES;
    int16 sum = 0;
    for (int y = 0; y < l->in_height; y++)
        for (int x = 0; x < l->in_width; x++)
            sum += convert_int16(vload16(0, from + y * l->in_row + x * l->in_pitch));
    sums[picture * get_global_size(1) + block] = sum;
}

/* The second half: 16 accumulators (dimension 1) of one picture (dimension 0). Weights here are
 * [block][channel][16 lanes]. accumulators: [picture][16 * blocks]. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
head(__global const char *weights, __global const int16 *channels,
     __global const struct fn_layer_params *layers, int layer, __global const int *sums,
     __global int16 *accumulators) {
    __global const struct fn_layer_params *l = layers + layer;
    const int picture = get_global_id(0), block = get_global_id(1);
    const int n = l->quads * FN_QUAD;
    __global const char16 *w = (__global const char16 *)(weights + l->weights) + block * n;
    sums += picture * ((n + FN_LANES - 1) / FN_LANES) * FN_LANES;
    int16 acc = channels[l->channels + block * 3];
    for (int c = 0; c < n; c++) acc += convert_int16(w[c]) * sums[c];
    accumulators[picture * get_global_size(1) + block] = acc;
}
