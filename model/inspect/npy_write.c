/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_write.c -- see npy_write.h; npy.c reads it back. */
#include "model/inspect/npy_write.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum fn_dtype dtype;
    const char *descr, *name;
} types[] = {
    {FN_DTYPE_F32, "<f4", "float32"}, {FN_DTYPE_F16, "<f2", "float16"},
    {FN_DTYPE_F64, "<f8", "float64"}, {FN_DTYPE_I8, "|i1", "int8"},
    {FN_DTYPE_I32, "<i4", "int32"},
};

static size_t index_of(enum fn_dtype dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype) return i;
    return 0;
}

const char *fn_npy_dtype_name(enum fn_dtype dtype) {
    return types[index_of(dtype)].name;
}

size_t fn_npy_header(enum fn_dtype dtype, int rank, const int64_t *shape,
                     char ret_header[FN_NPY_HEADER_MAX]) {
    char dims[256] = "";
    for (int i = 0; i < rank; i++) {
        size_t used = strlen(dims);
        (void)snprintf(dims + used, sizeof dims - used, "%lld,%s", (long long)shape[i],
                       i + 1 < rank ? " " : "");
    }
    if (rank > 1) dims[strlen(dims) - 1] = '\0'; /* (3, 3) but (3,) */
    memcpy(ret_header, "\x93NUMPY\1\0", 8);
    int length = snprintf(ret_header + 10, FN_NPY_HEADER_MAX - 10,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                          types[index_of(dtype)].descr, dims);
    size_t size = (10 + (size_t)length + 1 + 63) / 64 * 64;
    memset(ret_header + 10 + length, ' ', size - 10 - (size_t)length);
    ret_header[size - 1] = '\n';
    ret_header[8] = (char)((size - 10) & 255);
    ret_header[9] = (char)((size - 10) >> 8);
    return size;
}
