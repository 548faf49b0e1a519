/* SPDX-License-Identifier: Apache-2.0
 *
 * embedding.c -- see embedding.h. Little-endian is written out byte by byte, so hosts do not
 * matter. */
#include "daemon/api/embedding.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/base64.h"
#include "engine/cleanup.h"
#include "engine/picture/picture.h"

#define ROUNDED        1e-6 /* farther from length one than float32 takes an embedding */
#define UNIT_TOLERANCE 1e-3

static fn_status check_length(size_t found, int expected, struct fn_error *err) {
    if (found == (size_t)expected) return FN_OK;
    return fn_fail(err, FN_EMBEDDING_LENGTH, "has %zu numbers, the model's embeddings have %d",
                   found, expected);
}

static fn_status read_array(const json_t *array, int size, float *values, struct fn_error *err) {
    fn_status status = check_length(json_array_size(array), size, err);
    if (status != FN_OK) return status;
    for (int i = 0; i < size; i++) {
        const json_t *element = json_array_get(array, (size_t)i);
        if (!json_is_number(element))
            return fn_fail(err, FN_BAD_REQUEST, "element %d is not a number", i);
        /* Beyond float32 the conversion is undefined; no such embedding has length one. */
        double number = json_number_value(element);
        if (!(fabs(number) <= 2))
            return fn_fail(err, FN_EMBEDDING_NOT_UNIT, "element %d is beyond -1...1", i);
        values[i] = (float)number;
    }
    return FN_OK;
}

static fn_status read_base64(const json_t *string, int size, float *values, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t n_bytes;
    fn_status status = fn_base64_decode(json_string_value(string), json_string_length(string),
                                        &bytes, &n_bytes, err);
    if (status != FN_OK) return status;
    if (n_bytes % 4)
        return fn_fail(err, FN_EMBEDDING_LENGTH, "has %zu bytes, float32 numbers have 4 each",
                       n_bytes);
    status = check_length(n_bytes / 4, size, err);
    for (int i = 0; status == FN_OK && i < size; i++) {
        const uint8_t *b = bytes + 4 * (size_t)i;
        uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(&values[i], &bits, sizeof bits);
    }
    return status;
}

/* Check the length, and bring it to one unless it is but rounded. */
static fn_status make_unit(float *values, int size, struct fn_error *err) {
    double squares = 0;
    for (int i = 0; i < size; i++) squares += (double)values[i] * values[i];
    double length = sqrt(squares);
    /* Written so that NaN fails. */
    if (!(fabs(length - 1) <= UNIT_TOLERANCE))
        return fn_fail(err, FN_EMBEDDING_NOT_UNIT, "is not of length one (within %g)",
                       UNIT_TOLERANCE);
    if (fabs(length - 1) > ROUNDED)
        for (int i = 0; i < size; i++) values[i] = (float)(values[i] / length);
    return FN_OK;
}

static fn_status check_origin(const json_t *object, const struct fn_embedding_kind *kind,
                              const char **ret_crop, struct fn_error *err) {
    const char *model = json_string_value(json_object_get(object, "model"));
    const char *crop = json_string_value(json_object_get(object, "crop"));
    if (!model || !crop || !json_object_get(object, "embedding"))
        return fn_fail(err, FN_BAD_REQUEST, "expected strings model and crop, and embedding");
    if (json_object_size(object) != 3)
        return fn_fail(err, FN_UNKNOWN_MEMBER, "has a member besides model, crop, embedding");
    if (strcmp(model, kind->model) != 0)
        return fn_fail(err, FN_MODEL_MISMATCH, "is of another model, this one is %s", kind->model);
    if (strcmp(crop, kind->crop) == 0)
        *ret_crop = kind->crop;
    else if (strcmp(crop, FN_CROP_WHOLE) == 0)
        *ret_crop = FN_CROP_WHOLE;
    else
        return fn_fail(err, FN_MODEL_MISMATCH, "is of another crop, this model's is %s",
                       kind->crop);
    return FN_OK;
}

fn_status fn_embedding_read(const json_t *value, const struct fn_embedding_kind *kind,
                            float *ret_values, struct fn_embedding_origin *ret_origin,
                            struct fn_error *err) {
    struct fn_embedding_origin origin = {NULL};
    fn_status status = FN_OK;
    if (json_is_object(value)) {
        status = check_origin(value, kind, &origin.crop, err);
        value = json_object_get(value, "embedding");
    }
    if (status != FN_OK) return status;
    if (json_is_array(value))
        status = read_array(value, kind->size, ret_values, err);
    else if (json_is_string(value))
        status = read_base64(value, kind->size, ret_values, err);
    else
        status = fn_fail(err, FN_BAD_REQUEST, "expected an array of numbers or base64 of float32");
    if (status == FN_OK) status = make_unit(ret_values, kind->size, err);
    if (status == FN_OK) *ret_origin = origin;
    return status;
}

static json_t *write_base64(const float *values, int size) {
    size_t n_bytes = 4 * (size_t)size, n_text = fn_base64_encoded_size(n_bytes);
    FN_CLEANUP_FREE uint8_t *bytes = malloc(n_bytes);
    FN_CLEANUP_FREE char *text = malloc(n_text);
    if (!bytes || !text) return NULL;
    for (int i = 0; i < size; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        for (int k = 0; k < 4; k++) bytes[4 * i + k] = (uint8_t)(bits >> 8 * k);
    }
    fn_base64_encode(bytes, n_bytes, text);
    return json_stringn_nocheck(text, n_text);
}

json_t *fn_embedding_write(const float *values, int size, enum fn_encoding encoding) {
    if (encoding == FN_ENCODING_BASE64) return write_base64(values, size);
    json_t *array = json_array();
    for (int i = 0; array && i < size; i++) {
        if (json_array_append_new(array, json_real((double)values[i])) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}
