/* SPDX-License-Identifier: Apache-2.0
 *
 * params.h -- what host and kernels agree on: the layout of one layer's numbers on the device.
 *
 * Activations: [picture][height][width][pitch] bytes, the pitch being the channels rounded up to
 * whole quads of 4. The bytes that fill a quad up may hold anything: their weights are zero.
 * Weights: [block of 16 output channels][kernel_h][kernel_w][quad][16 lanes][4 channels] bytes.
 * Channel numbers: [block][3][16 lanes] int: bias, s (engine/fixed.h), r.
 * The arena's first bytes are zeros that nothing writes: positions outside a picture are read
 * there, so that the innermost loop has no branch and no picture needs a border. */
#ifndef FN_PARAMS_H
#define FN_PARAMS_H

#define FN_LANES 16 /* output channels that a work-item computes at once */
#define FN_QUAD  4  /* input channels that meet in one 32-bit word */

#ifdef __OPENCL_VERSION__
typedef int fn_word;
#else
#include <stdint.h>
typedef int32_t fn_word;
#endif

/* Offsets are bytes from the start of the arena or of the weights. */
struct fn_layer_params {
    fn_word input, in_height, in_width, in_pitch;
    fn_word output, out_height, out_width, out_pitch; /* output: of its first channel here */
    fn_word residual, residual_pitch;                 /* residual: -1 for none */
    fn_word kernel_h, kernel_w, stride, pad_h, pad_w;
    fn_word quads;             /* input channels / 4, rounded up */
    fn_word out_channels;      /* of the layer, not of the tensor it writes to */
    fn_word weights, channels; /* channels: index into the channel numbers */
    fn_word low;               /* smallest output: 0 after ReLU, else -128 */
    fn_word pool_shift;        /* d */
};

#endif
