/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.h -- base64 (RFC 4648 section 4) as people send it, and data URIs (RFC 2397) around it. */
#ifndef FN_BASE64_H
#define FN_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

/* Decode. White space is skipped, because base64(1) and MIME wrap lines; padding may be missing but
 * not wrong. FN_BAD_REQUEST tells where. *ret_bytes: owned, free(); not NULL even when empty. */
FN_MUST fn_status fn_base64_decode(const char *text, size_t size, uint8_t **ret_bytes,
                                   size_t *ret_size, struct fn_error *err);

/* The same, or a data URI "data:<anything>;base64,<base64>". */
FN_MUST fn_status fn_base64_decode_data(const char *text, size_t size, uint8_t **ret_bytes,
                                        size_t *ret_size, struct fn_error *err);

/* Characters of the encoding of `size` bytes, padding included, without a NUL. */
size_t fn_base64_encoded_size(size_t size);
/* Write exactly that many characters. */
void fn_base64_encode(const uint8_t *bytes, size_t size, char *ret_text);

#endif
