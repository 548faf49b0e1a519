/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.h -- the generated golden picture and the digests of what a model makes of it. */
#ifndef FN_GOLDEN_H
#define FN_GOLDEN_H

#include <stdint.h>

#include "engine/model.h"
#include "engine/network.h"

#define FN_GOLDEN_SEED UINT64_C(0x666163656e657464) /* "facenetd" */

/* 160 x 160 x 3 bytes of SplitMix64 (prng.h) from `seed`. */
void fn_golden_picture(uint64_t seed, uint8_t ret_crop[FN_CROP_SIZE]);

/* sha256 of n int32 as little-endian bytes. */
void fn_golden_digest_accumulators(const int32_t *accumulators, int n,
                                   char ret_hex[FN_DIGEST_SIZE]);
/* sha256 of n float32 as little-endian bytes. */
void fn_golden_digest_embedding(const float *embedding, int n, char ret_hex[FN_DIGEST_SIZE]);

#endif
