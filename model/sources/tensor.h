/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor.h -- what readers share on the way from a stored tensor to fn_source_add(): a named tensor
 * with its own axes, the orders of kernel axes, and memory that is counted. */
#ifndef FN_TENSOR_H
#define FN_TENSOR_H

#include "model/sources/source.h"

/* Axes of a kernel of four dimensions, and of a matrix. */
enum fn_layout {
    FN_LAYOUT_HWIO, /* TensorFlow, Keras; matrices [in][out] */
    FN_LAYOUT_OIHW, /* PyTorch, ONNX; matrices [out][in] */
    FN_LAYOUT_OHWI, /* TensorFlow Lite, WebNN; matrices [out][in] */
};

struct fn_raw_tensor {
    const char *name; /* borrowed */
    enum fn_dtype dtype;
    int rank;
    int64_t shape[FN_SAFETENSORS_MAX_RANK];
    int64_t stride[FN_SAFETENSORS_MAX_RANK]; /* elements, none negative */
    const void *data;                        /* borrowed; every element lies within its storage */
};

/* Strides of an array without gaps, last axis fastest. Returns false when the number of elements
 * (*ret_count) does not fit; dimensions below 0 do not. */
bool fn_tensor_pack(struct fn_raw_tensor *tensor, int64_t *ret_count);

/* Whether all elements lie within `available` elements from tensor->data on. */
bool fn_tensor_fits(const struct fn_raw_tensor *tensor, uint64_t available);

/* Add a part under canonical axes. FN_BAD_SOURCE when its dimensions are not those of the part. */
FN_MUST fn_status fn_tensor_add(struct fn_source *source, const char *scope, enum fn_part part,
                                enum fn_layout layout, const struct fn_raw_tensor *tensor,
                                struct fn_error *err);

/* Element `index` of an array of F16, F32 or F64 at any alignment. */
double fn_tensor_number(enum fn_dtype dtype, const void *data, size_t index);

/* The decimal that a float32 epsilon was written as: 0.001f is 0.001 and not 0.0010000000474974513,
 * so that a graph and the weights it was made from give the same bits. */
double fn_tensor_round_epsilon(float epsilon);

/* ---- memory within source->memory_limit ---------------------------------------------------------
 */

/* Count `size` more bytes; FN_BAD_SOURCE when that is over the limit. */
FN_MUST fn_status fn_source_charge(struct fn_source *source, uint64_t size, struct fn_error *err);
/* Read a whole file and count its size. *ret_bytes is the caller's, to free(). FN_IO when it is not
 * a regular file. */
FN_MUST fn_status fn_source_read_file(struct fn_source *source, const char *path,
                                      uint8_t **ret_bytes, size_t *ret_size, struct fn_error *err);
/* Memory that the source owns. */
FN_MUST fn_status fn_source_allocate(struct fn_source *source, uint64_t size, void **ret_memory,
                                     struct fn_error *err);
/* A whole file that the source owns. */
FN_MUST fn_status fn_source_load(struct fn_source *source, const char *path, uint8_t **ret_bytes,
                                 size_t *ret_size, struct fn_error *err);

/* sha256 of a file, read piece by piece. FN_IO. */
FN_MUST fn_status fn_source_file_digest(const char *path, char ret_hex[FN_DIGEST_SIZE],
                                        struct fn_error *err);

/* The first `size` bytes of a regular file; false when it is shorter or cannot be read. */
bool fn_source_peek(const char *path, void *ret_bytes, size_t size);

#endif
