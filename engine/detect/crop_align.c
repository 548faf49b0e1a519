/* SPDX-License-Identifier: Apache-2.0
 *
 * crop_align.c -- aligned-5p-160.
 *
 * The mean face lives in a frame of 128 x 160 units, which is then stretched to 160 x 160 as every
 * crop that the networks were trained on was. The similarity that takes the frame to the picture is
 * the least-squares one for the five landmarks, in double and in the order written here. Every
 * output pixel is the mean of n x n points on a regular grid, n the scale rounded up (at most
 * MAX_POINTS): each a bilinear sample at coordinates rounded down to 1/256 pixel, beyond the
 * picture the pixel at its edge; sums in integers, rounded once. */
#include "engine/detect/crop.h"

#include <math.h>

#define FRAME_WIDTH  128
#define FRAME_HEIGHT 160
#define MAX_POINTS   8
#define UNITS        256 /* of a coordinate, per pixel */

/* Means over the 128 calibration pictures, made symmetric: x, y in the frame. */
static const double mean_face[FN_LANDMARKS][2] = {
    {42.6, 65.9}, {85.4, 65.9}, {64.0, 90.8}, {44.9, 112.7}, {83.1, 112.7}};

/* A point of the frame to the picture: x' = a x - b y + x0, y' = b x + a y + y0. */
struct similarity {
    double a, b, x0, y0;
};

static struct similarity fit(const struct fn_face *face) {
    double from_x = 0, from_y = 0, to_x = 0, to_y = 0;
    for (int k = 0; k < FN_LANDMARKS; k++) {
        from_x += mean_face[k][0];
        from_y += mean_face[k][1];
        to_x += face->landmarks[k][0];
        to_y += face->landmarks[k][1];
    }
    from_x /= FN_LANDMARKS;
    from_y /= FN_LANDMARKS;
    to_x /= FN_LANDMARKS;
    to_y /= FN_LANDMARKS;
    double along = 0, across = 0, spread = 0;
    for (int k = 0; k < FN_LANDMARKS; k++) {
        double fx = mean_face[k][0] - from_x, fy = mean_face[k][1] - from_y;
        double tx = face->landmarks[k][0] - to_x, ty = face->landmarks[k][1] - to_y;
        along += fx * tx + fy * ty;
        across += fx * ty - fy * tx;
        spread += fx * fx + fy * fy;
    }
    struct similarity s = {.a = along / spread, .b = across / spread};
    s.x0 = to_x - (s.a * from_x - s.b * from_y);
    s.y0 = to_y - (s.b * from_x + s.a * from_y);
    return s;
}

/* A coordinate in 1/256 pixel from the first pixel's centre, held in the picture. */
static int64_t to_units(double at, int size) {
    double units = floor((at - 0.5) * UNITS), last = (double)UNITS * (size - 1);
    return (int64_t)fmin(fmax(units, 0), last);
}

static void add_sample(const struct fn_picture *picture, double x, double y, uint64_t sums[3]) {
    int64_t ux = to_units(x, picture->width), uy = to_units(y, picture->height);
    size_t left = (size_t)(ux / UNITS), top = (size_t)(uy / UNITS);
    size_t width = (size_t)picture->width;
    size_t right = left + 1 < width ? left + 1 : left;
    size_t bottom = top + 1 < (size_t)picture->height ? top + 1 : top;
    uint32_t wx = (uint32_t)(ux % UNITS), wy = (uint32_t)(uy % UNITS);
    const uint8_t *a = picture->rgb + 3 * (top * width + left);
    const uint8_t *b = picture->rgb + 3 * (top * width + right);
    const uint8_t *c = picture->rgb + 3 * (bottom * width + left);
    const uint8_t *d = picture->rgb + 3 * (bottom * width + right);
    for (int i = 0; i < 3; i++)
        sums[i] += (UNITS - wy) * ((UNITS - wx) * a[i] + wx * b[i]) +
                   wy * ((UNITS - wx) * c[i] + wx * d[i]);
}

void fn_crop_align(const struct fn_picture *picture, const struct fn_face *face,
                   uint8_t ret_crop[FN_CROP_SIZE]) {
    struct similarity s = fit(face);
    double scale = sqrt(s.a * s.a + s.b * s.b);
    int n = (int)fmin(fmax(ceil(scale), 1), MAX_POINTS);
    uint64_t whole = (uint64_t)(n * n) * UNITS * UNITS;
    for (int j = 0; j < FN_CROP_SIDE; j++)
        for (int i = 0; i < FN_CROP_SIDE; i++) {
            uint64_t sums[3] = {0};
            for (int v = 0; v < n; v++)
                for (int u = 0; u < n; u++) {
                    double x = (i + (u + 0.5) / n) * FRAME_WIDTH / FN_CROP_SIDE;
                    double y = (j + (v + 0.5) / n) * FRAME_HEIGHT / FN_CROP_SIDE;
                    add_sample(picture, s.a * x - s.b * y + s.x0, s.b * x + s.a * y + s.y0, sums);
                }
            uint8_t *pixel = ret_crop + (ptrdiff_t)3 * (j * FN_CROP_SIDE + i);
            for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)((sums[c] + whole / 2) / whole);
        }
}
