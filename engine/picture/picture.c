/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.c -- from a file's bytes to an upright picture and on to the crop: knows the format by
 * its magic bytes and hands over to its codec (jpeg.c, png.c, webp.c).
 *
 * Colour profiles and gamma are ignored in every format: samples are taken as sRGB, which is what
 * the networks were trained on and keeps the crop a matter of integers. */
#include "engine/picture/picture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/cleanup.h"
#include "engine/picture/codec.h"
#include "engine/picture/orient.h"
#include "engine/picture/resize.h"
#include "engine/picture/sniff.h"

#define LARGE_SIZE ((size_t)8 << 20) /* bytes; large pages are of 2 MiB on x86-64 */

FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

typedef fn_status decode_function(const struct fn_codec_input *input, struct fn_picture *picture,
                                  struct fn_error *err);

/* The codec for these bytes and its format, or NULL. */
static decode_function *choose_codec(const uint8_t *bytes, size_t size,
                                     enum fn_picture_format *ret_format) {
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) {
        *ret_format = FN_PICTURE_JPEG;
        return fn_picture_jpeg_decode;
    }
    /* Four of the eight: a PNG whose line ends were "converted" on the way is a damaged PNG. */
    if (size >= 4 && memcmp(bytes, "\x89PNG", 4) == 0) {
        *ret_format = FN_PICTURE_PNG;
        return fn_picture_png_decode;
    }
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        *ret_format = FN_PICTURE_WEBP;
        return fn_picture_webp_decode;
    }
    return NULL;
}

fn_status fn_picture_check_size(const char *format, int64_t width, int64_t height,
                                int64_t max_pixels, struct fn_error *err) {
    if (width < 1 || height < 1)
        return fn_fail(err, FN_PICTURE_DAMAGED,
                       "%s: the header states %" PRId64 " x %" PRId64
                       " pixels, expected at least 1 x 1",
                       format, width, height);
    if (width > FN_MAX_SIDE || height > FN_MAX_SIDE)
        return fn_fail(err, FN_TOO_MANY_PIXELS,
                       "%s: the header states %" PRId64 " x %" PRId64
                       " pixels, at most %d a side are accepted",
                       format, width, height, FN_MAX_SIDE);
    if (width * height > max_pixels)
        return fn_fail(err, FN_TOO_MANY_PIXELS,
                       "%s: the header states %" PRId64 " x %" PRId64 " = %" PRId64
                       " pixels, at most %" PRId64 " are accepted",
                       format, width, height, width * height, max_pixels);
    return FN_OK;
}

uint8_t *fn_picture_allocate(size_t size) {
    uint8_t *pixels = malloc(size);
#ifdef MADV_HUGEPAGE
    if (pixels && size >= LARGE_SIZE) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)pixels;
        uintptr_t from = (begin + page - 1) & ~(page - 1), to = (begin + size) & ~(page - 1);
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* a wish: it may be refused */
    }
#endif
    return pixels;
}

void fn_picture_flatten(uint8_t *rgba, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t a = rgba[4 * i + 3], white = 255 * (255 - a) + 127;
        for (size_t c = 0; c < 3; c++)
            rgba[3 * i + c] = (uint8_t)((rgba[4 * i + c] * a + white) / 255);
    }
}

fn_status fn_picture_decode(const void *bytes, size_t size, int64_t max_pixels,
                            struct fn_picture **ret_picture, struct fn_error *err) {
    enum fn_picture_format format;
    decode_function *decode = choose_codec(bytes, size, &format);
    if (!decode)
        return fn_fail(err, FN_UNSUPPORTED_FORMAT,
                       "found %s (%zu bytes), expected the bytes of a JPEG, PNG or WebP picture%s",
                       fn_sniff_name(bytes, size), size, fn_sniff_advice(bytes, size));

    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = calloc(1, sizeof *picture);
    if (!picture) return fn_fail(err, FN_NO_MEMORY, "no memory for a picture");
    picture->format = format;
    picture->orientation = 1;
    struct fn_codec_input input = {bytes, size, max_pixels};
    fn_status status = decode(&input, picture, err);
    if (status == FN_OK) status = fn_orient_upright(picture, err);
    if (status == FN_OK) *ret_picture = FN_TAKE(picture);
    return status;
}

void fn_picture_free(struct fn_picture *picture) {
    if (!picture) return;
    free(picture->rgb);
    free(picture);
}

fn_status fn_picture_crop(const struct fn_picture *picture, struct fn_rect rect,
                          uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err) {
    if (rect.x < 0 || rect.y < 0 || rect.width < 1 || rect.height < 1 ||
        rect.width > picture->width - rect.x || rect.height > picture->height - rect.y)
        return fn_fail(err, FN_USAGE,
                       "crop of %d x %d pixels at (%d, %d), expected it inside the picture of "
                       "%d x %d",
                       rect.width, rect.height, rect.x, rect.y, picture->width, picture->height);
    size_t stride = 3 * (size_t)picture->width;
    const uint8_t *origin = picture->rgb + stride * (size_t)rect.y + 3 * (size_t)rect.x;
    return fn_resize(origin, stride, rect.width, rect.height, ret_crop, err);
}
