/* SPDX-License-Identifier: Apache-2.0
 *
 * codec.h -- what picture.c and the one adapter file per picture library owe each other.
 * Private to engine/picture*.c.
 *
 * A codec reads the header, asks fn_picture_check_size() before it allocates a pixel, fills
 * width, height, orientation and rgb as the file stores them (not yet upright), and full_width and
 * full_height as the header states them. On failure it leaves what it allocated in picture->rgb,
 * which the caller frees. */
#ifndef FN_PICTURE_CODEC_H
#define FN_PICTURE_CODEC_H

#include "engine/picture/picture.h"

#define FN_MAX_SIDE 65535 /* pixels; fn_resize() counts on it */

struct fn_codec_input {
    const uint8_t *bytes; /* borrowed */
    size_t size;
    int64_t max_pixels;
};

FN_MUST fn_status fn_picture_jpeg_decode(const struct fn_codec_input *input,
                                         struct fn_picture *picture, struct fn_error *err);
FN_MUST fn_status fn_picture_png_decode(const struct fn_codec_input *input,
                                        struct fn_picture *picture, struct fn_error *err);
FN_MUST fn_status fn_picture_webp_decode(const struct fn_codec_input *input,
                                         struct fn_picture *picture, struct fn_error *err);

/* FN_PICTURE_DAMAGED when a side is 0, FN_TOO_MANY_PIXELS over FN_MAX_SIDE or max_pixels.
 * format: "JPEG", for the text. */
FN_MUST fn_status fn_picture_check_size(const char *format, int64_t width, int64_t height,
                                        int64_t max_pixels, struct fn_error *err);

/* malloc() for pixels: of many, in large pages where the system has them for the asking. A third of
 * the time of a JPEG of 12 megapixels went into 9,000 small ones. Owned; free(). */
uint8_t *fn_picture_allocate(size_t size);

/* Composite n RGBA pixels over white, in place: pixel i ends at bytes 3i...3i+2.
 * c' = (c * a + 255 * (255 - a) + 127) / 255, that is rounded to nearest; there are no ties. */
void fn_picture_flatten(uint8_t *rgba, size_t n);

#endif
