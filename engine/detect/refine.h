/* SPDX-License-Identifier: Apache-2.0
 *
 * refine.h -- private to the detector: the second and the third network, each run on one
 * square piece of the picture at a time. */
#ifndef FN_DETECT_REFINE_H
#define FN_DETECT_REFINE_H

#include "engine/detect/box.h"
#include "engine/detect/conv.h"
#include "engine/detect/scale.h"

#define FN_REFINE_MAX_CONVS 4
#define FN_REFINE_MAX_OUT   16 /* floats out of a head: 2 logits, 4 regressions, 10 landmarks */
#define FN_REFINE_BATCH     18 /* pieces whose fully-connected layers are computed together */

/* A convolution over the whole of a square map, and the pool behind it. */
struct fn_refine_stage {
    struct fn_conv conv;
    int in_side, out_side;
    int pool_window; /* 0: no pool */
    int pooled_side;
    uint32_t *offsets; /* [out_side * out_side] in the input, owned */
    ptrdiff_t row_offsets[FN_CONV_MAX_KERNEL];
};

/* R-Net or O-Net. Read-only after fn_refiner_open(). */
struct fn_refiner {
    const struct fn_conv_kernels *kernels;
    int side; /* of the piece it sees, pixels */
    int n_stages;
    struct fn_refine_stage stages[FN_REFINE_MAX_CONVS];
    struct fn_conv full, head;
    int n_features; /* floats that `full` reads */
    uint32_t full_offsets[FN_REFINE_BATCH], head_offsets[FN_REFINE_BATCH];
    ptrdiff_t full_row_offsets[FN_CONV_MAX_KERNEL];
};

/* Buffers of one caller, large enough for both networks. */
struct fn_refine_maps {
    struct fn_scaler scaler;
    float *a, *b;    /* maps, in turns; owned */
    float *features; /* [FN_REFINE_BATCH][n_features], owned */
    float *hidden;   /* [FN_REFINE_BATCH][full.out_channels], owned */
    float *out;      /* [FN_REFINE_BATCH][head.out_channels], owned */
};

FN_MUST fn_status fn_refiner_open(const struct fn_mtcnn_weights *weights, enum fn_mtcnn_net net,
                                  const struct fn_conv_kernels *kernels,
                                  struct fn_refiner *ret_refiner, struct fn_error *err);
void fn_refiner_done(struct fn_refiner *refiner);

FN_MUST fn_status fn_refine_maps_new(struct fn_refine_maps *ret_maps, struct fn_error *err);
void fn_refine_maps_done(struct fn_refine_maps *maps);

/* Run on n pieces, 1...FN_REFINE_BATCH. maps->out has the heads' outputs afterwards. */
FN_MUST fn_status fn_refiner_run(const struct fn_refiner *refiner, const struct fn_picture *picture,
                                 const struct fn_rect *pieces, size_t n,
                                 struct fn_refine_maps *maps, struct fn_error *err);

#endif
