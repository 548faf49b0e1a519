/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_hls.cpp -- the pipeline as C++ for Vitis HLS, which takes no OpenCL C since 2023.2: the
 * stages of fpga.cl, with streams as arguments. Each kernel is launched once a layer;
 * xilinx/link.cfg connects the streams and memories.
 *
 * Checked in C simulation with g++ and clang++ (tests/hls); never run through the vendor's tools.
 */
#include "fpga_array.h"
#include "fpga_fetch.h"
#include "fpga_finish.h"
#include "fpga_write.h"

FN_KERNEL fn_about(int *restrict about) {
#pragma HLS interface m_axi port = about bundle = gmem
    about[FN_FPGA_ABOUT_LAYOUT] = FN_FPGA_LAYOUT;
    about[FN_FPGA_ABOUT_VEC] = FN_FPGA_VEC;
    about[FN_FPGA_ABOUT_LANE] = FN_FPGA_LANE;
    about[FN_FPGA_ABOUT_BAND] = FN_FPGA_BAND;
    about[FN_FPGA_ABOUT_WEIGHTS] = FN_FPGA_WEIGHTS;
    about[FN_FPGA_ABOUT_FIFO] = FN_FPGA_FIFO;
    about[FN_FPGA_ABOUT_LAYER_SIZE] = sizeof(struct fn_fpga_layer);
    about[FN_FPGA_ABOUT_FORM] = FN_FORM;
}

FN_KERNEL fn_fetch(const fn_burst *restrict arena, const struct fn_fpga_layer *restrict layers,
                   const int pictures, const int first,
                   const int last FN_OUT(fn_vector, vector_fifo)) {
#pragma HLS interface m_axi port = arena bundle = activations max_read_burst_length = 64
#pragma HLS interface m_axi port = layers bundle = table
#pragma HLS interface axis port = vector_fifo
    for (int index = first; index < last; index++)
        fn_fetch_layer(layers[index], pictures, arena, vector_fifo);
}

FN_KERNEL fn_weigh(const fn_burst *restrict weights, const int from,
                   const int to FN_OUT(fn_burst, weight_fifo)) {
#pragma HLS interface m_axi port = weights bundle = weights max_read_burst_length = 64
#pragma HLS interface axis port = weight_fifo
    fn_stream_weights(from, to, weights, weight_fifo);
}

FN_KERNEL fn_array(const struct fn_fpga_layer *restrict layers, const int pictures, const int first,
                   const int last FN_IN(fn_vector, vector_fifo) FN_IN(fn_burst, weight_fifo)
                       FN_OUT(fn_sums, sum_fifo)) {
#pragma HLS interface m_axi port = layers bundle = table
#pragma HLS interface axis port = vector_fifo
#pragma HLS interface axis port = weight_fifo
#pragma HLS interface axis port = sum_fifo
    static fn_weight_vector buffer[2][FN_FPGA_WEIGHTS];
    int side = 0;
    for (int index = first; index < last; index++)
        side = fn_array_layer(layers[index], pictures, index == first,
                              index + 1 < last ? layers[index + 1].weight_vectors : 0, buffer, side,
                              vector_fifo, weight_fifo, sum_fifo);
}

FN_KERNEL fn_finish(const fn_burst *restrict arena, const struct fn_fpga_layer *restrict layers,
                    const fn_s32 *restrict numbers, fn_s32 *restrict accumulators,
                    const int accumulators_pitch, const int pictures, const int first,
                    const int last FN_IN(fn_sums, sum_fifo) FN_OUT(fn_bytes, byte_fifo)) {
#pragma HLS interface m_axi port = arena bundle = residuals max_read_burst_length = 64
#pragma HLS interface m_axi port = layers bundle = table
#pragma HLS interface m_axi port = numbers bundle = numbers
#pragma HLS interface m_axi port = accumulators bundle = numbers
#pragma HLS interface axis port = sum_fifo
#pragma HLS interface axis port = byte_fifo
    for (int index = first; index < last; index++)
        fn_finish_layer(layers[index], pictures, arena, numbers, accumulators, accumulators_pitch,
                        sum_fifo, byte_fifo);
}

FN_KERNEL fn_write(fn_burst *restrict arena, const struct fn_fpga_layer *restrict layers,
                   const int pictures, const int first, const int last FN_IN(fn_bytes, byte_fifo)) {
#pragma HLS interface m_axi port = arena bundle = activations max_write_burst_length = 64
#pragma HLS interface m_axi port = layers bundle = table
#pragma HLS interface axis port = byte_fifo
    for (int index = first; index < last; index++)
        if (layers[index].op != FN_FPGA_HEAD)
            fn_write_layer(layers[index], pictures, arena, byte_fifo);
}
