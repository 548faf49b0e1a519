/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors.c -- the reader. Nothing of the header is believed before it is checked; tensors must
 * cover the data section without holes or overlap, as the format's specification demands. */
#include "engine/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/cleanup.h"
#include "engine/file.h"

#define MAX_FILE_SIZE   ((size_t)4 << 30)
#define MAX_HEADER_SIZE ((size_t)16 << 20)
#define PREFIX_SIZE     ((size_t)8)

struct fn_safetensors {
    uint8_t *bytes; /* owned: the whole file */
    const uint8_t *data;
    size_t data_size;
    json_t *header;                   /* owned: names and metadata live in it */
    struct fn_stored_tensor *tensors; /* owned, by name */
    size_t n_tensors;
};

FN_DEFINE_CLEANUP(struct fn_safetensors *, fn_safetensors_close)

/* The dtypes we can hold, with their names in the format. */
static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [FN_DTYPE_I8] = {"I8", 1},   [FN_DTYPE_U8] = {"U8", 1},   [FN_DTYPE_I32] = {"I32", 4},
    [FN_DTYPE_F16] = {"F16", 2}, [FN_DTYPE_F32] = {"F32", 4}, [FN_DTYPE_F64] = {"F64", 8},
    [FN_DTYPE_I64] = {"I64", 8},
};

const char *fn_dtype_name(enum fn_dtype dtype) {
    return dtypes[dtype].name;
}

size_t fn_dtype_size(enum fn_dtype dtype) {
    return dtypes[dtype].size;
}

static fn_status read_dtype(const char *where, const char *name, json_t *value,
                            enum fn_dtype *ret_dtype, struct fn_error *err) {
    const char *text = json_string_value(value);
    if (!text) return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s has no dtype", where, name);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            *ret_dtype = (enum fn_dtype)i;
            return FN_OK;
        }
    return fn_fail(err, FN_BAD_MODEL,
                   "%s: tensor %s has dtype \"%.16s\", expected one of I8 U8 I32 I64 F16 F32 F64",
                   where, name, text);
}

static fn_status read_shape(const char *where, json_t *value, struct fn_stored_tensor *t,
                            struct fn_error *err) {
    if (!json_is_array(value) || json_array_size(value) > FN_SAFETENSORS_MAX_RANK)
        return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s: shape is not a list of at most %d sizes",
                       where, t->name, FN_SAFETENSORS_MAX_RANK);
    t->rank = (int)json_array_size(value);
    size_t size = fn_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++) {
        const json_t *item = json_array_get(value, (size_t)i);
        json_int_t dim = json_integer_value(item);
        if (!json_is_integer(item) || dim < 0 || dim > INT32_MAX)
            return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s: size %d of its shape is not 0...2^31",
                           where, t->name, i);
        t->shape[i] = dim;
        if (__builtin_mul_overflow(size, (size_t)dim, &size))
            return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s: shape is too large", where, t->name);
    }
    t->size = size;
    return FN_OK;
}

static fn_status read_offsets(const char *where, json_t *value, const struct fn_safetensors *file,
                              struct fn_stored_tensor *t, struct fn_error *err) {
    json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s: data_offsets is not [begin, end]", where,
                       t->name);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > file->data_size)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensor %s: data_offsets [%lld, %lld] lie outside the %zu data bytes",
                       where, t->name, (long long)begin, (long long)end, file->data_size);
    if ((uint64_t)(end - begin) != t->size)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensor %s: data_offsets span %lld bytes, its shape needs %zu", where,
                       t->name, (long long)(end - begin), t->size);
    t->data = file->data + begin;
    return FN_OK;
}

static fn_status read_tensor(const char *where, const char *name, json_t *entry,
                             const struct fn_safetensors *file, struct fn_stored_tensor *t,
                             struct fn_error *err) {
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: tensor %.80s: expected exactly dtype, shape and data_offsets", where,
                       name);
    t->name = name;
    fn_status status = read_dtype(where, name, json_object_get(entry, "dtype"), &t->dtype, err);
    if (status == FN_OK) status = read_shape(where, json_object_get(entry, "shape"), t, err);
    if (status == FN_OK)
        status = read_offsets(where, json_object_get(entry, "data_offsets"), file, t, err);
    return status;
}

