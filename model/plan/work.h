/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h -- what a layer asks of an accelerator, apart from its numbers: sizes only. Both our
 * network and the networks of published engines (published.h) are lists of these, so that one cost
 * model (array.h) serves the plan and its check. */
#ifndef FN_WORK_H
#define FN_WORK_H

#include "engine/network.h"

enum fn_work_kind {
    FN_WORK_CONV,
    FN_WORK_POOL,
    FN_WORK_ADD, /* of two tensors, where an engine has it as a layer of its own */
};

/* Bytes are int8 values of one picture. */
struct fn_work {
    const char *name; /* borrowed */
    enum fn_work_kind kind;
    int in_height, in_width, in_channels;
    int out_height, out_width, out_channels;
    int kernel_h, kernel_w;
    int64_t weights;  /* bytes; fewer than products when positions share them (the head) */
    int64_t residual; /* bytes read beside the input */
};

/* The layers of a network in order; names are borrowed from it. ret: [FN_MAX_LAYERS]. Returns how
 * many. */
int fn_work_of_network(const struct fn_network *network, struct fn_work *ret);

/* Multiply-accumulates of one picture; 0 unless a convolution. */
int64_t fn_work_macs(const struct fn_work *work);

#endif
