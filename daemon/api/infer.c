/* SPDX-License-Identifier: Apache-2.0
 *
 * infer.c -- see infer.h. A tensor's sizes are checked against its shape before anything is
 * allocated for it, and its bytes are never copied when they came as bytes. */
#include "daemon/api/infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/api/base64.h"
#include "daemon/api/json.h"
#include "daemon/http/request.h"
#include "engine/detect/crop.h"

#define CROP_DIMS 4

/* One request on its way into a body. */
struct reading {
    const struct fn_body_limits *limits;
    struct fn_body *body;
    struct fn_infer *infer;
    const uint8_t *binary; /* what follows the JSON */
    size_t binary_size;
    bool is_crop;
    struct fn_error *err;
};

/* ---- tensors ---------------------------------------------------------------------------------
 */

static fn_status set_picture(struct reading *r, int i, const uint8_t *bytes, size_t size,
                             uint8_t *owned) {
    struct fn_body_picture *picture = &r->body->pictures[i];
    picture->name = r->is_crop ? "crop" : "image";
    picture->bytes = bytes;
    picture->size = size;
    picture->is_crop = r->is_crop;
    picture->owned = owned;
    if (size == 0) return fn_fail(r->err, FN_MISSING_PICTURE, "image[%d]: is empty", i);
    return FN_OK;
}

static fn_status read_binary_pictures(struct reading *r) {
    const uint8_t *at = r->binary;
    size_t left = r->binary_size;
    for (int i = 0; i < r->body->n_pictures; i++) {
        if (left < 4) return fn_fail(r->err, FN_BAD_REQUEST, "image[%d]: its length is cut off", i);
        uint32_t size =
            at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        at += 4, left -= 4;
        if (size > left)
            return fn_fail(r->err, FN_BAD_REQUEST, "image[%d]: has %u bytes, and %zu follow", i,
                           size, left);
        fn_status status = set_picture(r, i, at, size, NULL);
        if (status != FN_OK) return status;
        at += size, left -= size;
    }
    if (left == 0) return FN_OK;
    return fn_fail(r->err, FN_BAD_REQUEST, "image: %zu bytes follow its last element", left);
}

