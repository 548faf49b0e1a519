/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict.c -- see verdict.h. */
#include "engine/verdict.h"

#include <math.h>

float fn_verdict_distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return (float)sum;
}

struct fn_distance fn_distance_of(float l2_squared) {
    double squared = (double)l2_squared, l2 = sqrt(squared);
    /* 2 asin(l2 / 2) is acos(cosine) without its loss of digits near 0. */
    return (struct fn_distance){
        .l2_squared = squared,
        .l2 = l2,
        .cosine = 1 - squared / 2,
        .angle = 2 * asin(fmin(l2 / 2, 1)) * (180 / 3.14159265358979323846),
    };
}

bool fn_same_by_l2_squared(const struct fn_distance *distance, const struct fn_distance *cut) {
    return distance->l2_squared <= cut->l2_squared;
}

bool fn_same_by_l2(const struct fn_distance *distance, const struct fn_distance *cut) {
    return distance->l2 <= cut->l2;
}

bool fn_same_by_cosine(const struct fn_distance *distance, const struct fn_distance *cut) {
    return distance->cosine >= cut->cosine;
}

bool fn_same_by_angle(const struct fn_distance *distance, const struct fn_distance *cut) {
    return distance->angle <= cut->angle;
}
