/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.c -- the known question of the self-test and the digests of its answer. */
#include "engine/golden.h"

#include "engine/prng.h"
#include "engine/sha256.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are over little-endian bytes");

void fn_golden_picture(uint64_t seed, uint8_t ret_crop[FN_CROP_SIZE]) {
    struct fn_prng prng = {seed};
    fn_prng_fill(&prng, ret_crop, FN_CROP_SIZE);
}

void fn_golden_digest_accumulators(const int32_t *accumulators, int n,
                                   char ret_hex[FN_DIGEST_SIZE]) {
    fn_sha256_hex(accumulators, (size_t)n * sizeof *accumulators, ret_hex);
}

void fn_golden_digest_embedding(const float *embedding, int n, char ret_hex[FN_DIGEST_SIZE]) {
    fn_sha256_hex(embedding, (size_t)n * sizeof *embedding, ret_hex);
}
