/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_safetensors.c -- any bytes as a safetensors file. What opens must be readable to its ends.
 */
#include "engine/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    struct fn_safetensors *file;
    if (fn_safetensors_open_memory("fuzz", data, size, &file, &err) != FN_OK) return 0;
    for (size_t i = 0; i < fn_safetensors_count(file); i++) {
        const struct fn_stored_tensor *t = fn_safetensors_at(file, i);
        for (size_t k = 0; k < t->size; k++) sink ^= ((const uint8_t *)t->data)[k];
        if (fn_safetensors_find(file, t->name) != t) __builtin_trap();
    }
    fn_safetensors_close(file);
    return 0;
}
