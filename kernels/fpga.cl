/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga.cl -- the kernel family for FPGAs: five single work-item kernels joined by FIFOs, driven by
 * a table of layers. What differs between compilers is in fpga_target.h, what the stages do in
 * fpga_types.h, layouts in fpga_params.h.
 *
 * Intel: each kernel is launched once a batch and walks layers first...last - 1. The writer tells
 * the two readers of activations when a layer is done, after a fence that makes its stores visible.
 * v++: nothing promises that another kernel's stores are seen before it ends, so each kernel is
 * launched once a layer and no tokens are needed. Without FIFOs one kernel runs the stages in turn,
 * with arrays between them. */
#include "fpga_array.h"
#include "fpga_fetch.h"
#include "fpga_finish.h"
#include "fpga_write.h"

/* The sizes that were compiled in, so that the host packs for this very program. */
FN_KERNEL fn_about(FN_GLOBAL int *restrict about) {
    about[FN_FPGA_ABOUT_LAYOUT] = FN_FPGA_LAYOUT;
    about[FN_FPGA_ABOUT_VEC] = FN_FPGA_VEC;
    about[FN_FPGA_ABOUT_LANE] = FN_FPGA_LANE;
    about[FN_FPGA_ABOUT_BAND] = FN_FPGA_BAND;
    about[FN_FPGA_ABOUT_WEIGHTS] = FN_FPGA_WEIGHTS;
    about[FN_FPGA_ABOUT_FIFO] = FN_FPGA_FIFO;
    about[FN_FPGA_ABOUT_LAYER_SIZE] = sizeof(struct fn_fpga_layer);
    about[FN_FPGA_ABOUT_FORM] = FN_FORM;
}

#ifdef FN_TARGET_PLAIN

/* vector_fifo, sum_fifo, byte_fifo: room for all tokens of the largest layer. */
FN_KERNEL
fn_fused(FN_GLOBAL fn_burst *restrict arena, FN_GLOBAL const struct fn_fpga_layer *restrict layers,
         FN_GLOBAL const fn_burst *restrict weights, FN_GLOBAL const fn_s32 *restrict numbers,
         FN_GLOBAL fn_s32 *restrict accumulators, FN_GLOBAL fn_vector *restrict vector_fifo,
         FN_GLOBAL fn_sums *restrict sum_fifo, FN_GLOBAL fn_bytes *restrict byte_fifo,
         const int accumulators_pitch, const int pictures, const int first, const int last) {
    fn_weight_vector buffer[2][FN_FPGA_WEIGHTS];
    for (int index = first; index < last; index++) {
        const struct fn_fpga_layer layer = layers[index];
        fn_fetch_layer(layer, pictures, arena, vector_fifo);
        (void)fn_array_layer(layer, pictures, 1, 0, buffer, 0, vector_fifo, weights + layer.weights,
                             sum_fifo);
        fn_finish_layer(layer, pictures, arena, numbers, accumulators, accumulators_pitch, sum_fifo,
                        byte_fifo);
        if (layer.op != FN_FPGA_HEAD) fn_write_layer(layer, pictures, arena, byte_fifo);
    }
}

#else

#ifdef FN_TOKENS
FN_FIFO(int, fetch_token);
FN_FIFO(int, finish_token);
#endif

FN_KERNEL fn_fetch(FN_GLOBAL const FN_SHARED fn_burst *restrict arena,
                   FN_GLOBAL const struct fn_fpga_layer *restrict layers, const int pictures,
                   const int first, const int last) {
    for (int index = first; index < last; index++) {
#ifdef FN_TOKENS
        if (index > first) {
            int done;
            FN_GET(fetch_token, done);
            FN_FENCE;
        }
#endif
        fn_fetch_layer(layers[index], pictures, arena);
    }
}

/* from, to: bursts; the host knows them from the layers. */
FN_KERNEL fn_weigh(FN_GLOBAL const fn_burst *restrict weights, const int from, const int to) {
    fn_stream_weights(from, to, weights);
}

FN_KERNEL fn_array(FN_GLOBAL const struct fn_fpga_layer *restrict layers, const int pictures,
                   const int first, const int last) {
    fn_weight_vector buffer[2][FN_FPGA_WEIGHTS];
    int side = 0;
    for (int index = first; index < last; index++)
        side =
            fn_array_layer(layers[index], pictures, index == first,
                           index + 1 < last ? layers[index + 1].weight_vectors : 0, buffer, side);
}

FN_KERNEL fn_finish(FN_GLOBAL const FN_SHARED fn_burst *restrict arena,
                    FN_GLOBAL const struct fn_fpga_layer *restrict layers,
                    FN_GLOBAL const fn_s32 *restrict numbers,
                    FN_GLOBAL fn_s32 *restrict accumulators, const int accumulators_pitch,
                    const int pictures, const int first, const int last) {
    for (int index = first; index < last; index++) {
#ifdef FN_TOKENS
        if (index > first) {
            int done;
            FN_GET(finish_token, done);
            FN_FENCE;
        }
#endif
        fn_finish_layer(layers[index], pictures, arena, numbers, accumulators, accumulators_pitch);
    }
}

FN_KERNEL fn_write(FN_GLOBAL FN_SHARED fn_burst *restrict arena,
                   FN_GLOBAL const struct fn_fpga_layer *restrict layers, const int pictures,
                   const int first, const int last) {
    for (int index = first; index < last; index++) {
        if (layers[index].op != FN_FPGA_HEAD) fn_write_layer(layers[index], pictures, arena);
#ifdef FN_TOKENS
        if (index + 1 < last) { /* a token nobody takes would be found by the next launch */
            FN_FENCE;
            FN_PUT(fetch_token, 1);
            FN_FENCE;
            FN_PUT(finish_token, 1);
        }
#endif
    }
}

#endif
