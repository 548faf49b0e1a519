/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.h -- one NumPy array out of the bytes of a .npy file (format versions 1 to 3).
 *
 * Trusts nothing: the header is a Python literal and is read by a parser for exactly the dictionary
 * that numpy.save() writes; every length is checked before use. */
#ifndef FN_NPY_H
#define FN_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/safetensors.h"
#include "engine/status.h"

#define FN_NPY_MAX_RANK 8

struct fn_npy {
    enum fn_dtype dtype; /* FN_DTYPE_F16, _F32 or _F64, little-endian */
    int rank;
    int64_t shape[FN_NPY_MAX_RANK];
    int64_t stride[FN_NPY_MAX_RANK]; /* elements; says C or Fortran order */
    int64_t count;                   /* product of the shape */
    const void *data;                /* borrowed from the bytes; any alignment */
};

/* Parse `size` bytes; `name` stands in messages. FN_BAD_SOURCE says what was found. */
FN_MUST fn_status fn_npy_parse(const char *name, const void *bytes, size_t size,
                               struct fn_npy *ret_array, struct fn_error *err);

#endif
