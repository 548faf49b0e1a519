/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_pickle_machine.h -- what npy_pickle.c and the stack machine behind it share; nobody else's.
 *
 * Invariants: at <= end, and nothing at or beyond end is read; every value and every cell of a
 * container counts towards FN_NPY_MAX_OBJECTS; values never change their kind, so that a value
 * reached through the memo is as good as the one on the stack. Containers may contain themselves.
 */
#ifndef FN_NPY_PICKLE_MACHINE_H
#define FN_NPY_PICKLE_MACHINE_H

#include "model/sources/npy_pickle.h"

#define FN_NPY_MAX_OBJECTS 8192
#define FN_NPY_MAX_STACK   1024
#define FN_NPY_MAX_MEMO    4096

enum fn_npy_kind {
    FN_NPY_MARK,
    FN_NPY_NONE,
    FN_NPY_INTEGER,
    FN_NPY_STRING,
    FN_NPY_TUPLE,
    FN_NPY_LIST,
    FN_NPY_DICTIONARY,
    FN_NPY_NAME,
    FN_NPY_ARRAY,
    FN_NPY_DTYPE
};

/* One element of a tuple or list; a dictionary has keys and values in turn. */
struct fn_npy_cell {
    struct fn_npy_value *value;
    struct fn_npy_cell *next;
};

struct fn_npy_value {
    enum fn_npy_kind kind;
    int64_t integer;  /* INTEGER (truth values too), NAME: which */
    const char *text; /* STRING and DTYPE ("f4"): borrowed from the bytes */
    size_t size;
    struct fn_npy_cell *first, *last; /* TUPLE, LIST, DICTIONARY */
    size_t n;
    const struct fn_npy_value *state; /* ARRAY, DTYPE: the tuple that BUILD gave, or NULL */
};

struct fn_npy_pickle {
    const char *name;
    const uint8_t *at, *end;
    struct fn_error *err; /* of fn_npy_pickle_open() */
    struct fn_npy_value *stack[FN_NPY_MAX_STACK], *memo[FN_NPY_MAX_MEMO];
    size_t n_stack, n_memo, n_values, n_cells;
    struct fn_npy_value values[FN_NPY_MAX_OBJECTS];
    struct fn_npy_cell cells[FN_NPY_MAX_OBJECTS];
};

/* Run the program at `at`; FN_OK leaves exactly one value on the stack. FN_BAD_SOURCE. */
FN_MUST fn_status fn_npy_pickle_run(struct fn_npy_pickle *p);

/* The element at `index` of a container; NULL when it has fewer. */
const struct fn_npy_value *fn_npy_value_item(const struct fn_npy_value *container, size_t index);

/* Whether it is a string of this text; NULL is none. */
bool fn_npy_value_is(const struct fn_npy_value *value, const char *text);

#endif
