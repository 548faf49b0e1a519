/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.h -- the proof, per output channel and in 64 bits, that int32 accumulators cannot
 * overflow, whatever the picture and the order of summation. */
#ifndef FN_LIMITS_H
#define FN_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What decides the bounds of one output channel. */
struct fn_channel {
    const int8_t *weights; /* n_weights of this channel, borrowed */
    size_t n_weights;
    int64_t bias;
    bool input_signed; /* inputs -128...127; otherwise 0...127 */
    int positions;     /* 1; the head sums over this many positions before it multiplies */
    int shift;         /* s; 0 for the head */
    bool has_residual;
    int residual_shift; /* r, if has_residual */
    /* Fractional bits that a remainder has more than its tensor (network.h); 0: there is none. */
    int residual_remainder, remainder;
};

/* Largest and smallest accumulator, residual and rounding constant included. */
void fn_channel_bounds(const struct fn_channel *channel, int64_t *ret_min, int64_t *ret_max);

/* Whether the channel obeys: bounds within int32, 0 <= s <= 30, 0 <= r <= 23, and a remainder's
 * bits at most those of its shift. */
bool fn_channel_fits(const struct fn_channel *channel);

#endif
