/* SPDX-License-Identifier: Apache-2.0
 *
 * threshold.h -- the threshold at a stated false-accept rate, from scored pairs.
 *
 * It is the greatest at which at most that share of the impostor pairs is accepted: halfway between
 * the last distance accepted and the first that is not. Its interval comes from a bootstrap over
 * people, not pairs, as pairs of one person are not independent. */
#ifndef FN_THRESHOLD_H
#define FN_THRESHOLD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"

#define FN_THRESHOLD_RESAMPLES 1000

struct fn_scored_pair {
    float distance; /* squared L2, fn_verdict_distance() */
    uint32_t a, b;  /* people; the same for a genuine pair */
};

struct fn_pair_set {
    struct fn_scored_pair *pairs; /* [n]; sorted by fn_threshold_fit() */
    size_t n;
};

/* Fit at `far`, 0 < far < 1. n_people bounds a and b. Fills value, far, value_low, value_high,
 * true_accepts, pairs, low_confidence and metric; crop and fitted_on are the caller's. The same
 * pairs give the same point. FN_USAGE without an impostor pair. */
FN_MUST fn_status fn_threshold_fit(struct fn_pair_set *impostors, struct fn_pair_set *genuine,
                                   uint32_t n_people, double far,
                                   struct fn_operating_point *ret_point, struct fn_error *err);

/* Share of the genuine pairs accepted at the threshold of that rate, in each of the bootstrap's
 * resamples of people: the same resamples for the same n_people, so that two ways to measure the
 * same people can be compared one by one. The impostors are sorted. NaN where a resample leaves
 * nothing. */
FN_MUST fn_status fn_threshold_resample(struct fn_pair_set *impostors, struct fn_pair_set *genuine,
                                        uint32_t n_people, double far,
                                        double ret_accepts[FN_THRESHOLD_RESAMPLES],
                                        struct fn_error *err);

#endif
