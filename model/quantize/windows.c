/* SPDX-License-Identifier: Apache-2.0
 *
 * windows.c -- see windows.h. */
#include "model/quantize/windows.h"

#include <string.h>

bool fn_windows_are_dense(const struct fn_layer *layer) {
    return layer->kernel_h == 1 && layer->kernel_w == 1 && layer->stride == 1 &&
           layer->pad_h == 0 && layer->pad_w == 0;
}

void fn_windows_fill(const struct fn_layer *layer, const struct fn_tensor *in,
                     const struct fn_tensor *out, const float *input, float *ret_windows) {
    size_t channels = (size_t)in->channels, size = channels * sizeof(float);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int ky = 0; ky < layer->kernel_h; ky++)
                for (int kx = 0; kx < layer->kernel_w; kx++, ret_windows += channels) {
                    int iy = y * layer->stride - layer->pad_h + ky;
                    int ix = x * layer->stride - layer->pad_w + kx;
                    if (iy < 0 || iy >= in->height || ix < 0 || ix >= in->width)
                        memset(ret_windows, 0, size);
                    else
                        memcpy(ret_windows,
                               input + ((size_t)iy * (size_t)in->width + (size_t)ix) * channels,
                               size);
                }
}
