/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_layout.h -- where each channel of each tensor lies on a device of the family fpga.
 *
 * Tensors are made of planes of `vec` channels (kernels/fpga_params.h), and a layer writes whole
 * planes, so what each branch of a concat writes begins at a plane of its own. Layers that add or
 * pool channel by channel need both tensors cut in the same places; cuts are carried over until all
 * agree. Channels between the end of a branch and the next plane hold zeros. */
#ifndef FN_OPENCL_FPGA_LAYOUT_H
#define FN_OPENCL_FPGA_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/network.h"
#include "kernels/fpga_params.h"

/* What a program was compiled for, read from the program itself. */
struct fn_fpga_sizes {
    int layout, vec, lane, band, weights, fifo, layer_size, form; /* in the order of fn_about */
};

/* Sizes and offsets are bursts of 64 bytes and fit an int32. */
struct fn_fpga_layout {
    int32_t arena_size;
    int32_t offset[FN_MAX_TENSORS];  /* [max_batch][plane][height][row] */
    int32_t row[FN_MAX_TENSORS];     /* of one plane */
    int32_t plane[FN_MAX_TENSORS];   /* one plane of one picture */
    int32_t picture[FN_MAX_TENSORS]; /* all planes of one picture */
    int32_t
        *place[FN_MAX_TENSORS]; /* owned: by channel and one beyond the last: plane * vec + byte */
};

/* Lay out for batches of up to max_batch; tensors share bytes unless keep_tensors. FN_USAGE when
 * the arena would exceed what an int32 reaches, FN_NO_MEMORY. */
FN_MUST fn_status fn_fpga_layout_make(const struct fn_network *network,
                                      const struct fn_fpga_sizes *sizes, int max_batch,
                                      bool keep_tensors, struct fn_fpga_layout **ret_layout,
                                      struct fn_error *err);
/* NULL is a no-op. */
void fn_fpga_layout_free(struct fn_fpga_layout *layout);

/* Byte of channel c of pixel (y, x) within one picture of a tensor. */
size_t fn_fpga_byte(const struct fn_fpga_layout *layout, const struct fn_fpga_sizes *sizes,
                    int tensor, int y, int x, int c);

#endif
