/* SPDX-License-Identifier: Apache-2.0
 *
 * crop.h -- from a face to the exact 160 x 160 pixels that the network is fed.
 *
 * A crop contract is part of what an embedding means: embeddings cut by different contracts are
 * never compared. All are defined to the bit; docs/crops.md says how they compare.
 *
 * whole-160: the whole picture, stretched.
 *
 * mtcnn-m32-160: the box and 16 pixels a side, x1 = trunc(max(x1 - 16, 0)), x2 = trunc(min(x2 + 16,
 * width)), y likewise, stretched by resize.h; how the reference accuracy was measured, on pictures
 * of 250 pixels.
 *
 * mtcnn-p17-160: the same with 0.172 of the width and 0.127 of the height a side, so that it is the
 * same piece of the face at every size.
 *
 * aligned-5p-160: turned, moved and scaled so that the five landmarks lie best (least squares) on
 * their mean places in the crops above, eyes level; crop_align.c has the arithmetic. */
#ifndef FN_CROP_H
#define FN_CROP_H

#include "engine/detect/detector.h"
#include "engine/picture/picture.h"

enum fn_crop_contract {
    FN_CROP_CONTRACT_WHOLE,
    FN_CROP_CONTRACT_M32,
    FN_CROP_CONTRACT_P17,
    FN_CROP_CONTRACT_ALIGNED,
    FN_CROP_CONTRACTS
};
/* Of a model with a detector, when nobody says another. */
#define FN_CROP_CONTRACT_DEFAULT FN_CROP_CONTRACT_P17

const char *fn_crop_name(enum fn_crop_contract contract);
/* False when no contract has that name. */
bool fn_crop_parse(const char *name, enum fn_crop_contract *ret_contract);
/* Whether the contract needs a face. */
bool fn_crop_needs_face(enum fn_crop_contract contract);

/* Cut. `face`: of this picture, in its pixels as decoded; NULL for whole-160. ret_crop:
 * [160][160][3]. FN_NO_MEMORY; FN_USAGE when a face is needed and missing. */
FN_MUST fn_status fn_crop_cut(enum fn_crop_contract contract, const struct fn_picture *picture,
                              const struct fn_face *face, uint8_t ret_crop[FN_CROP_SIZE],
                              struct fn_error *err);

/* The rectangle that m32 and p17 cut. */
struct fn_rect fn_crop_rect(enum fn_crop_contract contract, const struct fn_picture *picture,
                            const struct fn_face *face);

/* Private to engine/: aligned-5p-160. */
void fn_crop_align(const struct fn_picture *picture, const struct fn_face *face,
                   uint8_t ret_crop[FN_CROP_SIZE]);

enum fn_face_choice {
    FN_FACE_LARGEST,
    FN_FACE_CENTER, /* greatest area - 2 * squared distance from the picture's centre */
    FN_FACE_ONLY,   /* several are FN_SEVERAL_FACES */
};

/* "largest", "center", "only"; false for another word. */
bool fn_face_choice_parse(const char *word, enum fn_face_choice *ret_choice);

/* Which of n faces, largest first as fn_detector_find() gives them; n = 0: FN_FACE_NOT_FOUND. */
FN_MUST fn_status fn_face_choose(enum fn_face_choice choice, const struct fn_picture *picture,
                                 const struct fn_face *faces, int n, int *ret_index,
                                 struct fn_error *err);

/* Hints about a face, for people who want to reject poor ones. */
struct fn_face_quality {
    double size;       /* shorter side of the box, pixels of the full picture */
    double sharpness;  /* variance of the Laplacian of the crop's luma; below about 15 is blurred */
    double brightness; /* mean luma of the crop, 0...255 */
    double roll;       /* degrees from the left to the right eye, positive downwards */
};

/* crop: what was cut for this face. */
struct fn_face_quality fn_face_measure(const struct fn_picture *picture, const struct fn_face *face,
                                       const uint8_t crop[FN_CROP_SIZE]);

#endif
