/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h -- align, face, max_faces, min_face, encoding, far, reject: the same whether they come
 * as query parameters, multipart text parts or JSON members.
 *
 * Without a detector in the model file every picture is taken as the crop: what asks to find,
 * choose or judge a face is refused rather than ignored. That rule is stated once, in options.c. */
#ifndef FN_OPTIONS_H
#define FN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/status.h"

enum fn_option {
    FN_OPTION_ALIGN = 1,
    FN_OPTION_FACE = 2,
    FN_OPTION_MAX_FACES = 4,
    FN_OPTION_MIN_FACE = 8,
    FN_OPTION_ENCODING = 16,
    FN_OPTION_FAR = 32,
    FN_OPTION_REJECT = 64,
};

enum fn_encoding { FN_ENCODING_FLOAT, FN_ENCODING_BASE64 };

struct fn_options {
    unsigned allowed; /* set of enum fn_option: what the route takes; the caller's */
    int most_faces;   /* limit of max_faces; the caller's */
    unsigned given;   /* set of enum fn_option */
    int max_faces;
    enum fn_encoding encoding;
    double far; /* when given */
};

/* One option as text. FN_UNKNOWN_OPTION when there is none of that name or the route does not take
 * it, FN_BAD_OPTION when it is given twice or its value is wrong. */
FN_MUST fn_status fn_options_set(struct fn_options *options, const char *name, size_t name_size,
                                 const char *value, size_t value_size, struct fn_error *err);

/* One option as a JSON member: a string, or a number where the value is one. Unknown names are
 * FN_UNKNOWN_MEMBER. */
FN_MUST fn_status fn_options_set_json(struct fn_options *options, const char *name,
                                      const json_t *value, struct fn_error *err);

/* All options of a query string (what follows '?'; NULL: none). */
FN_MUST fn_status fn_options_set_query(struct fn_options *options, const char *query,
                                       struct fn_error *err);

#endif
