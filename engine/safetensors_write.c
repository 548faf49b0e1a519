/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors_write.c -- the writer: the same tensors give the same bytes. */
#include "engine/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/sha256.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

static int by_layout(const void *a, const void *b) {
    const struct fn_stored_tensor *x = *(const struct fn_stored_tensor *const *)a;
    const struct fn_stored_tensor *y = *(const struct fn_stored_tensor *const *)b;
    size_t x_size = fn_dtype_size(x->dtype), y_size = fn_dtype_size(y->dtype);
    if (x_size != y_size) return x_size > y_size ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Pointers to the tensors in the order they lie in the file; the caller frees. */
static const struct fn_stored_tensor **lay_out(const struct fn_stored_tensor *tensors, size_t n) {
    const struct fn_stored_tensor **order = calloc(n + 1, sizeof *order);
    if (!order) return NULL;
    for (size_t i = 0; i < n; i++) order[i] = &tensors[i];
    qsort(order, n, sizeof *order, by_layout);
    return order;
}

static json_t *describe(const struct fn_stored_tensor *t, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) (void)json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", fn_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)begin + (json_int_t)t->size);
}

/* Header text padded with spaces to a multiple of 8; the caller frees. NULL: no memory. */
static char *make_header(const struct fn_stored_tensor **order, size_t n_tensors,
                         const struct fn_metadata *metadata, size_t n_metadata, size_t *ret_size) {
    FN_CLEANUP(json_decref) json_t *header = json_object();
    json_t *strings = json_object();
    for (size_t i = 0; i < n_metadata; i++)
        if (json_object_set_new(strings, metadata[i].key, json_string(metadata[i].value)) != 0)
            return NULL;
    if (json_object_set_new(header, "__metadata__", strings) != 0) return NULL;
    size_t at = 0;
    for (size_t i = 0; i < n_tensors; at += order[i++]->size)
        if (json_object_set_new(header, order[i]->name, describe(order[i], at)) != 0) return NULL;
    FN_CLEANUP_FREE char *text = json_dumps(header, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) return NULL;
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    char *out = realloc(text, padded + 1);
    if (!out) return NULL;
    text = NULL;
    memset(out + length, ' ', padded - length);
    out[padded] = '\0';
    *ret_size = padded;
    return out;
}

fn_status fn_safetensors_write(const char *path, const struct fn_stored_tensor *tensors,
                               size_t n_tensors, const struct fn_metadata *metadata,
                               size_t n_metadata, struct fn_error *err) {
    size_t header_size = 0;
    FN_CLEANUP_FREE const struct fn_stored_tensor **order = lay_out(tensors, n_tensors);
    FN_CLEANUP_FREE struct fn_piece *pieces = calloc(n_tensors + 2, sizeof *pieces);
    FN_CLEANUP_FREE char *header =
        order ? make_header(order, n_tensors, metadata, n_metadata, &header_size) : NULL;
    if (!order || !pieces || !header)
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory to write it", path);
    uint8_t length[8];
    for (size_t i = 0; i < 8; i++) length[i] = (uint8_t)(header_size >> (8 * i));
    pieces[0] = (struct fn_piece){length, sizeof length};
    pieces[1] = (struct fn_piece){header, header_size};
    for (size_t i = 0; i < n_tensors; i++)
        pieces[2 + i] = (struct fn_piece){order[i]->data, order[i]->size};
    return fn_file_write(path, pieces, n_tensors + 2, err);
}

fn_status fn_safetensors_data_digest(const struct fn_stored_tensor *tensors, size_t n_tensors,
                                     char ret_hex[FN_SHA256_HEX_SIZE], struct fn_error *err) {
    FN_CLEANUP_FREE const struct fn_stored_tensor **order = lay_out(tensors, n_tensors);
    struct fn_sha256 *sha = order ? fn_sha256_new() : NULL;
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "no memory for a digest");
    for (size_t i = 0; i < n_tensors; i++) fn_sha256_add(sha, order[i]->data, order[i]->size);
    fn_sha256_finish(sha, ret_hex);
    return FN_OK;
}
