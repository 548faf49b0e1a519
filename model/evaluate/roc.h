/* SPDX-License-Identifier: Apache-2.0
 *
 * roc.h -- verification figures from distances. Two pictures are accepted as one person when their
 * distance is below the threshold. Everything is exact: thresholds lie between distances that
 * occur, nothing is binned. */
#ifndef FN_ROC_H
#define FN_ROC_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/status.h"

#define FN_ROC_SUBFOLDS 10

struct fn_roc_pair {
    double distance;
    bool same;
    int fold;
};

/* The threshold with the most right answers, the lowest of them on a tie. pairs: [n], n >= 1, any
 * order; those of fold `except` are left out (-1: none). FN_NO_MEMORY. */
FN_MUST fn_status fn_roc_best_threshold(const struct fn_roc_pair *pairs, size_t n, int except,
                                        double *ret_threshold, struct fn_error *err);

/* Share of right answers in one fold at a threshold. */
double fn_roc_accuracy(const struct fn_roc_pair *pairs, size_t n, int fold, double threshold);

struct fn_roc_spread {
    double mean;
    double deviation; /* standard deviation of the folds, n - 1 in the denominator */
    double error;     /* standard error of the mean: deviation / sqrt(n) */
};

/* Accuracy of each of `n_folds` >= 2 folds at the best threshold of the others.
 * ret_accuracies: [n_folds]. */
FN_MUST fn_status fn_roc_cross_validate(const struct fn_roc_pair *pairs, size_t n, int n_folds,
                                        double *ret_accuracies, struct fn_roc_spread *ret_spread,
                                        struct fn_error *err);

/* Make folds of one set, as many as FN_ROC_SUBFOLDS and the pairs of each kind allow: the k-th same
 * pair and the k-th different pair go to fold k mod that number, which is returned. */
int fn_roc_make_subfolds(struct fn_roc_pair *pairs, size_t n);

/* Distances apart by kind, each ascending. */
struct fn_roc {
    double *same;      /* [n_same], owned */
    double *impostors; /* [n_impostors], owned */
    size_t n_same, n_impostors;
};

void fn_roc_sort(struct fn_roc *roc);
void fn_roc_done(struct fn_roc *roc);

/* Share of same pairs under the largest threshold that accepts at most floor(far * n_impostors)
 * impostors; ret_threshold is that threshold (infinity when far accepts all). False, "not
 * measurable", when far * n_impostors < 1. The arrays are sorted and not empty. */
bool fn_roc_tar(const struct fn_roc *roc, double far, double *ret_tar, double *ret_threshold);

/* Probability that a same pair is closer than an impostor, ties counting half. */
double fn_roc_auc(const struct fn_roc *roc);

static inline void fn_roc_done_cleanup(struct fn_roc *roc) {
    fn_roc_done(roc);
}

#endif
