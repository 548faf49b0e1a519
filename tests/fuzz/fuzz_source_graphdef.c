/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_graphdef.c -- any bytes as a frozen TensorFlow graph. */
#include "tests/fuzz/source_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(&fn_source_graphdef, data, size);
    return 0;
}
