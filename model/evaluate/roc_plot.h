/* SPDX-License-Identifier: Apache-2.0
 *
 * roc_plot.h -- ROC curves as an SVG picture, drawn by gnuplot. */
#ifndef FN_ROC_PLOT_H
#define FN_ROC_PLOT_H

#include "model/evaluate/roc.h"

struct fn_roc_curve {
    const char *title; /* borrowed; letters, digits, spaces and -.,:%() are kept */
    const struct fn_roc *roc;
};

/* Draw true accepts over false accepts, the latter in decades. FN_IO when gnuplot is not installed,
 * fails, or the file cannot be written. */
FN_MUST fn_status fn_roc_plot(const char *path, const struct fn_roc_curve *curves, size_t n_curves,
                              struct fn_error *err);

#endif
