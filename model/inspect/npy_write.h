/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_write.h -- the header of a .npy file (format version 1.0), C order, little-endian. */
#ifndef FN_NPY_WRITE_H
#define FN_NPY_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/safetensors.h"

#define FN_NPY_HEADER_MAX 512

/* Write the header to ret_header; returns its size, a multiple of 64. dtype F16, F32, F64, I8 or
 * I32; rank at most FN_SAFETENSORS_MAX_RANK. */
size_t fn_npy_header(enum fn_dtype dtype, int rank, const int64_t *shape,
                     char ret_header[FN_NPY_HEADER_MAX]);

/* NumPy's name: "float32". */
const char *fn_npy_dtype_name(enum fn_dtype dtype);

#endif
