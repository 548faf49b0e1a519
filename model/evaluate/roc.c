/* SPDX-License-Identifier: Apache-2.0
 *
 * roc.c -- see roc.h. */
#include "model/evaluate/roc.h"

#include <math.h>

#include "engine/cleanup.h"

static int compare_pairs(const void *a, const void *b) {
    double x = ((const struct fn_roc_pair *)a)->distance;
    double y = ((const struct fn_roc_pair *)b)->distance;
    return (x > y) - (x < y);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A threshold that accepts `low` and refuses `high`, low < high. */
static double between(double low, double high) {
    double middle = low + (high - low) / 2;
    return middle > low ? middle : high;
}

fn_status fn_roc_best_threshold(const struct fn_roc_pair *pairs, size_t n, int except,
                                double *ret_threshold, struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_roc_pair *sorted = calloc(n, sizeof *sorted);
    if (!sorted) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pairs", n);
    size_t m = 0;
    long right = 0; /* at a threshold that accepts nothing */
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].fold == except) continue;
        right += !pairs[i].same;
        sorted[m++] = pairs[i];
    }
    if (m == 0) return fn_fail(err, FN_USAGE, "no pairs to fit a threshold on");
    qsort(sorted, m, sizeof *sorted, compare_pairs);
    long best = right;
    double threshold = sorted[0].distance;
    for (size_t i = 0; i < m; i++) {
        right += sorted[i].same ? 1 : -1;
        bool last = i + 1 == m;
        if (right <= best || (!last && sorted[i + 1].distance <= sorted[i].distance)) continue;
        best = right;
        threshold = last ? nextafter(sorted[i].distance, INFINITY)
                         : between(sorted[i].distance, sorted[i + 1].distance);
    }
    *ret_threshold = threshold;
    return FN_OK;
}

double fn_roc_accuracy(const struct fn_roc_pair *pairs, size_t n, int fold, double threshold) {
    size_t right = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].fold != fold) continue;
        all++;
        right += (pairs[i].distance < threshold) == pairs[i].same;
    }
    return all ? (double)right / (double)all : 0;
}

fn_status fn_roc_cross_validate(const struct fn_roc_pair *pairs, size_t n, int n_folds,
                                double *ret_accuracies, struct fn_roc_spread *ret_spread,
                                struct fn_error *err) {
    double sum = 0, squares = 0;
    for (int fold = 0; fold < n_folds; fold++) {
        double threshold;
        fn_status status = fn_roc_best_threshold(pairs, n, fold, &threshold, err);
        if (status != FN_OK) return status;
        ret_accuracies[fold] = fn_roc_accuracy(pairs, n, fold, threshold);
        sum += ret_accuracies[fold];
    }
    double mean = sum / n_folds;
    for (int fold = 0; fold < n_folds; fold++)
        squares += (ret_accuracies[fold] - mean) * (ret_accuracies[fold] - mean);
    double deviation = sqrt(squares / (n_folds - 1));
    *ret_spread = (struct fn_roc_spread){mean, deviation, deviation / sqrt(n_folds)};
    return FN_OK;
}

int fn_roc_make_subfolds(struct fn_roc_pair *pairs, size_t n) {
    size_t count[2] = {0, 0}, next[2] = {0, 0};
    for (size_t i = 0; i < n; i++) count[pairs[i].same]++;
    size_t fewer = count[0] < count[1] ? count[0] : count[1];
    size_t n_folds = fewer < FN_ROC_SUBFOLDS ? fewer : FN_ROC_SUBFOLDS;
    if (n_folds == 0) n_folds = 1;
    for (size_t i = 0; i < n; i++) pairs[i].fold = (int)(next[pairs[i].same]++ % n_folds);
    return (int)n_folds;
}

void fn_roc_sort(struct fn_roc *roc) {
    qsort(roc->same, roc->n_same, sizeof *roc->same, compare_doubles);
    qsort(roc->impostors, roc->n_impostors, sizeof *roc->impostors, compare_doubles);
}

void fn_roc_done(struct fn_roc *roc) {
    free(roc->same);
    free(roc->impostors);
    *roc = (struct fn_roc){0};
}

/* How many of sorted values are below a threshold. */
static size_t count_below(const double *sorted, size_t n, double threshold) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < threshold)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool fn_roc_tar(const struct fn_roc *roc, double far, double *ret_tar, double *ret_threshold) {
    /* 0.29 * 100 is a little below 29: a product that is whole to 12 digits is meant whole. */
    double wanted = far * (double)roc->n_impostors;
    double allowed = floor(wanted * (1 + 1e-12));
    if (allowed < 1) return false;
    /* Acceptance is "below", so the first impostor too many is itself the largest threshold. */
    double threshold =
        allowed >= (double)roc->n_impostors ? INFINITY : roc->impostors[(size_t)allowed];
    *ret_tar = (double)count_below(roc->same, roc->n_same, threshold) / (double)roc->n_same;
    *ret_threshold = threshold;
    return true;
}

double fn_roc_auc(const struct fn_roc *roc) {
    double wins = 0;
    for (size_t i = 0; i < roc->n_same; i++) {
        size_t below = count_below(roc->impostors, roc->n_impostors, roc->same[i]);
        size_t up_to =
            count_below(roc->impostors, roc->n_impostors, nextafter(roc->same[i], INFINITY));
        wins += (double)(roc->n_impostors - up_to) + 0.5 * (double)(up_to - below);
    }
    return wins / ((double)roc->n_same * (double)roc->n_impostors);
}
