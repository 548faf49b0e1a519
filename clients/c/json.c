/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c -- see json.h. */
#include "clients/c/json.h"

#include <stdlib.h>
#include <string.h>

enum facenet_status fnc_json_object(const char *body, size_t size, json_t **ret_object,
                                    struct facenet_error *err) {
    json_error_t detail;
    json_t *object = json_loadb(body, size, 0, &detail);
    if (!object)
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer of %zu bytes is not JSON: %s", size,
                        detail.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer is JSON, but not an object");
    }
    *ret_object = object;
    return FACENET_OK;
}

char *fnc_json_copy(const char *body, size_t size) {
    char *copy = malloc(size + 1);
    if (!copy) return NULL;
    memcpy(copy, body, size);
    copy[size] = '\0';
    return copy;
}

enum facenet_status fnc_json_text(const json_t *object, const char *name, const char **ret_text,
                                  struct facenet_error *err) {
    const char *text = json_string_value(json_object_get(object, name));
    if (!text) return fnc_fail(err, FACENET_BAD_ANSWER, "answer has no text \"%s\"", name);
    *ret_text = text;
    return FACENET_OK;
}

enum facenet_status fnc_json_number(const json_t *object, const char *name, double *ret_number,
                                    struct facenet_error *err) {
    const json_t *number = json_object_get(object, name);
    if (!json_is_number(number))
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer has no number \"%s\"", name);
    *ret_number = json_number_value(number);
    return FACENET_OK;
}

enum facenet_status fnc_json_count(const json_t *object, const char *name, size_t most,
                                   size_t *ret_count, struct facenet_error *err) {
    const json_t *number = json_object_get(object, name);
    json_int_t count = json_integer_value(number);
    if (!json_is_integer(number) || count < 0 || (unsigned long long)count > most)
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer has no count \"%s\" within 0...%zu", name,
                        most);
    *ret_count = (size_t)count;
    return FACENET_OK;
}
