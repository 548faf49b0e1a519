/* SPDX-License-Identifier: Apache-2.0
 *
 * csim.cpp -- runs kernels/fpga_hls.cpp as Vitis HLS's C simulation would: each kernel to its end,
 * with streams of any depth between them. */
#include "tests/hls/csim.h"

namespace {
struct csim_count count;
enum { FETCH, WEIGH, ARRAY, FINISH, WRITE };
} // namespace
#define FN_CLOCK(stage)        count.clocks[stage]++
#define FN_MOVED(stage, moved) count.bytes[stage] += (int64_t)(moved)

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

int csim_count_layers(void *arena, const struct fn_fpga_layer *layers, int n_layers,
                      const void *weights, const int32_t *numbers, int32_t *accumulators,
                      int accumulators_pitch, int pictures, int per_layer,
                      struct csim_count *ret_counts) {
    hls::stream<fn_vector> vectors;
    hls::stream<fn_burst> bursts;
    hls::stream<fn_sums> sums;
    hls::stream<fn_bytes> bytes;
    static fn_weight_vector buffer[2][FN_FPGA_WEIGHTS];
    fn_burst *bursts_of_arena = static_cast<fn_burst *>(arena);
    int side = 0, ahead = 0; /* ahead: weights that the layer before has streamed for this one */
    for (int i = 0; i < n_layers; i++) {
        const struct fn_fpga_layer &l = layers[i];
        const bool alone = per_layer || i == 0;
        const int next = per_layer || i + 1 == n_layers ? 0 : layers[i + 1].weight_vectors;
        const int from = l.weights, to = from + l.blocks * l.weight_vectors * FN_FPGA_PARTS;
        count = {};
        fn_fetch(bursts_of_arena, layers, pictures, i, i + 1, vectors);
        fn_weigh(static_cast<const fn_burst *>(weights), from + ahead, to, bursts);
        count.clocks[WEIGH] += ahead;
        count.bytes[WEIGH] += (int64_t)ahead * FN_FPGA_BURST;
        const struct csim_count streamed = count;
        ahead = next * FN_FPGA_PARTS;
        fn_weigh(static_cast<const fn_burst *>(weights), to, to + ahead, bursts);
        count = streamed;
        side = fn_array_layer(l, pictures, alone, next, buffer, side, vectors, bursts, sums);
        fn_finish(bursts_of_arena, layers, numbers, accumulators, accumulators_pitch, pictures, i,
                  i + 1, sums, bytes);
        fn_write(bursts_of_arena, layers, pictures, i, i + 1, bytes);
        ret_counts[i] = count;
    }
    return !vectors.empty() + !bursts.empty() + !sums.empty();
}
