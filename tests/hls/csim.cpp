/* SPDX-License-Identifier: Apache-2.0
 *
 * csim.cpp -- runs kernels/fpga_hls.cpp as Vitis HLS's C simulation would: each kernel to its end,
 * with streams of any depth between them. */
#include "tests/hls/csim.h"

#include "kernels/fpga_hls.cpp"

void csim_about(int ret_about[FN_FPGA_N_ABOUT]) {
    fn_about(ret_about);
}

int csim_layer(void *arena, const struct fn_fpga_layer *layers, const void *weights,
               const int32_t *numbers, int32_t *accumulators, int accumulators_pitch, int pictures,
               int layer) {
    hls::stream<fn_vector> vectors;
    hls::stream<fn_burst> bursts;
    hls::stream<fn_sums> sums;
    hls::stream<fn_bytes> bytes;
    fn_burst *bursts_of_arena = static_cast<fn_burst *>(arena);
    const struct fn_fpga_layer &l = layers[layer];
    const int from = l.weights, to = from + l.blocks * l.weight_vectors * FN_FPGA_PARTS;
    fn_fetch(bursts_of_arena, layers, pictures, layer, layer + 1, vectors);
    fn_weigh(static_cast<const fn_burst *>(weights), from, to, bursts);
    fn_array(layers, pictures, layer, layer + 1, vectors, bursts, sums);
    fn_finish(bursts_of_arena, layers, numbers, accumulators, accumulators_pitch, pictures, layer,
              layer + 1, sums, bytes);
    fn_write(bursts_of_arena, layers, pictures, layer, layer + 1, bytes);
    return !vectors.empty() + !bursts.empty() + !sums.empty();
}
