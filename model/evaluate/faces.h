/* SPDX-License-Identifier: Apache-2.0
 *
 * faces.h -- pictures to crops by a crop contract, finding the face where the contract needs one:
 * what the daemon does to a picture, for measuring. */
#ifndef FN_FACES_H
#define FN_FACES_H

#include "engine/cleanup.h"
#include "engine/detect/crop.h"

struct fn_face_cutter; /* opaque: a detector, and a scratch for each worker */

/* How pictures are cut. */
struct fn_face_options {
    enum fn_crop_contract contract;
    enum fn_face_choice choice;
    double min_face; /* pixels; 0: the detector's default */
    int enlarge;     /* 1...8: first enlarge the picture so many times, linearly */
};

/* detector: weights, copied; NULL without, and then FN_USAGE when the contract needs a face. */
FN_MUST fn_status fn_face_cutter_new(const struct fn_mtcnn_weights *detector,
                                     const struct fn_face_options *options, int n_workers,
                                     struct fn_face_cutter **ret_cutter, struct fn_error *err);
void fn_face_cutter_free(struct fn_face_cutter *cutter); /* NULL is a no-op */

/* Cut a picture, by worker 0 ... n_workers - 1. FN_FACE_NOT_FOUND, FN_SEVERAL_FACES. */
FN_MUST fn_status fn_face_cutter_cut(struct fn_face_cutter *cutter, int worker,
                                     const struct fn_picture *picture,
                                     uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err);

/* The picture `times` as large, linear between the centres of pixels, edges repeated. */
FN_MUST fn_status fn_picture_enlarge(const struct fn_picture *picture, int times,
                                     struct fn_picture **ret_picture, struct fn_error *err);

FN_DEFINE_CLEANUP(struct fn_face_cutter *, fn_face_cutter_free)

#endif
