/* SPDX-License-Identifier: Apache-2.0
 *
 * scale.h -- private to the detector: rows of a stretched piece of a picture, as the three
 * networks want them.
 *
 * Along each axis exact area coverage, whether it shrinks or grows: of n source pixels to m, source
 * pixel i covers [mi, m(i+1)), output j covers [nj, n(j+1)), a weight is the length of their
 * overlap. The weighted sums are integers below 2^24 along y, kept in float, and below 2^40 along
 * both axes, kept in double, so nothing is rounded before the one division and the order of sums is
 * free.
 *
 * Levels of the pyramid are pictures again: v = floor((sum + D/2) / D). Pieces for the second and
 * third network keep their fractions: v = sum / D in double. Both as in the original, where it is
 * cv2.resize(INTER_AREA) of bytes and of doubles; boxes follow such details. The networks see
 * (v - 127.5) / 128, computed in double and rounded once to float. */
#ifndef FN_DETECT_SCALE_H
#define FN_DETECT_SCALE_H

#include <stdbool.h>

#include "engine/picture/picture.h"

#define FN_SCALE_MAX_SIDE 65535 /* of the piece; 255 times it is below 2^24 */

struct fn_scale_tap; /* where one output of an axis takes its pixels from */

/* Zero it before the first use. Buffers are kept from one piece to the next. */
struct fn_scaler {
    const struct fn_picture *picture; /* borrowed */
    struct fn_rect rect;
    int width, height;
    struct fn_scale_tap *taps_x, *taps_y; /* [width], [height]; owned */
    float *sums;                          /* [rect.width][3], owned */
    size_t taps_x_size, taps_y_size, sums_size;
    bool rounded;
    double divisor, half;
};

/* Prepare to stretch `rect` of the picture, 1...FN_SCALE_MAX_SIDE a side, to width x height. It may
 * reach beyond the picture, where everything is black. `rounded`: values are bytes.
 * FN_NO_MEMORY leaves the scaler empty. */
FN_MUST fn_status fn_scaler_begin(struct fn_scaler *scaler, const struct fn_picture *picture,
                                  struct fn_rect rect, int width, int height, bool rounded,
                                  struct fn_error *err);
/* Row y. ret_row: [width][3]. */
void fn_scaler_row(struct fn_scaler *scaler, int y, float *ret_row);
void fn_scaler_done(struct fn_scaler *scaler);

#endif
