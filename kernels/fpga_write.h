/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_write.h -- the last stage: pixels gathered into bursts, written at the branch's first plane.
 */
#ifndef FN_FPGA_WRITE_H
#define FN_FPGA_WRITE_H

#include "fpga_types.h"

static void fn_write_layer(const struct fn_fpga_layer l, const int pictures,
                           FN_GLOBAL FN_SHARED fn_burst *restrict arena FN_IN(fn_bytes,
                                                                              byte_fifo)) {
    FN_CURSOR(byte_fifo);
    const int total = l.blocks * pictures * l.out_height * l.out_width;
    int block = 0, picture = 0, y = 0, x = 0, pixel = 0;
    int block_at = l.output, picture_at = 0, burst_at = 0;
    fn_u32 held[FN_FPGA_PLANES * FN_FPGA_WORDS] FN_PARTITIONED(1);
    FN_PARTITION(held, 1)
    FN_UNROLL
    for (int word = 0; word < FN_FPGA_PLANES * FN_FPGA_WORDS; word++) held[word] = 0;

    FN_PIPELINE
    for (int t = 0; t < total; t++) {
        FN_CLOCK(WRITE);
        const int planes = block == l.blocks - 1 ? l.last_planes : l.planes;
        fn_bytes bytes;
        FN_GET(byte_fifo, bytes);
        FN_UNROLL
        for (int q = 0; q < FN_FPGA_PLANES * FN_FPGA_QUADS; q++) {
            const int plane = q >> (4 - FN_FPGA_PIXEL_BITS); /* q / FN_FPGA_QUADS */
            const int word = plane * FN_FPGA_WORDS + (q & (FN_FPGA_QUADS - 1));
            FN_UNROLL
            for (int p = 0; p < FN_FPGA_PIXELS; p++)
                if (p == pixel) held[word + p * FN_FPGA_QUADS] = bytes.q[q];
        }
        x++;
        pixel = (pixel + 1) & (FN_FPGA_PIXELS - 1);
        if (pixel == 0 || x == l.out_width) { /* a row ends with a burst */
            FN_UNROLL
            for (int plane = 0; plane < FN_FPGA_PLANES; plane++)
                if (plane < planes) {
                    arena[block_at + picture_at + plane * l.out_plane + burst_at] =
                        fn_pack(held + plane * FN_FPGA_WORDS);
                    FN_MOVED(WRITE, FN_FPGA_BURST);
                }
            burst_at++;
        }
        if (x == l.out_width) {
            x = 0;
            pixel = 0;
            y++;
            if (y == l.out_height) {
                y = 0;
                burst_at = 0;
                picture++;
                picture_at += l.out_picture;
                if (picture == pictures) {
                    picture = 0;
                    picture_at = 0;
                    block++;
                    block_at += l.block_step;
                }
            }
        }
    }
}

#endif
