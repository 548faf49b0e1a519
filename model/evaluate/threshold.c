/* SPDX-License-Identifier: Apache-2.0
 *
 * threshold.c -- sort once; every resample is a walk over the sorted pairs with other weights. */
#include "model/evaluate/threshold.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/cleanup.h"
#include "engine/prng.h"
#include "engine/verdict.h"

#define SEED UINT64_C(0x666163656e657464)

static int by_distance(const void *a, const void *b) {
    const struct fn_scored_pair *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

/* How often a pair is in a resample in which each person is drawn so many times. */
static uint64_t weigh(const struct fn_scored_pair *pair, const uint32_t *drawn) {
    return (uint64_t)drawn[pair->a] * drawn[pair->b];
}

/* The greatest threshold that accepts at most `far` of the sorted impostors, so weighted; below the
 * first distance when it accepts none. False when nothing has a weight. */
static bool find_cut(const struct fn_pair_set *impostors, const uint32_t *drawn, double far,
                     float *ret_cut) {
    const struct fn_scored_pair *pairs = impostors->pairs;
    uint64_t total = 0, accepted = 0;
    for (size_t i = 0; i < impostors->n; i++) total += weigh(&pairs[i], drawn);
    if (total == 0) return false;
    double allowed = far * (double)total;
    float at = 0, below = 0; /* this distance and the greatest smaller one */
    for (size_t i = 0; i < impostors->n; i++) {
        uint64_t weight = weigh(&pairs[i], drawn);
        if (weight == 0) continue;
        if (pairs[i].distance > at) {
            below = at;
            at = pairs[i].distance;
        }
        accepted += weight;
        if ((double)accepted <= allowed) continue;
        /* Equal distances are accepted together or not at all. */
        float cut = (float)(((double)below + (double)at) / 2);
        *ret_cut = fmaxf(cut < at ? cut : nextafterf(at, 0), FN_VERDICT_LEAST);
        return true;
    }
    return false;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* People drawn at random, as many as there are; the same draws for the same number of people. */
static void draw_people(struct fn_prng *prng, uint32_t n_people, uint32_t *drawn) {
    for (uint32_t k = 0; k < n_people; k++) drawn[k] = 0;
    for (uint32_t k = 0; k < n_people; k++) drawn[fn_prng_next(prng) % n_people]++;
}

static fn_status bootstrap(const struct fn_pair_set *impostors, uint32_t n_people, double far,
                           struct fn_operating_point *point, struct fn_error *err) {
    float cuts[FN_THRESHOLD_RESAMPLES];
    size_t n = 0;
    struct fn_prng prng = {SEED};
    FN_CLEANUP_FREE uint32_t *drawn = malloc(n_people * sizeof *drawn);
    if (!drawn) return fn_fail(err, FN_NO_MEMORY, "no memory for %u people", n_people);
    for (int i = 0; i < FN_THRESHOLD_RESAMPLES; i++) {
        draw_people(&prng, n_people, drawn);
        if (find_cut(impostors, drawn, far, &cuts[n])) n++;
    }
    point->value_low = point->value_high = point->value;
    if (n == 0) return FN_OK;
    qsort(cuts, n, sizeof *cuts, by_value);
    point->value_low = fmin(point->value, (double)cuts[n / 40]);
    point->value_high = fmax(point->value, (double)cuts[n - 1 - n / 40]);
    return FN_OK;
}

fn_status fn_threshold_fit(struct fn_pair_set *impostors, struct fn_pair_set *genuine,
                           uint32_t n_people, double far, struct fn_operating_point *ret_point,
                           struct fn_error *err) {
    if (impostors->n == 0)
        return fn_fail(err, FN_USAGE,
                       "no pair of two different people; a false-accept rate of %g "
                       "cannot be measured",
                       far);
    struct fn_operating_point point = *ret_point;
    FN_CLEANUP_FREE uint32_t *once = malloc(n_people * sizeof *once);
    if (!once) return fn_fail(err, FN_NO_MEMORY, "no memory for %u people", n_people);
    for (uint32_t k = 0; k < n_people; k++) once[k] = 1;
    qsort(impostors->pairs, impostors->n, sizeof *impostors->pairs, by_distance);
    float cut = 0;
    if (!find_cut(impostors, once, far, &cut))
        return fn_fail(err, FN_USAGE, "a false-accept rate of %g accepts every pair", far);
    size_t accepted = 0;
    for (size_t i = 0; i < genuine->n; i++) accepted += genuine->pairs[i].distance <= cut;
    (void)snprintf(point.metric, sizeof point.metric, "l2_squared");
    point.value = (double)cut;
    point.far = far;
    point.true_accepts = genuine->n ? (double)accepted / (double)genuine->n : 0;
    point.pairs = (int64_t)impostors->n;
    point.low_confidence = (double)impostors->n * far < 10;
    fn_status status = bootstrap(impostors, n_people, far, &point, err);
    if (status == FN_OK) *ret_point = point;
    return status;
}

/* A person who is drawn twice brings each pair of their pictures twice. */
static double share_accepted(const struct fn_pair_set *genuine, const uint32_t *drawn, float cut) {
    uint64_t total = 0, accepted = 0;
    for (size_t i = 0; i < genuine->n; i++) {
        total += drawn[genuine->pairs[i].a];
        if (genuine->pairs[i].distance <= cut) accepted += drawn[genuine->pairs[i].a];
    }
    return total ? (double)accepted / (double)total : NAN;
}

fn_status fn_threshold_resample(struct fn_pair_set *impostors, struct fn_pair_set *genuine,
                                uint32_t n_people, double far,
                                double ret_accepts[FN_THRESHOLD_RESAMPLES], struct fn_error *err) {
    struct fn_prng prng = {SEED};
    FN_CLEANUP_FREE uint32_t *drawn = malloc(n_people * sizeof *drawn);
    if (!drawn) return fn_fail(err, FN_NO_MEMORY, "no memory for %u people", n_people);
    qsort(impostors->pairs, impostors->n, sizeof *impostors->pairs, by_distance);
    for (int i = 0; i < FN_THRESHOLD_RESAMPLES; i++) {
        float cut;
        draw_people(&prng, n_people, drawn);
        ret_accepts[i] =
            find_cut(impostors, drawn, far, &cut) ? share_accepted(genuine, drawn, cut) : NAN;
    }
    return FN_OK;
}
