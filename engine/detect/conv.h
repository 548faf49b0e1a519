/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.h -- private to the detector: float32 convolution and pooling with one fixed
 * evaluation, so that every CPU finds the same boxes to the bit.
 *
 * An output starts from its bias and adds its products in the order ky, kx, ic, each by one fused
 * multiply-add; then PReLU, max(x, 0) + alpha * min(x, 0). Only different outputs are computed side
 * by side, so the width of the CPU's vectors changes nothing. Activations are [pixel][channels].
 *
 * Vectors of 16 channels are stored whole even when fewer are left: a buffer of outputs has room
 * for FN_CONV_SLACK floats after its last, and so has a buffer that is pooled. */
#ifndef FN_DETECT_CONV_H
#define FN_DETECT_CONV_H

#include <stddef.h>
#include <stdint.h>

#include "engine/detect/mtcnn.h"
#include "engine/status.h"

#define FN_CONV_BLOCK      16 /* output channels computed together */
#define FN_CONV_SLACK      16 /* floats */
#define FN_CONV_MAX_KERNEL 3  /* rows */

/* A convolution of stride 1, packed. Layers that read the same input may be packed as one. */
struct fn_conv {
    int kernel_h;
    int run;          /* kernel_w * in_channels: floats read in a row of the window */
    int out_channels; /* of all layers */
    int n_blocks;     /* of FN_CONV_BLOCK */
    float *weights;   /* [n_blocks][kernel_h][run][FN_CONV_BLOCK], owned */
    float *bias;      /* [n_blocks][FN_CONV_BLOCK], in `weights`' allocation */
    float *alpha;     /* the same; all 1 (the identity) for layers without PReLU */
};

/* Pack layers [first, first + n) of `weights`, which have the same kernel and input. */
FN_MUST fn_status fn_conv_pack(const struct fn_mtcnn_weights *weights, int first, int n,
                               struct fn_conv *ret_conv, struct fn_error *err);
void fn_conv_done(struct fn_conv *conv);

/* One implementation; all give the same bits. */
struct fn_conv_kernels {
    const char *name; /* "avx2" */
    /* n outputs: the window of output i begins at base + offsets[i], its row ky lies
     * row_offsets[ky] floats further. out: [n][out_channels]. */
    void (*convolve)(const struct fn_conv *conv, const float *base, const uint32_t *offsets,
                     const ptrdiff_t *row_offsets, size_t n, float *out);
    /* One row of maxima with stride 2 over `window` columns of n_rows rows [width][channels];
     * columns beyond the width do not take part. out: [n][channels]. */
    void (*pool)(const float *const *rows, int n_rows, int width, int channels, int window,
                 size_t n, float *out);
};

/* The best for this CPU. */
const struct fn_conv_kernels *fn_conv_kernels_choose(void);
/* Number i of those that this CPU can run, the portable one first; NULL after the last. */
const struct fn_conv_kernels *fn_conv_kernels_at(size_t i);

#endif
