/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle_values.h -- where the pickle machine keeps its values; private to pickle*.c. */
#ifndef FN_PICKLE_VALUES_H
#define FN_PICKLE_VALUES_H

#include "model/sources/pickle.h"

#define FN_PICKLE_MAX_VALUES ((size_t)1 << 20)
#define FN_PICKLE_BLOCK      512

struct fn_pickle {
    struct fn_pickle_value **blocks; /* of FN_PICKLE_BLOCK values each; they never move */
    size_t n_values;
    char **texts; /* [n_texts], owned: names of globals */
    size_t n_texts;
    const struct fn_pickle_value *root;
};

/* NULL, or false, when memory is out. */
struct fn_pickle_value *fn_pickle_make(struct fn_pickle *pickle, enum fn_pickle_kind kind);
bool fn_pickle_append(struct fn_pickle_value *to, struct fn_pickle_value *const *items, size_t n);
/* A copy of `text` that lives as long as the pickle. */
const char *fn_pickle_keep(struct fn_pickle *pickle, const char *text);

#endif
