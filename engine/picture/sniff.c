/* SPDX-License-Identifier: Apache-2.0
 *
 * sniff.c -- a table of magic bytes; sniff.h has the contract. People send what their phone, their
 * browser or their shell made of the picture, and an answer that names it saves them the search. */
#include "engine/picture/sniff.h"

#include <stdbool.h>
#include <string.h>

struct magic {
    size_t offset, length;
    const char *bytes, *name, *advice;
};

#define MAGIC(offset, bytes, name) MAGIC_WITH(offset, bytes, name, "")
#define MAGIC_WITH(offset, bytes, name, advice)                                                    \
    { offset, sizeof bytes - 1, bytes, name, advice }

#define FROM_PHONE "; set the phone to take JPEG, or convert it: heif-convert in.heic out.jpg"
#define AVIF       "; convert it: avifdec in.avif out.png"
#define ENCODED    "; send the bytes themselves, or the text as JSON {\"img\": \"...\"}"

/* The first match counts, so longer magics stand before shorter ones. */
static const struct magic magics[] = {
    MAGIC(0, "GIF8", "a GIF picture"),
    MAGIC_WITH(4, "ftypavif", "an AVIF picture", AVIF),
    MAGIC_WITH(4, "ftypavis", "an AVIF picture", AVIF),
    MAGIC_WITH(4, "ftyphei", "a HEIC picture", FROM_PHONE),
    MAGIC_WITH(4, "ftyphev", "a HEIC picture", FROM_PHONE),
    MAGIC_WITH(4, "ftypmif1", "a HEIF picture", FROM_PHONE),
    MAGIC_WITH(4, "ftypmsf1", "a HEIF picture", FROM_PHONE),
    MAGIC(4, "ftyp", "an MP4 or QuickTime film"),
    MAGIC(0, "II*\0", "a TIFF picture"),
    MAGIC(0, "MM\0*", "a TIFF picture"),
    MAGIC(0, "II+\0", "a TIFF picture"),
    MAGIC(0, "MM\0+", "a TIFF picture"),
    MAGIC(0, "\0\0\0\x0cJXL ", "a JPEG XL picture"),
    MAGIC(0, "\xff\x0a", "a JPEG XL picture"),
    MAGIC(0, "\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    MAGIC(0, "\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    MAGIC(0, "8BPS", "a Photoshop file"),
    MAGIC(0, "\0\0\1\0", "an icon (ICO)"),
    MAGIC(0, "BM", "a BMP picture"),
    MAGIC(0, "%PDF", "a PDF file"),
    MAGIC(0, "<svg", "an SVG drawing"),
    MAGIC(0, "data:image/", "a data URI as text"),
    MAGIC_WITH(0, "/9j/", "a JPEG as base64 text", ENCODED),
    MAGIC_WITH(0, "iVBOR", "a PNG as base64 text", ENCODED),
    MAGIC_WITH(0, "UklGR", "a WebP as base64 text", ENCODED),
    MAGIC(0, "\x1f\x8b", "a gzip file"),
    MAGIC(0, "PK\3\4", "a zip file"),
    MAGIC(0, "RIFF", "a RIFF file other than WebP"),
};

/* ASCII, or bytes that UTF-8 uses. */
static bool is_text(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size && i < 64; i++) {
        bool printable = bytes[i] >= 0x20 && bytes[i] < 0xf8 && bytes[i] != 0x7f;
        bool space = bytes[i] >= '\t' && bytes[i] <= '\r';
        if (!printable && !space) return false;
    }
    return true;
}

static const struct magic *find_magic(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const struct magic *magic = &magics[i];
        if (size < magic->offset + magic->length) continue;
        if (memcmp(bytes + magic->offset, magic->bytes, magic->length) == 0) return magic;
    }
    return NULL;
}

const char *fn_sniff_name(const uint8_t *bytes, size_t size) {
    if (size == 0) return "no bytes at all";
    const struct magic *magic = find_magic(bytes, size);
    if (magic) return magic->name;
    return is_text(bytes, size) ? "text" : "bytes of no known picture format";
}

const char *fn_sniff_advice(const uint8_t *bytes, size_t size) {
    const struct magic *magic = find_magic(bytes, size);
    return magic ? magic->advice : "";
}
