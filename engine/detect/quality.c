/* SPDX-License-Identifier: Apache-2.0
 *
 * quality.c -- hints about a face; integers but for the last step. */
#include <math.h>

#include "engine/detect/crop.h"

#define SIDE FN_CROP_SIDE

/* Luma of BT.601 in 1/256. */
static int32_t luma(const uint8_t *crop, int x, int y) {
    const uint8_t *p = crop + (ptrdiff_t)3 * (y * SIDE + x);
    return 77 * p[0] + 150 * p[1] + 29 * p[2];
}

struct fn_face_quality fn_face_measure(const struct fn_picture *picture, const struct fn_face *face,
                                       const uint8_t crop[FN_CROP_SIZE]) {
    int64_t sum = 0, edges = 0, squares = 0, n = (int64_t)(SIDE - 2) * (SIDE - 2);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) sum += luma(crop, x, y);
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            int64_t laplacian = luma(crop, x - 1, y) + luma(crop, x + 1, y) + luma(crop, x, y - 1) +
                                luma(crop, x, y + 1) - 4 * (int64_t)luma(crop, x, y);
            edges += laplacian;
            squares += laplacian * laplacian;
        }
    struct fn_face full = fn_face_in_full(picture, face);
    double mean = (double)edges / (double)n / 256;
    const double *left = full.landmarks[FN_LEFT_EYE], *right = full.landmarks[FN_RIGHT_EYE];
    return (struct fn_face_quality){
        .size = fmin(full.x2 - full.x1, full.y2 - full.y1),
        .sharpness = (double)squares / (double)n / 65536 - mean * mean,
        .brightness = (double)sum / (SIDE * SIDE) / 256,
        .roll = atan2(right[1] - left[1], right[0] - left[0]) * (180 / 3.14159265358979323846),
    };
}
