/* SPDX-License-Identifier: Apache-2.0
 *
 * faces.c -- see faces.h. */
#include "model/evaluate/faces.h"

#include <stdlib.h>

#include "engine/detect/detector.h"

FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

struct fn_face_cutter {
    struct fn_face_options options;
    struct fn_detector *detector; /* NULL when the contract needs no face */
    int n_workers;
    struct fn_detect_scratch *scratches[];
};

fn_status fn_face_cutter_new(const struct fn_mtcnn_weights *detector,
                             const struct fn_face_options *options, int n_workers,
                             struct fn_face_cutter **ret_cutter, struct fn_error *err) {
    FN_CLEANUP(fn_face_cutter_free)
    struct fn_face_cutter *cutter =
        calloc(1, sizeof *cutter + (size_t)n_workers * sizeof cutter->scratches[0]);
    if (!cutter) return fn_fail(err, FN_NO_MEMORY, "no memory to cut faces");
    cutter->options = *options;
    cutter->n_workers = n_workers;
    fn_status status = FN_OK;
    if (fn_crop_needs_face(options->contract)) {
        if (!detector)
            return fn_fail(err, FN_USAGE,
                           "crop contract %s needs faces, and the model has no detector (make one "
                           "with: facenet-model quantize --detector DIR)",
                           fn_crop_name(options->contract));
        status = fn_detector_open(detector, &cutter->detector, err);
        for (int i = 0; i < n_workers && status == FN_OK; i++)
            status = fn_detect_scratch_new(&cutter->scratches[i], err);
    }
    if (status == FN_OK) *ret_cutter = FN_TAKE(cutter);
    return status;
}

void fn_face_cutter_free(struct fn_face_cutter *cutter) {
    if (!cutter) return;
    fn_detector_close(cutter->detector);
    for (int i = 0; i < cutter->n_workers; i++) fn_detect_scratch_free(cutter->scratches[i]);
    free(cutter);
}

static fn_status cut(struct fn_face_cutter *cutter, int worker, const struct fn_picture *picture,
                     uint8_t *ret_crop, struct fn_error *err) {
    const struct fn_face_options *options = &cutter->options;
    if (!cutter->detector) return fn_crop_cut(options->contract, picture, NULL, ret_crop, err);
    const struct fn_detect_options detect = {.min_face = options->min_face};
    struct fn_face faces[FN_DETECT_MAX_FACES];
    int n = 0, found = 0, index = 0;
    fn_status status = fn_detector_find(cutter->detector, cutter->scratches[worker], picture,
                                        &detect, FN_DETECT_MAX_FACES, faces, &n, &found, NULL, err);
    if (status == FN_OK) status = fn_face_choose(options->choice, picture, faces, n, &index, err);
    if (status == FN_OK)
        status = fn_crop_cut(options->contract, picture, &faces[index], ret_crop, err);
    return status;
}

fn_status fn_face_cutter_cut(struct fn_face_cutter *cutter, int worker,
                             const struct fn_picture *picture, uint8_t ret_crop[FN_CROP_SIZE],
                             struct fn_error *err) {
    if (cutter->options.enlarge <= 1) return cut(cutter, worker, picture, ret_crop, err);
    FN_CLEANUP(fn_picture_free) struct fn_picture *large = NULL;
    fn_status status = fn_picture_enlarge(picture, cutter->options.enlarge, &large, err);
    return status == FN_OK ? cut(cutter, worker, large, ret_crop, err) : status;
}

/* ---- larger pictures ------------------------------------------------------------------------ */

/* Where an output lies: between pixels `first` and `second`, `part` of 2 * times from the first. */
struct tap {
    int first, second, part;
};

static struct tap find_tap(int at, int times, int size) {
    int t = 2 * at + 1 - times; /* in 1 / (2 * times) pixel from the first centre */
    int first = t < 0 ? 0 : t / (2 * times), part = t < 0 ? 0 : t % (2 * times);
    return (struct tap){first, first + 1 < size ? first + 1 : first, part};
}

static uint8_t blend(const uint8_t *row_a, const uint8_t *row_b, struct tap x, struct tap y,
                     int times, int channel) {
    int whole = 2 * times, i = 3 * x.first + channel, k = 3 * x.second + channel;
    int a = (whole - x.part) * row_a[i] + x.part * row_a[k];
    int b = (whole - x.part) * row_b[i] + x.part * row_b[k];
    return (uint8_t)(((whole - y.part) * a + y.part * b + whole * whole / 2) / (whole * whole));
}

fn_status fn_picture_enlarge(const struct fn_picture *picture, int times,
                             struct fn_picture **ret_picture, struct fn_error *err) {
    FN_CLEANUP(fn_picture_free) struct fn_picture *large = calloc(1, sizeof *large);
    size_t stride = 3 * (size_t)picture->width;
    size_t size = stride * (size_t)picture->height * (size_t)times * (size_t)times;
    uint8_t *rgb = malloc(size);
    if (!large || !rgb) {
        free(rgb);
        return fn_fail(err, FN_NO_MEMORY, "no memory to enlarge %d x %d pixels %d times",
                       picture->width, picture->height, times);
    }
    *large = *picture;
    large->rgb = rgb;
    large->width *= times;
    large->height *= times;
    large->full_width *= times;
    large->full_height *= times;
    for (int j = 0; j < large->height; j++) {
        struct tap y = find_tap(j, times, picture->height);
        const uint8_t *row_a = picture->rgb + stride * (size_t)y.first;
        const uint8_t *row_b = picture->rgb + stride * (size_t)y.second;
        for (int i = 0; i < large->width; i++) {
            struct tap x = find_tap(i, times, picture->width);
            for (int c = 0; c < 3; c++) *rgb++ = blend(row_a, row_b, x, y, times, c);
        }
    }
    *ret_picture = FN_TAKE(large);
    return FN_OK;
}
