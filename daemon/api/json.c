/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c -- see json.h. */
#include "daemon/api/json.h"

#include <string.h>

/* Past a string that starts at text[i] == '"'; `size` when it does not end. */
static size_t skip_string(const char *text, size_t size, size_t i) {
    for (i++; i < size && text[i] != '"'; i++)
        if (text[i] == '\\') i++;
    return i < size ? i + 1 : size;
}

/* The text need not be valid: only brackets and commas outside strings are looked at, and every
 * container and every value but the first of one costs one of those. */
static fn_status check_bounds(const char *text, size_t size, struct fn_error *err) {
    int depth = 0;
    size_t values = 1;
    for (size_t i = 0; i < size;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, size, i);
            continue;
        }
        if (c == '[' || c == '{') {
            if (++depth > FN_JSON_MAX_DEPTH)
                return fn_fail(err, FN_BAD_JSON, "JSON is nested deeper than %d levels",
                               FN_JSON_MAX_DEPTH);
            values++;
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == ',') {
            values++;
        }
        if (values > FN_JSON_MAX_VALUES)
            return fn_fail(err, FN_BAD_JSON, "JSON has more than %d values", FN_JSON_MAX_VALUES);
        i++;
    }
    return FN_OK;
}

fn_status fn_json_parse_any(const char *text, size_t size, json_t **ret_value,
                            struct fn_error *err) {
    fn_status status = check_bounds(text, size, err);
    if (status != FN_OK) return status;
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value) {
        /* The one failure that jansson has no words for. */
        if (!error.text[0]) return fn_fail(err, FN_NO_MEMORY, "no memory for a JSON text");
        /* jansson quotes what it stumbled over; a client's bytes do not belong into our text. */
        char *near = strstr(error.text, " near '");
        if (near) *near = '\0';
        return fn_fail(err, FN_BAD_JSON, "line %d, column %d: %s", error.line, error.column,
                       error.text);
    }
    *ret_value = value;
    return FN_OK;
}

fn_status fn_json_parse(const char *text, size_t size, json_t **ret_object, struct fn_error *err) {
    FN_CLEANUP(fn_json_free) json_t *value = NULL;
    fn_status status = fn_json_parse_any(text, size, &value, err);
    if (status != FN_OK) return status;
    if (!json_is_object(value)) return fn_fail(err, FN_BAD_JSON, "JSON is not an object");
    *ret_object = FN_TAKE(value);
    return FN_OK;
}

int fn_json_line_of(const char *text, size_t size, const char *name) {
    int depth = 0, line = 1;
    size_t length = strlen(name);
    for (size_t i = 0; i < size;) {
        if (text[i] == '"') {
            size_t end = skip_string(text, size, i), after = end;
            while (after < size && strchr(" \t\r\n", text[after])) after++;
            if (depth == 1 && after < size && text[after] == ':' && end - i == length + 2 &&
                memcmp(text + i + 1, name, length) == 0)
                return line;
            i = end;
            continue;
        }
        if (text[i] == '[' || text[i] == '{') depth++;
        if (text[i] == ']' || text[i] == '}') depth--;
        if (text[i] == '\n') line++;
        i++;
    }
    return 0;
}
