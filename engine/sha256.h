/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256.h -- SHA-256 by nettle, and its digests in lower-case hex. */
#ifndef FN_SHA256_H
#define FN_SHA256_H

#include <stddef.h>

#define FN_SHA256_HEX_SIZE 65

struct fn_sha256; /* opaque: a running digest */

/* NULL when memory is out. */
struct fn_sha256 *fn_sha256_new(void);
void fn_sha256_add(struct fn_sha256 *sha, const void *bytes, size_t size);
/* Write 64 hex digits and a NUL, and free. */
void fn_sha256_finish(struct fn_sha256 *sha, char ret_hex[FN_SHA256_HEX_SIZE]);

/* The whole in one call. */
void fn_sha256_hex(const void *bytes, size_t size, char ret_hex[FN_SHA256_HEX_SIZE]);

#endif
