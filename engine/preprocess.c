/* SPDX-License-Identifier: Apache-2.0
 *
 * preprocess.c -- the first step of the crop contract; preprocess.h has the formulas. */
#include "engine/preprocess.h"

#include <math.h>

#include "engine/fixed.h"

#define PER_IMAGE_FRAC_BITS 5

int fn_preprocessing_frac_bits(enum fn_preprocessing preprocessing) {
    return preprocessing == FN_PREPROCESSING_PER_IMAGE ? PER_IMAGE_FRAC_BITS : 7;
}

const char *fn_preprocessing_name(enum fn_preprocessing preprocessing) {
    return preprocessing == FN_PREPROCESSING_PER_IMAGE ? "per-image" : "fixed";
}

/* One table entry per byte value: 256 divisions in place of 76,800. */
static void per_image_table(const uint8_t *crop, size_t size, int8_t ret_table[256]) {
    uint64_t sum = 0, squares = 0;
    for (size_t i = 0; i < size; i++) {
        sum += crop[i];
        squares += (uint64_t)crop[i] * crop[i];
    }
    double n = (double)size;
    double mean = (double)sum / n;
    /* n^2 * variance is an exact integer: one rounding only. */
    double variance = (double)(size * squares - sum * sum) / (n * n);
    double sigma = fmax(sqrt(variance), 1.0 / sqrt(n));
    for (int p = 0; p < 256; p++) {
        double q = fn_quantize_real((p - mean) / sigma, PER_IMAGE_FRAC_BITS);
        ret_table[p] = (int8_t)fmin(fmax(q, -128.0), 127.0);
    }
}

void fn_preprocess(enum fn_preprocessing preprocessing, const uint8_t *crop, size_t size,
                   int8_t *ret_picture) {
    if (preprocessing == FN_PREPROCESSING_FIXED) {
        for (size_t i = 0; i < size; i++) ret_picture[i] = (int8_t)(crop[i] - 128);
        return;
    }
    int8_t table[256];
    per_image_table(crop, size, table);
    for (size_t i = 0; i < size; i++) ret_picture[i] = table[crop[i]];
}
