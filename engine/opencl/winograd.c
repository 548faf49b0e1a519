/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.c -- U = (2G)g(2G)' of each kernel g, twice G on both sides so that all is integer: 16
 * numbers of at most 9 * 127 in place of 9.
 *
 * What the kernel adds stays below 2^31: inputs become at most 4 * 127 = 508, so a sum over
 * FN_WINOGRAD_CHANNELS channels is at most 256 * 1143 * 508 < 2^28, and nine such sums make four
 * outputs' worth, below 2^31 too. */
#include "engine/opencl/winograd.h"

#include <string.h>

#include "kernels/params.h"

#define SIDE   4
#define PLACES ((size_t)SIDE * SIDE)

static const int twice_g[SIDE][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};

bool fn_winograd_suits(const struct fn_network *network, const struct fn_layer *layer) {
    if (layer->op != FN_OP_CONV || layer->kernel_h != 3 || layer->kernel_w != 3 ||
        layer->stride != 1 || layer->in_channels % FN_LANES != 0 ||
        layer->in_channels > FN_WINOGRAD_CHANNELS)
        return false;
    const struct fn_tensor *out = &network->tensors[layer->output];
    return !network->tensors[layer->input].is_signed && out->height >= 2 && out->width >= 2;
}

size_t fn_winograd_group_size(const struct fn_layer *layer) {
    return PLACES * (size_t)layer->in_channels * FN_LANES * sizeof(int16_t);
}

/* kernel: [3][3], `step` bytes apart. */
static void transform(const int8_t *kernel, size_t step, int16_t ret_places[PLACES]) {
    int lines[SIDE][3] = {{0}};
    for (size_t i = 0; i < SIDE; i++)
        for (size_t x = 0; x < 3; x++)
            for (size_t y = 0; y < 3; y++)
                lines[i][x] += twice_g[i][y] * kernel[(3 * y + x) * step];
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++) {
            int sum = 0;
            for (size_t x = 0; x < 3; x++) sum += lines[i][x] * twice_g[j][x];
            ret_places[i * SIDE + j] = (int16_t)sum;
        }
}

void fn_winograd_pack(const struct fn_layer *layer, const int8_t *weights, int8_t *ret_packed) {
    size_t in = (size_t)layer->in_channels, out = (size_t)layer->out_channels;
    for (size_t oc = 0; oc < out; oc++)
        for (size_t ic = 0; ic < in; ic++) {
            int16_t places[PLACES];
            int8_t *group = ret_packed + oc / FN_LANES * fn_winograd_group_size(layer);
            transform(weights + oc * 9 * in + ic, in, places);
            for (size_t p = 0; p < PLACES; p++) {
                size_t at = ((p * in / 2 + ic / 2) * FN_LANES + oc % FN_LANES) * 2 + ic % 2;
                memcpy(group + at * sizeof places[p], &places[p], sizeof places[p]);
            }
        }
}
