/* SPDX-License-Identifier: Apache-2.0
 *
 * published_fit.h -- the cost model's two free numbers, fitted to what was published, and how far
 * the fitted model is off, also on rows that it has not seen. */
#ifndef FN_PUBLISHED_FIT_H
#define FN_PUBLISHED_FIT_H

#include "model/plan/published.h"

/* One family's. */
struct fn_fit {
    double drain;           /* clocks a block */
    double bandwidth_share; /* 0...1: of the memory's nominal rate */
};

/* Least squares of the logarithms of predicted over measured speed, over the family's rows that are
 * not held out. Always the same numbers: a pattern search from a fixed start. */
void fn_published_fit(enum fn_engine_family family, struct fn_fit *ret);

/* Share of a memory's nominal rate that the published engines reached: the mean of the families'
 * fits. */
double fn_published_bandwidth_share(void);

/* Pictures per second that the model gives for a row. */
double fn_published_predict(const struct fn_fit *fit, const struct fn_published *row);

/* Share of the array's products that are useful at that speed. */
double fn_published_utilisation(const struct fn_published *row, double pictures_per_second);

#endif
