/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_torch.c -- any bytes as a PyTorch file. */
#include "tests/fuzz/source_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(&fn_source_torch, data, size);
    return 0;
}