static int by_name(const void *a, const void *b) {
    const struct fn_stored_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_place(const void *a, const void *b) {
    const struct fn_stored_tensor *x = a, *y = b;
    if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

/* No overlap and no hole: each tensor begins where the one before it ended. */
static fn_status check_coverage(const char *where, struct fn_safetensors *file,
                                struct fn_error *err) {
    qsort(file->tensors, file->n_tensors, sizeof file->tensors[0], by_place);
    const uint8_t *at = file->data;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct fn_stored_tensor *t = &file->tensors[i];
        if ((const uint8_t *)t->data != at)
            return fn_fail(err, FN_BAD_MODEL, "%s: tensor %s begins at byte %td, expected %td (%s)",
                           where, t->name, (const uint8_t *)t->data - file->data, at - file->data,
                           (const uint8_t *)t->data < at ? "tensors overlap" : "bytes unused");
        at += t->size;
    }
    if (at != file->data + file->data_size)
        return fn_fail(err, FN_BAD_MODEL, "%s: %td bytes after the last tensor, expected none",
                       where, file->data + file->data_size - at);
    qsort(file->tensors, file->n_tensors, sizeof file->tensors[0], by_name);
    return FN_OK;
}

static fn_status check_metadata(const char *where, json_t *metadata, struct fn_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return fn_fail(err, FN_BAD_MODEL, "%s: __metadata__ is not an object", where);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return fn_fail(err, FN_BAD_MODEL, "%s: __metadata__ %.40s is not a string", where, key);
    }
    return FN_OK;
}

static fn_status read_tensors(const char *where, struct fn_safetensors *file,
                              struct fn_error *err) {
    const char *name;
    json_t *entry;
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof file->tensors[0]);
    if (!file->tensors) return fn_fail(err, FN_NO_MEMORY, "%s: no memory for its header", where);
    json_object_foreach(file->header, name, entry) {
        fn_status status;
        if (strcmp(name, "__metadata__") == 0)
            status = check_metadata(where, entry, err);
        else
            status = read_tensor(where, name, entry, file, &file->tensors[file->n_tensors++], err);
        if (status != FN_OK) return status;
    }
    return check_coverage(where, file, err);
}

static uint64_t read_length(const uint8_t *bytes) {
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | bytes[i];
    return length;
}

/* Takes `bytes` over, on failure too. */
static fn_status open_bytes(const char *where, uint8_t *bytes, size_t size,
                            struct fn_safetensors **ret_file, struct fn_error *err) {
    FN_CLEANUP(fn_safetensors_close) struct fn_safetensors *file = calloc(1, sizeof *file);
    if (!file) {
        free(bytes);
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory", where);
    }
    file->bytes = bytes;
    if (size < PREFIX_SIZE)
        return fn_fail(err, FN_BAD_MODEL, "%s: is %zu bytes long, too short for safetensors", where,
                       size);
    uint64_t length = read_length(bytes);
    if (length > MAX_HEADER_SIZE || length > size - PREFIX_SIZE)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: header is said to be %llu bytes long, the file has %zu (truncated, or "
                       "not a safetensors file)",
                       where, (unsigned long long)length, size);
    file->data = bytes + PREFIX_SIZE + length;
    file->data_size = size - PREFIX_SIZE - (size_t)length;
    json_error_t problem;
    file->header = json_loadb((const char *)bytes + PREFIX_SIZE, (size_t)length,
                              JSON_REJECT_DUPLICATES, &problem);
    if (!file->header && !problem.text[0]) /* the one failure that jansson has no words for */
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory for the header", where);
    if (!file->header)
        return fn_fail(err, FN_BAD_MODEL, "%s: header is not JSON: %s at byte %d", where,
                       problem.text, problem.position);
    if (!json_is_object(file->header))
        return fn_fail(err, FN_BAD_MODEL, "%s: header is not a JSON object", where);
    fn_status status = read_tensors(where, file, err);
    if (status != FN_OK) return status;
    *ret_file = FN_TAKE(file);
    return FN_OK;
}

fn_status fn_safetensors_open(const char *path, struct fn_safetensors **ret_file,
                              struct fn_error *err) {
    uint8_t *bytes;
    size_t size;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    return status == FN_OK ? open_bytes(path, bytes, size, ret_file, err) : status;
}

fn_status fn_safetensors_open_memory(const char *name, const void *bytes, size_t size,
                                     struct fn_safetensors **ret_file, struct fn_error *err) {
    uint8_t *copy = malloc(size + 1);
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "%s: no memory for %zu bytes", name, size);
    if (size) memcpy(copy, bytes, size);
    return open_bytes(name, copy, size, ret_file, err);
}

void fn_safetensors_close(struct fn_safetensors *file) {
    if (!file) return;
    json_decref(file->header);
    free(file->tensors);
    free(file->bytes);
    free(file);
}

size_t fn_safetensors_count(const struct fn_safetensors *file) {
    return file->n_tensors;
}

const struct fn_stored_tensor *fn_safetensors_at(const struct fn_safetensors *file, size_t index) {
    return index < file->n_tensors ? &file->tensors[index] : NULL;
}

const struct fn_stored_tensor *fn_safetensors_find(const struct fn_safetensors *file,
                                                   const char *name) {
    const struct fn_stored_tensor key = {.name = name};
    return bsearch(&key, file->tensors, file->n_tensors, sizeof key, by_name);
}

const char *fn_safetensors_metadata(const struct fn_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

const void *fn_safetensors_data(const struct fn_safetensors *file, size_t *ret_size) {
    *ret_size = file->data_size;
    return file->data;
}
