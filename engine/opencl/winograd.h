/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.h -- weights of 3x3 convolutions for kernels/winograd.cl.h. */
#ifndef FN_OPENCL_WINOGRAD_H
#define FN_OPENCL_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/network.h"

/* Whether a layer may be computed so: 3x3, stride 1, at least 2x2 outputs, unsigned inputs of whole
 * vectors of 16 channels, not too many. */
bool fn_winograd_suits(const struct fn_network *network, const struct fn_layer *layer);

/* Bytes of a group's transformed weights. */
size_t fn_winograd_group_size(const struct fn_layer *layer);

/* weights: [out_channels][3][3][in_channels]. ret_packed, all zero before: [group of 16 output
 * channels][16 places][pair of input channels][16 lanes][2] 16-bit integers of this machine. */
void fn_winograd_pack(const struct fn_layer *layer, const int8_t *weights, int8_t *ret_packed);

#endif
