/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle.h -- read Python pickles as data. Nothing is ever executed or looked up: a global is a
 * pair of names, a call is a record of what would be called with what. Only names from a list of
 * what a PyTorch state dict is made of are let through; the rest is refused by name.
 *
 * Values form a graph (pickles may refer to themselves), so walk with a depth limit. All are owned
 * by the fn_pickle; strings are borrowed from the bytes it was read from. */
#ifndef FN_PICKLE_H
#define FN_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cleanup.h"
#include "engine/status.h"

enum fn_pickle_kind {
    FN_PICKLE_NONE,
    FN_PICKLE_BOOL,
    FN_PICKLE_INT,
    FN_PICKLE_FLOAT,
    FN_PICKLE_STRING,     /* text or bytes */
    FN_PICKLE_TUPLE,      /* also lists and sets */
    FN_PICKLE_DICT,       /* items: key, value, key, value, ... */
    FN_PICKLE_GLOBAL,     /* string: "module name", with one space */
    FN_PICKLE_PERSISTENT, /* items[0]: the persistent id */
    FN_PICKLE_CALL,       /* items[0]: what would be called, items[1]: with which tuple */
};

struct fn_pickle_value {
    enum fn_pickle_kind kind;
    int64_t integer;  /* of INT and BOOL */
    double real;      /* of FLOAT */
    const char *text; /* [size], no NUL, of STRING; of GLOBAL with one */
    size_t size;
    struct fn_pickle_value **items; /* [n] */
    size_t n, capacity;
};

struct fn_pickle; /* opaque: the values of one pickle */

/* Read one pickle from the start of `bytes`; *ret_used is where it ended. FN_BAD_SOURCE says what
 * was found at which byte; `name` stands in messages. */
FN_MUST fn_status fn_pickle_read(const char *name, const uint8_t *bytes, size_t size,
                                 struct fn_pickle **ret_pickle, size_t *ret_used,
                                 struct fn_error *err);
void fn_pickle_free(struct fn_pickle *pickle); /* NULL is a no-op */

const struct fn_pickle_value *fn_pickle_root(const struct fn_pickle *pickle);

/* All values in no order of meaning, for finding those of a kind without walking the graph. */
size_t fn_pickle_count(const struct fn_pickle *pickle);
const struct fn_pickle_value *fn_pickle_at(const struct fn_pickle *pickle, size_t index);

bool fn_pickle_is_text(const struct fn_pickle_value *value, const char *text);
bool fn_pickle_is_global(const struct fn_pickle_value *value, const char *module_and_name);
/* The value under a text key of a dict, or NULL. */
const struct fn_pickle_value *fn_pickle_get(const struct fn_pickle_value *dict, const char *key);

FN_DEFINE_CLEANUP(struct fn_pickle *, fn_pickle_free)

#endif
