/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pairs.c -- any bytes as a file of pairs. What parses must be consistent. */
#include <stdint.h>
#include <string.h>

#include "model/evaluate/lfw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    struct fn_lfw lfw;
    if (fn_lfw_parse("fuzz", (const char *)data, size, &lfw, &err) != FN_OK) return 0;
    for (size_t i = 0; i < lfw.n_pairs; i++) {
        const struct fn_lfw_pair *pair = &lfw.pairs[i];
        if (pair->a >= lfw.n_pictures || pair->b >= lfw.n_pictures) __builtin_trap();
        bool same = lfw.pictures[pair->a].person == lfw.pictures[pair->b].person;
        if (same != pair->same || pair->fold >= lfw.n_folds) __builtin_trap();
    }
    for (size_t i = 1; i < lfw.n_pictures; i++)
        if (strcmp(lfw.pictures[i - 1].key, lfw.pictures[i].key) >= 0) __builtin_trap();
    fn_lfw_done(&lfw);
    return 0;
}
