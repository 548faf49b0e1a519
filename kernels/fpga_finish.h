/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_finish.h -- the stage behind the array: bias, residual, rounding shift and ReLU, one pixel
 * of a block a cycle. */
#ifndef FN_FPGA_FINISH_H
#define FN_FPGA_FINISH_H

#include "fpga_types.h"

/* Shift right by s in 0...30, rounding side up; s = 0 adds nothing (engine/fixed.h). */
static inline fn_s32 fn_round_shift(const fn_s32 sum, const fn_s32 s) {
    return (sum + (((fn_s32)1 << s) >> 1)) >> s;
}

static inline fn_s32 fn_clamp(const fn_s32 x, const fn_s32 low) {
    return x < low ? low : x > 127 ? 127 : x;
}

/* A pooled byte brought to its concat's fractional bits: right by d, or left by -d. */
static inline fn_s32 fn_pool_rescale(const fn_s32 q, const fn_s32 d) {
    const fn_s32 left = d < -8 ? 8 : -d;
    return d >= 0 ? fn_round_shift(q, d) : fn_clamp(q * ((fn_s32)1 << left), -128);
}

static void fn_finish_layer(const struct fn_fpga_layer l, const int pictures,
                            FN_GLOBAL const FN_SHARED fn_burst *restrict arena,
                            FN_GLOBAL const fn_s32 *restrict numbers,
                            FN_GLOBAL fn_s32 *restrict accumulators,
                            const int accumulators_pitch FN_IN(fn_sums, sum_fifo)
                                FN_OUT(fn_bytes, byte_fifo)) {
    FN_CURSOR(sum_fifo);
    FN_CURSOR(byte_fifo);
    const int total = l.blocks * pictures * l.out_height * l.out_width;
    int block = 0, picture = 0, y = 0, x = 0, pixel = 0;
    int number_at = l.numbers * 2 * FN_FPGA_LANE;
    int block_at = l.residual, picture_at = 0, burst_at = 0;
    int accumulator_at = 0, accumulator_block = 0;
    fn_s32 bias[FN_FPGA_LANE] FN_PARTITIONED(1), shifts[FN_FPGA_LANE] FN_PARTITIONED(1);
    fn_u32 added[FN_FPGA_PLANES * FN_FPGA_WORDS] FN_PARTITIONED(1);
    FN_PARTITION(bias, 1)
    FN_PARTITION(shifts, 1)
    FN_PARTITION(added, 1)
    FN_UNROLL
    for (int lane = 0; lane < FN_FPGA_LANE; lane++) bias[lane] = shifts[lane] = 0;
    FN_UNROLL
    for (int word = 0; word < FN_FPGA_PLANES * FN_FPGA_WORDS; word++) added[word] = 0;

    FN_PIPELINE
    for (int t = 0; t < total; t++) {
        FN_CLOCK(FINISH);
        const int planes = block == l.blocks - 1 ? l.last_planes : l.planes;
        if (picture == 0 && y == 0 && x == 0 && l.op != FN_FPGA_POOL) {
            FN_MOVED(FINISH, 2 * FN_FPGA_LANE * sizeof(fn_s32));
            FN_UNROLL
            for (int lane = 0; lane < FN_FPGA_LANE; lane++) {
                bias[lane] = numbers[number_at + lane];
                shifts[lane] = numbers[number_at + FN_FPGA_LANE + lane];
            }
        }
        if (pixel == 0 && l.residual >= 0) {
            FN_UNROLL
            for (int plane = 0; plane < FN_FPGA_PLANES; plane++)
                if (plane < planes) {
                    fn_unpack(arena[block_at + picture_at + plane * l.out_plane + burst_at],
                              added + plane * FN_FPGA_WORDS);
                    FN_MOVED(FINISH, FN_FPGA_BURST);
                }
        }
        fn_sums sums;
        fn_bytes bytes;
        FN_GET(sum_fifo, sums);
        FN_UNROLL
        for (int q = 0; q < FN_FPGA_PLANES * FN_FPGA_QUADS; q++) bytes.q[q] = 0;
        FN_UNROLL
        for (int lane = 0; lane < FN_FPGA_LANE; lane++) {
            const fn_s32 s = shifts[lane] & 255, r = shifts[lane] >> 8;
            const int plane = lane >> (6 - FN_FPGA_PIXEL_BITS); /* lane / FN_FPGA_VEC */
            const int word = plane * FN_FPGA_WORDS + ((lane & (FN_FPGA_VEC - 1)) >> 2);
            fn_u32 chosen = 0;
            FN_UNROLL
            for (int p = 0; p < FN_FPGA_PIXELS; p++)
                if (p == pixel) chosen = added[word + p * FN_FPGA_QUADS];
            fn_s32 sum = sums.lane[lane] + bias[lane];
            if (l.op == FN_FPGA_HEAD) {
                accumulators[accumulator_at + lane] = sum;
                FN_MOVED(FINISH, sizeof(fn_s32));
            }
            if (l.residual >= 0) sum += fn_byte(chosen, lane & 3) * ((fn_s32)1 << r);
            const fn_s32 result = l.op == FN_FPGA_POOL
                                      ? fn_pool_rescale(sums.lane[lane], l.pool_shift)
                                      : fn_clamp(fn_round_shift(sum, s), l.low);
            bytes.q[lane >> 2] |= ((fn_u32)result & 255) << 8 * (lane & 3);
        }
        if (l.op != FN_FPGA_HEAD) FN_PUT(byte_fifo, bytes);

        x++;
        pixel = (pixel + 1) & (FN_FPGA_PIXELS - 1);
        if (pixel == 0) burst_at++;
        if (x == l.out_width) {
            x = 0;
            if (pixel != 0) burst_at++;
            pixel = 0;
            y++;
            if (y == l.out_height) {
                y = 0;
                burst_at = 0;
                picture++;
                picture_at += l.residual_picture;
                accumulator_at += accumulators_pitch;
                if (picture == pictures) {
                    picture = 0;
                    picture_at = 0;
                    block++;
                    block_at += l.block_step;
                    number_at += 2 * FN_FPGA_LANE;
                    accumulator_block += FN_FPGA_LANE;
                    accumulator_at = accumulator_block;
                }
            }
        }
    }
}

#endif
