/* SPDX-License-Identifier: Apache-2.0
 *
 * jpeg.c -- JPEG by libjpeg-turbo's libjpeg interface; the only file that knows it.
 *
 * The bits are part of the crop contract: accurate integer DCT, triangle-filter chroma upsampling,
 * no smoothing of unfinished progressive pictures. libjpeg-turbo gives the same bits for these with
 * and without SIMD.
 *
 * libjpeg reports errors by a callback that must not return. It jumps to decode_guarded(), and only
 * libjpeg's own frames and those of the callbacks lie between. Data that end early stop the
 * decoder at the first missing bit, so that a short file with a large header costs nothing. */
#include <stdio.h> /* jpeglib.h needs FILE and size_t before it */

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/picture/codec.h"
#include "engine/picture/exif.h"

#define MAX_DECODED_PIXELS 12000000 /* above it the DCT scales down: part of the crop contract */
#define MAX_SCANS          64       /* of a progressive picture; encoders write about ten */
#define MAX_MARKER_LENGTH  65533
/* Coefficients of four full components, 2 bytes each, and what libjpeg needs beside them. */
#define MEMORY_PER_PIXEL 8
#define MEMORY_FIXED     (32 << 20)

struct decoder {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const struct fn_codec_input *input;
    struct fn_picture *picture;
    struct fn_error *err;
    fn_status status;
};

_Noreturn static void give_up(struct decoder *decoder, fn_status status) {
    decoder->status = status;
    longjmp(decoder->escape, 1);
}

/* What libjpeg cannot decode is another matter than what is broken. */
static fn_status classify(int message) {
    switch (message) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE: /* memory cap reached */
        return FN_NO_MEMORY;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
        return FN_TOO_MANY_PIXELS;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        return FN_UNSUPPORTED_FORMAT;
    default:
        return FN_PICTURE_DAMAGED;
    }
}

_Noreturn static void on_error(j_common_ptr cinfo) {
    struct decoder *decoder = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, text);
    /* Where the header has been read, its size is the better reason: a file that is cut off and
     * too large is too large. */
    fn_status status = FN_OK;
    if (decoder->cinfo.image_width > 0)
        status =
            fn_picture_check_size("JPEG", decoder->cinfo.image_width, decoder->cinfo.image_height,
                                  decoder->input->max_pixels, decoder->err);
    if (status == FN_OK)
        status = fn_fail(decoder->err, classify(cinfo->err->msg_code), "JPEG: %s", text);
    give_up(decoder, status);
}

static void on_message(j_common_ptr cinfo, int level) {
    if (level >= 0) return; /* trace */
    if (cinfo->err->msg_code == JWRN_JPEG_EOF || cinfo->err->msg_code == JWRN_HIT_MARKER)
        on_error(cinfo);
    cinfo->err->num_warnings++;
}

static void on_output(j_common_ptr cinfo) {
    (void)cinfo; /* libjpeg's own version writes to stderr */
}

static void on_progress(j_common_ptr cinfo) {
    struct decoder *decoder = cinfo->client_data;
    if (decoder->cinfo.input_scan_number <= MAX_SCANS) return;
    give_up(decoder, fn_fail(decoder->err, FN_PICTURE_DAMAGED,
                             "JPEG: more than %d scans, expected at most that many", MAX_SCANS));
}

static int find_orientation(const struct jpeg_decompress_struct *cinfo) {
    for (jpeg_saved_marker_ptr m = cinfo->marker_list; m; m = m->next)
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return fn_exif_orientation(m->data, m->data_length);
    return 1;
}

/* 1, or the smallest of 2, 4, 8 that brings the picture to MAX_DECODED_PIXELS, or 8. */
static unsigned choose_denominator(int64_t width, int64_t height) {
    unsigned d = 1;
    while (d < 8 && ((width + d - 1) / d) * ((height + d - 1) / d) > MAX_DECODED_PIXELS) d *= 2;
    return d;
}

/* One row of CMYK to RGB. Files with an Adobe marker store 255 - ink, all others ink.
 * c' = (c * k + 127) / 255 with c and k as what is left of white. */
static void convert_cmyk(const uint8_t *cmyk, size_t width, bool inverted, uint8_t *ret_rgb) {
    uint8_t flip = inverted ? 0 : 255;
    for (size_t x = 0; x < width; x++) {
        uint32_t k = cmyk[4 * x + 3] ^ flip;
        for (size_t c = 0; c < 3; c++)
            ret_rgb[3 * x + c] = (uint8_t)(((uint32_t)(cmyk[4 * x + c] ^ flip) * k + 127) / 255);
    }
}

