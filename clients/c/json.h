/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h -- members of a JSON object that must be there and of one type. */
#ifndef FNC_JSON_H
#define FNC_JSON_H

#include <jansson.h>

#include "clients/c/error.h"

/* The body as an object; FACENET_BAD_ANSWER when it is none. An owned reference. */
enum facenet_status fnc_json_object(const char *body, size_t size, json_t **ret_object,
                                    struct facenet_error *err);

/* A body ends where its size says; the copy, owned, ends with a NUL too. NULL without memory. */
char *fnc_json_copy(const char *body, size_t size);

/* Each of these: FACENET_BAD_ANSWER naming the member when it is missing or something else. Strings
 * are borrowed from the object. */
enum facenet_status fnc_json_text(const json_t *object, const char *name, const char **ret_text,
                                  struct facenet_error *err);
enum facenet_status fnc_json_number(const json_t *object, const char *name, double *ret_number,
                                    struct facenet_error *err);
/* A whole number of 0...most. */
enum facenet_status fnc_json_count(const json_t *object, const char *name, size_t most,
                                   size_t *ret_count, struct facenet_error *err);

#endif
