/* SPDX-License-Identifier: Apache-2.0
 *
 * detect_params.h -- what host and kernels agree on for the face detector's networks.
 *
 * Maps are square: [piece][y][x][pitch] floats, the pitch being the channels rounded up to whole
 * blocks of 16; the pieces themselves have a pitch of 3. Numbers of a layer: weights
 * [block][ky][kx] [ic][16], bias [block][16], alpha [block][16]. */
#ifndef FN_DETECT_PARAMS_H
#define FN_DETECT_PARAMS_H

#define FN_DETECT_LANES 16 /* output channels in one vector of sums */
#define FN_DETECT_CHUNK 64 /* outputs that a work-item computes one tile after the other */

#ifdef __OPENCL_VERSION__
typedef int fn_detect_word;
#else
#include <stdint.h>
typedef int32_t fn_detect_word;
#endif

/* A convolution of stride 1 and the pool of stride 2 behind it. */
struct fn_detect_layer {
    fn_detect_word in_side, in_pitch, in_channels;
    fn_detect_word window;   /* rows and columns of the kernel */
    fn_detect_word out_side; /* of the convolution */
    fn_detect_word blocks;
    fn_detect_word numbers;                  /* where the layer's begin, in vectors of 16 */
    fn_detect_word pool_window, pooled_side; /* 0: no pool */
};

#endif
