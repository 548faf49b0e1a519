/* SPDX-License-Identifier: Apache-2.0
 *
 * crops.c -- see crops.h. Whether a file is a picture is known by its bytes, as everywhere. */
#include "model/crops.h"

#include <string.h>

#include "engine/file.h"
#include "model/parallel.h"

#define MAX_FILE_SIZE ((size_t)64 << 20)

FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

static fn_status load_picture(const char *path, struct fn_picture **ret_picture,
                              struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    struct fn_error inner = {0};
    status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, ret_picture, &inner);
    return status == FN_OK ? FN_OK : fn_fail(err, status, "%s: %s", path, inner.text);
}

const char *fn_crop_mode_name(enum fn_crop_mode mode) {
    return mode == FN_CROP_CENTRE ? "lfw-centre-120" : FN_CROP_WHOLE;
}

const char *fn_crop_mode_about(enum fn_crop_mode mode) {
    return mode == FN_CROP_CENTRE ? "LFW's centre box (x and y 65...184 of 250 x 250 pixels)"
                                  : "whole pictures, stretched";
}

fn_status fn_crops_choose_mode(const struct fn_paths *paths, const char *wanted,
                               enum fn_crop_mode *ret_mode, struct fn_error *err) {
    if (wanted && strcmp(wanted, "centre") != 0 && strcmp(wanted, "whole") != 0)
        return fn_fail(err, FN_USAGE, "--crop %s: expected centre or whole", wanted);
    if (wanted) {
        *ret_mode = strcmp(wanted, "centre") == 0 ? FN_CROP_CENTRE : FN_CROP_STRETCH;
        return FN_OK;
    }
    for (size_t i = 0; i < paths->n; i++) {
        FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
        fn_status status = load_picture(paths->path[i], &picture, err);
        if (status == FN_UNSUPPORTED_FORMAT) continue;
        if (status != FN_OK) return status;
        bool is_lfw = picture->width == FN_LFW_SIDE && picture->height == FN_LFW_SIDE;
        *ret_mode = is_lfw ? FN_CROP_CENTRE : FN_CROP_STRETCH;
        return FN_OK;
    }
    return fn_fail(err, FN_IO, "no picture among %zu files; expected JPEG, PNG or WebP", paths->n);
}

struct job {
    char *const *paths;
    enum fn_crop_mode mode;
    bool skip_others;
    uint8_t *pixels; /* [n][160][160][3] */
    bool *skipped;   /* [n] */
};

static fn_status load_crop(void *context, size_t index, int worker, struct fn_error *err) {
    (void)worker;
    const struct job *job = context;
    const char *path = job->paths[index];
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    fn_status status = load_picture(path, &picture, err);
    if (status == FN_UNSUPPORTED_FORMAT && job->skip_others) {
        job->skipped[index] = true;
        return FN_OK;
    }
    if (status != FN_OK) return status;
    struct fn_rect rect = {0, 0, picture->width, picture->height};
    if (job->mode == FN_CROP_CENTRE) {
        if (picture->width != FN_LFW_SIDE || picture->height != FN_LFW_SIDE)
            return fn_fail(err, FN_USAGE,
                           "%s: %d x %d pixels; the centre box is for 250 x 250 (use --crop whole)",
                           path, picture->width, picture->height);
        rect =
            (struct fn_rect){FN_LFW_BOX_FIRST, FN_LFW_BOX_FIRST, FN_LFW_BOX_SIDE, FN_LFW_BOX_SIDE};
    }
    struct fn_error inner = {0};
    status = fn_picture_crop(picture, rect, job->pixels + index * FN_CROP_SIZE, &inner);
    return status == FN_OK ? FN_OK : fn_fail(err, status, "%s: %s", path, inner.text);
}

fn_status fn_crops_load(const struct fn_paths *paths, size_t first, size_t n,
                        enum fn_crop_mode mode, bool skip_others, int n_threads,
                        struct fn_progress *progress, struct fn_crops *ret_crops,
                        struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *pixels = calloc(n + 1, FN_CROP_SIZE);
    FN_CLEANUP_FREE bool *skipped = calloc(n + 1, sizeof *skipped);
    if (!pixels || !skipped) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu crops", n);
    struct job job = {paths->path + first, mode, skip_others, pixels, skipped};
    fn_status status = fn_parallel_run(n, n_threads, load_crop, &job, progress, err);
    if (status != FN_OK) return status;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (skipped[i]) continue;
        if (kept != i)
            memcpy(pixels + kept * FN_CROP_SIZE, pixels + i * FN_CROP_SIZE, FN_CROP_SIZE);
        kept++;
    }
    *ret_crops = (struct fn_crops){FN_TAKE(pixels), kept, n - kept};
    return FN_OK;
}

void fn_crops_done(struct fn_crops *crops) {
    free(crops->pixels);
    *crops = (struct fn_crops){0};
}
