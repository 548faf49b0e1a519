/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256.c -- the only file that knows nettle. */
#include "engine/sha256.h"

#include <stdlib.h>

#include <nettle/sha2.h>

struct fn_sha256 {
    struct sha256_ctx context;
};

struct fn_sha256 *fn_sha256_new(void) {
    struct fn_sha256 *sha = malloc(sizeof *sha);
    if (sha) sha256_init(&sha->context);
    return sha;
}

void fn_sha256_add(struct fn_sha256 *sha, const void *bytes, size_t size) {
    sha256_update(&sha->context, size, bytes);
}

static void finish(struct sha256_ctx *context, char ret_hex[FN_SHA256_HEX_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[2 * sizeof digest] = '\0';
}

void fn_sha256_finish(struct fn_sha256 *sha, char ret_hex[FN_SHA256_HEX_SIZE]) {
    finish(&sha->context, ret_hex);
    free(sha);
}

void fn_sha256_hex(const void *bytes, size_t size, char ret_hex[FN_SHA256_HEX_SIZE]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    finish(&context, ret_hex);
}
