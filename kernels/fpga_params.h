/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_params.h -- what the host and the family `fpga` agree on: sizes of the array and its
 * buffers, the record that describes one layer, and the layout of everything in device memory.
 *
 * The sizes below are compiled into a program; the host asks the program for them (fn_about) and
 * packs for what it is told, so one daemon runs bitstreams of every size.
 *
 * Everything in device memory is made of bursts of 512 bits.
 * Activations: [picture][plane][height][row] bursts; a plane holds FN_FPGA_VEC channels of every
 *   pixel side by side, a row is padded to whole bursts. A branch of a concat starts at a plane of
 *   its own; the channels between have weights of zero.
 * Weights: [layer][block of FN_FPGA_LANE output channels][tap][plane][lane][FN_FPGA_VEC] bytes, in
 *   the order in which they are used: one stream a batch.
 * Channel numbers: [block][bias of every lane][s | r << 8 of every lane] (s, r: engine/fixed.h). */
#ifndef FN_FPGA_PARAMS_H
#define FN_FPGA_PARAMS_H

#ifndef FN_FPGA_VEC
#define FN_FPGA_VEC 16 /* input channels that meet in one cycle */
#endif
#ifndef FN_FPGA_LANE
#define FN_FPGA_LANE 16 /* output channels computed at once */
#endif
#ifndef FN_FPGA_BAND
#define FN_FPGA_BAND                                                                               \
    FN_FPGA_BAND_OF(FN_FPGA_VEC) /* bursts: input rows of an output row; two such */
#endif
#ifndef FN_FPGA_WEIGHTS
#define FN_FPGA_WEIGHTS                                                                            \
    FN_FPGA_WEIGHTS_OF(FN_FPGA_VEC) /* vectors of an output's window; two such */
#endif
#ifndef FN_FPGA_FIFO
#define FN_FPGA_FIFO 16 /* tokens between two kernels; >= 4096 on Intel's emulator */
#endif

/* The full network fits these, whatever VEC. Wide vectors leave more of a row's last burst empty,
 * so bands do not shrink on. */
#define FN_FPGA_BAND_OF(vec)    ((vec) < 16 ? 8192 / (vec) : 512)
#define FN_FPGA_WEIGHTS_OF(vec) (4096 / (vec))

#define FN_FPGA_BURST  64                                           /* bytes */
#define FN_FPGA_WORDS  16                                           /* 32-bit words of a burst */
#define FN_FPGA_QUADS  (FN_FPGA_VEC / 4)                            /* words of a vector */
#define FN_FPGA_PIXELS (FN_FPGA_BURST / FN_FPGA_VEC)                /* of one plane, in a burst */
#define FN_FPGA_PARTS  (FN_FPGA_LANE * FN_FPGA_VEC / FN_FPGA_BURST) /* bursts of a weight vector */
#define FN_FPGA_PLANES (FN_FPGA_LANE / FN_FPGA_VEC)                 /* that a block writes */
/* Iterations that must lie between filling a place of a ping-pong buffer and reading it: kernels
 * promise their compilers that such a dependence is never shorter. */
#define FN_FPGA_GAP    16
#define FN_FPGA_LAYOUT 1 /* counts up when anything in this file changes its meaning */

#if FN_FPGA_VEC == 4
#define FN_FPGA_PIXEL_BITS 4
#elif FN_FPGA_VEC == 8
#define FN_FPGA_PIXEL_BITS 3
#elif FN_FPGA_VEC == 16
#define FN_FPGA_PIXEL_BITS 2
#elif FN_FPGA_VEC == 32
#define FN_FPGA_PIXEL_BITS 1
#elif FN_FPGA_VEC == 64
#define FN_FPGA_PIXEL_BITS 0
#else
#error "FN_FPGA_VEC: a power of two, 4...64"
#endif
#if FN_FPGA_LANE % FN_FPGA_VEC != 0 || FN_FPGA_LANE < FN_FPGA_VEC || FN_FPGA_LANE > 128
#error "FN_FPGA_LANE: a multiple of FN_FPGA_VEC, at most 128"
#endif
#if FN_FPGA_LANE * FN_FPGA_VEC % FN_FPGA_BURST != 0
#error "FN_FPGA_LANE * FN_FPGA_VEC: whole bursts"
#endif
#if FN_FPGA_FIFO < 16 || (FN_FPGA_FIFO & (FN_FPGA_FIFO - 1)) != 0
#error "FN_FPGA_FIFO: a power of two, at least 16"
#endif

