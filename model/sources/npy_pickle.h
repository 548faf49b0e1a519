/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_pickle.h -- arrays out of a .npy file that holds one Python dictionary of dictionaries of
 * arrays, as det1.npy ... det3.npy do: {"conv1": {"weights": array, "biases": array}, ...}.
 *
 * NumPy stores such an object as a pickle, which is a program. This reader runs only what builds
 * these values: strings, integers, tuples, lists, dictionaries and NumPy arrays, of protocols 2 to
 * 4 from Python 2 and 3; any other instruction or name is refused, nothing is imported or called.
 * Memory is bounded by the size of the file, depth of nesting does not recurse. */
#ifndef FN_NPY_PICKLE_H
#define FN_NPY_PICKLE_H

#include "engine/cleanup.h"
#include "model/sources/npy.h"

struct fn_npy_pickle; /* opaque: the values; borrows the bytes */

/* Whether the bytes are a .npy file of Python objects. */
bool fn_npy_pickle_recognise(const void *bytes, size_t size);

/* Parse; `name` stands in messages. `bytes` must outlive the pickle. FN_BAD_SOURCE, FN_NO_MEMORY.
 */
FN_MUST fn_status fn_npy_pickle_open(const char *name, const void *bytes, size_t size,
                                     struct fn_npy_pickle **ret_pickle, struct fn_error *err);
void fn_npy_pickle_close(struct fn_npy_pickle *pickle); /* NULL is a no-op */

/* dictionary[outer][inner]; false when there is no such array. The data are borrowed. */
bool fn_npy_pickle_find(const struct fn_npy_pickle *pickle, const char *outer, const char *inner,
                        struct fn_npy *ret_array);

FN_DEFINE_CLEANUP(struct fn_npy_pickle *, fn_npy_pickle_close)

#endif
