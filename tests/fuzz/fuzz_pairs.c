/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pairs.c -- any text as a list of pairs; what is accepted is consistent. */
#include <stdlib.h>

#include "model/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_pairs pairs;
    struct fn_error err;
    if (fn_pairs_parse("fuzz", (const char *)data, size, &pairs, &err) != FN_OK) return 0;
    for (size_t i = 0; i < pairs.n_pairs; i++) {
        const struct fn_pair *p = &pairs.pairs[i];
        if (p->a >= pairs.n_pictures || p->b >= pairs.n_pictures) abort();
        if (pairs.people[p->a] >= pairs.n_people) abort();
        if (p->same != (pairs.people[p->a] == pairs.people[p->b])) abort();
    }
    fn_pairs_done(&pairs);
    return 0;
}
