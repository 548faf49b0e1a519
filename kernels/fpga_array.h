/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_array.h -- the stage that multiplies: FN_FPGA_VEC x FN_FPGA_LANE products a cycle. */
#ifndef FN_FPGA_ARRAY_H
#define FN_FPGA_ARRAY_H

#include "fpga_types.h"

typedef struct {
    fn_burst part[FN_FPGA_PARTS];
} fn_weight_vector;

#if FN_FPGA_PACKED
/* Two lanes in one multiplier of 27 x 18 bits (DSP48E2), as they share x: (w1 * 2^18 + w0) * x. The
 * low 18 bits hold a signed sum of at most 8 products, because no weight is -128: 8 * 127 * 128 <
 * 2^17. What it borrowed from the high part is given back at the end. */
static inline void fn_dot_two(const fn_vector x, const fn_u32 *w0, const fn_u32 *w1, fn_s32 *sum0,
                              fn_s32 *sum1) {
    fn_s32 low_sum = 0, high_sum = 0;
    FN_UNROLL
    for (int from = 0; from < FN_FPGA_VEC; from += 8) {
        fn_s64 chain = 0;
        FN_UNROLL
        for (int v = 0; v < (FN_FPGA_VEC < 8 ? FN_FPGA_VEC : 8); v++) {
            const int q = (from + v) >> 2, k = v & 3;
            chain +=
                (fn_s64)(fn_byte(w1[q], k) * (1 << 18) + fn_byte(w0[q], k)) * fn_byte(x.q[q], k);
        }
        const fn_s32 low = (fn_s32)((((fn_u32)chain & 0x3ffff) ^ 0x20000) - 0x20000);
        low_sum += low;
        high_sum += (fn_s32)((chain - low) >> 18);
    }
    *sum0 = low_sum;
    *sum1 = high_sum;
}
#else
static inline fn_s32 fn_dot_one(const fn_vector x, const fn_u32 *w) {
    fn_s32 sum = 0;
    FN_UNROLL
    for (int v = 0; v < FN_FPGA_VEC; v++)
        sum += fn_byte(x.q[v >> 2], v & 3) * fn_byte(w[v >> 2], v & 3);
    return sum;
}
#endif

static inline fn_sums fn_dot(const fn_vector x, const fn_weight_vector weights) {
    fn_u32 w[FN_FPGA_LANE * FN_FPGA_QUADS] FN_PARTITIONED(1);
    FN_PARTITION(w, 1)
    fn_sums dots;
    FN_UNROLL
    for (int part = 0; part < FN_FPGA_PARTS; part++)
        fn_unpack(weights.part[part], w + part * FN_FPGA_WORDS);
#if FN_FPGA_PACKED
    FN_UNROLL
    for (int lane = 0; lane < FN_FPGA_LANE; lane += 2)
        fn_dot_two(x, w + lane * FN_FPGA_QUADS, w + (lane + 1) * FN_FPGA_QUADS, &dots.lane[lane],
                   &dots.lane[lane + 1]);
#else
    FN_UNROLL
    for (int lane = 0; lane < FN_FPGA_LANE; lane++)
        dots.lane[lane] = fn_dot_one(x, w + lane * FN_FPGA_QUADS);
#endif
    return dots;
}

/* A step is one block: its weights lie on the chip for all pictures and pixels, while those of the
 * next block arrive in the other half of the buffer. The buffer outlives the layer, so that the
 * next layer's first block arrives while this layer's last one is used. alone         there is no
 * layer before in this launch: the first block has a step to arrive in next_vectors  weight vectors
 * of the next layer's first block; 0 when it is not in this launch side          of the buffer,
 * filled next; returns what it is then A pool takes maxima in place of sums. */
static int fn_array_layer(const struct fn_fpga_layer l, const int pictures, const int alone,
                          const int next_vectors, fn_weight_vector buffer[2][FN_FPGA_WEIGHTS],
                          int side FN_IN(fn_vector, vector_fifo) FN_IN(fn_burst, weight_fifo)
                              FN_OUT(fn_sums, sum_fifo)) {
    FN_CURSOR(vector_fifo);
    FN_CURSOR(weight_fifo);
    FN_CURSOR(sum_fifo);
    const int used = pictures * l.out_height * l.row_vectors;
    const int load = l.weight_vectors * FN_FPGA_PARTS, next_load = next_vectors * FN_FPGA_PARTS;
    const int first = load + FN_FPGA_GAP;
    const int trips = fn_max(used, load + FN_FPGA_GAP);
    const int last = fn_max(used, next_load + FN_FPGA_GAP);
    const int total = (alone ? first : 0) + (l.blocks - 1) * trips + last;
    int block = alone ? -1 : 0;
    int limit = alone ? first : l.blocks == 1 ? last : trips;
    int loads = alone || l.blocks > 1 ? load : next_load;
    int i = 0, load_vector = 0, load_part = 0, weight = 0, v = 0;
    fn_sums sums;

    FN_SAFE(buffer)
    FN_PIPELINE
    for (int t = 0; t < total; t++) {
        FN_CLOCK(ARRAY);
        if (i < loads) {
            fn_burst burst;
            FN_GET(weight_fifo, burst);
            buffer[side][load_vector].part[load_part] = burst;
            load_part++;
            if (load_part == FN_FPGA_PARTS) {
                load_part = 0;
                load_vector++;
            }
        }
        if (i < used && block >= 0) {
            fn_vector x;
            FN_GET(vector_fifo, x);
            const fn_sums dots = fn_dot(x, buffer[side ^ 1][weight]);
            FN_UNROLL
            for (int lane = 0; lane < FN_FPGA_LANE; lane++) {
                const int from = lane & (FN_FPGA_VEC - 1);
                const fn_s32 byte = fn_byte(x.q[from >> 2], from & 3);
                const fn_s32 maximum = v == 0 ? byte : fn_max(sums.lane[lane], byte);
                const fn_s32 sum = (v == 0 ? 0 : sums.lane[lane]) + dots.lane[lane];
                sums.lane[lane] = l.op == FN_FPGA_POOL ? maximum : sum;
            }
            weight++;
            if (weight >= l.weight_vectors) weight = 0; /* the head uses them at every position */
            v++;
            if (v == l.vectors) {
                v = 0;
                FN_PUT(sum_fifo, sums);
            }
        }
        i++;
        if (i == limit) {
            i = 0;
            side ^= 1;
            load_vector = 0;
            block++;
            limit = block == l.blocks - 1 ? last : trips;
            loads = block == l.blocks - 1 ? next_load : load;
        }
    }
    return side;
}

#endif
