/* SPDX-License-Identifier: Apache-2.0
 *
 * exif.c -- find tag 0x0112 in the first directory (IFD0) of a TIFF block; exif.h has the contract.
 *
 * Invariant: every read goes through read_u16() or read_u32(), which check the bounds; a read
 * outside gives 0, and 0 is no valid byte order, tag, type or orientation. One pass, no links
 * followed, so no input can make it loop. */
#include "engine/picture/exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TIFF_MAGIC      42
#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT      3
#define ENTRY_SIZE      12 /* tag u16, type u16, count u32, value or offset u32 */

struct tiff {
    const uint8_t *bytes; /* borrowed */
    size_t size;
    bool big_endian;
};

static uint32_t read_u16(const struct tiff *tiff, size_t at) {
    if (tiff->size < 2 || at > tiff->size - 2) return 0;
    uint32_t a = tiff->bytes[at], b = tiff->bytes[at + 1];
    return tiff->big_endian ? a << 8 | b : b << 8 | a;
}

static uint32_t read_u32(const struct tiff *tiff, size_t at) {
    if (tiff->size < 4 || at > tiff->size - 4) return 0;
    uint32_t a = read_u16(tiff, at), b = read_u16(tiff, at + 2);
    return tiff->big_endian ? a << 16 | b : b << 16 | a;
}

/* Orientation of the directory at `at`, 0 when it has none. */
static uint32_t find_orientation(const struct tiff *tiff, size_t at) {
    uint32_t n_entries = read_u16(tiff, at);
    for (uint32_t i = 0; i < n_entries; i++) {
        size_t entry = at + 2 + (size_t)i * ENTRY_SIZE;
        if (read_u16(tiff, entry) != TAG_ORIENTATION) continue;
        if (read_u16(tiff, entry + 2) != TYPE_SHORT || read_u32(tiff, entry + 4) != 1) return 0;
        return read_u16(tiff, entry + 8);
    }
    return 0;
}

int fn_exif_orientation(const void *bytes, size_t size) {
    static const uint8_t jpeg_prefix[6] = {'E', 'x', 'i', 'f', 0, 0};
    struct tiff tiff = {.bytes = bytes, .size = size};
    if (size >= sizeof jpeg_prefix && memcmp(bytes, jpeg_prefix, sizeof jpeg_prefix) == 0) {
        tiff.bytes += sizeof jpeg_prefix;
        tiff.size -= sizeof jpeg_prefix;
    }
    if (tiff.size < 8) return 1;
    tiff.big_endian = tiff.bytes[0] == 'M';
    if (memcmp(tiff.bytes, tiff.big_endian ? "MM" : "II", 2) != 0) return 1;
    if (read_u16(&tiff, 2) != TIFF_MAGIC) return 1;
    uint32_t orientation = find_orientation(&tiff, read_u32(&tiff, 4));
    return orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
}
