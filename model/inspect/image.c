/* SPDX-License-Identifier: Apache-2.0
 *
 * image.c -- see image.h. */
#include "model/inspect/image.h"

#include <string.h>

#define RECORD_SIZE 16 /* bytes of an Intel-HEX record */

static const char *const names[FN_IMAGE_FORMATS] = {
    [FN_IMAGE_MIF] = "mif",   [FN_IMAGE_COE] = "coe",   [FN_IMAGE_HEX] = "hex",
    [FN_IMAGE_MEMH] = "memh", [FN_IMAGE_MEMB] = "memb", [FN_IMAGE_BITS] = "bits",
    [FN_IMAGE_C] = "c"};

bool fn_image_find_format(const char *name, enum fn_image_format *ret) {
    for (int f = 0; f < FN_IMAGE_FORMATS; f++)
        if (strcmp(name, names[f]) == 0) return *ret = (enum fn_image_format)f, true;
    return false;
}

const char *fn_image_format_name(enum fn_image_format format) {
    return names[format];
}

/* Most significant byte first, as words are written. */
static void put_hex(FILE *to, const uint8_t *word, size_t size) {
    for (size_t i = size; i-- > 0;) (void)fprintf(to, "%02X", word[i]);
}

static void put_bits(FILE *to, const uint8_t *word, size_t size) {
    for (size_t i = size; i-- > 0;)
        for (int bit = 7; bit >= 0; bit--) (void)fputc('0' + (word[i] >> bit & 1), to);
}

static void write_mif(FILE *to, const struct fn_image *image) {
    (void)fprintf(to,
                  "-- %s\nWIDTH=%zu;\nDEPTH=%zu;\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\n"
                  "CONTENT BEGIN\n",
                  image->name, image->word_size * 8, image->depth);
    for (size_t i = 0; i < image->depth; i++) {
        (void)fprintf(to, "%zX : ", i);
        put_hex(to, image->bytes + i * image->word_size, image->word_size);
        (void)fputs(";\n", to);
    }
    (void)fputs("END;\n", to);
}

static void write_coe(FILE *to, const struct fn_image *image) {
    (void)fprintf(to,
                  "; %s: %zu words of %zu bits\nmemory_initialization_radix=16;\n"
                  "memory_initialization_vector=\n",
                  image->name, image->depth, image->word_size * 8);
    for (size_t i = 0; i < image->depth; i++) {
        put_hex(to, image->bytes + i * image->word_size, image->word_size);
        (void)fputs(i + 1 < image->depth ? ",\n" : ";\n", to);
    }
}

static void put_record(FILE *to, uint8_t type, uint16_t address, const uint8_t *bytes,
                       size_t size) {
    uint8_t sum = (uint8_t)(size + (address >> 8) + (address & 255) + type);
    (void)fprintf(to, ":%02X%04X%02X", (unsigned)size, address, type);
    for (size_t i = 0; i < size; i++) {
        (void)fprintf(to, "%02X", bytes[i]);
        sum = (uint8_t)(sum + bytes[i]);
    }
    (void)fprintf(to, "%02X\n", (uint8_t)(0x100 - sum));
}

static void write_intel_hex(FILE *to, const struct fn_image *image) {
    size_t size = image->depth * image->word_size;
    for (size_t at = 0; at < size; at += RECORD_SIZE) {
        if (at > 0 && at % 65536 == 0) { /* extended linear address */
            const uint8_t upper[2] = {(uint8_t)(at >> 24), (uint8_t)(at >> 16)};
            put_record(to, 4, 0, upper, sizeof upper);
        }
        size_t left = size - at;
        put_record(to, 0, (uint16_t)at, image->bytes + at, left < RECORD_SIZE ? left : RECORD_SIZE);
    }
    put_record(to, 1, 0, NULL, 0);
}

static void write_verilog(FILE *to, const struct fn_image *image,
                          void (*put)(FILE *, const uint8_t *, size_t)) {
    (void)fprintf(to, "// %s: reg [%zu:0] memory [0:%zu];\n", image->name, image->word_size * 8 - 1,
                  image->depth ? image->depth - 1 : 0);
    for (size_t i = 0; i < image->depth; i++) {
        put(to, image->bytes + i * image->word_size, image->word_size);
        (void)fputc('\n', to);
    }
}

static void write_bits(FILE *to, const struct fn_image *image) {
    size_t n = image->depth * image->word_size / image->element_size;
    for (size_t i = 0; i < n; i++) {
        put_bits(to, image->bytes + i * image->element_size, image->element_size);
        (void)fputc('\n', to);
    }
}

static void write_c(FILE *to, const struct fn_image *image) {
    size_t n = image->depth * image->word_size / image->element_size;
    size_t per_line = image->element_size == 1 ? 16 : 8;
    (void)fprintf(to, "static const int%zu_t %s[%zu] = {", image->element_size * 8, image->name, n);
    for (size_t i = 0; i < n; i++) {
        int32_t value = (int8_t)image->bytes[i * image->element_size];
        if (image->element_size == 4) memcpy(&value, image->bytes + 4 * i, sizeof value);
        (void)fputs(i % per_line == 0 ? "\n    " : " ", to);
        if (value == INT32_MIN)
            (void)fputs("-2147483647 - 1,", to);
        else
            (void)fprintf(to, "%d,", value);
    }
    (void)fputs("\n};\n", to);
}

void fn_image_write(FILE *to, enum fn_image_format format, const struct fn_image *image) {
    switch (format) {
    case FN_IMAGE_MIF:
        write_mif(to, image);
        break;
    case FN_IMAGE_COE:
        write_coe(to, image);
        break;
    case FN_IMAGE_HEX:
        write_intel_hex(to, image);
        break;
    case FN_IMAGE_MEMH:
        write_verilog(to, image, put_hex);
        break;
    case FN_IMAGE_MEMB:
        write_verilog(to, image, put_bits);
        break;
    case FN_IMAGE_BITS:
        write_bits(to, image);
        break;
    case FN_IMAGE_C:
    case FN_IMAGE_FORMATS:
        write_c(to, image);
        break;
    }
}

void fn_image_sign_magnitude(uint8_t *bytes, size_t n_elements, size_t element_size) {
    for (size_t i = 0; i < n_elements; i++) {
        uint8_t *at = bytes + i * element_size;
        if (element_size == 1) {
            int value = (int8_t)*at;
            if (value < 0) *at = (uint8_t)(0x80 | (value == INT8_MIN ? INT8_MAX : -value));
            continue;
        }
        int32_t value;
        memcpy(&value, at, sizeof value);
        if (value >= 0) continue;
        uint32_t bits = 0x80000000u | (uint32_t)(value == INT32_MIN ? INT32_MAX : -value);
        memcpy(at, &bits, sizeof bits);
    }
}
