/* SPDX-License-Identifier: Apache-2.0
 *
 * multipart.h -- multipart/form-data (RFC 7578) of a body that is in memory whole.
 *
 * Our own because every grave fault of libmicrohttpd so far was in its MHD_PostProcessor. Parts are
 * views into the body: nothing is copied or changed. */
#ifndef FN_MULTIPART_H
#define FN_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_MAX_PARTS 128

/* Borrowed from the body, not NUL-terminated. */
struct fn_part {
    const char *name; /* of Content-Disposition, as sent between the quotes */
    size_t name_size;
    bool is_file; /* has a filename */
    const uint8_t *data;
    size_t size;
};

/* Whether the Content-Type is multipart/form-data. */
bool fn_multipart_is(const char *content_type, size_t size);

/* Split the body. FN_BAD_REQUEST says what is wrong with which part; FN_TOO_MANY_PICTURES beyond
 * FN_MAX_PARTS. ret_parts: [FN_MAX_PARTS]. */
FN_MUST fn_status fn_multipart_parse(const char *content_type, size_t content_type_size,
                                     const uint8_t *body, size_t size, struct fn_part *ret_parts,
                                     int *ret_n_parts, struct fn_error *err);

#endif
