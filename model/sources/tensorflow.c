/* SPDX-License-Identifier: Apache-2.0
 *
 * tensorflow.c -- see tensorflow.h. */
#include "model/sources/tensorflow.h"

bool fn_tensorflow_shape(struct fn_wire message, struct fn_raw_tensor *tensor) {
    struct fn_wire_field field, inner;
    while (fn_wire_next(&message, &field)) {
        if (field.number != 2 || field.type != 2) continue;
        if (tensor->rank == FN_SAFETENSORS_MAX_RANK) return false;
        int64_t *size = &tensor->shape[tensor->rank++];
        while (fn_wire_next(&field.bytes, &inner))
            if (inner.number == 1 && inner.type == 0) *size = (int64_t)inner.value;
        if (field.bytes.damaged) return false;
    }
    return !message.damaged;
}

bool fn_tensorflow_dtype(int number, enum fn_dtype *ret_dtype) {
    switch (number) {
    case 1:
        *ret_dtype = FN_DTYPE_F32;
        return true;
    case 2:
        *ret_dtype = FN_DTYPE_F64;
        return true;
    case 19:
        *ret_dtype = FN_DTYPE_F16;
        return true;
    default:
        return false;
    }
}
