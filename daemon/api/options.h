/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h -- align, face, max_faces, min_face, encoding, far, reject, index: the same whether
 * they come as query parameters, multipart text parts or JSON members. CompreFace's own five are
 * here too, for the one route that speaks as it does.
 *
 * A model that cannot look for faces takes every picture as the crop, and with align=none any model
 * does: what asks to find, choose or judge a face is then refused rather than ignored. */
#ifndef FN_OPTIONS_H
#define FN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/finder.h"
#include "engine/status.h"

enum fn_option {
    FN_OPTION_ALIGN = 1,
    FN_OPTION_FACE = 2,
    FN_OPTION_MAX_FACES = 4,
    FN_OPTION_MIN_FACE = 8,
    FN_OPTION_ENCODING = 16,
    FN_OPTION_FAR = 32,
    FN_OPTION_REJECT = 64,
    FN_OPTION_INDEX = 128,
    /* CompreFace's. */
    FN_OPTION_LIMIT = 256,
    FN_OPTION_DET_PROB_THRESHOLD = 512,
    FN_OPTION_FACE_PLUGINS = 1024,
    FN_OPTION_STATUS = 2048,
    FN_OPTION_PREDICTION_COUNT = 4096,
};

enum fn_plugin { FN_PLUGIN_CALCULATOR = 1, FN_PLUGIN_LANDMARKS = 2 };

enum fn_encoding { FN_ENCODING_FLOAT, FN_ENCODING_BASE64 };

struct fn_options {
    /* The caller's. */
    unsigned allowed; /* set of enum fn_option: what the route takes */
    int most_faces;   /* limit of max_faces and index, and what max_faces is when not given */
    bool looks;       /* whether the model looks for faces */

    unsigned given; /* set of enum fn_option */
    int max_faces;
    enum fn_face_choice face; /* when given */
    int min_face;             /* when given */
    unsigned reject;          /* set of enum fn_reject */
    int index;                /* of the faces, from 0; when given */
    enum fn_encoding encoding;
    double far;         /* when given */
    int limit;          /* like max_faces; 0: not given */
    double least_score; /* 0: not given */
    unsigned plugins;   /* set of enum fn_plugin */
    bool wants_status;
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

/* When all are set: whether they go together. */
FN_MUST fn_status fn_options_check(const struct fn_options *options, struct fn_error *err);

/* What they ask the finder for. */
struct fn_find_options fn_options_find(const struct fn_options *options);

#endif
