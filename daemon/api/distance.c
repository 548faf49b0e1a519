/* SPDX-License-Identifier: Apache-2.0
 *
 * distance.c -- see distance.h. */
#include "daemon/api/distance.h"

#include <math.h>

struct fn_distance fn_distance_between(const float *a, const float *b, size_t n) {
    double dot = 0, aa = 0, bb = 0, squared = 0;
    for (size_t i = 0; i < n; i++) {
        double x = a[i], y = b[i], d = x - y;
        dot += x * y;
        aa += x * x;
        bb += y * y;
        squared += d * d;
    }
    double cosine = dot / sqrt(aa * bb);
    /* Rounding may carry equal vectors past the end of the scale. */
    cosine = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
    return (struct fn_distance){.cosine = cosine, .l2 = sqrt(squared), .l2_squared = squared};
}
