/* SPDX-License-Identifier: Apache-2.0
 *
 * generic.cl -- the kernel family for any OpenCL 1.2 device. Layouts: params.h.
 *
 * No kernel needs a neighbour: work-groups are of one work-item, which computes a register-blocked
 * tile. That is what a CPU wants; on other devices it is correct, not fast. */
#include "dot.cl.h"
#include "fixed.cl.h"
#include "params.h"

/* Store the first n of 16 lanes: the bytes behind them belong to another branch or pixel. */
static inline void fn_store_lanes(char16 lanes, __global char *to, int n) {
    if (n == FN_LANES) {
        vstore16(lanes, 0, to);
        return;
    }
    char bytes[FN_LANES];
    vstore16(lanes, 0, bytes);
    for (int i = 0; i < n; i++) to[i] = bytes[i];
}

/* Two sizes of tile, chosen by the host for the device's registers: the second is for the last
 * pixels of a small picture, where the first would compute many in vain. */
#define FN_CONV conv
#define FN_TILE FN_CONV_TILE
#define FN_DOT  fn_dot
#include "conv.cl.h"

#define FN_CONV conv_tail
#define FN_TILE FN_TAIL_TILE
#define FN_DOT  fn_dot
#include "conv.cl.h"

#define FN_CONV conv_signed
#define FN_TILE FN_SIGNED_TILE
#define FN_DOT  fn_dot_signed
#include "conv.cl.h"

/* Maximum over a window, brought to the output's fractional bits. A work-item: 16 channels
 * (dimension 1) of one row of one picture (dimension 0). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(__global char *arena, __global const struct fn_layer_params *layers, int layer) {
    __global const struct fn_layer_params *l = layers + layer;
    const int row = get_global_id(0), first = get_global_id(1) * FN_LANES;
    const int picture = row / l->out_height, y = row % l->out_height;
    const int n_lanes = min(FN_LANES, l->out_channels - first), pitch = l->in_pitch;
    __global const char *top =
        arena + l->input + first + (picture * l->in_height + y * l->stride) * l->in_width * pitch;
    __global char *to = arena + l->output + first + row * l->out_width * l->out_pitch;
    for (int x = 0; x < l->out_width; x++) {
        char16 largest = -128;
        for (int ky = 0; ky < l->kernel_h; ky++)
            for (int kx = 0; kx < l->kernel_w; kx++)
                largest =
                    max(largest, vload16(0, top + (ky * l->in_width + x * l->stride + kx) * pitch));
        fn_store_lanes(fn_pool_rescale(largest, l->pool_shift), to + x * l->out_pitch, n_lanes);
    }
}

/* The head's first half: each channel summed over all positions, not rounded. A work-item: 16
 * channels (dimension 1) of one picture (dimension 0). sums: [picture][16 * blocks]. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
head_sum(__global const char *arena, __global const struct fn_layer_params *layers, int layer,
         __global int16 *sums) {
    __global const struct fn_layer_params *l = layers + layer;
    const int picture = get_global_id(0), block = get_global_id(1);
    const int positions = l->in_height * l->in_width;
    __global const char *from =
        arena + l->input + picture * positions * l->in_pitch + block * FN_LANES;
    int16 sum = 0;
    for (int i = 0; i < positions; i++) sum += convert_int16(vload16(0, from + i * l->in_pitch));
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
