/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.h -- bytes of a picture file to upright RGB pixels, and pixels to the network's crop.
 *
 * Part of the crop contract, so integers only and the same bits on every machine. The format is
 * known by its magic bytes, never by a name. Limits are checked before a pixel is decoded. */
#ifndef FN_PICTURE_H
#define FN_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/network.h"
#include "engine/status.h"

#define FN_MAX_PIXELS_DEFAULT 50000000
#define FN_CROP_WHOLE         "whole-160" /* crop contract: the whole picture, stretched */

enum fn_picture_format { FN_PICTURE_JPEG, FN_PICTURE_PNG, FN_PICTURE_WEBP };

/* Upright: the EXIF orientation has been applied. */
struct fn_picture {
    enum fn_picture_format format;
    int width, height;           /* pixels of rgb */
    int full_width, full_height; /* upright size before DCT scaling: what coordinates refer to */
    int orientation;             /* as found in the file, 1...8; 1 when there is none */
    uint8_t *rgb;                /* [height][width][3], owned */
};

/* Half-open rectangle of source pixels. */
struct fn_rect {
    int x, y, width, height;
};

/* Decode. max_pixels bounds width * height as the header states them (FN_TOO_MANY_PIXELS).
 * FN_UNSUPPORTED_FORMAT says what the bytes look like and what is accepted; FN_PICTURE_DAMAGED says
 * how. JPEG over 12 megapixels is decoded at the largest DCT scale of 1/2, 1/4, 1/8 that brings it
 * to at most 12 megapixels (at 1/8 when none does). */
FN_MUST fn_status fn_picture_decode(const void *bytes, size_t size, int64_t max_pixels,
                                    struct fn_picture **ret_picture, struct fn_error *err);
void fn_picture_free(struct fn_picture *picture);

/* Cut `rect` (inside the picture, at least 1 x 1) and stretch it to FN_CROP_SIDE squared:
 * area coverage along an axis that shrinks, linear with half-pixel centres along one that grows.
 * ret_crop: [160][160][3]. */
FN_MUST fn_status fn_picture_crop(const struct fn_picture *picture, struct fn_rect rect,
                                  uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err);

/* Write RGB pixels as an 8-bit PNG without metadata; decoding it gives the same bytes back.
 * rgb: [height][width][3], borrowed, at least 1 x 1. ret_bytes: owned by the caller, free().
 * The same pixels give the same file with the same zlib. */
FN_MUST fn_status fn_picture_encode_png(const uint8_t *rgb, int width, int height,
                                        uint8_t **ret_bytes, size_t *ret_size,
                                        struct fn_error *err);

#endif
