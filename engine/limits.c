/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c -- overflow proof of one output channel; limits.h says what for. */
#include "engine/limits.h"

#include "engine/fixed.h"

void fn_channel_bounds(const struct fn_channel *channel, int64_t *ret_min, int64_t *ret_max) {
    int64_t positive = 0, negative = 0; /* sums of |w| by sign */
    for (size_t i = 0; i < channel->n_weights; i++) {
        if (channel->weights[i] > 0) positive += channel->weights[i];
        if (channel->weights[i] < 0) negative -= channel->weights[i];
    }
    positive *= channel->positions;
    negative *= channel->positions;
    int64_t low = channel->input_signed ? 128 : 0; /* the most negative input, as magnitude */
    int64_t max = 127 * positive + low * negative;
    int64_t min = -127 * negative - low * positive;
    if (channel->bias > 0) max += channel->bias;
    if (channel->bias < 0) min += channel->bias;
    if (channel->has_residual) max += INT64_C(127) << channel->residual_shift;
    if (channel->residual_remainder > 0) {
        int64_t unit = INT64_C(1) << (channel->residual_shift - channel->residual_remainder);
        max += 127 * unit;
        min -= 128 * unit;
    }
    if (channel->shift > 0) max += INT64_C(1) << (channel->shift - 1);
    *ret_min = min;
    *ret_max = max;
}

bool fn_channel_fits(const struct fn_channel *channel) {
    if (channel->shift < 0 || channel->shift > FN_SHIFT_MAX) return false;
    if (channel->has_residual &&
        (channel->residual_shift < 0 || channel->residual_shift > FN_RESIDUAL_MAX))
        return false;
    if (channel->remainder > channel->shift ||
        channel->residual_remainder > channel->residual_shift)
        return false;
    int64_t min, max;
    fn_channel_bounds(channel, &min, &max);
    return min >= INT32_MIN && max <= INT32_MAX;
}
