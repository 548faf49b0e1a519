/* SPDX-License-Identifier: Apache-2.0
 *
 * params.h -- what host and kernels agree on: the layout of one layer's numbers on the device.
 *
 * Activations: [picture][height][width + gap][pitch] bytes, the pitch being the channels rounded up
 * to whole quads of 4. The bytes that fill a quad up may hold anything: their weights are zero. The
 * gap is as many zero pixels as the widest padding of the layers that read the tensor; as many
 * stand before its first row, so that a row's right padding is the next row's left one and a
 * kernel's row is one run of bytes everywhere. Whoever writes a row's last pixel writes its gap.
 * Weights: [group of 16 * blocks output channels][kernel_h][kernel_w][quad][16 * blocks lanes][4
 * channels] bytes.
 * Channel numbers: [block of 16][3][16 lanes] int: bias, s (engine/fixed.h), r.
 * For kernels that add pairs in 16 bits (x86.cl.h), blocks is 1 and the quads of a kernel's row are
 * in another order: runs of four quads, runs of two, single ones. Order: [group][kernel_h] ints:
 * how many of each there are, the first quad of each run, and unused ones up to 3 + kernel_w *
 * quads.
 * For Winograd's tiles (winograd.cl.h), weights are [group of 16][16 places][pair of input
 * channels] [16 lanes][2] 16-bit integers. The arena's first bytes are zeros that nothing writes:
 * rows above and below a picture are read there. */
#ifndef FN_PARAMS_H
#define FN_PARAMS_H

#define FN_LANES   16 /* output channels in one vector of sums */
#define FN_QUAD    4  /* input channels that meet in one 32-bit word */
#define FN_MEMBERS 4  /* layers that one launch may compute side by side */

#ifdef __OPENCL_VERSION__
typedef int fn_word;
typedef uint fn_uword;
#else
#include <stdint.h>
typedef int32_t fn_word;
typedef uint32_t fn_uword;
#endif

/* Offsets are bytes from the start of the arena or of the weights. */
struct fn_layer_params {
    fn_word input, in_height, in_width, in_pitch;
    fn_word in_row, in_picture;                       /* bytes, the gap included */
    fn_word output, out_height, out_width, out_pitch; /* output: of its first channel here */
    fn_word out_row, out_picture, out_gap;            /* gap: pixels */
    /* 2^32 / out_width and out_height, rounded up, so that x / width is the upper half of x times
     * the inverse while x * width < 2^32; 0 stands for 2^32. */
    fn_uword width_inverse, height_inverse;
    fn_word residual; /* -1 for none; laid out as the output */
    fn_word kernel_h, kernel_w, stride, pad_h, pad_w;
    fn_word quads;             /* input channels / 4, rounded up */
    fn_word out_channels;      /* of the layer, not of the tensor it writes to */
    fn_word blocks;            /* blocks of 16 output channels that a work-item computes */
    fn_word weights, channels; /* channels: index into the channel numbers */
    fn_word order;             /* index of the layer's first int */
    fn_word low;               /* smallest output: 0 after ReLU, else -128 */
    fn_word tiles_x, tiles_y;  /* of 2x2 outputs, and their inverses */
    fn_uword tiles_x_inverse, tiles_y_inverse;
    fn_word pool_shift; /* d */
};

#define FN_WINOGRAD_TILES    16  /* that are transformed together: one a lane */
#define FN_WINOGRAD_CHANNELS 256 /* of an input, at most */

/* What a step computes, and with which kernel. */
#define FN_STEP_CONV               0
#define FN_STEP_CONV_TAIL          1
#define FN_STEP_CONV_NARROW        2
#define FN_STEP_CONV_SIGNED        3
#define FN_STEP_CONV_SIGNED_NARROW 4
#define FN_STEP_POOL               5
#define FN_STEP_HEAD_SUM           6
#define FN_STEP_HEAD               7
#define FN_STEP_WINOGRAD           8
#define FN_STEP_KINDS              9

/* One step of a share: work-items that do not need each other. Those of a convolution are split by
 * member: members, the layers; ends, the work-items up to each one's last; a work-item computes
 * `spans` tiles in a row for `chunks` groups. The others have one member and count their items by
 * rows or pictures first, blocks of 16 channels last.
 * A share is some of a run's pictures with an arena of their own; steps: [share][step]. */
struct fn_step_params {
    fn_word kind, n_items;
    fn_word arena, first, pictures; /* of the share: its arena's offset, bytes; its first picture */
    fn_word members[FN_MEMBERS], ends[FN_MEMBERS], spans[FN_MEMBERS], chunks[FN_MEMBERS];
};

#define FN_MAX_SHARES 32

/* How far a step is, where cores share it out among themselves (run.cl.h): a cache line for each
 * number. */
struct fn_progress {
    fn_word claimed, unused[15];
    fn_word done, unused_too[15];
};

#endif
