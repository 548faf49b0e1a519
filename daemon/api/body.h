/* SPDX-License-Identifier: Apache-2.0
 *
 * body.h -- pictures, embeddings and options out of a request, whichever way they were sent:
 * multipart/form-data, JSON, or the picture itself as the body. */
#ifndef FN_BODY_H
#define FN_BODY_H

#include <jansson.h>
#include <stdint.h>

#include "daemon/api/options.h"
#include "daemon/http/http.h"
#include "engine/cleanup.h"
#include "engine/status.h"

#define FN_BODY_SLOTS        2
#define FN_BODY_MAX_PICTURES 128

/* A field that a route takes. Several names may mean the same slot. FN_FIELD_PICTURES has none: it
 * may be given many times, as JSON an array, and fills slots from 0 in order. */
struct fn_body_field {
    const char *name;
    enum { FN_FIELD_PICTURE, FN_FIELD_PICTURES, FN_FIELD_EMBEDDING } kind;
    int slot; /* 0...FN_BODY_SLOTS - 1 */
};

struct fn_body_rules {
    const struct fn_body_field *fields;
    int n_fields;
    bool takes_raw;   /* the body itself may be the picture of slot 0 */
    unsigned options; /* set of enum fn_option */
};

/* What the daemon's configuration and model say about any request. */
struct fn_body_limits {
    int most_faces, most_pictures; /* at most FN_BODY_MAX_PICTURES */
    bool looks;                    /* whether the model looks for faces */
};

struct fn_body_picture {
    const char *name;     /* of the field, static; NULL: not given */
    const uint8_t *bytes; /* borrowed from the request's body, or `owned` */
    size_t size;          /* > 0 when given */
    bool is_crop;         /* not a file: the pixels of a crop, [160][160][3] */
    uint8_t *owned;
};

struct fn_body_embedding {
    const char *name; /* of the field, static; NULL: not given */
    json_t *value;    /* owned reference: an array, a string or an object */
};

struct fn_body {
    int n_pictures; /* by FN_FIELD_PICTURES */
    struct fn_body_picture pictures[FN_BODY_MAX_PICTURES];
    struct fn_body_embedding embeddings[FN_BODY_SLOTS];
    struct fn_options options;
};

/* Read the request by `rules`; options of the query included, and checked whether they go together.
 * The result borrows from the request's body. Any status of "bad request" kind;
 * FN_TOO_MANY_PICTURES. */
FN_MUST fn_status fn_body_read(const struct fn_http_request *request,
                               const struct fn_body_rules *rules,
                               const struct fn_body_limits *limits, struct fn_body **ret_body,
                               struct fn_error *err);
/* NULL is a no-op. */
void fn_body_free(struct fn_body *body);
FN_DEFINE_CLEANUP(struct fn_body *, fn_body_free)

#endif
