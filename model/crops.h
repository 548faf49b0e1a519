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
#include "model/evaluate/faces.h"

/* How a picture becomes a crop. */
enum fn_crop_mode {
    FN_CROP_CENTRE,  /* LFW's usual box in a 250 x 250 picture: x and y 65...184 */
    FN_CROP_STRETCH, /* the whole picture */
    FN_CROP_FACES    /* the most central face, by a crop contract */
};

#define FN_LFW_SIDE      250
#define FN_LFW_BOX_FIRST 65
#define FN_LFW_BOX_SIDE  120

struct fn_crops {
    uint8_t *pixels; /* [n][160][160][3], owned */
    size_t n;
    size_t n_skipped;  /* files that are no pictures */
    size_t n_faceless; /* pictures without a face */
};

struct fn_crop_way {
    enum fn_crop_mode mode;
    enum fn_crop_contract contract; /* when FN_CROP_FACES */
    struct fn_face_cutter *cutter;  /* when FN_CROP_FACES; owned */
};

/* `wanted`: "centre", "whole", or a crop contract that finds faces, for which there must be a
 * detector; NULL: with a detector `contract`, else centre when the first picture is 250 x 250, else
 * whole. Files that are no pictures are passed over. FN_USAGE for another word, FN_IO when there is
 * no picture among the paths. */
FN_MUST fn_status fn_crops_choose(const struct fn_paths *paths, const char *wanted,
                                  const struct fn_mtcnn_weights *detector,
                                  enum fn_crop_contract contract, int n_threads,
                                  struct fn_crop_way *ret_way, struct fn_error *err);
void fn_crop_way_done(struct fn_crop_way *way);
/* For messages and provenance: "lfw-centre-120", "whole-160" or a crop contract. */
const char *fn_crop_way_name(const struct fn_crop_way *way);
/* The same for people, in a sentence. */
const char *fn_crop_way_about(const struct fn_crop_way *way);

/* Load and crop paths [first, first + n) in order; with FN_CROP_FACES by at most the way's threads.
 * skip_others: pass over files that are no pictures and pictures without a face. Else the former
 * are errors, and the latter are black crops marked in ret_missing ([n], false elsewhere). Any
 * failure names the file. */
FN_MUST fn_status fn_crops_load(const struct fn_paths *paths, size_t first, size_t n,
                                const struct fn_crop_way *way, bool skip_others, int n_threads,
                                struct fn_progress *progress, struct fn_crops *ret_crops,
                                bool *ret_missing, struct fn_error *err);
void fn_crops_done(struct fn_crops *crops);

static inline void fn_crops_done_cleanup(struct fn_crops *crops) {
    fn_crops_done(crops);
}
static inline void fn_crop_way_done_cleanup(struct fn_crop_way *way) {
    fn_crop_way_done(way);
}

#endif