#ifdef __OPENCL_VERSION__
typedef int fn_fpga_int;
#else
#include <stdint.h>
typedef int32_t fn_fpga_int;
#endif

/* How a program is to be launched. */
#define FN_FPGA_PER_BATCH 1 /* five kernels, once a batch */
#define FN_FPGA_PER_LAYER 2 /* five kernels, once a layer, each layer after the one before */
#define FN_FPGA_FUSED     3 /* one kernel, once a batch */

#define FN_FPGA_CONV 0
#define FN_FPGA_POOL 1
#define FN_FPGA_HEAD 2

/* One layer: 36 numbers. Rows, planes, pictures and offsets count bursts. What a kernel would have
 * to divide or multiply for is here already. */
struct fn_fpga_layer {
    fn_fpga_int op;
    fn_fpga_int input, in_height, in_width, in_row, in_plane, in_picture;
    fn_fpga_int in_planes;   /* that one output reads; 1 for a pool */
    fn_fpga_int block_plane; /* from one block's input to the next block's: 0, or a plane (pool) */
    fn_fpga_int output, out_height, out_width, out_row, out_plane, out_picture;
    fn_fpga_int residual, residual_picture; /* residual: -1 for none; rows and planes as output */
    fn_fpga_int kernel_h, kernel_w, stride, pad_h, pad_w;
    fn_fpga_int row_step;    /* stride * in_row */
    fn_fpga_int band_plane;  /* kernel_h * in_row */
    fn_fpga_int band;        /* in_planes * band_plane: input rows behind one output row */
    fn_fpga_int vectors;     /* kernel_h * kernel_w * in_planes: of one output's window */
    fn_fpga_int row_vectors; /* out_width * vectors */
    fn_fpga_int blocks;      /* of FN_FPGA_LANE output channels; of FN_FPGA_VEC for a pool */
    fn_fpga_int block_step;  /* from one block's output to the next one's */
    fn_fpga_int planes, last_planes; /* that a block writes, and the last one */
    fn_fpga_int weights;             /* bursts before this layer's */
    fn_fpga_int weight_vectors; /* of one block: vectors, in_planes for the head, 0 for a pool */
    fn_fpga_int numbers;        /* index of the first block's channel numbers */
    fn_fpga_int low;            /* smallest output: 0 after ReLU, else -128 */
    fn_fpga_int pool_shift;     /* d */
};
#define FN_FPGA_LAYER_SIZE 144

#ifndef __OPENCL_VERSION__
#ifdef __cplusplus
static_assert(sizeof(struct fn_fpga_layer) == FN_FPGA_LAYER_SIZE, "the same on host and device");
#else
_Static_assert(sizeof(struct fn_fpga_layer) == FN_FPGA_LAYER_SIZE, "the same on host and device");
#endif
#endif

/* What fn_about writes: the sizes of its program, in this order. */
enum fn_fpga_about {
    FN_FPGA_ABOUT_LAYOUT,
    FN_FPGA_ABOUT_VEC,
    FN_FPGA_ABOUT_LANE,
    FN_FPGA_ABOUT_BAND,
    FN_FPGA_ABOUT_WEIGHTS,
    FN_FPGA_ABOUT_FIFO,
    FN_FPGA_ABOUT_LAYER_SIZE,
    FN_FPGA_ABOUT_FORM, /* one of those below */
    FN_FPGA_N_ABOUT
};

#endif
