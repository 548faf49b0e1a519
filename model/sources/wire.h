/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h -- walk a protobuf message in place: field after field, lengths checked, nothing copied,
 * allocated or recursed into. A GraphDef of 100 MB is so read in the memory of its file.
 * (protobuf.dev, "Encoding": varints, wire types 0, 1, 2, 5.) */
#ifndef FN_WIRE_H
#define FN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a message; borrowed. */
struct fn_wire {
    const uint8_t *at, *end;
    bool damaged; /* set once a field could not be read; the walk ends there */
};

struct fn_wire_field {
    uint32_t number;
    int type;             /* 0: varint, 1: 64 bits, 2: bytes, 5: 32 bits */
    uint64_t value;       /* of types 0, 1 and 5 */
    struct fn_wire bytes; /* of type 2: a message, text, or packed numbers */
};

struct fn_wire fn_wire_of(const void *bytes, size_t size);

/* The next field; false at the end and at damage, so a caller looks at `damaged` after its loop. */
bool fn_wire_next(struct fn_wire *message, struct fn_wire_field *ret_field);
/* One number of a packed list, or of a field of its own that the list may have been written as. */
bool fn_wire_varint(struct fn_wire *bytes, uint64_t *ret_value);

size_t fn_wire_size(const struct fn_wire *bytes);
bool fn_wire_is(const struct fn_wire *bytes, const char *text);
/* Copy as text of at most size - 1 characters; false when it does not fit or has a NUL in it. */
bool fn_wire_text(const struct fn_wire *bytes, char *ret_text, size_t size);

#endif
