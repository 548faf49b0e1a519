/* SPDX-License-Identifier: Apache-2.0
 *
 * pnet.h -- private to the detector: the first network, slid over one level of the pyramid.
 *
 * Rows stream through all layers, of each only those kept that the next still needs, so memory
 * grows with the width of the level alone and stays in the caches. */
#ifndef FN_DETECT_PNET_H
#define FN_DETECT_PNET_H

#include "engine/detect/box.h"
#include "engine/detect/conv.h"
#include "engine/detect/scale.h"

#define FN_PNET_CELL   12 /* pixels of a level that one output sees */
#define FN_PNET_STRIDE 2
#define FN_PNET_OUT    6 /* floats of an output: 2 logits, 4 regressions */

/* Read-only after fn_pnet_open(). */
struct fn_pnet {
    const struct fn_conv_kernels *kernels;
    struct fn_conv conv1, conv2, conv3, head; /* head: 2 logits, 4 regressions */
};

/* Buffers of one caller. Zero it before the first use. */
struct fn_pnet_rows {
    struct fn_scaler scaler;
    float *floats;     /* owned */
    uint32_t *offsets; /* owned */
    size_t floats_size, offsets_size;
};

/* Candidates found so far: the best `limit` of them, in storage for twice as many. */
struct fn_candidates {
    struct fn_candidate *items; /* [2 * limit], owned by whoever made it */
    size_t n, limit;
    uint32_t found; /* of all time: the next candidate's `order` */
};

/* Drop all but the best `limit`, sorted. */
void fn_candidates_trim(struct fn_candidates *candidates);

FN_MUST fn_status fn_pnet_open(const struct fn_mtcnn_weights *weights,
                               const struct fn_conv_kernels *kernels, struct fn_pnet *ret_pnet,
                               struct fn_error *err);
void fn_pnet_done(struct fn_pnet *pnet);

/* Of row y of a level's outputs, cells [n][FN_PNET_OUT], add those whose margin is at least
 * `threshold`; boxes in pixels of the picture. */
void fn_pnet_collect(double scale, float threshold, size_t y, const float *cells, size_t n,
                     struct fn_candidates *candidates);

/* Look at the picture at `scale`, 0 < scale <= 1, which leaves FN_PNET_CELL pixels a side or more.
 * Cells whose margin is at least `threshold` are added to the candidates, boxes in pixels of the
 * picture. */
FN_MUST fn_status fn_pnet_run(const struct fn_pnet *pnet, const struct fn_picture *picture,
                              double scale, float threshold, struct fn_pnet_rows *rows,
                              struct fn_candidates *candidates, struct fn_error *err);
void fn_pnet_rows_done(struct fn_pnet_rows *rows);

#endif
