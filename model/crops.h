/* SPDX-License-Identifier: Apache-2.0
 *
 * crops.h -- picture files to the network's 160 x 160 crops, for calibration and evaluation. */
#ifndef FN_CROPS_H
#define FN_CROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/picture/picture.h"
#include "model/commands/paths.h"
#include "model/commands/progress.h"

/* How a picture becomes a crop until faces can be detected. */
enum fn_crop_mode {
    FN_CROP_CENTRE, /* LFW's usual box in a 250 x 250 picture: x and y 65...184 */
    FN_CROP_STRETCH /* the whole picture */
};

#define FN_LFW_SIDE      250
#define FN_LFW_BOX_FIRST 65
#define FN_LFW_BOX_SIDE  120

struct fn_crops {
    uint8_t *pixels; /* [n][160][160][3], owned */
    size_t n;
    size_t n_skipped; /* files that are no pictures */
};

/* `wanted` is "centre", "whole" or NULL: then centre when the first picture is 250 x 250, else
 * whole. Files that are no pictures are passed over. FN_USAGE for another word, FN_IO when
 * there is no picture among the paths. */
FN_MUST fn_status fn_crops_choose_mode(const struct fn_paths *paths, const char *wanted,
                                       enum fn_crop_mode *ret_mode, struct fn_error *err);
/* For messages and provenance: "lfw-centre-120" or "whole-160". */
const char *fn_crop_mode_name(enum fn_crop_mode mode);
/* The same for people, in a sentence. */
const char *fn_crop_mode_about(enum fn_crop_mode mode);

/* Load and crop paths [first, first + n) in order. skip_others: pass over files that are no
 * pictures; else they are errors. Any failure names the file. */
FN_MUST fn_status fn_crops_load(const struct fn_paths *paths, size_t first, size_t n,
                                enum fn_crop_mode mode, bool skip_others, int n_threads,
                                struct fn_progress *progress, struct fn_crops *ret_crops,
                                struct fn_error *err);
void fn_crops_done(struct fn_crops *crops);

static inline void fn_crops_done_cleanup(struct fn_crops *crops) {
    fn_crops_done(crops);
}

#endif
