/* SPDX-License-Identifier: Apache-2.0
 *
 * box.h -- private to the detector: candidates, their order, suppression and box arithmetic,
 * all in double.
 *
 * Boxes count pixels as the original does, from 1 and with both ends inside: 1...12 are the first
 * twelve. Order is by the difference of the two logits, not by the softmax, which saturates. */
#ifndef FN_DETECT_BOX_H
#define FN_DETECT_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/picture/picture.h"

struct fn_candidate {
    double x1, y1, x2, y2;
    float margin;        /* logit of "face" minus logit of "no face"; a number */
    float regression[4]; /* x1 y1 x2 y2, in widths and heights of the box */
    uint32_t order;      /* decides between equal margins: the earlier found wins */
};

enum fn_overlap {
    FN_OVERLAP_UNION, /* intersection / union */
    FN_OVERLAP_LEAST, /* intersection / the smaller area */
};

/* By falling margin. */
void fn_candidates_sort(struct fn_candidate *candidates, size_t n);

/* Of sorted candidates keep those that overlap none better by more than `most`; returns how many.
 * They move to the front, in order. */
size_t fn_candidates_suppress(struct fn_candidate *candidates, size_t n, enum fn_overlap overlap,
                              double most);

/* Move the edges by the regression, in units of width and height plus `rim` pixels. */
void fn_candidate_regress(struct fn_candidate *candidate, double rim);
/* Grow the shorter side about the centre to a square. */
void fn_candidate_square(struct fn_candidate *candidate);
/* Cut fractions off, towards zero. False when the box is no rectangle of 1...max_side pixels a side
 * that meets the picture; it is not to be used then. ret_rect: the pixels it covers. */
bool fn_candidate_snap(struct fn_candidate *candidate, const struct fn_picture *picture,
                       int max_side, struct fn_rect *ret_rect);

#endif
