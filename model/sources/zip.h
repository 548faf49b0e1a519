/* SPDX-License-Identifier: Apache-2.0
 *
 * zip.h -- stored (not compressed) members of a ZIP file in memory, ZIP64 too, CRC-32 checked when
 * a member is asked for. */
#ifndef FN_ZIP_H
#define FN_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "engine/cleanup.h"
#include "engine/status.h"

struct fn_zip; /* opaque; borrows the bytes */

FN_MUST fn_status fn_zip_open(const char *name, const uint8_t *bytes, size_t size,
                              struct fn_zip **ret_zip, struct fn_error *err);
void fn_zip_close(struct fn_zip *zip); /* NULL is a no-op */

size_t fn_zip_count(const struct fn_zip *zip);
/* Name of a member, borrowed from the zip. */
const char *fn_zip_name(const struct fn_zip *zip, size_t index);
/* Index of a member, or fn_zip_count() when there is none of that name. */
size_t fn_zip_find(const struct fn_zip *zip, const char *member);
/* The bytes of a member, borrowed. FN_BAD_SOURCE when it is compressed, encrypted, outside the file
 * or its CRC-32 is another. */
FN_MUST fn_status fn_zip_member(const struct fn_zip *zip, size_t index, const uint8_t **ret_bytes,
                                size_t *ret_size, struct fn_error *err);

FN_DEFINE_CLEANUP(struct fn_zip *, fn_zip_close)

#endif
