/* SPDX-License-Identifier: Apache-2.0
 *
 * embedding.h -- embeddings in JSON: those given to us, and those we give. */
#ifndef FN_EMBEDDING_H
#define FN_EMBEDDING_H

#include <jansson.h>
#include <stdbool.h>

#include "daemon/api/options.h"
#include "engine/status.h"

/* What an embedding must be of to be compared here. */
struct fn_embedding_kind {
    const char *model, *crop; /* borrowed */
    int size;                 /* numbers */
};

/* What an embedding says it is of. */
struct fn_embedding_origin {
    const char *crop; /* the kind's crop or FN_CROP_WHOLE; NULL when it says nothing */
};

/* Read an embedding: an array of numbers, base64 of float32 little-endian, or an object {"model",
 * "crop", "embedding"} around either. FN_MODEL_MISMATCH when the object says another model, or
 * another crop than the kind's or FN_CROP_WHOLE; FN_EMBEDDING_LENGTH, FN_EMBEDDING_NOT_UNIT
 * (| |e| - 1 | > 1e-3, or not finite), FN_BAD_REQUEST. One whose length is farther from one than
 * rounding takes it is brought there. ret_values: [size], undefined on failure. */
FN_MUST fn_status fn_embedding_read(const json_t *value, const struct fn_embedding_kind *kind,
                                    float *ret_values, struct fn_embedding_origin *ret_origin,
                                    struct fn_error *err);

/* An embedding as an array of numbers or as base64; NULL when memory is out. */
json_t *fn_embedding_write(const float *values, int size, enum fn_encoding encoding);

#endif
