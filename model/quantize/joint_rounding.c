/* SPDX-License-Identifier: Apache-2.0
 *
 * joint_rounding.c -- see joint_rounding.h: coordinate descent. With g = C r, changing weight k by
 * d changes the error by d * (d * C[k][k] - 2 * g[k]), which is least for d = g[k] / C[k][k]. */
#include "model/quantize/joint_rounding.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define SHRINKAGE  0.1F
#define MAX_SWEEPS 200 /* it ends by itself, as the error falls; far sooner, too */

void fn_joint_rounding_shrink(float *covariance, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i != j) covariance[i * n + j] *= 1 - SHRINKAGE;
}

static void add_row(float factor, const float *restrict row, size_t n, float *restrict g) {
    for (size_t i = 0; i < n; i++) g[i] += factor * row[i];
}

void fn_joint_rounding_improve(const double *exact, const float *covariance, size_t n, float *g,
                               int8_t *weights) {
    memset(g, 0, n * sizeof *g);
    for (size_t k = 0; k < n; k++)
        add_row((float)(exact[k] - weights[k]), covariance + k * n, n, g);
    bool changed = true;
    for (int sweep = 0; sweep < MAX_SWEEPS && changed; sweep++) {
        changed = false;
        for (size_t k = 0; k < n; k++) {
            float variance = covariance[k * n + k];
            if (!(fabsf(g[k]) > 0.501F * variance) || !(variance > 0)) continue;
            float to = (float)weights[k] + rintf(g[k] / variance);
            to = to < -127 ? -127 : to > 127 ? 127 : to;
            float change = to - (float)weights[k];
            if (change == 0) continue;
            weights[k] = (int8_t)to;
            add_row(-change, covariance + k * n, n, g);
            changed = true;
        }
    }
}
