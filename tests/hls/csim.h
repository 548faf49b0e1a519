/* SPDX-License-Identifier: Apache-2.0
 *
 * csim.h -- the HLS kernels in C simulation, as C sees them. */
#ifndef FN_TESTS_HLS_CSIM_H
#define FN_TESTS_HLS_CSIM_H

#include <stdint.h>

#include "kernels/fpga_params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What fn_about writes. */
void csim_about(int ret_about[FN_FPGA_N_ABOUT]);

/* All five kernels for one layer, one after the other. arena and weights: bursts. Returns the
 * number of streams that were not emptied, 0 when every token was taken. */
int csim_layer(void *arena, const struct fn_fpga_layer *layers, const void *weights,
               const int32_t *numbers, int32_t *accumulators, int accumulators_pitch, int pictures,
               int layer);

#ifdef __cplusplus
}
#endif

#endif
