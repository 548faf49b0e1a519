/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h -- numbers that look random and are the same on every run. */
#ifndef FN_TESTS_RANDOM_H
#define FN_TESTS_RANDOM_H

#include "engine/prng.h"

static struct fn_prng random_numbers = {1};

/* -1...1 */
static inline float random_float(void) {
    return (float)((double)(fn_prng_next(&random_numbers) >> 11) / 4503599627370496.0 - 1);
}

/* 0...n - 1 */
static inline int random_below(int n) {
    return (int)(fn_prng_next(&random_numbers) >> 33) % n;
}

#endif
