/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.h -- one tensor before and after quantization, element by element and in figures. */
#ifndef FN_COMPARE_H
#define FN_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/model.h"
#include "engine/status.h"
#include "model/sources/source.h"

/* An element: the real number, what it became, and the bits that stand for it. */
struct fn_compared {
    double before, after;
    bool clipped;
    char bits[33];
};

struct fn_comparison {
    char name[FN_NAME_SIZE + 32];
    char shape[64];               /* "[3][3][3][32]", as stored */
    char scheme[120];             /* how the after came to be, for people */
    bool has_before;              /* false: a model alone, before = after */
    struct fn_compared *elements; /* [n], owned */
    size_t n;
};

struct fn_comparison_summary {
    double low, high;               /* before */
    double mean_error, worst_error; /* absolute */
    double sqnr_db;                 /* infinite when nothing was lost */
    size_t n_clipped;
};

/* A parameter tensor of a source under the original method: 8 bits of sign and magnitude, n of them
 * fractional; n = -1: the n in 0...7 of least squared error. `name` with '/' or '_'. FN_USAGE when
 * there is no such tensor: the text has near ones. */
FN_MUST fn_status fn_compare_source(const struct fn_source *source, const char *name, int n,
                                    struct fn_comparison *ret, struct fn_error *err);

/* Weights or bias of a model. With `source` (or NULL) the folded weights, in the units of the
 * model's channels (equalise.h), are the before. n = -1:
 * the model's own fractional bits; else what n for every channel would give, which needs the
 * source. */
FN_MUST fn_status fn_compare_model(const struct fn_model *model, const struct fn_source *source,
                                   const char *name, int n, struct fn_comparison *ret,
                                   struct fn_error *err);
void fn_comparison_done(struct fn_comparison *comparison);

struct fn_comparison_summary fn_comparison_summarize(const struct fn_comparison *comparison);

/* Two histograms over each other and the error below them; the picture's kind is its name's end,
 * .svg or .png. Needs gnuplot. */
FN_MUST fn_status fn_comparison_plot(const struct fn_comparison *comparison, const char *path,
                                     struct fn_error *err);

#endif
