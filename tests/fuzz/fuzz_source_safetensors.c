/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_safetensors.c -- any bytes as trained weights in a safetensors file. */
#include "tests/fuzz/source_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(&fn_source_safetensors, data, size);
    return 0;
}
