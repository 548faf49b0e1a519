/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_exif.c -- any bytes as an EXIF block; whatever they say, the answer is an orientation. */
#include <stdint.h>

#include "engine/picture/exif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int orientation = fn_exif_orientation(data, size);
    if (orientation < 1 || orientation > 8) __builtin_trap();
    return 0;
}
