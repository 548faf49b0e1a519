/* SPDX-License-Identifier: Apache-2.0
 *
 * prng.h -- SplitMix64 (Steele, Lea and Flood, OOPSLA 2014; constants of Vigna's public-domain
 * splitmix64.c). For golden pictures and untrained networks: the same numbers everywhere. */
#ifndef FN_PRNG_H
#define FN_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct fn_prng {
    uint64_t state; /* the seed, to begin with */
};

static inline uint64_t fn_prng_next(struct fn_prng *prng) {
    uint64_t z = (prng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Bytes of successive numbers, least significant first. */
static inline void fn_prng_fill(struct fn_prng *prng, void *ret_bytes, size_t size) {
    uint8_t *out = ret_bytes;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t z = fn_prng_next(prng);
        for (size_t k = 0; k < 8 && i + k < size; k++, z >>= 8) out[i + k] = (uint8_t)z;
    }
}

#endif
