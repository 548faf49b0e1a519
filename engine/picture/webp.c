/* SPDX-License-Identifier: Apache-2.0
 *
 * webp.c -- WebP by libwebp and libwebpdemux; the only file that knows them.
 *
 * A still picture is an animation of one frame that fills its canvas. Of an animation the first
 * frame is taken, composited over a white canvas (the file's background colour is a hint that
 * players ignore too). ICCP is ignored. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include "engine/cleanup.h"
#include "engine/picture/codec.h"
#include "engine/picture/exif.h"

FN_DEFINE_CLEANUP(WebPDemuxer *, WebPDemuxDelete)

static fn_status damaged(struct fn_error *err, const char *how) {
    return fn_fail(err, FN_PICTURE_DAMAGED, "WebP: %s", how);
}

static int64_t read_u24(const uint8_t *bytes) {
    return bytes[0] | bytes[1] << 8 | bytes[2] << 16;
}

/* The canvas that an extended header states. The demuxer would do, but where canvas and frame
 * disagree it only says "damaged", and the honest answer to a huge canvas is that it is too large.
 */
static fn_status check_canvas(const struct fn_codec_input *input, struct fn_error *err) {
    if (input->size < 30 || memcmp(input->bytes + 12, "VP8X", 4) != 0) return FN_OK;
    return fn_picture_check_size("WebP", 1 + read_u24(input->bytes + 24),
                                 1 + read_u24(input->bytes + 27), input->max_pixels, err);
}

/* The demuxer keeps no pixel, so sizes are checked before anything large is allocated. */
static fn_status open_demuxer(const struct fn_codec_input *input, WebPDemuxer **ret_demuxer,
                              struct fn_error *err) {
    WebPData data = {input->bytes, input->size};
    WebPDemuxState state;
    FN_CLEANUP(WebPDemuxDelete) WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
    if (!demuxer)
        return damaged(err, state == WEBP_DEMUX_PARSE_ERROR ? "the chunks make no sense"
                                                            : "data end within the header");
    if (state >= WEBP_DEMUX_PARSED_HEADER) {
        fn_status status = fn_picture_check_size(
            "WebP", WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH),
            WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT), input->max_pixels, err);
        if (status != FN_OK) return status;
    }
    if (state == WEBP_DEMUX_PARSE_ERROR) return damaged(err, "the chunks make no sense");
    if (state != WEBP_DEMUX_DONE) return damaged(err, "data end early");
    *ret_demuxer = FN_TAKE(demuxer);
    return FN_OK;
}

/* Decode one frame's bitstream to [height][width][3]; ret_rgb is owned by the caller. */
static fn_status decode_frame(const WebPIterator *frame, uint8_t **ret_rgb, struct fn_error *err) {
    WebPBitstreamFeatures features;
    const WebPData *data = &frame->fragment;
    if (WebPGetFeatures(data->bytes, data->size, &features) != VP8_STATUS_OK)
        return damaged(err, "the frame has no readable header");
    if (features.width != frame->width || features.height != frame->height)
        return damaged(err, "the frame's bitstream is of another size than its header states");
    size_t n = (size_t)frame->width * (size_t)frame->height;
    int channels = features.has_alpha ? 4 : 3;
    size_t size = n * (size_t)channels;
    FN_CLEANUP_FREE uint8_t *pixels = malloc(size);
    if (!pixels)
        return fn_fail(err, FN_NO_MEMORY, "WebP: no memory for %d x %d pixels", frame->width,
                       frame->height);
    int stride = frame->width * channels;
    if (!(features.has_alpha ? WebPDecodeRGBAInto(data->bytes, data->size, pixels, size, stride)
                             : WebPDecodeRGBInto(data->bytes, data->size, pixels, size, stride)))
        return damaged(err, "the frame's data are broken or end early");
    if (features.has_alpha) {
        fn_picture_flatten(pixels, n);
        uint8_t *shorter = realloc(pixels, 3 * n);
        if (shorter) pixels = shorter;
    }
    *ret_rgb = FN_TAKE(pixels);
    return FN_OK;
}

/* Put the frame's pixels where they belong on a white canvas of the picture's size. */
static fn_status paste_frame(const WebPIterator *frame, const uint8_t *rgb,
                             struct fn_picture *picture, struct fn_error *err) {
    size_t stride = 3 * (size_t)picture->width;
    size_t size = stride * (size_t)picture->height;
    picture->rgb = fn_picture_allocate(size);
    if (!picture->rgb)
        return fn_fail(err, FN_NO_MEMORY, "WebP: no memory for %d x %d pixels", picture->width,
                       picture->height);
    memset(picture->rgb, 255, size);
    size_t frame_stride = 3 * (size_t)frame->width;
    uint8_t *row = picture->rgb + stride * (size_t)frame->y_offset + 3 * (size_t)frame->x_offset;
    for (int y = 0; y < frame->height; y++, row += stride, rgb += frame_stride)
        memcpy(row, rgb, frame_stride);
    return FN_OK;
}

static fn_status read_frame(const WebPIterator *frame, struct fn_picture *picture,
                            struct fn_error *err) {
    if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 ||
        frame->width > picture->width - frame->x_offset ||
        frame->height > picture->height - frame->y_offset)
        return damaged(err, "the first frame lies outside the canvas");
    FN_CLEANUP_FREE uint8_t *rgb = NULL;
    fn_status status = decode_frame(frame, &rgb, err);
    if (status != FN_OK) return status;
    if (frame->width != picture->width || frame->height != picture->height)
        return paste_frame(frame, rgb, picture, err);
    picture->rgb = FN_TAKE(rgb);
    return FN_OK;
}

fn_status fn_picture_webp_decode(const struct fn_codec_input *input, struct fn_picture *picture,
                                 struct fn_error *err) {
    FN_CLEANUP(WebPDemuxDelete) WebPDemuxer *demuxer = NULL;
    fn_status status = check_canvas(input, err);
    if (status == FN_OK) status = open_demuxer(input, &demuxer, err);
    if (status != FN_OK) return status;
    picture->width = picture->full_width = (int)WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
    picture->height = picture->full_height = (int)WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);

    WebPChunkIterator exif;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &exif)) {
        picture->orientation = fn_exif_orientation(exif.chunk.bytes, exif.chunk.size);
        WebPDemuxReleaseChunkIterator(&exif);
    }
    WebPIterator frame;
    if (!WebPDemuxGetFrame(demuxer, 1, &frame)) return damaged(err, "there is no frame");
    status = read_frame(&frame, picture, err);
    WebPDemuxReleaseIterator(&frame);
    return status;
}
