/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c -- see wire.h. Invariant: at <= end, and nothing at or beyond end is read. */
#include "model/sources/wire.h"

#include <string.h>

struct fn_wire fn_wire_of(const void *bytes, size_t size) {
    return (struct fn_wire){.at = bytes, .end = (const uint8_t *)bytes + size};
}

size_t fn_wire_size(const struct fn_wire *bytes) {
    return (size_t)(bytes->end - bytes->at);
}

bool fn_wire_varint(struct fn_wire *bytes, uint64_t *ret_value) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && bytes->at < bytes->end; shift += 7) {
        uint8_t byte = *bytes->at++;
        if (shift < 64) value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret_value = value;
            return true;
        }
    }
    bytes->damaged = true;
    return false;
}

static bool take_fixed(struct fn_wire *message, size_t width, uint64_t *ret_value) {
    if (fn_wire_size(message) < width) {
        message->damaged = true;
        return false;
    }
    *ret_value = 0;
    for (size_t i = 0; i < width; i++) *ret_value |= (uint64_t)message->at[i] << (8 * i);
    message->at += width;
    return true;
}

bool fn_wire_next(struct fn_wire *message, struct fn_wire_field *ret_field) {
    uint64_t key, length;
    if (message->damaged || message->at == message->end || !fn_wire_varint(message, &key))
        return false;
    *ret_field = (struct fn_wire_field){.number = (uint32_t)(key >> 3), .type = (int)(key & 7)};
    if (key >> 3 >= 1 && key >> 32 == 0) {
        switch (ret_field->type) {
        case 0:
            return fn_wire_varint(message, &ret_field->value);
        case 1:
            return take_fixed(message, 8, &ret_field->value);
        case 5:
            return take_fixed(message, 4, &ret_field->value);
        case 2:
            if (!fn_wire_varint(message, &length) || length > fn_wire_size(message)) break;
            ret_field->bytes = fn_wire_of(message->at, (size_t)length);
            message->at += length;
            return true;
        default: /* groups went out of use before any of our formats came in */
            break;
        }
    }
    message->damaged = true;
    return false;
}

bool fn_wire_is(const struct fn_wire *bytes, const char *text) {
    size_t size = fn_wire_size(bytes);
    return size == strlen(text) && memcmp(bytes->at, text, size) == 0;
}

bool fn_wire_text(const struct fn_wire *bytes, char *ret_text, size_t size) {
    size_t length = fn_wire_size(bytes);
    if (length >= size || (length > 0 && memchr(bytes->at, 0, length))) return false;
    if (length > 0) memcpy(ret_text, bytes->at, length);
    ret_text[length] = '\0';
    return true;
}
