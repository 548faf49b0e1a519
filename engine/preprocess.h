/* SPDX-License-Identifier: Apache-2.0
 *
 * preprocess.h -- RGB bytes of a crop to the network's int8 picture. */
#ifndef FN_PREPROCESS_H
#define FN_PREPROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"

/* Fractional bits of the picture tensor under a preprocessing: 7 or 5. */
int fn_preprocessing_frac_bits(enum fn_preprocessing preprocessing);
/* Its name in files and answers: "fixed" or "per-image". */
const char *fn_preprocessing_name(enum fn_preprocessing preprocessing);

/* Convert one crop of `size` bytes. fixed: q = pixel - 128. per-image: mean and sigma from exact
 * integer sums, x = (p - mean) / max(sigma, 1 / sqrt(size)) in double,
 * q = clamp(floor(x * 2^5 + 1/2), -128, 127). */
void fn_preprocess(enum fn_preprocessing preprocessing, const uint8_t *crop, size_t size,
                   int8_t *ret_picture);

#endif
