/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict.h -- whether two embeddings are of one person, by one number only.
 *
 * The squared L2 distance of a pair is summed in double and rounded once to float; cosine, L2 and
 * angle are functions of that float, for unit vectors the very same information. The cuts are the
 * same functions of the fitted threshold, a float too. Floats are so far apart that none of these
 * functions, rounded to double, maps two neighbours between 2^-20 and 4 to one value or swaps them,
 * so the four verdicts agree on every pair. */
#ifndef FN_VERDICT_H
#define FN_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#define FN_VERDICT_LEAST 0x1p-20F /* thresholds are at least this */

/* One distance, or one threshold, in the four metrics. */
struct fn_distance {
    double l2_squared; /* 0...4 */
    double l2;
    double cosine; /* 1 - l2_squared / 2 */
    double angle;  /* degrees */
};

/* Squared L2 distance of a and b, [n]. */
float fn_verdict_distance(const float *a, const float *b, size_t n);

struct fn_distance fn_distance_of(float l2_squared);

/* Whether a distance is within a threshold, by each metric alone. */
bool fn_same_by_l2_squared(const struct fn_distance *distance, const struct fn_distance *cut);
bool fn_same_by_l2(const struct fn_distance *distance, const struct fn_distance *cut);
bool fn_same_by_cosine(const struct fn_distance *distance, const struct fn_distance *cut);
bool fn_same_by_angle(const struct fn_distance *distance, const struct fn_distance *cut);

#endif
