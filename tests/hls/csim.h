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

/* What one layer took, by stage: fetch, weigh, array, finish, write. */
#define CSIM_STAGES 5
struct csim_count {
    int64_t clocks[CSIM_STAGES]; /* iterations of the stage's loop */
    int64_t bytes[CSIM_STAGES];  /* read from and written to off-chip memory */
};

/* All layers in order and what each took; per_layer: launched one by one, else all in one launch,
 * with a layer's first weights arriving while the layer before it is computed. Counts do not depend
 * on what the buffers hold. Returns the number of streams that were not emptied. */
int csim_count_layers(void *arena, const struct fn_fpga_layer *layers, int n_layers,
                      const void *weights, const int32_t *numbers, int32_t *accumulators,
                      int accumulators_pitch, int pictures, int per_layer,
                      struct csim_count *ret_counts);

#ifdef __cplusplus
}
#endif

#endif
