/* SPDX-License-Identifier: Apache-2.0
 *
 * png.c -- PNG by libspng, both ways; the only file that knows it.
 *
 * Grey, palettes and 1, 2, 4 bits a sample are widened exactly (1 bit: 0 and 255); of 16 bits the
 * high byte is taken, also of alpha. tRNS and alpha are composited over white. gAMA, cHRM, iCCP and
 * sBIT are ignored. The file is read to its end, so that a cut one is always damage. */
#include <spng.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/picture/codec.h"
#include "engine/picture/exif.h"

/* Bounds on what metadata may take, packed or inflated; pixels are bounded by the header. (The
 * library takes at most 1000 chunks of metadata.) */
#define MAX_CHUNK_SIZE  (8 << 20)
#define MAX_CHUNK_CACHE (16 << 20)

FN_DEFINE_CLEANUP(spng_ctx *, spng_ctx_free)

static fn_status fail(int code, struct fn_error *err) {
    fn_status status = code == SPNG_EMEM ? FN_NO_MEMORY : FN_PICTURE_DAMAGED;
    return fn_fail(err, status, "PNG: %s", spng_strerror(code));
}

static fn_status open_decoder(spng_ctx *ctx, const struct fn_codec_input *input,
                              struct spng_ihdr *ret_header, struct fn_error *err) {
    int code = spng_set_png_buffer(ctx, input->bytes, input->size);
    if (!code) code = spng_set_chunk_limits(ctx, MAX_CHUNK_SIZE, MAX_CHUNK_CACHE);
    if (!code) code = spng_get_ihdr(ctx, ret_header);
    if (code) return fail(code, err);
    return fn_picture_check_size("PNG", ret_header->width, ret_header->height, input->max_pixels,
                                 err);
}

/* Whether any pixel can be other than opaque; reads the chunks before the pixels. */
static fn_status find_alpha(spng_ctx *ctx, const struct spng_ihdr *header, bool *ret_alpha,
                            struct fn_error *err) {
    struct spng_trns trns;
    int code = spng_get_trns(ctx, &trns);
    if (code && code != SPNG_ECHUNKAVAIL) return fail(code, err);
    *ret_alpha = code == 0 || header->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                 header->color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    return FN_OK;
}

static fn_status read_pixels(spng_ctx *ctx, bool alpha, struct fn_picture *picture,
                             struct fn_error *err) {
    size_t n = (size_t)picture->width * (size_t)picture->height;
    size_t size = n * (alpha ? 4 : 3);
    picture->rgb = fn_picture_allocate(size);
    if (!picture->rgb)
        return fn_fail(err, FN_NO_MEMORY, "PNG: no memory for %d x %d pixels", picture->width,
                       picture->height);
    int code = spng_decode_image(ctx, picture->rgb, size, alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8,
                                 alpha ? SPNG_DECODE_TRNS : 0);
    if (code) return fail(code, err);
    if (!alpha) return FN_OK;
    fn_picture_flatten(picture->rgb, n);
    uint8_t *shorter = realloc(picture->rgb, 3 * n);
    if (shorter) picture->rgb = shorter;
    return FN_OK;
}

/* What follows the pixels, down to IEND: eXIf may stand there. */
static fn_status read_rest(spng_ctx *ctx, struct fn_picture *picture, struct fn_error *err) {
    int code = spng_decode_chunks(ctx);
    if (code) return fail(code, err);
    struct spng_exif exif;
    if (spng_get_exif(ctx, &exif) == 0)
        picture->orientation = fn_exif_orientation(exif.data, exif.length);
    return FN_OK;
}

fn_status fn_picture_png_decode(const struct fn_codec_input *input, struct fn_picture *picture,
                                struct fn_error *err) {
    FN_CLEANUP(spng_ctx_free) spng_ctx *ctx = spng_ctx_new(0);
    if (!ctx) return fn_fail(err, FN_NO_MEMORY, "PNG: no memory for a decoder");
    struct spng_ihdr header;
    fn_status status = open_decoder(ctx, input, &header, err);
    if (status != FN_OK) return status;
    picture->width = picture->full_width = (int)header.width;
    picture->height = picture->full_height = (int)header.height;

    bool alpha;
    status = find_alpha(ctx, &header, &alpha, err);
    if (status == FN_OK) status = read_pixels(ctx, alpha, picture, err);
    if (status == FN_OK) status = read_rest(ctx, picture, err);
    return status;
}

fn_status fn_picture_encode_png(const uint8_t *rgb, int width, int height, uint8_t **ret_bytes,
                                size_t *ret_size, struct fn_error *err) {
    FN_CLEANUP(spng_ctx_free) spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    if (!ctx) return fn_fail(err, FN_NO_MEMORY, "PNG: no memory for an encoder");
    struct spng_ihdr header = {.width = (uint32_t)width,
                               .height = (uint32_t)height,
                               .bit_depth = 8,
                               .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    int code = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    /* Stated, so that another default of the library's is not another file. */
    if (!code) code = spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, 6);
    if (!code) code = spng_set_option(ctx, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_ALL);
    if (!code) code = spng_set_ihdr(ctx, &header);
    size_t size = 3 * (size_t)width * (size_t)height;
    if (!code) code = spng_encode_image(ctx, rgb, size, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    if (code) return fn_fail(err, FN_INTERNAL, "PNG encoder: %s", spng_strerror(code));
    uint8_t *bytes = spng_get_png_buffer(ctx, &size, &code);
    if (!bytes) return fn_fail(err, FN_INTERNAL, "PNG encoder: %s", spng_strerror(code));
    *ret_bytes = bytes; /* from malloc(): spng's default allocator */
    *ret_size = size;
    return FN_OK;
}
