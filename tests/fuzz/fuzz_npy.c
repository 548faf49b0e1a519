/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_npy.c -- any bytes as a .npy file. What parses must be readable to its ends. */
#include "model/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    volatile uint8_t sink = 0;
    struct fn_error err;
    struct fn_npy array;
    if (fn_npy_parse("fuzz", data, size, &array, &err) != FN_OK) return 0;
    size_t n = (size_t)array.count * fn_dtype_size(array.dtype);
    for (size_t i = 0; i < n; i++) sink = sink ^ ((const uint8_t *)array.data)[i];
    return 0;
}
