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

/* Everything a run works on; the same for all steps. */
struct fn_memory {
    __global char *arena;
    __global const char *weights;
    __global const int16 *channels;
    __global const struct fn_layer_params *layers;
    __global const int *order;
    __global const fn_ones *ones;
    __global int *sums; /* of the head's first half */
    __global int *accumulators;
    int all; /* -1 */
};

/* The first arguments of every kernel, and what becomes of them. */
#define FN_ARGUMENTS                                                                               \
    __global char *arena, __global const char *weights, __global const int16 *channels,            \
        __global const struct fn_layer_params *layers, __global const int *order,                  \
        __global const fn_ones *ones, __global int *sums, __global int *accumulators,              \
        __global const struct fn_step_params *steps, int all, int step
#define FN_MEMORY                                                                                  \
    { arena, weights, channels, layers, order, ones, sums, accumulators, all }

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

/* A thin network's first layer has a quarter of the channels that `conv_signed` computes. */
#if FN_CONV_BLOCKS > 1
#define FN_CONV   conv_signed_narrow
#define FN_TILE   FN_NARROW_TILE
#define FN_BLOCKS 1
#define FN_DOT    fn_dot_signed
#include "conv.cl.h"
#else
#define conv_signed_narrow_item conv_signed_item
#endif

#if FN_X86 == 2
#include "winograd.cl.h"
#endif

/* Maximum over a window, brought to the output's fractional bits. A work-item: one row of one
 * picture. */
static inline void fn_pool_item(const struct fn_memory *m,
                                __global const struct fn_step_params *step, int item) {
    const struct fn_layer_params l = m->layers[step->members[0]];
    __global char *const arena = m->arena + step->arena;
    const int picture = item / l.out_height, y = item % l.out_height, pitch = l.in_pitch;
    const int from = picture * l.out_picture + y * l.out_row;
    for (int first = 0; first < l.out_channels; first += FN_LANES) {
        const int n_lanes = l.out_channels - first;
        __global const char *top =
            arena + l.input + first + picture * l.in_picture + y * l.stride * l.in_row;
        __global char *to = arena + l.output + first + from;
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
    }
    fn_store_gap(arena, &l, from + l.out_width * l.out_pitch, l.out_channels);
    if (item == 0) fn_store_gap(arena, &l, -l.out_gap * l.out_pitch, l.out_channels);
}

/* The head's first half: each channel summed over all positions, not rounded. A work-item: 16
 * channels of one picture. sums: [picture][16 * blocks]. */
static inline void fn_head_sum_item(const struct fn_memory *m,
                                    __global const struct fn_step_params *step, int item) {
    __global const struct fn_layer_params *l = m->layers + step->members[0];
    const int blocks = (l->quads * FN_QUAD + FN_LANES - 1) / FN_LANES;
    __global const char *from = m->arena + step->arena + l->input + item / blocks * l->in_picture +
                                item % blocks * FN_LANES;
    int16 sum = 0;
    for (int y = 0; y < l->in_height; y++)
        for (int x = 0; x < l->in_width; x++)
            sum += convert_int16(vload16(0, from + y * l->in_row + x * l->in_pitch));
    ((__global int16 *)m->sums)[step->first * blocks + item] = sum;
}

/* The second half: 16 accumulators of one picture. Weights here are [block][channel][16 lanes].
 * accumulators: [picture][16 * blocks]. */
static inline void fn_head_item(const struct fn_memory *m,
                                __global const struct fn_step_params *step, int item) {
    __global const struct fn_layer_params *l = m->layers + step->members[0];
    const int blocks = (l->out_channels + FN_LANES - 1) / FN_LANES;
    const int picture = step->first + item / blocks, block = item % blocks;
    const int n = l->quads * FN_QUAD;
    __global const char16 *w = (__global const char16 *)(m->weights + l->weights) + block * n;
    __global const int *sums = m->sums + picture * ((n + FN_LANES - 1) / FN_LANES) * FN_LANES;
    int16 acc = m->channels[l->channels + block * 3];
    for (int c = 0; c < n; c++) acc += convert_int16(w[c]) * sums[c];
    ((__global int16 *)m->accumulators)[picture * blocks + block] = acc;
}

#ifdef FN_X86
#include "run.cl.h"
#else
/* One launch a step: `step` says which. */
#define FN_KERNEL(name, item)                                                                      \
    __kernel __attribute__((reqd_work_group_size(1, 1, 1))) void name(FN_ARGUMENTS) {              \
        const struct fn_memory memory = FN_MEMORY;                                                 \
        item(&memory, steps + step, get_global_id(0));                                             \
    }
FN_KERNEL(conv, conv_item)
FN_KERNEL(conv_tail, conv_tail_item)
FN_KERNEL(conv_narrow, conv_narrow_item)
FN_KERNEL(conv_signed, conv_signed_item)
FN_KERNEL(conv_signed_narrow, conv_signed_narrow_item)
FN_KERNEL(pool, fn_pool_item)
FN_KERNEL(head_sum, fn_head_sum_item)
FN_KERNEL(head, fn_head_item)
#endif