static void read_rows(struct jpeg_decompress_struct *cinfo, uint8_t *rgb) {
    size_t stride = 3 * (size_t)cinfo->output_width;
    JSAMPARRAY cmyk = NULL; /* one row, owned by cinfo */
    if (cinfo->out_color_space == JCS_CMYK)
        cmyk =
            cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, 4 * cinfo->output_width, 1);
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *row = rgb + stride * cinfo->output_scanline;
        (void)jpeg_read_scanlines(cinfo, cmyk ? cmyk : &row, 1);
        if (cmyk) convert_cmyk(cmyk[0], cinfo->output_width, cinfo->saw_Adobe_marker, row);
    }
}

/* In a picture of several scans, a component may have had none: then its data are missing. */
static void check_components(struct decoder *decoder) {
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    for (int i = 0; i < cinfo->num_components; i++)
        if (!cinfo->comp_info[i].quant_table)
            give_up(decoder, fn_fail(decoder->err, FN_PICTURE_DAMAGED,
                                     "JPEG: no data for colour component %d of %d", i + 1,
                                     cinfo->num_components));
}

static void read_header(struct decoder *decoder) {
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    struct fn_picture *picture = decoder->picture;
    jpeg_save_markers(cinfo, JPEG_APP0 + 1, MAX_MARKER_LENGTH);
    jpeg_mem_src(cinfo, decoder->input->bytes, decoder->input->size);
    (void)jpeg_read_header(cinfo, TRUE);
    fn_status status = fn_picture_check_size("JPEG", cinfo->image_width, cinfo->image_height,
                                             decoder->input->max_pixels, decoder->err);
    if (status != FN_OK) give_up(decoder, status);
    picture->full_width = (int)cinfo->image_width;
    picture->full_height = (int)cinfo->image_height;
    picture->orientation = find_orientation(cinfo);
}

static void read_pixels(struct decoder *decoder) {
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    struct fn_picture *picture = decoder->picture;
    cinfo->mem->max_memory_to_use =
        MEMORY_FIXED + MEMORY_PER_PIXEL * (long)cinfo->image_width * (long)cinfo->image_height;
    bool four = cinfo->jpeg_color_space == JCS_CMYK || cinfo->jpeg_color_space == JCS_YCCK;
    cinfo->out_color_space = four ? JCS_CMYK : JCS_RGB;
    cinfo->scale_num = 1;
    cinfo->scale_denom = choose_denominator(picture->full_width, picture->full_height);
    cinfo->dct_method = JDCT_ISLOW;
    cinfo->do_fancy_upsampling = TRUE;
    cinfo->do_block_smoothing = FALSE;
    (void)jpeg_start_decompress(cinfo); /* reads all scans where there are several */
    check_components(decoder);
    picture->width = (int)cinfo->output_width;
    picture->height = (int)cinfo->output_height;
    picture->rgb = fn_picture_allocate(3 * (size_t)cinfo->output_width * cinfo->output_height);
    if (!picture->rgb)
        give_up(decoder, fn_fail(decoder->err, FN_NO_MEMORY, "JPEG: no memory for %d x %d pixels",
                                 picture->width, picture->height));
    read_rows(cinfo, picture->rgb);
    (void)jpeg_finish_decompress(cinfo);
}

static fn_status decode_guarded(struct decoder *decoder) {
    if (setjmp(decoder->escape)) return decoder->status;
    jpeg_create_decompress(&decoder->cinfo);
    decoder->cinfo.progress = &decoder->progress;
    read_header(decoder);
    read_pixels(decoder);
    return FN_OK;
}

fn_status fn_picture_jpeg_decode(const struct fn_codec_input *input, struct fn_picture *picture,
                                 struct fn_error *err) {
    struct decoder decoder = {.input = input, .picture = picture, .err = err};
    decoder.cinfo.err = jpeg_std_error(&decoder.errors);
    decoder.cinfo.client_data = &decoder;
    decoder.errors.error_exit = on_error;
    decoder.errors.emit_message = on_message;
    decoder.errors.output_message = on_output;
    decoder.progress.progress_monitor = on_progress;
    fn_status status = decode_guarded(&decoder);
    jpeg_destroy_decompress(&decoder.cinfo);
    return status;
}
