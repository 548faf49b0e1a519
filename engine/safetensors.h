/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors.h -- read and write safetensors files: an 8-byte little-endian header length, a JSON
 * header, raw little-endian tensors. Reading trusts nothing: every length, offset, shape, dtype and
 * overlap is checked before a byte of a tensor can be reached. */
#ifndef FN_SAFETENSORS_H
#define FN_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_SAFETENSORS_MAX_RANK 8

enum fn_dtype {
    FN_DTYPE_I8,
    FN_DTYPE_U8,
    FN_DTYPE_I32,
    FN_DTYPE_F16,
    FN_DTYPE_F32,
    FN_DTYPE_F64,
    FN_DTYPE_I64
};

struct fn_stored_tensor {
    const char *name; /* borrowed from the file */
    enum fn_dtype dtype;
    int rank;
    int64_t shape[FN_SAFETENSORS_MAX_RANK];
    const void *data; /* borrowed; aligned to 8 plus its offset, so perhaps not to its element */
    size_t size;      /* bytes */
};

struct fn_safetensors; /* opaque */

/* Read a file whole (a mapping could change under us after its digest was checked), or copy one
 * from memory. FN_IO, FN_BAD_MODEL or FN_NO_MEMORY; the text names the file. */
FN_MUST fn_status fn_safetensors_open(const char *path, struct fn_safetensors **ret_file,
                                      struct fn_error *err);
FN_MUST fn_status fn_safetensors_open_memory(const char *name, const void *bytes, size_t size,
                                             struct fn_safetensors **ret_file,
                                             struct fn_error *err);
void fn_safetensors_close(struct fn_safetensors *file);

/* Tensors in the order of their names. NULL when there is no such tensor. */
size_t fn_safetensors_count(const struct fn_safetensors *file);
const struct fn_stored_tensor *fn_safetensors_at(const struct fn_safetensors *file, size_t index);
const struct fn_stored_tensor *fn_safetensors_find(const struct fn_safetensors *file,
                                                   const char *name);

/* A string of __metadata__, or NULL. */
const char *fn_safetensors_metadata(const struct fn_safetensors *file, const char *key);

/* The tensor section as a whole, for digests. */
const void *fn_safetensors_data(const struct fn_safetensors *file, size_t *ret_size);

const char *fn_dtype_name(enum fn_dtype dtype); /* "I8", "F16", ... */
size_t fn_dtype_size(enum fn_dtype dtype);      /* bytes of one element */

/* Key and value of __metadata__; both borrowed. */
struct fn_metadata {
    const char *key, *value;
};

/* Write a file atomically: a temporary beside it, then rename. Tensors are laid out by descending
 * element size, then name, so that all are aligned; the header is padded with spaces to 8 bytes. */
FN_MUST fn_status fn_safetensors_write(const char *path, const struct fn_stored_tensor *tensors,
                                       size_t n_tensors, const struct fn_metadata *metadata,
                                       size_t n_metadata, struct fn_error *err);

/* sha256 in hex of the tensor section that fn_safetensors_write() would write. */
FN_MUST fn_status fn_safetensors_data_digest(const struct fn_stored_tensor *tensors,
                                             size_t n_tensors, char ret_hex[65],
                                             struct fn_error *err);

#endif