static fn_status read_binary(struct reading *r) {
    if (!r->is_crop) return read_binary_pictures(r);
    size_t expected = (size_t)r->body->n_pictures * FN_CROP_SIZE;
    if (r->binary_size != expected)
        return fn_fail(r->err, FN_BAD_REQUEST, "crop: has %zu bytes, its shape %zu", r->binary_size,
                       expected);
    for (int i = 0; i < r->body->n_pictures; i++) {
        fn_status status =
            set_picture(r, i, r->binary + (size_t)i * FN_CROP_SIZE, FN_CROP_SIZE, NULL);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status read_text(struct reading *r, int i, const json_t *value) {
    struct fn_error detail;
    uint8_t *bytes;
    size_t size;
    if (!json_is_string(value))
        return fn_fail(r->err, FN_BAD_REQUEST, "image[%d]: expected a string of base64", i);
    fn_status status = fn_base64_decode_data(json_string_value(value), json_string_length(value),
                                             &bytes, &size, &detail);
    if (status != FN_OK) return fn_fail(r->err, status, "image[%d]: %s", i, detail.text);
    return set_picture(r, i, bytes, size, bytes);
}

/* Copy an array of `dims` into pixels, which advances. */
static bool read_pixels(const json_t *array, const size_t *dims, int n_dims, uint8_t **pixels) {
    if (!json_is_array(array) || json_array_size(array) != dims[0]) return false;
    for (size_t i = 0; i < dims[0]; i++) {
        const json_t *element = json_array_get(array, i);
        if (n_dims > 1) {
            if (!read_pixels(element, dims + 1, n_dims - 1, pixels)) return false;
            continue;
        }
        json_int_t value = json_integer_value(element);
        if (!json_is_integer(element) || value < 0 || value > 255) return false;
        *(*pixels)++ = (uint8_t)value;
    }
    return true;
}

static fn_status read_numbers(struct reading *r, const json_t *data) {
    const size_t n = (size_t)r->body->n_pictures, size = n * FN_CROP_SIZE;
    const size_t nested[CROP_DIMS] = {n, FN_CROP_SIDE, FN_CROP_SIDE, 3}, flat[1] = {size};
    bool is_flat = json_is_integer(json_array_get(data, 0));
    bool fits = json_array_size(data) == (is_flat ? size : n);
    FN_CLEANUP_FREE uint8_t *pixels = malloc(fits ? size : 1);
    uint8_t *end = pixels;
    if (!pixels) return fn_fail(r->err, FN_NO_MEMORY, "no memory for %zu crops", n);
    if (!fits || !read_pixels(data, is_flat ? flat : nested, is_flat ? 1 : CROP_DIMS, &end))
        return fn_fail(r->err, FN_BAD_REQUEST,
                       "crop: data is not %zu integers within 0...255, flat or nested as its shape",
                       size);
    for (size_t i = 0; i < n; i++) {
        uint8_t *owned = malloc(FN_CROP_SIZE);
        if (!owned) return fn_fail(r->err, FN_NO_MEMORY, "no memory for %zu crops", n);
        memcpy(owned, pixels + i * FN_CROP_SIZE, FN_CROP_SIZE);
        fn_status status = set_picture(r, (int)i, owned, FN_CROP_SIZE, owned);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status read_data(struct reading *r, const json_t *data) {
    if (r->is_crop) return read_numbers(r, data);
    if (json_array_size(data) != (size_t)r->body->n_pictures)
        return fn_fail(r->err, FN_BAD_REQUEST, "image: data has %zu elements, its shape %d",
                       json_array_size(data), r->body->n_pictures);
    for (int i = 0; i < r->body->n_pictures; i++) {
        fn_status status = read_text(r, i, json_array_get(data, (size_t)i));
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

/* ---- the JSON --------------------------------------------------------------------------------
 */

/* Every member of `object` must be one of `names`, which ends with NULL. */
static fn_status check_members(const char *what, json_t *object, const char *const *names,
                               struct fn_error *err) {
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return fn_fail(err, FN_BAD_REQUEST, "%s: expected an object", what);
    json_object_foreach(object, name, value) {
        const char *const *known = names;
        while (*known && strcmp(*known, name) != 0) known++;
        if (!*known)
            return fn_fail(err, FN_UNKNOWN_MEMBER, "%s: has a member that is not known here", what);
    }
    return FN_OK;
}

static fn_status read_flag(const json_t *value, const char *name, bool *ret_flag,
                           struct fn_error *err) {
    if (value && !json_is_boolean(value))
        return fn_fail(err, FN_BAD_OPTION, "%s: expected true or false", name);
    if (value) *ret_flag = json_is_true(value);
    return FN_OK;
}

/* Which input, and how many of it. */
static fn_status read_shape(struct reading *r, const json_t *input) {
    const char *name = json_string_value(json_object_get(input, "name"));
    const char *type = json_string_value(json_object_get(input, "datatype"));
    const json_t *shape = json_object_get(input, "shape");
    r->is_crop = name && strcmp(name, "crop") == 0;
    if (!r->is_crop && !(name && strcmp(name, "image") == 0))
        return fn_fail(r->err, FN_BAD_REQUEST, "inputs: the inputs are named image and crop");
    if (!type || strcmp(type, r->is_crop ? "UINT8" : "BYTES") != 0)
        return fn_fail(r->err, FN_BAD_REQUEST, "%s: datatype is not %s", name,
                       r->is_crop ? "UINT8" : "BYTES");
    static const json_int_t dims[CROP_DIMS] = {0, FN_CROP_SIDE, FN_CROP_SIDE, 3};
    size_t n_dims = r->is_crop ? CROP_DIMS : 1;
    bool fits = json_is_array(shape) && json_array_size(shape) == n_dims;
    for (size_t i = 0; fits && i < n_dims; i++) {
        const json_t *dim = json_array_get(shape, i);
        fits = json_is_integer(dim) &&
               (i == 0 ? json_integer_value(dim) > 0 : json_integer_value(dim) == dims[i]);
    }
    if (!fits)
        return fn_fail(r->err, FN_BAD_REQUEST, "%s: shape is not %s with n > 0", name,
                       r->is_crop ? "[n,160,160,3]" : "[n]");
    json_int_t n = json_integer_value(json_array_get(shape, 0));
    if (n > r->limits->most_pictures)
        return fn_fail(r->err, FN_TOO_MANY_PICTURES, "%s: more than %d in one request", name,
                       r->limits->most_pictures);
    r->body->n_pictures = (int)n;
    return FN_OK;
}

static fn_status read_input(struct reading *r, json_t *input) {
    static const char *const members[] = {"name", "shape", "datatype", "parameters", "data", NULL};
    static const char *const parameter[] = {"binary_data_size", NULL};
    json_t *parameters = json_object_get(input, "parameters");
    fn_status status = check_members("inputs", input, members, r->err);
    if (status == FN_OK) status = read_shape(r, input);
    if (status == FN_OK && parameters)
        status = check_members("inputs: parameters", parameters, parameter, r->err);
    if (status != FN_OK) return status;
    const json_t *data = json_object_get(input, "data");
    const json_t *size = json_object_get(parameters, "binary_data_size");
    if (!data == !size)
        return fn_fail(r->err, FN_BAD_REQUEST,
                       "inputs: expected one of data and parameters.binary_data_size");
    if (data) {
        if (r->binary_size)
            return fn_fail(r->err, FN_BAD_REQUEST, "inputs: %zu bytes follow that no input claims",
                           r->binary_size);
        return read_data(r, data);
    }
    if (!json_is_integer(size) || json_integer_value(size) != (json_int_t)r->binary_size)
        return fn_fail(r->err, FN_BAD_REQUEST,
                       "inputs: binary_data_size is not the %zu bytes that follow the JSON (which "
                       "ends by the header Inference-Header-Content-Length)",
                       r->binary_size);
    return read_binary(r);
}

static fn_status read_parameters(struct reading *r, json_t *parameters) {
    const char *name;
    json_t *value;
    if (!json_is_object(parameters))
        return fn_fail(r->err, FN_BAD_REQUEST, "parameters: expected an object");
    json_object_foreach(parameters, name, value) {
        fn_status status =
            strcmp(name, "binary_data_output") == 0
                ? read_flag(value, "binary_data_output", &r->infer->wants_binary, r->err)
                : fn_options_set_json(&r->body->options, name, value, r->err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status read_output(struct reading *r, json_t *output) {
    static const char *const members[] = {"name", "parameters", NULL};
    static const char *const parameter[] = {"binary_data", NULL};
    json_t *parameters = json_object_get(output, "parameters");
    fn_status status = check_members("outputs", output, members, r->err);
    if (status == FN_OK && parameters)
        status = check_members("outputs: parameters", parameters, parameter, r->err);
    if (status != FN_OK) return status;
    const char *name = json_string_value(json_object_get(output, "name"));
    if (!name || strcmp(name, FN_INFER_EMBEDDING) != 0)
        return fn_fail(r->err, FN_BAD_REQUEST, "outputs: the one output is named embedding");
    return read_flag(json_object_get(parameters, "binary_data"), "binary_data",
                     &r->infer->wants_binary, r->err);
}

static fn_status read_object(struct reading *r, json_t *object) {
    static const char *const members[] = {"id", "parameters", "inputs", "outputs", NULL};
    const json_t *id = json_object_get(object, "id");
    json_t *inputs = json_object_get(object, "inputs");
    json_t *outputs = json_object_get(object, "outputs");
    json_t *parameters = json_object_get(object, "parameters");
    fn_status status = check_members("request", object, members, r->err);
    if (status != FN_OK) return status;
    if (id && (!json_is_string(id) || json_string_length(id) > FN_INFER_MAX_ID))
        return fn_fail(r->err, FN_BAD_REQUEST, "id: expected a string of at most %d bytes",
                       FN_INFER_MAX_ID);
    if (id) memcpy(r->infer->id, json_string_value(id), json_string_length(id) + 1);
    if (json_array_size(inputs) != 1)
        return fn_fail(r->err, FN_BAD_REQUEST, "inputs: expected one, image or crop");
    if (outputs && (!json_is_array(outputs) || json_array_size(outputs) > 1))
        return fn_fail(r->err, FN_BAD_REQUEST, "outputs: expected one, embedding");
    if (parameters) status = read_parameters(r, parameters);
    if (status == FN_OK && json_array_size(outputs) == 1)
        status = read_output(r, json_array_get(outputs, 0));
    if (status == FN_OK) status = read_input(r, json_array_get(inputs, 0));
    return status;
}

/* ---- the request ------------------------------------------------------------------------------
 */

/* Where the JSON ends: what Inference-Header-Content-Length says, else with the body. */
static fn_status find_end(const struct fn_http_request *request, size_t *ret_size,
                          struct fn_error *err) {
    const struct fn_http_header *header =
        fn_request_find_header(request, "Inference-Header-Content-Length");
    size_t size = 0;
    *ret_size = request->body_size;
    if (!header) return FN_OK;
    bool ok = header->value_size > 0 && header->value_size <= 10;
    for (size_t i = 0; ok && i < header->value_size; i++) {
        ok = header->value[i] >= '0' && header->value[i] <= '9';
        size = size * 10 + (size_t)(header->value[i] - '0');
    }
    if (!ok || size > request->body_size)
        return fn_fail(err, FN_BAD_REQUEST,
                       "Inference-Header-Content-Length: expected a number of bytes within the "
                       "body's %zu",
                       request->body_size);
    *ret_size = size;
    return FN_OK;
}

static fn_status check_encoding(const struct fn_http_request *request, struct fn_error *err) {
    const struct fn_http_header *header = fn_request_find_header(request, "Content-Encoding");
    if (!header || (header->value_size == 8 && strncasecmp(header->value, "identity", 8) == 0))
        return FN_OK;
    return fn_fail(err, FN_UNSUPPORTED_FORMAT, "Content-Encoding: bodies are not decompressed");
}

fn_status fn_infer_read(const struct fn_http_request *request, const struct fn_body_limits *limits,
                        struct fn_infer *ret_infer, struct fn_body **ret_body,
                        struct fn_error *err) {
    FN_CLEANUP(fn_body_free) struct fn_body *body = calloc(1, sizeof *body);
    FN_CLEANUP(fn_json_free) json_t *object = NULL;
    struct fn_infer infer = {.wants_binary = false};
    size_t size;
    if (!body) return fn_fail(err, FN_NO_MEMORY, "no memory for a request");
    body->options = (struct fn_options){.allowed = FN_OPTION_ALIGN | FN_OPTION_FACE |
                                                   FN_OPTION_MIN_FACE | FN_OPTION_REJECT,
                                        .most_faces = limits->most_faces,
                                        .looks = limits->looks};
    const char *question = strchr(request->target, '?');
    fn_status status = check_encoding(request, err);
    if (status == FN_OK)
        status = fn_options_set_query(&body->options, question ? question + 1 : NULL, err);
    if (status == FN_OK) status = find_end(request, &size, err);
    if (status == FN_OK) status = fn_json_parse((const char *)request->body, size, &object, err);
    if (status != FN_OK) return status;
    struct reading r = {.limits = limits,
                        .body = body,
                        .infer = &infer,
                        .binary = request->body + size,
                        .binary_size = request->body_size - size,
                        .err = err};
    status = read_object(&r, object);
    if (status == FN_OK && r.is_crop) body->options.given |= FN_OPTION_ALIGN;
    if (status == FN_OK) status = fn_options_check(&body->options, err);
    if (status != FN_OK) return status;
    *ret_infer = infer;
    *ret_body = FN_TAKE(body);
    return FN_OK;
}
