/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_picture.c -- any bytes as a picture. What decodes keeps fn_picture's promises and can be cut
 * anywhere. PNG is tried a second time with its checksums put right: otherwise no change would ever
 * get past them. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/picture/picture.h"

#define MAX_PIXELS (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth) {
    if (!truth) __builtin_trap();
}

static void crop(const struct fn_picture *picture, struct fn_rect rect) {
    static uint8_t pixels[FN_CROP_SIZE];
    expect(fn_picture_crop(picture, rect, pixels, NULL) == FN_OK);
}

static void decode(const uint8_t *data, size_t size) {
    struct fn_picture *picture = NULL;
    struct fn_error err = {.status = FN_OK};
    fn_status status = fn_picture_decode(data, size, MAX_PIXELS, &picture, &err);
    if (status != FN_OK) {
        expect(!picture && err.status == status && err.text[0] != 0);
        expect(status == FN_UNSUPPORTED_FORMAT || status == FN_PICTURE_DAMAGED ||
               status == FN_TOO_MANY_PIXELS || status == FN_NO_MEMORY);
        return;
    }
    int w = picture->width, h = picture->height;
    expect(w >= 1 && h >= 1 && (int64_t)w * h <= MAX_PIXELS);
    expect(picture->full_width == w && picture->full_height == h); /* 1 MP is never scaled */
    expect(picture->orientation >= 1 && picture->orientation <= 8);
    crop(picture, (struct fn_rect){0, 0, w, h});
    crop(picture, (struct fn_rect){w / 2, h / 3, w - w / 2, h - h / 3});
    crop(picture, (struct fn_rect){w - 1, h - 1, 1, 1});
    fn_picture_free(picture);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* Give every chunk that lies whole in the file the checksum that it should have. */
static void repair_png(uint8_t *png, size_t size) {
    for (size_t at = 8; at + 12 <= size;) {
        size_t length = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 |
                        (size_t)png[at + 2] << 8 | png[at + 3];
        if (length > size - at - 12) return;
        uint32_t crc = crc32_of(png + at + 4, length + 4);
        uint8_t *stored = png + at + 8 + length;
        for (int i = 0; i < 4; i++) stored[i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    decode(data, size);
    if (size < 8 || memcmp(data, "\x89PNG", 4) != 0) return 0;
    uint8_t *copy = malloc(size);
    if (!copy) return 0;
    memcpy(copy, data, size);
    repair_png(copy, size);
    decode(copy, size);
    free(copy);
    return 0;
}
