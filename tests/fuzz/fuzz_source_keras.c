/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_keras.c -- any bytes as a Keras .h5 file (libhdf5 in its own process: its crashes are
 * no finding, ours are). */
#include "tests/fuzz/source_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(&fn_source_keras, data, size);
    return 0;
}
