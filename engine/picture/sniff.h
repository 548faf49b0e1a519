/* SPDX-License-Identifier: Apache-2.0
 *
 * sniff.h -- name what bytes look like, for the advice in FN_UNSUPPORTED_FORMAT. */
#ifndef FN_SNIFF_H
#define FN_SNIFF_H

#include <stddef.h>
#include <stdint.h>

/* What the bytes look like by their first few, as a noun phrase ("a GIF picture", "text"); static.
 * Only for formats we do not read: JPEG, PNG and WebP are told apart in picture.c. */
const char *fn_sniff_name(const uint8_t *bytes, size_t size);

/* What to do about it: "" or a clause that begins with "; "; static. */
const char *fn_sniff_advice(const uint8_t *bytes, size_t size);

#endif
