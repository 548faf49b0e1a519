/* SPDX-License-Identifier: Apache-2.0
 *
 * orient.c -- mirrors in place and transpositions in tiles; orient.h has the contract.
 *
 * EXIF's eight values are the symmetries of a rectangle: 1...4 keep rows as rows, 5...8 turn rows
 * into columns. */
#include "engine/picture/orient.h"

#include <stdbool.h>
#include <stdlib.h>

#include "engine/picture/codec.h"

#define TILE 32 /* pixels: a tile of source and target rows stays in the first-level cache */

static void swap_pixels(uint8_t *a, uint8_t *b) {
    for (int c = 0; c < 3; c++) {
        uint8_t t = a[c];
        a[c] = b[c];
        b[c] = t;
    }
}

static void mirror_row(uint8_t *row, size_t width) {
    for (size_t left = 0, right = width - 1; left < right; left++, right--)
        swap_pixels(row + 3 * left, row + 3 * right);
}

/* Upside down; each row mirrored too when `turn`. */
static void flip_rows(uint8_t *rgb, size_t width, size_t height, bool turn) {
    size_t stride = 3 * width;
    for (size_t top = 0; top < height / 2; top++) {
        uint8_t *a = rgb + top * stride, *b = rgb + (height - 1 - top) * stride;
        for (size_t x = 0; x < width; x++)
            swap_pixels(a + 3 * x, b + 3 * (turn ? width - 1 - x : x));
    }
    if (turn && height % 2 == 1) mirror_row(rgb + height / 2 * stride, width);
}

/* target [width][height] = source [height][width] with rows and columns exchanged; then the
 * source's x runs upwards when flip_x, its y when flip_y. */
static void transpose(const uint8_t *source, size_t width, size_t height, bool flip_x, bool flip_y,
                      uint8_t *target) {
    for (size_t y0 = 0; y0 < height; y0 += TILE) {
        size_t y1 = y0 + TILE < height ? y0 + TILE : height;
        for (size_t x0 = 0; x0 < width; x0 += TILE) {
            size_t x1 = x0 + TILE < width ? x0 + TILE : width;
            for (size_t x = x0; x < x1; x++) {
                uint8_t *row = target + 3 * height * (flip_x ? width - 1 - x : x);
                for (size_t y = y0; y < y1; y++) {
                    const uint8_t *from = source + 3 * (width * y + x);
                    uint8_t *to = row + 3 * (flip_y ? height - 1 - y : y);
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                }
            }
        }
    }
}

static void swap_ints(int *a, int *b) {
    int t = *a;
    *a = *b;
    *b = t;
}

fn_status fn_orient_upright(struct fn_picture *picture, struct fn_error *err) {
    int orientation = picture->orientation;
    size_t width = (size_t)picture->width, height = (size_t)picture->height;
    if (orientation == 2)
        for (size_t y = 0; y < height; y++) mirror_row(picture->rgb + 3 * width * y, width);
    if (orientation == 3 || orientation == 4)
        flip_rows(picture->rgb, width, height, orientation == 3);
    if (orientation < 5) return FN_OK;

    uint8_t *turned = fn_picture_allocate(3 * width * height);
    if (!turned)
        return fn_fail(err, FN_NO_MEMORY, "no memory to turn a picture of %d x %d pixels upright",
                       picture->width, picture->height);
    transpose(picture->rgb, width, height, orientation == 7 || orientation == 8,
              orientation == 6 || orientation == 7, turned);
    free(picture->rgb);
    picture->rgb = turned;
    swap_ints(&picture->width, &picture->height);
    swap_ints(&picture->full_width, &picture->full_height);
    return FN_OK;
}
