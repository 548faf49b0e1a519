/* SPDX-License-Identifier: Apache-2.0
 *
 * finder.h -- a decoded picture to its faces and their crops, by the model's detector and crop
 * contract; or, told that the picture is a crop already, to that one crop.
 *
 * A model that cannot look (no detector, or made for whole pictures) takes every picture as the
 * crop. One that can never falls back to that: no face is no crop. */
#ifndef FN_FINDER_H
#define FN_FINDER_H

#include "engine/cleanup.h"
#include "engine/detect/crop.h"
#include "engine/model.h"

/* Reasons to reject a face; docs/http.md says where each begins. */
enum fn_reject {
    FN_REJECT_SMALL = 1,
    FN_REJECT_BLURRED = 2,
    FN_REJECT_DARK = 4,
    FN_REJECT_BRIGHT = 8,
    FN_REJECT_TILTED = 16,
    FN_REJECT_UNSURE = 32,
};

struct fn_find_options {
    bool is_crop;               /* do not look: the picture is the crop */
    bool chosen;                /* only the face that `choice` chooses */
    enum fn_face_choice choice; /* when chosen */
    int skip;                   /* faces to pass over, largest first */
    int max_faces;              /* 1...FN_DETECT_MAX_FACES */
    double min_face;            /* pixels; 0: the detector's default */
    unsigned reject;            /* set of enum fn_reject */
    double least_score;         /* faces of a lower one are rejected too; 0: none */
};

struct fn_found_face {
    struct fn_face face; /* in pixels of the full picture */
    struct fn_face_quality quality;
};

struct fn_found {
    bool looked;                 /* false: the one face is the whole picture */
    int n;                       /* faces kept, largest first */
    int found, rejected;         /* of all; rejected ones among them */
    double min_face;             /* as used, in pixels of the full picture */
    bool limited;                /* faces may be missing: see detector.h */
    const char *detector;        /* what computed, as fn_finder_kernels(); NULL: nobody looked */
    struct fn_found_face *faces; /* [n], owned */
    uint8_t *crops;              /* [n][160][160][3], owned */
};

struct fn_finder; /* opaque; any number of threads may use it */

/* Weights are copied. place: the OpenCL device that computes the detector's networks, or NULL for
 * this CPU, which also takes over, with a line in the log, where the device cannot be used or
 * fails: faces are the same to the bit. FN_BAD_MODEL when the crop contract is unknown. */
FN_MUST fn_status fn_finder_new(const struct fn_model *model, const struct fn_detector_place *place,
                                struct fn_finder **ret_finder, struct fn_error *err);
void fn_finder_free(struct fn_finder *finder); /* NULL is a no-op */
FN_DEFINE_CLEANUP(struct fn_finder *, fn_finder_free)

/* Whether pictures are searched unless told that they are crops. */
bool fn_finder_looks(const struct fn_finder *finder);
/* What the detector computes with now: "avx2", "opencl:..."; NULL without one. Borrowed. */
const char *fn_finder_kernels(const struct fn_finder *finder);
/* Contract of what fn_finder_find() cuts; static. */
const char *fn_finder_crop(const struct fn_finder *finder, bool looked);

/* Find, choose, cut. No face is FN_OK and n = 0. FN_SEVERAL_FACES by FN_FACE_ONLY; FN_BAD_OPTION;
 * FN_FACE_NOT_FOUND when there are faces, but all are passed over. */
FN_MUST fn_status fn_finder_find(struct fn_finder *finder, const struct fn_picture *picture,
                                 const struct fn_find_options *options, struct fn_found *ret_found,
                                 struct fn_error *err);
/* Take the pixels of a ready crop, [160][160][3] in RGB, as the one face. They are copied. */
FN_MUST fn_status fn_found_take_crop(const uint8_t *pixels, struct fn_found *ret_found,
                                     struct fn_error *err);
void fn_found_done(struct fn_found *found);

#endif
