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

/* ---- the way -------------------------------------------------------------------------------- */

const char *fn_crop_way_name(const struct fn_crop_way *way) {
    if (way->mode == FN_CROP_FACES) return fn_crop_name(way->contract);
    return way->mode == FN_CROP_CENTRE ? "lfw-centre-120" : FN_CROP_WHOLE;
}

const char *fn_crop_way_about(const struct fn_crop_way *way) {
    static const char *const faces[FN_CROP_CONTRACTS] = {
        [FN_CROP_CONTRACT_M32] = "the most central face found, as mtcnn-m32-160",
        [FN_CROP_CONTRACT_P17] = "the most central face found, as mtcnn-p17-160",
        [FN_CROP_CONTRACT_ALIGNED] = "the most central face found, as aligned-5p-160",
    };
    if (way->mode == FN_CROP_FACES) return faces[way->contract];
    return way->mode == FN_CROP_CENTRE ? "LFW's centre box (x and y 65...184 of 250 x 250 pixels)"
                                       : "whole pictures, stretched";
}

static fn_status look_at_first(const struct fn_paths *paths, enum fn_crop_mode *ret_mode,
                               struct fn_error *err) {
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

fn_status fn_crops_choose(const struct fn_paths *paths, const char *wanted,
                          const struct fn_mtcnn_weights *detector, enum fn_crop_contract contract,
                          int n_threads, struct fn_crop_way *ret_way, struct fn_error *err) {
    struct fn_crop_way way = {.mode = FN_CROP_FACES, .contract = contract};
    fn_status status = FN_OK;
    if (wanted && strcmp(wanted, "centre") == 0)
        way.mode = FN_CROP_CENTRE;
    else if (wanted && strcmp(wanted, "whole") == 0)
        way.mode = FN_CROP_STRETCH;
    else if (wanted && (!fn_crop_parse(wanted, &way.contract) || !fn_crop_needs_face(way.contract)))
        return fn_fail(err, FN_USAGE,
                       "--crop %s: expected centre, whole, or a crop contract such as "
                       "mtcnn-p17-160",
                       wanted);
    else if (!wanted && (!detector || !fn_crop_needs_face(contract)))
        status = look_at_first(paths, &way.mode, err);
    if (status == FN_OK && way.mode == FN_CROP_FACES) {
        const struct fn_face_options options = {.contract = way.contract, .choice = FN_FACE_CENTER};
        status = fn_face_cutter_new(detector, &options, n_threads, &way.cutter, err);
    }
    if (status == FN_OK) *ret_way = way;
    return status;
}

void fn_crop_way_done(struct fn_crop_way *way) {
    fn_face_cutter_free(way->cutter);
    way->cutter = NULL;
}

/* ---- pictures ------------------------------------------------------------------------------- */

enum outcome { LOADED, OTHER_FILE, NO_FACE };

struct job {
    char *const *paths;
    const struct fn_crop_way *way;
    bool skip_others;
    uint8_t *pixels;       /* [n][160][160][3] */
    enum outcome *outcome; /* [n] */
};

static fn_status find_rect(const struct fn_crop_way *way, const char *path,
                           const struct fn_picture *picture, struct fn_rect *ret_rect,
                           struct fn_error *err) {
    *ret_rect = (struct fn_rect){0, 0, picture->width, picture->height};
    if (way->mode != FN_CROP_CENTRE) return FN_OK;
    if (picture->width != FN_LFW_SIDE || picture->height != FN_LFW_SIDE)
        return fn_fail(err, FN_USAGE,
                       "%s: %d x %d pixels; the centre box is for 250 x 250 (use --crop whole)",
                       path, picture->width, picture->height);
    *ret_rect =
        (struct fn_rect){FN_LFW_BOX_FIRST, FN_LFW_BOX_FIRST, FN_LFW_BOX_SIDE, FN_LFW_BOX_SIDE};
    return FN_OK;
}

static fn_status load_crop(void *context, size_t index, int worker, struct fn_error *err) {
    const struct job *job = context;
    const char *path = job->paths[index];
    uint8_t *crop = job->pixels + index * FN_CROP_SIZE;
    struct fn_error inner = {0};
    struct fn_rect rect;
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    fn_status status = load_picture(path, &picture, err);
    if (status == FN_UNSUPPORTED_FORMAT && job->skip_others) {
        job->outcome[index] = OTHER_FILE;
        return FN_OK;
    }
    if (status == FN_OK) status = find_rect(job->way, path, picture, &rect, err);
    if (status != FN_OK) return status;
    if (job->way->mode == FN_CROP_FACES)
        status = fn_face_cutter_cut(job->way->cutter, worker, picture, crop, &inner);
    else
        status = fn_picture_crop(picture, rect, crop, &inner);
    if (status == FN_FACE_NOT_FOUND) {
        job->outcome[index] = NO_FACE;
        return FN_OK;
    }
    return status == FN_OK ? FN_OK : fn_fail(err, status, "%s: %s", path, inner.text);
}

fn_status fn_crops_load(const struct fn_paths *paths, size_t first, size_t n,
                        const struct fn_crop_way *way, bool skip_others, int n_threads,
                        struct fn_progress *progress, struct fn_crops *ret_crops, bool *ret_missing,
                        struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *pixels = calloc(n + 1, FN_CROP_SIZE);
    FN_CLEANUP_FREE enum outcome *outcome = calloc(n + 1, sizeof *outcome);
    if (!pixels || !outcome) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu crops", n);
    struct job job = {paths->path + first, way, skip_others, pixels, outcome};
    fn_status status = fn_parallel_run(n, n_threads, load_crop, &job, progress, err);
    if (status != FN_OK) return status;
    struct fn_crops crops = {.pixels = pixels};
    for (size_t i = 0; i < n; i++) {
        crops.n_skipped += outcome[i] == OTHER_FILE;
        crops.n_faceless += outcome[i] == NO_FACE;
        if (ret_missing) ret_missing[i] = outcome[i] == NO_FACE;
        if (skip_others && outcome[i] != LOADED) continue;
        if (crops.n != i)
            memcpy(pixels + crops.n * FN_CROP_SIZE, pixels + i * FN_CROP_SIZE, FN_CROP_SIZE);
        crops.n++;
    }
    pixels = NULL; /* they are the caller's now */
    *ret_crops = crops;
    return FN_OK;
}

void fn_crops_done(struct fn_crops *crops) {
    free(crops->pixels);
    *crops = (struct fn_crops){0};
}
