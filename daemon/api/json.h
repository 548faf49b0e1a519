/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h -- JSON from strangers: bounded in depth and in number of values before jansson builds a
 * tree, because a tree takes some twenty times the memory of its text. */
#ifndef FN_JSON_H
#define FN_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "engine/cleanup.h"
#include "engine/status.h"

#define FN_JSON_MAX_DEPTH  16
#define FN_JSON_MAX_VALUES 1048576

static inline void fn_json_free(json_t *json) {
    json_decref(json);
}
FN_DEFINE_CLEANUP(json_t *, fn_json_free)

/* Parse one object (anything else is an error). FN_BAD_JSON tells line and column; duplicate
 * members are errors. *ret_object: owned. */
FN_MUST fn_status fn_json_parse(const char *text, size_t size, json_t **ret_object,
                                struct fn_error *err);

/* The same for any value, not only an object. */
FN_MUST fn_status fn_json_parse_any(const char *text, size_t size, json_t **ret_value,
                                    struct fn_error *err);

/* Line (from 1) of member `name` of the outermost object of a text that parses; 0 if not found. */
int fn_json_line_of(const char *text, size_t size, const char *name);

#endif
