/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pickle.c -- any bytes as a pickle. Every value must be sound: kinds known, items set, text
 * within the bytes or the pickle. */
#include "model/sources/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static volatile char sink;
    struct fn_error err;
    struct fn_pickle *pickle = NULL;
    size_t used = 0;
    if (fn_pickle_read("fuzz", data, size, &pickle, &used, &err) != FN_OK) return 0;
    if (used > size || !fn_pickle_root(pickle)) __builtin_trap();
    for (size_t i = 0; i < fn_pickle_count(pickle); i++) {
        const struct fn_pickle_value *value = fn_pickle_at(pickle, i);
        for (size_t k = 0; k < value->n; k++)
            if (!value->items[k] || value->items[k]->kind > FN_PICKLE_CALL) __builtin_trap();
        for (size_t k = 0; k < value->size; k++) sink = (char)(sink ^ value->text[k]);
    }
    fn_pickle_free(pickle);
    return 0;
}
