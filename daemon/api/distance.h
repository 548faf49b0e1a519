/* SPDX-License-Identifier: Apache-2.0
 *
 * distance.h -- how far two embeddings are apart. */
#ifndef FN_DISTANCE_H
#define FN_DISTANCE_H

#include <stddef.h>

struct fn_distance {
    double cosine; /* -1...1, of the vectors brought to length one in double */
    double l2;     /* of the vectors as they are */
    double l2_squared;
};

/* a, b: [n], neither zero. Summed in double, in index order. */
struct fn_distance fn_distance_between(const float *a, const float *b, size_t n);

#endif
