/* SPDX-License-Identifier: Apache-2.0
 *
 * windows.h -- what a convolution reads at each output position, as rows of a matrix (im2col), so
 * that it becomes a product of matrices. */
#ifndef FN_WINDOWS_H
#define FN_WINDOWS_H

#include "engine/network.h"

/* Whether the windows are the input as it lies: 1x1, stride 1. */
bool fn_windows_are_dense(const struct fn_layer *layer);

/* ret_windows: [height][width of out][kernel_h][kernel_w][channels], zeros outside the input. */
void fn_windows_fill(const struct fn_layer *layer, const struct fn_tensor *in,
                     const struct fn_tensor *out, const float *input, float *ret_windows);

#endif
