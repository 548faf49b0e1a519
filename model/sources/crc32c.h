/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c.h -- the Castagnoli CRC (RFC 3720, appendix B.4: polynomial 0x1EDC6F41, reflected) that
 * LevelDB tables and TensorFlow checkpoints carry. */
#ifndef FN_CRC32C_H
#define FN_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Go on from `crc` (0 at first) with `size` bytes. */
uint32_t fn_crc32c(uint32_t crc, const void *bytes, size_t size);

/* The form in which LevelDB stores it, so that a CRC over data with CRCs in them stays good:
 * rotated right by 15, plus a constant (LevelDB doc/table_format.md, util/crc32c.h). */
uint32_t fn_crc32c_mask(uint32_t crc);

#endif
