/* SPDX-License-Identifier: Apache-2.0
 *
 * crop.c -- contracts by name, rectangles, and the choice among faces. */
#include "engine/detect/crop.h"

#include <math.h>
#include <string.h>

#define M32_MARGIN   16.0  /* pixels a side */
#define P17_MARGIN_X 0.172 /* of the box; 16 pixels on the mean box of LFW, 93 x 124 pixels */
#define P17_MARGIN_Y 0.127

static const char *const names[FN_CROP_CONTRACTS] = {
    [FN_CROP_CONTRACT_WHOLE] = FN_CROP_WHOLE,
    [FN_CROP_CONTRACT_M32] = "mtcnn-m32-160",
    [FN_CROP_CONTRACT_P17] = "mtcnn-p17-160",
    [FN_CROP_CONTRACT_ALIGNED] = "aligned-5p-160",
};

const char *fn_crop_name(enum fn_crop_contract contract) {
    return names[contract];
}

bool fn_crop_parse(const char *name, enum fn_crop_contract *ret_contract) {
    for (int i = 0; i < FN_CROP_CONTRACTS; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_contract = (enum fn_crop_contract)i;
            return true;
        }
    return false;
}

bool fn_crop_needs_face(enum fn_crop_contract contract) {
    return contract != FN_CROP_CONTRACT_WHOLE;
}

/* An edge widened by the margin, held in the picture; never empty, as the box meets the picture. */
static void widen(double low, double high, double margin, int size, int *ret_at, int *ret_length) {
    int begin = (int)fmin(fmax(low - margin, 0), size - 1);
    int end = (int)fmax(fmin(high + margin, size), 0);
    *ret_at = begin;
    *ret_length = end > begin ? end - begin : 1;
}

struct fn_rect fn_crop_rect(enum fn_crop_contract contract, const struct fn_picture *picture,
                            const struct fn_face *face) {
    bool fixed = contract == FN_CROP_CONTRACT_M32;
    double margin_x = fixed ? M32_MARGIN : P17_MARGIN_X * (face->x2 - face->x1);
    double margin_y = fixed ? M32_MARGIN : P17_MARGIN_Y * (face->y2 - face->y1);
    struct fn_rect rect;
    widen(face->x1, face->x2, margin_x, picture->width, &rect.x, &rect.width);
    widen(face->y1, face->y2, margin_y, picture->height, &rect.y, &rect.height);
    return rect;
}

fn_status fn_crop_cut(enum fn_crop_contract contract, const struct fn_picture *picture,
                      const struct fn_face *face, uint8_t ret_crop[FN_CROP_SIZE],
                      struct fn_error *err) {
    if (!fn_crop_needs_face(contract)) {
        const struct fn_rect whole = {0, 0, picture->width, picture->height};
        return fn_picture_crop(picture, whole, ret_crop, err);
    }
    if (!face)
        return fn_fail(err, FN_USAGE, "crop contract %s needs a face", fn_crop_name(contract));
    if (contract == FN_CROP_CONTRACT_ALIGNED) {
        fn_crop_align(picture, face, ret_crop);
        return FN_OK;
    }
    return fn_picture_crop(picture, fn_crop_rect(contract, picture, face), ret_crop, err);
}

bool fn_face_choice_parse(const char *word, enum fn_face_choice *ret_choice) {
    static const char *const words[] = {"largest", "center", "only"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_choice = (enum fn_face_choice)i;
            return true;
        }
    return false;
}

static double centrality(const struct fn_picture *picture, const struct fn_face *face) {
    double x = (face->x1 + face->x2) / 2 - picture->width / 2.0;
    double y = (face->y1 + face->y2) / 2 - picture->height / 2.0;
    return (face->x2 - face->x1) * (face->y2 - face->y1) - 2 * (x * x + y * y);
}

fn_status fn_face_choose(enum fn_face_choice choice, const struct fn_picture *picture,
                         const struct fn_face *faces, int n, int *ret_index, struct fn_error *err) {
    if (n == 0)
        return fn_fail(err, FN_FACE_NOT_FOUND, "no face was found in %d x %d pixels",
                       picture->full_width, picture->full_height);
    if (choice == FN_FACE_ONLY && n > 1)
        return fn_fail(err, FN_SEVERAL_FACES, "%d faces were found, face=only expects one", n);
    int best = 0;
    for (int i = 1; choice == FN_FACE_CENTER && i < n; i++)
        if (centrality(picture, &faces[i]) > centrality(picture, &faces[best])) best = i;
    *ret_index = best;
    return FN_OK;
}
