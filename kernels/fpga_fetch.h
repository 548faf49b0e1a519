/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_fetch.h -- the stages that read for the array: activations, one vector a cycle, and weights,
 * one burst a cycle. */
#ifndef FN_FPGA_FETCH_H
#define FN_FPGA_FETCH_H

#include "fpga_types.h"

/* A step is one output row of one block: its input rows (the band) lie on the chip and every window
 * is read from there, while the band of the next step arrives in the other half of the buffer. */
static void fn_fetch_layer(const struct fn_fpga_layer l, const int pictures,
                           FN_GLOBAL const FN_SHARED fn_burst *restrict arena FN_OUT(fn_vector,
                                                                                     vector_fifo)) {
    FN_CURSOR(vector_fifo);
    fn_burst band[2][FN_FPGA_BAND];
    const int steps = l.blocks * pictures * l.out_height;
    const int trips = fn_max(l.row_vectors, l.band + FN_FPGA_GAP);
    const int first = l.band + FN_FPGA_GAP; /* the first band has nothing to hide behind */
    const int total = first + steps * trips;
    int i = 0, limit = first, side = 0, step = 0;
    /* Loading: the row of the picture that the band begins with, and where it begins. */
    int load_y = 0, load_top = -l.pad_h, load_top_at = -l.pad_h * l.in_row;
    int picture = 0, picture_at = l.input, block_at = 0;
    int load_row = 0, load_word = 0, load_row_at = 0, load_plane_at = 0;
    /* Emitting. */
    int top = 0, left = -l.pad_w;
    int plane = 0, kx = 0, ky = 0, plane_at = 0, row_at = 0;

    FN_SAFE(band)
    FN_PIPELINE
    for (int t = 0; t < total; t++) {
        FN_CLOCK(FETCH);
        if (i < l.band && step < steps) {
            const int y = load_top + load_row;
            if (y >= 0 && y < l.in_height) {
                band[side][i] = arena[picture_at + block_at + load_plane_at + load_top_at +
                                      load_row_at + load_word];
                FN_MOVED(FETCH, FN_FPGA_BURST);
            }
            load_word++;
            if (load_word == l.in_row) {
                load_word = 0;
                load_row++;
                load_row_at += l.in_row;
                if (load_row == l.kernel_h) {
                    load_row = 0;
                    load_row_at = 0;
                    load_plane_at += l.in_plane;
                }
            }
        }
        if (i < l.row_vectors && step > 0) {
            const int y = top + ky, x = left + kx;
            const int inside = y >= 0 && y < l.in_height && x >= 0 && x < l.in_width;
            const int pixel = x & (FN_FPGA_PIXELS - 1);
            const int at = inside ? plane_at + row_at + (x >> FN_FPGA_PIXEL_BITS) : 0;
            fn_u32 words[FN_FPGA_WORDS] FN_PARTITIONED(1);
            FN_PARTITION(words, 1)
            fn_vector vector;
            fn_unpack(band[side ^ 1][at], words);
            FN_UNROLL
            for (int q = 0; q < FN_FPGA_QUADS; q++) {
                fn_u32 chosen = 0;
                FN_UNROLL
                for (int p = 0; p < FN_FPGA_PIXELS; p++)
                    if (p == pixel) chosen = words[p * FN_FPGA_QUADS + q];
                vector.q[q] = inside ? chosen : 0;
            }
            FN_PUT(vector_fifo, vector);
            plane++;
            plane_at += l.band_plane;
            if (plane == l.in_planes) {
                plane = 0;
                plane_at = 0;
                kx++;
                if (kx == l.kernel_w) {
                    kx = 0;
                    ky++;
                    row_at += l.in_row;
                    if (ky == l.kernel_h) {
                        ky = 0;
                        row_at = 0;
                        left += l.stride;
                    }
                }
            }
        }
        i++;
        if (i == limit) { /* next step: what was loaded is emitted, the next band is loaded */
            i = 0;
            limit = trips;
            side ^= 1;
            step++;
            top = load_top;
            left = -l.pad_w;
            load_plane_at = 0;
            load_y++;
            load_top += l.stride;
            load_top_at += l.row_step;
            if (load_y == l.out_height) {
                load_y = 0;
                load_top = -l.pad_h;
                load_top_at = -l.pad_h * l.in_row;
                picture++;
                picture_at += l.in_picture;
                if (picture == pictures) {
                    picture = 0;
                    picture_at = l.input;
                    block_at += l.block_plane;
                }
            }
        }
    }
}

#ifndef FN_TARGET_PLAIN /* there the array reads them itself */
static void fn_stream_weights(const int from, const int to,
                              FN_GLOBAL const fn_burst *restrict weights FN_OUT(fn_burst,
                                                                                weight_fifo)) {
    FN_PIPELINE
    for (int at = from; at < to; at++) {
        FN_CLOCK(WEIGH);
        FN_MOVED(WEIGH, FN_FPGA_BURST);
        fn_burst burst = weights[at];
        FN_PUT(weight_fifo, burst);
    }
}
#endif

#endif
