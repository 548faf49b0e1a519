/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_npy.c -- any bytes as a .npy file. What parses must be readable at the end its strides name.
 */
#include "model/sources/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    struct fn_npy npy;
    if (fn_npy_parse("fuzz", data, size, &npy, &err) != FN_OK || npy.count == 0) return 0;
    int64_t last = 0;
    for (int k = 0; k < npy.rank; k++) last += (npy.shape[k] - 1) * npy.stride[k];
    if (last != npy.count - 1) __builtin_trap();
    const uint8_t *end = (const uint8_t *)npy.data + (size_t)npy.count * fn_dtype_size(npy.dtype);
    if (end != data + size) __builtin_trap();
    for (const uint8_t *at = npy.data; at < end; at++) sink ^= *at;
    return 0;
}
