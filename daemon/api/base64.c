/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.c -- see base64.h. */
#include "daemon/api/base64.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Six bits, or -1. */
static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Only padding and white space may follow the first '='. */
static bool padding_is_right(const char *text, size_t size, size_t n_sextets) {
    size_t padding = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '=')
            padding++;
        else if (!is_space(text[i]))
            return false;
    }
    return padding == (4 - n_sextets % 4) % 4;
}

fn_status fn_base64_decode(const char *text, size_t size, uint8_t **ret_bytes, size_t *ret_size,
                           struct fn_error *err) {
    uint8_t *bytes = malloc(size / 4 * 3 + 3);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu base64 characters", size);
    size_t n_bytes = 0, n_sextets = 0, i = 0;
    uint32_t bits = 0;
    for (; i < size && text[i] != '='; i++) {
        if (is_space(text[i])) continue;
        int sextet = value_of(text[i]);
        if (sextet < 0) {
            free(bytes);
            return fn_fail(err, FN_BAD_REQUEST, "character %zu is not base64", i + 1);
        }
        bits = bits << 6 | (uint32_t)sextet;
        if (++n_sextets % 4 != 1)
            bytes[n_bytes++] = (uint8_t)(bits >> (6 - 2 * ((n_sextets - 1) % 4)));
    }
    if (n_sextets % 4 == 1 || (i < size && !padding_is_right(text + i, size - i, n_sextets))) {
        free(bytes);
        return fn_fail(err, FN_BAD_REQUEST,
                       "base64 ends wrongly after %zu characters, expected a multiple of 4 with at "
                       "most two '=' at the end",
                       n_sextets);
    }
    *ret_bytes = bytes;
    *ret_size = n_bytes;
    return FN_OK;
}

fn_status fn_base64_decode_data(const char *text, size_t size, uint8_t **ret_bytes,
                                size_t *ret_size, struct fn_error *err) {
    static const char scheme[] = "data:", marker[] = ";base64";
    if (size >= strlen(scheme) && memcmp(text, scheme, strlen(scheme)) == 0) {
        const char *comma = memchr(text, ',', size);
        size_t header = comma ? (size_t)(comma - text) : 0;
        if (!comma || header < strlen(scheme) + strlen(marker) ||
            memcmp(comma - strlen(marker), marker, strlen(marker)) != 0)
            return fn_fail(err, FN_BAD_REQUEST,
                           "data URI is not base64, expected data:<type>;base64,<data>");
        text += header + 1;
        size -= header + 1;
    }
    return fn_base64_decode(text, size, ret_bytes, ret_size, err);
}

size_t fn_base64_encoded_size(size_t size) {
    return (size + 2) / 3 * 4;
}

void fn_base64_encode(const uint8_t *bytes, size_t size, char *ret_text) {
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (n > 1) bits |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2) bits |= bytes[i + 2];
        *ret_text++ = alphabet[bits >> 18];
        *ret_text++ = alphabet[bits >> 12 & 63];
        ret_text[0] = ret_text[1] = '=';
        if (n > 1) ret_text[0] = alphabet[bits >> 6 & 63];
        if (n > 2) ret_text[1] = alphabet[bits & 63];
        ret_text += 2;
    }
}
