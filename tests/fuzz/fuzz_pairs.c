/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pairs.c -- any bytes as a list of pairs. What parses must be consistent. */
#include <stdint.h>
#include <string.h>

#include "model/evaluate/lfw.h"
#include "model/evaluate/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_folds(const char *text, size_t size) {
    struct fn_error err;
    struct fn_lfw lfw;
    if (fn_lfw_parse("fuzz", text, size, &lfw, &err) != FN_OK) return;
    for (size_t i = 0; i < lfw.n_pairs; i++) {
        const struct fn_lfw_pair *pair = &lfw.pairs[i];
        if (pair->a >= lfw.n_pictures || pair->b >= lfw.n_pictures) __builtin_trap();
        bool same = lfw.pictures[pair->a].person == lfw.pictures[pair->b].person;
        if (same != pair->same || pair->fold >= lfw.n_folds) __builtin_trap();
    }
    for (size_t i = 1; i < lfw.n_pictures; i++)
        if (strcmp(lfw.pictures[i - 1].key, lfw.pictures[i].key) >= 0) __builtin_trap();
    fn_lfw_done(&lfw);
}

static void check_people(const char *text, size_t size) {
    struct fn_error err;
    struct fn_pairs pairs;
    if (fn_pairs_parse("fuzz", text, size, &pairs, &err) != FN_OK) return;
    for (size_t i = 0; i < pairs.n_pairs; i++) {
        const struct fn_pair *p = &pairs.pairs[i];
        if (p->a >= pairs.n_pictures || p->b >= pairs.n_pictures) __builtin_trap();
        if (pairs.people[p->a] >= pairs.n_people) __builtin_trap();
        if (p->same != (pairs.people[p->a] == pairs.people[p->b])) __builtin_trap();
    }
    fn_pairs_done(&pairs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_folds((const char *)data, size);
    check_people((const char *)data, size);
    return 0;
}
